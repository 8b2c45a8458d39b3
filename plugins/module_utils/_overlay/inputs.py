# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything planning needs, read from the host's files and verified again: for modules and the fast path alike."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._chain.model import NetworkRecord, View
from .._chain.view import load_view, record_gone, view_age
from .._common.errors import AvpnError, InvalidInput
from .._manifest.model import Manifest
from .._peer import config as host_config
from .._peer.config import HostConfig
from .._peer.paths import Paths
from .._quorum.budget import affordable
from . import state
from .host import Host
from .model import HostPlan
from .plan import Ran, plan
from .registry import Registry
from .supervisor import Supervisor, Systemd

if TYPE_CHECKING:
    from .._quorum.value import Value


@dataclass(frozen=True)
class Inputs:
    """What was read. ``fresh``: the view is young enough to take away and let in; ``unreadable``: networks whose
    ledger or manifest couldn't be read or verified, and why."""

    paths: Paths
    config: HostConfig
    view: View
    fresh: bool
    ledgers: Mapping[str, Value]
    manifests: Mapping[str, tuple[Manifest, int]]
    unreadable: Mapping[str, str]
    registry: Registry


def load_inputs(paths: Paths) -> Inputs:
    """Read configuration, view, ledgers and manifests.

    Raises AvpnError when the host has no configuration or view. What is wrong with one network is in
    ``unreadable``: it is left as it is.
    """
    config = host_config.load(paths.host_config)
    view = load_view(paths.view)
    ledgers: dict[str, Value] = {}
    manifests: dict[str, tuple[Manifest, int]] = {}
    unreadable: dict[str, str] = {}
    records = _records(view)
    worth = affordable(paths.ledgers, {network: record.owner for network, record in records})
    for network, record in records:
        try:
            value = _ledger(paths, record, worth)
            if value is not None:
                ledgers[network] = value
                running = _manifest(paths, record)
                if running is not None:
                    manifests[network] = running
        except AvpnError as error:
            unreadable[network] = str(error)
            ledgers.pop(network, None)
    registry = Registry(paths.registry, config.wireguard_first_port)
    fresh = view_age(view) <= config.chain.max_age
    return Inputs(paths, config, view, fresh, ledgers, manifests, unreadable, registry)


def make_plan(inputs: Inputs) -> HostPlan:
    """The plan for what was read."""
    ran = {network: Ran(applied.live) for network, applied in state.load_all(inputs.paths).items()}
    return plan(
        inputs.view,
        inputs.ledgers,
        inputs.manifests,
        inputs.config,
        inputs.registry.read(),
        fresh=inputs.fresh,
        ran=ran,
        unreadable=inputs.unreadable,
    )


def make_host(inputs: Inputs, supervisor: Supervisor | None = None) -> Host:
    """The host those inputs are of."""
    config = inputs.config
    return Host(config.id, inputs.paths, inputs.registry, supervisor or Systemd(), config.attach_path)


def _records(view: View) -> list[tuple[str, NetworkRecord]]:
    networks = sorted(view.networks.items())
    return [(network, entry.record) for network, entry in networks if not record_gone(view, network)]


def _ledger(paths: Paths, record: NetworkRecord, worth: frozenset[str]) -> Value | None:
    """The newest certified value; None if there is none yet. Its certificate holds, its entries are their authors'."""
    from .._quorum.authorship import verify_authorship
    from .._quorum.cache import read_certified

    path = paths.ledgers / f"{record.id}.json"
    if os.path.lexists(path) and record.id not in worth:
        raise InvalidInput("and its owner's other ledgers are too large together", where=str(path))
    certified = read_certified(path)
    if certified is None:
        return None
    if certified.value.generation != record.generation:
        raise InvalidInput(
            f"is of generation {certified.value.generation}, the chain says {record.generation}",
            where=str(path),
            remedy="Reconciliation fetches the current one",
        )
    certified.verify(record.founders, record.id)
    verify_authorship(certified.value)
    return certified.value


def _manifest(paths: Paths, record: NetworkRecord) -> tuple[Manifest, int] | None:
    from .._manifest.store import ManifestStore

    return ManifestStore(paths.manifests).running(record)

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What module ``path_info`` does: find out about manifest and network, from options or from the host, and ask."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._chain.model import NetworkRecord
from .._common.errors import InvalidInput
from .._manifest import source
from .._manifest.model import Manifest
from .._manifest.store import check_content
from .._peer.paths import Paths
from .._policy.answers import answer, asked
from .._policy.asking import manifest_of, network_in
from .._policy.subjects import Network, network_of
from .inputs import Inputs, load_inputs, make_plan
from .live import live_slots
from .rules import endpoints_of


def run(params: Mapping[str, Any]) -> dict[str, Any]:
    """The module's result for ``exit_json``. Raises the AvpnError family."""
    choice = asked(params["from"], params["to"], params["port"])
    asking, against = _read(params, "content", "src"), _read(params, "against", "against_src")
    before = None if against.document is None else _parsed(against)
    version: int | None = None
    if asking.document is not None and params["network"] is None:
        manifest, network = _parsed(asking), network_in(params["cidr"])
    else:
        record, running, version, network = _on_host(Paths(Path(params["root"])), params["network"], params["owner"])
        if asking.document is None:
            manifest = running if running is not None else Manifest()
        else:
            with asking.named():
                manifest = check_content(asking.document, record)
            before = before or running or Manifest()
    told = answer(manifest, network, choice, before=before, lines=asking.lines)
    return {**told, "version": version, "endpoints": len(network.endpoints)}


def _read(params: Mapping[str, Any], option: str, file: str) -> source.Source:
    """A manifest as it was given, with its lines if it is a file; without a document, if it wasn't given."""
    if params[file] is None:
        return source.Source(params[option])
    try:
        with Path(params[file]).open("rb") as opened:
            text = opened.read(source.MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"can't be read: {error.strerror}", where=f"{file} {params[file]}") from error
    read = source.load(text, where=params[file])
    if read.document is None:
        raise InvalidInput("is empty", where=params[file], remedy="Write {} for a manifest that permits nothing")
    return read


def _parsed(read: source.Source) -> Manifest:
    with read.named():
        return manifest_of(read.document)


def _on_host(
    paths: Paths, wanted: str | None, owner: str | None
) -> tuple[NetworkRecord, Manifest | None, int | None, Network]:
    """The network's record, what of its manifest runs here, its version, and who lives where."""
    inputs = load_inputs(paths)
    network, record = _record(inputs, wanted, owner)
    if network in inputs.unreadable:
        raise InvalidInput(inputs.unreadable[network], where=f"network {record.name}")
    running, version = inputs.manifests.get(network, (None, None))
    planned = make_plan(inputs).networks.get(network)
    if planned is not None:
        live = planned.live
    else:
        value = inputs.ledgers.get(network)
        live = () if value is None else live_slots(inputs.view, value)
    known = network_of(record)
    return record, running, version, network_of(record, endpoints_of(live, known.own))


def _record(inputs: Inputs, wanted: str | None, owner: str | None) -> tuple[str, NetworkRecord]:
    found = {
        network: seen.record
        for network, seen in sorted(inputs.view.networks.items())
        if wanted in (None, network, seen.record.name) and owner in (None, seen.record.owner)
    }
    if len(found) == 1:
        return found.popitem()
    if not found:
        raise InvalidInput("is no network that this host knows", where="network")
    names = ", ".join(f"{record.owner}/{record.name}" for record in list(found.values())[:5])
    raise InvalidInput(
        f"could be any of {len(found)} networks ({names})", where="network", remedy="Name it by its id, or with owner"
    )

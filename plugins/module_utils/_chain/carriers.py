# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where network records are kept, behind one interface; a network changes its carrier without changing identity.

``audit``: what the tenant signed about itself in the chain's audit module.
``file``: a whole view in a file, for working offline and for tests.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Union

from .._common import fields
from .._common.errors import InvalidInput, Unavailable
from .._common.ids import network_id
from .messages import Message, delete_attributes, sign_attributes
from .model import NetworkRecord, NetworkView, View
from .records import NETWORK_PREFIX, network_record_text, record_digest
from .view import extend_history, load_view, save_view

if TYPE_CHECKING:
    from .sources import Snapshot

# A record's text, or why there is none to be had under that name.
RecordText = Union[str, InvalidInput]

_MAX_RECORDS = 256  # of one owner; further ones, by name, are left out


class Carrier(Protocol):
    """Reads the records of an owner; writing is either messages for a transaction or an act of its own."""

    def read(self, snapshot: Snapshot, owner: str) -> dict[str, RecordText]:
        """Name to text of every network record of the owner at the snapshot's height."""


class AuditCarrier:
    """The tenant's own entry in the audit module: owner and auditor are both the tenant."""

    def read(self, snapshot: Snapshot, owner: str) -> dict[str, RecordText]:
        return records_in(snapshot.signed_attributes(owner) or ())

    def write_messages(self, owner: str, changes: Mapping[str, NetworkRecord | None]) -> list[Message]:
        """The messages that write (or with None delete) records; names that are deleted must exist on chain."""
        written = {f"{NETWORK_PREFIX}{name}": network_record_text(one) for name, one in changes.items() if one}
        deleted = [f"{NETWORK_PREFIX}{name}" for name, one in changes.items() if one is None]
        messages = []
        if written:
            messages.append(sign_attributes(owner, owner, written))
        if deleted:
            messages.append(delete_attributes(owner, owner, deleted))
        return messages


class FileCarrier:
    """A view in a file. Reading ignores the snapshot; writing puts the record in and raises the height by one."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, snapshot: Snapshot | None, owner: str) -> dict[str, RecordText]:  # noqa: ARG002 (the interface)
        records = [network.record for network in self.view().networks.values()]
        return {record.name: network_record_text(record) for record in records if record.owner == owner}

    def view(self) -> View:
        """The whole view in the file."""
        return load_view(self.path)

    def write(self, owner: str, changes: Mapping[str, NetworkRecord | None], *, chain_id: str) -> View:
        """Write (or with None delete) records of ``owner``; makes the file if there is none yet."""
        try:
            before = self.view()
        except Unavailable:
            before = View(chain_id=chain_id, height=0, time=0, networks={}, hosts={})
        height = before.height + 1
        networks, names, seen = dict(before.networks), dict(before.names), dict(before.seen_records)
        for name, record in changes.items():
            network = network_id(owner, name)
            networks.pop(network, None)
            if record is None:
                continue
            old = before.networks.get(network)
            networks[network] = (
                NetworkView(record=record, deployments={}, leases=()) if old is None else replace(old, record=record)
            )
            names[network] = (owner, name)
            seen[network] = extend_history(seen.get(network, ()), record_digest(record), height)
        after = replace(before, height=height, time=int(time.time()), networks=networks, names=names, seen_records=seen)
        save_view(self.path, after)
        return after


def records_in(attributes: tuple[tuple[str, str], ...]) -> dict[str, RecordText]:
    """The network records among signed attributes. Keys that are no network's name are not ours.

    The chain stores the first signing as it comes, a doubled key included: such a record has no one
    meaning and is refused.
    """
    texts: dict[str, RecordText] = {}
    for key, value in sorted(attributes):
        if not key.startswith(NETWORK_PREFIX):
            continue
        try:
            name = fields.name(key.removeprefix(NETWORK_PREFIX), "name")
        except InvalidInput:
            continue
        if name in texts:
            texts[name] = InvalidInput("stands on chain twice", where="record")
        elif len(texts) < _MAX_RECORDS:
            texts[name] = value
    return texts

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module ``network`` does: read the record, plan it with its founders, write the difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .._common import fields
from .._common.errors import InvalidInput, Unavailable
from .._common.ids import NodeId, network_id
from .account import Account
from .arguments import ACCOUNT_SECRETS, account_of, send_with, sources_of
from .carriers import AuditCarrier, FileCarrier, RecordText
from .messages import Message, foreign_message
from .model import NetworkRecord, NetworkView, View
from .network_change import AUTO, FounderChoice, FounderWish, Wish, choose_founders, planned_record, record_lines
from .network_change import with_founders as record_with_founders
from .reading import read_planned
from .records import network_record_json, parse_network_record
from .sources import Snapshot


def run(params: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """The module's result for ``exit_json``. Raises the AvpnError family."""
    account = account_of(params) if any(params[name] for name in ACCOUNT_SECRETS) else None
    owner = _owner(params, account)
    name = fields.name(params["name"], "name")
    extra = [foreign_message(item, f"extra_messages.{index}") for index, item in enumerate(params["extra_messages"])]
    if params["carrier"] == "file":
        if extra:
            raise InvalidInput("need a chain, not a file", where="extra_messages")
        return _run(params, _File(params, owner, name), owner, name, extra, check_mode)
    if account is None and not check_mode:
        raise InvalidInput("must be named by mnemonic_file or private_key_file to sign the change", where="account")
    with sources_of(params) as sources:
        place = _Chain(params, owner, name, sources.snapshot(), account)
        return _run(params, place, owner, name, extra, check_mode)


class _Place(Protocol):
    """Where the record is kept."""

    def text(self) -> RecordText | None: ...
    def leases_of(self, record: NetworkRecord) -> View: ...
    def write(self, record: NetworkRecord | None, extra: list[Message], *, change: bool) -> dict[str, Any]: ...


def _run(
    params: Mapping[str, Any], place: _Place, owner: str, name: str, extra: list[Message], check_mode: bool
) -> dict[str, Any]:
    text = place.text()
    notes: list[str] = []
    before: NetworkRecord | None = None
    if text is not None:
        try:
            if isinstance(text, InvalidInput):
                raise text
            before = parse_network_record(owner, name, text)
        except InvalidInput as error:
            notes.append(f"what stood on chain was no valid record ({error}) and is replaced")
    choice = FounderChoice()
    after: NetworkRecord | None = None
    if params["state"] == "present":
        after = planned_record(before, owner, name, _wish(params))
        after, choice = _with_founders(params, place, after)
    change = before != after if text is None or before is not None else True
    result: dict[str, Any] = {
        "changed": change or bool(extra),
        "network": network_id(owner, name),
        "record": {} if after is None else network_record_json(after),
        "waiting": choice.waiting,
        "notes": [*notes, *choice.notes],
        "diff": {"before": record_lines(before), "after": record_lines(after)},
    }
    if result["changed"] and not check_mode:
        result |= place.write(after, extra, change=change)
    return result


def _with_founders(
    params: Mapping[str, Any], place: _Place, record: NetworkRecord
) -> tuple[NetworkRecord, FounderChoice]:
    wanted = list(params["founders"])
    if wanted == [AUTO]:
        if record.founders:
            return record, FounderChoice(record.founders)
        wish = FounderWish(least=params["founders_min"])
    else:
        nodes = tuple(NodeId.parse(item, f"founders.{index}") for index, item in enumerate(wanted))
        if record.founders:
            # A host's incarnation may have changed since: what stands in the record is what counts.
            if set(nodes) == {voter.node for voter in record.founders}:
                return record, FounderChoice(record.founders)
            raise InvalidInput(
                "change only together with the generation: others stand on chain for this one",
                where="founders",
                remedy="Raise the generation; its ledger then starts anew",
            )
        wish = FounderWish(nodes=nodes)
    view = place.leases_of(record)
    network = view.networks.get(record.id) or NetworkView(record, {}, ())
    choice = choose_founders(record, network, view.hosts, wish)
    return record_with_founders(record, choice.founders), choice


@dataclass
class _Chain:
    """The audit module."""

    params: Mapping[str, Any]
    owner: str
    name: str
    snapshot: Snapshot
    account: Account | None

    def text(self) -> RecordText | None:
        return AuditCarrier().read(self.snapshot, self.owner).get(self.name)

    def leases_of(self, record: NetworkRecord) -> View:
        named = [item.partition("/")[0] for item in self.params["founders"] if item != AUTO]
        return read_planned(self.snapshot, record, [fields.account(item, "founders") for item in named])

    def write(self, record: NetworkRecord | None, extra: list[Message], *, change: bool) -> dict[str, Any]:
        ours = AuditCarrier().write_messages(self.owner, {self.name: record}) if change else []
        if self.account is None:
            raise InvalidInput("must be named to sign the change", where="account")
        sent = send_with(self.params, self.account, [*extra, *ours])
        return {"transaction": {"hash": sent.hash, "height": sent.height}}


@dataclass
class _File:
    """A view in a file."""

    params: Mapping[str, Any]
    owner: str
    name: str

    def text(self) -> RecordText | None:
        try:
            return FileCarrier(self.params["path"]).read(None, self.owner).get(self.name)
        except Unavailable:
            return None  # no file yet: writing makes it

    def leases_of(self, record: NetworkRecord) -> View:
        try:
            view = FileCarrier(self.params["path"]).view()
        except Unavailable:
            return View(self.params["chain_id"], 0, 0, networks={}, hosts={})
        old = view.networks.get(record.id)
        network = NetworkView(record, old.deployments if old else {}, old.leases if old else ())
        return View(view.chain_id, view.height, view.time, networks={record.id: network}, hosts=view.hosts)

    def write(self, record: NetworkRecord | None, extra: list[Message], *, change: bool) -> dict[str, Any]:  # noqa: ARG002
        FileCarrier(self.params["path"]).write(self.owner, {self.name: record}, chain_id=self.params["chain_id"])
        return {}


def _owner(params: Mapping[str, Any], account: Account | None) -> str:
    if account is None and not params["owner"]:
        raise InvalidInput("must be given where no key is", where="owner")
    if account is not None and params["owner"] not in (None, account.address):
        raise InvalidInput(f"is not the account of the key, which is {account.address}", where="owner")
    return account.address if account is not None else fields.account(params["owner"], "owner")


def _wish(params: Mapping[str, Any]) -> Wish:
    members = params["members"]
    return Wish(
        cidr=params["cidr"],
        members=None if members is None else {name: _dseq(dseq, name) for name, dseq in members.items()},
        purge_members=params["purge_members"],
        absent_members=params["absent_members"],
        providers=params["providers"],
        evicted=params["evicted"],
        witnesses=params["witnesses"],
        access=params["access"],
        manifest=params["manifest"],
        generation=params["generation"],
        base=params["base"],
    )


def _dseq(value: Any, member: str) -> int:
    """A dseq as plays have it: a number, or text with one from another tool's JSON."""
    where = f"members.{fields.printable(member)}"
    return fields.decimal(value, where) if isinstance(value, str) else fields.integer(value, where, least=1)

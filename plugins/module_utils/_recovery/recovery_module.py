# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module ``recovery`` does: survey the hosts, choose, write the record, wait for the start."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._chain import network_module
from .._chain.account import load_account
from .._chain.addresses import check_peer_address
from .._chain.arguments import ACCOUNT_ARGUMENTS, ACCOUNT_SECRETS, CHAIN_ARGUMENTS, sources_of
from .._chain.model import HostRecord, NetworkRecord, NetworkView, View
from .._chain.network_change import record_lines
from .._chain.reading import read_view
from .._chain.records import network_record_from_json, network_record_json
from .._chain.view import load_view
from .._common import fields
from .._common.errors import AvpnError, InvalidInput, NotPermitted, Unsupported
from .._common.ids import NodeId, network_id
from .._peer.client import PeerClient
from .._peer.keys import derive_ssh_public_key
from . import report
from .collect import Survey
from .follow import Following
from .picture import Picture
from .proposal import NONE, Proposal, Wanted, propose, refusal, standing

Reader = Callable[[Collection[str]], View]  # reads the chain, with the hosts of these further providers


def run(params: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """The module's result. With ``failed`` and ``msg`` where it refuses, so that the report isn't lost.

    Raises the AvpnError family where there is nothing to report yet.
    """
    owner = _owner(params, check_mode)
    network = network_id(owner, fields.name(params["name"], "name"))
    extra = [NodeId.parse(item, f"hosts.{index}") for index, item in enumerate(params["hosts"])]
    wanted = _wanted(params)
    key_file = Path(params["key_file"])
    public = _public_key(key_file)
    with _reader(params, owner) as read:
        view = read({node.provider for node in (*extra, *wanted.founders)})
        entry = _entry(view, network, public, owner)
        target = _target(params, entry.record)
        hosts = dict(view.hosts)
        with PeerClient(owner, hosts, key_file, check_address=_address_check(params)) as client:
            survey = Survey(client, entry.record, params["host_timeout"])
            picture = _picture(survey, read, entry, hosts, {*extra, *wanted.founders}, wanted, view.height)
            result = {"changed": False, "network": network, **picture.to_result(), "started": None}
            if target is None:
                lines = [*report.survey_lines(picture), *report.command_lines(picture)]
                return {
                    **result,
                    "record": network_record_json(entry.record),
                    "report": lines,
                    "diff": _same(entry.record),
                }
            if target > entry.record.generation:
                why = None if check_mode and picture.proposal is not None else _no(picture, wanted)
                if why is not None:
                    lines = [*report.survey_lines(picture), *report.command_lines(picture)]
                    return {**result, "failed": True, "msg": why, "report": lines}
                proposal = _agreed(picture)
                written = network_module.run(_record_options(params, owner, proposal), check_mode=check_mode)
                result |= {key: written[key] for key in ("changed", "record", "diff")}
                result |= {key: written[key] for key in ("transaction",) if key in written}
                result["report"] = report.written_lines(proposal, check=check_mode)
                base = None if proposal.candidate is None else proposal.candidate.value
            else:
                result |= {"record": network_record_json(entry.record), "diff": _same(entry.record), "report": []}
                known = None if entry.record.base is None else picture.found.named(entry.record.base)
                base = None if known is None else known.value
            if check_mode or not params["wait"]:
                return result
            record = network_record_from_json(result["record"])
            following = Following(client, record, base, params["host_timeout"])
            return _followed(result, following, record, params["wait"])


def _followed(result: dict[str, Any], following: Following, record: NetworkRecord, patience: float) -> dict[str, Any]:
    started = following.wait(patience)
    if started is not None:
        result["started"] = started.to_result()
        result["report"] += report.started_lines(record.generation, started)
        return result
    result["report"] += report.waiting_lines(record.generation, patience, following.missing)
    what = f"generation {record.generation} is on chain and hasn't begun after {patience} s"
    if following.silent:
        what += f", and needs all founders; no answer from {', '.join(map(str, following.silent))}"
    return {**result, "failed": True, "msg": what}


def _picture(
    survey: Survey,
    read: Reader,
    entry: NetworkView,
    hosts: dict[NodeId, HostRecord],
    named: Collection[NodeId],
    wanted: Wanted,
    height: int,
) -> Picture:
    """Ask everybody who may hold something; then those whom only the ledger names, such as voters without a lease."""
    base = None if wanted.base == NONE else wanted.base
    survey.ask(_concerned(entry, hosts, named))
    found = survey.show(base)
    if found.best is not None:
        value = found.best.value
        further = {voter.node for voter in value.voters} | set(value.hosts)
        unknown = {node.provider for node in further - hosts.keys()}
        if unknown:
            hosts.update(read(unknown).hosts)
        before = len(survey.surveyed)
        survey.ask(node for node in further if node in hosts)
        found = survey.show(base) if len(survey.surveyed) > before else found
    now = standing(entry.record, found, survey.surveyed)
    proposal, obstacle = None, ""
    try:
        proposal = propose(entry, hosts, found, survey.surveyed, wanted)
    except AvpnError as error:
        obstacle = str(error)
    return Picture(entry, height, survey.surveyed, survey.silent, found, now, proposal, obstacle)


def _concerned(entry: NetworkView, hosts: Collection[NodeId], named: Collection[NodeId]) -> list[NodeId]:
    """Hosts that may hold something of a network's ledger, as far as the chain tells."""
    record, taking_part = entry.record, entry.participants()
    exact = {voter.node for voter in record.founders} | set(record.witnesses) | set(named)
    return [node for node in sorted(hosts) if node.provider in taking_part or node in exact]


def _no(picture: Picture, wanted: Wanted) -> str | None:
    """Why nothing is written; None if it may be."""
    why = refusal(picture.standing)
    if why is not None and not wanted.force:
        return f"recovery isn't needed: {why}. Only with force is it done all the same"
    return None if picture.proposal is not None else picture.obstacle


def _agreed(picture: Picture) -> Proposal:
    if picture.proposal is None:
        raise InvalidInput(picture.obstacle)
    return picture.proposal


def _target(params: Mapping[str, Any], record: NetworkRecord) -> int | None:
    """The generation that the tenant wants to be there: the present one, or the next."""
    target: int | None = params["generation"]
    if target is None:
        return None
    if target < record.generation:
        raise InvalidInput(f"is {target}, the network is at {record.generation} already", where="generation")
    if target > record.generation + 1:
        raise InvalidInput(
            f"is {target}, the network is at {record.generation}: the next one is {record.generation + 1}",
            where="generation",
        )
    return target


def _entry(view: View, network: str, public: str, owner: str) -> NetworkView:
    entry = view.networks.get(network)
    if entry is None:
        raise InvalidInput(view.problems.get(network, f"{owner} has no such network on chain"), where="name")
    if not entry.record.founders:
        raise InvalidInput(
            "has no ledger yet: its record names no founders",
            where="name",
            remedy="There is nothing to recover; akash.avpn.network names them once there are leases",
        )
    if public not in entry.record.access:
        raise NotPermitted(
            "isn't a key that the network's record names, so no host would answer",
            where="key_file",
            remedy="Use one that stands in access, or put its public part there first with akash.avpn.network",
        )
    return entry


def _wanted(params: Mapping[str, Any]) -> Wanted:
    base = params["base"]
    if base not in (None, NONE):
        base = fields.hex64(base, "base")
    founders = tuple(NodeId.parse(item, f"founders.{index}") for index, item in enumerate(params["founders"]))
    return Wanted(base, founders, params["force"])


def _owner(params: Mapping[str, Any], check_mode: bool) -> str:
    secrets = {key: params[key] for key in ACCOUNT_SECRETS}
    account = load_account(**secrets) if any(secrets.values()) else None
    if account is not None:
        if params["owner"] not in (None, account.address):
            raise InvalidInput(f"is not the account of the key, which is {account.address}", where="owner")
        return account.address
    if params["generation"] is not None and not check_mode and params["carrier"] != "file":
        raise InvalidInput("must be named by mnemonic_file or private_key_file to sign the change", where="account")
    if not params["owner"]:
        raise InvalidInput("must be given where no key is", where="owner")
    return fields.account(params["owner"], "owner")


def _public_key(path: Path) -> str:
    if not path.is_file():
        raise Unsupported("doesn't exist", where=f"key_file {path}")
    return derive_ssh_public_key(path)


def _address_check(params: Mapping[str, Any]) -> Callable[[HostRecord], None]:
    def check(host: HostRecord) -> None:
        check_peer_address(host.ssh_address, allowed_ranges=params["peer_ranges"], where=str(host.id))

    return check


@contextmanager
def _reader(params: Mapping[str, Any], owner: str) -> Iterator[Reader]:
    if params["carrier"] == "file":
        yield lambda _providers: load_view(params["path"])
        return
    with sources_of(params) as sources:
        yield lambda providers: read_view(sources, provider=None, owners=[owner], providers=providers)


def _record_options(params: Mapping[str, Any], owner: str, proposal: Proposal) -> dict[str, Any]:
    """The module ``network``'s options for what was chosen: everything else in the record stays as it is."""
    same = ("cidr", "members", "providers", "evicted", "witnesses", "access", "manifest", "founders_min")
    common = {key: params[key] for key in (*CHAIN_ARGUMENTS, *ACCOUNT_ARGUMENTS, "name", "carrier", "path")}
    return {
        **common,
        **dict.fromkeys(same),
        "owner": owner,
        "state": "present",
        "purge_members": False,
        "absent_members": [],
        "extra_messages": [],
        "founders": [str(voter.node) for voter in proposal.founders],
        "generation": proposal.generation,
        "base": proposal.base,
    }


def _same(record: NetworkRecord) -> dict[str, str]:
    lines = record_lines(record)
    return {"before": lines, "after": lines}

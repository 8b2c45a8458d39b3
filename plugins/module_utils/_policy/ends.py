# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person means by one end of a path: ``web``, ``web/2``, ``web/2/0``, an address, a range. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from .._common import fields
from .._common.errors import InvalidInput
from .._common.ids import EndpointId
from .._manifest.meant import meant
from .._manifest.model import Manifest, MemberPeer, Range
from .evaluate import policy_of
from .prefixes import span_of
from .subjects import Cuts, Network, Subject, apart, every_rule, members_subjects, possible


@dataclass(frozen=True)
class End:
    """One end. ``subjects``: what it is made of; ``peer``: how a rule would name it."""

    text: str
    subjects: tuple[Subject, ...]
    peer: str


def end_of(manifest: Manifest, network: Network, text: str, where: str) -> End:
    """Raises InvalidInput, in the name of ``where``, for what the network doesn't have."""
    if text.count("/") == 2:
        return _endpoint(manifest, network, text, where)
    if "." in text or ":" in text:
        return _addresses(network, text, where)
    member, slash, number = text.partition("/")
    _check_member(manifest, network, member, where)
    cuts = Cuts([manifest], network)
    if slash:
        gseq = fields.decimal(number, where)
        return End(text, tuple(cuts.split(text, member, gseq, frozenset({gseq}).__contains__)), text)
    found = tuple(members_subjects(member, apart([manifest]).get(member, frozenset()), cuts))
    # A lease without an entry, of a member that has entries for others, need not exist.
    having = tuple(each for each in found if _has_rules(manifest, each))
    return End(text, having or found, text)


def names_of(manifest: Manifest, network: Network) -> frozenset[str]:
    """The members there are, as far as it is known: those that the manifest names, and those of the record."""
    found = {key.partition("/")[0] for key in manifest.policies} | {route.via for route in manifest.routes}
    found.update(name for names in manifest.groups.values() for name in names)
    for rule in every_rule(manifest):
        found.update(peer.member for peer in rule.peers if isinstance(peer, MemberPeer))
    return frozenset(found) | (network.members or frozenset())


def _check_member(manifest: Manifest, network: Network, member: str, where: str) -> None:
    known = network.members if network.members is not None else names_of(manifest, network)
    if member not in known:
        whose = "not a member of the network" if network.members is not None else "no member that the manifest names"
        raise InvalidInput(f"'{fields.printable(member)}' is {whose}", where=where, remedy=meant(member[:40], known))


def _has_rules(manifest: Manifest, subject: Subject) -> bool:
    endpoint = subject.endpoint()
    return endpoint is not None and policy_of(manifest, endpoint) is not None


def _endpoint(manifest: Manifest, network: Network, text: str, where: str) -> End:
    wanted = EndpointId.parse(text, where)
    _check_member(manifest, network, wanted.member, where)
    peer = f"{wanted.member}/{wanted.gseq}"
    for live in network.endpoints:
        if live.id == wanted:
            return End(text, (Cuts.endpoint(live, text),), peer)
    return End(text, (Subject(text, wanted.member, wanted.gseq, possible([manifest], network), alone=True),), peer)


def _addresses(network: Network, text: str, where: str) -> End:
    try:
        range_: Range = ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidInput(
            f"must be a member, a lease (web/2), an endpoint (web/2/0), an address or a range, not "
            f"'{fields.printable(text)}'",
            where=where,
        ) from error
    for live in network.endpoints:
        if range_ in (ipaddress.ip_network(live.ipv4), ipaddress.ip_network(live.ipv6)):
            version = int(range_.version)
            subject = Cuts.endpoint(live, f"{text} ({live.id})")
            only = {version: subject.addresses[version]}
            return End(text, (Subject(subject.name, subject.member, subject.gseq, only, True, True),), str(range_))
    if any(each.version == range_.version and each.overlaps(range_) for each in network.own):
        raise InvalidInput(
            "lies in the network's own range, and who has it isn't known", where=where, remedy="Name the member"
        )
    return End(text, (Subject(text, None, 0, {range_.version: (span_of(range_),)}),), str(range_))

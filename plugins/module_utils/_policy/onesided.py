# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Permissions of one side that the other side doesn't share, so that nothing passes by them. Pure.

Only what is certain is said: a rule of which some peer, or some port, can't pass at all, whatever endpoints there are.
"""

from __future__ import annotations

from collections.abc import Iterator

from .._manifest.icmp import BEGINNING, written
from .._manifest.model import AnyMember, GroupPeer, MemberPeer, Peer, Port, RangePeer, Rule
from .._manifest.names import str_of
from .boxes import subtract
from .coverage import POSSIBLE, VERSIONS, Spans, Who, common
from .finding import Finding
from .lists import Lists
from .portline import port_span

_OTHER = {"egress": "ingress", "ingress": "egress"}


def onesided(lists: Lists, said: set[str]) -> Iterator[Finding]:
    """Findings about every ``allow`` whose rule isn't among those of which something is ``said`` already."""
    each = _Onesided(lists)
    for key in lists.world.manifest.policies:
        for side in ("ingress", "egress"):
            for number, rule in enumerate(lists.rules(key, side, "allow")):
                where = f"members.{key}.{side}.allow.{number}"
                if where not in said:
                    yield from (one for one in each.findings(where, key, side, rule) if one.where not in said)


class _Onesided:
    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._world = lists.world
        self._keys: dict[str, list[str]] = {}  # by member: its entry and those of its leases
        for key in self._world.manifest.policies:
            self._keys.setdefault(key.partition("/")[0], []).append(key)
        self._passing: dict[tuple[str, str, str, int], Spans] = {}

    def findings(self, where: str, key: str, side: str, rule: Rule) -> Iterator[Finding]:
        passing = [set(self._ports_that_pass(key, side, peer, rule)) for peer in rule.peers]
        for number, peer in enumerate(rule.peers):
            if not passing[number]:
                place = where if len(rule.peers) == 1 else f"{where}.peers.{number}"
                yield self._finding(place, key, side, peer, rule.ports)
        if not any(passing):
            return
        for index, port in enumerate(rule.ports):
            if not any(index in each for each in passing):
                named = [peer for peer in rule.peers if not isinstance(peer, RangePeer)]
                yield self._finding(f"{where}.ports.{index}", key, side, named[0], (port,), len(named) > 1)

    def _ports_that_pass(self, key: str, side: str, peer: Peer, rule: Rule) -> Iterator[int]:
        """Indices of the rule's ports on which a flow with this peer may pass the other side."""
        wanted = dict(enumerate(rule.ports))
        # Who has which address isn't known; and who says "anybody, anything" leaves it to the others to say more.
        if isinstance(peer, RangePeer) or (isinstance(peer, AnyMember) and Port("any") in rule.ports):
            yield from wanted
            return
        for other in self._entries(peer):
            for version in VERSIONS:
                passing = self._passes(other, _OTHER[side], key, version)
                for index, port in list(wanted.items()):
                    self._world.spend(1)
                    if common(common((port_span(port),), POSSIBLE[version]), passing):
                        yield index
                        del wanted[index]
            if not wanted:
                return

    def _entries(self, peer: Peer) -> list[str]:
        """The manifest's entries that hold for a peer's endpoints."""
        manifest = self._world.manifest
        if isinstance(peer, MemberPeer):
            exact = f"{peer.member}/{peer.gseq}"
            if peer.gseq is None:
                return self._keys.get(peer.member, [])
            return [each for each in (exact, peer.member) if each in manifest.policies][:1]
        members = manifest.groups.get(peer.group, ()) if isinstance(peer, GroupPeer) else sorted(self._keys)
        return [key for member in members for key in self._keys.get(member, [])]

    def _passes(self, other: str, side: str, key: str, version: int) -> Spans:
        """Ports on which some flow between an entry's endpoints and those of ``key`` may pass ``side`` of it."""
        place = (other, side, key, version)
        if place not in self._passing:
            member, _slash, gseq = key.partition("/")
            term = Who("lease", member, int(gseq)) if gseq else Who("member", member)
            allowed = self._lists.of(other, side, "allow", version).possibly(term)
            denied = self._lists.of(other, side, "deny", version).surely(term) if allowed else ()
            self._passing[place] = subtract(allowed, denied)
        return self._passing[place]

    def _finding(
        self, where: str, key: str, side: str, peer: Peer, ports: tuple[Port, ...], several: bool = False
    ) -> Finding:
        text = ", ".join(_text(port) for port in ports[:3]) + (", …" if len(ports) > 3 else "")
        other = _OTHER[side]
        who = "its peers" if several else _name(peer)
        to = f"{key} send {text} to {who}" if side == "egress" else f"{key} receive {text} from {who}"
        if not several and not self._entries(peer):
            why = f"{who} has no rules" if isinstance(peer, MemberPeer) else f"none of {who} has rules"
        else:
            why = f"no {other} rule on that side permits it"
        remedy = ""
        if not several and isinstance(peer, MemberPeer):
            wanted = text if len(ports) == 1 else f"[{text}]"
            remedy = f"Add {{peers: {key}, ports: {wanted}}} to members.{who}.{other}.allow"
        return Finding(where, f"lets {to}, but {why}: nothing passes", remedy)


def _name(peer: Peer) -> str:
    if isinstance(peer, MemberPeer):
        return str_of(peer)
    return peer.group if isinstance(peer, GroupPeer) else "any member"


def _text(port: Port) -> str:
    if port.first is None:
        return port.protocol
    if port.protocol in BEGINNING:
        return written(port.protocol, port.first)
    return f"{port.protocol}/{port.first}" + (f"-{port.last}" if port.last != port.first else "")

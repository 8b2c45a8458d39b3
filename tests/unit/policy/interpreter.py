# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small nftables: runs the compiled rules on the first packet of a flow, in Python.

It knows exactly the words that ``compile`` writes below the chain ``decide``; any other is an error, so that
nothing the compiler says goes unread.
"""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.akash.avpn.plugins.module_utils._manifest.icmp import ECHO_REQUEST
from ansible_collections.akash.avpn.plugins.module_utils._policy.endpoints import Address, Packet
from ansible_collections.akash.avpn.plugins.module_utils._policy.ruleset import Ruleset

NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132, "other": 47}


class Interpreter:
    """One flow through one ruleset. ``code``: of ICMP, which rules don't look at."""

    def __init__(self, ruleset: Ruleset, packet: Packet, code: int = 0) -> None:
        self._code = code
        self._ruleset = ruleset
        self._packet = packet
        self._priority = 0
        self.mark: int | None = None  # of the connection, once permitted
        self.counted: list[str] = []

    def permitted(self) -> bool:
        verdict = self._chain("decide")
        assert verdict in ("accept", "drop"), "every path ends in a verdict"
        assert (verdict == "accept") == (self.mark is not None)
        return verdict == "accept"

    def _chain(self, name: str) -> str | None:
        """What a chain says: a verdict; "return", that whoever jumped here goes on; None, its end was reached."""
        for rule in self._ruleset.chains[name].rules:
            verdict = self._rule(rule)
            if verdict is not None:
                return verdict
        return None

    def _goto(self, verdict: str) -> str:
        """Nobody comes back to the chain that has sent a packet on."""
        return self._chain(verdict.removeprefix("goto ")) or "return"

    def _rule(self, rule: str) -> str | None:
        if rule.startswith("meta priority 0:0 "):
            if self._priority != 0:
                return None
            rule = rule.removeprefix("meta priority 0:0 ")
        while found := re.match(r"meta l4proto (!= )?(\w+) ", rule):
            if (found[2] == self._packet.protocol) == bool(found[1]):
                return None
            rule = rule.removeprefix(found[0])
        if rule.startswith("jump "):
            verdict = self._chain(rule.removeprefix("jump "))
            return None if verdict == "return" else verdict
        if rule == "ct mark @current goto permit":
            return None  # the flow's first packet
        if rule == "return" or rule.startswith("goto "):
            return rule if rule == "return" else self._goto(rule)
        if rule.startswith("ct state new ") and ("@connections" in rule or "@crowded" in rule):
            return None  # nobody is crowded here
        if rule == "meta mark set meta nfproto map @epoch":
            family = "ipv4" if self._packet.source.version == 4 else "ipv6"
            self._mark = int(self._ruleset.sets["epoch"].elements[family], 16)
            return None
        if rule == "ct mark set meta mark":
            self.mark = self._mark
            return None
        if rule in ("meta mark set 0", "meta priority set 0"):
            self._priority = 0
            return None
        if rule == "accept":
            return "accept"
        if found := re.fullmatch(r'counter name "(\S+)" (drop|return)', rule):
            self.counted.append(found[1])
            assert found[1] in self._ruleset.counters
            return found[2]
        if found := re.fullmatch(r"meta priority set (ct original (ip6?) ([sd])addr) map @(\w+)", rule):
            value = self._ruleset.sets[found[4]].elements.get(str(self._address(found[2], found[3])))
            if value is not None:
                self._priority = _class(value)
            return None
        if found := re.fullmatch(r"meta priority vmap @(\w+)", rule):
            for key, verdict in self._ruleset.sets[found[1]].elements.items():
                if _class(key) == self._priority:
                    return self._goto(verdict)
            return None
        return self._match(rule)

    def _match(self, rule: str) -> str | None:
        found = re.fullmatch(r"(.+?) @(\S+) (goto \S+|return|counter name \S+ (?:drop|return))", rule)
        assert found is not None, f"the interpreter doesn't know: {rule}"
        key, name, verdict = found.groups()
        given = [self._field(part) for part in key.split(" . ")]
        if None in given:
            return None
        hits = [
            element
            for element in self._ruleset.sets[name].elements
            if all(
                first <= value <= last
                for value, (first, last) in zip(given, map(_interval, element.split(" . ")), strict=True)
            )
        ]
        assert len(hits) <= 1, f"elements of {name} overlap: {hits}"
        if not hits:
            return None
        return self._rule(verdict)

    def _field(self, words: str) -> int | None:
        if words == "meta priority":
            return self._priority
        if words == "ct original protocol":
            return NUMBERS[self._packet.protocol]
        if words == "ct original proto-dst":
            # Type and code of ICMP stand where others have their port.
            if self._packet.protocol in ECHO_REQUEST:
                return (self._packet.port or ECHO_REQUEST[self._packet.protocol]) << 8 | self._code
            return self._packet.port or 0
        found = re.fullmatch(r"ct original (ip6?) ([sd])addr", words)
        assert found is not None, f"the interpreter doesn't know: {words}"
        address = self._address(found[1], found[2])
        return None if address is None else int(address)

    def _address(self, family: str, end: str) -> Address | None:
        address = self._packet.source if end == "s" else self._packet.target
        return address if address.version == (4 if family == "ip" else 6) else None


def _class(text: str) -> int:
    high, low = text.split(":")
    return int(high, 16) << 16 | int(low, 16)


def _interval(text: str) -> tuple[int, int]:
    if re.fullmatch(r"[0-9a-f]{1,4}:[0-9a-f]{1,4}(-[0-9a-f]{1,4}:[0-9a-f]{1,4})?", text):
        first, _unused, last = text.partition("-")
        return _class(first), _class(last or first)
    if "/" in text:
        network = ipaddress.ip_network(text)
        return int(network.network_address), int(network.broadcast_address)
    first, _unused, last = text.partition("-")
    if "." in text or ":" in text:
        return int(ipaddress.ip_address(first)), int(ipaddress.ip_address(last or first))
    return int(first), int(last or first)

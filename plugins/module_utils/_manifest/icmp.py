# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of ICMP and ICMPv6 that a rule can name: those that begin a flow.

Connection tracking begins a flow with these alone (RFC 792, 950; RFC 4443, 4620). Answers belong to the flow that
asked, errors to the flow they are about, and neighbour discovery is the host's own; none of them is a rule's.
"""

from __future__ import annotations

from collections.abc import Mapping

BEGINNING: Mapping[str, Mapping[str, int]] = {
    "icmp": {"echo-request": 8, "timestamp-request": 13, "info-request": 15, "address-mask-request": 17},
    "icmpv6": {"echo-request": 128, "node-information-query": 139},
}
ECHO_REQUEST: Mapping[str, int] = {protocol: types["echo-request"] for protocol, types in BEGINNING.items()}

_ANSWERS = {
    "icmp": {"echo-reply": 0, "timestamp-reply": 14, "info-reply": 16, "address-mask-reply": 18},
    "icmpv6": {"echo-reply": 129, "node-information-response": 140},
}
_QUESTIONS = {"icmp": {0: 8, 14: 13, 16: 15, 18: 17}, "icmpv6": {129: 128, 140: 139}}
_ERRORS = {
    "icmp": {
        "destination-unreachable": 3,
        "source-quench": 4,
        "redirect": 5,
        "time-exceeded": 11,
        "parameter-problem": 12,
    },
    "icmpv6": {"destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4},
}
_NEIGHBOURS = {
    "icmp": {"router-advertisement": 9, "router-solicitation": 10},
    "icmpv6": {
        "mld-listener-query": 130,
        "mld-listener-report": 131,
        "mld-listener-done": 132,
        "nd-router-solicit": 133,
        "nd-router-advert": 134,
        "nd-neighbor-solicit": 135,
        "nd-neighbor-advert": 136,
        "nd-redirect": 137,
    },
}


def written(protocol: str, number: int) -> str:
    """A type that begins a flow, as manifests write it: ``icmp/echo-request``."""
    return next(f"{protocol}/{name}" for name, each in BEGINNING[protocol].items() if each == number)


def why_not(protocol: str, text: str) -> tuple[str, str]:
    """Why ``text``, a name or a number, is no type that a rule can name, and what to write instead."""
    number = int(text) if text.isdigit() and text.isascii() and len(text) < 4 else None
    if _among(_ANSWERS[protocol], text, number):
        answer = number if number is not None else _ANSWERS[protocol][text]
        question = written(protocol, _QUESTIONS[protocol][answer])
        return "is an answer, and passes with the flow that it answers", f"Write {question}"
    if _among(_ERRORS[protocol], text, number):
        return (
            "is an error, and passes with the flow that it is about",
            "Leave it out: errors about permitted flows always pass",
        )
    if _among(_NEIGHBOURS[protocol], text, number):
        return "is a matter between an endpoint and its host, where no rules apply", "Leave it out"
    if _among(BEGINNING["icmpv6" if protocol == "icmp" else "icmp"], text, number):
        other = "icmpv6" if protocol == "icmp" else "icmp"
        return f"names a type of {other}", f"Write {other}/{text}"
    return "is no type that begins a flow", f"Write {protocol}, or one of {', '.join(beginning(protocol))}"


def beginning(protocol: str) -> tuple[str, ...]:
    """All types that a rule can name, as manifests write them."""
    return tuple(f"{protocol}/{name}" for name in BEGINNING[protocol])


def _among(types: Mapping[str, int], text: str, number: int | None) -> bool:
    return text in types or (number is not None and number in types.values())

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A counterexample in words: one line a step, hosts counted from 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


def tell(steps: Iterable[Sequence[str]]) -> list[str]:
    """Numbered steps as the models say them (``say`` in voter.c); what follows from a step is set off by an arrow."""
    lines: list[str] = []
    number = 0
    for kind, *words in steps:
        text = _TEXTS[kind](*words)
        if text.startswith("->"):
            lines.append(f"      {text}")
        else:
            number += 1
            lines.append(f"{number:4}  {text}")
    return lines


def _hosts(mask: str) -> str:
    return " ".join(str(bit + 1) for bit in range(8) if int(mask) >> bit & 1) or "none"


def _host(number: str) -> str:
    return f"host {int(number) + 1}"


def _value(voters: str, bound: str) -> str:
    return f"voters {_hosts(voters)}, address {f'bound to endpoint {bound}' if int(bound) else 'free'}"


def _compose(version: str, ballot: str, voters: str, bound: str) -> str:
    return f"a proposer draws ballot {ballot} of version {version} for: {_value(voters, bound)}"


def _promise(host: str, version: str, ballot: str, shown: str) -> str:
    showing = f"ballot {shown} as accepted" if int(shown) else "nothing as accepted"
    return f"{_host(host)} promises ballot {ballot} of version {version} and shows {showing}"


def _accept(host: str, version: str, ballot: str, voters: str, bound: str) -> str:
    return f"{_host(host)} accepts ballot {ballot} of version {version}: {_value(voters, bound)}"


def _certified(version: str, voters: str, bound: str) -> str:
    return f"-> version {version} is certified: {_value(voters, bound)}"


def _stuck(up: str, taking: str, version: str, voters: str) -> str:
    return (
        f"-> WRONG: hosts {_hosts(up)} stay up, and no version {int(version) + 1} can be agreed: "
        f"of the voters {_hosts(voters)} only {_hosts(taking)} would accept it"
    )


def _lost(up: str, version: str, voters: str, bound: str) -> str:
    agreed = f"version {version}, agreed as {_value(voters, bound)}"
    return f"-> WRONG: hosts {_hosts(up)} stay up and agree on something else than {agreed}"


def _wrong(what: str, version: str, *more: str) -> str:
    texts = {
        "two": f"two certified values of version {version}",
        "descent": f"version {version} is certified, and what it is built on is not the certified version before it",
        "order": f"{_host(more[0]) if more else ''}: its ballots go back in version {version}",
        "fence": "the old generation agrees on something after the new one has given out an address",
        "kept": "an address is given out that one of the survivors holds as bound, acknowledged by the old generation",
        "binding": "one address is bound to two endpoints, both acknowledged",
    }
    return f"-> WRONG: {texts[what]}"


def _write(ballot: str, read: str, old: str, new: str, bound: str) -> str:
    source = f"what ballot {read} wrote" if int(read) else "the founders' value"
    voters = _value(old, bound) if old == new else f"old {_value(old, '0')}; new {_value(new, bound)}"
    return f"the proposer of ballot {ballot} has read {source} and writes: {voters}"


def _take(host: str, ballot: str, old: str, new: str, bound: str) -> str:
    voters = _hosts(old) if old == new else f"old {_hosts(old)}, new {_hosts(new)}"
    return f"{_host(host)} accepts ballot {ballot}: voters {voters}, endpoint {bound}"


_TEXTS: dict[str, Callable[..., str]] = {
    "compose": _compose,
    "promise": _promise,
    "accept": _accept,
    "certified": _certified,
    "learn": lambda host, version: f"{_host(host)} holds version {version} and its certificate",
    "skip": lambda host, version: f"{_host(host)} is shown the certificate of version {version}, without its value",
    "presume": lambda host, version, ballot: (
        f"{_host(host)} is handed what ballot {ballot} of version {version} proposes, without a certificate"
    ),
    "leave": lambda host, version: f"{_host(host)} leaves with a tombstone of version {version}",
    "lose": lambda host: f"{_host(host)} loses its disk",
    "stuck": _stuck,
    "lost": _lost,
    "wrong": _wrong,
    "write": _write,
    "take": _take,
    "tick": lambda tick: f"time goes on: tick {tick}",
    "read": lambda host, tick: f"{_host(host)} reads the chain at tick {tick}",
    "raise": lambda tick, base: (
        f"the tenant raises the generation in tick {tick}, with a base "
        f"{'that has' if int(base) else 'without'} the old generation's last version"
    ),
    "old": lambda host, tick: f"{_host(host)} accepts the old generation's last version in tick {tick}",
    "answer": lambda host, holds: (
        f"{_host(host)} answers in the new generation and {'shows the old binding' if int(holds) else 'shows nothing'}"
    ),
    "agreed": lambda: "-> the old generation has agreed on it: the address is bound to endpoint 1",
    "start": lambda holds: f"the new generation starts {'with' if int(holds) else 'without'} the old binding",
    "bind": lambda endpoint: f"the new generation binds the address to endpoint {endpoint}",
    "acknowledged": lambda ballot, bound: (
        f"-> ballot {ballot} is acknowledged: the address is bound to endpoint {bound}"
    ),
}

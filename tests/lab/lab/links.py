# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cutting and healing links between hosts.

All traffic between hosts crosses one bridge of the machine; a table of the
bridge family drops packets there by pair of addresses. Nothing inside a host
changes, so nothing there can notice, or flush it. ARP still passes: a cut looks
like a silent network, not like an absent neighbour.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from .process import run


def table_name(lab: str) -> str:
    """Name of the lab's table in the bridge family."""
    return f"avpn_lab_{lab.replace('-', '_')}"


def cut(lab: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Drop every IPv4 packet from the first to the second address of each pair."""
    elements = ", ".join(f"{source} . {target}" for source, target in pairs)
    if elements:
        _nft(f"{_table(lab)}add element bridge {table_name(lab)} cuts {{ {elements} }}\n")


def heal(lab: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Undo cut and lose for the pairs; those that are whole stay so."""
    wanted = set(pairs)
    name = table_name(lab)
    gone = "".join(f"delete element bridge {name} cuts {{ {a} . {b} }}\n" for a, b in cuts(lab) & wanted)
    for (a, b), percent in losses(lab).items():
        if (a, b) in wanted:
            gone += f"delete element bridge {name} losses_{percent} {{ {a} . {b} }}\n"
    if gone:
        _nft(gone)


def lose(lab: str, pairs: Iterable[tuple[str, str]], percent: int) -> None:
    """Drop a share (1 to 99 percent) of the packets of each pair, at random.

    Replaces what was lost of the pair before.
    """
    if not 1 <= percent <= 99:
        raise ValueError(f"{percent}: a loss is 1 to 99 percent")
    wanted = list(pairs)
    before = losses(lab)
    name, group = table_name(lab), f"losses_{percent}"
    text = _table(lab)
    known = set(before.values()) | _loss_sets(lab)
    if percent not in known:
        text += f"add set bridge {name} {group} {{ type ipv4_addr . ipv4_addr; }}\n"
        text += f"add rule bridge {name} forward ip saddr . ip daddr @{group} numgen random mod 100 < {percent} drop\n"
    for a, b in wanted:
        if (a, b) in before:
            text += f"delete element bridge {name} losses_{before[a, b]} {{ {a} . {b} }}\n"
        text += f"add element bridge {name} {group} {{ {a} . {b} }}\n"
    _nft(text)


def cuts(lab: str) -> set[tuple[str, str]]:
    """Pairs (from, to) that are cut now."""
    return _elements(lab, "cuts")


def losses(lab: str) -> dict[tuple[str, str], int]:
    """Pairs (from, to) that lose packets now, with the share in percent."""
    return {pair: loss for loss in _loss_sets(lab) for pair in _elements(lab, f"losses_{loss}")}


def clear(lab: str) -> None:
    """Heal everything: remove the table."""
    run(["nft", "delete", "table", "bridge", table_name(lab)], check=False)


def _table(lab: str) -> str:
    """Commands that make the table unless it is there; the one rule is added only then."""
    name = table_name(lab)
    if run(["nft", "list", "table", "bridge", name], check=False).returncode == 0:
        return ""
    return (
        f"add table bridge {name}\n"
        f"add chain bridge {name} forward {{ type filter hook forward priority 0; }}\n"
        f"add set bridge {name} cuts {{ type ipv4_addr . ipv4_addr; }}\n"
        f"add rule bridge {name} forward ip saddr . ip daddr @cuts counter drop\n"
    )


def _listing(lab: str) -> list[dict[str, object]]:
    result = run(["nft", "-j", "list", "table", "bridge", table_name(lab)], check=False)
    if result.returncode != 0:
        return []
    return [entry["set"] for entry in json.loads(result.stdout)["nftables"] if "set" in entry]


def _loss_sets(lab: str) -> set[int]:
    names = [str(entry["name"]) for entry in _listing(lab)]
    return {int(name.removeprefix("losses_")) for name in names if name.startswith("losses_")}


def _elements(lab: str, name: str) -> set[tuple[str, str]]:
    for entry in _listing(lab):
        if entry["name"] == name:
            elements = entry.get("elem", [])
            assert isinstance(elements, list)
            return {(pair["concat"][0], pair["concat"][1]) for pair in elements}
    return set()


def _nft(text: str) -> None:
    run(["nft", "-f", "-"], data=text.encode())

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What module ``path_info`` and filter ``paths`` answer, as plain data and as lines for people. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from .._common.errors import InvalidInput
from .._manifest.model import Manifest, Port
from .._manifest.ports import port as parse_port
from .choice import Choice, chosen, narrowed
from .matrix import Pair, difference, matrix
from .paths import ALLOW, DEPENDS, Reason, Way, explain
from .portline import port_span
from .portsets import written
from .reachability import MOST_ENTRIES, Change, Told, change, permitted, shortened
from .remedies import Remedies, Removal, applied, document_of
from .subjects import Network

Lines = Mapping[str, int]
_FAMILIES = {(4, 6): "both", (4,): "ipv4", (6,): "ipv6"}
_MOST_LINES = 20  # of what else a remedy would permit


def answer(
    manifest: Manifest,
    network: Network,
    choice: Choice,
    *,
    before: Manifest | None = None,
    lines: Lines = MappingProxyType({}),
) -> dict[str, Any]:
    """All that is asked for.

    With both ends and one port ``paths`` explains; ``matrix`` has what is permitted between those that are chosen;
    ``difference`` what going from ``before`` to the manifest changes there, ``staged`` what going on to its staged part
    would; ``permitted`` is whether all the paths are. What isn't asked for is None. ``lines``: those of
    places, where the manifest came as YAML.

    Raises InvalidInput for ends and ports that make no sense, and for answers that would be too long.
    """
    told = permitted(_pairs(matrix, [manifest], network, choice))
    _check_length(told)
    ways = _ways(manifest, network, choice)
    compared = None if before is None else change(_pairs(difference, [before, manifest], network, choice))
    staged = None
    if manifest.staged is not None:
        staged = change(_pairs(difference, [manifest, manifest.staged], network, choice))
    for each in (compared, staged):
        if each is not None:
            _check_length(each.gains)
            _check_length(each.loses)
    also = {} if ways is None else {way: _also(manifest, network, choice, way) for way in ways}
    return {
        "permitted": None if ways is None else bool(ways) and all(way.verdict == ALLOW for way in ways),
        "paths": None if ways is None else [_document(way, also[way], lines) for way in ways],
        "matrix": told.entries,
        "difference": _changed(compared),
        "staged": _changed(staged),
        "text": [
            *(line for way in ways or () for line in _lines(way, choice, also[way], lines)),
            *(told.lines() or ["nothing is permitted"] if ways is None else ()),
            *_section("with this manifest:", compared),
            *_section("if what is staged were enforced:", staged),
        ],
    }


def asked(source: str | None, target: str | None, port: str | None) -> Choice:
    """The choice as options say it."""
    parsed = None if port is None else parse_port(port, "port")
    if parsed is not None and (parsed.protocol == "any" or parsed.first != parsed.last):
        raise InvalidInput("must be one port, icmp or icmpv6", where="port")
    return Choice(source, target, parsed)


def _pairs(
    ask: Callable[..., Iterator[Pair]], manifests: list[Manifest], network: Network, choice: Choice
) -> Iterator[Pair]:
    source = chosen(choice.source, manifests, network, "from")
    target = chosen(choice.target, manifests, network, "to")
    return narrowed(ask(*manifests, network, source=source, target=target), _flow(choice.port))


def _flow(port: Port | None) -> Port | None:
    """What is asked about: of icmp, echo requests, if no type is named."""
    if port is not None and port.protocol in ("icmp", "icmpv6") and port.first is None:
        return parse_port(f"{port.protocol}/echo-request", "port")
    return port


def _ways(manifest: Manifest, network: Network, choice: Choice) -> tuple[Way, ...] | None:
    if choice.source is None or choice.target is None or choice.port is None:
        return None
    return explain(manifest, network, choice.source, choice.target, choice.port)


def _check_length(told: Told) -> None:
    if told.more:
        raise InvalidInput(
            f"is {len(told.entries) + told.more} entries long, at most {MOST_ENTRIES} are given",
            where="matrix",
            remedy="Ask about fewer members at a time, with from, to and port",
        )


def _also(manifest: Manifest, network: Network, choice: Choice, way: Way) -> Told:
    """What the remedies would permit beyond what is asked for."""
    told = Told()
    if not way.remedies:
        return told
    source = chosen(choice.source, [manifest], network, "from")
    target = chosen(choice.target, [manifest], network, "to")
    wanted = Choice(None, None, _flow(choice.port))
    for pair in difference(manifest, applied(manifest, way.remedies), network):
        grants = pair.gained
        if source(pair.source) and target(pair.target):
            inside = [each.gained for each in narrowed(iter([pair]), wanted.port)]
            if inside and inside[0] == grants:
                continue
        told.add(pair, grants)
    return told


def _changed(told: Change | None) -> dict[str, Any] | None:
    return None if told is None else {"gains": told.gains.entries, "loses": told.loses.entries}


def _document(way: Way, also: Told, lines: Lines) -> dict[str, Any]:
    found = way.remedies
    return {
        "from": way.source,
        "to": way.target,
        "family": _FAMILIES[way.versions],
        "verdict": way.verdict,
        "egress": [_reason(reason, lines) for reason in way.egress],
        "ingress": [_reason(reason, lines) for reason in way.ingress],
        "add": [{"where": each.where, "rule": document_of(each.rule)} for each in found.add],
        "remove": [
            {"where": each.where, "line": lines.get(each.where), "rule": document_of(each.rule)}
            for each in found.remove
        ],
        "route": list(found.route),
        "also": also.entries,
    }


def _removal(removal: Removal, lines: Lines) -> dict[str, Any]:
    return {"where": removal.where, "line": lines.get(removal.where), "rule": document_of(removal.rule)}


def _reason(reason: Reason, lines: Lines) -> dict[str, Any]:
    return {
        "permitted": reason.permitted,
        "place": reason.place,
        "line": None if reason.place is None else lines.get(reason.place),
        "why": reason.why,
        "addresses": list(reason.addresses),
    }


def _lines(way: Way, choice: Choice, also: Told, lines: Lines) -> Iterator[str]:
    family = "" if len(way.versions) == 2 else f" over IPv{way.versions[0]}"
    verdict = {ALLOW: "permitted", DEPENDS: "depends on their addresses"}.get(way.verdict, "not permitted")
    port = "" if choice.port is None else written((port_span(choice.port),))[0]
    yield f"{way.source} -> {way.target} {port}{family}: {verdict}"
    for end, verb, reasons in ((way.source, "send", way.egress), (way.target, "receive", way.ingress)):
        for reason in reasons:
            said = "may" if reason.permitted else "may not"
            where = f" ({', '.join(reason.addresses)})" if reason.addresses else ""
            yield f"  {end} {said} {verb}{where}: {_place(reason.place, lines) or reason.why}"
    yield from _remedies(way.remedies, also, lines)


def _place(place: str | None, lines: Lines) -> str:
    if place is None:
        return ""
    line = lines.get(place)
    return place if line is None else f"{place} (line {line})"


def _remedies(found: Remedies, also: Told, lines: Lines) -> Iterator[str]:
    for removal in found.remove:
        yield f"  to permit it, remove or narrow {_place(removal.where, lines)}: {_rule(document_of(removal.rule))}"
    for addition in found.add:
        yield f"  to permit it, add to {addition.where}: {_rule(document_of(addition.rule))}"
    for range_ in found.route:
        yield f"  to permit it, add to routes: {{range: {range_}, via: the member that carries it}}"
    for line in shortened(also.lines(" gains"), _MOST_LINES):
        yield f"  that would also permit more: {line}"


def _rule(document: object) -> str:
    """As YAML on one line."""
    if isinstance(document, dict):
        return "{" + ", ".join(f"{key}: {_rule(value)}" for key, value in document.items()) + "}"
    if isinstance(document, list):
        return "[" + ", ".join(map(_rule, document)) + "]"
    return str(document)


def _section(title: str, told: Change | None) -> Iterable[str]:
    if told is None:
        return []
    return [title, *(f"  {line}" for line in told.lines() or ["nothing changes"])]

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether voters came and went one at a time, each for a reason that the chain gave by then.

Told from what was done to the chain: when a change began at the earliest and was over at the latest. What isn't
known for sure in between counts in favour of the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .authors import Published, first_seen
from .events import FOREVER, Recording
from .replaying import Chain

MOST = 5


def unfounded(recording: Recording, chain: Chain) -> Iterator[str]:
    """Changes of voters for no reason."""
    published, leases, seen = Published(recording), _Leases(recording), first_seen(recording)
    begun = {one.ballot.hash: one.sent for one in reversed(recording.statements) if one.kind == "acceptance"}
    seated = {_key(voter): 0.0 for voter in chain.founders}
    before = chain.founders
    for version, after in zip(chain.versions, chain.voters, strict=True):
        if after == before:
            continue
        by, where = seen.get(version.hash, FOREVER), f"version {version.number}"
        old, new = {_key(voter): voter for voter in before}, {_key(voter): voter for voter in after}
        came, gone = new.keys() - old.keys(), old.keys() - new.keys()
        if len(came) > 1 or len(gone) > 1 or not 1 <= len(after) <= MOST:
            yield f"{where}: {len(came)} voters come and {len(gone)} go; there are {len(after)} then"
        if len({voter["node"].partition("/")[0] for voter in after}) < len(after):
            yield f"{where}: two voters are of one provider"
        for key in came:
            node, incarnation, signing = key
            if not published.names(node, by, key=signing, incarnation=incarnation):
                yield f"{where}: {node} comes with a database or key that the chain had not named"
            if not leases.may_have(node, by):
                yield f"{where}: {node} comes without a lease"
            seated[key] = begun.get(version.hash, 0.0)
        for key in gone:
            if not published.replaced(old[key], by) and not leases.may_lack(key[0], seated[key], by):
                yield f"{where}: {key[0]} goes, though it held a lease all the time, with its database and key"
        before = after


def _key(voter: Mapping[str, str]) -> tuple[str, str, str]:
    return voter["node"], voter["incarnation"], voter["key"]


class _Leases:
    """When each host surely held a lease, and when it may have held one."""

    def __init__(self, recording: Recording) -> None:
        self._sure: dict[str, list[tuple[float, float]]] = {}
        self._maybe: dict[str, list[tuple[float, float]]] = {}
        open_: dict[str, tuple[str, float, float]] = {
            member: (node, 0.0, 0.0) for member, node in recording.start.get("leases", {}).items()
        }
        for event in recording.chain:
            if event["kind"] == "lease":
                open_[event["member"]] = event["node"], event["since"], event["at"]
            elif event["kind"] == "close" and event["member"] in open_:
                node, since, at = open_.pop(event["member"])
                self._sure.setdefault(node, []).append((at, event["since"]))
                self._maybe.setdefault(node, []).append((since, event["at"]))
        for node, since, at in open_.values():
            self._sure.setdefault(node, []).append((at, FOREVER))
            self._maybe.setdefault(node, []).append((since, FOREVER))

    def may_have(self, node: str, by: float) -> bool:
        """Whether a lease may have begun by a time."""
        return any(since <= by for since, _until in self._maybe.get(node, ()))

    def may_lack(self, node: str, since: float, by: float) -> bool:
        """Whether there may have been a moment without a lease in between."""
        covered = since
        for begin, end in sorted(self._sure.get(node, ())):
            if begin > covered:
                break
            covered = max(covered, end)
        return covered < by

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever finds somebody else in the way waits at a voter, and leaves what it wants there meanwhile.

An entry counts by who signed it, not by who brings it, so one of those who wait proposes for all: the first in the
line is told its turn, with what the others left. It's all convenience: a voter that forgets the line, or lies about
it, costs time, and nothing here touches what was promised or accepted.

One small file for each place in the line, for each session from a peer is a process of its own. A place is only kept
while somebody stands there; one whose process was killed ends by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .._common import canonical
from .._common.errors import AvpnError, InvalidInput, NotPermitted
from .._common.ids import NodeId
from . import answers
from .change import Change, change_json
from .errors import RuleBroken
from .requests import MAX_WAIT, Update, Wait
from .sharing import can_be_brought
from .signing import verify_batch
from .store import NetworkState, Store

MAX_DRAFT = 32 << 10  # bytes
_OF_PROVIDER, _OF_NETWORK = 8, 64  # places at a time
_GRACE = 250  # milliseconds for whoever was told its turn to be promised something
_MIDDLE = 100  # milliseconds for whoever has a promise without a hold, or beyond it
_NEW, _NEW_SECONDS = "new-", 60.0  # a place before it has its name; how long that may take at most
_TICK, _LOOK = 0.008, 0.05  # seconds: how often the database is looked at for a commit, and the line without one


@dataclass(frozen=True)
class _Name:
    """A place as its file's name: times are boot-time milliseconds."""

    network: str
    since: int
    until: int
    who: str  # hashes of the caller's provider and of the session
    told: str = ""  # the certified version upon which its turn is; the place is kept until the next one, or ``until``

    def __str__(self) -> str:
        return f"{self.network}.{self.since}.{self.until}.{self.who}.{self.told}"

    @classmethod
    def parse(cls, name: str) -> _Name | None:
        parts = name.split(".")
        if len(parts) != 5 or not (parts[1].isdigit() and parts[2].isdigit()):
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]), parts[3], parts[4])


class Place:
    """One waiting proposer's; ``name`` None: there was no room, and it never is the first."""

    def __init__(self, line: Line, name: _Name | None) -> None:
        self._line = line
        self._name = name

    def is_first(self, version: int) -> bool:
        """Whether nobody has waited longer, and nobody has been told that it is its turn upon this version."""
        return self._name is not None and next(iter(self._line.names(self._name.network, version)), None) == self._name

    def take_turn(self, version: int) -> tuple[dict[str, Any], ...]:
        """What the others left, in their order. The place is kept for a moment, so that nobody else is told as well."""
        if self._name is None:
            return ()
        others = [name for name in self._line.names(self._name.network, version) if name != self._name]
        now = _now()
        self._name = self._line.rename(self._name, replace(self._name, until=now + _GRACE, told=str(version)))
        return tuple(draft for name in others if not name.told and (draft := self._line.read(name)) is not None)

    def leave(self) -> None:
        if self._name is not None and not self._name.told:
            self._line.remove(self._name)


class Line:
    """The lines of all networks of a host, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @contextmanager
    def place(self, network: str, caller: NodeId, draft: Change | None, seconds: float) -> Iterator[Place]:
        """A place for so long, if there is room for the caller's provider and in the network's line."""
        place = Place(self, self._enter(network, caller, draft, seconds))
        try:
            yield place
        finally:
            place.leave()

    def names(self, network: str, version: int | None = None) -> list[_Name]:
        """Who stands in a network's line, the first first. Whoever has gone without a word is taken out.

        Who has been told that it is its turn counts as long as ``version`` is the newest.
        """
        try:
            found = os.listdir(self._directory)
        except FileNotFoundError:
            return []
        now, standing = _now(), []
        for text in found:
            name = _Name.parse(text)
            if name is None or name.network != network:
                continue
            # What ends later than anything could was left before the machine was started anew.
            gone = not now <= name.until <= now + MAX_WAIT + 1_000
            if gone or (name.told and version is not None and name.told != str(version)):
                self.remove(name)
            else:
                standing.append(name)
        return sorted(standing, key=lambda one: (one.since, one.who))

    def sweep(self) -> None:
        """Remove what is left of those who have gone, in all networks' lines: nobody may ever look at theirs again."""
        with contextlib.suppress(FileNotFoundError):
            found = os.listdir(self._directory)
            for network in {name.network for text in found if (name := _Name.parse(text)) is not None}:
                self.names(network)
            for text in found:
                if text.startswith(_NEW) and self._is_left(text):
                    with contextlib.suppress(OSError):
                        os.unlink(self._directory / text)

    def _is_left(self, text: str) -> bool:
        """Whether a file that should have got its name at once is of a process that was killed."""
        try:
            return abs(time.time() - os.stat(self._directory / text).st_mtime) > _NEW_SECONDS
        except OSError:
            return False

    def read(self, name: _Name) -> dict[str, Any] | None:
        """What was left at a place; None if that is nothing, or it has been left meanwhile."""
        try:
            data = (self._directory / str(name)).read_bytes()
            draft = canonical.loads(data, where="draft", limit=MAX_DRAFT) if data else None
        except (OSError, AvpnError):
            return None
        return draft if isinstance(draft, dict) else None

    def rename(self, before: _Name, after: _Name) -> _Name:
        with contextlib.suppress(OSError):
            os.rename(self._directory / str(before), self._directory / str(after))
        return after

    def remove(self, name: _Name) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self._directory / str(name))

    def _enter(self, network: str, caller: NodeId, draft: Change | None, seconds: float) -> _Name | None:
        data = b"" if draft is None else canonical.dumps(change_json(draft))
        provider = hashlib.sha256(caller.provider.encode()).hexdigest()[:32]
        standing = self.names(network)
        own = sum(name.who.startswith(provider) for name in standing)
        if len(data) > MAX_DRAFT or own >= _OF_PROVIDER or len(standing) >= _OF_NETWORK:
            return None
        now = _now()
        name = _Name(network, now, now + int(seconds * 1000), f"{provider}-{secrets.token_hex(8)}")
        temporary = self._directory / f"{_NEW}{name.who}"
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            # Not synchronised: whoever left it makes it again.
            temporary.write_bytes(data)
            os.rename(temporary, self._directory / str(name))
        except OSError:
            return None  # such as a full disk: one waits without a place then
        return name


def wait(store: Store, line: Line, request: Wait, caller: NodeId, state: NetworkState) -> answers.Answer:
    """Answer once there is something to do for who asks: its turn, or a newer version that has its entries.

    Or one that what it left doesn't fit any more; or after the time it named, by when whoever was in the way may have
    died. Until then the voter's process does nothing but look at its database.
    """
    if request.draft is not None:
        _check(request.draft, request.network, caller)
    if request.have is not None and (state.have is None or state.have < request.have):
        return answers.Lacking(state.have)
    seconds = request.milliseconds / 1000
    end, looked, mark = time.monotonic() + seconds, 0.0, -1
    update: Update | None = None
    with line.place(request.network, caller, request.draft, seconds) as place:
        while True:
            now, newest = time.monotonic(), store.mark()
            if newest != mark or now >= min(looked + _LOOK, end):
                found = store.network(request.network)
                if found is None or found.gone:
                    return answers.Left(store.links(state, None, state.version + 1))
                if found.generation != state.generation:
                    raise RuleBroken("generation", f"it is {found.generation} by now")
                if found.have != request.have and (update is None or found.hash != state.hash):
                    update = store.update(found, request.have)
                    if request.draft is None or not _still_fits(update, request.draft):
                        return answers.Waited(update)
                looked, mark, state = now, newest, found
                # A promise without a hold, whose time its end is, stands for somebody in the middle as well.
                in_the_way = store.pending(state).hold_until + _MIDDLE > store.milliseconds()
                if now >= end or (not in_the_way and place.is_first(state.version)):
                    return answers.Waited(update, place.take_turn(state.version), turn=True)
            time.sleep(min(_TICK, max(0.0, end - now)))


def _check(draft: Change, network: str, caller: NodeId) -> None:
    """Nobody leaves what is another's, or what nobody could bring along: the others' work on it would be in vain."""
    if not can_be_brought(draft):
        raise InvalidInput("holds more than one author's hosts and slots", where="draft")
    for name, batch in draft.batches.items():
        if batch.author != caller:
            raise NotPermitted("is not the caller's", where=f"draft.batches.{name}")
        if not verify_batch(network, batch):
            raise InvalidInput("has a wrong signature", where=f"draft.batches.{name}")


def _still_fits(update: Update, draft: Change) -> bool:
    """Whether a draft that isn't part of any of these changes may follow them; what can't be told is no."""
    if update.value is not None:
        return False
    keys = {("slots", str(endpoint)) for endpoint in draft.slots} | {("hosts", str(node)) for node in draft.hosts}
    addresses = {str(slot.address) for slot in draft.slots.values()}
    addresses |= {str(host.address) for host in draft.hosts.values() if host is not None}
    authors = {str(batch.author) for batch in draft.batches.values()}
    for change in update.changes:
        if "record" in change or any(name.rpartition("/")[0] in authors for name in change.get("batches", ())):
            return False
        for section in ("slots", "hosts"):
            for key, entry in change.get(section, {}).items():
                if (section, key) in keys or (entry is not None and entry["address"] in addresses):
                    return False
    return True


def _now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

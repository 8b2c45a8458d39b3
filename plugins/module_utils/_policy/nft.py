# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The edge to the kernel: loading a table into a network namespace, and seeing whether it is still there.

What was applied is kept in a state file: the ruleset, and the kernel's generation right after it was loaded. If that
is still the generation, nobody has changed anything, the kernel holds that ruleset, and only differences are sent. If
not (somebody flushed it, a run was interrupted, the machine restarted), the whole table is loaded anew. Where the
kernel tells no generation, or somebody else's transaction came between, a digest of the table's listing does it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .._common.errors import AvpnError, Unsupported
from .compile import closed_ruleset
from .generation import Generation, generation
from .ruleset import FAMILY_TABLE, Count, Ruleset, Scripts, difference, load, moved, readable

_SECONDS = 30.0
_MOST_TRIES = 100
_FORMAT = 2
_ENDS = re.compile(r"\bsrc=(\S+) dst=(\S+)")  # of the flow's first direction, which is listed first


@dataclass(frozen=True)
class Change:
    """What applying would do. ``before``: the ruleset that is in the kernel; None: another, or none, is."""

    before: Ruleset | None
    after: Ruleset
    scripts: Scripts
    moved: tuple[str, ...]  # addresses whose connections are forgotten
    difference_refused: str = ""  # why nft didn't take the difference, so that the whole was loaded
    found: Generation | None = None  # what the kernel held when this was planned

    def __bool__(self) -> bool:
        return bool(self.scripts)

    def as_diff(self, name: str) -> dict[str, str]:
        """Before and after in Ansible's form; ``name`` heads both."""
        return {
            "before_header": name,
            "after_header": name,
            "before": readable(self.before) if self.before is not None else "",
            "after": readable(self.after),
        }


def plan_ruleset(namespace: str, desired: Ruleset, state: Path) -> Change:
    """What has to change in the kernel. ``namespace``: name of a network namespace; one that isn't there yet needs
    everything. ``state``: file that remembers what was applied."""
    found = generation(_path(namespace))
    remembered = _remembered(state)
    if remembered is None:
        return Change(None, desired, load(desired), (), found=found)
    addresses = moved(remembered.ruleset, desired)
    if remembered.holds(namespace, found):
        changes = difference(remembered.ruleset, desired)
        return Change(remembered.ruleset, desired, changes, addresses, found=found)
    return Change(None, desired, load(desired), addresses, found=found)


def apply_ruleset(namespace: str, desired: Ruleset, state: Path) -> Change:
    """Make the kernel hold ``desired``; returns what that took, which is false if nothing.

    Raises Unsupported if the kernel or nft refuses the ruleset: then the old one stays.
    """
    state.parent.mkdir(parents=True, exist_ok=True)
    with _lock(state):
        change = plan_ruleset(namespace, desired, state)
        if change.scripts.whole:
            change = replace(change, scripts=load(desired, _counted(namespace)))
        try:
            _load(namespace, change.scripts)
        except Unsupported as error:
            if change.scripts.whole:
                raise
            # Rules that must hold matter more than what is lost by loading them all: some counted packets.
            change = replace(change, scripts=load(desired, _counted(namespace)), difference_refused=str(error))
            _load(namespace, change.scripts)
        for address in talking(namespace, change.moved):
            forget_flows(namespace, address)
        if change or change.moved or change.before != desired:
            _remember(state, desired, *_held(namespace, change))
    return change


def _held(namespace: str, change: Change) -> tuple[Generation | None, str | None]:
    """What the kernel holds after a change: its generation if that is the change's doing alone, else a digest."""
    now = generation(_path(namespace))
    own = sum(bool(script) for script in (change.scripts.rules, change.scripts.switch))
    if now is not None and change.found is not None and now == change.found.after(own):
        return now, None
    return None, _listing(namespace, change.after)


def _load(namespace: str, scripts: Scripts) -> None:
    if scripts.whole:
        _nft(namespace, "-c", "-f", "-", text=scripts.rules)
    for script in (scripts.rules, scripts.switch):
        if script:
            _nft(namespace, "-f", "-", text=script)


def loaded(state: Path) -> Ruleset | None:
    """What was applied last, by its state file; None: nothing since the boot. The kernel may hold something else."""
    remembered = _remembered(state)
    return remembered.ruleset if remembered is not None else None


def reload(namespace: str, ruleset: Ruleset) -> None:
    """Load a table whatever else goes on, without remembering it: the next apply loads what it wants anew."""
    _load(namespace, load(ruleset, _counted(namespace)))


def close(namespace: str) -> None:
    """Let nothing in and nothing pass until a ruleset is loaded; leaves a table that is there as it is."""
    script = load(closed_ruleset()).rules.splitlines()
    kept = [line for line in script if not line.startswith("delete ")]
    _nft(namespace, "-f", "-", text="\n".join(kept) + "\n")


def remove(namespace: str, state: Path) -> None:
    """Forget what was applied; the table itself goes with its namespace, or here if that stays."""
    if os.path.exists(_path(namespace)):
        _nft(namespace, "-f", "-", text=f"table {FAMILY_TABLE}\ndelete table {FAMILY_TABLE}\n")
    state.unlink(missing_ok=True)
    _lock_path(state).unlink(missing_ok=True)


def counters(namespace: str) -> dict[str, int]:
    """Packets refused so far, by counter (``refusals`` puts them into words). They go on when the table changes, also
    as a whole, but for what is refused between reading and loading it; a counter whose member has no endpoint any
    more goes, and all begin at 0 with a new namespace."""
    return {name: packets for name, (packets, _octets) in _counts(namespace).items()}


def _counts(namespace: str) -> dict[str, Count]:
    listed = json.loads(_nft(namespace, "-j", "list", "counters", "table", *FAMILY_TABLE.split()))["nftables"]
    found = [item["counter"] for item in listed if "counter" in item]
    return {item["name"]: (item["packets"], item["bytes"]) for item in found}


def _counted(namespace: str) -> dict[str, Count]:
    """What the counters of a table that is about to be replaced stand at; nothing if there is no table."""
    try:
        return _counts(namespace)
    except Unsupported:
        return {}


def talking(namespace: str, addresses: Iterable[str]) -> tuple[str, ...]:
    """Those of the addresses, in their usual form, that began or received a connection that is tracked now. One look
    for all: most addresses that move have none, and asking for each takes a process each."""
    wanted = set(addresses)
    found: set[str] = set()
    for family, mark in (("ipv4", "."), ("ipv6", ":")):
        if not any(mark in address for address in wanted):
            continue
        done = _run(namespace, ["conntrack", "-L", "-f", family])
        if done.returncode != 0:
            raise AvpnError(f"conntrack failed: {_last_line(done.stderr)}", where=f"namespace {namespace}")
        for line in done.stdout.splitlines():
            if ends := _ENDS.search(line):
                found |= wanted & set(ends.groups())
    return tuple(sorted(found))


def forget_flows(namespace: str, address: str) -> None:
    """Delete the connections that an address began or received."""
    family = "ipv6" if ":" in address else "ipv4"
    for end in ("--orig-src", "--orig-dst"):
        done = _run(namespace, ["conntrack", "-D", "-f", family, end, address])
        for _unused in range(_MOST_TRIES):
            # conntrack lists and then deletes; it gives up at a connection that has ended by itself in between.
            if done.returncode != 1 or "such conntrack doesn't exist" not in done.stderr:
                break
            done = _run(namespace, ["conntrack", "-D", "-f", family, end, address])
        # 1 with this message is how conntrack says that there were none.
        if done.returncode not in (0, 1) or (done.returncode == 1 and "0 flow entries" not in done.stderr):
            raise AvpnError(f"conntrack failed: {_last_line(done.stderr)}", where=f"namespace {namespace}")


def _listing(namespace: str, ruleset: Ruleset) -> str | None:
    """A digest of the kernel's table, without what packets change; None: there is no table. ``ruleset``: what it
    should hold; it says which sets packets fill, which nft 1.0.6 doesn't list."""
    if not os.path.exists(_path(namespace)):
        return None
    done = _run(namespace, ["nft", "-s", "-j", "list", "table", *FAMILY_TABLE.split()])
    if done.returncode != 0:
        return None
    filled = {name for name, each in ruleset.sets.items() if "dynamic" in each.declaration}
    digest = hashlib.sha256()
    for item in json.loads(done.stdout)["nftables"]:
        for kind, body in item.items():
            if kind == "metainfo":
                continue
            for volatile in ("packets", "bytes") if kind == "counter" else ():
                body.pop(volatile, None)
            elements = body.pop("elem", [])
            if kind == "set" and body["name"] in filled:
                elements = []
            digest.update(json.dumps([kind, body], sort_keys=True).encode())
            # The kernel's hashes may be listed in another order after they have grown.
            for element in sorted(map(repr, elements)):
                digest.update(element.encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Remembered:
    """What the state file says: a ruleset, and by what to see that the kernel holds it."""

    ruleset: Ruleset
    generation: str | None
    listing: str | None

    def holds(self, namespace: str, found: Generation | None) -> bool:
        if self.generation is not None:
            return found is not None and str(found) == self.generation
        return self.listing is not None and self.listing == _listing(namespace, self.ruleset)


def _remembered(state: Path) -> _Remembered | None:
    try:
        document = json.loads(state.read_bytes())
        if document["format"] != _FORMAT:
            return None
        return _Remembered(Ruleset.from_json(document["ruleset"]), document["generation"], document["listing"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None  # not ours, or half of it: as if it weren't there


def _remember(state: Path, ruleset: Ruleset, held: Generation | None, listing: str | None) -> None:
    document = {
        "format": _FORMAT,
        "ruleset": ruleset.to_json(),
        "generation": None if held is None else str(held),
        "listing": listing,
    }
    handle, name = tempfile.mkstemp(dir=state.parent, prefix=f".{state.name}-")
    try:
        with os.fdopen(handle, "w") as file:
            os.fchmod(file.fileno(), 0o644)
            json.dump(document, file, separators=(",", ":"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, state)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _lock_path(state: Path) -> Path:
    return state.with_name(f".{state.name}.lock")


@contextlib.contextmanager
def _lock(state: Path) -> Iterator[None]:
    with _lock_path(state).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _path(namespace: str) -> str:
    return f"/run/netns/{namespace}"


def _nft(namespace: str, *arguments: str, text: str | None = None) -> str:
    done = _run(namespace, ["nft", *arguments], text)
    if done.returncode != 0:
        raise Unsupported(f"nft refuses: {_last_line(done.stderr, first=True)}", where=f"namespace {namespace}")
    return done.stdout


def _run(namespace: str, command: list[str], text: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["nsenter", f"--net={_path(namespace)}", "--", *command],
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise Unsupported("nsenter is missing", remedy="Install util-linux") from error
    except subprocess.TimeoutExpired as error:
        raise AvpnError(f"{command[0]} took longer than {_SECONDS:.0f} s", where=f"namespace {namespace}") from error


def _last_line(text: str, *, first: bool = False) -> str:
    lines = [line for line in text.splitlines() if line.strip()] or ["no reason given"]
    return lines[0 if first else -1][:300]

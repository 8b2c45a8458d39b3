# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One campaign from its schedule to its recording. Everything that was broken is mended, however it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from .book import Book
from .clients import Crew, holdings
from .injector import Injector
from .outage import Away, lost_majority
from .progress import Progress
from .schedule import Client, Schedule
from .site import Site

TELL_EVERY = 15.0  # seconds
SETTLE_SECONDS = 90.0


@dataclass
class Told:
    """What a run knows beside its recording."""

    seconds: float = 0.0
    without_majority: float = 0.0
    faults: dict[str, tuple[int, float]] = field(default_factory=dict)  # kind -> how many, seconds together
    errors: list[str] = field(default_factory=list)


def run(site: Site, schedule: Schedule, workers: int, path: Path, say: Callable[[str], object]) -> Told:
    """Run a campaign on a site that is up and has a network; the recording is ``path``."""
    book, progress = Book(path), Progress()
    crew = Crew(site, schedule, workers, book, progress)
    injector = Injector(site, schedule, crew, book, progress, say)
    told = Told()
    began = time.monotonic()
    book.write(
        "start",
        seed=schedule.seed,
        network=site.network,
        generation=0,
        base=None,
        voters=site.founders,
        leases={member: site.node(host) for member, host in schedule.members.items()},
        time=int(time.time()),
        at=began,
    )
    away = Away(schedule.hosts)
    acting = threading.Thread(target=_act, args=(site, schedule, book, progress, told, away), name="chain", daemon=True)
    telling = threading.Thread(target=_tell, args=(schedule, book, progress, injector, say), name="tell", daemon=True)
    try:
        _begin(crew, schedule)
        for thread in (acting, injector, telling):
            thread.start()
        crew.start()
        crew.finish()
        injector.join()
        told.seconds = time.monotonic() - began
        say(f"all operations are through after {told.seconds:.0f} s; everything is mended, and the ledger settles")
        told.errors += injector.mend()
        _settle(site, schedule, crew, book, told)
        book.write("end")
    finally:
        progress.stop()
        told.errors += [*injector.errors, *injector.mend()]
        injector.close()
        crew.close()
        book.close()
    end = began + told.seconds
    found = [*injector.broken, *away.periods(end)]
    broken = [replace(one, end=min(one.end, end)) for one in found if one.begin < end]
    told.without_majority = lost_majority(broken, schedule.hosts)
    told.faults = {kind: (count, injector.seconds[kind]) for kind, count in sorted(injector.done.items())}
    return told


def _begin(crew: Crew, schedule: Schedule) -> None:
    """The ledger's first versions, by one client alone: where there is none yet, there is nothing to read."""
    for attempt in range(3):
        if crew.one_more(Client(attempt % schedule.hosts, 0), "rekey") == "ok":
            return


def _act(site: Site, schedule: Schedule, book: Book, progress: Progress, told: Told, away: Away) -> None:
    """What happens on chain, in its order. The first lease of each member is there already."""
    for act in schedule.acts:
        progress.wait_for(act.needs)
        if progress.stopped:
            return
        since = time.monotonic()
        try:
            height = site.chain.height() if act.number < len(schedule.members) else site.act(act.kind, act.member)
        except Exception as error:  # noqa: BLE001 - a campaign whose chain stands still would wait for ever
            told.errors.append(f"act {act.number} ({act.kind} {act.member}): {type(error).__name__}: {error}"[:300])
            progress.stop()
            return
        if act.number >= len(schedule.members):
            _write(book, site, act.kind, act.member, height, since)
            away.note(site.holders(), time.monotonic())
        progress.acted(act.number, height)


def _write(book: Book, site: Site, kind: str, member: str, height: int, since: float) -> None:
    node = site.node(site.host_of(member))
    book.write("chain", kind=kind, member=member, node=node, height=height, since=since, at=time.monotonic())


def _settle(site: Site, schedule: Schedule, crew: Crew, book: Book, told: Told) -> None:
    """Nothing is broken any more: whatever is half done is finished, everybody votes, and everybody learns of it."""
    deadline = time.monotonic() + SETTLE_SECONDS
    for member in site.closed:
        since = time.monotonic()
        _write(book, site, "lease", member, site.act("lease", member), since)
    height, turn = site.chain.height(), 0
    while crew.one_more(Client(turn % schedule.hosts, 0), "voters", height) != "ok" and time.monotonic() < deadline:
        turn += 1
    held: dict[str, dict[str, object]] = {}
    host = 0
    while time.monotonic() < deadline:
        crew.one_more(Client(host, 0), "confirm")
        crew.one_more(Client(host, 0), "rekey")
        held = holdings(site, host, 30.0)
        places = {_hash(one) for one in held.values()}
        if len(held) == schedule.hosts and len(places) == 1 and "nothing" not in places:
            break
        host = (host + 1) % schedule.hosts
        time.sleep(1.0)
    for node, one in held.items():
        if "certificate" in one:
            book.write("final", host=node, certificate=one["certificate"], value=one["value"])
    silent = [
        node for node in (site.node(host) for host in range(schedule.hosts)) if "certificate" not in held.get(node, {})
    ]
    told.errors += [f"{node} didn't say what it holds in the end: {held.get(node, {}).get('error')}" for node in silent]


def _hash(held: dict[str, object]) -> str:
    certificate = held.get("certificate")
    return str(certificate["ballot"]["hash"]) if isinstance(certificate, dict) else "nothing"


def _tell(schedule: Schedule, book: Book, progress: Progress, injector: Injector, say: Callable[[str], object]) -> None:
    total = len(schedule.operations)
    while not progress.stopped and progress.through < total:
        progress.pause(TELL_EVERY)
        book.flush()
        outcomes = progress.outcomes
        broken = "; ".join(list(injector.now.values())) or "nothing"
        say(
            f"{progress.through}/{total} operations ({outcomes['ok']} answered, {outcomes['failed']} failed,"
            f" {outcomes['unknown']} unknown), version {book.version},"
            f" {sum(injector.done.values())}/{len(schedule.faults)} faults; broken now: {broken}"
        )

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Breaks what the schedule says, when it says so, and mends all of it again."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from lab.docker import docker, try_docker
from lab.errors import LabError

from . import links
from .book import Book
from .clients import Crew
from .outage import Broken
from .process import Remote
from .progress import Progress
from .schedule import REPLACING, Client, Fault, Schedule
from .site import Site

AT_ONCE = 3  # faults
MAX_AGE = 900  # seconds: how old a view a voter votes on (the role's default)
BUSY_SECONDS = 1.5  # that a voter is watched for a half-done version before it is killed
_BOOT_SECONDS = 90.0
_CLIENT_SECONDS = 30.0
_REPLACE_SECONDS = 240.0
_WHOLE_HOST = ("host-kill", "host-pause", "peers-pause", "peers-kill", "client-kill", "slow-link", "clock", "disk-full")


def publish(site: Site, book: Book, host: int) -> dict[str, Any]:
    """The team publishes its host as it is, which is written down."""
    since = time.monotonic()
    made = site.publish(host)
    book.write("chain", kind="publish", node=site.node(host), since=since, at=time.monotonic(), **made)
    return made


class Injector(threading.Thread):
    """One thread that follows the schedule, and one for each fault while it lasts."""

    def __init__(
        self, site: Site, schedule: Schedule, crew: Crew, book: Book, progress: Progress, say: Callable[[str], object]
    ) -> None:
        super().__init__(name="faults", daemon=True)
        self.broken: list[Broken] = []
        self.done: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.errors: list[str] = []
        self.now: dict[int, str] = {}  # what is broken, in words
        self._site, self._schedule, self._crew, self._book, self._progress = site, schedule, crew, book, progress
        self._say = say
        self._links = links.Links(site)
        self._room = threading.BoundedSemaphore(AT_ONCE)
        self._hosts = [threading.Lock() for _unused in range(schedule.hosts)]
        self._saboteurs: dict[int, Remote] = {}
        self._replacing = threading.Lock()

    def run(self) -> None:
        threads = []
        for count, fault in enumerate(self._schedule.faults, 1):
            self._progress.wait_until(fault.at)
            self._room.acquire()
            self._progress.begun(count)
            if self._progress.stopped:
                self._room.release()
                break
            thread = threading.Thread(target=self._befall, args=(fault,), name=f"fault {fault.number}", daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()

    def _befall(self, fault: Fault) -> None:
        """One fault from its beginning to its end; what can't be broken is said, and isn't counted."""
        whole = fault.kind in _WHOLE_HOST or fault.kind in REPLACING
        lock: Any = self._hosts[fault.hosts[0]] if whole else contextlib.nullcontext()
        try:
            with lock:
                words = self._words(fault)
                self.now[fault.number] = words
                self._say(f"fault {fault.number + 1}: {words}")
                began = time.monotonic()
                result = self._break(fault)
                until = time.monotonic()
                self._note(fault, began, until, result)
        except (LabError, EOFError, OSError, ValueError) as error:
            self.errors.append(f"fault {fault.number + 1} ({fault.kind}): {type(error).__name__}: {error}"[:300])
        finally:
            self.now.pop(fault.number, None)
            self._room.release()

    def _note(self, fault: Fault, began: float, until: float, result: dict[str, Any]) -> None:
        if "error" in result:
            self.errors.append(f"fault {fault.number + 1} ({fault.kind}): {result['error']}")
            return
        self.done[fault.kind] += 1
        self.seconds[fault.kind] += until - began
        names = [self._site.names[host] for host in fault.hosts]
        self._book.write(
            "fault",
            number=fault.number,
            kind=fault.kind,
            hosts=names,
            amount=fault.amount,
            at=began,
            until=until,
            result=result,
        )
        down = fault.kind in ("host-kill", "host-pause", "peers-pause", "disk-full", *REPLACING)
        if down or (fault.kind == "clock" and fault.amount >= MAX_AGE):
            self.broken.append(Broken(began, until, hosts=frozenset(fault.hosts[:1])))
        elif fault.kind in ("cut", "cut-one-way"):
            self.broken.append(Broken(began, until, pairs=frozenset(self._pairs(fault))))

    def _words(self, fault: Fault) -> str:
        name = self._site.names[fault.hosts[0]]
        others = ", ".join(self._site.names[host] for host in fault.hosts[1:])
        seconds = f"for {fault.seconds:g} s"
        arrow = "<-" if fault.number % 2 else "->"
        return {
            "host-kill": f"{name} killed {seconds}",
            "peers-kill": f"{name}: its peer processes killed in the middle of a write",
            "client-kill": f"{name}: a client killed in the middle of an operation",
            "cut": f"{name} cut off from {others} {seconds}",
            "cut-one-way": f"{name} {arrow} {others}: one direction cut {seconds}",
            "host-pause": f"{name} frozen {seconds}",
            "peers-pause": f"{name}: its peer processes stopped {seconds}",
            "slow-link": f"{name}: its link narrowed to {fault.amount} kbit/s {seconds}",
            "lossy-link": f"{name} <-> {others}: {fault.amount} % of packets lost {seconds}",
            "clock": f"{name}: its clock set {fault.amount:+d} s {seconds}",
            "disk-full": f"{name}: its disk full but for {fault.amount} bytes {seconds}",
            "voter-replaced": f"{name}: its voter's disk lost {seconds}, then another voter in its place",
            "key-changed": f"{name}: another signing key, published after {fault.seconds:g} s",
        }[fault.kind]

    def _pairs(self, fault: Fault) -> set[links.Pair]:
        one, others = fault.hosts[0], fault.hosts[1:]
        there, back = {(one, other) for other in others}, {(other, one) for other in others}
        if fault.kind == "cut-one-way":
            return back if fault.number % 2 else there
        return there | back

    def _break(self, fault: Fault) -> dict[str, Any]:
        """Break, wait, mend; returns what is worth noting."""
        host = fault.hosts[0]
        container = f"{self._site.lab.name}-{self._site.names[host]}"
        pause = self._progress.pause
        if fault.kind == "host-kill":
            docker("container", "kill", container)
            self._forget(host)
            pause(fault.seconds)
            self._boot(host)
        elif fault.kind == "host-pause":
            self._freeze(container)
            pause(fault.seconds)
            docker("container", "unpause", container)
        elif fault.kind == "peers-kill":
            return self._order(host, {"do": "kill-peers", "seconds": BUSY_SECONDS})
        elif fault.kind == "client-kill":
            return self._kill_client(host, fault.amount)
        elif fault.kind == "peers-pause":
            result = self._order(host, {"do": "pause-peers"})
            pause(fault.seconds)
            self._order(host, {"do": "resume-peers"})
            return result
        elif fault.kind in ("cut", "cut-one-way", "lossy-link"):
            if fault.kind == "lossy-link":
                self._links.lose(fault.number, self._pairs(fault), fault.amount)
            else:
                self._links.cut(fault.number, self._pairs(fault))
            pause(fault.seconds)
            self._links.heal(fault.number)
        elif fault.kind == "slow-link":
            links.slow(self._site, host, fault.amount)
            pause(fault.seconds)
            links.quicken(self._site, host)
        elif fault.kind == "clock":
            self._order(host, {"do": "clock", "offset": fault.amount})
            pause(fault.seconds)
            faked = self._order(host, {"do": "clocks"})
            self._order(host, {"do": "clock", "offset": 0})
            return faked
        elif fault.kind == "disk-full":
            result = self._order(host, {"do": "fill", "left": fault.amount})
            pause(fault.seconds)
            self._order(host, {"do": "unfill"})
            return result
        elif fault.kind in REPLACING:
            return self._replace(fault)
        return {}

    def _replace(self, fault: Fault) -> dict[str, Any]:
        """A voter loses its disk or gets another key; its team publishes that, and others have the voters changed."""
        host = fault.hosts[0]
        with self._replacing:
            self._order(host, {"do": "change-key" if fault.kind == "key-changed" else "lose-disk"})
            self._progress.pause(fault.seconds)
            made = self._order(host, {"do": "identity"})
            if "error" in made:
                return made
            published = publish(self._site, self._book, host)
            deadline = time.monotonic() + _REPLACE_SECONDS
            tries = 0
            while not self._voters_changed(host, tries, published["height"]):
                tries += 1
                if time.monotonic() > deadline or self._progress.stopped:
                    return {"error": f"the voters didn't change within {tries} tries"}
                self._progress.pause(0.5)
        return {**made, "tries": tries + 1}

    def _voters_changed(self, host: int, tries: int, height: int) -> bool:
        """Have somebody else bring the voters to what they should be; each time another host, for one may be broken."""
        others = [one for one in self._site.holders() if one != host]
        # With the chain as it is now: by an older view somebody may have to go who has come back since.
        height = max(height, self._site.chain.height())
        return self._crew.one_more(Client(others[tries % len(others)], 0), "voters", height) == "ok"

    def _kill_client(self, host: int, worker: int) -> dict[str, Any]:
        """A proposer dies in the middle of an operation, perhaps with a version half done.

        It may have died just now with its host, or be through with all it had to do: then it's another one.
        """
        deadline = time.monotonic() + _CLIENT_SECONDS
        while time.monotonic() < deadline and not self._progress.stopped:
            for client, pid in self._crew.running(Client(host, worker)):
                name = self._site.names[client.host]
                killed = try_docker("exec", f"{self._site.lab.name}-{name}", "kill", "-KILL", str(pid))
                if killed.returncode == 0:
                    return {"client": f"{name}/{client.worker}", "pid": pid}
            self._progress.pause(0.2)
        return {"error": "no client was running"}

    def _freeze(self, container: str) -> None:
        """The freezer of a busy machine doesn't always get hold of all processes at once."""
        for _unused in range(4):
            if try_docker("container", "pause", container).returncode == 0:
                return
            self._progress.pause(0.5)
        docker("container", "pause", container)

    def _boot(self, host: int) -> None:
        container = self._site.lab.container(self._site.names[host])
        container.start()
        deadline = time.monotonic() + _BOOT_SECONDS
        while container.execute(["systemctl", "is-active", "--quiet", "avpn-sshd.service"], check=False).returncode:
            if time.monotonic() > deadline:
                raise LabError(f"{container.name} doesn't answer peers {_BOOT_SECONDS:g} s after its start")
            time.sleep(0.3)

    def _order(self, host: int, order: dict[str, Any]) -> dict[str, Any]:
        """Have something done on a host as root."""
        remote = self._saboteurs.get(host)
        if remote is None:
            remote = Remote(f"{self._site.lab.name}-{self._site.names[host]}", "saboteur.py", "root")
            self._saboteurs[host] = remote
            remote.receive()
        try:
            remote.send(order)
            return remote.receive()
        except EOFError:
            self._forget(host)
            raise

    def _forget(self, host: int) -> None:
        remote = self._saboteurs.pop(host, None)
        if remote is not None:
            remote.close()

    def mend(self) -> list[str]:
        """Everything whole again, whatever state it is in; what couldn't be mended, in words."""
        wrong = []
        self._links.heal_all()
        for host, name in enumerate(self._site.names):
            try:
                state = self._site.lab.container(name).state()
                if state == "paused":
                    docker("container", "unpause", f"{self._site.lab.name}-{name}")
                elif state != "running":
                    self._forget(host)
                    self._boot(host)
                links.quicken(self._site, host)
                result = self._order(host, {"do": "mend"})
                if "error" in result:
                    wrong.append(f"{name}: {result['error']}")
            except (LabError, EOFError, OSError, ValueError) as error:
                wrong.append(f"{name}: {type(error).__name__}: {error}"[:300])
        return wrong

    def close(self) -> None:
        for host in list(self._saboteurs):
            self._forget(host)

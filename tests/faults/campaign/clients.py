# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clients: one process each on the provider hosts, kept alive as long as their hosts live."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from .book import Book
from .process import Remote
from .progress import Progress
from .schedule import Client, Planned, Schedule
from .site import Site

DEADLINE = 8.0  # seconds of one operation
_AGAIN = 0.5  # seconds until a client that is gone is started again


class Crew:
    """All clients of a campaign, each with a thread that feeds it."""

    def __init__(self, site: Site, schedule: Schedule, workers: int, book: Book, progress: Progress) -> None:
        self.site, self.schedule, self.book, self.progress = site, schedule, book, progress
        self._next, self._counter = len(schedule.operations), threading.Lock()
        clients = [Client(host, worker) for host in range(schedule.hosts) for worker in range(workers)]
        self._feeders = [_Feeder(self, client) for client in clients]

    def start(self) -> None:
        for feeder in self._feeders:
            feeder.start()

    def finish(self) -> None:
        """Wait until every client is through."""
        for feeder in self._feeders:
            while feeder.is_alive():
                feeder.join(1.0)

    def one_more(self, client: Client, kind: str, height: int = 0) -> str:
        """An operation beside the schedule, by a client of its own; returns its outcome."""
        spare = self.spare(client.host)
        try:
            return spare.operate(kind, height)
        finally:
            spare.end()

    def spare(self, host: int) -> Spare:
        """A client of its own on a host, for operations beside the schedule."""
        return Spare(self, host)

    def number(self) -> int:
        """For an operation beside the schedule."""
        with self._counter:
            number, self._next = self._next, self._next + 1
        return number

    def running(self, first: Client) -> list[tuple[Client, int]]:
        """Clients with their processes, ``first`` before those of its host, and those before all others."""
        found = [(feeder.client, feeder.pid) for feeder in self._feeders if feeder.pid]
        return sorted(found, key=lambda one: (one[0] != first, one[0].host != first.host))

    def close(self) -> None:
        for feeder in self._feeders:
            feeder.close()


class _Feeder(threading.Thread):
    def __init__(self, crew: Crew, client: Client) -> None:
        super().__init__(name=f"client {client.host}/{client.worker}", daemon=True)
        self.client = client
        self.pid = 0
        self._crew = crew
        self._remote: Remote | None = None
        self._name = f"{crew.site.names[client.host]}/{client.worker}"

    def run(self) -> None:
        for planned in self._crew.schedule.of(self.client):
            height = self._crew.progress.height(planned.after)
            self._crew.progress.wait_for_faults(self._crew.schedule.begun_before(planned.number))
            if self._crew.progress.stopped:
                return
            self.operate(planned, height)
        self.end()

    def end(self) -> None:
        """Let the client go, and take what it still has to say."""
        if self._remote is not None:
            with contextlib.suppress(EOFError, ValueError, OSError):
                self._remote.send({"kind": "end"})
                for event in self._remote.lines():
                    self._crew.book.keep(event)
        self.close()

    def operate(self, planned: Planned, height: int) -> str:
        """One operation and its outcome. A client that dies takes its answer with it."""
        crew = self._crew
        remote = self._connected()
        if remote is None:
            return "failed"
        endpoint = f"{planned.member}/1/{planned.index}" if planned.member else ""
        crew.book.write(
            "invoke",
            op=planned.number,
            client=self._name,
            kind=planned.kind,
            endpoint=endpoint,
            host=crew.site.node(self.client.host),
            at=time.monotonic(),
        )
        order = {
            "op": planned.number,
            "kind": planned.kind,
            "endpoint": endpoint,
            "network": crew.site.network,
            "height": max(height, crew.site.height),
            "deadline": DEADLINE,
            "seed": crew.schedule.seed,
        }
        if planned.member:
            order["lease"] = crew.site.lease_of(planned.member)
        outcome = "unknown"
        try:
            remote.send(order)
            outcome = self._answer(remote)
        except (EOFError, ValueError, OSError):
            crew.book.write(
                "answer", op=planned.number, at=time.monotonic(), outcome="unknown", error="the client died"
            )
            self.close()
        crew.progress.ended(planned.number, outcome)
        return outcome

    def _answer(self, remote: Remote) -> str:
        for event in remote.lines():
            self._crew.book.keep(event)
            if event["event"] == "answer":
                return str(event["outcome"])
        raise EOFError

    def _connected(self) -> Remote | None:
        """The client, started anew if it is gone; None when everything stops."""
        while self._remote is None and not self._crew.progress.stopped:
            container = self._crew.site.lab.name + "-" + self._crew.site.names[self.client.host]
            remote = Remote(container, "client.py", "avpn")
            try:
                self.pid = int(remote.receive()["pid"])
                self._remote = remote
            except (EOFError, ValueError, OSError):
                remote.close()
                self._crew.progress.pause(_AGAIN)
        return self._remote

    def close(self) -> None:
        self.pid = 0
        remote, self._remote = self._remote, None
        if remote is not None:
            with contextlib.suppress(OSError):
                remote.close()


class Spare:
    """A client for operations beside the schedule, which it does one after another until its end."""

    def __init__(self, crew: Crew, host: int) -> None:
        self._crew, self._client = crew, Client(host, 0)
        self._feeder = _Feeder(crew, self._client)

    def operate(self, kind: str, height: int = 0) -> str:
        return self._feeder.operate(Planned(self._crew.number(), self._client, kind), height)

    def end(self) -> None:
        self._feeder.end()


def holdings(site: Site, host: int, seconds: float) -> dict[str, dict[str, Any]]:
    """What each host hands out as its newest certified value, as a fresh client of ``host`` is told, by node."""
    remote = Remote(f"{site.lab.name}-{site.names[host]}", "client.py", "avpn")
    timer = threading.Timer(seconds, remote.close)
    timer.daemon = True
    timer.start()
    try:
        remote.receive()
        nodes = [site.node(number) for number in range(len(site.names))]
        remote.send({"kind": "ask", "network": site.network, "hosts": nodes})
        found = [remote.receive() for _unused in nodes]
    except (EOFError, ValueError, OSError):
        found = []
    finally:
        timer.cancel()
        remote.close()
    return {event["host"]: event for event in found}

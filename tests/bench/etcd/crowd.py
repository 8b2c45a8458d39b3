# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients of etcd as processes of their own, each with its connection and its session, which contend for one lock."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
import traceback
from multiprocessing.connection import Connection

from .allocating import Allocator
from .client import Client

_PATIENCE = 120.0


class Contenders:
    """So many processes; ``turn`` lets each allocate one address more."""

    def __init__(self, address: str, prefix: str, count: int, document: bytes) -> None:
        # Fresh interpreters: gRPC doesn't bear being forked.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        self._turn = 0
        for number in range(1, count + 1):
            here, there = context.Pipe()
            process = context.Process(target=_live, args=(address, prefix, number, document, there), daemon=True)
            process.start()
            there.close()
            self._pipes.append(here)
            self._processes.append(process)
        for pipe in self._pipes:
            self._answer(pipe)

    def turn(self) -> tuple[float, int]:
        """Seconds from the first request to the last address, and how many calls all of them made."""
        for pipe in self._pipes:
            pipe.send(self._turn)
        self._turn += 1
        answers = [self._answer(pipe) for pipe in self._pipes]
        return max(ended for _began, ended, _calls in answers) - min(began for began, _ended, _calls in answers), sum(
            calls for _began, _ended, calls in answers
        )

    def close(self) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
        for process in self._processes:
            process.join(10)
            if process.is_alive():
                process.kill()
                process.join()

    @staticmethod
    def _answer(pipe: Connection) -> tuple[float, float, int]:
        if not pipe.poll(_PATIENCE):
            raise RuntimeError("a client of etcd doesn't come back")
        answer = pipe.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        began, ended, calls = answer
        return began, ended, calls


def _live(address: str, prefix: str, number: int, document: bytes, orders: Connection) -> None:
    client = Client(address)
    try:
        allocator = Allocator(client, prefix)
        allocator.look()
        orders.send((0.0, 0.0, 0))
        while (turn := orders.recv()) is not None:
            before, began = client.calls, time.monotonic()
            allocator.locked({f"m{number}/1/{turn}": document})
            orders.send((began, time.monotonic(), client.calls - before))
    except Exception:  # noqa: BLE001 - whoever waits shows it
        orders.send(traceback.format_exc())
    finally:
        client.close()

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking all voters at once: one worker per voter, so that requests to one voter keep their order.

The proposer goes on at the majority; what the others still have to be told waits in their workers.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from .._common import canonical
from .._common.errors import AvpnError, Unavailable
from .._common.ids import NodeId
from .answers import Accepted, Answer, Lacking, parse_answer

T = TypeVar("T")
CatchUp = Callable[["tuple[int, int] | None"], Mapping[str, Any]]


class Transport(Protocol):
    """How a request gets to a voter. Bounded in time; an AvpnError if it failed or the voter says so."""

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        """The answer's document. The transport adds ``as``; ``canonical.dumps_with`` encodes it once for all voters."""


class Question:
    """One request to several voters: until when (monotonic) answers are waited for, and who has been sent it.

    ``spare``: voters that are sent it only after ``patience`` seconds, or once somebody else doesn't accept it.
    """

    def __init__(self, seconds: float, spare: Collection[NodeId] = (), patience: float = 0.0) -> None:
        self.began = time.monotonic()
        self.until = self.began + seconds
        self.spare = spare
        self.spare_at = self.began + patience
        self.over = False
        self.sent: set[NodeId] = set()

    def hurry(self, least: float) -> None:
        """Wait only as long again as it has taken so far, at ``least`` so many seconds."""
        now = time.monotonic()
        self.until = min(self.until, now + max(least, now - self.began))


class Fanout:
    """Workers for some voters. ``messages`` and ``sent`` count requests and their bytes."""

    def __init__(self, transport: Transport, nodes: Iterable[NodeId]) -> None:
        self.messages = 0
        self.sent = 0
        self._transport = transport
        self._lock = threading.Lock()
        self._queues: dict[NodeId, queue.SimpleQueue[Callable[[], None] | None]] = {}
        self._threads: list[threading.Thread] = []
        self._untold: list[Callable[[], None]] = []
        self.nodes: tuple[NodeId, ...] = ()
        self.turn_to(nodes)

    def turn_to(self, nodes: Iterable[NodeId]) -> None:
        """From now on these are asked, unless others are named."""
        self.nodes = tuple(nodes)
        for node in self.nodes:
            self._worker(node)

    def _worker(self, node: NodeId) -> queue.SimpleQueue[Callable[[], None] | None]:
        if node not in self._queues:
            tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
            thread = threading.Thread(target=_work, args=(tasks,), name=f"voter {node}", daemon=True)
            self._queues[node] = tasks
            self._threads.append(thread)
            thread.start()
        return self._queues[node]

    def ask(
        self,
        request: Mapping[str, Any],
        *,
        catch_up: CatchUp | None = None,
        question: Question,
        nodes: Iterable[NodeId] | None = None,
        even_late: bool = False,
    ) -> Iterator[tuple[NodeId, Answer | AvpnError]]:
        """Send one request to all voters (or ``nodes``) and yield answers as they come, until the question's end.

        A voter that lacks the parent is sent ``catch_up(what it has)`` first and asked again. The caller may stop
        early. Who wasn't sent the request by then, being slow with an earlier one, is sent it only if ``even_late``.
        """
        answers: queue.SimpleQueue[tuple[NodeId, Answer | AvpnError]] = queue.SimpleQueue()
        chosen = list(self.nodes if nodes is None else nodes)
        encoded = canonical.Encoded(request)
        spare = [node for node in chosen if node in question.spare]
        asked = [node for node in chosen if node not in spare]

        def put(nodes: Iterable[NodeId]) -> None:
            for node in nodes:
                self._put(node, encoded, catch_up, answers.put, None if even_late else question)

        put(asked)
        try:
            for count, _unused in enumerate(chosen):
                if spare and count >= len(asked):
                    put(spare)
                    spare = []
                answer = _next(answers, min(question.spare_at, question.until) if spare else question.until)
                if spare and not (answer is not None and isinstance(answer[1], Accepted)):
                    put(spare)
                    spare = []
                    answer = answer or _next(answers, question.until)
                if answer is None:
                    return
                yield answer
        finally:
            question.over = True

    def tell(
        self,
        request: Mapping[str, Any],
        *,
        catch_up: CatchUp | None = None,
        nodes: Iterable[NodeId] | None = None,
        later: bool = False,
    ) -> None:
        """Like ``ask``, behind the caller's back; ``later``: once the caller says ``tell_now``."""
        chosen = tuple(self.nodes if nodes is None else nodes)

        def tell() -> None:
            encoded = canonical.Encoded(request)
            for node in chosen:
                self._put(node, encoded, catch_up, lambda _answer: None)

        self._untold.append(tell)
        if not later:
            self.tell_now()

    def tell_now(self) -> None:
        """What was to be told later."""
        while self._untold:
            self._untold.pop(0)()

    def close(self, seconds: float) -> None:
        """Let what is under way finish, for at most so long. Workers that hang are left to their time-outs."""
        for tasks in self._queues.values():
            tasks.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _put(
        self,
        node: NodeId,
        request: canonical.Encoded,
        catch_up: CatchUp | None,
        deliver: Callable[[tuple[NodeId, Answer | AvpnError]], None],
        question: Question | None = None,
    ) -> None:
        def task() -> None:
            if question is not None:
                question.sent.add(node)
                if question.over:
                    question.sent.discard(node)
                    return
            try:
                answer = self._call(node, request)
                if isinstance(answer, Lacking) and catch_up is not None:
                    self._call(node, canonical.Encoded(catch_up(answer.have)))
                    answer = self._call(node, request)
                deliver((node, answer))
            except AvpnError as error:
                deliver((node, error))
            except Exception as error:  # noqa: BLE001 - a worker that dies would leave the proposer waiting
                deliver((node, Unavailable(f"the call failed: {type(error).__name__}: {error}", where=str(node))))

        self._worker(node).put(task)

    def _call(self, node: NodeId, request: canonical.Encoded) -> Answer:
        with self._lock:
            self.messages += 1
            self.sent += len(request.data)
        return parse_answer(self._transport.call(node, request), str(node))


def _next(answers: queue.SimpleQueue[T], until: float) -> T | None:
    """The next answer; None if there is none in time."""
    try:
        return answers.get(timeout=max(0.0, until - time.monotonic()))
    except queue.Empty:
        return None


def _work(tasks: queue.SimpleQueue[Callable[[], None] | None]) -> None:
    while (task := tasks.get()) is not None:
        task()

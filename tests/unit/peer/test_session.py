# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._peer import messages
from ansible_collections.akash.avpn.plugins.module_utils._peer.session import Bounds, Session


@dataclass
class Ends:
    """The peer's ends of the pipes and the session behind them."""

    write: int
    read: int
    session: Session


def ends(bounds: Bounds) -> Ends:
    source, write = os.pipe()
    read, sink = os.pipe()
    return Ends(write, read, Session(source, sink, bounds))


@pytest.fixture
def quick() -> Iterator[Ends]:
    made = ends(Bounds(idle=0.3, line=0.3, answer=0.3, session=5, requests=3, request_bytes=100))
    yield made
    os.close(made.read)


def echo(line: bytes) -> bytes:
    return line.upper() + b"\n"


def test_lines_are_answered_in_order_however_they_are_cut(quick: Ends) -> None:
    def peer() -> None:
        for part in (b"on", b"e\ntw", b"o\n"):
            os.write(quick.write, part)
            time.sleep(0.05)
        os.close(quick.write)

    thread = threading.Thread(target=peer)
    thread.start()
    assert quick.session.serve(echo) == "closed by the peer"
    thread.join()
    assert os.read(quick.read, 100) == b"ONE\nTWO\n"


def test_silence_and_unfinished_lines_end_the_session(quick: Ends) -> None:
    os.write(quick.write, b"unfinished")
    started = time.monotonic()
    assert "silent" in quick.session.serve(echo)
    assert time.monotonic() - started < 2


def test_a_line_that_is_too_long_is_an_error_and_the_end(quick: Ends) -> None:
    os.write(quick.write, b"x" * 200)
    assert "longer than 100 bytes" in quick.session.serve(echo)
    assert json.loads(os.read(quick.read, 1000))["error"]["code"] == "invalid"


def test_requests_are_counted(quick: Ends) -> None:
    os.write(quick.write, b"a\n" * 10)
    assert quick.session.serve(echo) == "too many requests"
    lines = os.read(quick.read, 1000).splitlines()
    assert lines[:3] == [b"A", b"A", b"A"]
    assert json.loads(lines[3])["error"]["code"] == "unavailable"


def test_a_peer_that_doesnt_read_its_answers_is_left(quick: Ends) -> None:
    os.write(quick.write, b"a\n")
    assert "take the answer" in quick.session.serve(lambda _line: b"x" * (1 << 20) + b"\n")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.binary(max_size=300)
    | _json.map(lambda document: json.dumps(document).encode("utf-8", "surrogatepass"))
    | st.fixed_dictionaries(
        {"op": st.sampled_from(sorted(messages.OPERATIONS))}, optional={"as": _json, "network": _json, "kind": _json}
    ).map(lambda document: json.dumps(document).encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_a_request_or_refused_with_an_answer_that_is_one(data: bytes) -> None:
    try:
        messages.parse_request(data)
    except InvalidInput as error:
        line = messages.error_answer(error)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        with pytest.raises(InvalidInput):
            messages.parse_answer(line[:-1], "peer")


def test_what_can_wait_waits_for_a_lull_and_is_done_once(quick: Ends) -> None:
    done: list[bytes] = []
    after_a_moment: list[bytes] = []

    def afterwards() -> None:
        done.append(os.read(quick.read, 100))  # the answers have left before

    def peer() -> None:
        os.write(quick.write, b"one\ntwo\n")
        time.sleep(0.2)
        after_a_moment.extend(done)
        os.write(quick.write, b"three\n")
        os.close(quick.write)

    thread = threading.Thread(target=peer)
    thread.start()
    assert quick.session.serve(echo, afterwards) == "too many requests"
    thread.join()
    assert after_a_moment == [b"ONE\nTWO\n"]
    assert len(done) == 2  # the end of a session is a lull
    assert done[1].startswith(b"THREE\n")


def test_what_can_wait_does_not_wait_for_ever() -> None:
    made = ends(Bounds(idle=0.5, line=0.5, answer=0.5, session=10, requests=1000))
    begun = time.monotonic()
    done: list[float] = []

    def peer() -> None:
        while time.monotonic() < begun + 1.5:
            os.write(made.write, b"x\n")
            os.read(made.read, 100)
            time.sleep(0.01)  # never quiet for long enough
        os.close(made.write)

    thread = threading.Thread(target=peer)
    thread.start()
    made.session.serve(echo, lambda: done.append(time.monotonic() - begun))
    thread.join()
    os.close(made.read)
    assert done
    assert 0.9 < done[0] < 1.5


def test_nothing_is_done_afterwards_where_nothing_was_answered(quick: Ends) -> None:
    done: list[bool] = []
    os.close(quick.write)
    assert quick.session.serve(echo, lambda: done.append(True)) == "closed by the peer"
    assert done == []

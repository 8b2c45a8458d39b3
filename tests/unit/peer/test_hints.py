# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scene import ALICE, P1, P2, HostTree, host, network, view

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._peer import hint_command
from ansible_collections.akash.avpn.plugins.module_utils._peer.hints import Hint, parse, put, take

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ledger {A}",
        f"ledger {A} 1 2",
        f"ledger  {A} 1",
        f"shell {A} 1",
        f"view {A} 1",
        f"ledger {A[:-1]} 1",
        f"ledger {A} -1",
        f"ledger {A} 99999999999999999999",
        f"ledger ../../../../etc/{A} 1",
        f"ledger {A} 1\nledger {B} 1",
        b"\xff\xfe",
        "x" * 10_000,
    ],
)
def test_only_an_exact_hint_is_one(text: str | bytes) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


@given(st.sampled_from(("ledger", "manifest", "reconcile")), st.integers(0, 2**63 - 1))
def test_what_is_written_is_read_again(kind: str, version: int) -> None:
    assert parse(str(Hint(kind, A, version))) == Hint(kind, A, version)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_parser(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        assert parse(data).network


def test_many_hints_about_one_thing_are_one_and_the_newest(tmp_path: pathlib.Path) -> None:
    assert put(tmp_path, Hint("ledger", A, 3))
    assert not put(tmp_path, Hint("ledger", A, 3))
    assert not put(tmp_path, Hint("ledger", A, 2))
    assert put(tmp_path, Hint("ledger", A, 9))
    assert put(tmp_path, Hint("manifest", A, 1))
    assert take(tmp_path) == [Hint("ledger", A, 9), Hint("manifest", A, 1)]
    assert take(tmp_path) == []


def test_what_is_no_hint_leaves_the_spool_so_that_nothing_is_woken_for_it_again(tmp_path: pathlib.Path) -> None:
    (tmp_path / "junk").write_text("junk")
    (tmp_path / f"ledger-{A}").write_text(f"ledger {B} 1\n")  # says another network than its name
    (tmp_path / ".being-written").write_text("")
    assert take(tmp_path) == []
    assert os.listdir(tmp_path) == [".being-written"]


@pytest.mark.parametrize(
    ("event", "name", "payload", "kept"),
    [
        ("user", "avpn", "ledger {known} 4", True),
        ("user", "avpn", "ledger {known} 4\n", True),
        ("user", "avpn", f"ledger {B} 4", False),
        ("user", "avpn", "ledger {known} four", False),
        ("user", "deploy", "ledger {known} 4", False),
        ("member-join", "avpn", "ledger {known} 4", False),
    ],
)
def test_the_event_handler_takes_hints_about_known_networks_only(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, event: str, name: str, payload: str, kept: bool
) -> None:
    tree = HostTree.make(tmp_path, P1)
    entry = network(ALICE, "prod", (P1, P2))
    tree.save(view([entry], [host(P1), host(P2)]))
    monkeypatch.setenv("SERF_EVENT", event)
    monkeypatch.setenv("SERF_USER_EVENT", name)
    data = io.BytesIO(payload.format(known=entry.record.id).encode())
    monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=data))
    assert hint_command.main(tree.paths) == 0
    assert os.listdir(tree.paths.hints) == ([f"ledger-{entry.record.id}"] if kept else [])


def test_the_spool_has_an_end(tmp_path: pathlib.Path) -> None:
    for number in range(4096):
        (tmp_path / f"{number}").touch()
    assert not put(tmp_path, Hint("ledger", "a" * 64, 1))
    (tmp_path / "0").unlink()
    assert put(tmp_path, Hint("ledger", "a" * 64, 1))
    assert put(tmp_path, Hint("ledger", "a" * 64, 2)), "what is there already may be replaced"

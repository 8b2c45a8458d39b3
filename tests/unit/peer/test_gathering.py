# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a fast path does first, without peers: which hints it follows, and what it clears away."""

from __future__ import annotations

import pathlib
from types import SimpleNamespace
from typing import Any

import pytest
import scene

from ansible_collections.akash.avpn.plugins.module_utils._peer import gather, pull
from ansible_collections.akash.avpn.plugins.module_utils._peer.versions import Versions


@pytest.mark.parametrize(
    ("have", "version", "looks"),
    [((0, 9), 0, True), ((0, 9), 10, True), ((1, 0), 0, False), ((1, 0), 1, True), (None, 0, True)],
)
def test_versions_start_anew_with_a_generation_and_so_do_hints(
    have: Any, version: int, looks: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = scene.HostTree.make(tmp_path, scene.P1)
    known: Any = SimpleNamespace(networks={"net": SimpleNamespace(record=SimpleNamespace(generation=1))})
    looked: list[Any] = []
    monkeypatch.setattr(pull.versions, "of", lambda *_arguments: Versions(have, None))
    monkeypatch.setattr(pull.Pull, "_look", lambda _self, *asked: looked.append(asked) or True)
    pull.Pull(tree.paths, known, None)._follow("net", "ledger", version)  # type: ignore[arg-type]
    assert bool(looked) == looks


def test_places_of_those_who_waited_are_swept(tmp_path: pathlib.Path) -> None:
    tree = scene.HostTree.make(tmp_path, scene.P1)
    gather._sweep(tree.paths)
    tree.paths.waiting.mkdir(exist_ok=True)
    (tree.paths.waiting / f"{'1' * 64}.1.2.told-1.7").touch()
    gather._sweep(tree.paths)
    assert list(tree.paths.waiting.iterdir()) == []

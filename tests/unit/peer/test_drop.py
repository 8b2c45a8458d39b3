# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs with the rights of avpn has none of root's, and can't get them back."""

from __future__ import annotations

import os
import pathlib
import pwd
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable, Unsupported
from ansible_collections.akash.avpn.plugins.module_utils._peer.drop import as_user

NOBODY = "nobody"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


@needs_root
def test_the_child_is_the_user_for_good(tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(0o755)

    def work() -> dict[str, Any]:
        found: dict[str, Any] = {"ids": [*os.getresuid(), *os.getresgid()], "groups": os.getgroups()}
        for name, attempt in (
            ("uid", lambda: os.setresuid(0, 0, 0)),
            ("gid", lambda: os.setresgid(0, 0, 0)),
            ("read", secret.read_text),
            ("write", lambda: secret.with_name("new").write_text("")),
        ):
            try:
                attempt()
                found[name] = "done"
            except OSError as error:
                found[name] = type(error).__name__
        status = pathlib.Path("/proc/self/status").read_text()
        found["capabilities"] = [
            line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapPrm"))
        ]
        return found

    entry = pwd.getpwnam(NOBODY)
    before = os.getgroups()
    os.setgroups([0, 1, 4])
    try:
        found = as_user(NOBODY, work, seconds=20)
    finally:
        os.setgroups(before)
    assert found["ids"] == [entry.pw_uid] * 3 + [entry.pw_gid] * 3
    assert found["groups"] == []
    assert [found[name] for name in ("uid", "gid", "read", "write")] == ["PermissionError"] * 4
    assert {int(capability, 16) for capability in found["capabilities"]} == {0}
    assert os.geteuid() == 0, "and the parent is what it was"


@needs_root
def test_errors_come_back_and_stalling_ends() -> None:
    def wrong() -> None:
        raise InvalidInput("is wrong", where="it", remedy="Right it")

    with pytest.raises(InvalidInput, match="is wrong"):
        as_user(NOBODY, wrong, seconds=20)
    with pytest.raises(Unavailable, match="longer than"):
        as_user(NOBODY, lambda: os.read(os.pipe()[0], 1), seconds=0.3)
    with pytest.raises(Unavailable, match="without a result"):
        as_user(NOBODY, lambda: os.kill(os.getpid(), 9), seconds=20)
    with pytest.raises(Unsupported, match="no user"):
        as_user("nobody-of-that-name", lambda: None, seconds=20)

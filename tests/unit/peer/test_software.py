# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import subprocess
from dataclasses import replace

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._peer import software
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths


@pytest.fixture
def paths(tmp_path: pathlib.Path) -> Paths:
    return Paths(tmp_path)


def variant(found: software.Software, text: str) -> software.Software:
    return replace(found, sources={**found.sources, "avpn/_peer/paths.py": text})


def test_what_is_installed_is_what_runs_here_and_starts_with_the_hosts_python(paths: Paths) -> None:
    assert software.installed(paths) is None
    wanted = software.collect(paths)
    software.install(paths, wanted)
    assert software.installed(paths) == wanted
    assert software.collect(paths) == wanted
    for name, needs in (("keys", 0), ("config", 2), ("hint", 0), ("peer", 2)):
        done = subprocess.run([paths.command(name)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == needs, (name, done.stderr)
    assert list((paths.software / "current").rglob("*.pyc"))


def test_the_switch_keeps_the_version_before_and_no_older(paths: Paths) -> None:
    first = software.collect(paths)
    versions = [first, variant(first, "one = 1\n"), variant(first, "two = 2\n")]
    for version in versions:
        software.install(paths, version)
    kept = {path.name for path in paths.software.iterdir()}
    assert kept == {"bin", "current", versions[1].digest, versions[2].digest}
    assert (paths.software / "current").resolve().name == versions[2].digest


def test_what_somebody_changed_is_put_right(paths: Paths) -> None:
    wanted = software.collect(paths)
    software.install(paths, wanted)
    (paths.software / "current/avpn/_peer/paths.py").write_text("changed = True\n")
    paths.command("peer").write_text("changed\n")
    assert software.installed(paths) != wanted
    software.install(paths, wanted)
    assert software.installed(paths) == wanted


def test_code_that_doesnt_compile_is_not_switched_to(paths: Paths) -> None:
    wanted = software.collect(paths)
    software.install(paths, wanted)
    with pytest.raises(software.Unsupported):
        software.install(paths, variant(wanted, "def broken(:\n"))
    assert software.installed(paths) == wanted
    assert {path.name for path in paths.software.iterdir()} == {"bin", "current", wanted.digest}

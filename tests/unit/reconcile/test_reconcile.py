# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reconciliation of a host: settings, requests, the mirror with real git, environments, the report."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import tarfile

import pytest

from ansible_collections.akash.avpn.plugins.action import pull_environment
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, InvalidInput, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._reconcile import (
    environment,
    report,
    requests,
    settings,
    status,
)
from ansible_collections.akash.avpn.plugins.module_utils._reconcile.repository import Mirror
from ansible_collections.akash.avpn.plugins.module_utils._reconcile.settings import Repository

GOOD = {"repository": {"url": "https://git.example/ops.git", "revision": "main"}, "playbook": "local.yml"}


def git(where: pathlib.Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Team", "-c", "user.email=team@example", "-c", "gpg.format=ssh"]
    done = subprocess.run(["git", *identity, *arguments], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def upstream(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "ops"
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    commit(path, "one")
    return path


def commit(path: pathlib.Path, text: str, *options: str) -> str:
    (path / "local.yml").write_text(text)
    git(path, "add", ".")
    git(path, "commit", "-q", "-m", text, *options)
    return git(path, "rev-parse", "HEAD")


# --- what people are shown


def test_a_host_that_is_drained_says_where_it_votes_still() -> None:
    state = {"name": "prod", "ledger": None, "manifest": None, "contradictions": [], "applied": None}
    found = {"node": "p/n1", "drained": True, "height": None, "problems": {}, "runs": [], "last_good": None}

    def lines(**voters: list[str]) -> list[str]:
        return status.table({**found, "networks": {name * 64: {**state, "voters": of} for name, of in voters.items()}})

    assert "drained: votes nowhere any more" in lines(a=["p/n2"], b=[])
    line = "drained: votes in prod aaaaaaaa until somebody can take its place"
    assert line in lines(a=["p/n1", "p/n2"], b=["p/n2"])
    found["drained"] = False
    assert not any("drained" in one for one in lines(a=["p/n1"]))


def test_what_the_firewall_refused_is_told_by_member_and_side() -> None:
    refused = {"members": {"db": {"egress": 0, "ingress": 4}, "web": {"egress": 0, "ingress": 0}}, "others": {}}
    state = {"name": "prod", "ledger": None, "manifest": None, "contradictions": [], "voters": []}
    found = {"node": "p/n1", "drained": False, "height": None, "problems": {}, "runs": [], "last_good": None}
    for applied, told in (({"refused": refused}, 1), ({"refused": None}, 0), ({}, 0), (None, 0)):
        lines = status.table({**found, "networks": {"a" * 64: {**state, "applied": applied}}})
        assert lines.count("refused in prod aaaaaaaa: db: 4 sent to it, by its own ingress") == told
        assert sum("refused" in line for line in lines) == told


def test_what_is_staged_and_what_was_rolled_back_is_told() -> None:
    told = {"who": "db/2", "side": "ingress", "flows": 4}
    state = {"name": "prod", "ledger": None, "manifest": None, "contradictions": [], "voters": [], "applied": None}
    found = {"node": "p/n1", "drained": False, "height": None, "problems": {}, "runs": [], "last_good": None}

    def lines(**more: object) -> list[str]:
        return status.table({**found, "networks": {"a" * 64: {**state, **more}}})

    kept = {"digest": "00112233", "since": 5, "would_refuse": [told, {"who": "", "side": "route", "flows": 1}]}
    shown = lines(applied={"staged": kept})
    assert "staged in prod aaaaaaaa: since version 5, db/2's ingress would have refused 4 flows" in shown
    assert "staged in prod aaaaaaaa: since version 5, a missing route would have refused 1 flows" in shown
    shown = lines(applied={"staged": {**kept, "would_refuse": []}})
    assert "staged in prod aaaaaaaa: since version 5, nothing would have been refused so far" in shown
    assert not any("staged" in line for line in lines(applied={"staged": None}))
    (line,) = [line for line in lines(frame={"state": "rolled-back", "since": 1, "why": "it rains"}) if "rain" in line]
    assert line.startswith("problem: prod aaaaaaaa: the new frame of the firewall was rolled back, because it rains. ")
    assert "akash.avpn.firewall with again" in line, "and what to do"
    assert any("on trial" in line for line in lines(frame={"state": "trial", "since": 1, "why": ""}))
    assert not any("frame" in line for line in lines(frame=None))


# --- settings


def test_settings_have_defaults() -> None:
    found = settings.parse(GOOD)
    assert (found.timeout, found.rest, found.repository.verify) == (1800, 5, False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("repository.url", "ext::sh -c id"),
        ("repository.url", "--upload-pack=id"),
        ("repository.url", "https://git.example/a b"),
        ("repository.url", "file:///srv\n--x"),
        ("repository.revision", "--output=/etc/passwd"),
        ("repository.revision", "a..b"),
        ("repository.key_file", "/root/key -o ProxyCommand=id"),
        ("repository.key_file", "key"),
        ("repository.allowed_signers", "/etc/$(id)"),
        ("playbook", "../outside.yml"),
        ("playbook", "/etc/evil.yml"),
        ("playbook", "a.yml --extra-vars x"),
        ("playbook", "-e x"),
        ("timeout", "60"),
        ("rest", -1),
    ],
)
def test_settings_refuse_by_name(field: str, value: object) -> None:
    document = json.loads(json.dumps(GOOD))
    *path, last = field.split(".")
    target = document
    for part in path:
        target = target[part]
    target[last] = value
    with pytest.raises(InvalidInput) as caught:
        settings.parse(document)
    assert caught.value.where == field


# --- requests


def test_requests_are_taken_once_and_strangers_removed(tmp_path: pathlib.Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    spool = tmp_path / "requests"
    spool.mkdir()
    (spool / "b2").write_text("")
    (spool / "a1").write_text("")
    (spool / "Bad name\n").write_text("")
    (spool / ".writing").write_text("")
    (spool / "link").symlink_to(outside / "kept")
    (spool / "aside").symlink_to(outside)
    (spool / "folder").mkdir()
    (spool / "folder" / "through").symlink_to(outside)
    assert requests.take(spool) == ["a1", "aside", "b2", "link"]
    assert os.listdir(spool) == [".writing"]
    assert (outside / "kept").read_text() == "x"
    assert requests.take(spool) == []
    assert requests.take(tmp_path / "none") == []


def test_a_spool_that_is_a_link_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "x").write_text("")
    (tmp_path / "requests").symlink_to(tmp_path / "real")
    with pytest.raises(OSError):
        requests.take(tmp_path / "requests")
    assert (tmp_path / "real" / "x").exists()


# --- mirror


def test_mirror_follows_and_goes_on_without_upstream(upstream: pathlib.Path, tmp_path: pathlib.Path) -> None:
    mirror = Mirror(tmp_path / "mirror.git", Repository(f"file://{upstream}", "main"))
    assert mirror.current() is None
    first = mirror.update()
    assert (first.commit, first.stale) == (git(upstream, "rev-parse", "HEAD"), None)
    second = commit(upstream, "two")
    assert mirror.update().commit == second
    upstream.rename(tmp_path / "gone")
    last = mirror.update()
    assert last.commit == second
    assert last.stale is not None
    assert "git failed" in last.stale


def test_mirror_without_anything_says_so(tmp_path: pathlib.Path) -> None:
    mirror = Mirror(tmp_path / "mirror.git", Repository(f"file://{tmp_path}/nowhere", "main"))
    with pytest.raises(Unavailable):
        mirror.update()


def test_mirror_takes_a_rewritten_branch(upstream: pathlib.Path, tmp_path: pathlib.Path) -> None:
    mirror = Mirror(tmp_path / "mirror.git", Repository(f"file://{upstream}", "main"))
    mirror.update()
    again = commit(upstream, "another one", "--amend")
    assert mirror.update().commit == again


def test_unsigned_commits_are_never_selected(upstream: pathlib.Path, tmp_path: pathlib.Path) -> None:
    key = tmp_path / "team"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers = tmp_path / "allowed_signers"
    signers.write_text(f"team@example {key.with_suffix('.pub').read_text()}")
    sign = ("-S" + str(key),)
    signed = commit(upstream, "signed", *sign)
    repository = Repository(f"file://{upstream}", "main", verify=True, allowed_signers=str(signers))
    mirror = Mirror(tmp_path / "mirror.git", repository)
    assert mirror.update().commit == signed
    commit(upstream, "not signed")
    kept = mirror.update()
    assert kept.commit == signed == mirror.current()
    assert "no signature of an allowed signer" in str(kept.stale)
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    commit(upstream, "signed by a stranger", "-S" + str(other))
    assert mirror.update().commit == signed


def test_an_unsigned_first_commit_runs_nothing(upstream: pathlib.Path, tmp_path: pathlib.Path) -> None:
    repository = Repository(f"file://{upstream}", "main", verify=True, allowed_signers="/dev/null")
    mirror = Mirror(tmp_path / "mirror.git", repository)
    with pytest.raises(InvalidInput):
        mirror.update()
    assert mirror.current() is None


# --- environments


def finished(path: pathlib.Path) -> pathlib.Path:
    path.mkdir()
    (path / ".complete").touch()
    return path


def test_a_run_keeps_its_environment_while_a_newer_one_is_installed(tmp_path: pathlib.Path) -> None:
    old = environment.Environment(finished(tmp_path / "venv-1"), finished(tmp_path / "collections-1"))
    new = environment.Environment(finished(tmp_path / "venv-2"), finished(tmp_path / "collections-2"))
    (tmp_path / "venv-3").mkdir()  # half made
    environment.switch(tmp_path, old)
    with environment.in_use(tmp_path) as used:
        assert used == old
        environment.switch(tmp_path, new)
        assert environment.clean(tmp_path) == ["venv-3"]
        assert old.venv.is_dir()
    assert environment.current(tmp_path) == new
    assert environment.clean(tmp_path) == ["venv-1", "collections-1"]


def test_no_environment_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(AvpnError, match="no finished environment"), environment.in_use(tmp_path):
        pass


def test_the_collection_that_is_sent_has_the_digest_of_its_source(tmp_path: pathlib.Path) -> None:
    root = pathlib.Path(pull_environment.__file__).resolve().parents[2]
    files = pull_environment.collection_files(root)
    assert "galaxy.yml" in files
    assert not any(name.startswith(("tests/", "build/", ".git")) for name in files)
    archive = tmp_path / "collection.tar.gz"
    archive.write_bytes(pull_environment.pack(files))
    environment.unpack_collection(tmp_path / "collections-x", archive)
    installed = tmp_path / "collections-x" / "ansible_collections" / "akash" / "avpn"
    (installed / "plugins" / "__pycache__").mkdir()
    (installed / "plugins" / "__pycache__" / "x.pyc").write_text("")
    again = pull_environment.collection_files(installed)
    assert pull_environment.digest(again) == pull_environment.digest(files)
    (installed / "galaxy.yml").write_text("changed")
    assert pull_environment.digest(pull_environment.collection_files(installed)) != pull_environment.digest(files)


@pytest.mark.parametrize("name", ["../escape", "/absolute", "a/../../b"])
def test_archives_stay_below_their_directory(tmp_path: pathlib.Path, name: str) -> None:
    archive = tmp_path / "bad.tar"
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(InvalidInput):
        environment.unpack_collection(tmp_path / "collections-x", archive)
    assert sorted(os.listdir(tmp_path)) == ["bad.tar"]


# --- report


def run(number: int, outcome: str, *, check: bool = False) -> report.Run:
    return report.Run(number, number + 1, outcome, revision=f"{number:040x}", check=check)


def test_the_report_keeps_the_newest_and_the_last_good_run(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "reconcile.json"
    for number in range(30):
        report.add(path, run(number, "ok" if number < 10 else "failed"))
    report.add(path, run(99, "ok", check=True))
    document = report.read(path)
    assert len(document["runs"]) == report.KEPT
    assert document["runs"][0]["started"] == 99
    assert report.last_good(path) == f"{9:040x}"


def test_a_damaged_report_starts_anew(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "reconcile.json"
    path.write_text("[1")
    report.add(path, run(1, "failed"))
    assert len(report.read(path)["runs"]) == 1
    assert report.last_good(path) is None

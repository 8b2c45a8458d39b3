# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The peer channel of real hosts: who may ask for what, and that there is nothing else (R9, R10, R18, R19)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lab import LabError
from scenario import channel, observing
from scenario.cast import A, B
from scenario.story import Story

pytestmark = pytest.mark.lab

UNKNOWN = "0123456789abcdef" * 4


@pytest.fixture(params=["tenant", "provider"])
def visitor(request: pytest.FixtureRequest, story: Story) -> tuple[str, str, str]:
    """Somebody with a key that provider1 takes: host it calls from, key, who it is."""
    if request.param == "tenant":
        found = ("tenant-a", channel.TENANT_KEY, story.account("tenant-a"))
    else:
        found = ("provider3", channel.PROVIDER_KEY, f"{story.account('provider3')}/provider3")
    channel.trust(story.lab, found[0], ["provider1"])
    return found


def refused(answer: dict[str, Any]) -> bool:
    return list(answer) == ["error"] and answer["error"]["code"] == "not-permitted"


def test_a_tenant_has_its_own_network_and_not_anothers(story: Story) -> None:
    owner, own, foreign = story.account("tenant-a"), story.network_id(A), story.network_id(B)
    path = f"/var/lib/avpn/manifests/{foreign}.json"
    manifest = observing.document(story.lab, "provider1", path)

    def requests(network: str, account: str) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = [{"op": op} for op in ("status", "manifest-get", "reconcile")]
        asked.append({"op": "manifest-put", "manifest": manifest})
        return [{"network": network, "as": account, **request} for request in asked]

    def ask(*listed: dict[str, Any]) -> list[dict[str, Any]]:
        return channel.ask(story.lab, "tenant-a", "provider1", channel.TENANT_KEY, *listed)

    status, got = ask(*requests(own, owner)[:2])
    assert status["ok"]["applied"]["name"] == A.network
    assert got["ok"]["manifest"]["content"] == A.manifest
    # What the hosts told one another of the other network when it came is worked off first.
    observing.eventually(lambda: foreign not in spooled(story), "no request for the other tenant's network")
    # The other tenant's network, as itself and under the other's name; and a network that nobody has.
    before = observing.runs(story.lab, "provider1")[0]
    answers = ask(*requests(foreign, owner), *requests(foreign, story.account("tenant-b")), *requests(UNKNOWN, owner))
    assert all(map(refused, answers))
    assert len({str(answer) for answer in answers}) == 1, "an answer tells whether a network exists"
    assert observing.document(story.lab, "provider1", path) == manifest
    assert foreign not in spooled(story)
    assert not any(foreign in run["requests"] for run in runs_since(story, "provider1", before))


def spooled(story: Story) -> list[str]:
    """The networks for which a reconciliation is asked on provider 1."""
    return story.lab.execute("provider1", ["ls", "/var/lib/avpn/requests"]).stdout.split()


def runs_since(story: Story, host: str, before: dict[str, Any]) -> list[dict[str, Any]]:
    """Reconciliations that ended after the one given."""
    return [run for run in observing.runs(story.lab, host) if run["finished"] > before["finished"]]


def test_a_tenants_manifest_for_anothers_network_is_refused_there_too(story: Story) -> None:
    # What the other tenant signed, handed in for this one's network.
    owner, own = story.account("tenant-a"), story.network_id(A)
    foreign = observing.document(story.lab, "provider1", f"/var/lib/avpn/manifests/{story.network_id(B)}.json")
    before = observing.document(story.lab, "provider1", f"/var/lib/avpn/manifests/{own}.json")
    request = {"op": "manifest-put", "network": own, "as": owner, "manifest": foreign}
    (answer,) = channel.ask(story.lab, "tenant-a", "provider1", channel.TENANT_KEY, request)
    assert (answer["error"]["code"], answer["error"]["where"]) == ("invalid", "manifest.network")
    assert observing.document(story.lab, "provider1", f"/var/lib/avpn/manifests/{own}.json") == before


@pytest.mark.parametrize("voter", ["provider1", "provider2"])
def test_a_provider_without_a_lease_is_refused_by_the_voters(story: Story, voter: str) -> None:
    node = f"{story.account('provider3')}/provider3"
    own, foreign = story.network_id(A), story.network_id(B)
    value = observing.ledger(story.lab, voter, foreign)
    ballot = {"counter": 1, "node": node, "run": "0" * 32, "hash": "0" * 64}
    instance = {"generation": value["generation"], "version": value["version"] + 1, "parent": value["parent"]}
    bodies: list[dict[str, Any]] = [
        {"op": "fetch", "have": None},
        {"op": "prepare", **instance, "ballot": ballot, "hold": 1000, "certificate": None, "shown": None},
        {"op": "accept", **instance, "ballot": ballot, "promises": [], "change": {}, "certificate": None},
        {"op": "learn", "certificate": {}, "value": None},
        {"op": "manifest-get"},
        {"op": "hint", "kind": "ledger", "version": 99},
    ]

    def ask(network: str, *asked: dict[str, Any]) -> list[dict[str, Any]]:
        requests = [{**body, "network": network, "as": node} for body in asked]
        return channel.ask(story.lab, "provider3", voter, channel.PROVIDER_KEY, *requests)

    (fetched,) = ask(own, bodies[0])
    assert fetched["ok"]["fetched"]["value"]["network"] == own
    answers = ask(foreign, *bodies) + ask(UNKNOWN, *bodies)
    assert all(map(refused, answers))
    assert len({str(answer) for answer in answers}) == 1, "an answer tells whether a network exists"
    (versions,) = channel.ask(story.lab, "provider3", voter, channel.PROVIDER_KEY, {"op": "versions", "as": node})
    assert set(versions["ok"]) == {own}


def test_a_tenant_triggers_a_reconciliation_with_its_own_key(story: Story) -> None:
    network, host = story.network_id(A), "provider2"
    before = observing.runs(story.lab, host)[0]
    request = {"op": "reconcile", "network": network, "as": story.account("tenant-a")}
    (answer,) = channel.ask(story.lab, "tenant-a", host, channel.TENANT_KEY, request)
    assert len(answer["ok"]["request"]) == 32
    ran: list[dict[str, Any]] = []

    def done() -> bool:
        ran[:] = [run for run in runs_since(story, host, before) if network in run["requests"]]
        return bool(ran)

    observing.eventually(done, f"a reconciliation of {host} that the tenant asked for")
    assert ran[-1]["outcome"] == "ok"


# --- nothing but the one command


def test_no_shell(story: Story, visitor: tuple[str, str, str]) -> None:
    source, key, identity = visitor
    hello = b'{"op": "hello", "as": "%s"}\n' % identity.encode()
    for command in ("id", "cat /etc/passwd", "/bin/sh"):
        done = channel.ssh(story.lab, source, "provider1", key, command, data=b"id\n" + hello)
        # Whatever was asked for, the peer command answers.
        lines = done.stdout.splitlines()
        assert [next(iter(json.loads(line))) for line in lines] == ["error", "ok"], done.stdout
    done = channel.ssh(story.lab, source, "provider1", key, flags=["-tt"], data=b"id\n")
    assert "PTY allocation request failed" in done.stderr
    assert "uid=" not in done.stdout


def test_no_forwarding(story: Story, visitor: tuple[str, str, str]) -> None:
    source, key, _unused = visitor
    local = channel.ssh(story.lab, source, "provider1", key, flags=["-W", "127.0.0.1:22"])
    assert local.returncode != 0
    assert "SSH-" not in local.stdout
    assert "administratively prohibited" in local.stderr
    for flag, what in (("-R", "0:127.0.0.1:22"), ("-R", "/tmp/lab-socket:127.0.0.1:22"), ("-w", "any")):
        done = channel.ssh(
            story.lab, source, "provider1", key, flags=["-N", "-o", "ExitOnForwardFailure=yes", flag, what]
        )
        # 124 would be our own time limit on a connection that was let stand.
        assert done.returncode == 255, (flag, what, done.stderr)


def test_no_file_transfer(story: Story, visitor: tuple[str, str, str]) -> None:
    source, key, _unused = visitor
    target = f"avpn@{story.lab.host('provider1').address}"
    given = channel.options(key, port_flag="-P")
    commands = (
        ["sftp", "-b", "-", *given, target],
        ["scp", *given, "/etc/hostname", f"{target}:/tmp/lab-transfer"],
        ["scp", "-O", *given, "/etc/hostname", f"{target}:/tmp/lab-transfer"],
        ["scp", *given, f"{target}:/etc/hostname", "/tmp/lab-transfer"],
        ["scp", "-O", *given, f"{target}:/etc/hostname", "/tmp/lab-transfer"],
    )

    def attempt(command: list[str]) -> tuple[int, str]:
        # The old protocol (-O) waits for a word from the other side, which never comes.
        bound = "8" if "-O" in command else "60"
        done = story.lab.execute(source, ["timeout", bound, *command], data=b"ls /\n", check=False)
        return done.returncode, done.stdout

    with ThreadPoolExecutor(len(commands)) as pool:
        for command, (code, said) in zip(commands, pool.map(attempt, commands), strict=True):
            assert code != 0 and (code != 124 or "-O" in command), command
            assert "etc" not in said.split()
    for host in ("provider1", source):
        assert story.lab.execute(host, ["test", "-e", "/tmp/lab-transfer"], check=False).returncode == 1


def test_no_other_user_and_nothing_of_the_teams_own_sshd(story: Story, visitor: tuple[str, str, str]) -> None:
    source, key, _unused = visitor
    for user, port in (("root", channel.PORT), ("nobody", channel.PORT), ("avpn", 22), ("root", 22)):
        done = channel.ssh(story.lab, source, "provider1", key, "id", user=user, port=port)
        assert "Permission denied" in done.stderr, (user, port, done.stderr)
        assert done.stdout == ""
    # sshd runs the forced command with the user's shell, so it has one; but no password opens it.
    password = story.lab.execute("provider1", ["getent", "shadow", "avpn"]).stdout.split(":")[1]
    assert password.startswith(("!", "*"))


def test_a_key_that_no_record_names_is_refused(story: Story) -> None:
    story.lab.execute("tenant-a", ["sh", "-c", "rm -f /tmp/k /tmp/k.pub; ssh-keygen -q -t ed25519 -N '' -f /tmp/k"])
    with pytest.raises(LabError, match="Permission denied"):
        channel.ask(story.lab, "tenant-a", "provider1", "/tmp/k", {"op": "hello", "as": story.account("tenant-a")})

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab itself: what every test on top of it takes for granted."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import Host, Lab, LabError, docker, lease_namespace, machine, process, topology, workload_name
from lab.totals import totals

pytestmark = pytest.mark.lab

LEASE = ("akash1owner", 123, 1, 1, "akash1provider")
POD = workload_name(lease_namespace(*LEASE), 0)


def eventually(check: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def ping(lab: Lab, source: str, address: str) -> bool:
    return lab.execute(source, ["ping", "-c1", "-W1", address], check=False).returncode == 0


@pytest.fixture
def pod(lab: Lab) -> Iterator[str]:
    """A workload namespace on provider1."""
    lab.create_workloads("provider1", POD)
    yield POD
    lab.remove_workloads("provider1", POD)


# --- hosts


def test_every_host_has_booted_without_a_failed_unit(lab: Lab) -> None:
    ask = ["systemctl", "is-system-running", "--wait"]
    states = {name: lab.execute(name, ask).stdout.strip() for name in lab.hosts}
    assert states == dict.fromkeys(states, "running")
    assert {"chain", "provider1", "provider2", "provider3", "tenant-a", "tenant-b"} <= states.keys()


def test_hosts_reach_one_another_by_name_and_the_machine_reaches_them(lab: Lab) -> None:
    for name, host in lab.hosts.items():
        assert ping(lab, "provider1", name)
        assert process.run(["ping", "-c1", "-W1", host.address], check=False).returncode == 0


def test_machine_ids_differ(lab: Lab) -> None:
    ids = [lab.execute(name, ["cat", "/etc/machine-id"]).stdout for name in lab.hosts]
    assert len(set(ids)) == len(ids)


def test_there_is_no_way_out(lab: Lab) -> None:
    # A listener behind the machine, as anything outside would be.
    outside, address = "lab-outside", "203.0.113.2"
    process.run(["ip", "netns", "add", outside])
    try:
        for command in (
            "ip link add lab-outside type veth peer name eth0 netns lab-outside",
            "ip address add 203.0.113.1/30 dev lab-outside",
            "ip link set lab-outside up",
            "ip -n lab-outside link set eth0 up",
            f"ip -n lab-outside address add {address}/30 dev eth0",
            "ip -n lab-outside route add default via 203.0.113.1",
        ):
            process.run(command.split())
        assert process.run(["ping", "-c1", "-W2", address], check=False).returncode == 0
        for name in ("provider1", "tenant-a", "chain"):
            assert not ping(lab, name, address)
            assert lab.execute(name, ["getent", "ahosts", "host.example"], check=False).returncode != 0
    finally:
        process.run(["ip", "link", "delete", "lab-outside"], check=False)
        process.run(["ip", "netns", "delete", outside], check=False)
    networks = docker.inspect("network", [f"{lab.name}-lab"])
    assert networks[0]["Internal"] is True


def test_the_chain_answers_on_both_endpoints(lab: Lab) -> None:
    address = lab.host("chain").address
    for port in (1317, 1327):
        url = f"http://{address}:{port}/cosmos/base/tendermint/v1beta1/blocks/latest"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert int(json.load(answer)["block"]["header"]["height"]) >= 1


# --- organisations


def test_a_team_reaches_its_own_hosts_with_ansible(lab: Lab) -> None:
    result = lab.ansible("provider2", "ansible", "all", "-m", "ping", "-o")
    assert "provider2 | SUCCESS" in result.stdout
    assert "provider1" not in result.stdout


@pytest.mark.parametrize(
    ("organisation", "host"), [("provider1", "provider2"), ("tenant-a", "provider1"), ("provider1", "tenant-a")]
)
def test_nobody_logs_in_on_anothers_host(lab: Lab, organisation: str, host: str) -> None:
    # The host key isn't known there, and where it is, the login is refused.
    assert "Host key verification failed" in lab.ssh(organisation, host, ["true"], check=False).stderr
    own, foreign = lab.organisation(organisation), lab.organisation(host)
    command = [
        f"UserKnownHostsFile={foreign.known_hosts}" if "UserKnown" in part else part for part in own.ssh(lab.host(host))
    ]
    refused = process.run([*command, "true"], check=False)
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr


def test_hosts_hold_no_private_key_of_any_team(lab: Lab) -> None:
    for name, host in lab.hosts.items():
        listed = lab.execute(name, ["find", "/root/.ssh", "/home", "-type", "f"]).stdout.split()
        assert listed == ["/root/.ssh/authorized_keys"]
        allowed = lab.execute(name, ["cat", "/root/.ssh/authorized_keys"]).stdout.splitlines()
        assert [line.split()[-1] for line in allowed] == [f"{host.organisation}-team"]


def test_the_control_environment_has_ansible_cosmpy_and_the_collection(lab: Lab) -> None:
    lab.install_collection("tenant-a")
    version = lab.execute("tenant-a", ["/opt/control/bin/ansible", "--version"]).stdout
    assert "core 2.19" in version
    lab.execute("tenant-a", ["/opt/control/bin/python", "-c", "import cosmpy, netaddr, paramiko, cryptography"])
    listed = lab.execute("tenant-a", ["/opt/control/bin/ansible-galaxy", "collection", "list"]).stdout
    assert "akash.avpn" in listed


def test_a_host_installs_offline_from_the_wheel_house(lab: Lab) -> None:
    environment = ["python3", "-m", "venv", "/tmp/wheels-test"]
    install = ["/tmp/wheels-test/bin/pip", "install", "-q", "--no-index", "--find-links", "/srv/wheels"]
    lab.execute("provider1", environment)
    lock = "/srv/wheels/reconcile.txt"
    lab.execute("provider1", [*install, "--require-hashes", "--no-compile", "-r", lock], timeout=300)
    lab.execute("provider1", ["/tmp/wheels-test/bin/ansible-pull", "--version"])
    lab.execute("provider1", ["rm", "-rf", "/tmp/wheels-test"])


# --- workloads


def test_lease_namespace_is_45_characters_of_base32hex() -> None:
    name = lease_namespace(*LEASE)
    assert name == "q9f6b2s34hmde3vje8r9o44420t83aa0u6k2s1fcv4noe"
    assert len(name) == 45


def test_a_workload_has_its_own_default_route_and_leaks_are_counted(lab: Lab, pod: str) -> None:
    assert f"/run/netns/{pod}" in lab.execute("provider1", ["ls", "-d", f"/run/netns/{pod}"]).stdout
    for family in ("-4", "-6"):
        routes = lab.execute("provider1", ["ip", "-n", pod, family, "route"]).stdout
        assert "default via" in routes
    assert "LOOPBACK,UP" in lab.execute("provider1", ["ip", "-n", pod, "link", "show", "lo"]).stdout
    assert lab.execute_in("provider1", pod, ["ping", "-c1", "-W1", "10.42.0.1"]).returncode == 0
    before = lab.leaked("provider1")
    lab.execute_in("provider1", pod, ["ping", "-c1", "-W1", "100.64.0.1"], check=False)
    lab.execute_in("provider1", pod, ["ping", "-c1", "-W1", "fd12:3456::1"], check=False)
    assert lab.leaked("provider1") >= before + 2


def test_workloads_keep_their_addresses_and_are_made_anew_after_a_boot(lab: Lab, pod: str) -> None:
    show = ["ip", "-n", f"{POD}-x", "-4", "-o", "address", "show", "eth0"]
    lab.create_workloads("provider1", f"{POD}-x")
    before = lab.execute("provider1", show).stdout
    lab.remove_workloads("provider1", pod)
    lab.kill("provider1")
    lab.start("provider1")
    assert lab.execute("provider1", show).stdout.split()[3] == before.split()[3]
    assert f"{POD}-x" in lab.workloads("provider1")
    assert POD not in lab.workloads("provider1")
    assert lab.execute("provider1", ["test", "-e", f"/run/netns/{pod}"], check=False).returncode != 0
    lab.remove_workloads("provider1", f"{POD}-x")


def test_wireguard_runs_in_user_space_and_moves_into_a_namespace(lab: Lab, pod: str) -> None:
    lab.execute("provider1", ["systemd-run", "--collect", "--quiet", "--unit=lab-wg", "wireguard-go", "-f", "labwg0"])
    try:
        assert eventually(lambda: lab.execute("provider1", ["wg", "show", "labwg0"], check=False).returncode == 0)
        lab.execute("provider1", ["ip", "link", "set", "labwg0", "netns", pod])
        lab.execute("provider1", ["ip", "-n", pod, "address", "add", "100.64.0.1/32", "dev", "labwg0"])
        lab.execute("provider1", ["ip", "-n", pod, "link", "set", "labwg0", "up"])
        assert "UP" in lab.execute("provider1", ["ip", "-n", pod, "link", "show", "labwg0"]).stdout
    finally:
        lab.execute("provider1", ["systemctl", "stop", "lab-wg"])


def test_a_namespace_has_nftables_and_kernel_settings_of_its_own(lab: Lab, pod: str) -> None:
    rules = b"""
    table inet labtest {
        set ranges { type ipv4_addr . inet_service; flags interval; elements = { 100.64.0.0/10 . 80-90 } }
        chain input { type filter hook input priority 0; ct mark 7 ip saddr . tcp dport @ranges counter accept; }
    }
    """
    lab.execute_in("provider1", pod, ["nft", "-f", "-"], data=rules)
    assert "100.64.0.0/10 . 80-90" in lab.execute_in("provider1", pod, ["nft", "list", "ruleset"]).stdout
    assert "labtest" not in lab.execute("provider1", ["nft", "list", "ruleset"]).stdout
    lab.execute_in("provider1", pod, ["sysctl", "-qw", "net.ipv4.ip_forward=1"])


# --- what roles and faults need


def test_serf_agents_meet(lab: Lab) -> None:
    hosts = ("provider1", "provider2")
    try:
        for host in hosts:
            bind = f"-bind={lab.host(host).address}"
            join = f"-retry-join={lab.host('provider1').address}"
            lab.execute(host, ["systemd-run", "--collect", "--quiet", "--unit=lab-serf", "serf", "agent", bind, join])
        members = ["serf", "members", "-format=json", "-status=alive"]
        assert eventually(lambda: lab.execute("provider1", members, check=False).stdout.count('"addr"') == 2)
    finally:
        for host in hosts:
            # serf calls a stop without a goodbye a failure
            lab.execute(host, ["systemctl", "stop", "lab-serf"], check=False)
            lab.execute(host, ["systemctl", "reset-failed", "lab-serf"], check=False)


def test_links_are_cut_one_way_or_both_and_heal(lab: Lab) -> None:
    two = lab.host("provider2").address
    try:
        lab.cut("provider1", "provider2")
        assert not ping(lab, "provider1", two)
        assert ping(lab, "provider3", two)
        assert "provider1 -> provider2: cut" in lab.status()
        lab.heal("provider1", "provider2")
        assert ping(lab, "provider1", two)

        # One way: what provider2 sends never arrives at provider1; the other way passes.
        lab.cut("provider2", "provider1", both=False)
        listen = ["timeout", "5", "socat", "-u", "UDP-RECV:4000", "STDOUT"]
        lab.execute("provider2", ["systemd-run", "--collect", "--quiet", "--unit=lab-udp", *listen])
        assert eventually(lambda: ":4000" in lab.execute("provider2", ["cat", "/proc/net/udp"]).stdout or _listens(lab))
        lab.execute("provider1", ["socat", "-u", "STDIN", f"UDP:{two}:4000"], data=b"one way\n")
        assert eventually(lambda: "one way" in lab.execute("provider2", ["journalctl", "-u", "lab-udp"]).stdout)
        assert not ping(lab, "provider1", two)

        lab.heal()
        lab.lose("provider1", "provider2", 50, both=False)
        lab.lose("provider1", "provider2", 99, both=False)
        assert "provider1 -> provider2: loses 99 %" in lab.status()
        result = lab.execute("provider1", ["ping", "-c20", "-i0.01", "-W1", two], check=False).stdout
        assert " 0% packet loss" not in result
    finally:
        lab.heal()
    assert ping(lab, "provider1", two)


def _listens(lab: Lab) -> bool:
    return lab.execute("provider2", ["ss", "-Hlun", "sport", "=", ":4000"]).stdout != ""


def test_a_frozen_host_goes_on_where_it_was(lab: Lab) -> None:
    before = lab.execute("provider3", ["pidof", "sshd"]).stdout
    banner = ["socat", "-u", "-T1", f"TCP:{lab.host('provider3').address}:22", "STDOUT"]
    lab.pause("provider3")
    try:
        assert "SSH" not in lab.execute("provider1", banner, check=False).stdout
    finally:
        lab.start("provider3")
    assert "SSH" in lab.execute("provider1", banner, check=False).stdout
    assert lab.execute("provider3", ["pidof", "sshd"]).stdout == before


def test_a_wiped_host_keeps_name_and_keys_and_nothing_else(lab: Lab) -> None:
    lab.execute("provider3", ["touch", "/var/lib/mark"])
    lab.wipe("provider3")
    assert lab.execute("provider3", ["test", "-e", "/var/lib/mark"], check=False).returncode == 1
    assert lab.ssh("provider3", "provider3", ["hostname"]).stdout.strip() == "provider3"


def test_up_on_a_lab_that_is_up_changes_nothing(lab: Lab) -> None:
    ids = process.run(["docker", "ps", "--quiet", "--filter", f"label=avpn.lab={lab.name}"]).stdout
    lab.up()
    assert process.run(["docker", "ps", "--quiet", "--filter", f"label=avpn.lab={lab.name}"]).stdout == ids


def test_down_leaves_no_trace(lab: Lab) -> None:
    other = Lab(f"{lab.name}-gone")
    subnet = topology.neighbour(2)
    start = subnet.removesuffix("0/24")
    other.up(providers=1, tenants=0, extra=["witness", "provider1b@provider1"], subnet=subnet)
    other.cut("provider1", "witness")
    assert other.organisation("provider1").hosts == (
        Host("provider1", "provider1", "provider", f"{start}11"),
        Host("provider1b", "provider1", "extra", f"{start}32"),
    )
    ids = docker.labelled("container", f"avpn.lab={other.name}")
    other.down()
    assert other.hosts == {}
    assert not other.folder.exists()
    assert docker.inspect("network", [f"{other.name}-lab"]) == []
    assert other.name not in process.run(["nft", "list", "tables"]).stdout
    assert start not in process.run(["ip", "route"]).stdout
    for container in ids:
        left = process.run(["find", "/sys/fs/cgroup", "-name", f"{container}*"], check=False).stdout
        assert left == ""
    assert lab.is_up()


def test_the_daemon_is_stopped_only_when_nobody_needs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pid = tmp_path / "state" / "dockerd.pid"
    process_of_nobody = subprocess.Popen(["true"])
    process_of_nobody.wait()
    monkeypatch.setattr(machine, "docker", lambda *_arguments: "")
    monkeypatch.setattr(machine, "DAEMON", pid)
    monkeypatch.setattr(machine, "DAEMON_USERS", tmp_path / "users")
    monkeypatch.setattr(machine, "INOTIFY_BEFORE", tmp_path / "none")
    pid.parent.mkdir()
    pid.write_text(f"{process_of_nobody.pid}\n", encoding="ascii")
    with machine.daemon_kept(), machine.daemon_kept():
        machine.give_back()
        assert pid.exists()
    machine.give_back()
    assert not pid.exists()


# --- the plan of it


def test_addresses_follow_from_names() -> None:
    plan = topology.build(providers=11, extra=["witness", "provider1b@provider1"])
    where = {host.name: host.address for host in plan.hosts}
    assert where["chain"] == "198.18.0.10"
    assert where["provider1"] == "198.18.0.11"
    assert where["provider11"] == "198.18.0.101"
    assert where["tenant-b"] == "198.18.0.22"
    assert where["witness"] == "198.18.0.31"
    assert len(set(where.values())) == len(where)


def test_labs_beside_one_another_have_ranges_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVPN_LAB_SUBNET", "198.19.255.0/24")
    assert [topology.neighbour(number) for number in (1, 2)] == ["198.19.254.0/24", "198.19.253.0/24"]


def test_totals_are_summed_over_all_reports(tmp_path: Path) -> None:
    for name, counts in (("unit", 'tests="9" failures="1" errors="1" skipped="2"'), ("lab", 'tests="3"')):
        (tmp_path / f"{name}.xml").write_text(f"<testsuites><testsuite {counts}/></testsuites>", encoding="utf-8")
    assert totals(tmp_path) == "8 passed, 2 failed, 2 skipped"


@pytest.mark.parametrize(
    "options",
    [
        {"subnet": "10.0.0.0/24"},
        {"subnet": "198.18.0.0/28"},
        {"name": "Bad_Name"},
        {"providers": 61},
        {"extra": ["provider1"]},
        {"extra": ["a b"]},
    ],
)
def test_a_lab_that_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(LabError):
        topology.build(**options)  # type: ignore[arg-type]

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Provider hosts on this machine: each with a root of its own, the collection's software, and a real sshd."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import jinja2
import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(_ROOT / "tests" / "unit" / "peer"))
sys.path.insert(0, str(_ROOT / "tests" / "unit" / "quorum"))

import scene  # noqa: E402
from ledger_world import Chain, account  # noqa: E402

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import HostRecord, View  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import save_view  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._peer import keys, software  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import SeedSigner  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum.store import Store  # noqa: E402

PORT = 7922
_NET = 64 + os.getpid() % 128  # so that two runs on one machine don't meet


def address_of(number: int) -> str:
    return f"198.18.{_NET}.{number}"


@dataclass
class Host:
    """One host; ``stop`` and ``start`` are its sshd with all its sessions."""

    number: int
    node: NodeId
    paths: Paths
    signer: SeedSigner
    incarnation: str
    process: subprocess.Popen[bytes] | None = None

    def record(self) -> HostRecord:
        return scene.host(
            self.node,
            address_of(self.number),
            PORT,
            ssh_host_key=keys.ssh_public_key(self.paths.ssh_host_key),
            ssh_client_key=keys.ssh_public_key(self.paths.ssh_client_key),
            signing_key=self.signer.public_key,
            incarnation=self.incarnation,
        )

    def change_key(self, seed: bytes) -> None:
        """Another signing key, as the role peer makes one where there is none; sessions go on."""
        beside = self.paths.signing_key.with_name("new")
        beside.write_text(base64.b64encode(seed).decode() + "\n")
        beside.chmod(0o600)
        _give(beside)
        beside.replace(self.paths.signing_key)
        self.signer = SeedSigner(seed)

    def start(self) -> None:
        config = self.paths.etc / "sshd_config"
        log = open(self.paths.root.parent / f"sshd{self.number}.log", "ab")  # noqa: SIM115
        self.process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)],
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        log.close()
        for _unused in range(100):
            with socket.socket() as probe:
                if probe.connect_ex((address_of(self.number), PORT)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("sshd doesn't listen")

    def processes(self) -> list[int]:
        """What sshd has started and still runs. Each session is a process group of its own, so by their parents."""
        return [] if self.process is None else _below(self.process.pid)

    def stop(self, known: Sequence[int] = ()) -> int:
        """Kill sshd and everything it started, wherever they stand; returns how many processes that were.

        ``known``: of ``processes``, a moment ago; they are killed without searching first.
        """
        if self.process is None:
            return 0
        os.kill(self.process.pid, signal.SIGSTOP)  # nothing new is started, nobody loses its parent, no id is reused
        killed: set[int] = set()
        found = list(known) or self.processes()
        while found:
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed.update(found)
            found = self.processes()
        self.process.kill()
        self.process.wait(10)
        self.process = None
        return len(killed) + 1


def _below(pid: int) -> list[int]:
    """All living descendants of a process."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                state, parent = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[:2]
                if state != "Z":
                    children.setdefault(int(parent), []).append(int(entry))
    found = list(children.get(pid, []))
    for one in found:
        found.extend(children.get(one, []))
    return found


@dataclass
class Site:
    """The hosts and the chain they read. ``others``: hosts that only call, and have no sshd."""

    chain: Chain
    hosts: dict[int, Host] = field(default_factory=dict)
    others: dict[NodeId, HostRecord] = field(default_factory=dict)

    def view(self) -> View:
        base = self.chain.view()
        records = {**self.others, **{host.node: host.record() for host in self.hosts.values()}}
        return View("lab", self.chain.height, int(time.time()), base.networks, records)

    def publish(self, height: int = 1) -> None:
        """Blocks pass and every host has read the chain."""
        self.chain.height += height
        view = self.view()
        for host in self.hosts.values():
            save_view(host.paths.view, view)
            _give(host.paths.view)


@pytest.fixture
def site() -> Iterator[Site]:
    if os.geteuid() != 0 or shutil.which("sshd", path="/usr/sbin") is None or shutil.which("wg") is None:
        pytest.skip("needs root, openssh-server and wireguard-tools")
    with opened(3) as made:
        yield made


@contextlib.contextmanager
def opened(voters: int, hosts: int | None = None) -> Iterator[Site]:
    """So many hosts, the first of which are the founders; gone again at the end."""
    hosts = hosts or voters
    _user()
    base = pathlib.Path(tempfile.mkdtemp(prefix="avpn-quorum-", dir="/srv"))
    base.chmod(0o755)
    site = Site(Chain(voters=voters, hosts=hosts))
    numbers = range(1, hosts + 1)
    try:
        for number in numbers:
            subprocess.run(["ip", "address", "replace", f"{address_of(number)}/32", "dev", "lo"], check=True)
            site.hosts[number] = _make(base / f"root{number}", number)
            site.chain.incarnations[number] = site.hosts[number].incarnation
        yield site
    finally:
        for host in site.hosts.values():
            host.stop()
        for number in numbers:
            subprocess.run(["ip", "address", "del", f"{address_of(number)}/32", "dev", "lo"], check=False)
        shutil.rmtree(base)


def _make(root: pathlib.Path, number: int) -> Host:
    node = NodeId(account(f"provider {number}"), f"n{number}")
    at = address_of(number)
    tree = scene.HostTree.make(
        root,
        node,
        peer={"address": at, "port": PORT},
        wireguard={"address": at, "first_port": 52000 + 100 * number, "mtu": 1420},
        gossip={"address": at, "port": 7946},
    )
    paths = tree.paths
    keys.create_ssh_key(paths.ssh_host_key)
    keys.create_ssh_key(paths.ssh_client_key)
    # As in the ledger's unit tests, whose chain names these keys as founders'.
    seed = hashlib.sha256(f"seed {number}".encode()).digest()
    paths.signing_key.write_text(base64.b64encode(seed).decode() + "\n")
    paths.signing_key.chmod(0o600)
    store = Store(paths.voter_database)
    incarnation = store.incarnation
    store.close()
    software.install(paths, software.collect(paths))
    for directory, folders, names in os.walk(paths.state):
        for name in (".", *folders, *names):
            _give(pathlib.Path(directory) / name)
    variables = {
        "ansible_managed": "test",
        "peer_port": PORT,
        "peer_listen": [at],
        "peer_max_startups": "20:50:60",
        "_peer_etc": str(paths.etc),
        "_peer_lib": str(paths.software),
    }
    template = (_ROOT / "roles/peer/templates/sshd_config.j2").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    (paths.etc / "sshd_config").write_text(environment.from_string(template).render(variables))
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    host = Host(number, node, paths, SeedSigner(seed), incarnation)
    host.start()
    return host


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("avpn")
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--home-dir", "/var/lib/avpn", "--shell", "/bin/sh"]
        subprocess.run([*command, "--password", "*", "avpn"], check=True)
        return pwd.getpwnam("avpn")


def _give(path: pathlib.Path) -> None:
    entry = _user()
    os.chown(path, entry.pw_uid, entry.pw_gid)


def module_result(name: str, arguments: dict[str, object], *, check: bool = False) -> dict[str, object]:
    """Run a module as Ansible would, in a process of its own, and return what it said."""
    script = (
        "import json, sys, runpy\n"
        "from ansible.module_utils.testing import patch_module_args\n"
        f"with patch_module_args(json.loads({json.dumps(json.dumps({**arguments, '_ansible_check_mode': check}))})):\n"
        f"    runpy.run_module('ansible_collections.akash.avpn.plugins.modules.{name}', run_name='__main__')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(_ROOT / "build" / "import")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False, env=environment
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert lines, done.stdout + done.stderr
    result: dict[str, object] = json.loads(lines[-1])
    return result

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's peer channel as it really is: the collection's software installed below a root of its own, and a real
sshd with the role's own configuration, on loopback."""

from __future__ import annotations

import base64
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import jinja2
import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(_ROOT / "tests" / "unit" / "peer"))

import scene  # noqa: E402

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import HostRecord, NetworkView  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._peer import keys, software  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._peer.client import PeerClient  # noqa: E402

USER = "avpn"


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--home-dir", "/var/lib/avpn", "--shell", "/bin/sh"]
        subprocess.run([*command, "--password", "*", USER], check=True)
        return pwd.getpwnam(USER)


@dataclass
class Channel:
    """One host with its sshd, and the keys of those who call it."""

    tree: scene.HostTree
    port: int
    keys: pathlib.Path
    networks: list[NetworkView] = field(default_factory=list)
    hosts: dict[NodeId, HostRecord] = field(default_factory=dict)

    def key(self, label: str) -> pathlib.Path:
        """The private key file of a caller, made when first asked for."""
        path = self.keys / label.replace("/", "-")
        keys.create_ssh_key(path)
        return path

    def public(self, label: str) -> str:
        return keys.ssh_public_key(self.key(label))

    def client(self, identity: NodeId | str, label: str, **options: object) -> PeerClient:
        """A caller with the key of this label that says it acts as ``identity``."""
        settings: dict[str, object] = {"check_address": lambda _record: None, "connect_seconds": 5.0, **options}
        return PeerClient(identity, self.hosts, self.key(label), **settings)  # type: ignore[arg-type]

    def ssh(
        self,
        label: str,
        *arguments: str,
        command: str = "ssh",
        user: str = USER,
        input_: bytes = b"",
        seconds: float = 60,
    ) -> subprocess.CompletedProcess[bytes]:
        """OpenSSH's own client with a caller's key."""
        port = "-P" if command in ("scp", "sftp") else "-p"
        options = [port, str(self.port), "-i", str(self.key(label)), "-F", "none", "-T" if command == "ssh" else "-q"]
        for option in (
            "IdentitiesOnly=yes",
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
        ):
            options += ["-o", option]
        target = [f"{user}@127.0.0.1"] if command == "ssh" else []
        return subprocess.run(
            [command, *options, *target, *arguments], input=input_, capture_output=True, timeout=seconds, check=False
        )

    def save(self) -> None:
        self.tree.save(scene.view(self.networks, list(self.hosts.values())))
        _give(self.tree.paths.view)


def _give(path: pathlib.Path) -> None:
    entry = _user()
    os.chown(path, entry.pw_uid, entry.pw_gid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def channel() -> Iterator[Channel]:
    """A running host P1 that knows nobody yet. sshd wants every directory above its commands to be root's alone."""
    if os.geteuid() != 0 or shutil.which("sshd", path="/usr/sbin") is None:
        pytest.skip("needs root and openssh-server")
    _user()
    base = pathlib.Path(tempfile.mkdtemp(prefix="avpn-test-", dir="/srv"))
    base.chmod(0o755)
    process: subprocess.Popen[bytes] | None = None
    try:
        tree = scene.HostTree.make(base / "root", scene.P1)
        for directory, folders, names in os.walk(tree.paths.state):
            for name in (".", *folders, *names):
                _give(pathlib.Path(directory) / name)
        (base / "keys").mkdir(mode=0o700)
        software.install(tree.paths, software.collect(tree.paths))
        keys.create_ssh_key(tree.paths.ssh_host_key)
        found = Channel(tree, _free_port(), base / "keys")
        process = _start(found)
        yield found
    finally:
        if process is not None:
            process.terminate()
            process.wait(10)
        shutil.rmtree(base)


def _start(channel: Channel) -> subprocess.Popen[bytes]:
    template = _ROOT / "roles/peer/templates/sshd_config.j2"
    variables = {
        "ansible_managed": "test",
        "peer_port": channel.port,
        "peer_listen": ["127.0.0.1"],
        "peer_max_startups": "20:50:60",
        "_peer_etc": str(channel.tree.paths.etc),
        "_peer_lib": str(channel.tree.paths.software),
    }
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    config = channel.tree.paths.etc / "sshd_config"
    config.write_text(environment.from_string(template.read_text()).render(variables))
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    subprocess.run(["/usr/sbin/sshd", "-t", "-f", str(config)], check=True)
    log = open(channel.keys.parent / "sshd.log", "wb")  # noqa: SIM115 - belongs to the process
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=log, stdin=subprocess.DEVNULL)
    log.close()
    for _unused in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", channel.port)) == 0:
                return process
        time.sleep(0.05)
    raise AssertionError("sshd doesn't listen")


@pytest.fixture
def populated(channel: Channel) -> Channel:
    """P1 with Alice's network (P1, P2 hold leases), a network of Bob's here (P1, P3) and one elsewhere (P2, P4)."""
    for node in (scene.P1, scene.P2, scene.P3, scene.P4):
        channel.hosts[node] = scene.host(
            node,
            "127.0.0.1",
            channel.port,
            ssh_host_key=keys.ssh_public_key(channel.tree.paths.ssh_host_key),
            ssh_client_key=channel.public(str(node)),
        )
    channel.networks = [
        scene.network(scene.ALICE, "prod", (scene.P1, scene.P2), access=(channel.public("alice"),)),
        scene.network(scene.BOB, "prod", (scene.P1, scene.P3), access=(channel.public("bob"),)),
        scene.network(scene.BOB, "away", (scene.P2, scene.P4), access=(channel.public("bob away"),)),
    ]
    channel.save()
    return channel


def base64_of(public: str) -> bytes:
    return base64.b64decode(public.split(" ")[1])

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one organisation has on its desk: keys, known hosts, inventory, ansible.cfg.

All of it lies in one folder; nothing in there opens another organisation's hosts.
"""

from __future__ import annotations

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from .keys import ensure_key, known_hosts_line
from .topology import ROOT, Host

CONFIG = """\
# Made by the lab.
[defaults]
inventory = {folder}/inventory
collections_path = {collections}
host_key_checking = true
interpreter_python = /usr/bin/python3
private_key_file = {folder}/ssh/id_ed25519
remote_user = root
local_tmp = {folder}/tmp
retry_files_enabled = false
forks = 10

[ssh_connection]
pipelining = true
ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o IdentitiesOnly=yes \
-o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null \
-o UserKnownHostsFile={folder}/ssh/known_hosts
control_path_dir = {folder}/cp
"""


@dataclass(frozen=True)
class Organisation:
    """A provider's operations team, a tenant, or whoever runs the chain."""

    name: str
    folder: Path
    hosts: tuple[Host, ...]

    @property
    def key(self) -> Path:
        """The private SSH key that opens this organisation's hosts as root."""
        return self.folder / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Host keys of this organisation's hosts, and of nobody else's."""
        return self.folder / "ssh" / "known_hosts"

    @property
    def inventory(self) -> Path:
        """A folder, so that a test may lay group_vars or a second source beside hosts.yml."""
        return self.folder / "inventory"

    def write(self) -> None:
        """Make what is missing; never make a key anew."""
        self.inventory.mkdir(parents=True, exist_ok=True)
        ensure_key(self.key, f"{self.name}-team")
        pinned = [known_hosts_line((host.name, host.address), self.host_key(host)) for host in self.hosts]
        self.known_hosts.write_text("".join(pinned), encoding="utf-8")
        config = CONFIG.format(folder=self.folder, collections=ROOT / "build" / "collections")
        (self.folder / "ansible.cfg").write_text(config, encoding="utf-8")
        (self.inventory / "hosts.yml").write_text(self._inventory(), encoding="utf-8")

    def host_key(self, host: Host) -> str:
        """Public half of the SSH key of a host's own sshd."""
        return ensure_key(self.folder / "hosts" / host.name / "ssh_host_ed25519_key", host.name)

    def host_files(self, host: Host) -> bytes:
        """A tar archive with the keys as they lie on a host, for its root directory."""
        self.host_key(host)
        folder = self.folder / "hosts" / host.name
        files = {
            "etc/ssh/ssh_host_ed25519_key": (folder / "ssh_host_ed25519_key", 0o600),
            "etc/ssh/ssh_host_ed25519_key.pub": (folder / "ssh_host_ed25519_key.pub", 0o644),
            "root/.ssh/authorized_keys": (self.key.with_name("id_ed25519.pub"), 0o600),
        }
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, (source, mode) in files.items():
                content = source.read_bytes()
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), mode
                tar.addfile(entry, io.BytesIO(content))
        return archive.getvalue()

    def environment(self) -> dict[str, str]:
        """This process's environment, set up for Ansible as this organisation runs it."""
        own = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        own["ANSIBLE_CONFIG"] = str(self.folder / "ansible.cfg")
        own["PATH"] = f"{ROOT / 'build' / 'venv' / 'bin'}:{own.get('PATH', os.defpath)}"
        return own

    def ssh(self, host: Host) -> list[str]:
        """The ssh command line to a host with this organisation's key and known hosts."""
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"]
        options += ["GlobalKnownHostsFile=/dev/null", f"UserKnownHostsFile={self.known_hosts}"]
        options += ["ConnectTimeout=10"]
        flags = [part for option in options for part in ("-o", option)]
        return ["ssh", "-F", "none", "-i", str(self.key), *flags, f"root@{host.address}"]

    def _inventory(self) -> str:
        lines = ["# Made by the lab.", "all:", "  children:"]
        for role in dict.fromkeys(host.role for host in self.hosts):
            lines += [f"    lab_{role}:", "      hosts:"]
            for host in self.hosts:
                if host.role == role:
                    lines += [f"        {host.name}:", f"          ansible_host: {host.address}"]
        lines += ["  vars:", "    ansible_connection: ssh", "    ansible_user: root"]
        lines += ["    ansible_python_interpreter: /usr/bin/python3"]
        return "\n".join(lines) + "\n"

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Sends the collection this plugin belongs to along with the module, when the host hasn't got it yet."""

from __future__ import annotations

import hashlib
import io
import pathlib
import tarfile
import tempfile

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_PREFIX = "ansible_collections/akash/avpn"
# What running playbooks needs; documentation, tests and whatever lies in a checkout stays behind. A collection
# installed from these files has the same digest, so a host that installs its own changes nothing.
_PARTS = ("LICENSES", "meta", "playbooks", "plugins", "roles", "galaxy.yml", "MANIFEST.json", "FILES.json", "README.md")


class ActionModule(ActionBase):
    """Two calls of the module at most: one that looks, and one with the files if they are missing."""

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        try:
            path = self._loader.get_real_file(self._find_needle("files", arguments.get("requirements") or ""))
            arguments["lock"] = pathlib.Path(path).read_text(encoding="utf-8")
        except (AnsibleError, OSError) as error:
            raise AnsibleActionFail(f"requirements can't be read: {error}") from error
        files = collection_files(_ROOT)
        arguments["collection"] = digest(files)
        result.update(self._call(arguments, task_vars))
        if result.get("needs_archive") and not self._task.check_mode:
            with tempfile.NamedTemporaryFile(prefix="avpn-collection-", suffix=".tar.gz") as archive:
                archive.write(pack(files))
                archive.flush()
                remote = self._connection._shell.join_path(self._make_tmp_path(), "collection.tar.gz")
                self._transfer_file(archive.name, remote)
                self._fixup_perms2((remote,))
            arguments["archive"] = remote
            result.update(self._call(arguments, task_vars))
        return result

    def _call(self, arguments, task_vars):
        return self._execute_module("akash.avpn.pull_environment", module_args=arguments, task_vars=task_vars)


def collection_files(root):
    """``{path in the collection: (content, executable)}`` of what is sent; links and caches are left out."""
    found = {}
    for part in _PARTS:
        start = root / part
        for path in [start] if start.is_file() else sorted(start.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not path.is_symlink() and "__pycache__" not in name and not _hidden(name):
                found[name] = (path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return found


def digest(files):
    """SHA-256 over names, contents and executable bits."""
    total = hashlib.sha256()
    for name, (content, executable) in sorted(files.items()):
        total.update(f"{name}\0{executable:d}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def pack(files):
    """A gzipped tar of the files below ``ansible_collections/akash/avpn``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=5) as archive:
        for name, (content, executable) in sorted(files.items()):
            member = tarfile.TarInfo(f"{_PREFIX}/{name}")
            member.size = len(content)
            member.mode = 0o755 if executable else 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _hidden(name):
    return any(part.startswith(".") for part in name.split("/"))

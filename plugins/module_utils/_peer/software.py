# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Installing this very code on a host, as the package ``avpn`` below ``/usr/lib/avpn/<digest>``.

The sources come from wherever the running code was imported from (Ansible's zip file or a directory), so
that nothing is written twice and the host runs what the module ran. The switch is the renaming of one link;
running processes keep the version they started with, which is why the previous one stays.
"""

from __future__ import annotations

import hashlib
import os
import pkgutil
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from .._common.errors import Unsupported
from . import files
from .paths import Paths

_PYTHON = "/usr/bin/python3"
_COMPILE_SECONDS = 120


@dataclass(frozen=True)
class EntryPoint:
    """A command: the module with its ``main(paths)``, and whether it needs distribution packages."""

    module: str
    packages: bool = True


ENTRY_POINTS: Mapping[str, EntryPoint] = {
    "peer": EntryPoint("_peer.command"),
    "keys": EntryPoint("_peer.authorized_keys", packages=False),
    "hint": EntryPoint("_peer.hint_command", packages=False),
    "fastpath": EntryPoint("_peer.fastpath"),
    "ring": EntryPoint("_peer.ring_command"),
    "config": EntryPoint("_peer.config_command", packages=False),
    "revert": EntryPoint("_overlay.revert"),
}


@dataclass(frozen=True)
class Software:
    """Everything below ``/usr/lib/avpn``: sources by path (``avpn/_peer/paths.py``), commands by name."""

    sources: Mapping[str, str]
    commands: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Names the version: 16 hexadecimal digits over all sources."""
        state = hashlib.sha256()
        for path, text in sorted(self.sources.items()):
            data = text.encode()
            state.update(f"{path} {len(data)}\n".encode() + data)
        return state.hexdigest()[:16]


def short_digest(text: str) -> str:
    """Enough of a text's SHA-256 to tell versions apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def collect(paths: Paths) -> Software:
    """The running code as software for the host: every module of this package that can be imported here."""
    package = __name__.rsplit(".", 2)[0]
    sources = {"avpn/__init__.py": ""}
    root = find_spec(package)
    if root is None or root.submodule_search_locations is None:
        raise Unsupported("the running code is not a package that can be copied", where=package)
    for module in pkgutil.walk_packages(root.submodule_search_locations, package + "."):
        spec = find_spec(module.name)
        source = getattr(spec.loader, "get_source", None) if spec is not None else None
        text = source(module.name) if source is not None else None
        relative = "avpn/" + module.name[len(package) + 1 :].replace(".", "/")
        sources[relative + ("/__init__.py" if module.ispkg else ".py")] = text or ""
    for entry in ENTRY_POINTS.values():
        if f"avpn/{entry.module.replace('.', '/')}.py" not in sources:
            raise Unsupported("is missing from the running code", where=entry.module)
    commands = {f"avpn-{name}": _command(paths, entry) for name, entry in ENTRY_POINTS.items()}
    return Software(sources, commands)


def installed(paths: Paths) -> Software | None:
    """What is installed and current; None when nothing is."""
    current = paths.software / "current"
    if not current.is_dir():
        return None
    sources = {str(path.relative_to(current)): path.read_text("utf-8") for path in current.rglob("*.py")}
    present = [paths.command(name) for name in ENTRY_POINTS]
    commands = {path.name: path.read_text("utf-8") for path in present if path.exists()}
    return Software(sources, commands)


def install(paths: Paths, software: Software) -> None:
    """Put the software in place, byte-compiled, and switch to it. Keeps the version before, removes older ones."""
    home = paths.software
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    target = home / software.digest
    current = home / "current"
    before = os.readlink(current) if current.is_symlink() else None
    if not _holds(target, software):
        _write_tree(home, target, software)
    (home / "bin").mkdir(mode=0o755, exist_ok=True)
    for name, text in software.commands.items():
        files.write(home / "bin" / name, text.encode(), mode=0o755)
    if before != software.digest:
        temporary = home / f".current.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(software.digest)
        os.replace(temporary, current)
        files.sync_directory(home)
        _remove_others(home, {"bin", "current", software.digest, before or ""})


def _holds(target: Path, software: Software) -> bool:
    found = {str(path.relative_to(target)): path.read_text("utf-8") for path in target.rglob("*.py")}
    return found == dict(software.sources)


def _write_tree(home: Path, target: Path, software: Software) -> None:
    fresh = Path(tempfile.mkdtemp(prefix=".new.", dir=home))
    try:
        for name, text in software.sources.items():
            path = fresh / name
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        fresh.chmod(0o755)
        # The source never changes below its digest, so nothing need be compared with it at every start.
        subprocess.run(
            [_PYTHON, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(fresh / "avpn")],
            check=True,
            timeout=_COMPILE_SECONDS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            umask=0o022,
        )
        os.sync()
        if target.exists():  # somebody changed a file in it
            shutil.rmtree(target)
        os.rename(fresh, target)
    except subprocess.SubprocessError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise Unsupported("the host's Python can't compile the software", where=_PYTHON) from error
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _remove_others(home: Path, keep: set[str]) -> None:
    for path in home.iterdir():
        if path.name not in keep and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _command(paths: Paths, entry: EntryPoint) -> str:
    """A command's text. Isolated from the environment; without site packages where none are needed, for speed."""
    flags = "-I" if entry.packages else "-IS"
    return f'''#!{_PYTHON} {flags}
# Written by akash.avpn.host_software.
import os
import sys
from pathlib import Path

sys.path.insert(0, os.path.realpath("{paths.software}/current"))

from avpn._peer.paths import Paths
from avpn.{entry.module} import main

sys.exit(main(Paths(Path("{paths.root}"))))
'''

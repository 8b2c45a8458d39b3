# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment ansible-pull runs from: a virtual environment made from a lock with hashes, and this collection.

Below one directory: ``venv-<digest of lock and Python>``, ``collections-<digest of content>``, and ``current.json``,
``{"venv", "collections"}``, which is replaced in one step. A finished directory never changes, so installing a newer
one takes nothing away from a run that is under way, also when that run is what installs it; directories that
nothing uses are removed by the next installation. Who runs from a directory holds a shared lock on its marker.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .._common.errors import AvpnError, InvalidInput, Unavailable, Unsupported
from .._peer import files

_MARKER = ".complete"
_SECONDS = 900


@dataclass(frozen=True)
class Environment:
    """Absolute paths: a virtual environment, and a directory that holds ``ansible_collections``."""

    venv: Path
    collections: Path


def wanted(directory: Path, *, lock: str, python: str, collection: str) -> Environment:
    """Where the environment for this lock, interpreter and collection digest belongs."""
    version = _output([python, "-c", "import sys; print(sys.version)"], f"the interpreter {python}")
    digest = hashlib.sha256(f"{version}\n{lock}".encode()).hexdigest()
    return Environment(directory / f"venv-{digest[:16]}", directory / f"collections-{collection[:16]}")


def current(directory: Path) -> Environment | None:
    """The environment in use; None if there is none, or what is said about it is damaged."""
    try:
        document = json.loads((directory / "current.json").read_bytes())
        return Environment(directory / str(document["venv"]), directory / str(document["collections"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def complete(path: Path) -> bool:
    """Whether an environment's directory was finished."""
    return (path / _MARKER).is_file()


def make_venv(path: Path, *, python: str, lock: str, pip_arguments: Sequence[str]) -> None:
    """Make the virtual environment at ``path``; every package must match a hash of ``lock``."""
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    _output([python, "-m", "venv", str(path)], f"making a virtual environment with {python}")
    (path / "requirements.txt").write_text(lock, encoding="utf-8")
    install = [str(path / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install += ["--require-hashes", "--only-binary", ":all:", "--requirement", str(path / "requirements.txt")]
    _output([*install, *pip_arguments], "pip")
    _finish(path)


def unpack_collection(path: Path, archive: Path) -> None:
    """Unpack the archive (plain files below ``ansible_collections/``) and put it in place in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name)
                if not member.isreg() or name.is_absolute() or ".." in name.parts:
                    raise InvalidInput("holds something else than files below it", where=str(archive))
                target = temporary / name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                if source is not None:
                    target.write_bytes(source.read())
                    target.chmod(0o755 if member.mode & 0o100 else 0o644)
        temporary.chmod(0o755)
        _finish(temporary)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    except (OSError, tarfile.TarError) as error:
        raise Unavailable(f"can't be unpacked: {error}", where=str(archive)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def switch(directory: Path, environment: Environment) -> None:
    """Make ``environment`` the one that the next run takes."""
    names = {"venv": environment.venv.name, "collections": environment.collections.name}
    files.write(directory / "current.json", json.dumps(names).encode() + b"\n")


def clean(directory: Path) -> list[str]:
    """Remove what is neither current nor in use; the names of what was removed."""
    now = current(directory)
    kept = {now.venv.name, now.collections.name} if now else set()
    removed = []
    for pattern in ("venv-*", "collections-*", ".collections-*"):
        for path in sorted(directory.glob(pattern)):
            if path.name not in kept and _unused(path):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path.name)
    return removed


@contextlib.contextmanager
def in_use(directory: Path) -> Iterator[Environment]:
    """The current environment, kept from being removed while the block runs."""
    for _attempt in range(5):  # it may be replaced and removed between reading and locking
        found = current(directory)
        if found is None or not complete(found.venv) or not complete(found.collections):
            continue
        with contextlib.ExitStack() as locks:
            try:
                for path in (found.venv, found.collections):
                    fcntl.flock(locks.enter_context(open(path / _MARKER, "rb")), fcntl.LOCK_SH)
            except OSError:
                continue
            if complete(found.venv) and complete(found.collections):
                yield found
                return
    raise Unsupported(
        "holds no finished environment", where=str(directory), remedy="Run the role akash.avpn.reconcile on this host"
    )


def _unused(path: Path) -> bool:
    try:
        with open(path / _MARKER, "rb") as marker:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True  # half made
    except OSError:
        return False
    return True


def _finish(path: Path) -> None:
    (path / _MARKER).touch()
    os.sync()


def _output(command: list[str], what: str) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"failed: {error}", where=what) from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[-600:]
        raise AvpnError(f"failed: {said}", where=what)
    return done.stdout

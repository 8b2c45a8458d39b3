# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Doing something with the rights of avpn from a process of root.

Root never opens, makes or changes anything itself in directories that avpn can write: whoever got hold of
avpn could put links there. A forked child gives its rights up for good and does it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pwd
import selectors
import signal
import time
import zipfile
from collections.abc import Callable
from typing import Any

from .._common.errors import AvpnError, InvalidInput, NotPermitted, Unavailable, Unsupported

USER = "avpn"
_MOST = 64 << 20  # bytes of a result
_FAMILY: dict[str, type[AvpnError]] = {
    family.__name__: family for family in (AvpnError, InvalidInput, NotPermitted, Unavailable, Unsupported)
}


def as_user(user: str, function: Callable[[], Any], *, seconds: float) -> Any:
    """What ``function`` returns (JSON values), run with the rights of ``user``.

    Without root's rights it is simply called. An AvpnError of the function is raised here again; a child
    that dies or takes longer than ``seconds`` raises Unavailable.
    """
    if os.geteuid() != 0:
        return function()
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise Unsupported(f"there is no user {user}", remedy="Run the role akash.avpn.peer on this host") from error
    _import_archive()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(entry, function, writing)
    os.close(writing)
    try:
        data = _collect(reading, time.monotonic() + seconds)
    except TimeoutError as error:
        os.kill(child, signal.SIGKILL)
        raise Unavailable(f"took longer than {seconds:g} s", where=f"process of {user}") from error
    finally:
        os.close(reading)
        os.waitpid(child, 0)
    try:
        result = json.loads(data)
    except ValueError as error:
        raise Unavailable("ended without a result", where=f"process of {user}") from error
    if "error" in result:
        family, what, where, remedy = result["error"]
        raise _FAMILY.get(family, AvpnError)(what, where=where, remedy=remedy)
    return result["ok"]


def _import_archive() -> None:
    """Import all of the collection's code that came in an archive.

    Ansible ships a module as a zip file that only root may read, and much here is imported where it is
    needed: the child couldn't any more.
    """
    archive = getattr(__spec__.loader, "archive", None) if __spec__ is not None else None
    if archive is None:
        return
    root = __name__.rpartition("._peer.")[0]
    folder = root.replace(".", "/") + "/"
    with zipfile.ZipFile(archive) as files:
        names = [name for name in files.namelist() if name.startswith(folder) and name.endswith(".py")]
    for name in names:
        # What lacks a library here fails where it is used, with an error that says so.
        with contextlib.suppress(ImportError):
            importlib.import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def _child(entry: pwd.struct_passwd, function: Callable[[], Any], writing: int) -> None:
    """Never returns: a child that got back into its parent's code would do the parent's work twice."""
    status = 1
    try:
        os.setgroups([])
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
        os.umask(0o022)
        os.chdir("/")
        try:
            result = {"ok": function()}
        except AvpnError as error:
            result = {"error": [type(error).__name__, error.what, error.where, error.remedy]}
        except OSError as error:
            result = {"error": ["Unavailable", error.strerror or "failed", str(error.filename or ""), ""]}
        with os.fdopen(writing, "wb") as stream:
            stream.write(json.dumps(result).encode())
        status = 0
    except BaseException:  # noqa: BLE001 - see above
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _collect(reading: int, deadline: float) -> bytes:
    data = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while len(data) <= _MOST:
            if not selector.select(max(deadline - time.monotonic(), 0)):
                raise TimeoutError
            part = os.read(reading, 1 << 16)
            if not part:
                break
            data += part
    return bytes(data)

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The newest certified value on disk, checked whenever it is read: ``/var/lib/avpn/ledger/<network id>.json``."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .._chain.model import Voter
from .._common import canonical, fields
from .._common.canonical import Json
from .._common.errors import AvpnError, InvalidInput, Unavailable
from .._common.regular import read_regular
from .codec import MAX_BYTES, value_from_json, value_hash, value_json
from .errors import BadProof
from .messages import Certificate, Certified
from .requests import parse_links
from .signing import verify_batch
from .value import Value

_LIMIT = MAX_BYTES + (4 << 20)  # with its certificate and links
_START = '{"certificate":'
_HEAD = 64 << 10  # bytes in which the certificate surely ends; the value, much longer, follows it


class LedgerCache:
    """Certified values in one directory, one file each, mode 0644."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self._directory = Path(directory)

    def path(self, network: str) -> Path:
        """The file of a network."""
        return self._directory / f"{network}.json"

    def load(self, network: str, generation: int, founders: Sequence[Voter]) -> Certified | None:
        """The newest value known here; None if there is none of this generation, or what is there proves nothing."""
        try:
            certified = read_certified(self.path(network))
            if certified is None or certified.value.generation != generation:
                return None
            certified.verify(founders, network)
        except AvpnError:
            # A damaged or foreign file is no fact; the next fetch replaces it.
            return None
        return certified

    def save(self, certified: Certified) -> bool:
        """Keep a verified value unless one as new is there; tells whether the file changed. Unavailable: no room."""
        network = certified.value.network
        if self._holds(certified):
            return False
        document: dict[str, Json] = {
            "certificate": certified.certificate.to_json(),
            "links": [link.to_json() for link in certified.links],
            "value": value_json(certified.value),
        }
        try:
            write_atomically(self.path(network), canonical.dumps(document) + b"\n")
        except OSError as error:
            raise Unavailable(f"can't be written: {error.strerror}", where=str(self.path(network))) from error
        return True

    def _holds(self, certified: Certified) -> bool:
        """Whether a value as new is there, undamaged. One look at the certificate tells most often that none is."""
        path = self.path(certified.value.network)
        try:
            with open(path, "rb") as file:
                head = file.read(_HEAD)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Unavailable(f"can't be read: {error.strerror}", where=str(path)) from error
        try:
            text = head.decode("utf-8", "replace").removeprefix(_START)
            document, _end = json.JSONDecoder().raw_decode(text)
            if Certificate.from_json(document, str(path)).position < certified.certificate.position:
                return False
            known = read_certified(path)
        except (InvalidInput, ValueError, RecursionError):
            return False
        return known is not None and value_hash(known.value) == known.certificate.hash

    def remove(self, network: str) -> bool:
        """Forget a network; tells whether there was anything."""
        try:
            self.path(network).unlink()
        except FileNotFoundError:
            return False
        return True


def read_certified(path: Path) -> Certified | None:
    """What a cache file holds, by its form only; None if there is no file. InvalidInput: it isn't one."""
    try:
        data = read_regular(path, most=_LIMIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"can't be read: {error.strerror}", where=str(path)) from error
    return certified_from_json(canonical.loads(data, where=str(path), limit=_LIMIT), str(path))


def certified_from_json(document: Any, where: str) -> Certified:
    """``{certificate, links, value}``; not verified yet."""
    raw = fields.obj(document, where, required={"certificate", "links", "value"})
    return Certified(
        Certificate.from_json(raw["certificate"], f"{where}.certificate"),
        value_from_json(raw["value"], f"{where}.value"),
        parse_links(raw["links"], f"{where}.links"),
    )


def verify_signatures(value: Value) -> None:
    """Raise BadProof unless every batch's signature is good: what a host checks before it plans with a value.

    That each entry is covered was checked by the voters; a certificate says so.
    """
    for name, batch in value.batches.items():
        if not verify_batch(value.network, batch):
            raise BadProof("has a wrong signature", where=f"batches.{name}")


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Whole or not at all: written beside it, synchronised, renamed. A new file belongs to the directory's owner."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if os.geteuid() == 0:
                # Reconciliation runs as root, the peer command as avpn: both must be able to replace the file.
                owner = path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

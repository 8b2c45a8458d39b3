# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifests this host has verified: one running per network, and evidence of contradictions beside it.

``<network id>.json`` is the envelope that was verified here and runs. It is replaced only by a higher version.
``<network id>.contradiction.json`` appears when the owner signed another content with the running version: the
running one stays and neither is handed on, until a higher version ends the contradiction.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from .._chain.model import HostRecord, NetworkRecord
from .._common import fields
from .._common.errors import InvalidInput, Unavailable
from .._common.regular import read_regular
from .._policy.expectations import check_tests, ula
from . import content, envelope
from .coverage import addresses_of, check_routes
from .model import Manifest, SignedManifest
from .schema import check_members


@dataclass(frozen=True)
class Adopted:
    """The manifest is new here and is the running one now."""

    version: int
    sha256: str


@dataclass(frozen=True)
class Unchanged:
    """The same content with the same version was there already."""

    version: int
    sha256: str


@dataclass(frozen=True)
class Contradicted:
    """The owner signed two contents with one version: ``running`` stays, ``other`` is kept as evidence."""

    version: int
    running: str  # SHA-256
    other: str  # SHA-256

    def __str__(self) -> str:
        return (
            f"the owner signed two different manifests with version {self.version} "
            f"({self.running[:12]} runs here, {self.other[:12]} is kept as evidence); a higher version ends this"
        )


Outcome = Union[Adopted, Unchanged, Contradicted]


class ManifestStore:
    """The directory of verified manifests. Safe between processes: adopting takes a lock."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def adopt(self, signed: SignedManifest, record: NetworkRecord) -> Outcome:
        """Verify ``signed`` against the network's record and make it the running one.

        Raises InvalidInput naming what is wrong: another network, not the owner's signature, older than the
        running version (a replay) or than the chain's floor, not the floor's content, not a valid manifest, a
        member the network doesn't have, a test that doesn't hold.
        """
        if signed.network != record.id:
            raise InvalidInput("is the manifest of another network", where="manifest.network")
        envelope.verify(signed, record.owner)
        sha256 = content.sha256(dict(signed.content))
        with self._lock():
            running = self.current(signed.network)
            if running is not None:
                running_sha256 = content.sha256(dict(running.content))
                if signed.version < running.version:
                    raise InvalidInput(
                        f"is {signed.version}, but version {running.version} runs here already",
                        where="manifest.version",
                    )
                if signed.version == running.version:
                    if sha256 == running_sha256:
                        return Unchanged(signed.version, sha256)
                    if self.contradiction(signed.network) is None:
                        self._write(self._evidence(signed.network), signed)
                    return Contradicted(signed.version, running_sha256, sha256)
            _check_floor(signed.version, sha256, record)
            check_content(dict(signed.content), record)
            self._write(self._path(signed.network), signed)
            self._evidence(signed.network).unlink(missing_ok=True)
        return Adopted(signed.version, sha256)

    def current(self, network: str) -> SignedManifest | None:
        """The envelope that runs here, as it was verified when it was adopted; None: none yet."""
        return self._read(self._path(network))

    def running(self, record: NetworkRecord) -> tuple[Manifest, int] | None:
        """What runs, verified and parsed again, with its version: for whoever doesn't trust the directory's owner.

        The floor and the members aren't looked at: what runs goes on until something newer has been verified.
        """
        signed = self.current(record.id)
        if signed is None:
            return None
        if signed.network != record.id:
            raise InvalidInput("is the manifest of another network", where=str(self._path(record.id)))
        envelope.verify(signed, record.owner)
        return content.check(dict(signed.content)), signed.version

    def offered(self, network: str) -> SignedManifest | None:
        """What may be handed to other hosts: the running one, or nothing while it is contradicted."""
        return None if self.contradiction(network) is not None else self.current(network)

    def contradiction(self, network: str) -> Contradicted | None:
        """The alarm: two contents of the running version, both signed by the owner."""
        other, running = self._read(self._evidence(network)), self.current(network)
        if other is None or running is None or other.version != running.version:
            return None
        return Contradicted(running.version, content.sha256(dict(running.content)), content.sha256(dict(other.content)))

    def remove(self, network: str) -> None:
        """Forget a network, evidence included (R12)."""
        with self._lock():
            self._path(network).unlink(missing_ok=True)
            self._evidence(network).unlink(missing_ok=True)

    def networks(self) -> tuple[str, ...]:
        """Ids of the networks that have a manifest here."""
        found = (path.name.removesuffix(".json") for path in self._directory.glob("*.json"))
        return tuple(sorted(name for name in found if len(name) == 64))

    def _path(self, network: str) -> Path:
        return self._directory / f"{fields.hex64(network, 'network')}.json"

    def _evidence(self, network: str) -> Path:
        return self._directory / f"{fields.hex64(network, 'network')}.contradiction.json"

    def _read(self, path: Path) -> SignedManifest | None:
        try:
            data = read_regular(path, most=envelope.MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"can't be read: {error.strerror}", where=str(path)) from error
        return envelope.loads(data, where=str(path))

    def _write(self, path: Path, signed: SignedManifest) -> None:
        try:
            self._replace(path, signed)
        except OSError as error:
            raise Unavailable(f"can't be written: {error.strerror}", where=str(path)) from error

    def _replace(self, path: Path, signed: SignedManifest) -> None:
        handle, name = tempfile.mkstemp(dir=self._directory, prefix=".manifest-")
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(envelope.dumps(signed))
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / ".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def check_content(document: object, record: NetworkRecord) -> Manifest:
    """Everything that can be checked of a manifest's content against its network's record, signature aside."""
    manifest = content.check(document)
    check_members(manifest, record.members, (record.cidr, ula(record.id)))
    check_tests(manifest, record)
    return manifest


def check_hosts(manifest: Manifest, record: NetworkRecord, hosts: Iterable[HostRecord]) -> None:
    """What can be said of its routes by whoever sees the host records of today: none covers a host unasked."""
    check_routes(manifest, (record.cidr, ula(record.id)), addresses_of(hosts))


def _check_floor(version: int, sha256: str, record: NetworkRecord) -> None:
    floor = record.manifest
    if floor is None:
        return
    if version < floor.version:
        raise InvalidInput(
            f"is {version}, but the network's record on chain asks for version {floor.version} or newer",
            where="manifest.version",
        )
    if version == floor.version and sha256 != floor.sha256:
        raise InvalidInput(
            f"is not what the network's record on chain names as version {version}", where="manifest.content"
        )

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The newest certified value of each network that this host knows: ``ledger/<network id>.json``.

``{"certificate": …, "value": …}``, written by avpn after verifying the certificate, and verified again by
whoever plans with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._chain.model import Voter
from .._common import canonical
from .._common.errors import InvalidInput, Unavailable
from .._quorum import codec
from .._quorum.errors import BadProof
from .._quorum.messages import Certificate, Certified
from .._quorum.signing import entry_digest, verify_batch
from .._quorum.value import Value
from . import files
from .paths import Paths

_LIMIT = 64 << 20
_HEAD = 64 << 10  # bytes in which the certificate surely ends; the value, much longer, follows it


@dataclass(frozen=True)
class References:
    """What the cached ledgers refer to, so that a reading of the chain includes it."""

    networks: frozenset[str]
    deployments: Mapping[str, frozenset[int]] = field(default_factory=dict)  # by network id: dseqs of slots
    providers: frozenset[str] = frozenset()


def path_of(paths: Paths, network: str) -> Path:
    """The file of a network (an id that was checked)."""
    return paths.ledgers / f"{network}.json"


def networks(paths: Paths) -> list[str]:
    """Ids of the networks with a cached value, sorted."""
    names = (name.removesuffix(".json") for name in os.listdir(paths.ledgers) if name.endswith(".json"))
    return sorted(name for name in names if len(name) == 64)


def position(paths: Paths, network: str) -> tuple[int, int] | None:
    """Generation and version of the cached value, without parsing the value; None: there is none."""
    head = _read(path_of(paths, network), _HEAD)
    if head is None:
        return None
    prefix = '{"certificate":'
    text = head.decode("utf-8", "replace")
    try:
        document, _end = json.JSONDecoder().raw_decode(text, len(prefix))
        generation, version = document["generation"], document["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return (generation, version) if isinstance(generation, int) and isinstance(version, int) else None


def load(paths: Paths, network: str) -> Certified | None:
    """The cached value; None: there is none. InvalidInput: the file is damaged. Nothing is verified."""
    path = path_of(paths, network)
    data = _read(path, _LIMIT)
    if data is None:
        return None
    document = canonical.loads(data, where=str(path), limit=_LIMIT)
    if not isinstance(document, dict) or document.keys() != {"certificate", "value"}:
        raise InvalidInput("must have certificate and value", where=str(path))
    certificate = Certificate.from_json(document["certificate"], "certificate")
    return Certified(certificate, codec.value_from_json(document["value"], "value"))


def save(paths: Paths, certified: Certified) -> None:
    """Keep a verified value. The caller sees to it that it is newer than the one before."""
    document: canonical.Json = {
        "certificate": certified.certificate.to_json(),
        "value": codec.value_json(certified.value),
    }
    files.write(path_of(paths, certified.value.network), canonical.dumps(document))


def forget(paths: Paths, network: str) -> bool:
    """Remove a network's cached value; tells whether there was one."""
    path = path_of(paths, network)
    present = path.exists()
    path.unlink(missing_ok=True)
    return present


def verify_entries(value: Value) -> None:
    """Check that every entry is signed by the batch it names, and every batch by its key. Raises BadProof.

    The voters checked more than that; this keeps voters who don't from forging anybody's entries.
    """
    for name, batch in value.batches.items():
        if batch.generation != value.generation or batch.name != name or not verify_batch(value.network, batch):
            raise BadProof("has a wrong signature", where=f"batches.{name}")
    covered = {name: frozenset(batch.digests) for name, batch in value.batches.items()}
    entries = [
        ("host", str(node), codec.host_json(host, signed=True), host.batch) for node, host in value.hosts.items()
    ]
    entries += [("slot", str(key), codec.slot_json(slot, signed=True), slot.batch) for key, slot in value.slots.items()]
    entries += [("lock", name, codec.lock_json(lock, signed=True), lock.batch) for name, lock in value.locks.items()]
    for kind, key, document, batch_name in entries:
        if entry_digest(kind, key, document) not in covered.get(batch_name, frozenset()):
            raise BadProof("is not signed by the batch it names", where=f"{kind}s.{key}")


def verified(paths: Paths, network: str, founders: tuple[Voter, ...]) -> Value | None:
    """The cached value with certificate and every entry's signature verified; None: there is none.

    Raises BadProof or InvalidInput, naming the network, for a file that doesn't prove itself.
    """
    certified = load(paths, network)
    if certified is None:
        return None
    certified.verify(founders, network)
    verify_entries(certified.value)
    return certified.value


def references(paths: Paths) -> References:
    """What all cached ledgers refer to; damaged files are left out."""
    known = networks(paths)
    deployments: dict[str, frozenset[int]] = {}
    providers: set[str] = set()
    for network in known:
        try:
            data = json.loads(_read(path_of(paths, network), _LIMIT) or b"{}")["value"]
            # Plain parsing: these only widen what is read, and a large value must not cost a strict pass.
            deployments[network] = frozenset(int(slot["lease"].split("/")[1]) for slot in data["slots"].values())
            providers |= {str(node).split("/")[0] for node in data["hosts"]}
            providers |= {str(voter["node"]).split("/")[0] for voter in data["voters"]}
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            continue
    return References(frozenset(known), deployments, frozenset(providers))


def _read(path: Path, limit: int) -> bytes | None:
    try:
        with open(path, "rb") as stream:
            return stream.read(limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"can't be read: {error.strerror}", where=str(path)) from error

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates, checked with the voters' keys (Ed25519) from the texts that docs/architecture.md describes."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .events import Recording

_SIGNED = ("network", "generation", "version", "parent", "ballot")


def unproven(recording: Recording) -> Iterator[str]:
    """Certificates that aren't of a majority of the voters of the version before, each voter once."""
    voters_of = _voters(recording)
    seen: set[str] = set()
    for certificate in recording.certificates + [final.certificate for final in recording.finals]:
        key = json.dumps(certificate, sort_keys=True)
        if key in seen:
            continue
        seen.add(key)
        wrong = _wrong(certificate, voters_of(certificate["version"]))
        if wrong:
            yield f"the certificate of version {certificate['version']} {wrong}"


def signed_text(kind: str, document: Mapping[str, Any]) -> bytes:
    """What a voter signs."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"akash.avpn/{kind}/1\n{text}".encode()


def is_signed(key: str, text: bytes, signature: str) -> bool:
    """Whether an Ed25519 signature (base64) of a text is this key's (base64)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(key)).verify(base64.b64decode(signature), text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _wrong(certificate: Mapping[str, Any], voters: Sequence[Mapping[str, str]]) -> str:
    known = {(voter["node"], voter["incarnation"]): voter["key"] for voter in voters}
    signers = set()
    for acceptance in certificate["acceptances"]:
        who = acceptance["voter"], acceptance["incarnation"]
        if who not in known:
            return f"counts {acceptance['voter']}, which is no voter"
        document = {name: certificate[name] for name in _SIGNED}
        document.update(voter=who[0], incarnation=who[1])
        if not is_signed(known[who], signed_text("acceptance", document), acceptance["signature"]):
            return f"has a wrong signature of {who[0]}"
        signers.add(who)
    if len(signers) != len(certificate["acceptances"]):
        return "counts a voter twice"
    return "" if len(signers) > len(voters) // 2 else f"is of {len(signers)} of {len(voters)} voters"


def _voters(recording: Recording) -> Any:
    """Version -> the voters that decide it: those of the version before, of the record's founders at first."""
    changed = {
        number: change["voters"] for number, seen in recording.changes.items() for change in seen if "voters" in change
    }

    def voters_of(version: int) -> Sequence[Mapping[str, str]]:
        before = [number for number in changed if number < version]
        found: Sequence[Mapping[str, str]] = changed[max(before)] if before else recording.start["voters"]
        return found

    return voters_of

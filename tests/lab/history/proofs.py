# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates and statements, checked with the voters' keys (Ed25519) from the texts that docs/architecture.md has."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .events import Recording
from .replaying import Chain

_SIGNED = ("network", "generation", "version", "parent", "ballot")


def unproven(recording: Recording, chain: Chain) -> Iterator[str]:
    """Certificates that aren't of a majority of the voters of the version before, each voter once."""
    seen: set[str] = set()
    for certificate in recording.certificates + [final.certificate for final in recording.finals]:
        key = json.dumps(certificate, sort_keys=True)
        if key in seen:
            continue
        seen.add(key)
        voters = chain.deciders(certificate["version"])
        wrong = _wrong(certificate, voters) if voters is not None else "is of unknown voters"
        if wrong:
            yield f"the certificate of version {certificate['version']} {wrong}"


def outsiders(recording: Recording, chain: Chain) -> Iterator[str]:
    """Statements by somebody who is no voter of the version, in the incarnation that votes, or upon another parent.

    So by a voter that had left, or hadn't come yet, or whose memory is another than the one that was voted in.
    """
    for one in recording.statements:
        voters = chain.deciders(one.version)
        if voters is None:
            continue  # of a version whose parent isn't known, which is another problem
        what = f"{one.words} of {one.voter} for version {one.version}"
        if (one.voter, one.incarnation) not in {(voter["node"], voter["incarnation"]) for voter in voters}:
            yield f"{what}, which it is no voter of"
        if one.parent != chain.parent(one.version):
            yield f"{what} is upon another parent than the one that is certified"


def forged(recording: Recording, chain: Chain) -> Iterator[str]:
    """Statements that weren't signed by the voter that was asked, with the key that votes."""
    network = recording.start["network"]
    checked: set[tuple[str, str]] = set()  # an identical repeat is answered alike
    for one in recording.statements:
        key = next(
            (
                voter["key"]
                for voter in chain.deciders(one.version) or ()
                if (voter["node"], voter["incarnation"]) == (one.voter, one.incarnation)
            ),
            None,
        )
        if key is None:
            continue  # an outsider's
        document = {name: value for name, value in one.document.items() if name != "signature"}
        text, signature = signed_text(one.kind, {"network": network, **document}), one.document["signature"]
        if one.by != one.voter:
            yield f"{one.by} answered with {one.words} of {one.voter}"
        if (key + signature, text.decode()) not in checked and not is_signed(key, text, signature):
            yield f"{one.words} of {one.voter} for version {one.version} is not signed with the key that votes"
        checked.add((key + signature, text.decode()))


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

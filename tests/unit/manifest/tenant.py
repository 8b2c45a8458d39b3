# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tenant with a key, a network's record, and manifests of hers."""

from __future__ import annotations

import base64
import ipaddress
from typing import Any

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import NetworkRecord
from ansible_collections.akash.avpn.plugins.module_utils._manifest import adr36, envelope
from ansible_collections.akash.avpn.plugins.module_utils._manifest.model import SignedManifest

SECRET = bytes(range(1, 33))
OTHER = bytes(range(2, 34))


def owner_of(secret: bytes) -> str:
    return adr36.account_of(base64.b64decode(adr36.sign(secret, b"")[0]))


RECORD = NetworkRecord(
    owner=owner_of(SECRET),
    name="prod",
    cidr=ipaddress.IPv4Network("100.64.0.0/20"),
    members={"web": 1, "db": 2, "gateway": 3},
    providers=None,
)


def document(port: int) -> dict[str, Any]:
    return {
        "members": {
            "web": {"egress": {"allow": [{"peers": "db", "ports": f"tcp/{port}"}]}},
            "db": {"ingress": {"allow": [{"peers": "any", "ports": "any"}]}},
        }
    }


def signed(version: int, port: int = 1, record: NetworkRecord = RECORD, secret: bytes = SECRET) -> SignedManifest:
    return envelope.sign(record.id, version, document(port), secret)

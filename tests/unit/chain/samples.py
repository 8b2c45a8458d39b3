# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts, keys and records for tests: real bech32 addresses, keys of the right form, and nothing secret."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if (top >> bit) & 1 else 0
    return checksum


def account(seed: str) -> str:
    """A valid address that nobody has the key of (BIP 173 over SHA-256 of the seed)."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:20], "big")
    data = [(number >> shift) & 31 for shift in range(155, -1, -5)]
    human = [ord(char) >> 5 for char in "akash"] + [0] + [ord(char) & 31 for char in "akash"]
    checksum = _polymod(human + data + [0] * 6) ^ 1
    data += [(checksum >> 5 * (5 - index)) & 31 for index in range(6)]
    return "akash1" + "".join(_CHARSET[value] for value in data)


def key32(seed: str) -> str:
    return base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


def ssh_key(seed: str) -> str:
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + hashlib.sha256(seed.encode()).digest()
    return "ssh-ed25519 " + base64.b64encode(blob).decode()


def hex32(seed: str) -> str:
    return hashlib.sha256(seed.encode()).hexdigest()[:32]


OWNER = account("tenant a")
PROVIDERS = [account(f"provider {number}") for number in range(1, 6)]


def founder(number: int) -> dict[str, str]:
    return {
        "provider": PROVIDERS[number],
        "node": "node1",
        "incarnation": hex32(f"incarnation {number}"),
        "key": key32(f"signing {number}"),
    }


def network_document() -> dict[str, Any]:
    """A network record with every field in use."""
    return {
        "v": 1,
        "cidr": "100.64.0.0/22",
        "members": {"web": 11, "api": 12, "db": 13},
        "providers": PROVIDERS[:4],
        "evicted": [PROVIDERS[4]],
        "founders": [founder(number) for number in range(3)],
        "generation": 1,
        "base": hashlib.sha256(b"base").hexdigest(),
        "witnesses": [f"{PROVIDERS[3]}/node1"],
        "manifest": {"version": 3, "sha256": hashlib.sha256(b"manifest").hexdigest()},
        "access": [ssh_key("tenant")],
    }


def host_document(number: int = 0) -> dict[str, Any]:
    """A host record."""
    return {
        "v": 1,
        "ssh": {
            "address": f"198.18.0.{11 + number}:7022",
            "host_key": ssh_key(f"host {number}"),
            "client_key": ssh_key(f"client {number}"),
        },
        "signing_key": key32(f"signing {number}"),
        "incarnation": hex32(f"incarnation {number}"),
        "wireguard": f"198.18.0.{11 + number}",
        "gossip": f"198.18.0.{11 + number}:7946",
    }

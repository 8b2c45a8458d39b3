# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a team keeps on its desk besides SSH keys: its account on chain."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lab.organisation import Organisation


def account(desk: Organisation) -> str:
    """The address of an organisation's account; its key is made the first time."""
    from cosmpy.aerial.wallet import LocalWallet
    from cosmpy.crypto.keypairs import PrivateKey

    path = key_file(desk)
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(PrivateKey().private_key_hex + "\n")
    key = PrivateKey(bytes.fromhex(path.read_text(encoding="utf-8").strip()))
    return str(LocalWallet(key, prefix="akash").address())


def key_file(desk: Organisation) -> Path:
    """The account's private key in hexadecimal, on the desk only."""
    return desk.folder / "account.key"


def write_json(path: Path, document: object) -> Path:
    """A JSON file on a desk (Ansible reads JSON as YAML)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return path

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH keys: one client key pair an organisation, one host key pair a host."""

from __future__ import annotations

from pathlib import Path

from .process import run


def ensure_key(path: Path, comment: str) -> str:
    """Make an Ed25519 key pair at path unless it is there; return the public half."""
    public = path.with_name(f"{path.name}.pub")
    if not (path.is_file() and public.is_file()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])
    return public.read_text(encoding="utf-8").strip()


def known_hosts_line(names: tuple[str, ...], public_key: str) -> str:
    """One line of known_hosts: names and the key's type and base64, without its comment."""
    return f"{','.join(names)} {' '.join(public_key.split()[:2])}\n"

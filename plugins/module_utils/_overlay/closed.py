# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Closed before open: whether a namespace has a firewall at all, before anything is in it."""

from __future__ import annotations

from .._policy.nft import close
from .._policy.ruleset import FAMILY_TABLE
from . import netns
from .command import run
from .names import namespace, namespace_path


def is_there(short: str) -> bool:
    """Whether the network's namespace has our table, closed or compiled."""
    with netns.entered(namespace_path(short)):
        tables = run(["nft", "list", "tables"])
    return f"table {FAMILY_TABLE}" in tables.splitlines()


def load(short: str) -> None:
    """Let nothing in and nothing pass until the compiled table replaces this one."""
    close(namespace(short))

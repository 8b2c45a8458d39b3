# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``avpn-keys <user> <key type> <base64>``: sshd's AuthorizedKeysCommand for the peer channel.

Prints the one line that binds the offered key to the peer command, if the cached view gives that key a
role here, and nothing otherwise. What is printed is written anew from the parsed key, so that no record
can add an option. Runs as avpn, for anybody who reaches the port: so it starts fast, reads one file,
and never asks the chain.
"""

from __future__ import annotations

import sys
import time

from .._common import fields
from .._common.errors import AvpnError, InvalidInput
from .paths import Paths

_FRESH = 10  # seconds: a view younger than this isn't read again on a stranger's behalf


def lookup(paths: Paths, user: str, kind: str, key: str) -> str | None:
    """The authorized_keys line for an offered key, or None."""
    try:
        offered = fields.ssh_key(f"{kind} {key}", "key")
    except InvalidInput:
        return None
    if user != "avpn":
        return None
    # A stranger is most often nowhere in the view, and then needn't cost its parsing.
    if offered.split(" ")[1].encode() not in paths.view.read_bytes():
        _ask_for_view(paths)
        return None
    from .._chain.view import load_view
    from . import config, keys
    from .identities import Identities
    from .votes import votes

    identities = Identities(load_view(paths.view), config.load(paths.host_config).id, votes(paths))
    if not identities.roles_of(offered):
        _ask_for_view(paths)
        return None
    return f'restrict,command="{paths.command("peer")} {keys.fingerprint(offered)}" {offered}'


def _ask_for_view(paths: Paths) -> None:
    """A provider that just got its first lease is a stranger until the view is read again: ask for that."""
    if time.time() - paths.view.stat().st_mtime > _FRESH:
        from .hints import Hint, put

        put(paths.hints, Hint("view"))


def main(paths: Paths) -> int:
    """Entry point. Whatever goes wrong, the answer is no key."""
    try:
        line = lookup(paths, *sys.argv[1:4]) if len(sys.argv) == 4 else None
    except (AvpnError, OSError) as error:
        sys.stderr.write(f"avpn-keys: {error}\n")
        return 1
    if line is not None:
        sys.stdout.write(f"{line}\n")
    return 0

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""WireGuard's cross-platform configuration protocol, as wireguard-go speaks it on its control socket.

wg(8) of Debian 12 can only replace a peer's whole list of allowed addresses; the protocol can add to it.
Source: https://www.wireguard.com/xplatform/ (set operation, errno answer).
"""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterable

from .._common.errors import AvpnError, Unavailable

_DIRECTORY = "/var/run/wireguard"


def socket_path(interface: str) -> str:
    """Named after the interface alone, whatever namespace it is in."""
    return f"{_DIRECTORY}/{interface}.sock"


def hex_key(key: str) -> str:
    """A key as the protocol writes it."""
    return base64.b64decode(key).hex()


def send(interface: str, lines: Iterable[str]) -> None:
    """One ``set`` operation. Raises Unavailable (nobody listens), or AvpnError with the error it answered."""
    text = "set=1\n" + "".join(f"{line}\n" for line in lines) + "\n"
    path = socket_path(interface)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(30)
            connection.connect(path)
            connection.sendall(text.encode("ascii"))
            answer = connection.makefile("r", encoding="ascii").readline().strip()
    except OSError as error:
        raise Unavailable(f"wireguard-go doesn't answer ({error})", where=path) from error
    if answer != "errno=0":
        number = answer.removeprefix("errno=").lstrip("-")
        words = os.strerror(int(number)) if number.isdigit() else "no answer"
        raise AvpnError(f"wireguard-go refused the change: {words}", where=interface)

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which generation of rules a network namespace holds, without listing them.

The kernel counts the transactions of nftables in each namespace. Together with the namespace's cookie, which no
other namespace of this boot has or had, and the boot's id, that number says whether anything was changed since:
by anybody, in any table. Packets that fill sets or count don't change it.

Sources: linux/netfilter/nf_tables.h (NFT_MSG_GETGEN, NFTA_GEN_ID), nfnetlink.h, netlink.h; SO_NETNS_COOKIE of
asm-generic/socket.h (Linux 5.14).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import threading
from dataclasses import dataclass, replace
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_CLONE_NEWNET = 0x40000000
_NETLINK_NETFILTER = 12
_SO_NETNS_COOKIE = 71
_SUBSYSTEM = 10 << 8
_NEWGEN, _GETGEN = _SUBSYSTEM | 15, _SUBSYSTEM | 16
_NLM_F_REQUEST = 1
_GEN_ID = 1
_SECONDS = 5.0


@dataclass(frozen=True)
class Generation:
    """``place``: the boot and the namespace. ``number``: transactions since the namespace was made, 32 bits."""

    place: str
    number: int

    def after(self, transactions: int) -> Generation:
        """What it is after so many transactions, if they were the only ones."""
        number = self.number + transactions
        return replace(self, number=number if number < 1 << 32 else number - (1 << 32) + 1)  # 0 is left out

    def __str__(self) -> str:
        return f"{self.place} {self.number}"


def generation(namespace: str) -> Generation | None:
    """The generation of the namespace at this path; None: it isn't there, or the kernel doesn't tell."""
    found: list[Generation] = []

    def look() -> None:
        with contextlib.suppress(OSError, ValueError, struct.error):  # whoever asks has another way to find out
            found.append(_inside(namespace))

    # A thread of its own, which is in the namespace until it ends: the caller stays where it is.
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0] if found else None


def _inside(namespace: str) -> Generation:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(handle, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(handle)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as asking:
        asking.settimeout(_SECONDS)
        (cookie,) = struct.unpack("=Q", asking.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8))
        asking.send(struct.pack("=IHHIIBBH", 20, _GETGEN, _NLM_F_REQUEST, 1, 0, socket.AF_UNSPEC, 0, 0))
        number = _number(asking.recv(4096))
    return Generation(f"{_BOOT.read_text().strip()} {cookie}", number)


def _number(answer: bytes) -> int:
    """The generation's number in the kernel's answer: a header of 16 bytes, 4 of netfilter's, then attributes."""
    length, kind = struct.unpack_from("=IH", answer)
    position = 20
    while kind == _NEWGEN and position + 4 <= min(length, len(answer)):
        size, name = struct.unpack_from("=HH", answer, position)
        if name == _GEN_ID:
            return int(struct.unpack_from("!I", answer, position + 4)[0])
        if size < 4:
            break
        position += (size + 3) & ~3
    raise ValueError("no generation")

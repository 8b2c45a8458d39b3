# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""RIPEMD-160 (Dobbertin, Bosselaers, Preneel 1996), which account addresses are made with.

OpenSSL 3 has it in its legacy provider only, so hashlib may lack it: then it is computed here.
"""

from __future__ import annotations

import hashlib
import struct

_MASK = 0xFFFFFFFF
# Which word of the block each of the 80 steps takes, and by how much it rotates; left and right line.
_RHO = (7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8)
_SHIFTS = (
    (11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8),
    (12, 13, 11, 15, 6, 9, 9, 7, 12, 15, 11, 13, 7, 8, 7, 7),
    (13, 15, 14, 11, 7, 7, 6, 8, 13, 14, 13, 12, 5, 5, 6, 9),
    (14, 11, 12, 14, 8, 6, 5, 5, 15, 12, 15, 14, 9, 9, 8, 6),
    (15, 12, 13, 13, 9, 5, 8, 6, 14, 11, 12, 11, 8, 6, 5, 5),
)
_LEFT_CONSTANTS = (0x00000000, 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xA953FD4E)
_RIGHT_CONSTANTS = (0x50A28BE6, 0x5C4DD124, 0x6D703EF3, 0x7A6D76E9, 0x00000000)


def ripemd160(data: bytes) -> bytes:
    """The 20 bytes of the digest."""
    try:
        return hashlib.new("ripemd160", data).digest()
    except ValueError:
        return _ripemd160(data)


def _ripemd160(data: bytes) -> bytes:
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
    left_words, right_words = _orders()
    for offset in range(0, len(padded), 64):
        block = struct.unpack_from("<16I", padded, offset)
        left = _line(state, block, left_words, _LEFT_CONSTANTS, range(5))
        right = _line(state, block, right_words, _RIGHT_CONSTANTS, range(4, -1, -1))
        state = tuple(  # type: ignore[assignment]
            (state[(i + 1) % 5] + left[(i + 2) % 5] + right[(i + 3) % 5]) & _MASK for i in range(5)
        )
    return struct.pack("<5I", *state)


def _orders() -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """The order of words in each round: rho applied again and again, on the right after pi(i) = 9i + 5."""
    left = [tuple(range(16))]
    right = [tuple((9 * i + 5) % 16 for i in range(16))]
    for _unused in range(4):
        left.append(tuple(_RHO[i] for i in left[-1]))
        right.append(tuple(_RHO[i] for i in right[-1]))
    return left, right


def _line(
    state: tuple[int, int, int, int, int],
    block: tuple[int, ...],
    words: list[tuple[int, ...]],
    constants: tuple[int, ...],
    functions: range,
) -> tuple[int, int, int, int, int]:
    a, b, c, d, e = state
    for number, function in enumerate(functions):
        for word in words[number]:
            mixed = a + _mix(function, b, c, d) + block[word] + constants[number]
            a, b, c, d, e = e, (_rotate(mixed, _SHIFTS[number][word]) + e) & _MASK, b, _rotate(c, 10), d
    return a, b, c, d, e


def _mix(function: int, x: int, y: int, z: int) -> int:
    if function == 0:
        return x ^ y ^ z
    if function == 1:
        return (x & y) | (~x & z)
    if function == 2:
        return (x | (~y & _MASK)) ^ z
    if function == 3:
        return (x & z) | (y & ~z)
    return x ^ (y | (~z & _MASK))


def _rotate(value: int, by: int) -> int:
    value &= _MASK
    return ((value << by) | (value >> (32 - by))) & _MASK

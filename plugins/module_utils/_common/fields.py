# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Strict reading of fields: everything from a record, a peer or a manifest is hostile text.

Each function takes the value and ``where`` (the field's dotted name), returns it parsed,
and raises InvalidInput otherwise. What ends up in file names, nft, dnsmasq or systemd
is limited to ``[a-z0-9-]`` here, at the door, and trusted afterwards.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, Union

from .errors import InvalidInput

T = TypeVar("T")

NAME = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
_NAME = re.compile(NAME, re.ASCII)
_ADDRESS = re.compile(r"akash1[02-9ac-hj-np-z]{38,58}", re.ASCII)
_HEX64 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HEX32 = re.compile(r"[0-9a-f]{32}", re.ASCII)
_HOST_PORT = re.compile(r"(?:\[([0-9a-f:]{2,39})\]|([0-9.]{7,15})):([1-9][0-9]{0,4})", re.ASCII)

IPAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


def obj(value: Any, where: str, *, required: set[str], optional: set[str] = frozenset()) -> dict[str, Any]:  # type: ignore[assignment]
    """A JSON object with exactly these fields; an unknown or missing one is an error that names it."""
    if not isinstance(value, dict):
        raise InvalidInput(f"must be an object, not {kind(value)}", where=where)
    if value.keys() == required:
        return value
    for key in sorted(value.keys() - required - optional, key=str):
        raise InvalidInput("is not a known field", where=_join(where, printable(key)))
    for key in sorted(required - value.keys()):
        raise InvalidInput("is missing", where=_join(where, key))
    return value


def items(value: Any, where: str, parse: Callable[[Any, str], T], *, most: int) -> list[T]:
    """A JSON list of at most ``most`` items, each parsed; items are named ``where.0``, ``where.1`` …"""
    if not isinstance(value, list):
        raise InvalidInput(f"must be a list, not {kind(value)}", where=where)
    if len(value) > most:
        raise InvalidInput(f"has {len(value)} items, at most {most} are allowed", where=where)
    return [parse(item, _join(where, str(index))) for index, item in enumerate(value)]


def mapping(
    value: Any, where: str, key: Callable[[Any, str], str], parse: Callable[[Any, str], T], *, most: int
) -> dict[str, T]:
    """A JSON object with free keys, each key and each value parsed."""
    if not isinstance(value, dict):
        raise InvalidInput(f"must be an object, not {kind(value)}", where=where)
    if len(value) > most:
        raise InvalidInput(f"has {len(value)} entries, at most {most} are allowed", where=where)
    parsed = {}
    for name, item in value.items():
        checked = key(name, _join(where, printable(name)))
        parsed[checked] = parse(item, _join(where, checked))
    return parsed


def integer(value: Any, where: str, *, least: int = 0, most: int = 2**63 - 1) -> int:
    """A whole number in a range; booleans are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"must be a whole number, not {kind(value)}", where=where)
    if not least <= value <= most:
        raise InvalidInput(f"is {value}, must be between {least} and {most}", where=where)
    return value


def decimal(value: Any, where: str) -> int:
    """A 64-bit integer as the chain's JSON writes it: a string of digits."""
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > 20:
        raise InvalidInput("must be a number written as a string of digits", where=where)
    return int(value)


def text(value: Any, where: str, *, most: int) -> str:
    """Printable text without control characters."""
    if not isinstance(value, str):
        raise InvalidInput(f"must be text, not {kind(value)}", where=where)
    if len(value) > most:
        raise InvalidInput(f"is {len(value)} characters long, at most {most} are allowed", where=where)
    if not value.isprintable():
        raise InvalidInput("holds a control character", where=where)
    return value


def name(value: Any, where: str) -> str:
    """A name of a network, member, group or node: a DNS label of at most 32 characters."""
    return _match(_NAME, value, where, "a name of 1 to 32 characters a-z, 0-9 and inner hyphens")


def account(value: Any, where: str) -> str:
    """A bech32 account address with the prefix ``akash``, checksum verified (BIP 173)."""
    address = _match(_ADDRESS, value, where, "an account address (akash1…)")
    if not _bech32_checksum(address):
        raise InvalidInput("is not an account address: its checksum is wrong", where=where)
    return address


def hex64(value: Any, where: str) -> str:
    """A SHA-256 in hexadecimal."""
    return _match(_HEX64, value, where, "64 hexadecimal digits")


def hex64s(value: Any, where: str, *, most: int) -> tuple[str, ...]:
    """A list of SHA-256; like ``items``, for thousands of them."""
    if isinstance(value, list) and len(value) <= most:
        match = _HEX64.fullmatch
        if all(isinstance(item, str) and match(item) for item in value):
            return tuple(value)
    return tuple(items(value, where, hex64, most=most))


def hex32(value: Any, where: str) -> str:
    """128 random bits in hexadecimal (incarnations, run ids, request ids)."""
    return _match(_HEX32, value, where, "32 hexadecimal digits")


def key32(value: Any, where: str) -> str:
    """32 bytes in canonical base64: an Ed25519 or X25519 public key."""
    return base64_bytes(value, where, length=32)


def base64_bytes(value: Any, where: str, *, length: int) -> str:
    """Exactly ``length`` bytes in canonical base64, returned as given."""
    if isinstance(value, str) and len(value) <= 4 * length and value.isascii():
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if len(data) == length and base64.b64encode(data).decode() == value:
            return value
    raise InvalidInput(f"must be {length} bytes in base64", where=where)


def ssh_key(value: Any, where: str) -> str:
    """An SSH Ed25519 public key, parsed and written anew: ``ssh-ed25519 <base64>``, nothing else.

    Options, comments and further lines never pass (RFC 8709 for the key's form).
    """
    if isinstance(value, str) and len(value) <= 200:
        parts = value.split(" ")
        if len(parts) == 2 and parts[0] == "ssh-ed25519":
            try:
                blob = base64.b64decode(parts[1], validate=True)
            except (binascii.Error, ValueError):
                blob = b""
            prefix = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"
            if len(blob) == len(prefix) + 32 and blob.startswith(prefix):
                return "ssh-ed25519 " + base64.b64encode(blob).decode()
    raise InvalidInput("must be 'ssh-ed25519 <base64>' without options or comment", where=where)


def ip(value: Any, where: str) -> IPAddress:
    """An IP address in its usual form; IPv6 scopes are refused."""
    if isinstance(value, str) and len(value) <= 39:
        try:
            address = ipaddress.ip_address(value)
        except ValueError:
            address = None
        if address is not None and str(address) == value:
            return address
    raise InvalidInput("must be an IP address in its usual form", where=where)


def host_port(value: Any, where: str) -> tuple[IPAddress, int]:
    """``192.0.2.1:51820`` or ``[2001:db8::1]:51820``; names are refused, so nothing is looked up."""
    found = _HOST_PORT.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[3]) > 65535:
        raise InvalidInput("must be an IP address and port (192.0.2.1:51820 or [2001:db8::1]:51820)", where=where)
    return ip(found[1] or found[2], where), int(found[3])


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", type(None): "null"}
    return names.get(type(value), "something else")


def printable(value: Any) -> str:
    """At most 40 characters of foreign text, safe to print in an error."""
    return ascii(value)[1:-1][:40] if isinstance(value, str) else kind(value)


def _match(pattern: re.Pattern[str], value: Any, where: str, wanted: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        shown = f"'{printable(value)}'" if isinstance(value, str) else kind(value)
        raise InvalidInput(f"must be {wanted}, not {shown}", where=where)
    return value


def _join(where: str, name_: str) -> str:
    return f"{where}.{name_}" if where else name_


_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


@lru_cache(maxsize=16_384)  # a view names few accounts thousands of times
def _bech32_checksum(address: str) -> bool:
    human, data = address.split("1", 1)
    values = [ord(char) >> 5 for char in human] + [0] + [ord(char) & 31 for char in human]
    values += [_CHARSET.index(char) for char in data]
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            checksum ^= generator if (top >> bit) & 1 else 0
    return checksum == 1

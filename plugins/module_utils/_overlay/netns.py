# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network namespaces: entering them, and seeing and changing what is in them.

The calling thread enters a namespace itself (setns(2)) and starts its tools there, which saves the process and
the mount namespace that ``ip netns exec`` makes. A namespace is named by its path; None is the host's own.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .._common.errors import AvpnError, Unsupported
from .command import CommandFailed, run
from .names import ROUTE_PROTOCOL, AnyNetwork

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Link:
    """An interface. ``peer``: the index of a veth's other end, in its own namespace."""

    name: str
    index: int
    mac: str
    mtu: int
    up: bool
    peer: int | None
    addresses: frozenset[str]  # "100.64.0.2/32"


@dataclass(frozen=True)
class Route:
    """A route of the main table. ``dev`` None: unreachable."""

    target: AnyNetwork
    dev: str | None
    via: str | None = None
    source: str | None = None
    metric: int = 0

    def added(self) -> str:
        """The line that makes it, for ``ip -batch``."""
        if self.dev is None:
            return f"route replace unreachable {self.target} proto {ROUTE_PROTOCOL} metric {self.metric}"
        # A next hop that isn't on the link's own prefix: on-link by decree. A link-local IPv6 one always is.
        via = f" via {self.via}" if self.via else ""
        onlink = " onlink" if self.via and self.target.version == 4 else ""
        scope = " scope link" if not self.via and self.target.version == 4 else ""
        source = f" src {self.source}" if self.source else ""
        return (
            f"route replace {self.target}{via} dev {self.dev} proto {ROUTE_PROTOCOL}{scope}{source}"
            f" metric {self.metric}{onlink}"
        )

    def removed(self) -> str:
        """The line that takes it away, for ``ip -batch``."""
        kind = "unreachable " if self.dev is None else ""
        dev = "" if self.dev is None else f" dev {self.dev}"
        return f"route del {kind}{self.target}{dev} proto {ROUTE_PROTOCOL} metric {self.metric}"


@dataclass(frozen=True)
class Seen:
    """What is in a namespace: links by name, our routes, and all routes of the main table."""

    links: Mapping[str, Link] = field(default_factory=dict)
    ours: frozenset[Route] = frozenset()
    routes: frozenset[Route] = frozenset()


@contextlib.contextmanager
def entered(path: str | None) -> Iterator[None]:
    """Run the body with this thread inside the namespace at ``path``.

    Raises Unsupported if that isn't a network namespace. If the way back fails, nothing may go on in this
    process, since it would act on the wrong namespace: SystemExit.
    """
    if path is None:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(path)
        try:
            yield
        finally:
            if _LIBC.setns(home, _CLONE_NEWNET) != 0:
                raise SystemExit("the way back from a network namespace failed")
    finally:
        os.close(home)


def _enter(path: str) -> None:
    try:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unsupported(f"can't be opened ({error.strerror})", where=path) from error
    try:
        if _LIBC.setns(target, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise Unsupported(f"is not a network namespace to enter ({os.strerror(number)})", where=path)
    finally:
        os.close(target)


def exists(path: str) -> bool:
    """Whether something is at ``path``; an empty file that a crash left behind is not a namespace, and goes away
    with ``remove``."""
    return os.path.lexists(path)


def create(name: str) -> None:
    run(["ip", "netns", "add", name])


def remove(name: str) -> None:
    run(["ip", "netns", "delete", name])


def usable(path: str) -> bool:
    """Whether ``path`` is a network namespace that can be entered."""
    try:
        with entered(path):
            return True
    except Unsupported:
        return False


def batch(path: str | None, lines: Iterable[str]) -> None:
    """Run ``ip`` lines in a namespace, in one process; the first that fails ends it."""
    text = "".join(f"{line}\n" for line in lines)
    if not text:
        return
    with entered(path):
        try:
            run(["ip", "-batch", "-"], stdin=text, timeout=120)
        except CommandFailed as error:
            raise CommandFailed(f"{error.what} (of {text.count(chr(10))} lines)", where=f"ip in {path}") from error


def delete_links(path: str, names: Iterable[str]) -> None:
    """Delete links. One that goes by itself meanwhile, as a veth does with its other end's namespace, is gone as
    wanted, and stops none of the others."""
    left = list(names)
    while left:
        try:
            batch(path, [f"link delete {name}" for name in left])
        except CommandFailed:
            there = observe(path).links
            still = [name for name in left if name in there]
            if len(still) == len(left):
                raise
            left = still
        else:
            left = []


def read_settings(names: Iterable[str]) -> dict[str, str]:
    """Settings below /proc/sys/net of the namespace this thread is in; what doesn't exist is left out."""
    found = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sys/net/{name}", encoding="ascii") as file:
            found[name] = file.read().strip()
    return found


def write_settings(settings: Mapping[str, str]) -> None:
    """Write settings below /proc/sys/net of the namespace this thread is in."""
    for name, value in settings.items():
        try:
            with open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
                file.write(value)
        except OSError as error:
            raise Unsupported(
                f"can't be set to {value} ({error.strerror})",
                where=f"/proc/sys/net/{name}",
                remedy="In a container, /proc/sys must be writable",
            ) from error


def observe(path: str | None) -> Seen:
    """What is in the namespace, from one process."""
    with entered(path):
        output = run(["ip", "-json", "-batch", "-"], stdin="address show\nroute show table all\n", timeout=60)
    links, routes = _documents(output)
    listed = [(_route(item), str(item.get("protocol"))) for item in routes if _is_main(item)]
    return Seen(
        links={link.name: link for link in map(_link, links)},
        ours=frozenset(route for route, protocol in listed if protocol == str(ROUTE_PROTOCOL)),
        routes=frozenset(route for route, _protocol in listed),
    )


def _documents(text: str) -> list[list[dict[str, Any]]]:
    """``ip -json -batch`` prints one JSON document for each line of input."""
    decoder, position, documents = json.JSONDecoder(), 0, []
    text = text.strip()
    while position < len(text):
        try:
            document, end = decoder.raw_decode(text, position)
        except ValueError as error:
            raise AvpnError("printed what is not JSON", where="ip -json") from error
        documents.append(document)
        position = end
        while position < len(text) and text[position].isspace():
            position += 1
    if len(documents) != 2:
        raise AvpnError(f"printed {len(documents)} documents, 2 were asked for", where="ip -json")
    return documents


def _link(item: dict[str, Any]) -> Link:
    return Link(
        name=item["ifname"],
        index=item["ifindex"],
        mac=item.get("address", ""),
        mtu=item["mtu"],
        up="UP" in item["flags"],
        peer=item.get("link_index"),
        addresses=frozenset(f"{found['local']}/{found['prefixlen']}" for found in item.get("addr_info", ())),
    )


def _is_main(item: dict[str, Any]) -> bool:
    kind = item.get("type", "unicast")
    return "table" not in item and kind in ("unicast", "unreachable") and "nexthops" not in item


def _route(item: dict[str, Any]) -> Route:
    unreachable = item.get("type") == "unreachable"
    target = item["dst"]
    if target == "default":
        target = "::/0" if ":" in item.get("gateway", "") else "0.0.0.0/0"
    return Route(
        target=ipaddress.ip_network(target, strict=False),
        dev=None if unreachable else item.get("dev"),
        via=item.get("gateway"),
        source=item.get("prefsrc"),
        metric=item.get("metric", 0),
    )

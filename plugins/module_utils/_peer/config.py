# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's configuration, ``/etc/avpn/host.json``: written by the role ``peer``, read by everything."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

from .._common import canonical, fields
from .._common.errors import InvalidInput, Unsupported
from .._common.ids import NodeId

_LIMIT = 1 << 20

Range = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class ChainConfig:
    """How this host reads the chain. ``max_age`` (seconds) is the age from which a view takes nothing away."""

    chain_id: str
    endpoints: tuple[str, ...]
    own: bool = False  # one endpoint of the team's own is enough; else two must agree
    ca_file: str | None = None
    max_age: int = 900
    carriers: tuple[str, ...] = ("audit",)  # "audit", or "file:<path>"


@dataclass(frozen=True)
class Intervals:
    """Seconds between looks: at the chain, at peers' versions, and of whole reconciliations asked for."""

    view: int = 30
    compare: int = 60
    request: int = 60


@dataclass(frozen=True)
class HostConfig:
    """One host of one provider."""

    provider: str
    node: str
    chain: ChainConfig
    peer_address: str
    peer_port: int
    wireguard_address: str
    wireguard_first_port: int
    wireguard_mtu: int
    gossip_address: str
    gossip_port: int
    gossip_rpc_port: int = 7373
    peer_ranges: tuple[Range, ...] = ()  # private ranges in which peers are allowed
    attach_driver: str = "netns"
    attach_path: str = "/run/netns/{namespace}-{index}"
    release_blocks: int = 10
    firewall_log_rate: int = 0  # lines a second about denied packets, of each network; 0: they aren't logged
    drain: bool = False  # leave the voters of all networks, where the others can do without, and don't come back
    intervals: Intervals = field(default_factory=Intervals)

    @property
    def id(self) -> NodeId:
        return NodeId(self.provider, self.node)


def load(path: Path) -> HostConfig:
    """Read and check the file. Raises Unsupported when there is none, InvalidInput naming the field."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unsupported(
            f"can't be read ({error.strerror})", where=str(path), remedy="Run the role akash.avpn.peer on this host"
        ) from error
    return parse(canonical.loads(data, where=str(path), limit=_LIMIT))


def parse(document: Any) -> HostConfig:
    """A HostConfig from its JSON document, strictly."""
    top = fields.obj(
        document,
        "",
        required={"provider", "node", "chain", "peer", "wireguard", "gossip"},
        optional={"peer_ranges", "attach", "release_blocks", "firewall", "drain", "intervals"},
    )
    peer = fields.obj(top["peer"], "peer", required={"address", "port"})
    wireguard = fields.obj(top["wireguard"], "wireguard", required={"address", "first_port", "mtu"})
    gossip = fields.obj(top["gossip"], "gossip", required={"address", "port"}, optional={"rpc_port"})
    attach = fields.obj(top.get("attach", {}), "attach", required=set(), optional={"driver", "path"})
    firewall = fields.obj(top.get("firewall", {}), "firewall", required=set(), optional={"log_rate"})
    driver = attach.get("driver", "netns")
    if driver != "netns":
        raise InvalidInput("must be netns", where="attach.driver")
    return HostConfig(
        provider=fields.account(top["provider"], "provider"),
        node=fields.name(top["node"], "node"),
        chain=_chain(top["chain"]),
        peer_address=str(fields.ip(peer["address"], "peer.address")),
        peer_port=_port(peer["port"], "peer.port"),
        wireguard_address=str(fields.ip(wireguard["address"], "wireguard.address")),
        wireguard_first_port=_port(wireguard["first_port"], "wireguard.first_port"),
        wireguard_mtu=fields.integer(wireguard["mtu"], "wireguard.mtu", least=1280, most=65_000),
        gossip_address=str(fields.ip(gossip["address"], "gossip.address")),
        gossip_port=_port(gossip["port"], "gossip.port"),
        gossip_rpc_port=_port(gossip.get("rpc_port", 7373), "gossip.rpc_port"),
        peer_ranges=tuple(fields.items(top.get("peer_ranges", []), "peer_ranges", _range, most=64)),
        attach_driver=driver,
        attach_path=_path(attach.get("path", "/run/netns/{namespace}-{index}"), "attach.path"),
        release_blocks=fields.integer(top.get("release_blocks", 10), "release_blocks", least=1, most=100_000),
        firewall_log_rate=fields.integer(firewall.get("log_rate", 0), "firewall.log_rate", least=0, most=1000),
        drain=_flag(top.get("drain", False), "drain"),
        intervals=_intervals(top.get("intervals", {})),
    )


def _chain(document: Any) -> ChainConfig:
    chain = fields.obj(
        document,
        "chain",
        required={"chain_id", "endpoints"},
        optional={"own", "ca_file", "max_age", "carriers"},
    )
    own = _flag(chain.get("own", False), "chain.own")
    endpoints = tuple(fields.items(chain["endpoints"], "chain.endpoints", _endpoint, most=16))
    carriers = tuple(fields.items(chain.get("carriers", ["audit"]), "chain.carriers", _carrier, most=8))
    if len(set(endpoints)) < (1 if own else 2) and "audit" in carriers:
        raise InvalidInput(
            "needs two different endpoints that agree, or one of the team's own with own: true", where="chain.endpoints"
        )
    ca_file = chain.get("ca_file")
    return ChainConfig(
        chain_id=fields.text(chain["chain_id"], "chain.chain_id", most=64),
        endpoints=endpoints,
        own=own,
        ca_file=None if ca_file is None else _path(ca_file, "chain.ca_file"),
        max_age=fields.integer(chain.get("max_age", 900), "chain.max_age", least=10, most=900),
        carriers=carriers,
    )


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("must be true or false", where=where)
    return value


def _carrier(value: Any, where: str) -> str:
    if value == "audit":
        return "audit"
    if isinstance(value, dict):
        return "file:" + _path(fields.obj(value, where, required={"file"})["file"], f"{where}.file")
    raise InvalidInput("must be audit or {file: path}", where=where)


def _intervals(document: Any) -> Intervals:
    names = {"view", "compare", "request"}
    given = fields.obj(document, "intervals", required=set(), optional=names)
    return Intervals(
        **{name: fields.integer(value, f"intervals.{name}", least=1, most=86_400) for name, value in given.items()}
    )


def _endpoint(value: Any, where: str) -> str:
    text = fields.text(value, where, most=256)
    if not text.startswith(("https://", "http://")) or not text.isascii() or any(c in text for c in " \"'<>\\@#?"):
        raise InvalidInput("must be an http or https URL without user, query and fragment", where=where)
    return text.rstrip("/")


def _path(value: Any, where: str) -> str:
    text = fields.text(value, where, most=256)
    if not text.startswith("/") or "/../" in text + "/":
        raise InvalidInput("must be an absolute path", where=where)
    return text


def _port(value: Any, where: str) -> int:
    return fields.integer(value, where, least=1, most=65_535)


def _range(value: Any, where: str) -> Range:
    try:
        return ipaddress.ip_network(fields.text(value, where, most=50))
    except ValueError as error:
        raise InvalidInput("must be a range such as 10.0.0.0/8", where=where) from error

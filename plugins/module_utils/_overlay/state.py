# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host last made of each network, for status, and for going on while the chain can't be read.

``applied/<network id>.json`` is readable by everybody and shown to the tenant; ``applied/<network id>.live.json``
beside it has every live endpoint of the network. Neither holds a secret.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .._common import canonical, fields
from .._common.errors import InvalidInput
from .._common.ids import EndpointId, LeaseId, NodeId
from .._peer import files
from .._quorum.value import MAX_SLOTS
from .model import LiveSlot, NetworkPlan
from .names import ipv6_of, ula

_LIMIT = 16 << 20


class StatePaths(Protocol):
    """What is needed of ``_peer.paths.Paths``."""

    @property
    def applied(self) -> Path: ...


@dataclass(frozen=True)
class Applied:
    """One network as it was last applied.

    ``told``: the endpoint given to each WireGuard peer, by key.
    """

    live: Mapping[EndpointId, LiveSlot] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)


def load(paths: StatePaths, network: str) -> Applied:
    """The network's last state; an empty one if there is none. InvalidInput: the file is damaged."""
    path = _live_path(paths, network)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Applied()
    document = canonical.loads(data, where=str(path), limit=_LIMIT)
    # ``ranges`` is what an earlier version wrote besides.
    top = fields.obj(document, "applied", required={"live", "told"}, optional={"ranges"})
    slots = fields.items(top["live"], "applied.live", lambda item, where: _slot(network, item, where), most=MAX_SLOTS)
    return Applied(
        live={slot.endpoint: slot for slot in slots},
        told=fields.mapping(
            top["told"], "applied.told", fields.key32, lambda item, where: fields.text(item, where, most=60), most=4096
        ),
    )


def load_all(paths: StatePaths) -> dict[str, Applied]:
    """Every network that has a state, by id."""
    suffix = ".live.json"
    names = sorted(path.name.removesuffix(suffix) for path in paths.applied.glob(f"*{suffix}"))
    return {network: load(paths, network) for network in names}


def save(
    paths: StatePaths, plan: NetworkPlan, attached: Mapping[EndpointId, bool], told: Mapping[str, str], now: int
) -> None:
    """Remember what was applied. ``attached``: endpoints of this host, and whether their workload is there.

    Which manifest is enforced stays what ``enforced`` said last, and what was refused what ``counted`` did: rules
    are loaded after this.
    """
    paths.applied.mkdir(parents=True, exist_ok=True, mode=0o755)
    before = shown(paths, plan.network)
    document: dict[str, Any] = {
        "network": plan.network,
        "name": plan.name,
        "ledger": list(plan.ledger),
        "manifest": before["manifest"] if before else None,
        "mtu": plan.tunnel.mtu,
        "peers": len(plan.tunnel.peers),
        "endpoints": {
            str(item.endpoint): {
                "ipv4": str(item.ipv4),
                "ipv6": str(item.ipv6),
                "state": "attached" if attached.get(item.endpoint) else "waiting",
            }
            for item in plan.attachments
        },
        "routes": {str(each.range): str(each.carrier.endpoint) if each.carrier else None for each in plan.routes},
        "notes": list(plan.notes),
        "refused": before.get("refused") if before else None,
        "staged": before.get("staged") if before else None,
        "time": now,
    }
    _show(paths, document)
    kept: dict[str, Any] = {
        "live": [[str(slot.endpoint), str(slot.lease), str(slot.host), str(slot.ipv4)] for slot in plan.live],
        "told": dict(told),
    }
    path, data = _live_path(paths, plan.network), canonical.dumps(kept) + b"\n"
    if not path.exists() or path.read_bytes() != data:
        files.write(path, data)


def enforced(paths: StatePaths, network: str, manifest: int | None) -> None:
    """Remember whose rules the kernel holds now: the manifest's version, None: there is none and all is closed."""
    before = shown(paths, network)
    if before is not None and before["manifest"] != manifest:
        _show(paths, {**before, "manifest": manifest})


def counted(paths: StatePaths, network: str, refused: Mapping[str, Any]) -> None:
    """Remember what the firewall has refused (``_policy.refusals.refused``)."""
    before = shown(paths, network)
    if before is not None and before.get("refused") != refused:
        _show(paths, {**before, "refused": dict(refused)})


def staged(paths: StatePaths, network: str, kept: Mapping[str, Any] | None) -> None:
    """Remember what the staged part would have refused: ``{"digest", "since", "would_refuse"}``; None: none there."""
    before = shown(paths, network)
    if before is not None and before.get("staged") != kept:
        _show(paths, {**before, "staged": dict(kept) if kept is not None else None})


def staged_before(paths: StatePaths, network: str) -> dict[str, Any] | None:
    """What ``staged`` remembers."""
    kept = (shown(paths, network) or {}).get("staged")
    return kept if isinstance(kept, dict) and {"digest", "since"} <= kept.keys() else None


def forget(paths: StatePaths, network: str) -> None:
    """Remove what ``save`` wrote."""
    for path in (paths.applied / f"{network}.json", _live_path(paths, network)):
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def shown(paths: StatePaths, network: str) -> dict[str, Any] | None:
    """What ``save`` wrote for people; None if there is nothing of that form."""
    path = paths.applied / f"{network}.json"
    try:
        document = canonical.loads(path.read_bytes(), where=str(path), limit=_LIMIT)
    except (FileNotFoundError, InvalidInput):
        return None
    return document if isinstance(document, dict) and "manifest" in document else None


def _show(paths: StatePaths, document: Mapping[str, Any]) -> None:
    files.write(paths.applied / f"{document['network']}.json", canonical.dumps(dict(document)) + b"\n", durable=False)


def _live_path(paths: StatePaths, network: str) -> Path:
    return paths.applied / f"{network}.live.json"


def _slot(network: str, item: Any, where: str) -> LiveSlot:
    endpoint, lease, host, address = fields.items(item, where, lambda text, _where: text, most=4)
    ipv4 = ipaddress.IPv4Address(str(fields.ip(address, where)))
    return LiveSlot(
        EndpointId.parse(endpoint, where),
        LeaseId.parse(lease, where),
        NodeId.parse(host, where),
        ipv4,
        ipv6_of(ula(network), ipv4),
    )

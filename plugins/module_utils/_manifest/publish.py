# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tenant's side: what runs, what would change, and handing a signed manifest to one provider.

The provider checks it again and passes it on (R9). Nothing here is trusted by anybody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .._chain.model import HostRecord, NetworkView
from .._common import fields
from .._common.errors import AvpnError, InvalidInput, Unavailable
from .._common.ids import NodeId
from . import content, envelope
from .model import SignedManifest


class Channel(Protocol):
    """What is needed of ``_peer.client.PeerClient``."""

    def call(self, node: NodeId, request: Mapping[str, Any], *, seconds: float = ...) -> Any: ...

    def call_all(
        self, nodes: list[NodeId], request: Mapping[str, Any], *, seconds: float = ...
    ) -> Iterator[tuple[NodeId, Any | AvpnError]]: ...


@dataclass(frozen=True)
class Running:
    """The newest manifest that providers have. ``signed`` None: none yet, or the newest can't be handed out (two
    contents have its version). ``silent``: nodes that didn't tell, and why."""

    version: int = 0
    signed: SignedManifest | None = None
    silent: Mapping[NodeId, str] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any] | None:
        return None if self.signed is None else dict(self.signed.content)


@dataclass(frozen=True)
class Publication:
    """What is to be handed in. ``change`` False: the newest version says the same already."""

    version: int
    sha256: str
    document: Mapping[str, Any]
    change: bool

    def diff(self, running: Running) -> dict[str, str]:
        """The documents before and after, as text."""
        return {"before": _text(running.version, running.document), "after": _text(self.version, self.document)}


def nodes_of(network: NetworkView, hosts: Mapping[NodeId, HostRecord], wanted: str | None) -> list[NodeId]:
    """The hosts of providers that take part, the likeliest first; ``wanted``: one provider, or one of its nodes."""
    taking_part = network.participants()
    nodes = [node for node in sorted(hosts) if node.provider in taking_part]
    if wanted is not None:
        nodes = [node for node in nodes if wanted in (node.provider, str(node))]
        if not nodes:
            raise InvalidInput("takes no part in the network, or has no host record on chain", where="provider")
    if not nodes:
        raise Unavailable(
            "no provider takes part in the network yet",
            where=f"network {network.record.name}",
            remedy="A member needs a running lease, at a provider that has its host record on chain",
        )
    return nodes


def observe(channel: Channel, nodes: list[NodeId], network: str, owner: str) -> Running:
    """The newest manifest among what all ``nodes`` have. Raises Unavailable if none answers."""
    versions: dict[NodeId, int] = {}
    silent: dict[NodeId, str] = {}
    for node, answer in channel.call_all(nodes, {"op": "status", "network": network}):
        try:
            versions[node] = _version(answer)
        except AvpnError as error:
            silent[node] = str(error)
    if not versions:
        raise Unavailable("no provider answers: " + "; ".join(f"{node}: {why}" for node, why in sorted(silent.items())))
    newest = max(versions.values())
    if newest == 0:
        return Running(silent=silent)
    for node in (node for node, version in sorted(versions.items()) if version == newest):
        try:
            answer = channel.call(node, {"op": "manifest-get", "network": network})
            if answer is None:
                continue
            signed = envelope.from_document(fields.obj(answer, "answer", required={"manifest"})["manifest"])
            if signed.network != network:
                raise InvalidInput("is the manifest of another network", where="manifest.network")
            envelope.verify(signed, owner)
        except AvpnError as error:
            silent[node] = str(error)
            continue
        return Running(max(newest, signed.version), signed if signed.version >= newest else None, silent)
    return Running(newest, None, silent)


def plan(document: Mapping[str, Any], version: int | None, running: Running, floor: int) -> Publication:
    """What to publish. ``version`` None: the one after the newest known; ``floor``: the version on chain, or 0."""
    sha256 = content.sha256(dict(document))
    same = running.signed is not None and content.sha256(running.document) == sha256
    if same and version in (None, running.version) and running.version >= floor:
        return Publication(running.version, sha256, document, change=False)
    least = max(running.version + 1, floor)
    if version is None:
        version = least
    elif version < least:
        raise InvalidInput(f"is {version}, but must be {least} or higher: versions only rise", where="version")
    return Publication(version, sha256, document, change=True)


def hand_in(channel: Channel, nodes: list[NodeId], signed: SignedManifest, tell: Callable[[str], None]) -> NodeId:
    """Give it to the first provider that takes it. ``tell`` hears why others didn't.

    Raises what a provider says is wrong with it, or Unavailable if none takes it.
    """
    request = {"op": "manifest-put", "network": signed.network, "manifest": envelope.to_document(signed)}
    failures = []
    for node in nodes:
        try:
            channel.call(node, request)
        except InvalidInput:
            raise
        except AvpnError as error:
            failures.append(f"{node}: {error}")
            tell(failures[-1])
        else:
            return node
    raise Unavailable("no provider took the manifest: " + "; ".join(failures))


def _version(answer: Any) -> int:
    if isinstance(answer, AvpnError):
        raise answer
    if not isinstance(answer, dict):
        raise InvalidInput("must be an object", where="answer")
    version = answer.get("manifest")
    return 0 if version is None else fields.integer(version, "answer.manifest", most=envelope.MAX_VERSION)


def _text(version: int, document: Mapping[str, Any] | None) -> str:
    if document is None:
        return ""
    return f"version {version}\n" + json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"

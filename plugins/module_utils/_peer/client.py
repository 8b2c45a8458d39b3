# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The caller's side of the peer channel: one SSH connection per peer, kept for a run, every phase bounded.

Used by hosts (as ``provider/node``) and by tenants' machines (as their account). The peer's host key, address
and port come from its chain record; a key is never taken from first use.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._chain.model import HostRecord
from .._common import canonical
from .._common.errors import AvpnError, InvalidInput, Unavailable
from .._common.ids import NodeId
from . import messages
from .connection import Connection, LocalConnection, SshConnection

ANSWER_SECONDS = 60.0  # a voter may have to read the chain before it answers


@dataclass
class Counters:
    """What went over the wire, in messages and in bytes of JSON (without SSH's own)."""

    connections: int = 0
    requests: int = 0
    sent: int = 0
    received: int = 0


class PeerClient:
    """Calls peers as one identity. Safe to use from many threads; calls to one peer go one after another.

    identity: ``provider/node``, or a tenant's account.
    hosts: the chain's host records.
    key_file: the SSH client key that the chain names for the identity.
    check_address: raises InvalidInput for an address that must not be contacted (``_chain.addresses``).
    here, local_command: this host and its peer command; a call to itself is answered by a process, as avpn.
    """

    def __init__(
        self,
        identity: NodeId | str,
        hosts: Mapping[NodeId, HostRecord],
        key_file: Path,
        *,
        check_address: Callable[[HostRecord], None],
        here: NodeId | None = None,
        local_command: Sequence[str] = (),
        connect_seconds: float = 5.0,
    ) -> None:
        self.identity = str(identity)
        self.counters = Counters()
        self._hosts = hosts
        self._key_file = key_file
        self._check_address = check_address
        self._here = here
        self._local_command = tuple(local_command)
        self._connect_seconds = connect_seconds
        self._lock = threading.Lock()
        self._peers: dict[NodeId, _Peer] = {}

    def call(
        self, node: NodeId, request: Mapping[str, Any], *, seconds: float = ANSWER_SECONDS, most: int | None = None
    ) -> Any:
        """Send one request (without ``as``) to a node and return the answer's ``ok`` part.

        most: how many bytes the answer may have, where that is less than the operation's own limit.

        Raises NotPermitted, InvalidInput or Unavailable as the peer says; Unavailable when it can't be
        reached or doesn't answer in time. No answer is not a no: the request may have been carried out.
        """
        with self._lock:
            peer = self._peers.setdefault(node, _Peer())
        line = canonical.dumps_with(request, "as", self.identity) + b"\n"
        if len(line) > messages.MAX_REQUEST:
            raise InvalidInput(f"a request of {len(line)} bytes is too long for the peer channel", where=str(node))
        with peer.lock:
            limit = messages.OPERATIONS[request["op"]].answer_bytes
            received = self._exchange(node, peer, line, seconds, limit if most is None else min(most, limit))
        with self._lock:
            self.counters.requests += 1
            self.counters.sent += len(line)
            self.counters.received += len(received)
        return messages.parse_answer(received, str(node))

    def call_each(
        self,
        requests: Mapping[NodeId, Mapping[str, Any]],
        *,
        seconds: float = ANSWER_SECONDS,
        most: int | None = None,
    ) -> Iterator[tuple[NodeId, Any | AvpnError]]:
        """Call several nodes at once; yields each node with its answer, or its AvpnError, as they come.

        The caller may stop early: what is still under way is finished (or bounded) behind it.
        """
        done: queue.SimpleQueue[tuple[NodeId, Any | AvpnError]] = queue.SimpleQueue()

        def one(node: NodeId, request: Mapping[str, Any]) -> None:
            try:
                done.put((node, self.call(node, request, seconds=seconds, most=most)))
            except AvpnError as error:
                done.put((node, error))
            except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave the caller waiting
                done.put((node, Unavailable(f"the call failed: {type(error).__name__}", where=str(node))))

        for node, request in requests.items():
            threading.Thread(target=one, args=(node, request), daemon=True).start()
        for _unused in requests:
            yield done.get()

    def call_all(
        self, nodes: Iterable[NodeId], request: Mapping[str, Any], *, seconds: float = ANSWER_SECONDS
    ) -> Iterator[tuple[NodeId, Any | AvpnError]]:
        """The same request to several nodes at once, like call_each."""
        return self.call_each(dict.fromkeys(nodes, request), seconds=seconds)

    def close(self) -> None:
        """Close all connections; calls under way fail."""
        with self._lock:
            peers, self._peers = list(self._peers.values()), {}
        for peer in peers:
            if peer.connection is not None:
                peer.connection.close()

    def __enter__(self) -> PeerClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, node: NodeId, peer: _Peer, line: bytes, seconds: float, most: int) -> bytes:
        """One request and answer on the kept connection, or on a new one if the kept one has gone stale."""
        if peer.connection is not None:
            try:
                return peer.connection.exchange(line, seconds, most)
            except EOFError:
                # The peer closes idle connections; every request may be repeated, so once more.
                peer.connection.close()
                peer.connection = None
            except AvpnError:
                peer.connection.close()
                peer.connection = None
                raise
        connection = self._connect(node)
        try:
            answer = connection.exchange(line, seconds, most)
        except EOFError as error:
            connection.close()
            raise Unavailable("closed the connection without an answer", where=str(node)) from error
        except AvpnError:
            connection.close()
            raise
        peer.connection = connection
        return answer

    def _connect(self, node: NodeId) -> Connection:
        with self._lock:
            self.counters.connections += 1
        if node == self._here and self._local_command:
            return LocalConnection(self._local_command, str(node))
        record = self._hosts.get(node)
        if record is None:
            raise Unavailable("has no host record on chain", where=str(node))
        self._check_address(record)
        return SshConnection(record, self._key_file, seconds=self._connect_seconds)


class _Peer:
    """One peer's connection, used by one call at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Connection | None = None

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client of one member of etcd: gRPC, one connection, kept."""

from __future__ import annotations

from typing import Any

import grpc

from .wire import MESSAGE, METHODS

_SECONDS = 120.0
_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own for every client, as separate programs have
)


class Client:
    """``call(method, field=…)`` for the methods of ``wire.METHODS``. ``calls`` counts them."""

    def __init__(self, address: str) -> None:
        self.calls = 0
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._methods = {
            name: (
                self._channel.unary_unary(
                    path,
                    request_serializer=MESSAGE[request].SerializeToString,
                    response_deserializer=MESSAGE[answer].FromString,
                ),
                MESSAGE[request],
            )
            for name, (path, request, answer) in METHODS.items()
        }

    def call(self, method: str, **fields: Any) -> Any:
        """One request, its answer; grpc.RpcError if it fails."""
        _call, message = self._methods[method]
        return self.send(method, message(**fields))

    def send(self, method: str, message: Any) -> Any:
        """The same for a message that is made already."""
        self.calls += 1
        return self._methods[method][0](message, timeout=_SECONDS, wait_for_ready=True)

    def lease(self, seconds: int) -> int:
        """A new lease, which the locks of a session hang on."""
        return int(self.call("grant", TTL=seconds).ID)

    def close(self) -> None:
        self._channel.close()

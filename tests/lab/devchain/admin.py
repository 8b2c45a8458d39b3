# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The admin interface: the operator's acts as JSON over HTTP.

``POST /<method>`` with an object of parameters answers ``{"result": …}``, or HTTP 400
with ``{"error": "…"}``. Methods are those of ``Operations`` plus ``fault_add``,
``fault_clear``, ``fault_list``, ``endpoints``, ``batch``. For the lab's own network
only: it asks for no password.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from .errors import AdminError, DevchainError
from .faults import Faults
from .operations import Operations
from .server import Address, HttpServer, JsonHandler, base_url

if TYPE_CHECKING:
    from .server import Served

_ACTS = (
    "fund",
    "provider_set",
    "deployment_create",
    "deployment_close",
    "deployment_replace",
    "group_start",
    "lease_create",
    "lease_close",
    "lease_insufficient_funds",
    "lease_reclaim",
)


class AdminServer:
    """The admin interface of what ``serve`` started."""

    def __init__(self, served: Served, listen: Address) -> None:
        self._served = served
        self._operations = Operations(served.chain)
        self._methods: dict[str, Callable[..., Any]] = {
            **{name: getattr(self._operations, name) for name in _ACTS},
            "advance": self._operations.advance,
            "status": self._operations.status,
            "batch": self._batch,
            "endpoints": self._endpoints,
            "endpoint_add": self._endpoint_add,
            "fault_add": self._fault_add,
            "fault_clear": self._fault_clear,
            "fault_list": self._fault_list,
        }
        interface = self

        class Handler(JsonHandler):
            def do_POST(self) -> None:
                try:
                    body = self.read_body()
                    self.send_json(200, {"result": interface.call(self.path.strip("/"), body)})
                except DevchainError as error:
                    self.send_json(400, {"error": str(error)})

        self._server = HttpServer(listen, Handler)
        self.url = base_url(self._server)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name="admin"
        )
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def call(self, name: str, body: bytes) -> Any:
        """One call: the method's name and its parameters as JSON."""
        try:
            parameters = json.loads(body or b"{}")
        except ValueError as error:
            raise AdminError(f"invalid JSON: {error}") from error
        return _bound(self._methods, name, parameters)()

    def _batch(self, acts: list[Any]) -> Any:
        def one(entry: Any) -> Callable[[Operations], object]:
            if not isinstance(entry, dict) or set(entry) - {"method", "params"} or entry.get("method") not in _ACTS:
                raise AdminError(f'an act is {{"method", "params"}} with a method of {", ".join(_ACTS)}')
            name = str(entry["method"])
            return lambda operations: _bound({name: getattr(operations, name)}, name, entry.get("params", {}))()

        return self._operations.batch([one(entry) for entry in acts])

    def _endpoints(self) -> list[str]:
        return [endpoint.url for endpoint in self._served.endpoints]

    def _endpoint_add(self, host: str = "127.0.0.1", port: int = 0) -> dict[str, Any]:
        endpoint = self._served.add_endpoint((host, port))
        return {"url": endpoint.url, "endpoint": len(self._served.endpoints) - 1}

    def _faults(self, endpoint: int) -> Faults:
        if not 0 <= endpoint < len(self._served.endpoints):
            raise AdminError(f"no endpoint {endpoint}; there are {len(self._served.endpoints)}")
        return self._served.endpoints[endpoint].faults

    def _fault_add(
        self, kind: str, endpoint: int = 0, route: str = "", count: int | None = None, **options: Any
    ) -> dict[str, Any]:
        return self._faults(endpoint).add(kind, route=route, count=count, **options).as_json()

    def _fault_clear(self, endpoint: int | None = None, number: int | None = None) -> dict[str, int]:
        which = range(len(self._served.endpoints)) if endpoint is None else [endpoint]
        return {"cleared": sum(self._faults(each).clear(number) for each in which)}

    def _fault_list(self, endpoint: int = 0) -> list[dict[str, Any]]:
        return [fault.as_json() for fault in self._faults(endpoint).list()]


def _bound(methods: dict[str, Callable[..., Any]], name: str, parameters: Any) -> Callable[[], Any]:
    method = methods.get(name)
    if method is None:
        raise AdminError(f"no such method: {name}; there are {', '.join(sorted(methods))}")
    if not isinstance(parameters, dict):
        raise AdminError("parameters are an object")
    try:
        inspect.signature(method).bind(**parameters)
    except TypeError as error:
        raise AdminError(f"{name}: {error}") from error
    hints = get_type_hints(method)
    for parameter, value in parameters.items():
        if not _fits(value, hints.get(parameter, object)):
            raise AdminError(f"{name}: {parameter} can't be {value!r}")
    return lambda: method(**parameters)


def _fits(value: Any, hint: Any) -> bool:
    """Whether JSON data fits a parameter; only plain types are checked here."""
    kinds = get_args(hint) or (hint,)
    if not all(kind in (int, float, str, NoneType) for kind in kinds):
        return True
    if isinstance(value, bool):
        return False
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))

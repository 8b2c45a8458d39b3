# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The LCD: the chain over HTTP.

``serve`` starts endpoints and, if wanted, a block timer and the admin interface, all
in threads of this process. Several endpoints may show the same chain, each with its
own faults: that is how a test has a node that lies beside one that doesn't.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from .akash_queries import Request
from .chain import Chain
from .errors import INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE, QueryError
from .faults import Fault, Faults, alter
from .routes import find_get, find_post
from .store import View

HEIGHT_REQUEST = "x-cosmos-block-height"
HEIGHT_ANSWER = "Grpc-Metadata-X-Cosmos-Block-Height"
MAX_BODY = 4 * 1024 * 1024

Address = tuple[str, int]


def base_url(server: ThreadingHTTPServer) -> str:
    """The URL of a server."""
    host, port = server.server_address[:2]
    name = f"[{host!s}]" if server.address_family == socket.AF_INET6 else str(host)
    return f"http://{name}:{port}"


class HttpServer(ThreadingHTTPServer):
    """Threads that don't outlive the process, addresses that are free at once."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, listen: Address, handler: type[JsonHandler]) -> None:
        if ":" in listen[0]:
            self.address_family = socket.AF_INET6
        super().__init__(listen, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error of ours."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class JsonHandler(BaseHTTPRequestHandler):
    """JSON over HTTP/1.1, without a log."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def send_json(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        """Send an answer."""
        self.send_body(status, json.dumps(data).encode(), headers)

    def send_body(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send bytes as an answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def read_body(self) -> bytes:
        """The body of a request; ``QueryError`` if it is too large."""
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            raise QueryError(INVALID_ARGUMENT, "http: request body too large")
        return self.rfile.read(length)


class Endpoint:
    """One address at which the chain answers, with its own faults."""

    def __init__(self, chain: Chain, listen: Address) -> None:
        self.chain = chain
        self.faults = Faults()
        self._closed = False
        endpoint = self

        class Handler(JsonHandler):
            def do_GET(self) -> None:
                endpoint.handle(self, None)

            def do_POST(self) -> None:
                try:
                    body = self.read_body()
                except QueryError as error:
                    self.send_json(error.http_status, error.as_json())
                    return
                endpoint.handle(self, body)

        self._server = HttpServer(listen, Handler)
        self.url = base_url(self._server)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name=f"lcd {self.url}"
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering, on connections that are open too."""
        self._closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, handler: JsonHandler, body: bytes | None) -> None:
        """Answer one request, with the faults that are on."""
        if self._closed:
            handler.close_connection = True
            return
        parts = urlsplit(handler.path)
        path = unquote(parts.path)
        met = self.faults.take(path)
        if "slow" in met:
            time.sleep(float(met["slow"].options["seconds"]))
        if "disconnect" in met:
            handler.close_connection = True
            return
        if "garbage" in met:
            handler.send_body(200, b"<html>\r\n<title>200 OK</title>")
            return
        headers: dict[str, str] = {}
        try:
            if "unavailable" in met:
                raise QueryError(UNAVAILABLE, "upstream connect error or disconnect/reset before headers")
            if "not-found" in met:
                raise QueryError(NOT_FOUND, "not found")
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            with self.chain.lock:
                newest = self._newest(met.get("stale"))
                view = self._view(handler.headers.get(HEIGHT_REQUEST), newest)
                hidden = view.height == newest and "stale" in met and met["stale"].options.get("hide")
                headers[HEIGHT_ANSWER] = str(self.chain.height if hidden else view.height)
                answer = self._answer(path, query, body, view, newest, met.get("full-page"))
        except QueryError as error:
            status = error.http_status
            if "unavailable" in met:
                status = int(met["unavailable"].options.get("status", status))
            handler.send_json(status, error.as_json(), headers)
            return
        if "lie" in met:
            alter(answer, met["lie"])
        handler.send_json(200, answer, headers)

    def _newest(self, stale: Fault | None) -> int:
        newest = self.chain.height
        if stale is None:
            return newest
        behind = newest - int(stale.options.get("blocks", 10))
        return max(min(int(stale.options.get("height", behind)), newest), self.chain.oldest)

    def _view(self, asked: str | None, newest: int) -> View:
        height = newest
        if asked:
            try:
                height = int(asked) or newest
            except ValueError:
                raise QueryError(INVALID_ARGUMENT, f"invalid height header: {asked}: invalid request") from None
        if newest < height <= self.chain.height:
            height = self.chain.height + 1
        return self.chain.view(height)

    def _answer(
        self, path: str, query: dict[str, str], body: bytes | None, view: View, newest: int, full_page: Fault | None
    ) -> dict[str, Any]:
        null_key = str(full_page.options.get("mode", "always")) if full_page else ""
        if body is None:
            answer, groups = find_get(path)
            return answer(Request(self.chain, view, groups, query, newest, null_key))
        act = find_post(path)
        try:
            data = json.loads(body)
        except ValueError as error:
            raise QueryError(INVALID_ARGUMENT, f"invalid JSON: {error}") from error
        if not isinstance(data, dict):
            raise QueryError(INVALID_ARGUMENT, "invalid JSON: an object is expected")
        return act(Request(self.chain, view, (), query, newest, null_key), data)


class BlockTimer:
    """Makes a block every ``seconds``."""

    def __init__(self, chain: Chain, seconds: float) -> None:
        self.seconds = seconds
        self._chain = chain
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="block timer")
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic() + self.seconds
        while not self._stop.wait(max(due - time.monotonic(), 0)):
            self._chain.block()
            due = max(due + self.seconds, time.monotonic())

    def close(self) -> None:
        """Stop making blocks."""
        self._stop.set()
        self._thread.join()


@dataclass
class Served:
    """Everything ``serve`` started; a context manager that stops it."""

    chain: Chain
    endpoints: list[Endpoint]
    timer: BlockTimer | None = None
    admin_url: str = ""
    _closers: list[Any] = field(default_factory=list)

    @property
    def url(self) -> str:
        """URL of the first endpoint."""
        return self.endpoints[0].url

    def add_endpoint(self, listen: Address = ("127.0.0.1", 0)) -> Endpoint:
        """One more address for the same chain."""
        endpoint = Endpoint(self.chain, listen)
        self.endpoints.append(endpoint)
        return endpoint

    def close(self) -> None:
        """Stop the timer, the admin interface, the endpoints; close the state file."""
        if self.timer is not None:
            self.timer.close()
        for closer in self._closers:
            closer.close()
        for endpoint in self.endpoints:
            endpoint.close()
        self.chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(
    chain: Chain,
    listen: Address | list[Address] = ("127.0.0.1", 0),
    *,
    block_time: float | None = None,
    admin: Address | None = None,
) -> Served:
    """Put a chain on HTTP; port 0 takes a free one.

    ``block_time`` (seconds) starts the timer; without it blocks are made by hand or,
    with ``Chain(block_on_tx=True)``, by transactions.
    """
    from .admin import AdminServer

    addresses = listen if isinstance(listen, list) else [listen]
    served = Served(chain, [Endpoint(chain, address) for address in addresses])
    if admin is not None:
        interface = AdminServer(served, admin)
        served.admin_url = interface.url
        served._closers.append(interface)
    if block_time:
        served.timer = BlockTimer(chain, block_time)
    return served

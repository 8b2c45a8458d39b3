# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON over HTTP(S) from one endpoint, with every phase bounded: time, size, attempts.

On the standard library alone, so that hosts need nothing more. Redirects are not followed:
an endpoint is who the team configured, not who that one points to.
"""

from __future__ import annotations

import http.client
import json
import queue
import random
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._common.errors import AvpnError, InvalidInput, Unavailable
from .._common.fields import printable

MAX_ANSWER_BYTES = 16 * 1024 * 1024
_CHUNK = 65_536
_FIRST_PAUSE = 0.2  # seconds; doubles with every further attempt, with full jitter
_NOT_FOUND = 5  # google.rpc.Code
_HEIGHT_HEADER = "x-cosmos-block-height"
_ANSWERED_HEIGHT = "grpc-metadata-x-cosmos-block-height"


class NotFound(AvpnError):
    """The endpoint says there is no such thing. One endpoint's word: never proof of absence by itself."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one request: seconds for a single wait, seconds in all, and attempts."""

    timeout: float = 10.0
    total: float = 30.0
    attempts: int = 3


class JsonClient:
    """Asks one endpoint. Safe to use from several threads; connections are kept and reused."""

    def __init__(
        self, url: str, *, ca_file: str | None = None, plain_http: bool = False, limits: Limits | None = None
    ) -> None:
        """``plain_http``: whether an ``http://`` URL is acceptable (only for what the team runs itself)."""
        self.url = url.rstrip("/")
        self._limits = limits or Limits()
        parts = _split(url)
        if parts.scheme == "http" and not plain_http:
            raise InvalidInput(
                "must be https", where=f"endpoint {url}", remedy="Plain http is only for an endpoint of the team's own"
            )
        self._host = parts.hostname or ""
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self._tls = _tls(ca_file) if parts.scheme == "https" else None
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def get(self, path: str, params: Mapping[str, str] | None = None, *, height: int | None = None) -> dict[str, Any]:
        """The JSON object at ``path``, read at a block height if one is given.

        NotFound: the endpoint says so. Unavailable: no usable answer within the limits.
        """
        target = self._prefix + path
        if params:
            target += "?" + urllib.parse.urlencode(params)
        headers = {"Accept": "application/json", "Connection": "keep-alive"}
        if height is not None:
            headers[_HEIGHT_HEADER] = str(height)
        deadline = time.monotonic() + self._limits.total
        failure = Unavailable("was not asked", where=self.url)
        for attempt in range(self._limits.attempts):
            if attempt:
                pause = random.uniform(0.5, 1.0) * _FIRST_PAUSE * 2**attempt
                if time.monotonic() + pause >= deadline:
                    break
                time.sleep(pause)
            try:
                return self._once(target, headers, height, deadline)
            except _Retry as error:
                failure = Unavailable(error.what, where=f"{self.url}{path}")
        raise failure

    def close(self) -> None:
        """Close the connections that are kept."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return

    def _once(self, target: str, headers: dict[str, str], height: int | None, deadline: float) -> dict[str, Any]:
        try:
            connection, reused = self._idle.get_nowait(), True
        except queue.Empty:
            connection, reused = self._connection(), False
        try:
            try:
                response = _send(connection, target, headers)
            except (OSError, http.client.HTTPException):
                if not reused:
                    raise
                # The other side closed an idle connection: that is no failure, so try once on a new one.
                connection.close()
                connection = self._connection()
                response = _send(connection, target, headers)
            body = _read(response, deadline)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _Retry(f"doesn't answer: {error or type(error).__name__}") from error
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.put(connection)
        return self._judge(response, body, height)

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._limits.timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._limits.timeout)

    def _judge(self, response: http.client.HTTPResponse, body: bytes, height: int | None) -> dict[str, Any]:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _Retry(f"answered HTTP {response.status} without JSON") from error
        if not isinstance(document, dict):
            raise _Retry(f"answered HTTP {response.status} without a JSON object")
        if response.status == http.HTTPStatus.OK:
            answered = response.getheader(_ANSWERED_HEIGHT)
            if height is not None and answered is not None and answered != str(height):
                raise Unavailable(
                    f"answered for height {printable(answered)} instead of {height}",
                    where=self.url,
                    remedy=f"A proxy before it must pass the header {_HEIGHT_HEADER} on",
                )
            return document
        message = ascii(document.get("message", ""))[1:-1][:200]
        if document.get("code") == _NOT_FOUND:
            raise NotFound(f"not found: {message}", where=self.url)
        what = f"answered HTTP {response.status}: {message}"
        # A node's state follows its newest block by a moment; the rest of 4xx won't change by asking again.
        if (
            response.status >= 500
            or response.status == http.HTTPStatus.TOO_MANY_REQUESTS
            or any(word in message for word in ("in the future", "bigger then"))
        ):
            raise _Retry(what)
        raise Unavailable(what, where=self.url)


class _Retry(Exception):
    """This attempt failed; another one may not."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def _send(connection: http.client.HTTPConnection, target: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    connection.request("GET", target, headers=headers)
    return connection.getresponse()


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := response.read1(_CHUNK):
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise _Retry(f"answered more than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise _Retry("answers too slowly")
        parts.append(chunk)
    response.close()  # read1 leaves it open at its end, and the connection would count as busy
    return b"".join(parts)


def _split(url: str) -> urllib.parse.SplitResult:
    where = f"endpoint {printable(url)}"
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput("is not a URL", where=where) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or not url.isprintable() or " " in url:
        raise InvalidInput("must be an http or https URL", where=where)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise InvalidInput("must not hold a query, a fragment or credentials", where=where)
    return parts


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidInput(f"can't be used: {error}", where=f"ca_file {ca_file}") from error

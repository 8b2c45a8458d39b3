# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections of the peer channel: by SSH to another host, by a process to this one.

Each is a pair of line streams. Every phase has its own bound; a peer that stalls anywhere costs that long
and no longer.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .._chain.model import HostRecord
from .._common.checked import present
from .._common.errors import InvalidInput, NotPermitted, Unavailable, Unsupported
from .messages import MAX_ANSWER

if TYPE_CHECKING:
    import paramiko

_AUTH_SECONDS = 10.0
_PHASES = 3  # times the bound of connecting, for all that comes after it together
_CHUNK = 1 << 16
_END_SECONDS = 3.0  # for this host's peer command to end by itself


class Connection(Protocol):
    """One request, one answer, as lines."""

    def exchange(self, line: bytes, seconds: float, most: int = MAX_ANSWER) -> bytes:
        """Send a line, return the answer's line of at most ``most`` bytes without its end.

        EOFError: closed; Unavailable: too slow; InvalidInput: too long.
        """

    def close(self) -> None:
        """Close it; may be called again."""


class SshConnection:
    """An SSH session with the peer command of another host."""

    def __init__(self, record: HostRecord, key_file: Path, *, seconds: float) -> None:
        """Connect, check the host key against the chain's, log in. Raises Unavailable or NotPermitted."""
        import paramiko

        self._where = f"{record.id} ({record.ssh_address}:{record.ssh_port})"
        self._buffer = bytearray()
        key = _private_key(key_file)
        # paramiko logs what hostile peers send, up to tracebacks; what matters is raised here.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL)
        try:
            stream = socket.create_connection((record.ssh_address, record.ssh_port), timeout=seconds)
        except OSError as error:
            raise Unavailable(f"can't be reached: {error.strerror or error}", where=self._where) from error
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._transport = paramiko.Transport(stream)
        except paramiko.SSHException as error:
            stream.close()
            raise Unavailable("doesn't speak SSH", where=self._where) from error
        try:
            self._channel = self._open(record, key, seconds)
        except BaseException:
            self.close()
            raise

    def _open(self, record: HostRecord, key: paramiko.PKey, seconds: float) -> paramiko.Channel:
        import paramiko

        transport = self._transport
        end = time.monotonic() + _PHASES * seconds
        transport.banner_timeout = transport.handshake_timeout = seconds
        transport.auth_timeout = _AUTH_SECONDS
        options = transport.get_security_options()
        options.key_types = ("ssh-ed25519",)
        # Authenticated ciphers first, where paramiko knows them: MACs it computes in Python, for every packet.
        modes = ("-gcm@openssh.com", "-ctr")
        options.ciphers = [name for mode in modes for name in options.ciphers if name.endswith(mode)]
        try:
            with self._bound(2 * seconds, "the key exchange"):
                transport.start_client(timeout=seconds)
            wanted = base64.b64decode(record.ssh_host_key.split(" ")[1])
            if transport.get_remote_server_key().asbytes() != wanted:
                raise Unavailable(
                    "shows another host key than the chain names",
                    where=self._where,
                    remedy="Its operator has to publish the host's key (module provider), or somebody is in between",
                )
            with self._bound(min(_AUTH_SECONDS, end - time.monotonic()), "the login"):
                transport.auth_publickey("avpn", key)
            with self._bound(min(_AUTH_SECONDS, end - time.monotonic()), "opening the session"):
                channel = transport.open_session(timeout=seconds)
                channel.exec_command("avpn-peer")
            return channel
        except paramiko.AuthenticationException as error:
            raise NotPermitted(
                "doesn't accept this key",
                where=self._where,
                remedy="Check that the chain names it",
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise Unavailable(f"the SSH connection failed: {_reason(error)}", where=self._where) from error

    def exchange(self, line: bytes, seconds: float, most: int = MAX_ANSWER) -> bytes:
        deadline = time.monotonic() + seconds
        try:
            with self._bound(seconds, "the request"):
                self._channel.settimeout(seconds)
                # In pieces: of what it is given, paramiko copies all that is left for every packet.
                for start in range(0, len(line), _CHUNK):
                    self._channel.sendall(line[start : start + _CHUNK])
            return _read_line(self._buffer, self._receive, deadline, self._where, most)
        except EOFError:
            raise
        except OSError as error:  # socket.timeout is one; so is a closed channel
            if self._channel.closed and not self._buffer:
                raise EOFError from error
            raise Unavailable(f"the connection failed: {_reason(error)}", where=self._where) from error

    def _receive(self, seconds: float) -> bytes:
        self._channel.settimeout(seconds)
        return self._channel.recv(_CHUNK)

    def close(self) -> None:
        self._transport.close()

    @contextlib.contextmanager
    def _bound(self, seconds: float, phase: str) -> Iterator[None]:
        """Close the transport when a phase takes too long: not all of paramiko's waits have a limit."""
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self._transport.close()

        timer = threading.Timer(seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        except Exception as error:
            if expired.is_set():
                raise Unavailable(f"{phase} took longer than {seconds:g} s", where=self._where) from error
            raise
        finally:
            timer.cancel()


class LocalConnection:
    """The peer command of this host as a process, with the rights of avpn and none of the caller's."""

    def __init__(self, command: Sequence[str], where: str) -> None:
        user = {"user": "avpn", "group": "avpn", "extra_groups": []} if os.geteuid() == 0 else {}
        options: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": "/", "env": {}, **user}
        self._where = where
        self._buffer = bytearray()
        try:
            self._process = subprocess.Popen(list(command), **options)
        except (OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
            raise Unsupported("can't start its own peer command", where=where) from error
        self._in = present(self._process.stdin, "the pipe to the peer command").fileno()
        self._out = present(self._process.stdout, "the pipe from the peer command").fileno()
        os.set_blocking(self._in, False)

    def exchange(self, line: bytes, seconds: float, most: int = MAX_ANSWER) -> bytes:
        deadline = time.monotonic() + seconds
        rest = memoryview(line)
        try:
            while rest:
                self._wait(self._in, selectors.EVENT_WRITE, deadline - time.monotonic())
                rest = rest[os.write(self._in, rest[:_CHUNK]) :]
            return _read_line(self._buffer, self._receive, deadline, self._where, most)
        except BrokenPipeError as error:
            raise EOFError from error
        except TimeoutError as error:
            raise Unavailable(f"didn't answer within {seconds:g} s", where=self._where) from error

    def _receive(self, seconds: float) -> bytes:
        self._wait(self._out, selectors.EVENT_READ, seconds)
        return os.read(self._out, _CHUNK)

    @staticmethod
    def _wait(handle: int, event: int, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(handle, event)
            if not selector.select(max(seconds, 0)):
                raise TimeoutError

    def close(self) -> None:
        # The end of its input ends it, once it has done what it put off until nobody waits.
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def _read_line(buffer: bytearray, receive: Callable[[float], bytes], deadline: float, where: str, most: int) -> bytes:
    """Take one line out of ``buffer``, receiving more as needed; bounded in size and time."""
    searched = 0
    while True:
        end = buffer.find(b"\n", searched)
        if end >= 0:
            line = bytes(buffer[:end])
            del buffer[: end + 1]
            return line
        searched = len(buffer)
        if searched > most:
            raise InvalidInput(f"is longer than {most} bytes", where=f"answer of {where}")
        left = deadline - time.monotonic()
        if left <= 0:
            raise Unavailable("didn't answer in time", where=where)
        data = receive(left)
        if not data:
            raise EOFError
        buffer += data


def _private_key(path: Path) -> paramiko.PKey:
    import paramiko

    try:
        return paramiko.Ed25519Key.from_private_key_file(str(path))
    except FileNotFoundError as error:
        raise Unsupported("doesn't exist", where=str(path)) from error
    except (OSError, paramiko.SSHException, ValueError) as error:
        raise Unsupported(
            "can't be read as an Ed25519 key without a passphrase", where=str(path), remedy="Make one with ssh-keygen"
        ) from error


def _reason(error: BaseException) -> str:
    """The cause in a few words of our own kind: class, and the text if it is plain and short."""
    text = str(error)
    return text if text and text.isprintable() and len(text) < 120 else type(error).__name__

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program on a host that takes orders and answers, line by line, for as long as both live."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

from .site import ON_HOST

PYTHON = ["/usr/bin/python3", "-I"]


class Remote:
    """One process behind ``docker exec``. EOFError once it is gone."""

    def __init__(self, container: str, program: str, user: str) -> None:
        command = ["docker", "exec", "--interactive", "--user", user, container, *PYTHON, f"{ON_HOST}/{program}"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def send(self, order: dict[str, Any]) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(json.dumps(order).encode() + b"\n")
            pipe.flush()
        except OSError as error:
            raise EOFError from error

    def lines(self) -> Iterator[dict[str, Any]]:
        """What it says, until it is gone; a line that was cut off is left out."""
        pipe = self._process.stdout
        assert pipe is not None
        for line in pipe:
            if line.endswith(b"\n"):
                yield json.loads(line)

    def receive(self) -> dict[str, Any]:
        for document in self.lines():
            return document
        raise EOFError

    def close(self) -> None:
        """Let it end by itself, its orders being over; then without asking."""
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                continue
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One TCP connection that goes on: it says a line five times a second, and every line has to come back."""

from __future__ import annotations

import json
import uuid

from lab.lab import Lab

from .matrix import Place
from .observing import eventually
from .probing import listen, run_agent


class Stream:
    """A connection from one endpoint to another; ends with its host or with close()."""

    def __init__(self, lab: Lab, source: Place, target: Place, port: int = 8080, family: int = 4) -> None:
        listen(lab, [target])
        self._lab, self._host = lab, source.host
        self._book = f"/run/lab-stream-{uuid.uuid4().hex[:8]}"
        order = {
            "namespace": source.namespace,
            "address": target.address(family),
            "port": port,
            "book": self._book,
            "identity": target.identity,
        }
        run_agent(lab, source.host, "hold", order)
        self.goes_on()

    def count(self) -> int:
        """Lines that came back so far; AssertionError if the connection has ended."""
        text = self._lab.execute(self._host, ["cat", self._book], check=False).stdout
        state = json.loads(text) if text.strip() else {"echoed": 0, "ended": None}
        assert state["ended"] is None, f"the connection from {self._host} ended: {state['ended']}"
        return int(state["echoed"])

    def goes_on(self) -> None:
        """See further lines come back on the same connection."""
        before = self.count()
        eventually(lambda: self.count() >= before + 3, f"lines coming back on a connection from {self._host}", 60)

    def close(self) -> None:
        """End the connection."""
        self._lab.execute(self._host, ["touch", f"{self._book}.stop"], check=False)

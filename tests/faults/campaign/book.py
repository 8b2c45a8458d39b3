# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recording as it is written: one JSON object a line, from many threads."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any


class Book:
    """build/faults-history.jsonl while a campaign runs. What clients repeat is written once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115
        self._lock = threading.Lock()
        self._changes: set[tuple[int, str]] = set()
        self._certificates: set[tuple[int, str]] = set()
        self.version = -1  # the newest that was seen certified

    def write(self, event: str, **fields: Any) -> None:
        self.keep({"event": event, **fields})

    def keep(self, event: dict[str, Any]) -> None:
        """An event as a client told it."""
        with self._lock:
            if not self._is_new(event):
                return
            self._file.write(json.dumps(event, separators=(",", ":")) + "\n")

    def flush(self) -> None:
        with self._lock:
            self._file.flush()

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _is_new(self, event: dict[str, Any]) -> bool:
        if event["event"] == "change":
            key = event["version"], json.dumps(event["change"], sort_keys=True)
            known = self._changes
        elif event["event"] == "certificate":
            certificate = event["certificate"]
            key = certificate["version"], certificate["ballot"]["hash"]
            known = self._certificates
            self.version = max(self.version, certificate["version"])
        else:
            return True
        if key in known:
            return False
        known.add(key)
        return True

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as ansible_collections.akash.avpn in every test."""

from __future__ import annotations

import pathlib
import sys

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_COLLECTIONS = _ROOT / "build" / "import"
_LINK = _COLLECTIONS / "ansible_collections" / "akash" / "avpn"


def _link() -> None:
    _LINK.parent.mkdir(parents=True, exist_ok=True)
    if not _LINK.is_symlink():
        _LINK.symlink_to(_ROOT)


_link()
for _path in (_COLLECTIONS, _ROOT / "tests" / "lab"):
    if str(_path) not in sys.path:
        sys.path.insert(0, str(_path))

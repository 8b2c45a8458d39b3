# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A development chain that answers like an Akash node: real routes, real signatures.

``Chain`` is the state machine, ``serve`` puts it on HTTP. See ``README.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chain import Chain
    from .server import serve

__all__ = ["Chain", "serve"]


def __getattr__(name: str) -> Any:
    """Import on first use: the command line tool needs neither."""
    if name == "Chain":
        from .chain import Chain

        return Chain
    if name == "serve":
        from .server import serve

        return serve
    raise AttributeError(name)

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain's operator: what providers' and tenants' own tools would do on chain besides this collection."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from lab.chain import ADMIN_PORT, PORTS
from lab.lab import Lab


class ChainOperator:
    """Acts on the development chain through its admin interface."""

    def __init__(self, lab: Lab) -> None:
        from devchain import ctl

        self._call = ctl.call
        self._url = f"http://{lab.host('chain').address}:{PORTS[0]}"
        self._admin = f"http://{lab.host('chain').address}:{ADMIN_PORT}"

    def act(self, method: str, **parameters: Any) -> Any:
        """One act; ``devchain.ctl.Refused`` says why it may not be."""
        return self._call(self._admin, method, parameters)

    def fund(self, address: str) -> None:
        self.act("fund", address=address)

    def deploy(self, owner: str, dseq: int, replicas: int) -> None:
        """A deployment with one group."""
        self.act("deployment_create", owner=owner, dseq=dseq, groups=[{"name": "main", "count": replicas}])

    def lease(self, owner: str, dseq: int, provider: str) -> str:
        """A lease of its group 1 at a provider; returns ``owner/dseq/gseq/oseq/provider``."""
        return _written(self.act("lease_create", owner=owner, dseq=dseq, provider=provider))

    def leases(self, owner: str) -> list[str]:
        """The active leases of an account, asked of the chain as anybody would."""
        query = f"leases/list?filters.owner={owner}&filters.state=active"
        with urllib.request.urlopen(f"{self._url}/akash/market/v1beta5/{query}", timeout=10) as answer:
            return [_written(entry) for entry in json.load(answer)["leases"]]

    def height(self) -> int:
        return int(self.act("status")["height"])


def _written(entry: Any) -> str:
    identity = entry["lease"]["id"]
    return "/".join(str(identity[name]) for name in ("owner", "dseq", "gseq", "oseq", "provider"))

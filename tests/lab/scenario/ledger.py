# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The chain's operator: what providers' and tenants' own tools would do on chain besides this collection."""

from __future__ import annotations

import json
import urllib.error
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

    def close_lease(self, owner: str, dseq: int) -> None:
        self.act("lease_close", owner=owner, dseq=dseq)

    def replace(self, owner: str, dseq: int) -> int:
        """Close a deployment and make the same again with leases at the same providers; returns the new number."""
        made = self.act("deployment_replace", owner=owner, dseq=dseq)
        return int(made["deployment"]["id"]["dseq"])

    def leases(self, owner: str) -> list[str]:
        """The active leases of an account, asked of the chain as anybody would."""
        query = f"leases/list?filters.owner={owner}&filters.state=active"
        return [_written(entry) for entry in self._ask(f"/akash/market/v1beta5/{query}")["leases"]]

    def deployments(self, owner: str) -> set[int]:
        """The numbers of an account's active deployments."""
        query = f"deployments/list?filters.owner={owner}&filters.state=active"
        listed = self._ask(f"/akash/deployment/v1beta4/{query}")["deployments"]
        return {int(entry["deployment"]["id"]["dseq"]) for entry in listed}

    def record(self, owner: str, network: str) -> dict[str, Any] | None:
        """A network's record as it stands on chain."""
        try:
            entries = self._ask(f"/akash/audit/v1/audit/attributes/{owner}/{owner}")["providers"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
            raise
        values = {pair["key"]: pair["value"] for entry in entries for pair in entry["attributes"]}
        text = values.get(f"avpn/network/{network}")
        return None if text is None else dict(json.loads(text))

    def advance(self, blocks: int) -> None:
        """Make blocks at once, where something waits for heights."""
        self.act("advance", blocks=blocks)

    def height(self) -> int:
        return int(self.act("status")["height"])

    def _ask(self, route: str) -> Any:
        with urllib.request.urlopen(f"{self._url}{route}", timeout=10) as answer:
            return json.load(answer)


def _written(entry: Any) -> str:
    identity = entry["lease"]["id"]
    return "/".join(str(identity[name]) for name in ("owner", "dseq", "gseq", "oseq", "provider"))

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The development chain for tests of reading and writing, and who acts on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from devchain.pytest_plugin import Devchain, devchain, pytest_configure

from ansible_collections.akash.avpn.plugins.module_utils._chain.account import Account, load_account
from ansible_collections.akash.avpn.plugins.module_utils._chain.carriers import AuditCarrier
from ansible_collections.akash.avpn.plugins.module_utils._chain.http_json import Limits
from ansible_collections.akash.avpn.plugins.module_utils._chain.messages import Message, sign_attributes
from ansible_collections.akash.avpn.plugins.module_utils._chain.records import parse_network_record
from ansible_collections.akash.avpn.plugins.module_utils._chain.sources import ChainOptions, Sources
from ansible_collections.akash.avpn.plugins.module_utils._chain.transactions import Sent, send
from ansible_collections.akash.avpn.tests.unit.chain import samples

__all__ = ["devchain", "pytest_configure"]

LIMITS = Limits(timeout=5, total=10, attempts=2)


@pytest.fixture
def tenant() -> Account:
    return load_account(private_key="11" * 32)


class World:
    """One chain with three providers, and a tenant who writes records by real transactions."""

    def __init__(self, chain: Devchain, tenant: Account) -> None:
        self.chain = chain
        self.tenant = tenant
        self.providers = samples.PROVIDERS[:3]
        chain.fund(tenant.address)
        for number, provider in enumerate(self.providers):
            self.set_host(number, provider)

    def set_host(self, number: int, provider: str, **change: Any) -> None:
        text = json.dumps({**samples.host_document(number), **change})
        self.chain.admin.provider_set(provider, attributes={"region": "eu-west", "avpn/peer/node1": text})

    def lease(self, provider: int, count: int = 1) -> int:
        """A deployment of the tenant with its lease; its dseq."""
        made = self.chain.admin.deployment_create(self.tenant.address, groups=[{"name": "g1", "count": count}])
        dseq = int(made["deployment"]["id"]["dseq"])
        self.chain.admin.lease_create(self.tenant.address, dseq, self.providers[provider])
        return dseq

    def send(self, *messages: Message) -> Sent:
        return send([self.chain.url], self.chain.chain_id, self.tenant, messages)

    def write(self, name: str, **fields: Any) -> Sent:
        record = parse_network_record(
            self.tenant.address, name, json.dumps({"v": 1, "cidr": "100.64.0.0/22", **fields})
        )
        return self.send(*AuditCarrier().write_messages(self.tenant.address, {name: record}))

    def write_text(self, name: str, text: str) -> Sent:
        key = f"avpn/network/{name}"
        return self.send(sign_attributes(self.tenant.address, self.tenant.address, {key: text}))

    def sources(self, *, own: bool = True, endpoints: int = 1) -> Sources:
        while len(self.chain.endpoints) < endpoints:
            self.chain.add_endpoint()
        urls = tuple(endpoint.url for endpoint in self.chain.endpoints[:endpoints])
        sources = Sources(ChainOptions(self.chain.chain_id, urls, own=True, limits=LIMITS))
        sources.own = own  # foreign endpoints must be https, which the development chain doesn't speak by itself
        return sources


@pytest.fixture
def world(devchain: Devchain, tenant: Account) -> Iterator[World]:
    yield World(devchain, tenant)

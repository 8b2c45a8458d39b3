# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab of a campaign: provider hosts with the peer channel, on chain, and one tenant's network over all of them."""

from __future__ import annotations

import hashlib
import io
import ipaddress
import json
import os
import tarfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab import collection, topology
from lab.chain import PORTS
from lab.errors import LabError
from lab.lab import Lab
from scenario import desk
from scenario.cast import CHAIN_ID
from scenario.ledger import ChainOperator
from scenario.story import Story

HERE = Path(__file__).resolve().parents[1]
ON_HOST = "/opt/avpn-faults"
TENANT = "tenant-a"
_AT_ONCE = 3


def lab_name() -> str:
    """Beside the lab that this checkout works with."""
    return f"{topology.default_name()}-faults"


def subnet() -> str:
    """A range near that lab's, which no other lab of this checkout has."""
    own = ipaddress.IPv4Network(topology.default_subnet())
    return str(ipaddress.IPv4Network((int(own.network_address) ^ 512, 24)))


class Site:
    """The hosts by number from 0, and what happens on chain for the tenant's network."""

    def __init__(self, lab: Lab, hosts: int, say: Callable[[str], object]) -> None:
        self.lab = lab
        self.names = [f"provider{number + 1}" for number in range(hosts)]
        self.say = say
        self.network = ""
        self.height = 0  # at which the network can be seen
        self.name = ""
        self.founders: list[dict[str, str]] = []
        self.dseqs: dict[str, int] = {}
        self._leases: dict[str, str] = {}  # member -> dseq/gseq/oseq
        self._hosts: dict[str, int] = {}  # member -> host that runs it, or ran it last
        self._closed: set[str] = set()  # members without a lease
        self._accounts: dict[str, str] = {}

    # --- hosts

    def up(self) -> None:
        """Bring the lab up and its hosts to the software of this checkout."""
        self.lab.up(providers=len(self.names), tenants=1, subnet=subnet(), say=self.say)
        self.addresses = [self.lab.host(name).address for name in self.names]
        self.story = Story(self.lab, self.say)
        self.chain = ChainOperator(self.lab)
        self._accounts = {name: self.story.account(name) for name in [*self.names, TENANT]}
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path in sorted((HERE / "onhost").glob("*.py")):
                tar.add(path, f"{ON_HOST.strip('/')}/{path.name}")
        for name in self.names:
            self.lab.container(name).extract(archive.getvalue())
        self._set_up()
        self.lab.install_collection(*self.names)

    def node(self, host: int) -> str:
        return f"{self._accounts[self.names[host]]}/{self.names[host]}"

    def _set_up(self) -> None:
        collection.copy()
        digest = self.story.software() + hashlib.sha256((HERE / "setup.yml").read_bytes()).hexdigest()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda name: self._set_up_one(name, digest), self.names))

    def _set_up_one(self, name: str, digest: str) -> None:
        """Run the team's playbook unless the host has this software; see that the chain names its incarnation.

        AVPN_LAB_KEEP=1: with whatever software it has.
        """
        marker = self.lab.folder / name / "faults-software"
        if marker.is_file():
            known, _space, published = marker.read_text(encoding="ascii").partition(" ")
            if known == digest or "AVPN_LAB_KEEP" in os.environ:
                found = self.identity(name)
                if found and found != published:
                    self.publish(self.names.index(name))
                return
        self.say(f"{name}: its team sets it up")
        # What older software kept is no matter here, and it may be kept in another form.
        forget = "systemctl stop avpn-sshd.service; rm -rf /var/lib/avpn/voter.db* /var/lib/avpn/ledger/*"
        self.lab.execute(name, ["sh", "-c", forget], check=False)
        self.chain.fund(self._accounts[name])
        organisation = self.lab.organisation(name)
        variables = self.story._team_variables(name)
        desk.write_json(organisation.inventory / "group_vars" / "all.json", variables)
        self.story.playbook(name, str(HERE / "setup.yml"), "-e", "avpn_hosts=lab_provider")
        marker.write_text(f"{digest} {self.identity(name)}", encoding="ascii")

    def identity(self, name: str) -> str:
        """A voter's database and signing key as they are on its host, ``incarnation/public key``; empty: not there."""
        command = ["/usr/bin/python3", "-I", f"{ON_HOST}/saboteur.py", "identity"]
        return self.lab.execute(name, command, check=False).stdout.strip()

    def publish(self, host: int) -> dict[str, Any]:
        """The team publishes its host anew, whose voter has another database or key; returns them, and the height.

        What playbook publish does, without Ansible.
        """
        from ansible_collections.akash.avpn.plugins.module_utils._chain import arguments, provider_change

        name = self.names[host]
        incarnation, _slash, key = self.identity(name).partition("/")
        if not key:
            raise LabError(f"{name} has no voter's database or no key")
        params = self._params(name) | {"state": "present", "purge_nodes": False}
        params |= {"host_uri": None, "email": None, "website": None}
        with arguments.sources_of(params) as sources:
            before = sources.snapshot().provider(self._accounts[name])
        assert before is not None
        record = json.loads(dict(before.attributes)[f"avpn/peer/{name}"])
        params["nodes"] = {name: {**record, "incarnation": incarnation, "signing_key": key}}
        written = provider_change.run(params, check_mode=False)
        marker = self.lab.folder / name / "faults-software"
        digest = marker.read_text(encoding="ascii").partition(" ")[0]
        marker.write_text(f"{digest} {incarnation}/{key}", encoding="ascii")
        height = int(written["transaction"]["height"]) if written["changed"] else self.chain.height()
        return {"incarnation": incarnation, "key": key, "height": height}

    def _params(self, organisation: str) -> dict[str, Any]:
        """What all modules of an organisation that write to the chain are given."""
        from ansible_collections.akash.avpn.plugins.module_utils._chain import arguments

        specs = {**arguments.CHAIN_ARGUMENTS, **arguments.ACCOUNT_ARGUMENTS}
        return {
            **{key: spec.get("default") for key, spec in specs.items()},
            "endpoints": [f"http://{self.lab.host('chain').address}:{PORTS[0]}"],
            "own": True,
            "chain_id": CHAIN_ID,
            "private_key_file": str(desk.key_file(self.lab.organisation(organisation))),
        }

    # --- the tenant

    def begin(self, members: dict[str, int], replicas: int) -> None:
        """A new network: deployments, leases, a record with all hosts as founders."""
        owner = self._accounts[TENANT]
        self.chain.fund(owner)
        for dseq in self.chain.deployments(owner):
            self.chain.act("deployment_close", owner=owner, dseq=dseq)
        for old in self._networks():
            self._record(old, state="absent")
        self.name = f"run{int(time.time()) % 10_000_000}"
        self._hosts, self._closed = dict(members), set()
        for member, host in members.items():
            groups = [{"name": "main", "count": replicas}]
            made = self.chain.act("deployment_create", owner=owner, groups=groups)
            self.dseqs[member] = int(made["deployment"]["id"]["dseq"])
            self._lease(member, host)
        founders = [self.node(host) for host in range(len(self.names))]
        options = {"cidr": "100.64.0.0/20", "members": self.dseqs, "founders": founders}
        written = self._record(self.name, **options)
        self.network = written["network"]
        self.height = self.chain.height()
        self.founders = [
            {"node": f"{one['provider']}/{one['node']}", "incarnation": one["incarnation"], "key": one["key"]}
            for one in written["record"]["founders"]
        ]

    def act(self, kind: str, member: str) -> int:
        """Something happens on chain to a member; returns the height at which all of it can be seen."""
        owner, dseq, host = self._accounts[TENANT], self.dseqs[member], self._hosts[member]
        if kind == "replace":
            self.dseqs[member] = self.chain.replace(owner, dseq)
            self._leases[member] = f"{self.dseqs[member]}/1/1"
            self._record(self.name, members={member: self.dseqs[member]}, purge_members=False)
        elif kind == "close":
            self.chain.close_lease(owner, dseq)
            self._closed.add(member)
            self.chain.advance(12)
        else:
            self._lease(member, host)
            self._closed.discard(member)
        return self.chain.height()

    def host_of(self, member: str) -> int:
        return self._hosts[member]

    @property
    def closed(self) -> list[str]:
        """Members without a lease."""
        return sorted(self._closed)

    def holders(self) -> list[int]:
        """Hosts that hold a lease: the others are not listened to."""
        return sorted({host for member, host in self._hosts.items() if member not in self._closed})

    def lease_of(self, member: str) -> str:
        return self._leases[member]

    def _lease(self, member: str, host: int) -> None:
        lease = self.chain.lease(self._accounts[TENANT], self.dseqs[member], self._accounts[self.names[host]])
        self._leases[member] = "/".join(lease.split("/")[1:4])

    def _record(self, name: str, **options: Any) -> dict[str, Any]:
        """What the tenant's module ``network`` does."""
        from ansible_collections.akash.avpn.plugins.module_utils._chain import network_module

        names = ("owner", "cidr", "members", "providers", "evicted", "witnesses", "founders_min", "generation", "base")
        defaults: dict[str, Any] = dict.fromkeys((*names, "manifest", "access", "path"))
        defaults |= {"state": "present", "purge_members": True, "absent_members": [], "founders": ["auto"]}
        defaults |= {"extra_messages": [], "name": name, "carrier": "audit"}
        return network_module.run({**defaults, **self._params(TENANT), **options}, check_mode=False)

    def _networks(self) -> list[str]:
        """The tenant's networks of earlier campaigns."""
        owner, chain = self._accounts[TENANT], self.lab.host("chain").address
        try:
            url = f"http://{chain}:{PORTS[0]}/akash/audit/v1/audit/attributes/{owner}/{owner}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                entries = json.load(answer)["providers"]
        except OSError:
            return []
        keys = [pair["key"] for entry in entries for pair in entry["attributes"]]
        return [key.removeprefix("avpn/network/") for key in keys if key.startswith("avpn/network/")]

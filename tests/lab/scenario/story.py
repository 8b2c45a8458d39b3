# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The story: providers set their hosts up, tenants make networks, hosts hear of it and reconcile by themselves.

Every organisation acts from its own desk with its own keys; only the chain's operator stands in for what is
outside this collection (deployments and leases on chain, and the cluster that runs the workloads).
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lab.lab import Lab
from lab.errors import LabError
from lab.lease import lease_namespace, workload_name

from . import desk, probing
from .cast import CHAIN_ID, TENANTS, Member, Tenant
from .ledger import ChainOperator
from .matrix import Path, Place
from .prediction import Prediction

PEER_RANGES = ["198.18.0.0/15"]
SITE_TIMEOUT = 600.0
HANDED = "/root/avpn"


class Story:
    """The lab with the networks of ``cast``. Everything about their state is read from chain and hosts when asked."""

    def __init__(self, lab: Lab, say: Callable[[str], object] = print) -> None:
        self.lab = lab
        self.say = say
        self.chain = ChainOperator(lab)
        self.manifests: dict[str, dict[str, Any]] = {tenant.network: tenant.manifest for tenant in TENANTS}

    # --- who is who

    @property
    def providers(self) -> list[str]:
        """The provider hosts, by name."""
        return [name for name, host in self.lab.hosts.items() if host.role == "provider"]

    def account(self, organisation: str) -> str:
        """An organisation's address on chain."""
        return desk.account(self.lab.organisation(organisation))

    def network_id(self, tenant: Tenant) -> str:
        from ansible_collections.akash.avpn.plugins.module_utils._common.ids import network_id

        return network_id(self.account(tenant.host), tenant.network)

    # --- providers

    def set_up_providers(self) -> None:
        """Every provider's team runs the site playbook on its own hosts."""
        from lab import collection

        collection.copy()
        with ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(self.set_up_provider, self.providers))

    def set_up_provider(self, name: str, *arguments: str) -> str:
        """One team's site run; returns Ansible's output."""
        organisation = self.lab.organisation(name)
        self.chain.fund(self.account(name))
        self._team_repository(name)
        desk.write_json(organisation.inventory / "group_vars" / "all.json", self._team_variables(name))
        return self.playbook(name, "akash.avpn.site", "-e", "avpn_hosts=lab_provider", *arguments)

    def playbook(self, organisation: str, playbook: str, *arguments: str) -> str:
        """Run a playbook at a provider team's desk."""
        done = subprocess.run(
            ["ansible-playbook", playbook, *arguments],
            env=self.lab.organisation(organisation).environment(),
            capture_output=True,
            text=True,
            timeout=SITE_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"{organisation}: {playbook} failed:\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}")
        return done.stdout

    def _team_variables(self, name: str) -> dict[str, Any]:
        chain = self.lab.host("chain").address
        endpoints = [f"http://{chain}:1317", f"http://{chain}:1327"]
        return {
            "peer_provider": self.account(name),
            "peer_node": name,
            "peer_address": self.lab.host(name).address,
            "peer_chain_id": CHAIN_ID,
            "peer_chain_endpoints": endpoints,
            "peer_chain_own": True,
            "peer_allowed_ranges": PEER_RANGES,
            "peer_interval_view": 2,
            "peer_interval_compare": 10,
            "peer_interval_request": 1,
            "reconcile_repository": "file:///srv/git/ops.git",
            "reconcile_pip_args": ["--no-index", "--find-links", "/srv/wheels"],
            "reconcile_interval": 300,
            "reconcile_rest": 1,
            "avpn_account_private_key_file": str(desk.key_file(self.lab.organisation(name))),
            "avpn_provider_host_uri": f"https://{name}.example:8443",
        }

    def _team_repository(self, name: str) -> None:
        """The team's own repository, here on the host itself, with the one playbook its hosts pull."""
        script = """
            set -eu
            [ -d /srv/git/ops.git ] && exit 0
            work=$(mktemp -d)
            git init --quiet --bare --initial-branch=main /srv/git/ops.git
            git init --quiet --initial-branch=main "$work"
            printf -- '---\n- name: Reconcile\n  ansible.builtin.import_playbook: akash.avpn.reconcile\n' > "$work/local.yml"
            git -C "$work" add local.yml
            git -C "$work" -c user.name=ops -c user.email=ops@example.com commit --quiet -m 'Reconcile'
            git -C "$work" push --quiet /srv/git/ops.git main
            rm -rf "$work"
        """
        self.lab.execute(name, ["sh", "-c", script])

    # --- tenants

    def deploy(self, tenant: Tenant, members: Iterable[Member] | None = None) -> None:
        """Deployments with their leases, and the workloads that the providers' clusters then run."""
        owner = self.account(tenant.host)
        self.chain.fund(owner)
        leases = {int(lease.split("/")[1]): lease for lease in self.chain.leases(owner)}
        for member in tenant.members if members is None else members:
            if member.dseq not in leases:
                self.chain.deploy(owner, member.dseq, member.replicas)
                leases[member.dseq] = self.chain.lease(owner, member.dseq, self.account(member.provider))
            self.run_workloads(member, leases[member.dseq])

    def run_workloads(self, member: Member, lease: str) -> None:
        """What the provider's cluster does once a lease is there."""
        names = [workload_name(_namespace(lease), index) for index in range(member.replicas)]
        self.lab.create_workloads(member.provider, *names)

    def publish(self, tenant: Tenant, **options: Any) -> dict[str, Any]:
        """The tenant runs the tenant playbook on its own machine; returns what the playbook's modules said."""
        self._prepare_tenant(tenant)
        chain = self.lab.host("chain").address
        key = self.lab.execute(tenant.host, ["cat", f"{HANDED}/tenant_ed25519.pub"]).stdout.split()
        variables = {
            "avpn_network": {
                "name": tenant.network,
                "cidr": tenant.cidr,
                "members": {member.name: member.dseq for member in tenant.members},
                "access": [" ".join(key[:2])],
            },
            "avpn_manifest": self.manifests[tenant.network],
            "avpn_manifest_provider": self.account(tenant.hand_in),
            "avpn_ssh_key_file": f"{HANDED}/tenant_ed25519",
            "avpn_account_private_key_file": f"{HANDED}/account.key",
            "avpn_chain_endpoints": [f"http://{chain}:1317"],
            "avpn_chain_own": True,
            "avpn_chain_id": CHAIN_ID,
            "avpn_peer_ranges": PEER_RANGES,
        }
        return self.tenant_playbook(tenant, "akash.avpn.tenant", {**variables, **options})

    def tenant_playbook(self, tenant: Tenant, playbook: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Run a playbook on a tenant's machine; its results by task, as Ansible's JSON callback gives them."""
        self.lab.execute(tenant.host, ["tee", f"{HANDED}/variables.json"], data=json.dumps(dict(variables)).encode())
        command = ["env", "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=false", "/opt/control/bin/ansible-playbook"]
        command += ["-v", "-i", "localhost,", playbook, "-e", f"@{HANDED}/variables.json"]
        done = self.lab.execute(tenant.host, command, check=False, timeout=300)
        if done.returncode != 0:
            raise LabError(f"{tenant.host}: {playbook} failed:\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}")
        return {"output": done.stdout}

    def _prepare_tenant(self, tenant: Tenant) -> None:
        """The tenant's own SSH key, made on its machine, and its account's key."""
        account_key = desk.key_file(self.lab.organisation(tenant.host))
        self.account(tenant.host)
        script = f"""
            set -eu; umask 077; mkdir -p {HANDED}
            [ -f {HANDED}/tenant_ed25519 ] || ssh-keygen -q -t ed25519 -N '' -C '' -f {HANDED}/tenant_ed25519
            cat > {HANDED}/account.key
        """
        self.lab.execute(tenant.host, ["sh", "-c", script], data=account_key.read_bytes())

    # --- what the hosts made of it

    def applied(self, host: str, tenant: Tenant) -> dict[str, Any] | None:
        """What a host last applied of a network, or None."""
        path = f"/var/lib/avpn-host/applied/{self.network_id(tenant)}.json"
        done = self.lab.execute(host, ["cat", path], check=False)
        return dict(json.loads(done.stdout)) if done.returncode == 0 and done.stdout.strip() else None

    def wait_applied(
        self,
        tenant: Tenant,
        wanted: Mapping[str, Iterable[str]] | None = None,
        *,
        manifest: int = 1,
        seconds: float = 180.0,
    ) -> float:
        """Wait until each host has its endpoints attached and enforces the manifest; returns seconds waited.

        wanted: host → its endpoints; by default those of the cast.
        """
        expected = {host: set(endpoints) for host, endpoints in (wanted or expected_endpoints(tenant)).items()}
        start = time.monotonic()
        while True:
            missing = {host: text for host in expected if (text := self._missing(host, tenant, expected[host], manifest))}
            if not missing:
                return time.monotonic() - start
            if time.monotonic() - start > seconds:
                told = "\n".join(f"  {host}: {text}" for host, text in missing.items())
                raise LabError(f"network {tenant.network} is not in place after {seconds:g} s:\n{told}")
            time.sleep(0.3)

    def _missing(self, host: str, tenant: Tenant, endpoints: set[str], manifest: int) -> str:
        state = self.applied(host, tenant)
        if state is None:
            return "nothing applied yet"
        attached = {name for name, entry in state["endpoints"].items() if entry["state"] == "attached"}
        if attached != endpoints:
            return f"has {', '.join(sorted(attached)) or 'no endpoint'}, not {', '.join(sorted(endpoints))}"
        if (state["manifest"] or 0) < manifest:
            return f"enforces manifest {state['manifest']}, not {manifest}"
        return ""

    def places(self, *tenants: Tenant) -> list[Place]:
        """Every endpoint of networks, as their hosts have them."""
        found = []
        for tenant in tenants or TENANTS:
            workloads = {host: self._namespaces(host, tenant) for host in self.providers}
            for host in self.providers:
                state = self.applied(host, tenant)
                for label, entry in (state or {"endpoints": {}})["endpoints"].items():
                    member, _, index = label.split("/")
                    namespace = workloads[host].get(label)
                    if namespace is None or entry["state"] != "attached":
                        continue
                    name = f"{index}.{member}.{tenant.network}.avpn.internal"
                    found.append(
                        Place(tenant.network, label, name, host, namespace, entry["ipv4"], entry["ipv6"])
                    )
        return sorted(found, key=lambda place: (place.network, place.label))

    def _namespaces(self, host: str, tenant: Tenant) -> dict[str, str]:
        """Endpoint → workload namespace on a host, by the leases that its last state names."""
        path = f"/var/lib/avpn-host/applied/{self.network_id(tenant)}.live.json"
        done = self.lab.execute(host, ["cat", path], check=False)
        if done.returncode != 0 or not done.stdout.strip():
            return {}
        namespaces = {}
        for label, lease, node, _ipv4 in json.loads(done.stdout)["live"]:
            if node.endswith(f"/{host}"):
                namespaces[label] = workload_name(_namespace(lease), int(label.split("/")[2]))
        return namespaces

    def probe(self, *tenants: Tenant) -> list[Path]:
        """Probe every path between all endpoints of networks (default: all of the cast)."""
        places = self.places(*tenants)
        predictions = {
            tenant.network: Prediction(
                self.manifests[tenant.network], [place for place in places if place.network == tenant.network]
            )
            for tenant in tenants or TENANTS
        }
        return probing.probe(self.lab, places, predictions)


def expected_endpoints(tenant: Tenant) -> dict[str, set[str]]:
    """Host → endpoints of a tenant's cast."""
    hosts: dict[str, set[str]] = {}
    for member in tenant.members:
        hosts.setdefault(member.provider, set()).update(f"{member.name}/1/{index}" for index in range(member.replicas))
    return hosts


def _namespace(lease: str) -> str:
    owner, dseq, gseq, oseq, provider = lease.split("/")
    return lease_namespace(owner, int(dseq), int(gseq), int(oseq), provider)

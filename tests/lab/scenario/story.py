# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The story: providers set their hosts up, tenants make networks, hosts hear of it and reconcile by themselves.

Every organisation acts from its own desk with its own keys; only the chain's operator stands in for what is
outside this collection (deployments and leases on chain, and the cluster that runs the workloads).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path as File
from typing import Any

from lab import collection
from lab.errors import LabError
from lab.lab import Lab
from lab.lease import lease_namespace, workload_name

from . import desk, observing, probing
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

    # --- the whole

    def play(self) -> None:
        """From hosts that boot to two networks that work. What is done already is done again and changes nothing."""
        self.set_up_providers()
        self.set_up_tenants()
        self.software_file.write_text(self.software() + "\n", encoding="ascii")
        self.say("each provider's team has run akash.avpn.site on its own host and published it on chain")
        for tenant in TENANTS:
            self.deploy(self.present(tenant))
            members = ", ".join(f"{member.name} at {member.provider}" for member in tenant.members)
            self.say(f"{tenant.host} has leased {members}")
        for tenant in TENANTS:
            self.publish(self.present(tenant))
            self.say(f"{tenant.host} has put network {tenant.network} on chain, its manifest to {tenant.hand_in}")
        for tenant in TENANTS:
            waited = self.wait_applied(self.present(tenant), manifest=self.handed(tenant))
            self.say(f"{tenant.network}: every host has reconciled by itself ({waited:.1f} s more)")

    @property
    def software_file(self) -> File:
        """Remembers which software the lab was last set up with."""
        return self.lab.folder / "software"

    def software(self) -> str:
        """A digest of what hosts and tenants get of this checkout."""
        tree, digest = collection.copy(), hashlib.sha256()
        for folder in ("plugins", "roles", "playbooks"):
            for path in sorted((tree / folder).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    digest.update(f"{path.relative_to(tree)}\n".encode() + path.read_bytes())
        return digest.hexdigest()

    def is_played(self) -> bool:
        """Whether the lab was played with the software as it is now."""
        return (
            self.software_file.is_file() and self.software_file.read_text(encoding="ascii").strip() == self.software()
        )

    def is_as_cast(self, tenant: Tenant) -> bool:
        """Whether chain and manifest are as the cast has them."""
        owner = self.account(tenant.host)
        now = self.present(tenant)
        record = self.chain.record(owner, tenant.network)
        leased = {int(lease.split("/")[1]) for lease in self.chain.leases(owner)}
        wanted = {member.name: member.dseq for member in now.members}
        if record is None or record["members"] != wanted or leased != set(wanted.values()):
            return False
        path = f"/var/lib/avpn/manifests/{self.network_id(tenant)}.json"
        manifest = observing.document(self.lab, tenant.hand_in, path)
        return manifest is not None and manifest["content"] == tenant.manifest

    def restore(self) -> None:
        """Bring everything back to the cast, whatever a test has left: hosts, links, leases, records, manifests."""
        self.lab.heal()
        for name, host in self.lab.hosts.items():
            if host.role in ("provider", "chain") and self.lab.container(name).state() != "running":
                self.lab.start(name)
        for tenant in TENANTS:
            self.manifests[tenant.network] = tenant.manifest
            if self.is_as_cast(tenant):
                continue
            owner, now = self.account(tenant.host), self.present(tenant)
            stay = {member.dseq for member in now.members}
            for lease in self.chain.leases(owner):
                if int(lease.split("/")[1]) not in stay:
                    self.close(lease)
            self.deploy(now)
            self.publish(now)
        for tenant in TENANTS:
            self.wait_applied(self.present(tenant), manifest=self.handed(tenant))

    # --- providers

    def set_up_providers(self) -> None:
        """Every provider's team runs the site playbook on its own hosts."""
        collection.copy()
        with ThreadPoolExecutor(max_workers=3) as pool:
            list(pool.map(self.set_up_provider, self.providers))

    def set_up_tenants(self) -> None:
        """Tenants have the collection on their own machines."""
        self.lab.install_collection(*(name for name, host in self.lab.hosts.items() if host.role == "tenant"))

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
        return done.stdout + done.stderr

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
            "peer_interval_view": 5,
            "peer_interval_compare": 10,
            "peer_interval_request": 1,
            "firewall_log_rate": 20,
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
            {
                printf -- '---\n- name: Reconcile\n'
                printf '  ansible.builtin.import_playbook: akash.avpn.reconcile\n'
            } > "$work/local.yml"
            git -C "$work" add local.yml
            git -C "$work" -c user.name=ops -c user.email=ops@example.com commit --quiet -m 'Reconcile'
            git -C "$work" push --quiet /srv/git/ops.git main
            rm -rf "$work"
        """
        self.lab.execute(name, ["sh", "-c", script])

    # --- tenants

    def present(self, tenant: Tenant) -> Tenant:
        """The tenant with its members' deployments as its record on chain names them now."""
        record = self.chain.record(self.account(tenant.host), tenant.network) or {"members": {}}
        now = [replace(member, dseq=record["members"].get(member.name, member.dseq)) for member in tenant.members]
        return replace(tenant, members=tuple(now))

    def deploy(self, tenant: Tenant, members: Iterable[Member] | None = None) -> None:
        """Deployments with their leases, and the workloads that the providers' clusters then run."""
        owner = self.account(tenant.host)
        self.chain.fund(owner)
        deployments = self.chain.deployments(owner)
        leases = {int(lease.split("/")[1]): lease for lease in self.chain.leases(owner)}
        for member in tenant.members if members is None else members:
            if member.dseq not in deployments:
                self.chain.deploy(owner, member.dseq, member.replicas)
            if member.dseq not in leases:
                leases[member.dseq] = self.chain.lease(owner, member.dseq, self.account(member.provider))
            self.run_workloads(member, leases[member.dseq])

    def lease_of(self, tenant: Tenant, member: Member) -> str | None:
        """The active lease of a member's deployment."""
        leases = self.chain.leases(self.account(tenant.host))
        return next((lease for lease in leases if int(lease.split("/")[1]) == member.dseq), None)

    def close(self, lease: str) -> None:
        """The tenant closes a lease; the provider's cluster ends its workloads."""
        owner, dseq = lease.split("/")[:2]
        self.chain.close_lease(owner, int(dseq))
        self.end_workloads(lease)

    def end_workloads(self, lease: str) -> None:
        """What the provider's cluster does once a lease has closed."""
        for host in self.providers:
            if self.account(host) == lease.split("/")[4]:
                own = [name for name in self.lab.workloads(host) if name.startswith(_namespace(lease))]
                self.lab.remove_workloads(host, *own)

    def run_workloads(self, member: Member, lease: str) -> None:
        """What the provider's cluster does once a lease is there."""
        names = [workload_name(_namespace(lease), index) for index in range(member.replicas)]
        self.lab.create_workloads(member.provider, *names)

    def publish(self, tenant: Tenant, *arguments: str, **options: Any) -> str:
        """The tenant runs the tenant playbook on its own machine; returns Ansible's output.

        arguments go to ansible-playbook, options are variables beside those that the story sets.
        """
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
        return self.tenant_playbook(tenant, "akash.avpn.tenant", {**variables, **options}, *arguments)

    def tenant_playbook(self, tenant: Tenant, playbook: str, variables: Mapping[str, Any], *arguments: str) -> str:
        """Run a playbook on a tenant's machine; returns Ansible's output."""
        self.lab.execute(tenant.host, ["tee", f"{HANDED}/variables.json"], data=json.dumps(dict(variables)).encode())
        command = ["env", "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=false", "/opt/control/bin/ansible-playbook"]
        command += ["-v", "-i", "localhost,", playbook, "-e", f"@{HANDED}/variables.json", *arguments]
        done = self.lab.execute(tenant.host, command, check=False, timeout=300)
        if done.returncode != 0:
            raise LabError(f"{tenant.host}: {playbook} failed:\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}")
        return done.stdout + done.stderr

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
        return observing.applied(self.lab, host, self.network_id(tenant))

    def known(self, host: str, tenant: Tenant) -> dict[str, tuple[str, str, str]]:
        """Every endpoint of a network that a host has made room for: label → (lease, node, IPv4 address)."""
        return observing.known(self.lab, host, self.network_id(tenant))

    def wait_applied(
        self,
        tenant: Tenant,
        hosts: Iterable[str] | None = None,
        *,
        manifest: int = 1,
        seconds: float = observing.PATIENCE,
    ) -> float:
        """Wait until hosts (default: all) have their endpoints attached, know all others and enforce the manifest.

        A host that has no endpoint of the network must have nothing of it. Returns the seconds waited.
        """
        expected = expected_endpoints(tenant)
        listed = list(self.providers if hosts is None else hosts)
        start = time.monotonic()
        while True:
            missing = {host: text for host in listed if (text := self._missing(host, tenant, expected, manifest))}
            if not missing:
                return time.monotonic() - start
            if time.monotonic() - start > seconds:
                told = "\n".join(f"  {host}: {text}" for host, text in missing.items())
                raise LabError(f"network {tenant.network} is not in place after {seconds:g} s:\n{told}")
            time.sleep(0.3)

    def _missing(self, host: str, tenant: Tenant, expected: Mapping[str, set[str]], manifest: int) -> str:
        state = self.applied(host, tenant)
        if host not in expected:
            return "" if state is None else "still has something of it"
        if state is None:
            return "nothing applied yet"
        attached = {name for name, entry in state["endpoints"].items() if entry["state"] == "attached"}
        if attached != expected[host]:
            return f"has {', '.join(sorted(attached)) or 'no endpoint'}, not {', '.join(sorted(expected[host]))}"
        everyone = set().union(*expected.values())
        if (known := set(self.known(host, tenant))) != everyone:
            return f"knows {', '.join(sorted(known))}, not {', '.join(sorted(everyone))}"
        if (state["manifest"] or 0) < manifest:
            return f"enforces manifest {state['manifest']}, not {manifest}"
        return ""

    def handed(self, tenant: Tenant) -> int:
        """The version of the manifest that lies where the tenant hands it in."""
        return observing.manifest_version(self.lab, tenant.hand_in, self.network_id(tenant))

    def places(self, *tenants: Tenant) -> list[Place]:
        """Every endpoint of networks, as their hosts have them."""
        found = []
        for tenant in tenants or TENANTS:
            for host in self.providers:
                workloads = self._namespaces(host, tenant)
                state = self.applied(host, tenant)
                for label, entry in (state or {"endpoints": {}})["endpoints"].items():
                    member, _unused, index = label.split("/")
                    namespace = workloads.get(label)
                    if namespace is None or entry["state"] != "attached":
                        continue
                    name = f"{index}.{member}.{tenant.network}.avpn.internal"
                    found.append(Place(tenant.network, label, name, host, namespace, entry["ipv4"], entry["ipv6"]))
        return sorted(found, key=lambda place: (place.network, place.label))

    def _namespaces(self, host: str, tenant: Tenant) -> dict[str, str]:
        """Endpoint → workload namespace on a host, by the leases that its last state names."""
        return {
            label: workload_name(_namespace(lease), int(label.split("/")[2]))
            for label, (lease, node, _unused) in self.known(host, tenant).items()
            if node.endswith(f"/{host}")
        }

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

#!/usr/bin/env python
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scenarios' world: a lab of two providers, a tenant and a chain, and an inventory of it.

``world.py up`` makes it new, ``down`` removes it, ``lease`` gives the tenant two running leases; with ``--list`` it
is the inventory. Every provider's host is opened with that provider's own key, as its team would.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "lab")]

from lab import Lab, lease_namespace, topology, workload_name  # noqa: E402

MEMBERS = {"web": (1001, "provider1"), "db": (1002, "provider2")}
CHAIN_ID = "avpn-lab-1"
# web may ask db on port 8080 and ping it; nothing else may pass
MANIFEST = {
    "members": {
        "web": {"egress": {"allow": [{"peers": "db", "ports": ["tcp/8080", "icmp", "icmpv6"]}]}},
        "db": {"ingress": {"allow": [{"peers": "web", "ports": ["tcp/8080", "icmp", "icmpv6"]}]}},
    },
    "tests": [{"from": "db", "to": "web", "port": "tcp/8080", "expected": "deny"}],
}
REPOSITORY = "/srv/git/ops.git"
PLAYBOOK = """\
- name: Reconcile
  ansible.builtin.import_playbook: akash.avpn.reconcile
"""


def name() -> str:
    """The lab's name: beside the lab that this checkout works with."""
    return f"{topology.default_name()}-molecule"


def facts_file(lab: Lab) -> pathlib.Path:
    """What was made up: accounts."""
    return lab.folder / "world.json"


def up() -> None:
    """A new lab, accounts with funds, and each provider's repository on its own host."""
    from scenario.desk import account
    from scenario.ledger import ChainOperator

    lab = Lab(name())
    lab.down(keep_daemon=True)
    lab.up(providers=2, tenants=1, subnet=topology.neighbour(1))
    operator = ChainOperator(lab)
    accounts = {}
    for organisation in ("provider1", "provider2", "tenant-a"):
        accounts[organisation] = account(lab.organisation(organisation))
        operator.fund(accounts[organisation])
    facts_file(lab).write_text(json.dumps(accounts), encoding="utf-8")
    for host in ("provider1", "provider2"):
        lab.execute(host, ["sh", "-euc", _REPOSITORY_SCRIPT, "sh", REPOSITORY], data=PLAYBOOK.encode())


_REPOSITORY_SCRIPT = """
work=$(mktemp -d)
cat > "$work/local.yml"
git -C "$work" init --quiet --initial-branch=main
git -C "$work" add local.yml
git -C "$work" -c user.name=Team -c user.email=team@example commit --quiet --message 'Reconcile this host'
mkdir -p "$(dirname "$1")"
git clone --quiet --bare "$work" "$1"
rm -rf "$work"
"""


def lease() -> None:
    """A deployment for each member, leased at its provider, with its workload running."""
    from scenario.ledger import ChainOperator

    lab = Lab(name())
    accounts = json.loads(facts_file(lab).read_text(encoding="utf-8"))
    operator = ChainOperator(lab)
    owner = accounts["tenant-a"]
    for dseq, host in MEMBERS.values():
        operator.deploy(owner, dseq, 1)
        _owner, number, gseq, oseq, provider = operator.lease(owner, dseq, accounts[host]).split("/")
        namespace = lease_namespace(owner, int(number), int(gseq), int(oseq), provider)
        lab.create_workloads(host, workload_name(namespace, 0))


def inventory() -> dict[str, object]:
    """Ansible's inventory of the lab, before it is up too, for creating it."""
    lab = Lab(name())
    made = topology.build(name(), topology.neighbour(1), providers=2, tenants=1)
    addresses = {host.name: host.address for host in made.hosts}
    path = facts_file(lab)
    accounts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    endpoints = [f"http://{addresses['chain']}:{port}" for port in (1317, 1327)]
    hosts = {}
    for host in ("provider1", "provider2"):
        desk = lab.folder / host
        hosts[host] = {
            "ansible_host": addresses[host],
            "ansible_ssh_private_key_file": str(desk / "ssh" / "id_ed25519"),
            "ansible_ssh_common_args": f"-o IdentitiesOnly=yes -o UserKnownHostsFile={desk}/ssh/known_hosts",
            "peer_provider": accounts.get(host, ""),
            "peer_node": "node1",
            "peer_address": addresses[host],
            "avpn_account_private_key_file": str(desk / "account.key"),
            "avpn_provider_host_uri": f"https://{host}.example:8443",
        }
    tenant = lab.folder / "tenant-a"
    key = tenant / "ssh" / "id_ed25519"
    public = key.with_suffix(".pub")
    everyone = {
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        # the tenant
        "avpn_chain_endpoints": endpoints,
        "avpn_chain_id": CHAIN_ID,
        "avpn_chain_own": True,
        "avpn_account_private_key_file": str(tenant / "account.key"),
        "avpn_ssh_key_file": str(key),
        "avpn_peer_ranges": ["198.18.0.0/15"],
        "avpn_network": {
            "name": "shop",
            "cidr": "100.64.0.0/24",
            "members": {member: dseq for member, (dseq, _host) in MEMBERS.items()},
            "access": [" ".join(public.read_text(encoding="utf-8").split()[:2])] if public.is_file() else [],
        },
        "world_manifest": MANIFEST,
        # the hosts; the lab's endpoints speak plain http, which only a team's own may
        "peer_chain_endpoints": endpoints,
        "peer_chain_id": CHAIN_ID,
        "peer_chain_own": True,
        "peer_allowed_ranges": ["198.18.0.0/15"],
        "peer_interval_view": 5,
        "peer_interval_compare": 10,
        "peer_interval_request": 5,
        "reconcile_repository": REPOSITORY,
        "reconcile_pip_args": ["--no-index", "--find-links", "/srv/wheels"],
    }
    return {
        "_meta": {"hostvars": hosts},
        "all": {"vars": everyone, "children": ["avpn"]},
        "avpn": {"hosts": sorted(hosts)},
    }


def main(arguments: list[str]) -> int:
    os.chdir(ROOT)
    command = arguments[0] if arguments else "--list"
    if command in ("up", "down"):
        # Docker's daemon runs on from one scenario to the next; `make lab-down` stops it if we started it.
        subprocess.run([str(ROOT / "tests/lab/bootstrap.sh")], check=True, stdout=subprocess.DEVNULL)
    if command == "up":
        up()
    elif command == "down":
        Lab(name()).down(keep_daemon=True)
    elif command == "lease":
        lease()
    else:
        sys.stdout.write(json.dumps(inventory(), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

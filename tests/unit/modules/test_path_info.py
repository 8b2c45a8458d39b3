# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module path_info: from a file alone, and on a host with a ledger that voters agreed on; and the filter paths."""

from __future__ import annotations

import base64
import json
import pathlib
import time
from dataclasses import replace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.akash.avpn.plugins.filter.paths import FilterModule
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import save_view
from ansible_collections.akash.avpn.plugins.module_utils._manifest import adr36, envelope
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import ManifestStore
from ansible_collections.akash.avpn.plugins.module_utils._overlay.inputs import load_inputs
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.tests.unit.chain.module_run import run_module
from ansible_collections.akash.avpn.tests.unit.quorum import ledger_world
from ansible_collections.akash.avpn.tests.unit.quorum.ledger_world import Chain, Voters, allocate, cache, node

SECRET = bytes(range(1, 33))
POLICY = """\
members:
  web:
    egress:
      allow:
        - {peers: api, ports: tcp/8080}
        - {peers: db, ports: any}
  api:
    ingress: {allow: [{peers: 100.64.0.0/29, ports: tcp/8080}]}
  db:
    ingress:
      deny:
        - {peers: any, ports: tcp/22}
      allow:
        - {peers: web, ports: tcp/1-1024}
"""


@pytest.fixture
def policy(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "policy.yml"
    path.write_text(POLICY, encoding="utf-8")
    return path


def test_a_refused_path_is_explained_with_lines_and_with_what_to_change(policy: pathlib.Path) -> None:
    told = run_module("path_info", **{"src": str(policy), "from": "web", "to": "db", "port": "tcp/22"})
    assert (told["changed"], told["permitted"]) == (False, False)
    (path,) = told["paths"]
    assert path["egress"] == [
        {"permitted": True, "place": "members.web.egress.allow.1", "line": 6, "why": "allow rule", "addresses": []}
    ]
    assert path["remove"] == [
        {"where": "members.db.ingress.deny.0", "line": 12, "rule": {"peers": "any", "ports": "tcp/22"}}
    ]
    assert (path["add"], path["also"]) == ([], [])
    assert told["text"] == [
        "web -> db tcp/22: not permitted",
        "  web may send: members.web.egress.allow.1 (line 6)",
        "  db may not receive: members.db.ingress.deny.0 (line 12)",
        "  to permit it, remove or narrow members.db.ingress.deny.0 (line 12): {peers: any, ports: tcp/22}",
    ]
    guide = (pathlib.Path(__file__).resolve().parents[3] / "docs" / "tenant.md").read_text(encoding="utf-8")
    assert "\n".join(told["text"]) in guide, "the tenant's guide shows this one"


def test_everybody_and_some(policy: pathlib.Path) -> None:
    told = run_module("path_info", src=str(policy), cidr="100.64.0.0/24")
    assert told["text"] == [
        "web -> api: tcp/8080 (IPv4 only, for some addresses)",
        "web -> db: tcp/1-21, tcp/23-1024",
    ]
    assert told["matrix"][0] == {
        "from": "web", "to": "api", "ports": ["tcp/8080"], "family": "ipv4", "addresses": "some",
    }  # fmt: skip
    assert (told["permitted"], told["paths"], told["difference"], told["staged"]) == (None, None, None, None)
    narrow = run_module("path_info", src=str(policy), to="db", port="tcp/23")
    assert narrow["text"] == ["web -> db: tcp/23"]
    assert run_module("path_info", **{"src": str(policy), "from": "api"})["text"] == ["nothing is permitted"]


def test_another_manifest_is_compared_with(policy: pathlib.Path) -> None:
    changed = yaml.safe_load(POLICY)
    del changed["members"]["db"]["ingress"]["deny"]
    changed["staged"] = {}
    told = run_module("path_info", content=changed, against_src=str(policy), to="db")
    assert told["difference"] == {
        "gains": [{"from": "web", "to": "db", "ports": ["tcp/22"], "family": "both", "addresses": "all"}],
        "loses": [],
    }
    assert told["text"][1:] == [
        "with this manifest:",
        "  web -> db gains tcp/22",
        "if what is staged were enforced:",
        "  web -> db loses tcp/1-1024",
    ]


def test_what_a_change_permits_beyond_what_is_asked(policy: pathlib.Path) -> None:
    document = yaml.safe_load(POLICY)
    document["members"]["db"]["ingress"]["deny"].append({"peers": "web", "ports": "tcp/100-200"})
    told = run_module("path_info", **{"content": document, "from": "web", "to": "db", "port": "tcp/100"})
    assert [each["ports"] for each in told["paths"][0]["also"]] == [["tcp/100-200"]]
    assert told["text"][-1] == "  that would also permit more: web -> db gains tcp/100-200"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"from": "wep"}, "from: 'wep' is no member that the manifest names. Did you mean 'web'?"),
        ({"port": "any"}, "port: must be one port, icmp or icmpv6"),
        ({"port": "tcp/80-90"}, "port: must be one port, icmp or icmpv6"),
        ({"cidr": "100.64.0.1/24"}, "cidr: is an address within a range. Write 100.64.0.0/24"),
        ({"against": {"member": {}}}, "member: is not a known field. Did you mean 'members'?"),
        ({"against_src": "/nonexistent"}, "against_src /nonexistent: can't be read: No such file or directory"),
    ],
)
def test_bad_options(policy: pathlib.Path, options: dict[str, Any], message: str) -> None:
    told = run_module("path_info", src=str(policy), **options)
    assert told["failed"]
    assert told["msg"] == message


def test_mistakes_in_a_file_are_told_with_their_lines(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "policy.yml"
    for text, message in (
        ("members:\n  web: {ingres: {}}\n", f"{path} line 2: members.web.ingres: is not a known field"),
        ("", f"{path}: is empty. Write {{}} for a manifest that permits nothing"),
    ):
        path.write_text(text, encoding="utf-8")
        assert run_module("path_info", src=str(path))["msg"].startswith(message)
        assert run_module("path_info", content={}, against_src=str(path))["msg"].startswith(message)


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Host 1 of three; voters have agreed on an endpoint of web, api and db each. The tenant has a key."""
    owner = adr36.account_of(base64.b64decode(adr36.sign(SECRET, b"")[0]))
    monkeypatch.setattr(ledger_world, "OWNER", owner)
    (tmp_path / "voters").mkdir()
    chain = Chain()
    for number, member in ((1, "web"), (2, "api"), (3, "db")):
        chain.deploy(member, 10 + number, number)
    voters = Voters(tmp_path / "voters", chain)
    found = Paths(tmp_path / "host")
    for directory in (found.etc, found.state, found.host_state, found.ledgers, found.manifests):
        directory.mkdir(parents=True)
    for number in (1, 2, 3):
        allocate(voters, number, cache=cache(found.ledgers))
    config = {
        "provider": node(1).provider,
        "node": node(1).node,
        "chain": {"chain_id": "lab", "endpoints": ["http://198.18.0.1:1317"], "own": True},
        "peer": {"address": "198.18.0.1", "port": 2222},
        "wireguard": {"address": "198.18.0.1", "first_port": 51820, "mtu": 1420},
        "gossip": {"address": "198.18.0.1", "port": 7946},
        "peer_ranges": ["198.18.0.0/15"],
    }
    found.host_config.write_text(json.dumps(config))
    save_view(found.view, replace(chain.view(), time=int(time.time()), hosts={}))
    return found


def test_on_a_host_endpoints_are_known(host: Paths, policy: pathlib.Path) -> None:
    root = str(host.root)
    told = run_module("path_info", src=str(policy), network="prod", root=root)
    assert (told["endpoints"], told["version"]) == (3, None)
    value = next(iter(load_inputs(host).ledgers.values()))
    web = next(slot.address for endpoint, slot in value.bound().items() if endpoint.member == "web")
    assert str(web).startswith("100.64.0."), "in or out of the rule's range, but known"
    assert {each["addresses"] for each in told["matrix"]} == {"all"}
    asked = {"from": "web/1/0", "to": "api", "port": "tcp/8080"}
    by_name = run_module("path_info", src=str(policy), network="prod", root=root, **asked)
    by_address = run_module("path_info", src=str(policy), network="prod", root=root, **{**asked, "from": str(web)})
    assert {path["verdict"] for path in by_name["paths"]} <= {"allow", "deny"}
    assert [path["verdict"] for path in by_address["paths"]] == [by_name["paths"][0]["verdict"]]
    assert told["difference"]["gains"], "nothing runs here yet"


def test_on_a_host_what_it_enforces_is_asked_about(host: Paths, policy: pathlib.Path) -> None:
    (seen,) = load_inputs(host).view.networks.values()
    ManifestStore(host.manifests).adopt(envelope.sign(seen.record.id, 7, yaml.safe_load(POLICY), SECRET), seen.record)
    root = str(host.root)
    told = run_module("path_info", root=root, network=seen.record.id)
    assert (told["version"], told["difference"]) == (7, None)
    assert "web -> db: tcp/1-21, tcp/23-1024" in told["text"]
    beside = run_module("path_info", root=root, network="prod", owner=seen.record.owner, src=str(policy))
    assert beside["matrix"] == told["matrix"]
    assert beside["difference"] == {"gains": [], "loses": []}
    assert beside["text"][-2:] == ["with this manifest:", "  nothing changes"]
    refused = run_module("path_info", root=root, network="prod", content={"members": {"log": {}}})
    assert refused["msg"].startswith("members.log: 'log' is not a member of the network")


def test_on_a_host_without_a_manifest_nothing_is_permitted(host: Paths) -> None:
    root = str(host.root)
    told = run_module("path_info", root=root, **{"from": "web", "to": "db", "port": "icmp"})
    assert (told["permitted"], told["version"]) == (False, None)
    assert told["paths"][0]["egress"][0]["why"] == "web has no rules"
    assert not ManifestStore(host.manifests).networks()
    assert "no network that this host knows" in run_module("path_info", root=root, network="other")["msg"]
    assert "Did you mean 'web'?" in run_module("path_info", root=root, **{"from": "wob"})["msg"]


def test_the_filter_says_the_same_as_the_module(policy: pathlib.Path) -> None:
    ask = FilterModule().filters()["paths"]
    document = yaml.safe_load(POLICY)
    for options in ({}, {"target": "db"}, {"source": "web", "target": "db", "port": "tcp/22"}):
        names = {"source": "from", "target": "to", "port": "port"}
        told = run_module("path_info", content=document, **{names[key]: text for key, text in options.items()})
        said = ask(document, **options)
        assert said == {key: told[key] for key in said}
    assert ask(document, against={})["difference"]["loses"] == []
    with pytest.raises(AnsibleFilterError, match=r"akash\.avpn\.paths: members\.web\.ingres: is not a known field"):
        ask({"members": {"web": {"ingres": {}}}})
    with pytest.raises(AnsibleFilterError, match=r"akash\.avpn\.paths: "):
        ask(None)

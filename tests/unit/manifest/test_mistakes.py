# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tenants write wrongly, and the answer that each gets, whole: they stand in mistakes*.yml."""

from __future__ import annotations

import dataclasses
import ipaddress
import pathlib

import pytest
import yaml

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import NetworkRecord
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._manifest import source
from ansible_collections.akash.avpn.plugins.module_utils._manifest.manifest_module import source_of
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import check_content

RECORD = NetworkRecord(
    owner="akash1eq5y48kg0txyuhjdnsl3cj9d40j0uawf6nku6m",
    name="prod",
    cidr=ipaddress.IPv4Network("100.64.0.0/20"),
    members={"web": 1001, "api": 1002, "db": 1003, "gateway": 1004},
    providers=None,
)
FILES = sorted(pathlib.Path(__file__).parent.glob("mistakes*.yml"))
MISTAKES = [each for file in FILES for each in yaml.safe_load(file.read_text(encoding="utf-8"))]
# A few lines that anchors make millions of.
BOMB = "a: &a [1]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 20)}]\n" for a, b in ("ab", "bc", "cd", "de", "ef"))


def answer(text: str) -> str:
    """What is wrong with a file; empty if nothing is."""
    try:
        read = source.load(text, where="m.yml")
        with read.named():
            check_content(read.document, RECORD)
    except InvalidInput as error:
        return str(error)
    return ""


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each["file"][-40:])
def test_each_mistake_has_its_answer(mistake: dict[str, str]) -> None:
    given = answer(mistake["file"])
    assert given in (f"m.yml {mistake['answer']}", f"m.yml: {mistake['answer']}")


@pytest.mark.parametrize("text", [BOMB, "[" * 100_000, "a: " * 1000, "{a: " * 50, "x: &x\n  y: *x\n"])
def test_what_grows_without_bounds_is_refused(text: str) -> None:
    assert answer(text).startswith("m.yml line ")


def test_what_is_written_well_is_accepted() -> None:
    text = """
members:
  web: {egress: {allow: [{peers: db, ports: &web [tcp/80, tcp/443]}]}}
  db: {ingress: {allow: [{peers: web, ports: *web}]}}
tests:
  - {from: web, to: db, port: tcp/443, expected: allow}
"""
    assert answer(text) == ""


def test_lines_are_those_of_the_fields_or_of_what_is_around_them() -> None:
    text = "# a comment\nmembers:\n  web:\n    egress:\n      allow:\n        - peers: [web,\n                  db]\n"
    read = source.load(text, where="m.yml")
    allow = "members.web.egress.allow"
    found = {name: read.place(name) for name in (f"{allow}.0.peers.1", f"{allow}.0.ports", "members.web", "routes.0")}
    assert found == {
        f"{allow}.0.peers.1": f"m.yml line 7: {allow}.0.peers.1",
        f"{allow}.0.ports": f"m.yml line 6: {allow}.0.ports",
        "members.web": "m.yml line 3: members.web",
        "routes.0": "routes.0",
    }
    assert read.within("staged").place("staged.members.web.ingress") == "m.yml line 3: staged.members.web.ingress"


def test_a_document_that_comes_as_a_map_has_no_lines() -> None:
    read = source.Source({"members": {"wep": {}}})
    with pytest.raises(InvalidInput) as refused, read.named():
        check_content(read.document, RECORD)
    assert str(refused.value) == "members.wep: 'wep' is not a member of the network. Did you mean 'web'?"


def test_a_file_has_a_size() -> None:
    assert answer("#" * (source.MAX_BYTES + 1)) == "m.yml: is 1048577 bytes long, at most 1048576 are read"


def answer_to(document: object, record: NetworkRecord = RECORD) -> str:
    with pytest.raises(InvalidInput) as refused:
        check_content(document, record)
    return str(refused.value)


def test_each_limit_has_its_answer() -> None:
    """Where a list or a map has a limit, one more is refused with both numbers."""
    rules = "members.web.egress.deny"

    def denying(rule: object) -> object:
        return {"members": {"web": {"egress": {"deny": rule}}}}

    many = [f"m{number}" for number in range(3000)]
    excepting = {"range": "10.0.0.0/8", "except": [f"10.{number}.0.0/16" for number in range(65)]}
    for document, wanted in (
        ({"groups": {name: [] for name in many[:257]}}, "groups: has 257 entries, at most 256 are allowed"),
        ({"groups": {"g": many[:1025]}}, "groups.g: has 1025 items, at most 1024 are allowed"),
        ({"members": {name: {} for name in many[:2049]}}, "members: has 2049 entries, at most 2048 are allowed"),
        (denying([{}] * 1025), f"{rules}: has 1025 items, at most 1024 are allowed"),
        (denying([{"peers": ["any"] * 257, "ports": "any"}]),
         f"{rules}.0.peers: has 257 items, at most 256 are allowed"),
        (denying([{"peers": "any", "ports": ["any"] * 257}]),
         f"{rules}.0.ports: has 257 items, at most 256 are allowed"),
        (denying([{"peers": excepting, "ports": "any"}]),
         f"{rules}.0.peers.except: has 65 items, at most 64 are allowed"),
        ({"routes": [{}] * 257}, "routes: has 257 items, at most 256 are allowed"),
        ({"tests": [{}] * 1025}, "tests: has 1025 items, at most 1024 are allowed"),
        ({"staged": {"tests": [{}] * 1025}}, "staged.tests: has 1025 items, at most 1024 are allowed"),
        ({"groups": {f"g{bit}": [f"m{n}" for n in range(1, 1024) if n >> bit & 1] for bit in range(10)}},
         "groups: put members into 1023 different combinations of groups, at most 1000 are allowed"),
        ({"groups": {f"g{n}": [f"member-{n}-{k}" for k in range(900)] for n in range(20)}},
         "manifest: is 276962 bytes long in canonical JSON, at most 196608 are allowed"),
    ):  # fmt: skip
        assert answer_to(document) == wanted


def test_a_member_can_not_be_called_any() -> None:
    record = dataclasses.replace(RECORD, members={"any": 1})
    assert answer_to({}, record) == "record.members: 'any' can't be the name of a member: it stands for every member"


def test_the_module_reads_a_file_with_its_lines(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "manifest.yml"
    with pytest.raises(InvalidInput, match="can't be read: No such file"):
        source_of({"src": str(file), "content": None})
    file.write_text("members:\n  web:\n    ingres: {}\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        source_of({"src": str(file), "content": None})
    assert str(refused.value) == f"{file} line 3: members.web.ingres: is not a known field. Did you mean 'ingress'?"
    file.write_text("# nothing yet\nmembers: {web: {}}\n", encoding="utf-8")
    read = source_of({"src": str(file), "content": None})
    assert (read.document, read.place("members.web")) == ({"members": {"web": {}}}, f"{file} line 2: members.web")
    assert source_of({"src": None, "content": {"groups": {}}}).document == {"groups": {}}

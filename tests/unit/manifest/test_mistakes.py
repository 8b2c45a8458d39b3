# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tenants write wrongly, and the answer that each gets, whole: they stand in mistakes*.yml."""

from __future__ import annotations

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

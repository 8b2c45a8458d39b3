# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guides say is so: links, names, paths, examples, messages, limits."""

from __future__ import annotations

import ast
import functools
import ipaddress
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import NetworkRecord
from ansible_collections.akash.avpn.plugins.module_utils._chain.network_change import Wish, planned_record
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._manifest import content, grammar, schema
from ansible_collections.akash.avpn.plugins.module_utils._manifest.store import check_content
from ansible_collections.akash.avpn.plugins.module_utils._policy import compile as compiling
from ansible_collections.akash.avpn.plugins.module_utils._policy.findings import findings
from ansible_collections.akash.avpn.plugins.module_utils._policy.matching import MAX_ELEMENTS

ROOT = pathlib.Path(__file__).resolve().parents[3]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OWNER = "akash1eq5y48kg0txyuhjdnsl3cj9d40j0uawf6nku6m"
MEMBERS = ("web", "api", "db", "gateway")
RECORD = NetworkRecord(
    owner=OWNER,
    name="prod",
    cidr=ipaddress.IPv4Network("100.64.0.0/20"),
    members={name: number for number, name in enumerate(MEMBERS, 1001)},
    providers=None,
)


def name_of(path: pathlib.Path) -> str:
    return path.name


def text_of(path: pathlib.Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(path: pathlib.Path, language: str) -> list[str]:
    """Fenced blocks, also those inside lists."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text_of(path), re.M | re.S)
    return [re.sub(rf"^{indent}", "", body, flags=re.M) for indent, body in found]


def spans(path: pathlib.Path) -> set[str]:
    """What stands in backquotes outside of fenced blocks."""
    plain = re.sub(r"^ *```.*?^ *```", "", text_of(path), flags=re.M | re.S)
    return set(re.findall(r"`([^`\n]+)`", plain))


def rows(path: pathlib.Path, *heading: str) -> Iterator[list[str]]:
    """The cells of every table of a guide with this heading."""
    inside = False
    for line in text_of(path).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        cells = [cell.strip("| ") for cell in cells]
        if cells == list(heading):
            inside = True
        elif not cells:
            inside = False
        elif inside and not set(line) <= set("|- "):
            yield cells


def sources() -> str:
    """Everything that is installed: code, roles and playbooks."""
    folders = ("plugins", "roles", "playbooks")
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*")))
    kept = (path for path in paths if path.is_file() and path.suffix != ".md" and "__pycache__" not in path.parts)
    return "\n".join(text_of(path) for path in kept)


SOURCES = sources()


def refusal(document: Any, record: NetworkRecord = RECORD) -> str:
    """What is wrong with a manifest; empty if nothing is."""
    try:
        check_content(document, record)
    except AvpnError as error:
        return str(error)
    return ""


# --- links and names


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_links_lead_somewhere(guide: pathlib.Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text_of(guide)):
        if target.startswith("https://"):
            continue
        file, _hash, anchor = target.partition("#")
        there = guide.parent / file if file else guide
        assert there.exists(), target
        headings = re.findall(r"^#+ (.*)$", text_of(there), re.M) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


@functools.cache
def functions_of(path: pathlib.Path) -> frozenset[str]:
    tree = ast.parse(text_of(path))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_files_of_the_repository_exist(guide: pathlib.Path) -> None:
    folders = "|".join(("changelogs", "docs", "extensions", "plugins", "playbooks", "roles", "tests", "tools"))
    for span in spans(guide):
        for found in re.findall(rf"(?<![\w/.])(?:{folders})/[\w./*-]+[\w/*]", span):
            assert list(ROOT.glob(found)), found
        if span.startswith("test_"):
            listed = [path for path in (ROOT / "tests").rglob("test_*.py") if span in functions_of(path)]
            assert listed, f"no test is called {span}"


def known_variables() -> set[str]:
    names: set[str] = set()
    for role in (ROOT / "roles").iterdir():
        specs = yaml.safe_load(text_of(role / "meta" / "argument_specs.yml"))
        names |= set(specs["argument_specs"]["main"].get("options", {}))
    for playbook in (ROOT / "playbooks").glob("*.yml"):
        names |= set(re.findall(r"\bavpn_[a-z_]+\b", text_of(playbook)))
    return names


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_variables_exist(guide: pathlib.Path) -> None:
    pattern = r"\b(?:avpn|peer|gossip|wireguard|firewall|resolver|reconcile)_[a-z][a-z_]*[a-z]\b"
    text = "\n".join([*spans(guide), *blocks(guide, "yaml"), *blocks(guide, ""), *blocks(guide, "ini")])
    text = re.sub(r"\bmodule_utils\S*|\S*/\S*\.py\S*", "", text)
    fields = {"peer_ranges"}  # of host.json
    assert set(re.findall(pattern, text)) - fields - known_variables() == set()


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_modules_roles_playbooks_and_plugins_exist(guide: pathlib.Path) -> None:
    kinds = ("plugins/*/{}.py", "roles/{}/meta", "playbooks/{}.yml")
    for name in re.findall(r"(?<!ansible_collections\.)\bakash\.avpn\.([a-z_]+)", text_of(guide)):
        assert any(list(ROOT.glob(kind.format(name))) for kind in kinds), f"akash.avpn.{name}"


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_units_and_commands_exist(guide: pathlib.Path) -> None:
    installed = {path.name.removesuffix(".j2") for path in (ROOT / "roles").glob("*/[tf]*/avpn-*")}
    commands = {f"avpn-{name}" for name in ("peer", "keys", "hint", "fastpath", "ring", "config", "revert")}
    assert all(f'"{command.removeprefix("avpn-")}": EntryPoint(' in SOURCES for command in commands)
    for span in spans(guide):
        for unit in re.findall(r"\bavpn-[a-z]+@?[^\s.,`)]*\.(?:service|timer|path)\b", span):
            assert re.sub(r"@.*\.", "@.", unit) in installed, unit
        for command in re.findall(r"(?:bin/|^)(avpn-[a-z]+)(?:$| )", span):
            units = {name.split(".")[0] for name in installed}
            assert command in installed | commands | units, command


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_paths_on_hosts_are_those_of_the_code(guide: pathlib.Path) -> None:
    for span in spans(guide):
        for path in re.findall(r"(?:^| )(/(?:etc|usr|var|run)/[^\s`]*)", span):
            for group in re.sub(r"<[^>]*>", "", path).strip("/").split("/"):
                for part in re.split(r"[{},]", group):
                    assert part.strip("*.…") in SOURCES, f"{path}: {part}"


# --- examples


@pytest.mark.parametrize("guide", GUIDES, ids=name_of)
def test_examples_are_yaml_without_doubled_keys(guide: pathlib.Path) -> None:
    for block in blocks(guide, "yaml"):
        content.load_yaml(block, where=guide.name)


def test_examples_of_manifests_are_accepted_and_their_tests_hold() -> None:
    whole = {"groups", "members", "routes", "tests"}
    found = 0
    for guide in GUIDES:
        for block in blocks(guide, "yaml"):
            document = content.load_yaml(block, where=guide.name)
            if isinstance(document, dict) and "avpn_manifest" in document:
                document = document["avpn_manifest"]
            if guide.name == "manifest.md" or (isinstance(document, dict) and set(document) <= whole):
                found += 1
                assert refusal(document) == "", block
    assert found >= 5


def test_refused_manifests_are_refused_in_these_words() -> None:
    listed = list(rows(ROOT / "docs" / "manifest.md", "manifest", "answer"))
    assert len(listed) >= 8
    for written, answer in listed:
        assert refusal(yaml.safe_load(written.strip("`"))) == answer.strip("`"), written


def test_warnings_are_given_in_these_words() -> None:
    listed = list(rows(ROOT / "docs" / "manifest.md", "manifest", "warning"))
    assert len(listed) >= 8
    for written, warning in listed:
        manifest = check_content(yaml.safe_load(written.strip("`")), RECORD)
        assert [str(each) for each in findings(manifest, RECORD)] == [warning.strip("`")], written


def test_limits_are_those_of_the_code() -> None:
    wanted = [
        grammar.MAX_GROUPS,
        grammar.MAX_GROUP_MEMBERS,
        grammar.MAX_POLICIES,
        grammar.MAX_RULES,
        grammar.MAX_TERMS,
        grammar.MAX_EXCEPTIONS,
        grammar.MAX_ROUTES,
        grammar.MAX_TESTS,
        schema.MAX_COMBINATIONS,
        content.MAX_BYTES,
        MAX_ELEMENTS,
    ]
    assert [int(number) for _what, number in rows(ROOT / "docs" / "manifest.md", "at most", "number")] == wanted
    assert f"at most {compiling.CONNECTIONS} connections" in text_of(ROOT / "docs" / "manifest.md")


def test_examples_of_networks_are_records() -> None:
    options = re.findall(r"avpn_network\.([a-z_]+)", text_of(ROOT / "playbooks" / "tenant.yml"))
    examples = [block for guide in GUIDES for block in blocks(guide, "yaml") if "avpn_network:" in block]
    assert examples
    for block in examples:
        network = dict(yaml.safe_load(block)["avpn_network"])
        assert set(network) <= set(options)
        if network.pop("state", "present") == "absent":
            continue
        key = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}"
        access = [key if "…" in item else item for item in network.get("access", [])]
        wish = Wish(cidr=network.get("cidr"), members=network["members"], access=access or None)
        assert planned_record(None, OWNER, network["name"], wish).members == network["members"]


def test_inventories_have_what_the_roles_require() -> None:
    required = set()
    for role in (ROOT / "roles").iterdir():
        options = yaml.safe_load(text_of(role / "meta" / "argument_specs.yml"))["argument_specs"]["main"]["options"]
        required |= {name for name, option in options.items() if option.get("required")}
    examples = [block for guide in GUIDES for block in blocks(guide, "yaml") if re.search(r"^avpn:$", block, re.M)]
    assert examples
    for block in examples:
        group = yaml.safe_load(block)["avpn"]
        for host in group["hosts"].values():
            assert required <= {*group["vars"], *host}


# --- messages


def test_messages_are_those_of_the_code() -> None:
    """Rows "when it says": each is a text of the code, with … where the code fills something in."""
    plain = re.sub(r"\"\s*\n\s*f?\"", "", SOURCES)  # literals that are continued on the next line
    plain = re.sub(r"\s*\n\s*#?\s*", " ", plain)
    listed = [row for guide in GUIDES for row in rows(guide, "it says", "why", "what to do")]
    assert len(listed) >= 10
    for message, *_rest in listed:
        for part in message.strip("`").split("…"):
            assert part.strip() in plain, f"{message}: {part}"

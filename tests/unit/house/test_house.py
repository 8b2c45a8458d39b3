# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to agree with each other all over the collection."""

from __future__ import annotations

import ast
import importlib.util
import pathlib
import subprocess
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())
UTILS = ROOT / "plugins" / "module_utils"

# What each room may import of the others (docs/architecture.md). Of _peer, the three that say where and how things
# are kept depend on nothing else and are for everybody above _common.
LEAVES = {"_peer.config", "_peer.files", "_peer.paths"}
ROOMS = {
    "_common": set(),
    "_chain": {"_common"},
    "_manifest": {"_common", "_chain"},
    "_quorum": {"_common", "_chain"},
    "_policy": {"_common", "_manifest", "_chain"},
    "_overlay": {"_common", "_chain", "_manifest", "_quorum", "_policy"},
    "_peer": {"_common", "_chain", "_manifest", "_quorum", "_policy", "_overlay"},
    "_check": {"_common", "_chain", "_manifest", "_policy", "_overlay", "_peer"},
    "_recovery": {"_common", "_chain", "_quorum", "_peer"},
    "_reconcile": {"_common", "_chain", "_manifest", "_quorum", "_policy", "_overlay", "_peer"},
}


# Files that reach further: what they tie together should be handed to them by those above.
EXCEPTIONS = {
    "_manifest/preview.py": {"_policy"},  # what a manifest will change is told before it is handed in
    "_manifest/store.py": {"_policy"},  # a manifest's own tests have to pass before it is kept
    "_manifest/manifest_module.py": {"_peer"},  # the module's work from reading the chain to handing in
}


def load(path: pathlib.Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def tracked() -> list[pathlib.Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def name_of(role: pathlib.Path) -> str:
    return role.name


# --- roles


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_defaults_are_those_of_the_argument_specs(role: pathlib.Path) -> None:
    options = load(role / "meta" / "argument_specs.yml")["argument_specs"]["main"].get("options", {})
    said = {name: option["default"] for name, option in options.items() if "default" in option}
    assert (load(role / "defaults" / "main.yml") or {}) == said
    for name, option in options.items():
        assert name.startswith(f"{role.name}_")
        assert bool(option.get("required")) != ("default" in option), f"{name} is required or has a default"
        assert option["description"]


@pytest.mark.parametrize("role", ROLES, ids=name_of)
def test_every_role_has_its_scenario_and_its_readme(role: pathlib.Path) -> None:
    scenario = ROOT / "extensions" / "molecule" / role.name
    for part in ("molecule.yml", "prepare.yml", "converge.yml", "verify.yml"):
        assert (scenario / part).is_file()
    assert f"akash.avpn.{role.name}" in (scenario / "converge.yml").read_text(encoding="utf-8")
    assert len(load(scenario / "verify.yml")[-1]["tasks"]) > 0
    spec = importlib.util.spec_from_file_location("role_readmes", ROOT / "tools" / "role_readmes.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert (role / "README.md").read_text(encoding="utf-8") == tool.readme(role), "run tools/role_readmes.py"


def test_scenario_files_only_name_the_scenario() -> None:
    for path in (ROOT / "extensions" / "molecule").glob("*/molecule.yml"):
        assert load(path) == {"scenario": {"name": path.parent.name}}


# --- rooms of module_utils


def imported(path: pathlib.Path) -> set[str]:
    """What a file of module_utils imports, as written from module_utils down (``_peer.paths``), or absolutely."""
    found = set()
    package = path.relative_to(UTILS).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module or "")
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            whole = ".".join(part for part in base if part)
            found |= {f"{whole}.{name.name}" for name in node.names}
    return found


FILES = sorted(path for path in UTILS.rglob("*.py") if path.parent != UTILS)


def test_every_room_is_known() -> None:
    assert {path.parent.name for path in UTILS.glob("_*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(UTILS)))
def test_rooms_import_only_what_they_may(path: pathlib.Path) -> None:
    room = path.relative_to(UTILS).parts[0]
    permitted = ROOMS[room] | EXCEPTIONS.get(str(path.relative_to(UTILS)), set())
    for name in imported(path):
        parts = name.split(".")
        assert parts[0] != "ansible", f"{name}: hosts run this without Ansible"
        assert parts[0] != "ansible_collections", f"{name}: imports between rooms are relative"
        if parts[0] in ROOMS and parts[0] != room and ".".join(parts[:2]) not in LEAVES - {room}:
            assert parts[0] in permitted, f"{room} may not import {name}"


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_the_leaves_of_peer_depend_on_nothing_else(leaf: str) -> None:
    path = UTILS / f"{leaf.replace('.', '/')}.py"
    own = {name for name in imported(path) if name.startswith("_")}
    assert all(name.startswith(("_common.", "__future__")) for name in own), own


# --- the whole


def test_no_file_is_longer_than_600_lines() -> None:
    texts = (path for path in tracked() if path.suffix in {".py", ".yml", ".sh", ".j2", ".rst"})
    assert [str(path) for path in texts if len(path.read_text(encoding="utf-8").splitlines()) > 600] == []


def test_modules_appear_in_the_documentation_of_their_version() -> None:
    version = load(ROOT / "galaxy.yml")["version"]
    for path in sorted((ROOT / "plugins" / "modules").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            if node.targets[0].id in {"DOCUMENTATION", "EXAMPLES", "RETURN"}
        }
        assert set(texts) == {"DOCUMENTATION", "EXAMPLES", "RETURN"}, path.name
        documentation = yaml.safe_load(texts["DOCUMENTATION"])
        assert documentation["module"] == path.stem
        added = tuple(int(part) for part in documentation["version_added"].split("."))
        assert added <= tuple(int(part) for part in version.split("."))
        for action in ("akash.avpn." + path.stem,):
            assert action in texts["EXAMPLES"], f"{path.name}: an example of itself"


def test_every_module_says_truly_whether_it_supports_check_mode() -> None:
    for path in sorted((ROOT / "plugins" / "modules").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        none = "check_mode:\n    support: none" in text
        assert f"supports_check_mode={not none}" in text, path.name
        assert "akash.avpn.attributes" in text, path.name


def test_action_groups_name_modules() -> None:
    groups = load(ROOT / "meta" / "runtime.yml")["action_groups"]
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")}
    for group in groups.values():
        assert set(group) <= modules


def test_playbooks_name_their_plays_and_tasks() -> None:
    def check(tasks: list[Any], where: str) -> None:
        for task in tasks:
            assert task.get("name"), where
            for part in ("block", "rescue", "always"):
                check(task.get(part, []), where)

    for path in sorted((ROOT / "playbooks").glob("*.yml")):
        for play in load(path):
            assert play.get("name"), path.name
            check(play.get("tasks", []), path.name)


def test_the_module_that_installs_the_software_brings_every_command() -> None:
    """Ansible takes to the host what a module imports, and nothing else."""
    from ansible_collections.akash.avpn.plugins.module_utils._peer.software import ENTRY_POINTS
    from ansible_collections.akash.avpn.plugins.modules import host_software

    brought = {each.__name__.partition(".module_utils.")[2] for each in host_software._COMMANDS}
    assert brought == {entry.module for entry in ENTRY_POINTS.values()}

#!/usr/bin/env python
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes roles/*/README.md from meta/argument_specs.yml: ``tools/role_readmes.py [--check]``.

With ``--check`` nothing is written, and the exit status is 1 if a file isn't what it should be.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from typing import Any

import yaml

ROLES = pathlib.Path(__file__).resolve().parents[1] / "roles"
HEADER = """\
<!--
SPDX-FileCopyrightText: 2026 The akash.avpn authors
SPDX-License-Identifier: GPL-3.0-or-later

Made by tools/role_readmes.py from meta/argument_specs.yml; change that.
-->
"""


def readme(role: pathlib.Path) -> str:
    """The README of one role."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    spec = specs["main"]
    lines = [HEADER, f"# akash.avpn.{role.name}", "", f"{plain(spec['short_description'])}.", ""]
    lines += [f"{plain(text)}\n" for text in as_list(spec.get("description", []))]
    options = spec.get("options", {})
    required = {name: option for name, option in options.items() if option.get("required")}
    if required:
        lines += ["## What has to be set", "", *table(required, defaults=False), ""]
    if len(options) > len(required):
        rest = {name: option for name, option in options.items() if name not in required}
        lines += ["## What may be set", "", *table(rest, defaults=True), ""]
    if not options:
        lines += ["There is nothing to set.", ""]
    lines += ["## Example", "", *example(role.name, required), ""]
    return "\n".join(lines)


def table(options: dict[str, Any], *, defaults: bool) -> list[str]:
    """Options as a table, in the order of the specification."""
    head = ["variable", "type", *(["default"] if defaults else []), "meaning"]
    rows = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, option in options.items():
        cells = [f"`{name}`", kind(option)]
        if defaults:
            cells.append(value(option.get("default")))
        meaning = " ".join(plain(text) for text in as_list(option.get("description", [])))
        if "choices" in option:
            meaning += " One of " + ", ".join(value(choice) for choice in option["choices"]) + "."
        rows.append(f"| {' | '.join([*cells, meaning.replace('|', '&#124;')])} |")
    return rows


def example(name: str, required: dict[str, Any]) -> list[str]:
    """A play that uses the role with what it requires."""
    lines = ["```yaml", f"- name: Apply {name}", "  hosts: avpn", "  roles:", f"    - role: akash.avpn.{name}"]
    if required:
        lines.append("      vars:")
        lines += [f"        {option}: …" for option in required]
    return [*lines, "```"]


def kind(option: dict[str, Any]) -> str:
    """An option's type."""
    found = str(option.get("type", "str"))
    return f"{found} of {option['elements']}" if "elements" in option else found


def value(given: Any) -> str:
    """A default or choice as one would write it."""
    return f"`{given}`" if isinstance(given, str) and given else f"`{json.dumps(given)}`"


def plain(text: str) -> str:
    """Ansible's markup as Markdown."""
    text = re.sub(r"[MP]\(([\w.]+)(?:#\w+)?\)", r"`\1`", " ".join(str(text).split()))
    return re.sub(r"(?:[CVOEI]|RV)\(((?:[^()\\]|\\.)*)\)", lambda found: f"`{found[1]}`", text).replace("\\", "")


def as_list(given: Any) -> list[str]:
    """A description is one text or several."""
    return [given] if isinstance(given, str) else list(given)


def main(arguments: list[str]) -> int:
    """Write or check all of them."""
    stale = []
    for role in sorted(path.parent.parent for path in ROLES.glob("*/meta/argument_specs.yml")):
        path, wanted = role / "README.md", readme(role)
        if not path.is_file() or path.read_text(encoding="utf-8") != wanted:
            stale.append(path)
            if "--check" not in arguments:
                path.write_text(wanted, encoding="utf-8")
    for path in stale:
        sys.stdout.write(f"{path.relative_to(ROLES.parent)}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

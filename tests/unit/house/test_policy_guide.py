# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guide to the policy's Python interface: its example runs, the names that can be relied on are there."""

from __future__ import annotations

import importlib
import pathlib
import re
import subprocess
import sys

GUIDE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "policy.md"
PACKAGE = "ansible_collections.akash.avpn.plugins.module_utils"


def test_the_example_runs_as_it_stands() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    assert "evaluate(manifest, network, Packet(" in example
    package = importlib.import_module(PACKAGE)
    root = pathlib.Path(list(package.__path__)[0]).parents[4]  # noqa: RUF015 (a namespace package's path can't be indexed)
    code = f"import sys\nsys.path.insert(0, {str(root)!r})\n{example}"
    code += "assert not [name for name in sys.modules if name.split('.')[0] in ('ansible', 'yaml', 'paramiko')]\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_names_are_there() -> None:
    names = re.findall(r"^\| `(_[a-z]+\.[a-z_]+)\.(\w+)` \|", GUIDE.read_text(encoding="utf-8"), re.M)
    assert len(names) >= 10
    for module, name in names:
        assert hasattr(importlib.import_module(f"{PACKAGE}.{module}"), name), f"{module}.{name}"

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module's main() in this process, as Ansible would: arguments in, JSON out."""

from __future__ import annotations

import importlib
import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args


def run_module(module: str, /, *, check: bool = False, **options: Any) -> dict[str, Any]:
    """The module's result; ``failed`` is true where it ended by fail_json."""
    main = importlib.import_module(f"ansible_collections.akash.avpn.plugins.modules.{module}").main
    output = io.StringIO()
    arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
    with patch_module_args(arguments), redirect_stdout(output), pytest.raises(SystemExit) as end:
        main()
    result: dict[str, Any] = json.loads(output.getvalue().strip().splitlines()[-1])
    assert bool(end.value.code) == bool(result.get("failed"))
    return result

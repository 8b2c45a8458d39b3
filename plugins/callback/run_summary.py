# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: run_summary
type: aggregate
short_description: Writes what became of a run to a file
version_added: 0.1.0
author: The akash.avpn authors (@akash-avpn)
description:
  - Writes one JSON object when a playbook has ended, with the number of changed tasks, the tasks that failed, and what
    this collection's modules couldn't do for single networks, so that C(avpn-reconcile) can report the run without
    reading its output.
  - Messages of tasks with C(no_log) are left out. Messages are cut at 500 characters.
requirements:
  - enabled in configuration, as C(avpn-reconcile) does
options:
  path:
    description: The file to write. Nothing is written if this is not set.
    type: path
    env:
      - name: AVPN_RUN_SUMMARY
"""

import json
import pathlib

from ansible.plugins.callback import CallbackBase

_LONGEST = 500
_MOST = 100


class CallbackModule(CallbackBase):
    """Counts and failures, written when the statistics are shown."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "akash.avpn.run_summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._failures = []
        self._problems = []

    def v2_runner_on_ok(self, result):
        said = _said(result)
        if not isinstance(said, dict) or not str(result.task.resolved_action).startswith("akash.avpn."):
            return
        networks = said.get("networks")
        errors = {
            where: state["error"]
            for where, state in (networks.items() if isinstance(networks, dict) else ())
            if isinstance(state, dict) and state.get("error")
        }
        for where, what in sorted({**(said.get("problems") or {}), **errors}.items()):
            self._problems.append({"task": str(result.task_name), "where": str(where), "what": str(what)[:_LONGEST]})

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if not ignore_errors:
            self._note(result)

    def v2_runner_on_unreachable(self, result):
        self._note(result)

    def v2_playbook_on_stats(self, stats):
        path = self.get_option("path")
        if not path:
            return
        document = {
            "ok": sum(stats.ok.values()),
            "changed": sum(stats.changed.values()),
            "failed": sum(stats.failures.values()) + sum(stats.dark.values()),
            "failures": self._failures,
            "problems": self._problems[:_MOST],
        }
        pathlib.Path(path).write_text(json.dumps(document), encoding="utf-8")

    def _note(self, result):
        said = _said(result)
        hidden = said.get("_ansible_no_log") or "censored" in said
        message = "hidden, because the task handles secrets" if hidden else str(said.get("msg", ""))
        self._failures.append({"task": str(result.task_name), "message": message[:_LONGEST]})


def _said(result):
    """A task's result; ansible-core 2.18 calls it otherwise."""
    return result.result if hasattr(result, "result") else result._result

#!/usr/bin/python
# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: pull_environment
short_description: Installs what ansible-pull runs from on a host
version_added: 0.1.0
author: The akash.avpn authors (@akash-avpn)
description:
  - Makes a virtual environment from a lock with hashes, and puts the collection that is running this task beside it.
  - Both go into directories named after their content, and the environment in use is switched in one step, so a run
    that is under way keeps what it started with, also when that run is what installs the newer one.
  - Environments that are neither current nor in use are removed.
extends_documentation_fragment:
  - akash.avpn.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  requirements:
    description: Lock file with hashes, on the controller.
    type: path
    required: true
  directory:
    description: Where environments are kept.
    type: path
    default: /usr/lib/avpn-reconcile
  python:
    description: The interpreter the virtual environment is made from.
    type: path
    default: /usr/bin/python3
  pip_args:
    description: Further arguments for pip, for a package index of one's own or a directory of wheels.
    type: list
    elements: str
    default: []
  lock:
    description: Set by the action plugin, the content of O(requirements).
    type: str
  collection:
    description: Set by the action plugin, the digest of the collection's files.
    type: str
  archive:
    description: Set by the action plugin, the collection's files on the host, if they are not there yet.
    type: path
"""

EXAMPLES = r"""
- name: Install the environment from a wheel house
  akash.avpn.pull_environment:
    requirements: requirements.txt
    pip_args:
      - --no-index
      - --find-links
      - /srv/wheels
"""

RETURN = r"""
venv:
  description: The virtual environment, an absolute path.
  type: str
  returned: always
  sample: /usr/lib/avpn-reconcile/venv-0f343b0931126a20
collections:
  description: The directory for E(ANSIBLE_COLLECTIONS_PATH), an absolute path.
  type: str
  returned: always
  sample: /usr/lib/avpn-reconcile/collections-9b74c9897bac770f
removed:
  description: Names of older directories that were removed.
  type: list
  elements: str
  returned: when something was installed
needs_archive:
  description: Whether the collection's files are missing; the action plugin then sends them.
  type: bool
  returned: always
"""

import pathlib

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._reconcile import environment


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "requirements": {"type": "path", "required": True},
            "directory": {"type": "path", "default": "/usr/lib/avpn-reconcile"},
            "python": {"type": "path", "default": "/usr/bin/python3"},
            "pip_args": {"type": "list", "elements": "str", "default": []},
            "lock": {"type": "str"},
            "collection": {"type": "str"},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        _run(module)
    except (AvpnError, OSError) as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> None:
    directory = pathlib.Path(module.params["directory"])
    lock, python = module.params["lock"], module.params["python"]
    before = environment.current(directory)
    after = environment.wanted(directory, lock=lock, python=python, collection=module.params["collection"])
    missing = not environment.complete(after.collections)
    changed = after != before or missing or not environment.complete(after.venv)
    removed: list[str] = []
    if changed and not module.check_mode and (module.params["archive"] or not missing):
        if not environment.complete(after.venv):
            environment.make_venv(after.venv, python=python, lock=lock, pip_arguments=module.params["pip_args"])
        if missing:
            environment.unpack_collection(after.collections, pathlib.Path(module.params["archive"]))
        environment.switch(directory, after)
        removed = environment.clean(directory)
    module.exit_json(
        changed=changed,
        venv=str(after.venv),
        collections=str(after.collections),
        removed=removed,
        needs_archive=missing and not module.params["archive"],
        diff={"before": _shown(before), "after": _shown(after)},
    )


def _shown(found: environment.Environment | None) -> str:
    return f"venv: {found.venv.name}\ncollections: {found.collections.name}\n" if found else ""


if __name__ == "__main__":
    main()

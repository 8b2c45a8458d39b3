#!/usr/bin/python

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_software
short_description: Install the collection's own code on a provider host
version_added: 0.1.0
description:
  - Puts the code that answers peers and applies what is agreed below C(/usr/lib/avpn), as the Python package C(avpn)
    with its commands. It is the very code that the collection's modules run, so nothing is written twice.
  - Makes the directories that this code works in, with their owners and modes.
  - A new version is written beside the old one, byte-compiled with the host's own Python, and switched to by renaming
    one link. Processes that run keep what they started with; the version before is kept, older ones are removed.
extends_documentation_fragment:
  - akash.avpn.attributes
author:
  - The akash.avpn authors (@akash-avpn)
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  user:
    description: The user that answers peers. It must exist.
    type: str
    default: avpn
  root:
    description: The directory that stands for C(/). For tests and for building images.
    type: path
    default: /
"""

EXAMPLES = r"""
- name: Install the code that runs on hosts
  akash.avpn.host_software:
  notify: Restart the fast path
"""

RETURN = r"""
digest:
  description: What names the installed version, 16 hexadecimal digits over all of its files.
  type: str
  returned: success
  sample: 3b1f0c9a7d2e4f60
previous:
  description: The version that was current before, empty if there was none.
  type: str
  returned: success
  sample: ""
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._overlay import revert
from ansible_collections.akash.avpn.plugins.module_utils._peer import (
    authorized_keys,
    command,
    config_command,
    directories,
    fastpath,
    hint_command,
    ring_command,
    software,
)
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths

# Nothing here calls the commands: what a module imports is what Ansible brings to the host, where they are installed.
_COMMANDS = (authorized_keys, command, config_command, fastpath, hint_command, revert, ring_command)


def _describe(found: software.Software | None, others: list[directories.Directory]) -> str:
    """Version, files by digest, directories: enough to see what differs, without printing the code."""
    lines = [str(directory) for directory in others]
    if found is not None:
        files = {**found.sources, **{f"bin/{name}": text for name, text in found.commands.items()}}
        lines.append(f"version {found.digest}")
        lines += [f"{name} {software.short_digest(text)}" for name, text in sorted(files.items())]
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "user": {"type": "str", "default": "avpn"},
            "root": {"type": "path", "default": "/"},
        },
        supports_check_mode=True,
    )
    paths = Paths(Path(module.params["root"]))
    os.umask(0o022)
    try:
        before, after = software.installed(paths), software.collect(paths)
        needed = directories.missing(directories.wanted(paths, module.params["user"]))
        if not module.check_mode:
            directories.make(needed, paths.state)
            if before != after:
                software.install(paths, after)
    except (AvpnError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(needed) or before != after,
        digest=after.digest,
        previous=before.digest if before is not None else "",
        diff={"before": _describe(before, []), "after": _describe(after, needed)},
    )


if __name__ == "__main__":
    main()

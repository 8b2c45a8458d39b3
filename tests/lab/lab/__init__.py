# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: provider hosts, tenants and a development chain as containers.

`Lab` is the interface; tests/lab/README.md tells how to use it.
"""

from __future__ import annotations

from .errors import LabError
from .lab import Lab
from .lease import lease_namespace, workload_name
from .topology import Host

__all__ = ["Host", "Lab", "LabError", "lease_namespace", "workload_name"]

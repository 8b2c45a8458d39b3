# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The development chain on the host `chain`."""

from __future__ import annotations

import io
import tarfile

from .container import Container
from .topology import ROOT

PROGRAM = ROOT / "tests" / "lab" / "devchain"
PORT = 1317
UNIT = f"""\
[Unit]
Description=Development chain
After=network.target

[Service]
WorkingDirectory=/opt/devchain
ExecStart=/opt/control/bin/python -m devchain --host 0.0.0.0 --port {PORT}
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""


def install(container: Container) -> bool:
    """Put the development chain onto its host and start it; False while there is none."""
    if not (PROGRAM / "__main__.py").is_file():
        return False
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(PROGRAM.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                tar.add(path, f"opt/devchain/devchain/{path.relative_to(PROGRAM)}")
        unit = tarfile.TarInfo("etc/systemd/system/devchain.service")
        unit.size = len(UNIT)
        tar.addfile(unit, io.BytesIO(UNIT.encode()))
    container.extract(buffer.getvalue())
    container.execute(["systemctl", "daemon-reload"])
    container.execute(["systemctl", "enable", "--quiet", "--now", "devchain.service"])
    return True

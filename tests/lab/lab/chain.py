# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The development chain on the host `chain`."""

from __future__ import annotations

import io
import tarfile

from .container import Container
from .errors import LabError
from .topology import ROOT

PROGRAM = ROOT / "tests" / "lab" / "devchain"
# Two endpoints of one chain, since a careful reader asks two; and the operator's
# interface (blocks by hand, faults), which only tests use.
PORTS = (1317, 1327)
ADMIN_PORT = 1318
UNIT = f"""\
[Unit]
Description=Development chain
After=network.target

[Service]
WorkingDirectory=/opt/devchain
StateDirectory=devchain
ExecStart=/opt/control/bin/python -m devchain --state /var/lib/devchain/state.json \\
    --listen 0.0.0.0:{PORTS[0]} --listen 0.0.0.0:{PORTS[1]} --admin 0.0.0.0:{ADMIN_PORT}
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
    container.execute(["systemctl", "enable", "--quiet", "devchain.service"])
    container.execute(["systemctl", "restart", "devchain.service"])
    _wait(container)
    return True


def _wait(container: Container) -> None:
    url = f"http://127.0.0.1:{PORTS[0]}/cosmos/base/tendermint/v1beta1/blocks/latest"
    probe = f"for n in $(seq 200); do curl -sf -o /dev/null {url} && exit 0; sleep 0.1; done; exit 1"
    result = container.execute(["sh", "-c", probe], check=False)
    if result.returncode != 0:
        journal = container.execute(["journalctl", "-u", "devchain", "-n", "20", "--no-pager"], check=False)
        raise LabError(f"the development chain doesn't answer on {container.host.name}:\n{journal.stdout}")

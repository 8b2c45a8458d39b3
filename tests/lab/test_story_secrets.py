# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""No secret leaves its file: outputs at the highest verbosity, argument lists, journals, files for everybody."""

from __future__ import annotations

import json

import pytest
from scenario import desk, leaks, observing
from scenario.cast import A
from scenario.story import Story

pytestmark = pytest.mark.lab

HOST = "provider1"
# What a run then has to repair, so that its differences concern the tunnel with its key, and sshd.
SPOIL = """
set -eu
systemctl stop avpn-fastpath.timer avpn-fastpath.path
systemctl stop avpn-fastpath.service
echo '# by hand' >> /etc/avpn/sshd_config
"""
SPOIL_TUNNEL = """
set -eu
ip netns exec avpn-{0} wg set av{0}a private-key /dev/null listen-port 40000
echo '# by hand' >> /run/avpn/{0}/dnsmasq.conf
"""
RECONCILE = """
set -eu
cd /usr/lib/avpn-reconcile
venv=$(jq -r .venv current.json)
export ANSIBLE_COLLECTIONS_PATH=$PWD/$(jq -r .collections current.json) ANSIBLE_NOCOLOR=1
exec "$venv/bin/ansible-playbook" -i localhost, -c local -e ansible_python_interpreter=/usr/bin/python3 \
    -vvv --diff akash.avpn.reconcile
"""


def test_the_search_finds_what_it_looks_for(story: Story) -> None:
    secret = bytes(range(40, 72))
    for form in leaks.forms(secret):
        assert leaks.found_in(b"x" + form + b"y", {"it": secret}) == ["it"]
    assert leaks.found_in(json.dumps(leaks.forms(secret)[3].decode()).encode(), {"it": secret}) == ["it"]
    assert leaks.found_in(secret[1:].hex().encode(), {"it": secret}) == []
    # On a host: what everybody may read there, and only that, is found.
    public = story.lab.execute(HOST, ["cat", "/etc/machine-id"]).stdout.strip().encode()
    assert "/etc/machine-id" in leaks.search_host(story.lab, HOST, {"it": public})["found"]
    story.lab.execute(HOST, ["systemd-cat", "echo", "needle 0123456789abcdef0123"])
    observing.eventually(
        lambda: "journal" in leaks.search_host(story.lab, HOST, {"it": b"0123456789abcdef0123"})["found"], "the journal"
    )


def test_no_secret_anywhere_but_in_its_file(stage: Story) -> None:
    lab = stage.lab
    secrets = leaks.secrets_of(lab, HOST)
    assert len(secrets) >= 7
    for organisation in (HOST, A.host):
        text = desk.key_file(lab.organisation(organisation)).read_text(encoding="ascii").strip()
        secrets[f"account of {organisation}"] = bytes.fromhex(text)
    short = observing.short(lab, HOST, stage.network_id(A))
    outputs = {}
    with leaks.ProcessWatch() as processes:
        lab.execute(HOST, ["sh", "-c", SPOIL])
        outputs["site"] = stage.set_up_provider(HOST, "-vvv", "--diff")
        outputs["tenant"] = stage.publish(stage.present(A), "-vvv", "--diff")
        lab.execute(HOST, ["sh", "-c", SPOIL + SPOIL_TUNNEL.format(short)])
        done = lab.execute(HOST, ["sh", "-c", RECONCILE], check=False, timeout=observing.PATIENCE)
        outputs["reconcile"] = done.stdout + done.stderr
        lab.execute(HOST, ["systemctl", "start", "avpn-fastpath.timer", "avpn-fastpath.path"])
        unit = lab.execute(HOST, ["systemctl", "start", "avpn-reconcile.service"], check=False)
        outputs["unit"] = unit.stdout + unit.stderr
    # It was as talkative as it can be, and there was something to show.
    assert "# by hand" in outputs["site"]
    assert f"av{short}a" in outputs["reconcile"]
    assert done.returncode == 0, outputs["reconcile"][-3000:]
    assert [name for name, text in outputs.items() if leaks.found_in(text.encode(), secrets)] == []
    assert len(processes.seen) > 100
    assert leaks.found_in(b"\n".join(processes.seen), secrets) == []
    for host in (HOST, "provider2", A.host):
        searched = leaks.search_host(lab, host, secrets)
        assert searched["files"] > 100
        assert searched["journal"] > 1000
        assert searched["found"] == []

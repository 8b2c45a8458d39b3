# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line against the admin interface, and a whole process with its state file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from cosmpy.aerial.wallet import LocalWallet
from devchain import ctl
from devchain.chain import Chain
from devchain.errors import DevchainError
from devchain.modules import bank
from devchain.operations import Operations
from devchain.pytest_plugin import Devchain
from devchain.signing import sign
from devchain.state_file import StateFile

LAB = Path(ctl.__file__).resolve().parent.parent


class Ctl:
    """``devchain.ctl`` in this process."""

    def __init__(self, admin: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._admin = admin
        self._capsys = capsys

    def __call__(self, *words: object) -> Any:
        code = ctl.main(["--admin", self._admin, *map(str, words)])
        out, error = self._capsys.readouterr()
        assert code == 0, error
        return json.loads(out)

    def refused(self, *words: object) -> str:
        assert ctl.main(["--admin", self._admin, *map(str, words)]) == 1
        out, error = self._capsys.readouterr()
        assert out == ""
        return error


@pytest.fixture
def run(devchain: Devchain, capsys: pytest.CaptureFixture[str]) -> Ctl:
    return Ctl(devchain.admin_url, capsys)


def test_the_life_of_a_lease(devchain: Devchain, run: Ctl) -> None:
    tenant, provider = (str(LocalWallet.generate(prefix="akash").address()) for _unused in range(2))
    assert run("fund", tenant, 500)["balance"] == 500
    record = run("provider", "set", "--owner", provider, "--attribute", "avpn/peer/n1=a=b", "--email", "o@p.example")
    assert record["attributes"] == [{"key": "avpn/peer/n1", "value": "a=b"}]
    groups = '[{"name":"g1","count":2}]'
    made = run("deployment", "create", "--owner", tenant, "--groups", groups, "--dseq", 4)
    assert made["groups"][0]["group_spec"]["resources"][0]["count"] == 2
    which = ("--owner", tenant, "--dseq", 4)
    lease = run("lease", "create", *which, "--gseq", 1, "--oseq", 1, "--provider", provider)
    assert lease["lease"]["state"] == "active"
    assert run("lease", "reclaim", *which, "--hours", 2)["lease"]["state"] == "reclaiming"
    assert run("lease", "close", *which, "--by", "provider")["lease"]["state"] == "closed"
    assert run("group", "start", *which)["state"] == "open"
    run("lease", "create", *which, "--provider", provider)
    assert run("lease", "insufficient-funds", *which)["lease"]["state"] == "insufficient_funds"
    run("group", "start", *which)
    run("lease", "create", *which, "--provider", provider)
    replaced = run("deployment", "replace", *which, "--new-dseq", 9)
    assert replaced["leases"][0]["lease"]["id"]["dseq"] == "9"
    closed = run("deployment", "close", "--owner", tenant, "--dseq", 9)
    assert closed["deployment"]["state"] == "closed"
    height = devchain.height
    assert run("advance", 5, "--seconds-each", 2) == {"height": height + 5}
    assert run("status")["height"] == height + 5


def test_batch_and_endpoints(devchain: Devchain, run: Ctl) -> None:
    tenant = str(LocalWallet.generate(prefix="akash").address())
    height = devchain.height
    acts = [
        {"method": "fund", "params": {"address": tenant, "amount": 3}},
        {"method": "deployment_create", "params": {"owner": tenant, "dseq": 2}},
    ]
    assert run("batch", json.dumps(acts))[0]["balance"] == 3
    assert devchain.height == height + 1
    assert "an act is" in run.refused("batch", '[{"method": "status"}]')
    assert "missing a required argument" in run.refused("batch", '[{"method": "fund"}]')
    added = run("endpoint", "add")
    assert run("endpoint", "list") == [devchain.url, added["url"]]
    fault = run("fault", "add", "lie", "--endpoint", 1, "--path", "syncing", "--value", "true", "--count", 1)
    assert run("fault", "list", "--endpoint", 1) == [fault]
    path = "/cosmos/base/tendermint/v1beta1/syncing"
    answers = []
    for url in (devchain.url, added["url"]):
        with urllib.request.urlopen(url + path) as answer:
            answers.append(json.load(answer)["syncing"])
    assert answers == [False, True]
    run("fault", "add", "unavailable")
    run("fault", "add", "stale", "--blocks", 3, "--hide")
    assert run("fault", "clear") == {"cleared": 2}
    assert "no endpoint 7" in run.refused("fault", "add", "garbage", "--endpoint", 7)


def test_refusals_say_why(run: Ctl) -> None:
    tenant = str(LocalWallet.generate(prefix="akash").address())
    assert "no lease" in run.refused("lease", "close", "--owner", tenant, "--dseq", 1)
    assert "Deployment not found" in run.refused("deployment", "close", "--owner", tenant, "--dseq", 1)
    assert "is not an address of this chain" in run.refused("fund", "cosmos1xyz")
    with pytest.raises(ctl.Refused, match="no such method: nonsense"):
        ctl.call(run._admin, "nonsense", {})
    with pytest.raises(ctl.Refused, match="got an unexpected keyword argument"):
        ctl.call(run._admin, "status", {"x": 1})
    for wrong in ("7", True, 1.5, [1]):
        with pytest.raises(ctl.Refused, match="deployment_create: dseq can't be"):
            ctl.call(run._admin, "deployment_create", {"owner": tenant, "dseq": wrong})
    with pytest.raises(ctl.Refused, match=r"127\.0\.0\.1:9"):
        ctl.call("http://127.0.0.1:9", "status", {})


def start(state: Path, *words: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "devchain", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
            *("--state", str(state), *words),
        ],
        env={**os.environ, "PYTHONPATH": str(LAB)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


@pytest.fixture
def tenant() -> str:
    return str(LocalWallet.generate(prefix="akash").address())


def test_a_process_and_its_state(tmp_path: Path, tenant: str) -> None:
    state = tmp_path / "chain.db"
    process, started = start(state, "--fund", f"{tenant}=77", "--block-time", "0.05")
    try:
        assert started["chain_id"] == "avpn-lab-1"
        ctl.call(started["admin"], "deployment_create", {"owner": tenant, "dseq": 3})
        before = ctl.call(started["admin"], "status", {})
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    process, started = start(state, "--fund", f"{tenant}=77", "--block-time", "0")
    try:
        after = ctl.call(started["admin"], "status", {})
        assert after["height"] >= before["height"] and after["deployments"] == 1
        with urllib.request.urlopen(f"{started['endpoints'][0]}/cosmos/bank/v1beta1/balances/{tenant}") as answer:
            assert json.load(answer)["balances"] == [{"denom": "uakt", "amount": "77"}]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "chain.db"
    wallet = LocalWallet.generate(prefix="akash")
    tenant, provider = str(wallet.address()), str(LocalWallet.generate(prefix="akash").address())
    chain = Chain(state=state, keep=10)
    operations = Operations(chain)
    operations.fund(tenant)
    operations.provider_set(provider, attributes={"avpn/peer/n1": "x"})
    operations.deployment_create(tenant, dseq=1)
    operations.lease_create(tenant, 1, provider, reclamation_hours=5)
    from devchain import messages

    message = messages.new(
        messages.SIGN_ATTRIBUTES, owner=tenant, auditor=tenant, attributes=[{"key": "k", "value": "v"}]
    )
    checked = chain.check_tx(sign(chain, wallet, message))
    chain.block()
    chain.advance(95)
    chain.close()
    again = Chain(state=state, keep=10)
    assert again.height == chain.height
    assert again.block_at() == chain.block_at()
    assert again._store.dump() == chain._store.dump()
    assert again.result(checked.hash) == chain.result(checked.hash)
    again.advance(100)
    assert again.oldest == again.height - 10
    again.close()
    third = Chain(state=state, keep=10)
    assert list(third.view().items("leases")) == list(chain.view().items("leases"))
    assert third.check_tx(sign(third, wallet, message, sequence=0, memo="again")).code == 32
    third.close()


def test_another_chains_file_is_refused(tmp_path: Path) -> None:
    StateFile(tmp_path / "chain.db", "one-1").close()
    with pytest.raises(DevchainError, match="holds chain one-1, not two-1"):
        Chain("two-1", state=tmp_path / "chain.db")


def test_history_survives_a_restart_too(tmp_path: Path, tenant: str) -> None:
    state = tmp_path / "chain.db"
    chain = Chain(state=state, keep=60)
    operations = Operations(chain)
    for _unused in range(205):
        operations.fund(tenant, 1)
    chain.close()
    again = Chain(state=state, keep=60)
    assert again.oldest == chain.oldest
    for height in range(again.oldest, again.height + 1):
        held = bank.balance(again.view(height), tenant)
        assert held == bank.balance(chain.view(height), tenant) == height - 1
    again.close()

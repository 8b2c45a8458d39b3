# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Version 0 of a raised generation: each dishonest start breaks exactly one rule, and is refused by it (R25)."""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ledger_world import node, signer
from recovery_town import RUN, Town

from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import (
    Change,
    apply_change,
    genesis,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import header_of, value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.constants import token_of
from ansible_collections.akash.avpn.plugins.module_utils._quorum.contradiction import conflict
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import RuleBroken
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Ballot,
    Held,
    Instance,
    Promise,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.recovery import Recovery
from ansible_collections.akash.avpn.plugins.module_utils._quorum.rules import check


class Forge:
    """A start among 3, 4 and 5 that is made by hand: 3 holds a version and has accepted the next one."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.older = town.certified(3)
        town.half_do(3, "late", (3,))
        self.old = town.certified(3)
        town.voters.down = {1, 2}
        content = town.content(3)
        assert content.accepted is not None
        town.raise_to(1, self.older.certificate.hash, (3, 4, 5))
        self.record, self.height = town.chain.record(), town.chain.height
        links = tuple(link for link in self.old.links if link.version > self.older.value.version)
        self.recovery: Recovery | None = Recovery(
            header_of(self.older.value), self.old.value, (), self.old.certificate, links, content.accepted.change
        )
        self.accepted = content.accepted.ballot
        self.mine = Held(0, self.old.value.version, self.old.certificate.hash, self.accepted)
        self.held: dict[int, tuple[Held, ...] | None] = {3: (self.mine,), 4: (), 5: ()}
        self.signed_by = {number: signer(number) for number in self.held}
        self.ballot = Ballot(1, node(4), RUN, "0" * 64)
        self.instance: Instance | None = None

    def promises(self) -> tuple[Promise, ...]:
        instance = self.instance or Instance.of(genesis(self.record, self.height))
        return tuple(
            Promise(instance, self.ballot, node(number), self.town.chain.incarnations[number], None, held=held).signed(
                self.signed_by[number]
            )
            for number, held in self.held.items()
        )

    def again(self) -> Forge:
        """Another one to lie with: nothing of this one changes."""
        other = copy.copy(self)
        other.held, other.signed_by, other.town = dict(self.held), dict(self.signed_by), copy.copy(self.town)
        other.town.chain = copy.deepcopy(self.town.chain)
        return other

    def check(self, *, vouched: bool = False, **fields: Any) -> None:
        recovery = self.recovery if self.recovery is None else replace(self.recovery, promises=self.promises())
        change = Change(record=(self.record, self.height), recovery=recovery, **fields)
        child = apply_change(None, "", change)
        check(None, child.parent, child, self.town.chain.view(), change=change, vouched=vouched)

    def set(self, **fields: Any) -> None:
        assert self.recovery is not None
        self.recovery = replace(self.recovery, **fields)

    def name(self, **fields: Any) -> None:
        """The tenant's record says something else."""
        self.record = replace(self.record, **fields)
        self.town.chain.changes.update(fields)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Forge:
    return Forge(Town(tmp_path_factory.mktemp("forge")))


def _lock(forge: Forge) -> Any:
    return {"locks": Acquire("job", 5, forge.town.chain.height).draft(forge.old.value, node(3)).locks}


def _unsigned(forge: Forge) -> None:
    endpoint, slot = next(iter(forge.old.value.slots.items()))
    other = replace(forge.old.value, slots={**forge.old.value.slots, endpoint: replace(slot, height=slot.height + 1)})
    forge.name(base=value_hash(other))
    forge.recovery = Recovery(header_of(other), other, ())
    forge.held = dict.fromkeys((3, 4, 5), ())


def _narrow(forge: Forge) -> None:
    forge.name(cidr=ipaddress.IPv4Network("100.65.0.0/24"))


def _beside(forge: Forge) -> None:
    """The base was accepted here, and another value under a higher ballot there."""
    forge.name(base=forge.old.certificate.hash)
    forge.recovery = Recovery(header_of(forge.old.value), forge.old.value, ())
    version, parent = forge.old.value.version - 1, forge.old.value.parent
    low, high = (Ballot(one, node(1), RUN, of) for one, of in ((2, forge.old.certificate.hash), (3, "2" * 64)))
    forge.held = {3: (Held(0, version, parent, low),), 4: (Held(0, version, parent, high),), 5: ()}


def _no_base(forge: Forge) -> None:
    forge.name(base=None)


def _newer(forge: Forge, **fields: Any) -> None:
    forge.held[4] = (replace(forge.mine, **fields),)


Lie = Callable[[Forge], Any]
LIES: dict[str, tuple[str, Lie]] = {
    "nothing is shown": ("recovery-missing", lambda f: setattr(f, "recovery", None)),
    "something, and there is no base": ("recovery-none", _no_base),
    "another header": ("recovery-base", lambda f: f.set(base=header_of(f.old.value))),
    "another network's": ("recovery-network", lambda f: f.set(value=replace(f.old.value, network="0" * 64))),
    "of no lower generation": ("recovery-generation", lambda f: f.set(value=replace(f.old.value, generation=1))),
    "not the base, and no certificate": (
        "recovery-value",
        lambda f: f.set(certificate=None, links=(), accepted=None),
    ),
    "not above the base": ("recovery-value", lambda f: f.set(value=f.older.value, certificate=f.older.certificate)),
    "another value's certificate": ("recovery-value", lambda f: f.set(value=replace(f.old.value, record_height=1))),
    "too few have certified it": (
        "recovery-value",
        lambda f: f.set(certificate=replace(f.old.certificate, acceptances=f.old.certificate.acceptances[:1])),
    ),
    "a founder's promise is missing": ("recovery-all", lambda f: f.held.pop(5)),
    "a promise that says nothing": ("recovery-promise", lambda f: f.held.update({5: None})),
    "a promise of another start": (
        "recovery-promise",
        lambda f: setattr(f, "instance", replace(Instance.of(genesis(f.record, f.height)), generation=2)),
    ),
    "a promise signed by somebody else": ("recovery-promise", lambda f: f.signed_by.update({5: signer(4)})),
    "a founder holds a newer one": ("recovery-newest", lambda f: _newer(f, version=99, hash="1" * 64)),
    "a founder holds another one": ("recovery-newest", lambda f: _newer(f, hash="f" * 64)),
    "a founder holds a generation between": (
        "recovery-between",
        lambda f: (f.name(generation=3), f.held.update({5: (Held(2, 0, "1" * 64),)})),
    ),
    "what was accepted is left out": ("recovery-accepted", lambda f: f.set(accepted=None)),
    "what nobody accepted": ("recovery-accepted", lambda f: f.held.update({3: (replace(f.mine, accepted=None),)})),
    "something else was accepted": (
        "recovery-accepted",
        lambda f: _newer(f, accepted=Ballot(99, node(1), RUN, "2" * 64)),
    ),
    "another value in the base's place": ("recovery-beside", _beside),
    "entries that aren't signed": ("recovery-signature", _unsigned),
    "another range": ("recovery-range", _narrow),
    "a lock besides": ("recovery-exact", _lock),
    "a host less": ("recovery-exact", lambda f: {"hosts": {next(iter(f.old.value.hosts)): None}}),
    "other voters": ("founders", lambda f: {"voters": f.record.founders[:2]}),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("vouched", [False, True], ids=["anew", "half done"])
def test_a_dishonest_start_is_refused_by_its_rule(lie: str, vouched: bool, honest: Forge) -> None:
    """The proof is part of the change, so it is looked at as well where somebody claims to have accepted it."""
    rule, tell = LIES[lie]
    forge = honest.again()
    forge.check(vouched=vouched)  # so far
    told = tell(forge)
    with pytest.raises(RuleBroken) as error:
        forge.check(
            vouched=vouched, **(told if isinstance(told, dict) and {"locks", "hosts", "voters"} & set(told) else {})
        )
    assert error.value.rule == rule, str(error.value)


def test_only_version_0_begins_with_something(honest: Forge) -> None:
    forge = honest.again()
    value = forge.town.certified(1).value
    change = Change(recovery=replace(forge.recovery, promises=forge.promises()))  # type: ignore[type-var]
    child = apply_change(value, value_hash(value), change)
    with pytest.raises(RuleBroken) as error:
        check(value, value_hash(value), child, forge.town.chain.view(), change=change)
    assert error.value.rule == "recovery-start"


def test_two_promises_that_say_different_things_contradict_each_other(honest: Forge) -> None:
    forge = honest.again()
    first = forge.promises()[0]
    forge.held[3], forge.ballot = (), Ballot(2, node(5), RUN, "1" * 64)
    other = forge.promises()[0]
    assert conflict(first, first) is None
    assert "holds different things" in (conflict(first, other) or "")


def test_tokens_rise_over_generations() -> None:
    assert token_of(0, 7) == 7 < token_of(1, 0) < token_of(1, 1) < token_of(2**20 - 1, 2**24 - 1) < 2**53

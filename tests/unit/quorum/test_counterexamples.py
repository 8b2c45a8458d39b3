# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model's counterexamples, played to real voters: each goes wrong only because a rule is taken out, and the code
has the rule, so some step is refused (docs/model.md)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ledger_world import node, signer
from schedule import Base

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError
from ansible_collections.akash.avpn.plugins.module_utils._quorum import answers
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change, apply_change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import value_hash
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.locking import Acquire
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import (
    Acceptance,
    Ballot,
    Certificate,
    Certified,
    Instance,
    Promise,
    majority,
)
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import Accept, Learn, Prepare

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "model"))
from ledger_model.story import tell
from ledger_model.variants import VARIANTS, Variant

Step = Sequence[str]
# Of those with three voters that stay the same: which step is refused, and in which words.
REFUSALS = {
    "the promise is erased after accepting": ("accept", "refused"),
    "the ballot doesn't name its value": ("accept", "refused or BadProof"),  # by which of the hashes is higher
    "a half-done round is not heeded": ("accept", "half-done"),
    "promises don't show what was accepted": ("accept", "half-done"),
    "resuming after disk loss": ("accept", "incarnation"),
    "built on a half-done round, and another one is certified": ("presume", "BadProof"),
}
PLAYED = [variant for variant in VARIANTS if variant.name in REFUSALS]


@dataclass
class Drawn:
    """A ballot as a proposer drew it."""

    parent: Certified
    change: Change
    ballot: Ballot
    promises: dict[int, Promise] = field(default_factory=dict)
    acceptances: dict[int, Acceptance] = field(default_factory=dict)

    @property
    def certified(self) -> Certified:
        """With what acceptances there are, enough or not."""
        value = apply_change(self.parent.value, self.parent.certificate.hash, self.change)
        return Certified(Certificate.of(list(self.acceptances.values())), value)

    @property
    def instance(self) -> Instance:
        return Instance.of(apply_change(self.parent.value, self.parent.certificate.hash, self.change))


class Player:
    """Plays steps of the model to three voters. ``hashless``: ballots 1 and 2 have one number, and so 3 and 4."""

    def __init__(self, base: Base, directory: Path, hashless: bool) -> None:
        self.voters = base.copy(directory)
        self.start, self.height = base.start, base.chain.height
        self.hashless = hashless
        self.drawn: dict[tuple[int, int], Drawn] = {}
        self.presumed: Drawn | None = None

    def play(self, steps: Sequence[Step]) -> tuple[str, str] | None:
        """The step that the voters refused, and how; None if they did all of it."""
        for kind, *words in steps:
            numbers = [int(word) for word in words] if kind not in {"wrong", "stuck"} else []
            answer = getattr(self, f"_{kind}", self._nothing)(*numbers)
            if answer is not None:
                return kind, answer
        return None

    def _nothing(self, *_numbers: int) -> None:
        """What follows from a step, or nobody is asked for."""

    def _compose(self, version: int, ballot: int, _voters: int, bound: int) -> None:
        parent = self.start
        if version > 1:
            assert self.presumed is not None
            parent = self.presumed.certified
        draft = Acquire(f"bound-{bound}", 300, self.height).draft(parent.value, node(1))
        change = sign(draft, parent.value, node(1), signer(1))
        child = apply_change(parent.value, parent.certificate.hash, change)
        counter = (ballot + 1) // 2 if self.hashless else ballot
        self.drawn[version, ballot] = Drawn(parent, change, Ballot(counter, node(1), f"{1:032x}", value_hash(child)))

    def _promise(self, host: int, version: int, ballot: int, _shown: int) -> str | None:
        drawn = self.drawn[version, ballot]
        answer = self._ask(host, Prepare(drawn.instance, drawn.ballot, 0, drawn.parent.certificate))
        if not isinstance(answer, answers.Promised):
            return self._in_words(answer)
        drawn.promises[host] = answer.promise
        return None

    def _accept(self, host: int, version: int, ballot: int, _voters: int, _bound: int) -> str | None:
        drawn = self.drawn[version, ballot]
        promises = dict(drawn.promises)
        if self.hashless:
            twin = self.drawn.get((version, ballot + 1 if ballot % 2 else ballot - 1))
            promises = {**(twin.promises if twin else {}), **promises}
        request = Accept(drawn.instance, drawn.ballot, tuple(promises.values()), drawn.change, drawn.parent.certificate)
        answer = self._ask(host, request)
        if not isinstance(answer, answers.Accepted):
            return self._in_words(answer)
        drawn.acceptances[host] = answer.acceptance
        return None

    def _presume(self, host: int, version: int, ballot: int) -> str | None:
        """What one voter accepted is handed on as if that certified it."""
        self.presumed = self.drawn[version, ballot]
        half_done = self.presumed.certified
        answer = self._ask(host, Learn(half_done.certificate, half_done.value))
        return None if isinstance(answer, answers.Learned) else self._in_words(answer)

    def _lose(self, host: int) -> None:
        self.voters.acceptors[host + 1].store.close()
        for file in self.voters.directory.glob(f"voter{host + 1}.db*"):
            file.unlink()
        self.voters.start(host + 1)
        # It gets what is certified from the others, like any newcomer.
        assert isinstance(self._ask(host, Learn(self.start.certificate, self.start.value)), answers.Learned)

    def _ask(self, host: int, request: Prepare | Accept | Learn) -> answers.Answer | AvpnError:
        document = {**request.to_json(), "as": str(node(1))}
        try:
            return answers.parse_answer(self.voters.acceptors[host + 1].handle(document, [node(1)]), "voter")
        except AvpnError as error:
            return error

    def _in_words(self, answer: answers.Answer | AvpnError) -> str:
        if isinstance(answer, answers.RejectedBy):
            return answer.rule
        return type(answer).__name__ if isinstance(answer, AvpnError) else type(answer).__name__.lower()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("variant", PLAYED, ids=lambda variant: variant.name)
def test_real_voters_refuse_the_counterexample(variant: Variant, base: Base, tmp_path: Path) -> None:
    steps = variant.search().steps
    player = Player(base, tmp_path / "voters", hashless=bool(variant.note))
    refused = player.play(steps)
    assert refused is not None
    kind, words = REFUSALS[variant.name]
    assert refused[0] == kind, "\n".join(tell(steps))
    assert refused[1] in words.split(" or "), refused


def test_real_voters_do_the_steps_that_only_a_stubborn_one_minds(base: Base, tmp_path: Path) -> None:
    """Up to where voters that heed what they accepted themselves are stuck; the real ones are not."""
    variant = next(one for one in VARIANTS if one.verdict == "stuck" and one.sizes.hosts == one.sizes.founders == 3)
    player = Player(base, tmp_path / "voters", hashless=False)
    steps = variant.search().steps
    assert player.play(steps) is None
    # The highest accepted one is finished by the hosts that are up, under a new ballot.
    up = [host for host in range(3) if int(steps[-1][1]) >> host & 1]
    player.drawn[1, 9] = highest = player.drawn[1, 2]
    again = Ballot(9, node(1), highest.ballot.run, highest.ballot.hash)
    player.drawn[1, 9] = Drawn(highest.parent, highest.change, again)
    assert [player._promise(host, 1, 9, 0) for host in up] == [None] * len(up)
    assert [player._accept(host, 1, 9, 0, 0) for host in up] == [None] * len(up)
    assert len(player.drawn[1, 9].acceptances) >= majority(highest.parent.value.voters)

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checker of recorded campaigns is shown histories that are wrong in each way, before it is believed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from history.events import Recording
from history.replaying import child, replay, value_hash
from history.verdict import judge
from recorded import NETWORK, NEW, VOTERS, Book, Events, events_of, good, recording, sign_anew, slot, voter


def test_a_good_history_is_taken() -> None:
    verdict = judge(recording())
    assert verdict.problems == {}
    assert (verdict.good, verdict.linearizable, verdict.duplicates, verdict.lost) == (True, True, 0, 0)
    assert verdict.versions == 6
    assert verdict.counts["operations"] == 10
    assert (verdict.counts["acknowledged"], verdict.counts["failed"], verdict.counts["unknown"]) == (8, 1, 1)


def test_a_fetch_may_be_one_version_behind_and_no_more() -> None:
    def fetch(version: int) -> Callable[[Events], object]:
        def edit(events: Events) -> None:
            hashes = [one.hash for one in replay(recording()).versions]
            (answer,) = events_of(events, "answer", op=5)
            answer.update(version=version, hash=hashes[version])

        return edit

    assert judge(recording(fetch(2))).good
    assert set(judge(recording(fetch(1))).problems) == {"stale"}


def test_an_unknown_operation_may_take_effect_later() -> None:
    book = Book()
    book.unanswered(1, "allocate", "web/1/0", "unknown")
    book.read(2, "confirmed")
    # Its own change, certified by somebody else who found it half done; the note of it died with the client.
    book.version(book.change("web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 11)), 5)
    book.read(3, "confirmed", "web/1/0")
    assert judge(Recording.of(book.finish())).problems == {}


def test_a_cut_off_recording_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in good())[:-5], encoding="utf-8")
    verdict = judge(Recording.load(path))
    assert set(verdict.problems) == {"unfinished"}
    assert not verdict.linearizable


def _brought(outcome: str, *, told: bool = True) -> Callable[[Events], None]:
    """n2 proposes what it wants together with what n1 left for it; n1 gets no answer, or one that it failed."""

    def apply(events: Events) -> None:
        book = Book()
        book.write(1, "allocate", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 11))
        book.write(2, "allocate", "api/1/0", slot("10.0.0.3", VOTERS[1], "2/1/1", 11), host=VOTERS[1])
        theirs = book.change("db/1/0", slot("10.0.0.4", VOTERS[0], "3/1/1", 12))
        own = book.change("more/1/0", slot("10.0.0.5", VOTERS[1], "4/1/1", 12), VOTERS[1])
        both = {name: {**own[name], **theirs[name]} for name in ("slots", "batches")}
        book.add("invoke", op=3, client="n1/0", kind="allocate", endpoint="db/1/0", host=VOTERS[0], at=book.tick())
        if told:
            book.add("draft", op=3, slots=theirs["slots"])
        book.add("invoke", op=4, client="n2/0", kind="allocate", endpoint="more/1/0", host=VOTERS[1], at=book.tick())
        assert book.value is not None
        hash_ = value_hash(child(book.value, book.hash, both, NETWORK, 0))
        book.add("build", op=4, version=book.value["version"] + 1, hash=hash_, what="own")
        book.version(both, 5)
        book.answer(4, "decided", "more/1/0")
        if outcome == "ok":
            book.answer(3, "seen", "db/1/0")
        else:
            book.add("answer", op=3, at=book.tick(), outcome=outcome, error="no majority")
        events[:] = book.finish()

    return apply


@pytest.mark.parametrize("outcome", ["ok", "unknown"])
def test_entries_may_be_brought_along_by_others(outcome: str) -> None:
    assert judge(recording(_brought(outcome))).problems == {}


def _of_a_batch(edit: Callable[[dict[str, Any]], object]) -> Callable[[Events], None]:
    """A history in which one version's change is another from the start, so that all hashes agree."""

    def apply(events: Events) -> None:
        book = Book()
        book.write(1, "allocate", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 11))
        book.add("invoke", op=2, client="n2/0", kind="allocate", endpoint="db/1/0", host=VOTERS[0], at=book.tick())
        change = book.change("db/1/0", slot("10.0.0.3", VOTERS[0], "2/1/1", 12))
        edit(change)
        book.version(change, 3)
        events[:] = book.finish()

    return apply


def _uncovered(change: dict[str, Any]) -> None:
    change["slots"]["db/1/0"]["height"] = 13


def _wrong_batch_signature(change: dict[str, Any]) -> None:
    (batch,) = change["batches"].values()
    batch["signature"] = voter(VOTERS[0])["key"]


def _of_somebody_else(events: Events) -> None:
    """n2 binds an endpoint to n1."""
    book = Book()
    book.write(1, "allocate", "web/1/0", slot("10.0.0.2", VOTERS[1], "1/1/1", 11), host=VOTERS[1])
    book.add("invoke", op=2, client="n2/0", kind="allocate", endpoint="db/1/0", host=VOTERS[0], at=book.tick())
    book.version(book.change("db/1/0", slot("10.0.0.3", VOTERS[0], "2/1/1", 12), VOTERS[1]), 3)
    events[:] = book.finish()


# --- wrong ones. Each edit breaks one thing; what else is wrong by that is said, too.


def _twice(events: Events) -> None:
    """Another endpoint's binding with web's address."""
    book = Book()
    book.write(1, "allocate", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 11))
    book.write(2, "allocate", "db/1/0", slot("10.0.0.2", VOTERS[1], "2/1/1", 12), host=VOTERS[1])
    events[:] = book.finish()


def _other_address(events: Events) -> None:
    book = Book()
    book.write(1, "allocate", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 11))
    book.write(2, "release", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 12, bound=False))
    book.write(3, "allocate", "web/1/0", slot("10.0.0.7", VOTERS[0], "2/1/1", 13))
    events[:] = book.finish()


def _lost(events: Events) -> None:
    """A version that unbinds what was acknowledged, by an operation about something else."""
    book = Book()
    book.write(1, "allocate", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 11))
    book.add("invoke", op=2, client="n2/0", kind="rekey", host=VOTERS[1], at=book.tick())
    book.version(book.change("web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 12, bound=False)), 3)
    events[:] = book.finish()


def _never_there(events: Events) -> None:
    """An acknowledgement of a binding that its version doesn't hold."""
    (answer,) = events_of(events, "answer", op=1)
    answer["found"]["address"] = "10.0.0.9"


def _unasked(events: Events) -> None:
    (invoke,) = events_of(events, "invoke", op=6)
    invoke["endpoint"] = "web/1/0"
    (answer,) = events_of(events, "answer", op=6)
    answer["found"] = events_of(events, "answer", op=9)[0]["found"]


def _stale_confirmation(events: Events) -> None:
    hashes = [one.hash for one in replay(recording()).versions]
    (answer,) = events_of(events, "answer", op=3)
    answer.update(version=1, hash=hashes[1])


def _from_the_future(events: Events) -> None:
    """A read that ended before the operation that proposed what it saw had begun."""
    last = events_of(events, "answer", op=8)[0]
    (answer,) = events_of(events, "answer", op=5)
    answer.update(version=last["version"], hash=last["hash"])


def _too_early_in_the_chain(events: Events) -> None:
    """The proposer of version 1 began only after version 2 had been answered."""
    (invoke,) = events_of(events, "invoke", op=1)
    (answer,) = events_of(events, "answer", op=1)
    events.remove(answer)
    invoke["at"] = events_of(events, "answer", op=2)[0]["at"] + 0.01


def _undead(events: Events) -> None:
    (answer,) = events_of(events, "answer", op=8)
    answer.update(outcome="failed", error="no majority")


def _unknown_version(events: Events) -> None:
    (answer,) = events_of(events, "answer", op=9)
    answer["version"] = 77


def _other_hash(events: Events) -> None:
    (answer,) = events_of(events, "answer", op=9)
    answer["hash"] = "f" * 64


def _second_certificate(events: Events) -> None:
    (certificate,) = [one for one in events_of(events, "certificate") if one["certificate"]["version"] == 3]
    other = copy.deepcopy(certificate)
    other["certificate"]["ballot"]["hash"] = "e" * 64
    events.append(other)


def _gap(events: Events) -> None:
    (change,) = events_of(events, "change", version=3)
    events.remove(change)


def _two_changes(events: Events) -> None:
    (change,) = events_of(events, "change", version=3)
    other = copy.deepcopy(change)
    other["change"]["slots"]["web/1/0"]["address"] = "10.0.0.8"
    events.append(other)


def _no_majority(events: Events) -> None:
    (certificate,) = [one for one in events_of(events, "certificate") if one["certificate"]["version"] == 3]
    certificate["certificate"]["acceptances"] = certificate["certificate"]["acceptances"][:1]


def _same_voter_twice(events: Events) -> None:
    (certificate,) = [one for one in events_of(events, "certificate") if one["certificate"]["version"] == 3]
    first = certificate["certificate"]["acceptances"][0]
    certificate["certificate"]["acceptances"] = [first, first]


def _wrong_signature(events: Events) -> None:
    (certificate,) = [one for one in events_of(events, "certificate") if one["certificate"]["version"] == 3]
    one, other = certificate["certificate"]["acceptances"]
    one["signature"], other["signature"] = other["signature"], one["signature"]


def _other_incarnation(events: Events) -> None:
    """A voter that lost its disk is counted."""
    (certificate,) = [one for one in events_of(events, "certificate") if one["certificate"]["version"] == 3]
    certificate["certificate"]["acceptances"][0]["incarnation"] = "0" * 32


def _lower_ballot(events: Events) -> None:
    """The same voter promises a lower ballot of a version that it has promised a higher one of."""
    first = events_of(events, "statement", kind="promise")[2]
    later = copy.deepcopy(first)
    later["statement"]["ballot"]["counter"] -= 1
    sign_anew(later)
    later.update(sent=first["received"] + 1.0, received=first["received"] + 1.1)
    events.append(later)


def _lower_version(events: Events) -> None:
    """A voter signs for a version that is behind the one it had got to."""
    early, late = events_of(events, "statement", kind="promise")[2], events_of(events, "statement", kind="promise")[-1]
    again = copy.deepcopy(early)
    again["statement"]["voter"] = late["statement"]["voter"]
    again["statement"]["incarnation"] = late["statement"]["incarnation"]
    again["by"] = late["by"]
    sign_anew(again)
    again.update(sent=late["received"] + 1.0, received=late["received"] + 1.1)
    events.append(again)


def _forgotten(events: Events) -> None:
    """A promise that hides the lower ballot that was accepted, however the answers came in."""
    accepted = events_of(events, "statement", kind="acceptance")[2]
    promise = copy.deepcopy(accepted)
    promise["kind"] = "promise"
    promise["statement"]["accepted"] = None
    promise["statement"]["ballot"].update(counter=99, hash="d" * 64)
    sign_anew(promise)
    promise.update(sent=accepted["sent"], received=accepted["received"])
    events.append(promise)


def _two_parents(events: Events) -> None:
    promise = copy.deepcopy(events_of(events, "statement", kind="promise")[-1])
    promise["statement"]["parent"] = "c" * 64
    promise["statement"]["ballot"]["counter"] += 1
    sign_anew(promise)
    promise.update(sent=promise["received"] + 1.0, received=promise["received"] + 1.1)
    events.append(promise)


def _forged(events: Events) -> None:
    one, other = events_of(events, "statement", kind="promise")[-2:]
    one["statement"]["signature"] = other["statement"]["signature"]


def _of_somebody_else_that_was_asked(events: Events) -> None:
    events_of(events, "statement", kind="promise")[-1]["by"] = VOTERS[2]


def _stranger(events: Events) -> None:
    """Whoever isn't a voter promises."""
    promise = copy.deepcopy(events_of(events, "statement", kind="promise")[-1])
    promise["statement"].update(voter=NEW, incarnation=voter(NEW)["incarnation"])
    promise["by"] = NEW
    sign_anew(promise)
    events.append(promise)


def _lost_disk(events: Events) -> None:
    """A voter that has lost its disk goes on voting."""
    promise = copy.deepcopy(events_of(events, "statement", kind="promise")[-1])
    promise["statement"]["incarnation"] = "0" * 32
    sign_anew(promise)
    events.append(promise)


def _behind(events: Events) -> None:
    (before,) = [one for one in events_of(events, "certificate") if one["certificate"]["version"] == 4]
    events_of(events, "final")[1]["certificate"] = before["certificate"]


def _other_entries(events: Events) -> None:
    final = events_of(events, "final")[1]
    final["value"] = copy.deepcopy(final["value"])
    final["value"]["slots"]["web/1/0"]["bound"] = False


def _nobody_asked_in_the_end(events: Events) -> None:
    events[:] = [one for one in events if one["event"] != "final"]


def _one_not_asked_in_the_end(events: Events) -> None:
    events.remove(events_of(events, "final")[1])


@pytest.mark.parametrize(
    ("edit", "kinds"),
    [
        pytest.param(_twice, {"duplicate"}, id="one address bound twice at one time"),
        pytest.param(_other_address, {"duplicate"}, id="an endpoint comes back with another address"),
        pytest.param(_lost, {"lost", "unasked"}, id="an acknowledged allocation lost"),
        pytest.param(_never_there, {"lost", "untrue"}, id="acknowledged and never there"),
        pytest.param(_unasked, {"unasked", "lost"}, id="released without anybody asking"),
        pytest.param(_stale_confirmation, {"stale"}, id="stale read"),
        pytest.param(_from_the_future, {"misplaced"}, id="seen before it was proposed"),
        pytest.param(_too_early_in_the_chain, {"misplaced"}, id="decided before what had been answered"),
        pytest.param(_undead, {"undead"}, id="failed for sure, took effect"),
        pytest.param(_brought("failed"), {"undead"}, id="failed for sure, brought along by somebody else"),
        pytest.param(_brought("unknown", told=False), {"unasked"}, id="brought along without having been left"),
        pytest.param(_unknown_version, {"untrue", "lost"}, id="answered what was never certified"),
        pytest.param(_other_hash, {"untrue"}, id="answered another version"),
        pytest.param(_second_certificate, {"fork", "unproven"}, id="two certificates of one version"),
        pytest.param(_gap, {"fork", "untrue", "lost", "final", "unproven"}, id="a version that nobody recorded"),
        pytest.param(_two_changes, {"fork"}, id="two changes of one version"),
        pytest.param(_no_majority, {"unproven"}, id="certificate of a minority"),
        pytest.param(_same_voter_twice, {"unproven"}, id="certificate of one voter twice"),
        pytest.param(_wrong_signature, {"unproven"}, id="certificate with wrong signatures"),
        pytest.param(_other_incarnation, {"unproven"}, id="certificate of a lost disk"),
        pytest.param(_lower_ballot, {"backward"}, id="ballots go back"),
        pytest.param(_lower_version, {"backward"}, id="versions of a voter go back"),
        pytest.param(_forgotten, {"forgotten"}, id="accepted and not shown"),
        pytest.param(_two_parents, {"twofold", "outsider"}, id="two parents of one version"),
        pytest.param(_forged, {"forged"}, id="statement that its voter didn't sign"),
        pytest.param(_of_somebody_else_that_was_asked, {"forged"}, id="statement of another voter than was asked"),
        pytest.param(_stranger, {"outsider"}, id="statement of no voter"),
        pytest.param(_lost_disk, {"outsider"}, id="statement of a lost disk"),
        pytest.param(_of_a_batch(_uncovered), {"unsigned"}, id="an entry that no batch covers"),
        pytest.param(_of_a_batch(_wrong_batch_signature), {"unsigned"}, id="a batch with a wrong signature"),
        pytest.param(_of_somebody_else, {"unsigned"}, id="an endpoint bound by somebody else"),
        pytest.param(_behind, {"final"}, id="a host ends behind"),
        pytest.param(_other_entries, {"final"}, id="a host ends with other entries"),
        pytest.param(_nobody_asked_in_the_end, {"final"}, id="nobody asked in the end"),
        pytest.param(_one_not_asked_in_the_end, {"final"}, id="one voter not asked in the end"),
    ],
)
def test_a_wrong_history_is_refused(edit: Callable[[Events], object], kinds: set[str]) -> None:
    verdict = judge(recording(edit))
    assert set(verdict.problems) == kinds, verdict.problems
    assert not verdict.good
    assert verdict.duplicates == len(verdict.problems.get("duplicate", []))
    assert verdict.lost == len(verdict.problems.get("lost", []))


def test_linearizable_says_no_to_what_breaks_the_order() -> None:
    for edit in (_stale_confirmation, _from_the_future, _too_early_in_the_chain, _undead, _second_certificate, _gap):
        assert not judge(recording(edit)).linearizable

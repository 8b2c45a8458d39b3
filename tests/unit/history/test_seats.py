# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checker is shown voters that come, go, lose their disks and get other keys, for good reasons and for none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from history.events import Recording
from history.verdict import judge
from recorded import NEW, VOTERS, Book, slot, voter


@pytest.mark.parametrize(
    ("signers", "wrong"),
    [
        pytest.param(("akash1b/n2", "akash1d/n4"), set(), id="the new voters"),
        pytest.param(VOTERS[1:], {"unproven", "outsider"}, id="one that was replaced"),
    ],
)
def test_voters_that_changed_decide_what_follows(signers: tuple[str, ...], wrong: set[str]) -> None:
    book = Book()
    _come(book)
    _go(book)
    book.version({"voters": [voter(node) for node in ("akash1a/n1", "akash1b/n2", NEW)]}, 1)
    book.version({"locks": {}}, 2, signers)
    book.read(1, "confirmed")
    assert set(judge(Recording.of(book.finish())).problems) == wrong


@pytest.mark.parametrize(
    ("last", "wrong"),
    [
        pytest.param("#disk2", set(), id="the new database"),
        pytest.param("", {"unproven", "outsider"}, id="the lost one"),
    ],
)
def test_another_database_is_another_voter(last: str, wrong: set[str]) -> None:
    book = Book()
    book.publish(VOTERS[2], disk="disk2")
    book.version({"voters": [voter(VOTERS[0]), voter(VOTERS[1]), voter(VOTERS[2], disk="disk2")]}, 1)
    book.version({"locks": {}}, 2, (VOTERS[0], VOTERS[2] + last))
    book.read(1, "confirmed")
    assert set(judge(Recording.of(book.finish())).problems) == wrong


@pytest.mark.parametrize(
    ("last", "wrong"),
    [
        pytest.param("#key2", set(), id="the new key"),
        pytest.param("", {"unproven", "forged"}, id="the old one"),
    ],
)
def test_another_key_is_another_voter(last: str, wrong: set[str]) -> None:
    book = Book()
    book.publish(VOTERS[2], key="key2")
    book.version({"voters": [voter(VOTERS[0]), voter(VOTERS[1]), voter(VOTERS[2], key="key2")]}, 1)
    book.version({"locks": {}}, 2, (VOTERS[0], VOTERS[2] + last))
    book.read(1, "confirmed")
    assert set(judge(Recording.of(book.finish())).problems) == wrong


@pytest.mark.parametrize(
    ("published", "wrong"), [pytest.param(True, set(), id="named"), pytest.param(False, {"unsigned"}, id="not named")]
)
def test_another_key_of_an_author_has_to_be_on_chain(published: bool, wrong: set[str]) -> None:
    book = Book()
    book.write(1, "allocate", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 11))
    if published:
        book.publish(VOTERS[0], key="key2")
    book.write(2, "allocate", "db/1/0", slot("10.0.0.3", VOTERS[0], "2/1/1", 12), key="key2")
    book.write(3, "release", "web/1/0", slot("10.0.0.2", VOTERS[0], "1/1/1", 14, bound=False), key="key2")
    assert set(judge(Recording.of(book.finish())).problems) == wrong


def _come(book: Book) -> None:
    """A provider that gets a lease, and whose host is on chain."""
    book.publish(NEW)
    book.happened("lease", NEW, member="m9")


def _go(book: Book) -> None:
    """The last voter loses its lease."""
    book.happened("close", VOTERS[2], member="m2")


def _back(book: Book) -> None:
    _go(book)
    book.happened("lease", VOTERS[2], member="m2")


TWO = [voter(node) for node in VOTERS[:2]]
_OTHER_NODE = "akash1a/n9"


@pytest.mark.parametrize(
    ("before", "voters", "wrong"),
    [
        pytest.param((_come,), [*TWO, voter(VOTERS[2]), voter(NEW)], "", id="one comes"),
        pytest.param((_go,), TWO, "", id="one goes"),
        pytest.param((_back,), TWO, "", id="one goes that was without a lease for a while"),
        pytest.param((), TWO, "though it held a lease", id="one goes that holds a lease"),
        pytest.param((_come,), [*TWO, voter(NEW)], "though it held a lease", id="one that holds a lease makes room"),
        pytest.param((_go, _come), [TWO[0], voter(NEW)], "2 go", id="two go"),
        pytest.param(
            (lambda book: book.happened("lease", NEW, member="m9"),),
            [*TWO, voter(VOTERS[2]), voter(NEW)],
            "had not named",
            id="one comes that is not on chain",
        ),
        pytest.param(
            (_come,), [*TWO, voter(VOTERS[2]), voter(NEW, "disk2")], "had not named", id="one comes with another disk"
        ),
        pytest.param(
            (_come,), [*TWO, voter(VOTERS[2]), voter(NEW, "", "key2")], "had not named", id="one comes with another key"
        ),
        pytest.param(
            (lambda book: book.publish(NEW),),
            [*TWO, voter(VOTERS[2]), voter(NEW)],
            "without a lease",
            id="one comes without a lease",
        ),
        pytest.param(
            (
                lambda book: book.publish(_OTHER_NODE),
                lambda book: book.happened("lease", _OTHER_NODE, member="m9"),
            ),
            [*TWO, voter(VOTERS[2]), voter(_OTHER_NODE)],
            "of one provider",
            id="two of one provider",
        ),
    ],
)
def test_voters_change_for_a_reason(
    before: tuple[Callable[[Book], object], ...], voters: list[dict[str, str]], wrong: str
) -> None:
    book = Book()
    for happens in before:
        happens(book)
    book.version({"voters": voters}, 1)
    book.read(1, "confirmed")
    problems = judge(Recording.of(book.finish())).problems
    assert set(problems) == ({"unfounded"} if wrong else set())
    assert all(wrong in text for text in problems.get("unfounded", []))


def test_reasons_of_before_a_voter_came_are_none() -> None:
    book = Book()
    _go(book)
    book.version({"voters": TWO}, 1)
    book.happened("lease", VOTERS[2], member="m2")
    book.version({"voters": [*TWO, voter(VOTERS[2])]}, 2)
    book.version({"voters": TWO}, 3)
    book.read(1, "confirmed")
    assert set(judge(Recording.of(book.finish())).problems) == {"unfounded"}

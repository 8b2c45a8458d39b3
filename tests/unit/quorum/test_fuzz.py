# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that real rounds made, with anything put into any place of them, in any order, by anybody (R16).

A voter answers or refuses in words, never fails otherwise; and afterwards it is as good a voter as before.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_world import OWNER, Chain, Direct, Voters, allocate, node

from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Certified
from ansible_collections.akash.avpn.plugins.module_utils._quorum.requests import (
    Leave,
    ReadyRequest,
    Recall,
    Survey,
    Wait,
)

_RUNS = itertools.count()
_HOSTS = (1, 2, 3, 4)

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([0, 1, -1, 2**63, "", "a", "0" * 64, str(node(2)), "A" * 43 + "=", "A" * 86 + "=="])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
# Where (as far down as the numbers lead), what to do there, and with what.
_mutation = st.tuples(
    st.lists(st.integers(0, 30), max_size=7),
    st.sampled_from(["put", "drop", "take", "double"]),
    _json,
    st.integers(0, 999),
)
_sent = st.tuples(st.integers(0, 999), st.lists(_mutation, max_size=2), st.integers(1, 4), st.integers(0, 12))
_BAD: tuple[Any, ...] = (None, True, -1, 2**70, "", "\ud800", "a/b/c", "9" * 400, [], [[]], {}, {"": None})


class Listening(Direct):
    """Keeps every request."""

    heard: list[dict[str, Any]]
    stops = False  # before anything is accepted

    def call(self, node: NodeId, request: Mapping[str, Any]) -> Any:
        document = canonical.loads(
            canonical.dumps({**request, "as": str(self.caller)}), where="request", limit=12 << 20
        )
        self.heard.append(document)
        if request["op"] == "accept" and self.stops:
            raise Unavailable("cut off", where=str(node))
        return super().call(node, request)


class Corpus:
    """Requests of every kind from the life of a network, and its voters in the midst of it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.chain = Chain(hosts=4)
        for number, member in ((1, "web"), (2, "api"), (3, "db"), (4, "four")):
            self.chain.deploy(member, 10 + number, number)
        voters = Voters(directory, self.chain)
        voters.add(4)
        self.requests: list[dict[str, Any]] = []
        for number in _HOSTS:
            transport = Listening(voters, node(number))
            transport.heard = self.requests
            if number < 4:
                allocate(voters, number, transport)
                continue
            # The last one has its promises, and its request to accept is still to be carried out.
            transport.stops = True
            with pytest.raises(NoMajority):
                allocate(voters, number, transport, deadline=1, hold=0)
        store = voters.acceptors[1].store
        state = store.network(self.chain.record().id)
        assert state is not None and state.certificate is not None
        value = store.value(state)
        assert value is not None
        known = Certified(state.certificate, value, store.links(state, None, state.version))
        for request in (
            Wait(value.network, known.certificate.position, 1),
            ReadyRequest(known.certificate),
            Leave(value.network, known.trail(), known.certificate),
            Recall(value.network, store.incarnation),
            Survey(value.network),
            Survey(value.network, 0),
        ):
            self.requests.append({**request.to_json(), "as": str(node(2))})
        for document in self.requests:
            if document["op"] == "prepare":
                document["hold"] = 0  # or everybody would wait for it
        for acceptor in voters.acceptors.values():
            acceptor.store.close()

    def voters(self, directory: Path) -> Voters:
        """All as it was then."""
        directory.mkdir()
        for file in self.directory.glob("voter*.db*"):
            shutil.copy(file, directory / file.name)
        chain = copy.deepcopy(self.chain)
        voters = Voters(directory, chain)
        voters.add(4)
        return voters


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("corpus"))


def mutated(document: Any, mutation: tuple[list[int], str, Any, int], others: list[dict[str, Any]]) -> Any:
    """The document with something done in one place."""
    path, what, new, other = mutation
    holder, key, here = None, None, document
    for step in path:
        if isinstance(here, dict) and here:
            key = sorted(here)[step % len(here)]
        elif isinstance(here, list) and here:
            key = step % len(here)
        else:
            break
        holder, here = here, here[key]
    if holder is None:
        return document
    if what == "drop":
        del holder[key]
    elif what == "take":
        holder[key] = copy.deepcopy(others[other % len(others)].get(str(key), new))
    elif what == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(here))
    else:
        holder[key] = new
    return document


def _whoever(document: Any) -> list[NodeId]:
    """As whom it says to come."""
    with contextlib.suppress(AvpnError):
        return [NodeId.parse(document.get("as"), "as")]
    return []


def _places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Of a list, the first item only: the others are like it."""
    found = [path] if path else []
    if isinstance(document, dict):
        found += [place for key in document for place in _places(document[key], (*path, key))]
    elif isinstance(document, list) and document:
        found += _places(document[0], (*path, 0))
    return found


def _with(document: Any, path: tuple[Any, ...], new: Any) -> Any:
    whole = here = copy.deepcopy(document)
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = new
    return whole


def test_in_every_place_of_every_request_anything_else_is_refused_in_words(corpus: Corpus, tmp_path: Path) -> None:
    voters = corpus.voters(tmp_path / "voters")
    largest = {str(document["op"]): document for document in sorted(corpus.requests, key=lambda one: len(str(one)))}
    assert largest.keys() >= {"prepare", "accept", "learn", "fetch", "wait", "ready", "leave", "recall", "survey"}
    tried = 0
    for op, document in sorted(largest.items()):
        for path in _places(document):
            for bad in _BAD:
                if op == "wait" and path == ("milliseconds",):
                    continue  # it would do as it's told
                tried += 1
                request = _with(document, path, bad)
                try:
                    voters.acceptors[1].handle(request, [OWNER, *_whoever(request)])
                except AvpnError:
                    continue
                except Exception as error:
                    raise AssertionError(f"{op}: {path} = {bad!r}: {error!r}") from error
    assert tried > 2_000


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(_sent, min_size=1, max_size=12))
def test_whatever_it_is_sent_a_voter_answers_and_votes_on(
    sent: list[tuple[int, list[Any], int, int]], corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    voters = corpus.voters(tmp_path_factory.mktemp("fuzz") / str(next(_RUNS)))
    try:
        for chosen, mutations, voter, caller in sent:
            document = copy.deepcopy(corpus.requests[chosen % len(corpus.requests)])
            for mutation in mutations:
                document = mutated(document, mutation, corpus.requests)
            if document.get("op") == "wait":
                document["milliseconds"] = 1
            if document.get("op") == "prepare":
                document["hold"] = 0
            identities = [OWNER] if caller == 0 else [node(caller)] if caller < 5 else _whoever(document)
            try:
                answer = voters.acceptors[voter].handle(document, identities)
            except AvpnError as error:
                assert str(error)
            else:
                canonical.dumps(answer)
        value = allocate(voters, 4, deadline=20).value
        assert any(slot.host == node(4) for slot in value.bound().values())
        addresses = [slot.address for slot in value.bound().values()]
        assert len(set(addresses)) == len(addresses) == 4
        stores = {number: acceptor.store for number, acceptor in voters.acceptors.items()}
        assert {number: store.incarnation for number, store in stores.items()} == voters.chain.incarnations
        assert not any(acceptor.store.evidence() for acceptor in voters.acceptors.values())
    finally:
        for acceptor in voters.acceptors.values():
            acceptor.store.close()
        shutil.rmtree(voters.directory)

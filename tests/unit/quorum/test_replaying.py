# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checker of recorded histories reads values as the collection does, though it shares no code with it."""

from __future__ import annotations

from pathlib import Path

from history import authors, proofs, replaying, seats
from history.events import Recording
from ledger_world import Chain, Voters, allocate

from ansible_collections.akash.avpn.plugins.module_utils._quorum import codec
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import change_json, difference
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value


def test_changes_lead_to_the_same_values_and_certificates_are_good(tmp_path: Path) -> None:
    chain = Chain()
    voters = Voters(tmp_path, chain)
    old = chain.deploy("web", 11, 1, replicas=3)
    chain.deploy("api", 12, 2)
    first = chain.record()
    values: list[Value] = []
    recording = Recording()
    recording.add({"event": "start", "network": first.id, "voters": [codec.voter_json(one) for one in first.founders]})
    for number in (1, 2, 1, 2, 1):
        outcome = allocate(voters, number)
        if len(values) == 2:
            chain.deploy("web", 21, 1, replicas=3)
            chain.close(old)
            chain.height += 20
        values.append(outcome.value)
        recording.certificates.append(outcome.certificate.to_json())
    assert values[-1].version > values[2].version
    # Every version, as one voter keeps them.
    store = voters.acceptors[1].store
    state = store.network(first.id)
    assert state is not None
    update = store.update(state, (0, 0))
    recording.changes[0] = [change_json(difference(None, _zeroth(chain, values[0])))]
    for version, change in enumerate(update.changes, 1):
        recording.changes[version] = [change]
    replayed = replaying.replay(recording)
    assert replayed.problems == []
    assert replayed.versions[-1].hash == codec.value_hash(values[-1])
    assert replayed.slots[-1] == codec.value_json(values[-1])["slots"]
    assert replayed.versions[values[1].version].hash == codec.value_hash(values[1])
    assert list(proofs.unproven(recording, replayed)) == []
    assert list(authors.unsigned(recording, replayed)) == []
    assert list(seats.unfounded(recording, replayed)) == []


def _zeroth(chain: Chain, later: Value) -> Value:
    from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import genesis

    return genesis(later.record, later.record_height)

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a campaign does, from a seed: the same seed, the same operations, acts on chain and faults, in the same order.

Pure. When each of them happens is the run's business: real time interleaves them as it likes, within three bounds.
A client does its operations one after another; an act on chain waits for the operations that were meant for the
state before it; and a fault waits until a number of operations is through.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

READS, CONFIRMATIONS, REKEYS = 0.20, 0.12, 0.03  # shares; all else is writing
ENOUGH = 3  # per host: fewer endpoints waiting than this, and something happens on chain

# Kinds of faults: weight, shortest and longest in seconds. 0: it happens at one moment.
FAULTS: Mapping[str, tuple[int, float, float]] = {
    "host-kill": (8, 1.0, 6.0),
    "peers-kill": (18, 0.0, 0.0),
    "client-kill": (12, 0.0, 0.0),
    "cut": (14, 2.0, 12.0),
    "cut-one-way": (14, 2.0, 12.0),
    "host-pause": (8, 1.0, 8.0),
    "peers-pause": (8, 1.0, 8.0),
    "slow-link": (8, 3.0, 12.0),
    "lossy-link": (6, 3.0, 12.0),
    "clock": (6, 4.0, 15.0),
    "disk-full": (6, 2.0, 8.0),
    "voter-replaced": (5, 1.0, 6.0),
}
_LINKS = ("cut", "cut-one-way", "lossy-link")


@dataclass(frozen=True)
class Client:
    """One of the processes of a host; both are numbers from 0."""

    host: int
    worker: int


@dataclass(frozen=True)
class Planned:
    """One operation. ``after``: the act on chain that it is meant for, -1: none."""

    number: int
    client: Client
    kind: str  # allocate, rebind, release, rekey, confirm, read
    member: str = ""
    index: int = 0
    after: int = -1


@dataclass(frozen=True)
class Act:
    """Something a tenant or a provider does on chain to a member: lease, replace, close.

    ``needs``: the operations that were meant for the state before.
    """

    number: int
    kind: str
    member: str
    needs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fault:
    """``at``: how many operations are through by then. ``hosts``: whom it befalls; links: one end, then the other."""

    number: int
    at: int
    kind: str
    hosts: tuple[int, ...]
    seconds: float
    amount: int = (
        0  # of a clock: seconds ahead; of a link: percent lost, or kbit/s; of a disk: bytes left; of a process
    )


@dataclass(frozen=True)
class Schedule:
    seed: int
    hosts: int
    replicas: int
    members: Mapping[str, int]  # member -> host that runs it
    operations: Sequence[Planned]
    acts: Sequence[Act]
    faults: Sequence[Fault]

    def of(self, client: Client) -> list[Planned]:
        """What one client does, in its order."""
        return [one for one in self.operations if one.client == client]


@dataclass
class _Member:
    name: str
    host: int
    act: int  # the last act on it
    phase: str = "allocate"  # or rebind, or release
    waiting: list[int] = field(default_factory=list)  # indices to be operated on in this phase
    meant: list[int] = field(default_factory=list)  # numbers of this phase's operations


def plan(seed: int, operations: int, faults: int, *, hosts: int = 5, workers: int = 2, replicas: int = 20) -> Schedule:
    """Lay a campaign out. Each host runs two members of ``replicas`` endpoints each."""
    dice = random.Random(seed)
    acts: list[Act] = []
    members = []
    for host in range(hosts):
        for letter in "ab":
            members.append(_Member(f"m{host + 1}{letter}", host, len(acts), waiting=list(range(replicas))))
            acts.append(Act(len(acts), "lease", members[-1].name))
    planned: list[Planned] = []
    while len(planned) < operations:
        number = len(planned)
        host, worker = dice.randrange(hosts), dice.randrange(workers)
        draw = dice.random()
        if draw < READS + CONFIRMATIONS + REKEYS:
            kind = "read" if draw < READS else "confirm" if draw < READS + CONFIRMATIONS else "rekey"
            planned.append(Planned(number, Client(host, worker), kind))
            continue
        while sum(len(member.waiting) for member in members) < ENOUGH * hosts:
            _act(dice, members, acts, replicas)
        member = dice.choice([member for member in members if member.waiting])
        index = member.waiting.pop(dice.randrange(len(member.waiting)))
        if member.phase != "release":  # anybody may release
            host = member.host
        planned.append(Planned(number, Client(host, worker), member.phase, member.name, index, member.act))
        member.meant.append(number)
    return Schedule(
        seed,
        hosts,
        replicas,
        {member.name: member.host for member in members},
        planned,
        acts,
        _faults(random.Random(f"faults {seed}"), operations, faults, hosts),
    )


def _act(dice: random.Random, members: list[_Member], acts: list[Act], replicas: int) -> None:
    """Something happens on chain to a member that has nothing left to be done."""
    member = dice.choice([member for member in members if not member.waiting])
    if member.phase == "release":
        kind, member.phase = "lease", "allocate"
    elif dice.random() < 0.6:
        kind, member.phase = "replace", "rebind"
    else:
        kind, member.phase = "close", "release"
    member.act = len(acts)
    acts.append(Act(len(acts), kind, member.name, tuple(member.meant)))
    member.meant = []
    member.waiting = list(range(replicas))


def _faults(dice: random.Random, operations: int, count: int, hosts: int) -> list[Fault]:
    kinds = list(FAULTS)
    # Every kind at least once where there is room, the rest by weight.
    drawn = dice.sample(kinds, min(count, len(kinds)))
    drawn += dice.choices(kinds, [FAULTS[kind][0] for kind in kinds], k=count - len(drawn))
    dice.shuffle(drawn)
    return [_fault(dice, number, kind, operations, count, hosts) for number, kind in enumerate(drawn)]


def _fault(dice: random.Random, number: int, kind: str, operations: int, count: int, hosts: int) -> Fault:
    # From the first twentieth to the last: something is under way before and behind.
    at = int(operations * (0.05 + 0.9 * (number + dice.random()) / count))
    order = dice.sample(range(hosts), hosts)
    touched = dice.randint(1, hosts - 1) if kind in _LINKS else int(kind == "voter-replaced")
    _weight, least, most = FAULTS[kind]
    amount = {
        "clock": lambda: dice.choice((-600, -240, 180, 420, 840, 1500)),
        "lossy-link": lambda: dice.choice((10, 20, 40)),
        "slow-link": lambda: dice.choice((64, 128, 256, 512)),
        "disk-full": lambda: dice.choice((0, 20_000, 200_000)),
        "client-kill": lambda: dice.randrange(2),
    }.get(kind, lambda: 0)()
    return Fault(number, at, kind, tuple(order[: 1 + touched]), round(dice.uniform(least, most), 1), amount)

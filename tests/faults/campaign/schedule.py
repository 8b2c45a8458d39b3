# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a campaign does, from a seed: the same seed, the same operations, acts on chain and faults, in the same order.

Pure. When each of them happens is the run's business: real time interleaves them as it likes, within four bounds.
A client does its operations one after another; an act on chain waits for the operations that were meant for the
state before it; a fault waits until a number of operations is through; and operations wait for faults that should
have begun long before them (``begun_before``), so that all of a campaign goes on under faults.

Nobody should wait for long, though: between a member's last operation of a phase, the act that ends the phase, and
the first operation after it, there is so much else to do that the one has happened when it is the other's turn.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

READS, CONFIRMATIONS, REKEYS, VOTERS = 0.20, 0.12, 0.03, 0.01  # shares; all else is writing
REPLACED = 0.6  # of the acts on a member with leases; the others close its lease
AWAY = 4  # of so many hosts one at a time may be without a lease, and so without a vote
BEHIND = 20  # operations that clients may be ahead of the faults

# Kinds of faults: weight, shortest and longest in seconds. 0: it happens at one moment.
FAULTS: Mapping[str, tuple[int, float, float]] = {
    "host-kill": (8, 1.0, 6.0),
    "peers-kill": (18, 0.0, 0.0),
    "client-kill": (12, 0.0, 0.0),
    "cut": (14, 2.0, 10.0),
    "cut-one-way": (14, 2.0, 10.0),
    "host-pause": (8, 1.0, 8.0),
    "peers-pause": (8, 1.0, 8.0),
    "slow-link": (8, 3.0, 9.0),
    "lossy-link": (6, 3.0, 9.0),
    "clock": (6, 4.0, 10.0),
    "disk-full": (6, 2.0, 8.0),
    "voter-replaced": (5, 1.0, 6.0),
    "key-changed": (4, 0.0, 2.0),
}
REPLACING = ("voter-replaced", "key-changed")
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
    kind: str  # allocate, rebind, release, rekey, confirm, read, voters
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

    @cached_property
    def _times(self) -> list[int]:
        return [fault.at for fault in self.faults]

    def begun_before(self, operation: int) -> int:
        """How many faults must have begun before this operation may."""
        return bisect_right(self._times, operation - BEHIND)

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
    ready: int = 0  # from which operation on they can be


class _Planner:
    """Lays operations and acts out, one operation after the other."""

    def __init__(self, seed: int, hosts: int, workers: int, replicas: int) -> None:
        self.dice = random.Random(seed)
        self.hosts, self.workers, self.replicas = hosts, workers, replicas
        self.pause = 2 * replicas  # operations between the last of a phase and the act that ends it, and after that
        self.acts: list[Act] = []
        self.planned: list[Planned] = []
        self.members: list[_Member] = []
        self.due: list[tuple[int, int]] = []  # from which operation on, by which act the voters have to be changed
        self.back: dict[int, int] = {}  # hosts without a lease, and from which operation on they have one again
        for host in range(hosts):
            for letter in "ab":
                name = f"m{host + 1}{letter}"
                self.members.append(_Member(name, host, len(self.acts), waiting=list(range(replicas))))
                self.acts.append(Act(len(self.acts), "lease", name))

    def step(self) -> None:
        """One more operation, and whatever is to happen on chain by then."""
        number = len(self.planned)
        for member in self.members:
            if not member.waiting and number >= member.meant[-1] + self.pause:
                self._act(member)
        able = [member for member in self.members if member.waiting and member.ready <= number]
        draw = self.dice.random()
        client = self._client(number)
        if self.due and self.due[0][0] <= number:
            self.planned.append(Planned(number, client, "voters", after=self.due.pop(0)[1]))
            return
        for kind, share in (("voters", VOTERS), ("rekey", REKEYS), ("confirm", CONFIRMATIONS), ("read", READS)):
            draw -= share
            if draw < 0 or (kind == "read" and not able):
                self.planned.append(Planned(number, client, kind))
                return
        member = self.dice.choice(able)
        index = member.waiting.pop(self.dice.randrange(len(member.waiting)))
        if member.phase != "release":  # anybody may release
            client = Client(member.host, client.worker)
        self.planned.append(Planned(number, client, member.phase, member.name, index, member.act))
        member.meant.append(number)

    def _client(self, number: int) -> Client:
        """Any client of a host that has a lease: nobody listens to the others."""
        for host in [host for host, since in self.back.items() if since <= number]:
            del self.back[host]
        host = self.dice.choice([host for host in range(self.hosts) if host not in self.back])
        return Client(host, self.dice.randrange(self.workers))

    def _act(self, member: _Member) -> None:
        """Something happens on chain to a member that has nothing left to be done."""
        number, host = len(self.planned), member.host
        alone = all(one.phase == "release" for one in self.members if one.host == host and one is not member)
        if member.phase == "release":
            kind, member.phase = "lease", "allocate"
        elif self.dice.random() < REPLACED or (alone and (self.back or self.hosts < AWAY)):
            kind, member.phase = "replace", "rebind"
        else:
            kind, member.phase = "close", "release"
        member.act = len(self.acts)
        self.acts.append(Act(len(self.acts), kind, member.name, tuple(member.meant)))
        member.meant, member.waiting, member.ready = [], list(range(self.replicas)), number + self.pause
        if alone and kind != "replace":
            # The host's only lease has come or gone: voters follow.
            self.back[host] = number + self.pause if kind == "lease" else len(self.planned) + 1_000_000
            self.due.append((number + self.pause, member.act))


def plan(
    seed: int,
    operations: int,
    faults: int,
    *,
    hosts: int = 5,
    workers: int = 2,
    replicas: int = 20,
    brisk: float = 1.0,
) -> Schedule:
    """Lay a campaign out. Each host runs two members of ``replicas`` endpoints each.

    brisk: a factor on how long faults last.
    """
    planner = _Planner(seed, hosts, workers, replicas)
    while len(planner.planned) < operations:
        planner.step()
    return Schedule(
        seed,
        hosts,
        replicas,
        {member.name: member.host for member in planner.members},
        planner.planned,
        planner.acts,
        _faults(random.Random(f"faults {seed}"), operations, faults, hosts, brisk),
    )


def _faults(dice: random.Random, operations: int, count: int, hosts: int, brisk: float) -> list[Fault]:
    kinds = list(FAULTS)
    # Every kind at least once where there is room, the rest by weight.
    drawn = dice.sample(kinds, min(count, len(kinds)))
    drawn += dice.choices(kinds, [FAULTS[kind][0] for kind in kinds], k=count - len(drawn))
    dice.shuffle(drawn)
    faults: list[Fault] = []
    for number, kind in enumerate(drawn):
        # From the first twentieth to the last: something is under way before and behind.
        at = int(operations * (0.05 + 0.9 * (number + dice.random()) / count))
        # Not the host of the fault before, which would only be waited for.
        order = dice.sample(range(hosts), hosts)
        if faults and order[0] == faults[-1].hosts[0]:
            order.append(order.pop(0))
        faults.append(_fault(dice, number, at, kind, order, brisk))
    return faults


def _fault(dice: random.Random, number: int, at: int, kind: str, order: list[int], brisk: float) -> Fault:
    touched = dice.randint(1, len(order) - 1) if kind in _LINKS else 0
    _weight, least, most = FAULTS[kind]
    amount = {
        "clock": lambda: dice.choice((-600, -240, 180, 420, 840, 1500)),
        "lossy-link": lambda: dice.choice((10, 20, 40)),
        "slow-link": lambda: dice.choice((64, 128, 256, 512)),
        "disk-full": lambda: dice.choice((0, 20_000, 200_000)),
        "client-kill": lambda: dice.randrange(2),
    }.get(kind, lambda: 0)()
    seconds = round(dice.uniform(least, most) * brisk, 1)
    return Fault(number, at, kind, tuple(order[: 1 + touched]), seconds, amount)

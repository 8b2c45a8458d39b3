# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewalls of all networks of a host: rules into force, and the trials of frames.

Whoever applies holds the host's lock, and never while it waits for anybody's answer: what a tenant has revoked
meanwhile is in force at once, trial or not.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .._common.errors import AvpnError
from .._peer.paths import Paths
from .._policy.entrances import pairs_of
from .._policy.frame import Frame
from .._policy.ruleset import Ruleset
from . import frames as records
from . import refused, state, trial_counts, trying
from .echo import Pair, answers
from .frames import Trial
from .host import Host
from .model import HostPlan
from .names import namespace, namespace_path
from .trying import Place, Put

_BEFORE, _AFTER = 2.0, 10.0  # seconds that answers are waited for, before and after
_NOBODY = Frame({}, {})  # what a trial is filled with when it begins
_MOST = 16  # hosts that are asked in one network
NO_PEER = "none of the hosts that answered through the tunnel before answers any more"
ON_TRIAL = "a new frame of the firewall is on trial; it is rolled back unless it is confirmed"
NOT_SERVED = "this host's own peer channel doesn't answer any more"

Serves = Callable[[], bool]


@dataclass
class Enforced:
    """What became of it, by network id. ``waiting``: rulesets whose frame waits for its trial; ``refused``: why the
    frame that is wanted isn't in force; ``trials``: those under way."""

    put: dict[str, Put] = field(default_factory=dict)
    waiting: dict[str, Ruleset] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def enforce(plan: HostPlan, host: Host, *, check: bool = False, again: bool = False) -> Enforced:
    """Bring the rules of all networks into force, inside the frames that have proved themselves. The caller holds the
    host's lock."""
    registry, done = host.registry.read(), Enforced()
    for network, planned in sorted(plan.networks.items()):
        short = registry[network].short
        place = place_of(host.paths, network, short)
        try:
            put = trying.put(place, planned.firewall, time.time(), check=check, again=again)
            if not check:
                state.enforced(host.paths, network, planned.manifest)
                refused.keep(host.paths, network, short)
                trial_counts.keep(host.paths, network, short, planned.firewall, planned.manifest)
        except AvpnError as error:
            done.problems[network] = str(error)
            continue
        done.put[network] = put
        if put.wanted is not None:
            done.waiting[network] = planned.firewall
        if put.refused:
            done.refused[network] = put.refused
        trial = records.load(place.record).trial
        if trial is not None:
            done.trials[network] = trial
    return done


def rolled_back(why: str) -> str:
    """What people are told of a frame that didn't prove itself."""
    return (
        f"the new frame of the firewall was rolled back, because {why}. The rules are in force, inside the frame of "
        "before. It isn't tried again until it changes; mend what is wrong, then run akash.avpn.firewall with again"
    )


def place_of(paths: Paths, network: str, short: str) -> Place:
    return Place(namespace(short), paths.run / short / "firewall.json", paths.frames / f"{network}.json")


def begin(enforced: Enforced, host: Host, serves: Serves, *, caller: bool) -> None:
    """Put the frames that wait for their trial into force, in networks where none is under way."""
    if not enforced.waiting:
        return
    registry = host.registry.read()
    asked = {}
    for network, ruleset in enforced.waiting.items():
        asked[namespace_path(registry[network].short)] = pairs_of(ruleset.sets)[: 2 * _MOST]
    heard, served = answers(asked, _BEFORE), serves()
    for network, ruleset in enforced.waiting.items():
        short = registry[network].short
        answered = tuple(sorted(heard[namespace_path(short)]))
        trial = Trial(os.urandom(4).hex(), _NOBODY, _NOBODY, int(time.time()), answered, served, caller)
        command = [str(host.paths.command("revert")), network]
        try:
            with host.exclusive():
                begun = trying.begin(place_of(host.paths, network, short), ruleset, trial, host.supervisor, command)
        except AvpnError as error:
            enforced.problems[network] = f"the new frame of the firewall can't be tried: {error}"
            continue
        if begun is not None:
            enforced.trials[network] = begun


def judge(
    enforced: Enforced, host: Host, serves: Serves, *, leave: Callable[[Trial], bool] = lambda _trial: False
) -> None:
    """Confirm the frames under trial that have cut nobody off, and take the others back. ``leave``: whether a trial
    goes on all the same, because its caller has still to come back."""
    registry = host.registry.read()
    paths = {network: namespace_path(registry[network].short) for network in enforced.trials}
    asked: Mapping[str, tuple[Pair, ...]] = {
        paths[network]: trial.answered for network, trial in enforced.trials.items()
    }
    heard = answers(asked, _AFTER, one_is_enough=True) if asked else {}
    served = serves() if any(trial.served for trial in enforced.trials.values()) else False
    for network, trial in list(enforced.trials.items()):
        place = place_of(host.paths, network, registry[network].short)
        why = verdict(trial, heard[paths[network]], served)
        if not why and leave(trial):
            continue
        try:
            with host.exclusive():
                if not why and trying.confirm(place, trial, host.supervisor):
                    enforced.waiting.pop(network, None)
                else:
                    enforced.refused[network] = _taken_back(place, trial, why, host)
        except AvpnError as error:
            enforced.problems[network] = str(error)
        del enforced.trials[network]


def verdict(trial: Trial, heard: set[Pair], served: bool) -> str:
    """Why a frame must be taken back; empty if it may stay.

    One host that still answers is enough: a single silent peer must not be able to roll anything back. Where nobody
    answered before, nobody can be missing.
    """
    if trial.answered and not heard & set(trial.answered):
        return NO_PEER
    if trial.served and not served:
        return NOT_SERVED
    return ""


def _taken_back(place: Place, trial: Trial, why: str, host: Host) -> str:
    frames = records.load(place.record)
    if frames.trial is not None and frames.trial.id == trial.id:
        frames = trying.roll_back(place, frames, why or frames.trial.verdict, time.time())
        host.supervisor.disarm(trying.timer(place.namespace, trial))
    return frames.rolled_back.why if frames.rolled_back is not None else "its trial was ended"


def peer_channel(address: str, port: int) -> bool:
    """Whether the host's own sshd for peers answers there."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=2) as connection:
        return connection.recv(4) == b"SSH-"
    return False

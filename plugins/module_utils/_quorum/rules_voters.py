# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about voters: at most one comes and one goes in a version, each for a reason that anybody can check.

A reason holds at a named height, for good. A proposer could name a height of long ago, so a value that nobody has
accepted yet must have its reasons at the height of the view as well; one that is vouched for need not any more.
"""

from __future__ import annotations

from .._chain.model import Voter
from .constants import RELEASE_BLOCKS
from .errors import BadProof
from .evidence import Evidence, check_ready
from .membership import gone, matches
from .resigning import enough
from .rule_context import Context, refuse
from .value import MAX_VOTERS

_WHERE = "voters"


def check_static(context: Context) -> None:
    """What can be told from parent, child and evidence alone."""
    parent, child, evidence = context.parent, context.child, context.change.evidence
    if child.voters == parent.voters:
        refuse(evidence is not None, "voters-evidence", "there is evidence for no change of voters", _WHERE)
        return
    evidence = _evidence(context)
    voters, added, removed = child.voters, *_difference(context)
    refuse(not 1 <= len(voters) <= MAX_VOTERS, "voters-count", f"{len(voters)}, must be 1 to {MAX_VOTERS}", _WHERE)
    refuse(list(voters) != sorted(voters), "voters-order", "are not in ascending order", _WHERE)
    refuse(
        len(added) > 1 or len(removed) > 1 or not (added or removed),
        "voters-one",
        f"{len(added)} come and {len(removed)} go, at most one of each may",
        _WHERE,
    )
    for values, what in (
        ([voter.node.provider for voter in voters], "provider"),
        ([voter.incarnation for voter in voters], "incarnation"),
        ([voter.key for voter in voters], "key"),
    ):
        refuse(len(set(values)) != len(values), "voters-distinct", f"two have the same {what}", _WHERE)
    for voter in added:
        _check_permitted(context, voter)
    try:
        ready = check_ready(
            evidence.ready,
            voters,
            network=parent.network,
            generation=parent.generation,
            version=parent.version,
            hash_=context.parent_hash,
        )
    except BadProof as error:
        refuse(True, "voters-ready", str(error), _WHERE)
        return
    for voter in added:
        refuse(voter.node not in ready, "voter-consent", f"{voter.node} hasn't said that it is ready", _WHERE)


def check_on_chain(context: Context) -> None:
    """What takes the view."""
    if context.child.voters == context.parent.voters:
        return
    evidence = _evidence(context)
    added, removed = _difference(context)
    context.seen(evidence.height, "evidence.height")
    heights = {evidence.height} if context.vouched else {evidence.height, context.view.height}
    for voter in added:
        _check_added(context, voter, heights)
    for voter in removed:
        _check_removed(context, voter, evidence, heights)


def _check_permitted(context: Context, voter: Voter) -> None:
    record, node = context.parent.record, voter.node
    refuse(node.provider in record.evicted, "voter-evicted", f"the tenant has evicted {node.provider}", _WHERE)
    permitted = node in record.witnesses or record.permits(node.provider)
    refuse(not permitted, "voter-permitted", f"the tenant's record doesn't permit {node}", _WHERE)


def _check_added(context: Context, voter: Voter, heights: set[int]) -> None:
    node = voter.node
    for height in heights:
        if node not in context.parent.record.witnesses and not context.ran(node.provider, height):
            context.lost("voter-lease", f"no lease of a member ran at {node.provider} at height {height}", _WHERE)
    record = context.host_record(node)
    if record is None or not matches(voter, record):
        context.lost("voter-host", f"the chain names another incarnation or key for {node}", _WHERE)


def _check_removed(context: Context, voter: Voter, evidence: Evidence, heights: set[int]) -> None:
    """Evicted, replaced, resigned, caught, or gone: nobody else's wish counts."""
    parent, node = context.parent, voter.node
    if node.provider in parent.record.evicted:
        return
    resigned, caught = evidence.resignation, evidence.contradiction
    about = (parent.network, parent.generation, parent.version, context.parent_hash)
    if caught is not None and caught.by(voter, parent.network, parent.generation):
        return
    record = context.host_record(node)
    if record is not None and not matches(voter, record):
        return
    if context.vouched and record is None:
        return  # it may have been replaced when that could be seen
    if resigned is not None and resigned.is_of(*about) and resigned.by(voter):
        after = len(context.child.voters)
        if enough(len(parent.voters), after):
            return
        stays = any(not gone(parent.record, context.leases.values(), node, height) for height in heights)
        refuse(stays, "voters-few", f"{node} resigns, and only {after} would vote without it", _WHERE)
    for height in heights:
        refuse(
            not gone(parent.record, context.leases.values(), node, height),
            "voter-removal",
            f"{node} neither was gone for {RELEASE_BLOCKS} blocks at height {height}, nor is evicted, replaced,"
            " resigned or shown to contradict itself",
            _WHERE,
        )
    network = context.network
    if not context.vouched and network is not None:
        # By the record of now as well: one that isn't agreed yet may give its member a deployment that runs there.
        refuse(
            not gone(network.record, context.leases.values(), node, context.view.height),
            "voter-removal",
            f"{node} holds a lease by the tenant's record as it is on chain now",
            _WHERE,
        )


def _evidence(context: Context) -> Evidence:
    evidence = context.change.evidence
    if evidence is None:
        refuse(True, "voters-evidence", "the voters change without evidence", _WHERE)
        return Evidence(0)
    return evidence


def _difference(context: Context) -> tuple[list[Voter], list[Voter]]:
    """Who comes and who goes. A new incarnation or key is another voter."""
    before, after = set(context.parent.voters), set(context.child.voters)
    return sorted(after - before), sorted(before - after)

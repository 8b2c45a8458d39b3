# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on a provider host as avpn: does operations with the host's own software and keys, one after another.

What proposes comes from the collection, as with ansible-pull; what answers is what the role peer installed.
Orders come in as JSON lines, events go out as JSON lines (README.md of tests/faults). Every call goes through the
real peer channel, those to the host itself, too.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import queue
import sys
import threading
import time
from dataclasses import replace
from typing import Any

sys.path.insert(0, "/usr/share/ansible/collections")

from ansible_collections.akash.avpn.plugins.module_utils._chain.model import HostRecord, View
from ansible_collections.akash.avpn.plugins.module_utils._chain.view import load_view
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError, Unavailable
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId, LeaseId, NodeId
from ansible_collections.akash.avpn.plugins.module_utils._peer import config as host_config
from ansible_collections.akash.avpn.plugins.module_utils._peer import refresh
from ansible_collections.akash.avpn.plugins.module_utils._peer.client import PeerClient
from ansible_collections.akash.avpn.plugins.module_utils._peer.config import HostConfig
from ansible_collections.akash.avpn.plugins.module_utils._peer.paths import Paths
from ansible_collections.akash.avpn.plugins.module_utils._quorum.allocate import HostFacts, to_change, wish
from ansible_collections.akash.avpn.plugins.module_utils._quorum.cache import LedgerCache
from ansible_collections.akash.avpn.plugins.module_utils._quorum.change import Change
from ansible_collections.akash.avpn.plugins.module_utils._quorum.codec import slot_json
from ansible_collections.akash.avpn.plugins.module_utils._quorum.drafting import Draft, sign
from ansible_collections.akash.avpn.plugins.module_utils._quorum.errors import NoMajority, OutcomeUnknown
from ansible_collections.akash.avpn.plugins.module_utils._quorum.messages import Certified, majority
from ansible_collections.akash.avpn.plugins.module_utils._quorum.proposer import Proposer
from ansible_collections.akash.avpn.plugins.module_utils._quorum.sharing import Sharing
from ansible_collections.akash.avpn.plugins.module_utils._quorum.signing import FileSigner
from ansible_collections.akash.avpn.plugins.module_utils._quorum.value import Value

CALL_SECONDS = 10.0  # for one answer; the peer's own bound is longer, and a peer that is cut off never answers
CLOSE_SECONDS = 0.5  # for whoever is behind, after an operation
VIEW_PAUSE = 0.5  # seconds between two looks at a chain that isn't at the height yet

_out = threading.Lock()


def say(event: str, **fields: Any) -> None:
    """One event, written whole before anything goes on: what is written survives this process."""
    line = json.dumps({"event": event, **fields}, separators=(",", ":")).encode() + b"\n"
    with _out:
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(1, rest) :]


class Recorder:
    """The peer channel, with notes of what was asked, what voters signed, and what proved to be certified."""

    def __init__(self, client: PeerClient, order: dict[str, Any], known: set[int]) -> None:
        self.fetched: set[NodeId] = set()
        self.proposed: set[str] = set()  # hashes of our own making whose acceptance was asked for
        self.left = False  # a draft, for others to bring along
        self._client = client
        self._op = order["op"]
        self._known = known  # versions whose change was told
        self._fresh: dict[int, str] = {}  # by version: what was built for it and isn't asked for yet
        self._own: set[str] = set()
        self._changes: dict[str, Any] = {}
        self._lock = threading.Lock()

    def built(self, what: str, version: int) -> None:
        """The hash in the first ballot of this version is that of what was just built.

        Requests of the version before may still wait for a slow voter, and come later.
        """
        with self._lock:
            self._fresh[version] = what

    def call(self, node: NodeId, request: Any) -> Any:
        with self._lock:
            self._before(request)
        sent = time.monotonic()
        answer = self._client.call(node, request, seconds=CALL_SECONDS)
        received = time.monotonic()
        with self._lock:
            self._after(node, request["op"], answer, sent, received)
        return answer

    def _before(self, request: Any) -> None:
        kind = request["op"]
        if kind == "prepare" and request["version"] in self._fresh:
            what = self._fresh.pop(request["version"])
            self._own.add(request["ballot"]["hash"])
            say("build", op=self._op, version=request["version"], hash=request["ballot"]["hash"], what=what)
        elif kind == "accept":
            hash_ = request["ballot"]["hash"]
            self._changes[hash_] = request["change"]
            if hash_ in self._own:
                self.proposed.add(hash_)
        elif kind == "wait" and request["draft"] is not None:
            self.left = True
            say("draft", op=self._op, slots=request["draft"].get("slots", {}))
        elif kind == "learn":
            certificate = request["certificate"]
            self._certified(certificate, [self._changes.get(certificate["ballot"]["hash"])])

    def _after(self, node: NodeId, asked: str, answer: Any, sent: float, received: float) -> None:
        if not isinstance(answer, dict):
            return
        for kind in ("promise", "acceptance"):
            if isinstance(answer.get(kind), dict):
                document = {name: value for name, value in answer[kind].items() if name != "network"}
                say(
                    "statement",
                    op=self._op,
                    kind=kind,
                    by=str(node),
                    statement=document,
                    sent=sent,
                    received=received,
                )
        if "fetched" in answer and asked == "fetch":
            self.fetched.add(node)
        update = answer.get("newer") or answer.get("fetched")
        if isinstance(update, dict):
            self._certified(update["certificate"], update.get("changes") or [])

    def _certified(self, certificate: Any, changes: list[Any]) -> None:
        """A certificate, and the last changes that lead to its value."""
        version = certificate["version"]
        told = False
        for number, change in enumerate(changes, version - len(changes) + 1):
            if change is not None and number not in self._known:
                self._known.add(number)
                say("change", version=number, change=change)
                told = told or number == version
        if told:
            say("certificate", certificate=certificate)


class Worker:
    """This process: one client of the campaign."""

    def __init__(self) -> None:
        self.paths = Paths()
        self.config: HostConfig = host_config.load(self.paths.host_config)
        self.signer = FileSigner(self.paths.signing_key)
        self.known: set[int] = set()
        self.view = load_view(self.paths.view)
        self.client = self._connected()

    def _connected(self) -> PeerClient:
        return PeerClient(
            self.config.id, self.view.hosts, self.paths.ssh_client_key, check_address=lambda _record: None
        )

    def _load(self) -> None:
        """The cached view as it is now; where hosts are reached in another way, the connections are others, too."""
        before = _ways(self.view)
        self.view = load_view(self.paths.view)
        if _ways(self.view) != before:
            self.client.close()
            self.client = self._connected()

    def do(self, order: dict[str, Any]) -> None:
        """One operation, from its beginning to its answer. Whatever isn't known for sure is unknown."""
        say("begin", op=order["op"], at=time.monotonic())
        try:
            self.signer.refresh()
            view = self._view(order["network"], order["height"], order["deadline"])
        except (AvpnError, OSError) as error:
            say("answer", op=order["op"], at=time.monotonic(), outcome="failed", error=_text(error))
            return
        recorder = Recorder(self.client, order, self.known)
        record = view.networks[order["network"]].record
        proposer = Proposer(
            recorder,
            self.config.id,
            record,
            view.height,
            cache=LedgerCache(self.paths.ledgers),
            deadline=order["deadline"],
        )
        answer: dict[str, Any] = {"outcome": "unknown"}
        try:
            answer = self._one(order, view, proposer, recorder)
        except OutcomeUnknown as error:
            answer["error"] = _text(error)
        except NoMajority as error:
            answer = {"outcome": "failed", "error": _text(error)}
        except AvpnError as error:
            # Refused by rules: for sure only if nobody was asked to accept it, nor to bring it along.
            maybe = recorder.proposed or recorder.left
            answer = {"outcome": "unknown" if maybe else "failed", "error": _text(error)}
        except OSError as error:
            answer["error"] = _text(error)
        say("answer", op=order["op"], at=time.monotonic(), **answer)
        proposer.close(CLOSE_SECONDS)

    def _one(self, order: dict[str, Any], view: View, proposer: Proposer, recorder: Recorder) -> dict[str, Any]:
        kind = order["kind"]
        if kind == "confirm":
            return _answer("confirmed", proposer.confirm(), order)
        if kind == "voters":
            return self._voters(order, view, proposer, recorder)
        with contextlib.suppress(NoMajority):
            proposer.fetch(min(4.0, order["deadline"]))
        if kind == "read":
            known = proposer.known
            if known is None:
                raise Unavailable("nobody answered")
            asked = len(recorder.fetched) >= majority(known.value.voters)
            return _answer("fetched" if asked else "seen", known, order)

        def build(value: Value) -> Change | None:
            change, what = self._change(order, view, value)
            if change:
                recorder.built(what, value.version + 1)
            return change

        def build_own(value: Value) -> Change | None:
            """What it leaves with a voter for others to bring along, while somebody else is in the way."""
            return self._change(order, view, value, crowded=True)[0]

        outcome = proposer.propose(build, Sharing(build_own, view))
        certified = Certified(outcome.certificate, outcome.value)
        return _answer("decided" if outcome.changed else "seen", certified, order)

    def _voters(self, order: dict[str, Any], view: View, proposer: Proposer, recorder: Recorder) -> dict[str, Any]:
        """Bring the voters to what they should be, as reconciliation does; unknown unless they are."""
        from ansible_collections.akash.avpn.plugins.module_utils._quorum.membership import wanted
        from ansible_collections.akash.avpn.plugins.module_utils._quorum.voting import Membership

        class Recorded(Membership):
            def _build(self, value: Value) -> Change | None:
                # The record first, as reconciliation does: by another one nobody can tell who should vote.
                newer = wish(value, view, facts, {})
                if newer.record:
                    recorder.built("record", value.version + 1)
                    return to_change(newer, value, view, facts, signer)
                change = super()._build(value)
                if change:
                    recorder.built("voters", value.version + 1)
                return change

            def _complete(self, parent: Certified, change: Change) -> Change | None:
                return super()._complete(parent, change) if change.voters else change

        with contextlib.suppress(NoMajority):
            proposer.fetch(min(4.0, order["deadline"]))
        if proposer.known is None:
            raise NoMajority("nobody answered")
        facts, signer = self._facts(proposer.known.value), self.signer
        reshaping = Recorded(proposer, view, seconds=order["deadline"] / 2)
        outcome = reshaping.run()
        reshaping.dismiss(())
        if (step := wanted(outcome.value, view)) is not None:
            why = "; ".join(f"{node} {what}" for node, what in sorted(reshaping.waiting.items()))
            raise OutcomeUnknown(f"the voters are not what they should be: {step} ({why})")
        certified = Certified(outcome.certificate, outcome.value)
        return _answer("decided" if outcome.changed else "seen", certified, order)

    def _change(
        self, order: dict[str, Any], view: View, value: Value, *, crowded: bool = False
    ) -> tuple[Change | None, str]:
        """What this operation alone wants of the value: a newer record first, if there is one."""
        facts, kind = self._facts(value), order["kind"]
        mine: dict[EndpointId, LeaseId] = {}
        if kind in ("allocate", "rebind"):
            dseq, gseq, oseq = (int(part) for part in order["lease"].split("/"))
            lease = LeaseId(view.networks[value.network].record.owner, dseq, gseq, oseq, self.config.provider)
            mine = {EndpointId.parse(order["endpoint"], "endpoint"): lease}
        elif kind == "release" and self._has_another_key(value):
            mine = self._something(view, value)  # for its entry, which introduces the key
        elif kind == "rekey":
            mine = self._something(view, value)
            digest = hashlib.sha256(f"{order['seed']} {order['op']}".encode()).digest()
            facts = replace(facts, wireguard=base64.b64encode(digest).decode())
        wanted = wish(value, view, facts, mine, crowded=crowded)
        if wanted.record:
            return to_change(wanted, value, view, facts, self.signer), "record"
        own, slots = self.config.id, {}
        hosts = {node: entry for node, entry in wanted.draft.hosts.items() if node == own and entry is not None}
        if kind != "rekey":
            endpoint = EndpointId.parse(order["endpoint"], "endpoint")
            slots = {one: slot for one, slot in wanted.draft.slots.items() if one == endpoint}
            if not slots:
                hosts = {}
        draft = Draft(hosts=hosts, slots=slots)
        return (sign(draft, value, own, self.signer) if draft else None), "own"

    def _has_another_key(self, value: Value) -> bool:
        entry = value.hosts.get(self.config.id)
        return entry is not None and entry.key != self.signer.public_key

    def _facts(self, value: Value) -> HostFacts:
        """As the value has them, but for what only an operation changes."""
        config, entry = self.config, value.hosts.get(self.config.id)
        wireguard = base64.b64encode(hashlib.sha256(str(config.id).encode()).digest()).decode()
        if entry is not None:
            wireguard = entry.wireguard
        port, mtu = config.wireguard_first_port, config.wireguard_mtu
        return HostFacts(config.id, self.signer.public_key, wireguard, config.wireguard_address, port, mtu)

    def _something(self, view: View, value: Value) -> dict[EndpointId, LeaseId]:
        """Any endpoint that runs here, so that the host counts as part of the network."""
        entry = view.networks[value.network]
        for lease in entry.running_leases():
            member = value.record.member_of(lease.id.dseq)
            if lease.id.provider == self.config.provider and member is not None:
                return {EndpointId(member, lease.id.gseq, 0): lease.id}
        return {}

    def _view(self, network: str, height: int, seconds: float) -> View:
        """The cached view, read again until it reaches a height."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(AvpnError, OSError):
                self._load()
            if self.view.height >= height and network in self.view.networks:
                return self.view
            if time.monotonic() > deadline:
                raise Unavailable(f"the view of the chain, at {self.view.height}, doesn't show the network at {height}")
            if not refresh.refresh_view(self.paths, self.config, pause=VIEW_PAUSE):
                time.sleep(VIEW_PAUSE / 2)

    def ask(self, order: dict[str, Any]) -> None:
        """In the end: what each of the given hosts hands out as its newest, whole."""
        self._load()
        for name in order["hosts"]:
            try:
                request = {"op": "fetch", "network": order["network"], "have": None}
                answer = self.client.call(NodeId.parse(name, "host"), request, seconds=CALL_SECONDS)
                say("held", host=name, **answer["fetched"])
            except (AvpnError, KeyError, TypeError) as error:
                say("held", host=name, error=_text(error))


def _ways(view: View) -> dict[NodeId, HostRecord]:
    """How hosts are reached: not what they sign with, which changes in a campaign."""
    return {node: replace(host, signing_key="", incarnation="") for node, host in view.hosts.items()}


def _answer(strength: str, certified: Certified, order: dict[str, Any]) -> dict[str, Any]:
    value = certified.value
    slot = value.slots.get(EndpointId.parse(order["endpoint"], "endpoint")) if order.get("endpoint") else None
    return {
        "outcome": "ok",
        "strength": strength,
        "version": value.version,
        "hash": certified.certificate.hash,
        "found": None if slot is None else slot_json(slot),
    }


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:400]


def main() -> None:
    os.umask(0o022)
    worker = Worker()
    orders: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        os._exit(0)  # the campaign has gone

    threading.Thread(target=listen, daemon=True).start()
    say("ready", pid=os.getpid())
    while (order := orders.get()) is not None:
        if order["kind"] == "ask":
            worker.ask(order)
        elif order["kind"] == "end":
            time.sleep(CLOSE_SECONDS)  # what voters still say is written down, too
            return
        else:
            worker.do(order)


if __name__ == "__main__":
    main()

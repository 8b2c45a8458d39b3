# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a peer's request does on this host. The permission check comes first, and its refusal says nothing.

Runs as avpn: it reads and writes avpn's files, and asks root's fast path for the rest by dropping hints.
"""

from __future__ import annotations

import contextlib
import syslog
import time
import traceback
from typing import TYPE_CHECKING, Any

from .._chain.model import View
from .._chain.view import load_view
from .._common import canonical, fields
from .._common.checked import instance
from .._common.errors import AvpnError, InvalidInput, NotPermitted, Unavailable
from . import hints, messages, requests
from .config import HostConfig
from .gossip import announce
from .identities import Identities, Node, Role, Tenant, refuse
from .limits import Limits
from .messages import OPERATIONS, Request
from .paths import Paths
from .refresh import LEAST_PAUSE
from .votes import votes

if TYPE_CHECKING:
    from .voter import Voter

_APPLIED_LIMIT = 4 << 20
# Readings of the chain that one caller's refused manifests may cause: a few at once, then one in a while.
_LOOKS_AGAIN = 3
_LOOK_AGAIN_EVERY = 30.0  # seconds
_LOOK_AGAIN_PAUSE = 0.5  # seconds since anybody's last attempt


class Host:
    """This host as one caller (an SSH key, by its fingerprint) may use it."""

    def __init__(self, paths: Paths, config: HostConfig, caller: str, limits: Limits) -> None:
        self._paths = paths
        self._config = config
        self._caller = caller
        self._limits = limits
        self._stamp: int | None = None
        self._known: Identities | None = None
        self._voter: Voter | None = None
        self._news: dict[str, hints.Hint] = {}

    def tell(self) -> None:
        """Tell this host's fast path and the ring what requests have brought since, of each network the newest.

        Not part of answering: it starts processes, and whoever asked has further requests that wait for it.
        """
        news, self._news = self._news, {}
        for hint in news.values():
            try:
                announce(self._paths, self._config, hint)
            except OSError as error:
                syslog.syslog(syslog.LOG_WARNING, f"{hint.file_name} not told: {error}")

    def _note(self, hint: hints.Hint) -> None:
        self._news[hint.file_name] = hint

    def handle(self, line: bytes) -> bytes:
        """The answer's line to a request's line; every failure is an answer."""
        started = time.monotonic()
        what = "?"
        try:
            request = messages.parse_request(line)
            what = request.op
            self._authorize(request)
            result = messages.answer(self._perform(request))
            outcome = "ok"
        except AvpnError as error:
            result = messages.error_answer(error)
            outcome = type(error).__name__
        except Exception:  # noqa: BLE001 - the peer gets an object whatever happens, the team gets the traceback
            for text in traceback.format_exc().splitlines():
                syslog.syslog(syslog.LOG_ERR, text)
            result = messages.error_answer(AvpnError("the request failed on this host"))
            outcome = "failed"
        milliseconds = int((time.monotonic() - started) * 1000)
        syslog.syslog(syslog.LOG_INFO, f"{self._caller} {what}: {outcome}, {milliseconds} ms")
        return result

    def roles(self) -> list[Role]:
        """Every role that the caller may act in, in a fixed order."""
        return sorted(self._identities().roles_of_fingerprint(self._caller), key=str)

    def _identities(self) -> Identities:
        """From the cached view, read again when its file has changed: a session outlives no permission."""
        try:
            stamp = self._paths.view.stat().st_mtime_ns
        except OSError as error:
            raise Unavailable("this host has no view of the chain yet") from error
        if self._known is None or stamp != self._stamp:
            self._known = Identities(load_view(self._paths.view), self._config.id, votes(self._paths))
            self._stamp = stamp
        return self._known

    def _refreshed(self, pause: float = LEAST_PAUSE) -> bool:
        """Read the chain again, unless that was tried within ``pause`` seconds; tells whether the view changed."""
        from .refresh import refresh_view

        before = self._stamp
        try:
            refresh_view(self._paths, self._config, pause=pause)
        except AvpnError as error:
            syslog.syslog(syslog.LOG_WARNING, f"view not refreshed: {error}")
        self._identities()
        return self._stamp != before

    def _authorize(self, request: Request) -> None:
        kind = "tenant" if isinstance(request.role, Tenant) else "provider"
        if kind not in OPERATIONS[request.op].who:
            raise refuse()
        try:
            self._identities().require(self._caller, request.role, request.network or None)
        except NotPermitted:
            # It may have become permitted since: a lease is seconds old when its provider first calls.
            if not self._refreshed():
                raise
            self._identities().require(self._caller, request.role, request.network or None)

    def _perform(self, request: Request) -> Any:
        perform = {
            "hello": self._hello,
            "versions": self._versions,
            "ring": self._ring,
            "prepare": self._quorum,
            "accept": self._quorum,
            "learn": self._quorum,
            "fetch": self._quorum,
            "wait": self._quorum,
            "ready": self._quorum,
            "leave": self._quorum,
            "recall": self._quorum,
            "survey": self._quorum,
            "manifest-put": self._manifest_put,
            "manifest-get": self._manifest_get,
            "hint": self._hint,
            "reconcile": self._reconcile,
            "status": self._status,
        }[request.op]
        return perform(request)

    def _hello(self, _request: Request) -> Any:
        view = self._identities().view
        return {"node": str(self._config.id), "height": view.height, "time": view.time}

    def _versions(self, request: Request) -> Any:
        from .versions import versions

        node = instance(request.role, Node, "the caller of versions").id
        return versions(self._paths, self._identities().common_networks(node))

    def _ring(self, request: Request) -> Any:
        from .ring import current_key

        # A host that only votes needs no ring, and whoever can register on chain must not get its key.
        if not isinstance(request.role, Node) or not self._identities().share_a_lease(request.role.id):
            raise refuse()
        return {"key": current_key(self._paths)}

    def _quorum(self, request: Request) -> Any:
        from .voter import Voter

        caller = request.role.id if isinstance(request.role, Node) else request.role.account
        if self._voter is None:
            self._voter = Voter(self._paths, self._config, self._view, self._refreshed, self._note)
        document = {"op": request.op, "network": request.network, "as": str(request.role), **request.body}
        return self._voter.answer(document, caller)

    def _view(self) -> View:
        return self._identities().view

    def _manifest_put(self, request: Request) -> Any:
        from .._manifest import envelope
        from .._manifest.store import Adopted, Contradicted, ManifestStore, Outcome

        if not self._identities().takes_part(request.network):
            # It only votes, and would keep the manifest from nobody and for nobody.
            what = "this host holds no lease of the network"
            raise Unavailable(what, remedy="Hand the manifest to a provider that takes part")
        wait = self._limits.take("manifest-put", every=1, burst=20)
        if wait > 0:
            raise Unavailable(f"too many manifests; the next in {wait:.0f} s")
        signed = envelope.from_document(request.body["manifest"])

        def adopt() -> Outcome:
            record = self._identities().networks[request.network].record
            return ManifestStore(self._paths.manifests).adopt(signed, record)

        try:
            outcome = adopt()
        except InvalidInput:
            # Whoever has just written a record hands in the manifest for it a moment later, before it's seen here.
            looks = self._limits.take("manifest-ahead", every=_LOOK_AGAIN_EVERY, burst=_LOOKS_AGAIN)
            if looks > 0 or not self._refreshed(pause=_LOOK_AGAIN_PAUSE):
                raise
            self._identities().require(self._caller, request.role, request.network)
            outcome = adopt()
        if isinstance(outcome, Contradicted):
            raise InvalidInput(str(outcome), where="manifest.version")
        stored = isinstance(outcome, Adopted)
        if stored:
            announce(self._paths, self._config, hints.Hint("manifest", request.network, outcome.version))
        return {"version": outcome.version, "sha256": outcome.sha256, "stored": stored}

    def _manifest_get(self, request: Request) -> Any:
        from .._manifest import envelope
        from .._manifest.store import ManifestStore

        signed = ManifestStore(self._paths.manifests).offered(request.network)
        return None if signed is None else {"manifest": envelope.to_document(signed)}

    def _hint(self, request: Request) -> Any:
        kind = fields.text(request.body["kind"], "kind", most=16)
        if kind not in hints.KINDS:
            raise InvalidInput("must be ledger, manifest or reconcile", where="kind")
        version = fields.integer(request.body["version"], "version")
        if self._limits.take("hint", every=0.2, burst=50) == 0:
            hints.put(self._paths.hints, hints.Hint(kind, request.network, version))
        return {}

    def _reconcile(self, request: Request) -> Any:
        # For the account, not the key: a tenant has as many keys and networks as it likes, and a run of the whole is
        # dear. In a file of its own, for closing it must not give up the session's place.
        with contextlib.closing(Limits(self._paths.limits, f"reconciliations of {request.role}")) as limits:
            wait = limits.take("reconcile", every=self._config.intervals.request, burst=3)
        if wait > 0:
            raise Unavailable(
                f"reconciliation was asked for too often; again in {wait:.0f} s", remedy="It runs by itself as well"
            )
        return {"request": requests.put(self._paths.requests, request.network, str(request.role))}

    def _status(self, request: Request) -> Any:
        from .versions import versions

        found = versions(self._paths, [request.network]).get(request.network)
        path = self._paths.applied / f"{request.network}.json"
        try:
            applied = canonical.loads(path.read_bytes(), where=str(path), limit=_APPLIED_LIMIT)
        except FileNotFoundError:
            applied = None
        except OSError as error:
            raise Unavailable("the host's applied state can't be read") from error
        return {
            "node": str(self._config.id),
            "height": self._identities().view.height,
            "ledger": found["ledger"] if found else None,
            "manifest": found["manifest"] if found else None,
            "applied": applied,
        }

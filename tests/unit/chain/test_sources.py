# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom to believe: nodes that lie, lag, stumble or answer for another chain; pages that end too early; https."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._chain.http_json import JsonClient, Limits, NotFound
from ansible_collections.akash.avpn.plugins.module_utils._chain.lcd import Lcd, parse_lease
from ansible_collections.akash.avpn.plugins.module_utils._chain.model import LeaseState
from ansible_collections.akash.avpn.plugins.module_utils._chain.paging import TooMany, read_pages
from ansible_collections.akash.avpn.plugins.module_utils._chain.sources import ChainOptions, Snapshot, Sources
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput, Unavailable
from ansible_collections.akash.avpn.tests.unit.chain import samples
from ansible_collections.akash.avpn.tests.unit.chain.conftest import World

LEASE = {
    "lease": {
        "id": {"owner": samples.OWNER, "dseq": "7", "gseq": 1, "oseq": 1, "provider": samples.PROVIDERS[0], "bseq": 1},
        "state": "active",
        "created_at": "5",
        "closed_on": "0",
    }
}


def test_two_foreign_endpoints_must_agree(world: World) -> None:
    web = world.lease(0)
    world.write("prod", members={"web": web})
    with world.sources(own=False, endpoints=2) as sources:
        snapshot = sources.snapshot()
        assert snapshot.height == world.chain.height
        assert snapshot.running_leases(world.providers[0])[0].id.dseq == web
        liar = world.chain.endpoints[1]
        liar.faults.add("lie", route="/leases/", path="leases.*.lease.created_at", value="1")
        with pytest.raises(Unavailable, match="differ about leases of") as refusal:
            snapshot.running_leases(world.providers[0])
        assert all(endpoint.url in str(refusal.value) for endpoint in world.chain.endpoints)
    with world.sources(own=False, endpoints=3) as sources:
        assert sources.snapshot().running_leases(world.providers[0])[0].created_at > 1, "two of three"


def test_one_foreign_endpoints_not_found_is_no_absence(world: World) -> None:
    world.write("prod", members={})
    with world.sources(own=False, endpoints=2) as sources:
        world.chain.endpoints[1].faults.add("not-found", route="/audit/")
        with pytest.raises(Unavailable, match="differ about attributes"):
            sources.snapshot().signed_attributes(world.tenant.address)


def test_the_lower_height_is_read(world: World) -> None:
    world.chain.block(10)
    with world.sources(own=False, endpoints=2) as sources:
        world.chain.endpoints[1].faults.add("stale", blocks=4)
        assert sources.snapshot().height == world.chain.height - 4
        with pytest.raises(Unavailable, match="behind what was read before"):
            sources.snapshot(not_below=world.chain.height)
    with world.sources(own=False, endpoints=3) as sources:
        assert sources.snapshot(not_below=world.chain.height).height == world.chain.height


def test_a_foreign_endpoint_cannot_make_an_old_block_look_new(world: World) -> None:
    """The block's time is part of what two must say alike, so a stale view can't be passed off as fresh."""
    world.chain.block(10)
    liar = world.chain.add_endpoint()
    liar.faults.add("stale", blocks=8)
    liar.faults.add("lie", route="/blocks/", path="block.header.time", value="2099-01-01T00:00:00.0Z")
    with world.sources(own=False, endpoints=2) as sources, pytest.raises(Unavailable, match="differ about block"):
        sources.snapshot()


def test_one_silent_foreign_endpoint_is_too_few(world: World) -> None:
    with world.sources(own=False, endpoints=2) as sources:
        world.chain.endpoints[0].faults.add("unavailable")
        with pytest.raises(Unavailable, match=r"too few endpoints.*503"):
            sources.snapshot()
    with world.sources(own=False, endpoints=3) as sources:
        assert sources.snapshot().provider(world.providers[0]) is not None


def test_a_slow_third_endpoint_is_not_waited_for(world: World) -> None:
    with world.sources(own=False, endpoints=3) as sources:
        world.chain.endpoints[2].faults.add("slow", seconds=4)
        began = time.monotonic()
        assert sources.snapshot().provider(world.providers[0]) is not None
        assert time.monotonic() - began < 3


def test_own_endpoints_stand_in_for_each_other(world: World) -> None:
    with world.sources(endpoints=2) as sources:
        snapshot = sources.snapshot()
        world.chain.endpoints[0].faults.add("disconnect")
        assert snapshot.provider(world.providers[0]) is not None
        assert sources.snapshot().height == world.chain.height
        world.chain.endpoints[1].faults.add("garbage")
        with pytest.raises(Unavailable, match="without JSON"):
            sources.snapshot()


def test_another_chain_is_refused(world: World) -> None:
    world.chain.faults.add("lie", route="/blocks/", path="block.header.chain_id", value="other-1")
    with world.sources() as sources, pytest.raises(Unavailable, match="is of chain other-1"):
        sources.snapshot()


@pytest.mark.parametrize(
    ("endpoints", "own", "what"),
    [
        ([], True, "no endpoint"),
        (["https://a"], False, "one endpoint"),
        (["https://a", "https://a/"], False, "twice"),
        ([f"https://a{number}" for number in range(9)], False, "more than 8"),
        (["http://a", "https://b"], False, "must be https"),
        (["https://u:p@a"], True, "credentials"),
        (["https://a?x=1"], True, "query"),
        (["https://"], True, "must be an http"),
        (["https://a:99999"], True, "not a URL"),
        (["https://a b"], True, "must be an http"),
        (["file:///etc/passwd"], True, "must be an http"),
    ],
)
def test_configuration_is_checked(endpoints: list[str], own: bool, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        Sources(ChainOptions("x", tuple(endpoints), own=own))


@pytest.mark.parametrize("mode", ["always", "boundary", None])
def test_pages_that_end_too_early(world: World, mode: str | None) -> None:
    """A full page with a null next key is not the end (older nodes)."""
    from devchain.operations import Operations

    owner, provider = samples.OWNER, world.providers[0]

    def act(dseq: int) -> Any:
        def both(operations: Operations) -> None:
            operations.deployment_create(owner, dseq=dseq)
            operations.lease_create(owner, dseq, provider)

        return both

    world.chain.admin.batch([act(dseq) for dseq in range(1, 301)])
    world.chain.admin.batch([lambda ops, dseq=dseq: ops.lease_reclaim(owner, dseq) for dseq in range(1, 101)])
    if mode:
        world.chain.faults.add("full-page", mode=mode)
    with world.sources() as sources:
        leases = sources.snapshot().running_leases(provider)
    assert [lease.id.dseq for lease in leases] == list(range(1, 301))
    assert sum(lease.state is LeaseState.RECLAIMING for lease in leases) == 100


@pytest.mark.parametrize("mode", ["always", "boundary", None])
def test_a_deployment_with_many_leases(world: World, mode: str | None) -> None:
    from devchain.operations import Operations

    owner, provider = samples.OWNER, world.providers[0]
    world.chain.admin.deployment_create(owner, dseq=9)

    def turn(operations: Operations) -> None:
        operations.lease_create(owner, 9, provider)
        operations.lease_close(owner, 9)

    world.chain.admin.batch([turn] * 250)
    world.chain.admin.lease_create(owner, 9, provider)
    if mode:
        world.chain.faults.add("full-page", mode=mode)
    with world.sources() as sources:
        leases = sources.snapshot().deployment_leases(owner, 9)
    assert leases is not None
    assert [lease.id.oseq for lease in leases] == list(range(1, 252))
    assert sum(lease.running for lease in leases) == 1


def test_endless_list() -> None:
    count = iter(range(10_000))

    def page(_parameters: Any) -> dict[str, Any]:
        return {"rows": [1], "pagination": {"next_key": str(next(count))}}

    with pytest.raises(TooMany):
        read_pages(page, {}, "rows", lambda row, _where: row, lambda row: row)
    with pytest.raises(Unavailable, match="repeats itself"):
        read_pages(
            lambda _parameters: {"rows": [1], "pagination": {"next_key": "x"}},
            {},
            "rows",
            lambda row, _where: row,
            lambda row: row,
        )
    for broken in ({"rows": {}}, {"rows": [1], "pagination": {"next_key": 5}}, {"rows": [1] * 100_000}):
        with pytest.raises(InvalidInput):
            read_pages(lambda _p, broken=broken: broken, {}, "rows", lambda row, _w: row, lambda row: row)


def test_a_deployment_with_too_many_leases_is_the_tenants_problem(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.akash.avpn.plugins.module_utils._chain import lcd, reading

    web, api = world.lease(0), world.lease(0)
    world.write("prod", members={"web": web})
    world.write("test", members={"api": api})
    with world.sources() as sources:
        before = reading.read_view(sources, provider=world.providers[0])
        monkeypatch.setattr(lcd, "MAX_DEPLOYMENT_LEASES", 0)
        after = reading.read_view(sources, provider=world.providers[0], previous=before)
        assert after.networks == before.networks
        assert len(after.problems) == 2


def change(path: str, value: Any) -> dict[str, Any]:
    import copy

    lease: Any = copy.deepcopy(LEASE)
    spot = lease["lease"]
    *way, last = path.split(".")
    for part in way:
        spot = spot[part]
    spot[last] = value
    return lease  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("id", None),
        ("id.owner", "x"),
        ("id.owner", 5),
        ("id.dseq", 7),
        ("id.dseq", "-1"),
        ("id.gseq", "1"),
        ("id.gseq", True),
        ("id.provider", samples.PROVIDERS[0].upper()),
        ("state", "ACTIVE"),
        ("state", ["active"]),
        ("created_at", 5),
        ("created_at", "٣"),
        ("closed_on", None),
    ],
)
def test_known_fields_are_strict(path: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=rf"leases\.0\.lease\.{path}"):
        parse_lease(change(path, value), "leases.0")


def test_older_spelling_and_further_fields() -> None:
    lease: Any = change("surprise", {"x": 1.5})
    assert parse_lease(lease, "x").id.dseq == 7
    lease["lease"]["lease_id"] = lease["lease"].pop("id")
    assert parse_lease(lease, "x").id.dseq == 7
    old = parse_lease(change("state", "closed"), "x")
    assert old.closed_at == 5 and not old.ran_at(5), "closed without a height never counts as open"


def test_rows_nobody_asked_for(world: World) -> None:
    world.lease(0)
    world.chain.faults.add("lie", route="/leases/", path="leases.*.lease.id.provider", value=world.providers[1])
    with world.sources() as sources, pytest.raises(Unavailable, match=r"doesn't match filters\.provider"):
        sources.snapshot().running_leases(world.providers[0])


def _deployment(snapshot: Snapshot, world: World, dseq: int) -> object:
    return snapshot.deployment(world.tenant.address, dseq)


def _signed(snapshot: Snapshot, world: World) -> object:
    return snapshot.signed_attributes(world.tenant.address)


@pytest.mark.parametrize(
    ("route", "path", "ask"),
    [
        ("/providers/", "provider.owner", lambda snapshot, world, _dseq: snapshot.provider(world.providers[0])),
        ("/deployments/info", "deployment.id.owner", _deployment),
        ("/deployments/info", "deployment.id.dseq", _deployment),
        ("/audit/", "providers.*.owner", lambda snapshot, world, _dseq: _signed(snapshot, world)),
        ("/audit/", "providers.*.auditor", lambda snapshot, world, _dseq: _signed(snapshot, world)),
    ],
)
def test_an_answer_about_somebody_else(world: World, route: str, path: str, ask: Any) -> None:
    """Another provider's host records would bring keys that speak in this one's name."""
    dseq = world.lease(0)
    world.write("prod", members={"web": dseq})
    value = "1" if path.endswith("dseq") else world.providers[1]
    world.chain.faults.add("lie", route=route, path=path, value=value)
    with world.sources() as sources, pytest.raises(Unavailable, match="that was asked for"):
        ask(sources.snapshot(), world, dseq)


class Server:
    """A server that answers what a test says, byte for byte."""

    def __init__(self, answer: Any, tls: ssl.SSLContext | None = None) -> None:
        outer = self
        self.paths: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.paths.append(self.path)
                answer(self)

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def reply(status: int, body: bytes, headers: dict[str, str] | None = None) -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


FAST = Limits(timeout=1, total=2, attempts=1)


def test_a_path_in_the_url_is_kept() -> None:
    with Server(reply(200, b"{}")) as server:
        client = JsonClient(f"{server.url}/rest/", plain_http=True)
        assert client.get("/a", {"b": "c d"}) == {}
        assert client.get("/a") == {}
        assert server.paths == ["/rest/a?b=c+d", "/rest/a"]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (reply(200, b"[]"), "without a JSON object"),
        (reply(200, b"x" * 10), "without JSON"),
        (reply(200, b"[" * 100_000), "without JSON"),
        (reply(200, b"{}" + b" " * (17 * 1024 * 1024)), "more than"),
        (reply(302, b"", {"Location": "http://127.0.0.1:1/"}), "HTTP 302"),
        (reply(400, b'{"code":3,"message":"bad\\nline"}'), r"HTTP 400: bad\\nline"),
        (reply(500, b"<html>"), "HTTP 500"),
        (reply(200, b"{}", {"Grpc-Metadata-X-Cosmos-Block-Height": "4"}), "for height 4 instead of 5"),
    ],
)
def test_answers_that_are_of_no_use(answer: Any, what: str) -> None:
    with Server(answer) as server, pytest.raises(Unavailable, match=what):
        JsonClient(server.url, plain_http=True, limits=FAST).get("/x", height=5)


def test_not_found_is_told_apart() -> None:
    for status in (404, 400, 500):
        with Server(reply(status, b'{"code":5,"message":"none"}')) as server, pytest.raises(NotFound):
            JsonClient(server.url, plain_http=True, limits=FAST).get("/x")
    with Server(reply(404, b'{"code":12,"message":"Not Implemented"}')) as server, pytest.raises(Unavailable):
        JsonClient(server.url, plain_http=True, limits=FAST).get("/x")


def test_a_drip_is_cut_off() -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        try:
            for _second in range(100):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.1)
        except OSError:
            pass

    began = time.monotonic()
    with Server(drip) as server, pytest.raises(Unavailable, match="slowly"):
        JsonClient(server.url, plain_http=True, limits=Limits(timeout=1, total=1, attempts=1)).get("/x")
    assert time.monotonic() - began < 4


def test_passing_failures_are_retried() -> None:
    answers = [reply(503, b'{"code":14,"message":""}'), reply(429, b""), reply(200, b'{"a":1}')]

    def next_answer(handler: Any) -> None:
        answers.pop(0)(handler)

    with Server(next_answer) as server:
        client = JsonClient(server.url, plain_http=True, limits=Limits(timeout=1, total=5, attempts=3))
        assert client.get("/x") == {"a": 1}


def test_https_with_the_teams_own_authority(tmp_path: Path) -> None:
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with Server(reply(200, b'{"a":1}'), tls) as server:
        assert JsonClient(server.url, ca_file=str(certificate), limits=FAST).get("/x") == {"a": 1}
        with pytest.raises(Unavailable, match=r"(?i)certificate"):
            JsonClient(server.url, limits=FAST).get("/x")
        # A foreign endpoint over https, by the reader itself
        with pytest.raises(InvalidInput, match="must be an object"):
            Lcd(server.url, ca_file=str(certificate), limits=FAST).block()


def make_certificate(certificate: Path, key: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )

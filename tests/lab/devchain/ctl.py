# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Command line for the operator of the lab: ``python -m devchain.ctl lease create --owner …``.

Talks to the admin interface (``--admin`` or ``$DEVCHAIN_ADMIN``) and prints the result
as JSON. Exit code 1 with the reason on standard error if the act was refused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from typing import Any

DEFAULT = "http://127.0.0.1:1318"
_TIMEOUT = 600

_Parsers = Any


class Refused(Exception):
    """The chain said no, or could not be reached."""


def call(admin: str, method: str, parameters: dict[str, Any]) -> Any:
    """One call of the admin interface; raises ``Refused``."""
    request = urllib.request.Request(
        f"{admin.rstrip('/')}/{method}",
        data=json.dumps(parameters).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return json.load(answer)["result"]
    except urllib.error.HTTPError as error:
        with error:
            try:
                reason = json.load(error)["error"]
            except (ValueError, KeyError):
                reason = f"HTTP {error.code}"
        raise Refused(str(reason)) from error
    except OSError as error:
        raise Refused(f"{admin}: {error}") from error


def json_value(text: str) -> Any:
    """A JSON argument."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


def json_or_text(text: str) -> Any:
    """A JSON argument, or the text itself if it isn't JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def attribute(text: str) -> tuple[str, str]:
    """``key=value``."""
    key, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not key=value")
    return key, value


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m devchain.ctl", description=__doc__.splitlines()[0])
    parser.add_argument("--admin", default=os.environ.get("DEVCHAIN_ADMIN", DEFAULT), help="URL of the admin interface")
    nouns = parser.add_subparsers(metavar="COMMAND", required=True)
    _status(nouns)
    _accounts(nouns)
    _deployments(nouns)
    _leases(nouns)
    _faults(nouns)
    return parser


def _verb(parsers: _Parsers, name: str, method: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = parsers.add_parser(name, help=text, description=text)
    parser.set_defaults(method=method)
    return parser


def _noun(nouns: _Parsers, name: str, text: str) -> _Parsers:
    return nouns.add_parser(name, help=text, description=text).add_subparsers(metavar="VERB", required=True)


def _status(nouns: _Parsers) -> None:
    _verb(nouns, "status", "status", "where the chain is")
    advance = _verb(nouns, "advance", "advance", "make blocks at once")
    advance.add_argument("blocks", type=int, nargs="?", default=1)
    advance.add_argument("--seconds-each", type=float, default=0, help="how far the chain's time moves with each")
    batch = _verb(nouns, "batch", "batch", "several acts in one block, all or nothing")
    batch.add_argument("acts", type=json_value, help='[{"method": "fund", "params": {…}}, …]')
    endpoint = _noun(nouns, "endpoint", "addresses at which the chain answers")
    _verb(endpoint, "list", "endpoints", "list them")
    add = _verb(endpoint, "add", "endpoint_add", "one more")
    add.add_argument("--host", default="127.0.0.1")
    add.add_argument("--port", type=int, default=0)


def _accounts(nouns: _Parsers) -> None:
    fund = _verb(nouns, "fund", "fund", "give an account coins")
    fund.add_argument("address")
    fund.add_argument("amount", type=int, nargs="?", default=100_000_000)
    provider = _verb(_noun(nouns, "provider", "providers"), "set", "provider_set", "register or replace a provider")
    provider.add_argument("--owner", required=True)
    provider.add_argument("--host-uri", default="https://provider.example:8443")
    provider.add_argument("--attribute", type=attribute, action="append", default=[], metavar="KEY=VALUE")
    provider.add_argument("--email", default="")
    provider.add_argument("--website", default="")


def _deployments(nouns: _Parsers) -> None:
    verbs = _noun(nouns, "deployment", "deployments")
    create = _verb(verbs, "create", "deployment_create", "make a deployment without a transaction")
    create.add_argument("--owner", required=True)
    create.add_argument("--groups", type=json_value, default=[{"name": "g1", "count": 1}])
    create.add_argument("--dseq", type=int)
    close = _verb(verbs, "close", "deployment_close", "close a deployment and its leases")
    replace = _verb(verbs, "replace", "deployment_replace", "close it, make it again with leases at the same providers")
    for parser in (close, replace):
        parser.add_argument("--owner", required=True)
        parser.add_argument("--dseq", type=int, required=True)
    replace.add_argument("--new-dseq", type=int)
    start = _verb(_noun(nouns, "group", "groups of deployments"), "start", "group_start", "open a group again")
    start.add_argument("--owner", required=True)
    start.add_argument("--dseq", type=int, required=True)
    start.add_argument("--gseq", type=int, default=1)


def _leases(nouns: _Parsers) -> None:
    verbs = _noun(nouns, "lease", "leases")
    create = _verb(verbs, "create", "lease_create", "order, bid and lease in one act")
    close = _verb(verbs, "close", "lease_close", "close a lease")
    reclaim = _verb(verbs, "reclaim", "lease_reclaim", "the provider starts reclaiming; the lease runs on")
    funds = _verb(verbs, "insufficient-funds", "lease_insufficient_funds", "the escrow account ran dry")
    for parser in (create, close, reclaim, funds):
        parser.add_argument("--owner", required=True)
        parser.add_argument("--dseq", type=int, required=True)
        parser.add_argument("--gseq", type=int, default=1)
        parser.add_argument("--oseq", type=int)
        parser.add_argument("--provider", required=parser is create)
    create.add_argument("--bseq", type=int, default=1)
    create.add_argument("--price", default="1", help="per block, in the smallest denomination")
    create.add_argument("--reclamation-hours", type=int)
    close.add_argument("--by", choices=["owner", "provider"], default="owner")
    reclaim.add_argument("--hours", type=int)


def _faults(nouns: _Parsers) -> None:
    verbs = _noun(nouns, "fault", "what an endpoint does wrong")
    add = _verb(verbs, "add", "fault_add", "switch a fault on")
    add.add_argument("kind", help="unavailable slow stale lie full-page not-found garbage disconnect")
    add.add_argument("--endpoint", type=int, default=0)
    add.add_argument("--route", default="", help="pattern searched for in the path")
    add.add_argument("--count", type=int, help="how often; without it until cleared")
    add.add_argument("--status", type=int, help="unavailable: HTTP status instead of 503")
    add.add_argument("--seconds", type=float, help="slow: how late")
    add.add_argument("--blocks", type=int, help="stale: how far behind")
    add.add_argument("--height", type=int, help="stale: which height instead")
    add.add_argument("--hide", action="store_true", default=None, help="stale: claim the newest height all the same")
    add.add_argument("--path", help="lie: dotted, * for every element (leases.*.lease.state)")
    add.add_argument("--value", type=json_or_text, help="lie: JSON, or plain text")
    add.add_argument("--drop", action="store_true", default=None, help="lie: remove it")
    add.add_argument("--mode", choices=["always", "boundary"], help="full-page: when the next key is null")
    listing = _verb(verbs, "list", "fault_list", "the faults that are on")
    listing.add_argument("--endpoint", type=int, default=0)
    clear = _verb(verbs, "clear", "fault_clear", "switch faults off")
    clear.add_argument("--endpoint", type=int)
    clear.add_argument("--number", type=int)


def main(words: list[str] | None = None) -> int:
    """Run one command."""
    given = vars(arguments().parse_args(words))
    admin, method = given.pop("admin"), given.pop("method")
    parameters = {name: value for name, value in given.items() if value is not None}
    if "attribute" in parameters:
        parameters["attributes"] = dict(parameters.pop("attribute"))
    try:
        print(json.dumps(call(admin, method, parameters), indent=2))
    except Refused as error:
        print(f"devchain: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A provider's record with our host records in it: read, merge, write.

The chain replaces the whole record, so everything that isn't ours goes back as it was, in its order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .._common import canonical, fields
from .._common.errors import InvalidInput
from .arguments import account_of, send_with, sources_of
from .messages import Message, create_provider, update_provider
from .model import ProviderRecord
from .records import HOST_PREFIX, host_record_from_json, host_record_text

_HOST_URI = re.compile(r"https://[A-Za-z0-9.-]{1,253}(:[1-9][0-9]{0,4})?", re.ASCII)


def run(params: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """The result of the module ``provider`` for ``exit_json``. Raises the AvpnError family."""
    account = account_of(params)
    with sources_of(params) as sources:
        before = sources.snapshot().provider(account.address)
    after = planned_provider(before, account.address, params)
    result: dict[str, Any] = {
        "changed": before != after,
        "provider": account.address,
        "nodes": sorted(our_nodes(after)),
        "diff": {"before": provider_lines(before), "after": provider_lines(after)},
    }
    if after is not None and before != after and not check_mode:
        sent = send_with(params, account, [provider_message(before, after)])
        result["transaction"] = {"hash": sent.hash, "height": sent.height}
    return result


def planned_provider(before: ProviderRecord | None, owner: str, options: Mapping[str, Any]) -> ProviderRecord | None:
    """The record that the options make of the one before; None: there is none and nothing to make.

    Options: ``state``; ``nodes`` (node to host record as JSON); ``purge_nodes``; ``host_uri``, ``email``,
    ``website`` (None: as they are).
    """
    nodes = options["nodes"] or {}
    if options["host_uri"] is not None and _HOST_URI.fullmatch(options["host_uri"]) is None:
        raise InvalidInput("must be https://host[:port] without a path", where="host_uri")
    present = options["state"] == "present"
    if before is None:
        if not present:
            return None
        if not options["host_uri"]:
            raise InvalidInput("must be given to register a provider that isn't on chain yet", where="host_uri")
        before = ProviderRecord(owner, options["host_uri"], ())
    wanted = {HOST_PREFIX + fields.name(node, f"nodes.{fields.printable(node)}"): nodes[node] for node in nodes}
    ours = {key for key, _value in before.attributes if key.startswith(HOST_PREFIX)}
    if not present:
        # Without nodes: all of ours.
        gone = set(wanted) if wanted else ours
        return replace(before, attributes=tuple(pair for pair in before.attributes if pair[0] not in gone))
    texts = {key: _text(owner, key.removeprefix(HOST_PREFIX), record) for key, record in wanted.items()}
    purged = ours - set(texts) if options["purge_nodes"] else set()
    kept = [
        (key, _same_or_new(value, texts.pop(key)) if key in texts else value)
        for key, value in before.attributes
        if key not in purged
    ]
    changes = {name: options[name] for name in ("host_uri", "email", "website") if options[name] is not None}
    return replace(before, attributes=(*kept, *sorted(texts.items())), **changes)


def provider_message(before: ProviderRecord | None, after: ProviderRecord) -> Message:
    """The message that makes the change."""
    make = create_provider if before is None else update_provider
    return make(after.owner, after.host_uri, after.attributes, after.email, after.website)


def our_nodes(record: ProviderRecord | None) -> list[str]:
    """Names of the nodes that have a host record."""
    pairs = record.attributes if record else ()
    return [key.removeprefix(HOST_PREFIX) for key, _value in pairs if key.startswith(HOST_PREFIX)]


def provider_lines(record: ProviderRecord | None) -> str:
    """The record for a diff: all of it is public."""
    if record is None:
        return ""
    document = {
        "host_uri": record.host_uri,
        "email": record.email,
        "website": record.website,
        "attributes": dict(record.attributes),
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _text(owner: str, node: str, document: Any) -> str:
    where = f"nodes.{node}"
    try:
        return host_record_text(host_record_from_json(owner, node, document))
    except InvalidInput as error:
        raise InvalidInput(error.what, where=f"{where}.{error.where}" if error.where else where) from error


def _same_or_new(old: str, new: str) -> str:
    """The old spelling where it means the same, so that another tool's white space is no change."""
    try:
        same = canonical.dumps(canonical.loads(old, where="record", limit=len(new) * 4)).decode() == new
    except InvalidInput:
        same = False
    return old if same else new

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module ``manifest`` does: read the network and what runs, check and sign, hand it in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .._chain.account import load_account
from .._chain.addresses import check_peer_address
from .._chain.arguments import ACCOUNT_SECRETS, sources_of
from .._chain.model import HostRecord
from .._chain.reading import read_view
from .._common import canonical, fields
from .._common.checked import instance
from .._common.errors import InvalidInput, Unavailable
from .._common.ids import network_id
from .._peer.client import PeerClient
from . import content, envelope, publish, source
from .model import Manifest
from .preview import preview
from .staging import beside
from .store import check_content, check_hosts

_PAUSE = 1.0  # seconds between attempts


def source_of(params: Mapping[str, Any]) -> source.Source:
    """The manifest's content as plain JSON, from the option, or from the file with its lines."""
    if params["src"] is None:
        read = source.Source(params["content"])
    else:
        try:
            with Path(params["src"]).open("rb") as file:
                text = file.read(source.MAX_BYTES + 1)
        except OSError as error:
            raise InvalidInput(f"can't be read: {error.strerror}", where=f"src {params['src']}") from error
        read = source.load(text, where=params["src"])
    with read.named():
        content.check(read.document)
    # Ansible's own string types stay behind: what is signed is what the canonical bytes say.
    plain = canonical.loads(canonical.dumps(read.document), where="manifest", limit=content.MAX_BYTES)
    return replace(read, document=dict(instance(plain, dict, "a checked manifest")))


def run(params: Mapping[str, Any], *, check_mode: bool) -> dict[str, Any]:
    """The module's result for ``exit_json``. Raises the AvpnError family."""
    account = (
        load_account(**{key: params[key] for key in ACCOUNT_SECRETS}) if any(map(params.get, ACCOUNT_SECRETS)) else None
    )
    if account is None and not (check_mode and params["owner"]):
        raise InvalidInput("must be named by mnemonic_file or private_key_file to sign", where="account")
    if account is not None and params["owner"] not in (None, account.address):
        raise InvalidInput(f"is not the account of the key, which is {account.address}", where="owner")
    owner = account.address if account is not None else fields.account(params["owner"], "owner")
    network = network_id(owner, fields.name(params["name"], "name"))
    written = source_of(params)
    document = written.document
    with sources_of(params) as sources:
        view = read_view(sources, provider=None, owners=[owner])
    if network not in view.networks:
        raise InvalidInput(view.problems.get(network, f"{owner} has no such network on chain"), where="name")
    record = view.networks[network].record
    taking_part = view.networks[network].participants()
    hosts = [host for node, host in sorted(view.hosts.items()) if node.provider in taking_part]

    def check(whole: dict[str, Any]) -> Manifest:
        manifest = check_content(whole, record)
        check_hosts(manifest, record, hosts)
        return manifest

    with written.named():
        check(document)
    nodes = publish.nodes_of(view.networks[network], view.hosts, params["provider"])

    def check_address(host: HostRecord) -> None:
        check_peer_address(host.ssh_address, allowed_ranges=params["peer_ranges"], where=str(host.id))

    handed: set[str] = set()  # what an earlier attempt may have handed in without hearing the answer

    def attempt() -> dict[str, Any]:
        client = PeerClient(owner, view.hosts, Path(params["key_file"]), check_address=check_address)
        try:
            # The newest version may be at any of them, whoever it is handed to.
            running = publish.observe(
                client, publish.nodes_of(view.networks[network], view.hosts, None), network, owner
            )
            floor = record.manifest.version if record.manifest is not None else 0
            whole = beside(document, running.version, running.document) if params.get("staged") else document
            places = written.within("staged") if params.get("staged") else written
            with places.named():
                checked = check(whole)
            planned = publish.plan(whole, params["version"], running, floor)
            notes = [f"{node} didn't answer: {why}" for node, why in sorted(running.silent.items())]
            shown = preview(checked, running.version, running.document, record)
            shown = replace(
                shown, findings=tuple(replace(each, where=places.place(each.where)) for each in shown.findings)
            )
            notes += shown.notes
            result = {
                "changed": planned.change or planned.sha256 in handed,
                "network": network,
                "version": planned.version,
                "sha256": planned.sha256,
                "notes": notes,
                "diff": [planned.diff(running), *shown.diff(planned.version)],
                **shown.result(),
            }
            if planned.change and not check_mode and account is not None:
                handed.add(planned.sha256)
                signed = envelope.sign(network, planned.version, whole, account.private_key)
                result["provider"] = str(publish.hand_in(client, nodes, signed, notes.append))
            return result
        finally:
            client.close()

    deadline = time.monotonic() + params["wait"]
    while True:
        try:
            return attempt()
        except Unavailable:
            # Providers hear of a new network, or of a new key of the tenant, with their next look at the chain.
            if time.monotonic() + _PAUSE > deadline:
                raise
            time.sleep(_PAUSE)

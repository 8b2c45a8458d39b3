# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A voter as a process of its own, to be killed: one request a line in, one answer a line out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parents[2] / "build" / "import")]

from ledger_world import node, signer  # noqa: E402

from ansible_collections.akash.avpn.plugins.module_utils._chain.view_json import view_from_json  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import AvpnError  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import NodeId  # noqa: E402
from ansible_collections.akash.avpn.plugins.module_utils._quorum.acceptor import Acceptor  # noqa: E402


def main(database: str, number: int, view_path: str) -> None:
    view = view_from_json(json.loads(Path(view_path).read_text()))
    acceptor = Acceptor(database, signer(number), node(number), lambda: view, clock=lambda: view.time)
    print(json.dumps({"ready": acceptor.store.incarnation}), flush=True)
    for line in sys.stdin:
        document = json.loads(line)
        try:
            answer = {"ok": acceptor.handle(document, [NodeId.parse(document["as"], "as")])}
        except AvpnError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])

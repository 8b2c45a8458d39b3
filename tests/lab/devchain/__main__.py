# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the development chain: ``python -m devchain --listen 127.0.0.1:1317 --admin 127.0.0.1:1318``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from decimal import Decimal
from pathlib import Path

from .chain import CHAIN_ID, DENOM, KEEP, MIN_GAS_PRICE, PREFIX, Chain
from .errors import DevchainError
from .operations import Operations
from .server import Address, serve


def address(text: str) -> Address:
    """``host:port`` or ``[host]:port``."""
    host, _unused, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)


def grant(text: str) -> tuple[str, int]:
    """``address=amount``."""
    account, _unused, amount = text.partition("=")
    if not amount.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not address=amount")
    return account, int(amount)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m devchain", description="A development chain for the lab.")
    parser.add_argument("--listen", type=address, action="append", help="address of an endpoint; may be repeated")
    parser.add_argument("--admin", type=address, default=("127.0.0.1", 1318), help="address of the admin interface")
    parser.add_argument("--block-time", type=float, default=1.0, help="seconds per block; 0: only by hand")
    parser.add_argument("--block-on-tx", action="store_true", help="make a block for every transaction at once")
    parser.add_argument("--state", type=Path, help="file that keeps the state across restarts")
    parser.add_argument("--chain-id", default=CHAIN_ID)
    parser.add_argument("--prefix", default=PREFIX)
    parser.add_argument("--denom", default=DENOM)
    parser.add_argument("--min-gas-price", type=Decimal, default=MIN_GAS_PRICE)
    parser.add_argument("--keep", type=int, default=KEEP, help="how many heights back queries can go")
    parser.add_argument("--fund", type=grant, action="append", default=[], metavar="ADDRESS=AMOUNT")
    return parser


def main() -> int:
    """Run until SIGINT or SIGTERM."""
    wanted = arguments().parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    try:
        chain = Chain(
            wanted.chain_id,
            prefix=wanted.prefix,
            denom=wanted.denom,
            min_gas_price=wanted.min_gas_price,
            keep=wanted.keep,
            block_on_tx=wanted.block_on_tx,
            state=wanted.state,
        )
        if chain.height == 1:
            for account, amount in wanted.fund:
                Operations(chain).fund(account, amount)
        served = serve(
            chain,
            wanted.listen or [("127.0.0.1", 1317)],
            block_time=wanted.block_time or None,
            admin=wanted.admin,
        )
    except (DevchainError, OSError) as error:
        print(f"devchain: {error}", file=sys.stderr)
        return 1
    with served:
        endpoints = [endpoint.url for endpoint in served.endpoints]
        started = {"chain_id": chain.chain_id, "endpoints": endpoints, "admin": served.admin_url}
        print(json.dumps(started), flush=True)
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())

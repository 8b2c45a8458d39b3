# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command line."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from . import collection, image
from .errors import LabError
from .lab import Lab
from .lease import lease_namespace, workload_name


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    lab = Lab(options.lab)
    try:
        return _COMMANDS[options.command](lab, options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description="Provider hosts, tenants and a chain as containers.")
    parser.add_argument("--lab", help="name of the lab (default: $AVPN_LAB or avpn)")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="make and start what is missing")
    up.add_argument("--providers", type=int, default=3)
    up.add_argument("--tenants", type=int, default=2)
    up.add_argument("--extra", action="append", default=[], metavar="NAME[@ORGANISATION]")
    up.add_argument("--subnet", help="inside 198.18.0.0/15 (default: $AVPN_LAB_SUBNET or 198.18.0.0/24)")
    down = commands.add_parser("down", help="remove every trace")
    down.add_argument("--all", action="store_true", help="host images too")
    commands.add_parser("status", help="show hosts and broken links")
    commands.add_parser("image", help="build the host image unless it is there")
    commands.add_parser("copy", help="bring build/collections up to date with the work tree")

    execute = commands.add_parser("exec", help="run a command on a host")
    execute.add_argument("host")
    execute.add_argument("argv", nargs="+", metavar="-- COMMAND")
    for name, text in (
        ("stop", "shut hosts down"),
        ("kill", "pull hosts' plug"),
        ("pause", "freeze hosts"),
        ("start", "start or unfreeze hosts"),
        ("wipe", "lose hosts' disks"),
    ):
        commands.add_parser(name, help=text).add_argument("hosts", nargs="+", metavar="HOST")
    for name, text in (("cut", "cut links"), ("heal", "make links whole (no hosts: all)")):
        link = commands.add_parser(name, help=f"{text} between hosts; a group is A,B,C")
        link.add_argument("one", nargs="?" if name == "heal" else None)
        link.add_argument("other", nargs="?", help="default: all others")
        link.add_argument("--one-way", action="store_true", help="only from the first to the second")
    lose = commands.add_parser("lose", help="lose a share of the packets between hosts")
    lose.add_argument("one")
    lose.add_argument("other")
    lose.add_argument("percent", type=int)
    lose.add_argument("--one-way", action="store_true", help="only from the first to the second")

    workload = commands.add_parser("workload", help="network namespaces as a cluster makes them for pods")
    workload.add_argument("action", choices=("create", "remove", "list", "leaked"))
    workload.add_argument("host")
    workload.add_argument("names", nargs="*", metavar="NAME")
    namespace = commands.add_parser("namespace", help="name of a replica's namespace, from its lease")
    namespace.add_argument("lease", help="owner/dseq/gseq/oseq/provider")
    namespace.add_argument("index", type=int, nargs="?", default=0)
    ansible = commands.add_parser("ansible", help="run a program of Ansible at an organisation's desk")
    ansible.add_argument("organisation")
    ansible.add_argument("argv", nargs="+", metavar="-- PROGRAM")
    commands.add_parser("collection", help="put the collection onto hosts").add_argument(
        "hosts", nargs="+", metavar="HOST"
    )
    return parser


def _up(lab: Lab, options: argparse.Namespace) -> int:
    start = time.monotonic()
    lab.up(options.providers, options.tenants, options.extra, options.subnet, say=print)
    print(lab.status())
    print(f"up after {time.monotonic() - start:.1f} s; keys and inventories are in {lab.folder}")
    return 0


def _down(lab: Lab, options: argparse.Namespace) -> int:
    lab.down(images=options.all)
    return 0


def _status(lab: Lab, options: argparse.Namespace) -> int:
    print(lab.status())
    return 0


def _image(lab: Lab, options: argparse.Namespace) -> int:
    print(image.ensure())
    return 0


def _copy(lab: Lab, options: argparse.Namespace) -> int:
    print(collection.copy())
    return 0


def _execute(lab: Lab, options: argparse.Namespace) -> int:
    name = lab.container(options.host).name
    flags = ["-it"] if sys.stdin.isatty() and sys.stdout.isatty() else ["-i"]
    sys.stdout.flush()
    os.execvp("docker", ["docker", "exec", *flags, name, *options.argv])


def _hosts(lab: Lab, options: argparse.Namespace) -> int:
    act = {"stop": lab.stop, "kill": lab.kill, "pause": lab.pause, "start": lab.start, "wipe": lab.wipe}
    for host in options.hosts:
        act[options.command](host)
    return 0


def _links(lab: Lab, options: argparse.Namespace) -> int:
    if options.one is None:
        lab.heal()
        return 0
    one = options.one.split(",")
    other = options.other.split(",") if options.other else [name for name in lab.hosts if name not in one]
    if options.command == "cut":
        lab.cut(one, other, both=not options.one_way)
    elif options.command == "heal":
        lab.heal(one, other, both=not options.one_way)
    else:
        lab.lose(one, other, options.percent, both=not options.one_way)
    return 0


def _workload(lab: Lab, options: argparse.Namespace) -> int:
    if options.action == "create":
        lab.create_workloads(options.host, *options.names)
    elif options.action == "remove":
        lab.remove_workloads(options.host, *options.names)
    elif options.action == "list":
        print("\n".join(lab.workloads(options.host)))
    else:
        print(lab.leaked(options.host))
    return 0


def _namespace(lab: Lab, options: argparse.Namespace) -> int:
    parts = options.lease.split("/")
    if len(parts) != 5 or not all(part.isdigit() for part in parts[1:4]):
        raise LabError(f"{options.lease}: a lease is owner/dseq/gseq/oseq/provider")
    owner, dseq, gseq, oseq, provider = parts
    print(workload_name(lease_namespace(owner, int(dseq), int(gseq), int(oseq), provider), options.index))
    return 0


def _ansible(lab: Lab, options: argparse.Namespace) -> int:
    collection.copy()
    environment = lab.organisation(options.organisation).environment()
    sys.stdout.flush()
    os.execvpe(options.argv[0], options.argv, environment)


def _collection(lab: Lab, options: argparse.Namespace) -> int:
    lab.install_collection(*options.hosts)
    return 0


_COMMANDS = {
    "up": _up,
    "down": _down,
    "status": _status,
    "image": _image,
    "copy": _copy,
    "exec": _execute,
    **dict.fromkeys(("stop", "kill", "pause", "start", "wipe"), _hosts),
    **dict.fromkeys(("cut", "heal", "lose"), _links),
    "workload": _workload,
    "namespace": _namespace,
    "ansible": _ansible,
    "collection": _collection,
}

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spin's searches: compiling a model for given sizes, searching it to the end, replaying a counterexample.

Searches are breadth first, so a counterexample is among the shortest, and keep every state whole (no hash compaction,
no bit state hashing): one that ends without an error has seen all that is reachable within its bounds.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
BUILD = HERE.parents[1] / "build" / "model"
# One process, so there is nothing to gain from partial order reduction; no cycles are looked for.
_FLAGS = ("-O1", "-w", "-DSAFETY", "-DBFS", "-DNOREDUCE")
_STEP = "step: "


class SearchFailed(Exception):
    """Spin, the compiler or the search didn't get to an end."""


@dataclass(frozen=True)
class Sizes:
    """What a search is compiled for. ``founders``: the first of the hosts; ``ballots``: for each version."""

    hosts: int
    founders: int
    versions: int
    ballots: int
    model: str = "ledger"

    @property
    def name(self) -> str:
        return f"{self.model}-{self.hosts}-{self.founders}-{self.versions}-{self.ballots}"

    @property
    def defines(self) -> list[str]:
        sizes = {"HOSTS": self.hosts, "FOUNDERS": self.founders, "BALLOTS": self.ballots}
        if self.model == "ledger":
            sizes["VERSIONS"] = self.versions
        return [f"-D{name}={value}" for name, value in sizes.items()]


@dataclass(frozen=True)
class Fence:
    """What recovery.pml is compiled for, in ticks: how long it goes, how old a view may be, how wrong a clock."""

    ticks: int = 4
    age: int = 1
    skew: int = 0
    mutation: int = 0
    model = "recovery"

    @property
    def name(self) -> str:
        return f"{self.model}-{self.ticks}-{self.age}-{self.skew}-{self.mutation}"

    @property
    def defines(self) -> list[str]:
        sizes = {"TICKS": self.ticks, "AGE": self.age, "SKEW": self.skew, "MUTATION": self.mutation}
        return [f"-D{name}={value}" for name, value in sizes.items()]


@dataclass(frozen=True)
class Result:
    """What a search found. ``seconds``: CPU time; ``steps``: the replayed counterexample, empty if there is none."""

    states: int
    transitions: int
    depth: int
    seconds: float
    megabytes: float
    steps: tuple[tuple[str, ...], ...] = field(default=())

    @property
    def verdict(self) -> str:
        """``holds``, ``goal``, or what is wrong: ``two``, ``descent``, ``binding``, ``order``, ``stuck``, ``lost``…"""
        if not self.steps:
            return "holds"
        kind, *words = self.steps[-1]
        if kind == "wrong":
            return words[0]
        return kind if kind in {"stuck", "lost"} else "goal"


def search(
    sizes: Sizes | Fence, settings: dict[str, int] | None = None, *, table: int = 20, megabytes: int = 8_000
) -> Result:
    """Search all that is reachable. ``settings``: see ``ledger.pml``; ``table``: log2 of the hash table's slots.

    Raises SearchFailed, also when the search ended early for want of memory (``megabytes``) or depth.
    """
    binary = compiled(sizes, megabytes)
    chosen = {name.upper(): str(value) for name, value in (settings or {}).items()}
    with tempfile.TemporaryDirectory(dir=BUILD) as directory:
        before = _cpu_seconds()
        said = _run([str(binary), "-m1000", f"-w{table}"], directory, chosen)
        seconds = _cpu_seconds() - before
        errors = _number(r"errors: (\d+)", said)
        if "not completed" in said and not errors:
            raise SearchFailed(f"{sizes.name}: the search was not completed\n{said}")
        steps: tuple[tuple[str, ...], ...] = ()
        if errors:
            trail = f"{sizes.model}.pml.trail"
            told = _run([str(binary), "-r", trail], directory, {**chosen, "TELLING": "1"}, check=False)
            lines = (line for line in told.splitlines() if _STEP in line)
            found = [tuple(line.split(_STEP, 1)[1].split()) for line in lines]
            steps = tuple(step for at, step in enumerate(found) if at == 0 or step != found[at - 1])
            if not steps:
                raise SearchFailed(f"{sizes.name}: the counterexample can't be replayed\n{told}")
    return Result(
        states=int(_number(r"^\s*([\d.e+]+) states, stored", said)),
        transitions=int(_number(r"^\s*([\d.e+]+) transitions", said)),
        depth=int(_number(r"depth reached (\d+)", said)),
        seconds=round(seconds, 2),
        megabytes=_number(r"([\d.]+)\s+total actual memory usage", said),
        steps=steps,
    )


def compiled(sizes: Sizes | Fence, megabytes: int = 8_000) -> Path:
    """The search as a program, made once for each state of the sources."""
    sources = sorted(path for path in HERE.iterdir() if path.suffix in {".pml", ".c", ".h"})
    flags = [*_FLAGS, f"-DMEMLIM={megabytes}"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + repr(flags).encode()).hexdigest()[:12]
    target = BUILD / f"{sizes.name}-{digest}"
    if not target.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as directory:
            _run(["spin", *sizes.defines, "-a", str(HERE / f"{sizes.model}.pml")], directory)
            _run(["gcc", *flags, f"-I{HERE}", *sizes.defines, "-o", "pan", "pan.c"], directory)
            # Others may compile the same: whoever is last replaces the same by the same.
            os.replace(Path(directory) / "pan", target)
    return target


def available() -> bool:
    """Whether what searches need is installed (tests/lab/bootstrap.sh does that)."""
    return all(shutil.which(tool) for tool in ("spin", "gcc"))


def _run(command: list[str], directory: str, settings: dict[str, str] | None = None, *, check: bool = True) -> str:
    environment = {"PATH": os.environ["PATH"], **(settings or {})}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=7_200, check=False
    )
    if check and done.returncode:
        raise SearchFailed(f"{command[0]} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.M)
    if found is None:
        raise SearchFailed(f"no {pattern} in what Spin says\n{text}")
    return float(found[1])

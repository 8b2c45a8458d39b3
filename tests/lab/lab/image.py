# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host image: one Debian root, made once per recipe.

debootstrap resolves dependencies by itself and stumbles over virtual packages
(python3-cryptography); mmdebstrap lets apt do it and needs half a minute, so
the whole image comes from one call of it and one `docker import`.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .docker import docker, labelled, try_docker
from .errors import LabError
from .process import run
from .topology import ROOT

REPOSITORY = "avpn-lab-host"
LABEL = "avpn.lab.image"
SUITE = "bookworm"
RECIPE = ROOT / "tests" / "lab" / "image"
# Other locks whose packages a lab host has to be able to install offline.
WHEEL_LOCKS = (ROOT / "roles" / "reconcile" / "files" / "requirements.txt",)
PIP = ROOT / "build" / "venv" / "bin" / "pip"
CHANGES = (
    "ENV container=docker",
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    'CMD ["/sbin/init"]',
    f"LABEL {LABEL}=1",
)


def tag() -> str:
    """The image's name; its tag is the hash of the recipe."""
    digest = hashlib.sha256()
    parts = [Path(__file__), *sorted(RECIPE.iterdir()), *WHEEL_LOCKS]
    for part in parts:
        if part.is_file():
            digest.update(f"{part.name}\0".encode() + part.read_bytes() + b"\0")
    return f"{REPOSITORY}:{digest.hexdigest()[:16]}"


def exists() -> bool:
    """Whether the image of the recipe as it is now is there."""
    return _exists(tag())


def ensure() -> str:
    """Build the image unless it is there; return its name."""
    name = tag()
    if _exists(name):
        return name
    with _locked():
        if not _exists(name):
            _build(name)
    return name


def remove() -> None:
    """Remove every image of the lab."""
    images = labelled("image", LABEL)
    if images:
        docker("image", "rm", "--force", *sorted(set(images)))


def _exists(name: str) -> bool:
    return try_docker("image", "inspect", "--format", "{{.Id}}", name).returncode == 0


@contextmanager
def _locked() -> Iterator[None]:
    """One build at a time on this machine, whichever checkout asks for it."""
    with open("/run/lock/avpn-lab-image.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="avpn-image-") as work:
        wheels = Path(work) / "wheels"
        _fill_wheel_house(wheels)
        _import_root(name, wheels)


def _fill_wheel_house(wheels: Path) -> None:
    """Download the wheels of every lock, hashes checked, and put the locks beside them."""
    wheels.mkdir()
    locks = {"control.txt": RECIPE / "control.txt"}
    locks.update({f"{lock.parents[1].name}.txt": lock for lock in WHEEL_LOCKS if lock.is_file()})
    for label, lock in locks.items():
        command = [str(PIP), "download", "--quiet", "--require-hashes", "--only-binary", ":all:"]
        run([*command, "--dest", str(wheels), "--requirement", str(lock)])
        shutil.copy(lock, wheels / label)


def _import_root(name: str, wheels: Path) -> None:
    packages = [
        line
        for line in (RECIPE / "packages.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    # The root grows in memory, in a mount that ends with the command.
    make = ["unshare", "--mount", "sh", "-euc"]
    make += ['mount -t tmpfs -o mode=0755,size=4g lab "$1"; shift; exec nice mmdebstrap "$@"', "sh"]
    make += [str(wheels.parent / "root"), "--quiet", "--mode=root", "--format=tar"]
    make += ["--variant=minbase", f"--include={','.join(packages)}"]
    make += ['--aptopt=Acquire::Languages "none"', "--dpkgopt=force-unsafe-io"]
    # apt in a lab host knows the packages, so that asking for one that is there works offline.
    make += ["--skip=cleanup/apt/lists"]
    make += [f"--customize-hook=copy-in {wheels} /srv"]
    make += [f"--customize-hook=upload {RECIPE / 'customize.sh'} /customize.sh"]
    make += ['--customize-hook=chroot "$1" sh /customize.sh', '--customize-hook=rm "$1/customize.sh"']
    make += [SUITE, "-", *_sources()]
    root = wheels.parent / "root"
    root.mkdir()
    load = ["docker", "import", *(part for change in CHANGES for part in ("--change", change))]
    with tempfile.TemporaryFile() as said:
        maker = subprocess.Popen(
            make,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=_environment(root),
            start_new_session=True,  # mmdebstrap, when it fails, ends its whole process group
        )
        loader = subprocess.run([*load, "-", f"{name}-new"], stdin=maker.stdout, capture_output=True, check=False)
        if maker.stdout is not None:
            maker.stdout.close()
        code = maker.wait()
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    if code != 0 or loader.returncode != 0:
        try_docker("image", "rm", f"{name}-new")
        raise LabError(f"mmdebstrap: exit code {code}: {text[-4000:]}{loader.stderr.decode()}")
    docker("image", "tag", f"{name}-new", name)
    docker("image", "rm", f"{name}-new")


def _environment(root: Path) -> dict[str, str]:
    """Little of this machine's environment gets into the image's making."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(root), "LC_ALL": "C.UTF-8"}


def _sources() -> list[str]:
    """The suite's apt sources as this machine has them; mmdebstrap's own defaults otherwise."""
    form = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    listed = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).stdout.splitlines()
    wanted = {SUITE, f"{SUITE}-updates", f"{SUITE}-security"}
    lines = [line for line in dict.fromkeys(listed) if line.split()[2] in wanted and line.endswith(" main")]
    return lines if any(line.split()[2] == SUITE for line in lines) else []

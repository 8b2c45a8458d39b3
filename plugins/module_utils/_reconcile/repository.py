# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The team's repository as this host keeps it: a bare mirror that holds only what was fetched and verified.

A commit is verified here, before anything of it is checked out, and ansible-pull then works from the mirror.
(ansible-pull's own ``--verify-commit`` together with ``--force``, which running offline needs, would run the
unverified commit: git's module checks out first and verifies afterwards.)
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .._common.errors import AvpnError, InvalidInput, Unavailable
from .settings import Repository

BRANCH = "avpn-run"
_SECONDS = 120


@dataclass(frozen=True)
class Revision:
    """What to run: a commit, and why it isn't the newest one (None: it is)."""

    commit: str
    stale: str | None = None


class Mirror:
    """A bare repository at ``path``, made when first needed."""

    def __init__(self, path: Path, repository: Repository) -> None:
        self.path = path
        self._repository = repository

    def update(self) -> Revision:
        """Fetch and verify the wanted revision; what was last fetched if that can't be had.

        Raises what went wrong when nothing was ever fetched.
        """
        try:
            commit = self._fetch()
        except AvpnError as error:
            last = self.current()
            if last is None:
                raise
            return Revision(last, str(error))
        self.select(commit)
        return Revision(commit)

    def current(self) -> str | None:
        """The commit that was last selected."""
        if not (self.path / "HEAD").is_file():
            return None
        found = self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{BRANCH}^{{commit}}", check=False)
        return found or None

    def select(self, commit: str) -> None:
        """Make ``commit`` the one that ansible-pull gets."""
        self._git("update-ref", f"refs/heads/{BRANCH}", commit)

    def _fetch(self) -> str:
        if not (self.path / "HEAD").is_file():
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", ".")
        wanted = self._repository.revision
        self._git("fetch", "--quiet", "--force", "--no-tags", "--", self._repository.url, wanted)
        commit = self._git("rev-parse", "--verify", "FETCH_HEAD^{commit}")
        if self._repository.verify:
            self._verify(commit)
        return commit

    def _verify(self, commit: str) -> None:
        signers = self._repository.allowed_signers
        options = ("-c", f"gpg.ssh.allowedSignersFile={signers}") if signers else ()
        try:
            self._git(*options, "verify-commit", commit)
        except AvpnError as error:
            raise InvalidInput(
                "has no signature of an allowed signer",
                where=f"commit {commit[:12]} of {self._repository.url}",
                remedy="The last verified commit stays in use",
            ) from error

    def _git(self, *arguments: str, check: bool = True) -> str:
        try:
            result = subprocess.run(
                ["git", *arguments],
                cwd=self.path,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"git took longer than {_SECONDS} s", where=self._repository.url) from error
        except OSError as error:
            raise Unavailable(f"git can't be run: {error.strerror}", where=self._repository.url) from error
        if check and result.returncode != 0:
            said = " ".join(result.stderr.split())[-300:]
            raise Unavailable(f"git failed: {said}", where=self._repository.url)
        return result.stdout.strip()

    def _environment(self) -> Mapping[str, str]:
        ssh = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=20"
        if self._repository.key_file:
            ssh += f" -o IdentitiesOnly=yes -i {self._repository.key_file}"
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": os.environ.get("HOME", "/root"),
            "LC_ALL": "C.UTF-8",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": ssh,
        }

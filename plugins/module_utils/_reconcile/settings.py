# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a host reconciles itself, ``/etc/avpn/reconcile.json``: written by the role ``reconcile``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._common import canonical, fields
from .._common.errors import InvalidInput, Unsupported

_LIMIT = 64 * 1024
_ABSOLUTE = re.compile(r"/[A-Za-z0-9_./@+-]{1,250}", re.ASCII)
_PLAYBOOK = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*", re.ASCII)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./+-]{0,199}", re.ASCII)


@dataclass(frozen=True)
class Repository:
    """Where the team's playbook comes from, and what a commit of it must show."""

    url: str
    revision: str  # branch, tag, or a commit's full name
    key_file: str | None = None  # private SSH key for the repository
    verify: bool = False  # only commits with a good signature
    allowed_signers: str | None = None  # SSH signers (ssh-keygen's ALLOWED SIGNERS); None: root's GnuPG keys


@dataclass(frozen=True)
class Settings:
    """One host's reconciliation. Times in seconds."""

    repository: Repository
    playbook: str  # relative to the repository
    timeout: int = 1800  # of the whole playbook
    rest: int = 5  # between the end of one run and the start of a requested one


def load(path: Path) -> Settings:
    """Read and check the file. Raises Unsupported when there is none, InvalidInput naming the field."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unsupported(
            f"can't be read ({error.strerror})",
            where=str(path),
            remedy="Run the role akash.avpn.reconcile on this host",
        ) from error
    return parse(canonical.loads(data, where=str(path), limit=_LIMIT))


def parse(document: Any) -> Settings:
    """Settings from their JSON document, strictly."""
    top = fields.obj(document, "", required={"repository", "playbook"}, optional={"timeout", "rest"})
    return Settings(
        repository=_repository(top["repository"]),
        playbook=_match(_PLAYBOOK, top["playbook"], "playbook", "a path inside the repository"),
        timeout=fields.integer(top.get("timeout", 1800), "timeout", least=10, most=86_400),
        rest=fields.integer(top.get("rest", 5), "rest", least=0, most=3600),
    )


def _repository(document: Any) -> Repository:
    given = fields.obj(
        document, "repository", required={"url", "revision"}, optional={"key_file", "verify", "allowed_signers"}
    )
    url = fields.text(given["url"], "repository.url", most=512)
    # ext:: and fd:: run commands; a leading hyphen would be an option
    if not re.fullmatch(r"(?:https|ssh|file)://[^\s]+|/[^\s]+|[A-Za-z0-9_.-]+@[A-Za-z0-9_.-]+:[^\s]+", url, re.ASCII):
        raise InvalidInput("must be an https, ssh or file URL, user@host:path or a path", where="repository.url")
    revision = _match(_REVISION, given["revision"], "repository.revision", "a branch, a tag or a commit")
    if ".." in revision:
        raise InvalidInput("must be a branch, a tag or a commit", where="repository.revision")
    verify = given.get("verify", False)
    if not isinstance(verify, bool):
        raise InvalidInput("must be true or false", where="repository.verify")
    return Repository(
        url=url,
        revision=revision,
        key_file=_optional_path(given.get("key_file"), "repository.key_file"),
        verify=verify,
        allowed_signers=_optional_path(given.get("allowed_signers"), "repository.allowed_signers"),
    )


def _optional_path(value: Any, where: str) -> str | None:
    return None if value is None else _match(_ABSOLUTE, value, where, "an absolute path of plain characters")


def _match(pattern: re.Pattern[str], value: Any, where: str, wanted: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None or ".." in value.split("/"):
        raise InvalidInput(f"must be {wanted}", where=where)
    return value

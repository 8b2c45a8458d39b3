# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Identities in their usual form, and in no other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._common.ids import EndpointId


@given(
    st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
)
def test_endpoints_are_read_as_they_are_written(member: str, gseq: int, index: int) -> None:
    endpoint = EndpointId(member, gseq, index)
    assert EndpointId.parse(str(endpoint), "it") == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "web/1",
        "web/1/0/0",
        "web/01/0",
        "web/1/00",
        "web/1/-1",
        "web/1/+1",
        "web/1/ 1",
        "web/1/1\n",
        "web/1/",
        "/1/1",
        "Web/1/1",
        "-web/1/1",
        "web-/1/1",
        f"{'w' * 33}/1/1",
        "web/1/1_0",
        "web/1/\u0661",
        "w\u00e9b/1/1",
        f"web/1/{2**63}",
        f"web/1/{'1' * 60}",
        None,
        7,
        ["web", 1, 0],
    ],
)
def test_nothing_else_is_an_endpoint(text: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        EndpointId.parse(text, "it")
    assert refusal.value.where == "it"

# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages that would cost more memory than their length says, and the largest honest ones."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput
from ansible_collections.akash.avpn.plugins.module_utils._peer import messages

_DENSE = ["[]", "{}", "1", '"ab"', '{"a":1}', "[[]]", '{"a":[]}']


@pytest.mark.parametrize("item", _DENSE)
@pytest.mark.parametrize(
    ("parse", "most", "head"),
    [
        (messages.parse_request, messages.MAX_REQUEST, '{"op":"learn","value":['),
        (lambda line: messages.parse_answer(line, "peer"), messages.MAX_ANSWER, '{"ok":['),
    ],
)
def test_a_message_of_many_small_values_is_refused_before_it_is_parsed(
    parse: Callable[[bytes], Any], most: int, head: str, item: str
) -> None:
    count = (most - len(head) - 2) // (len(item) + 1)
    line = (head + ",".join([item] * count) + "]}").encode()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match="too many values"):
            parse(line)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20, f"took {peak} bytes"


def test_the_densest_honest_messages_pass() -> None:
    versions = {f"{number:064x}": {"ledger": [0, 1], "manifest": 1} for number in range(16_384)}
    assert messages.parse_answer(messages.answer(versions)[:-1], "peer") == versions
    slot = {"address": "10.0.0.2", "batch": "a/b/1", "bound": True, "created": 1, "height": 1, "host": "a/b"}
    value = {"slots": {f"a/1/{number}": {**slot, "lease": "1/1/1"} for number in range(16_384)}}
    line = canonical.dumps({"op": "status", "network": "a" * 64, "as": "x", **value})
    with pytest.raises(InvalidInput, match="slots"):  # no such field: so it was parsed
        messages.parse_request(line)
    assert messages.OPERATIONS["fetch"].answer_bytes == messages.MAX_ANSWER
    assert messages.OPERATIONS["versions"].answer_bytes > len(messages.answer(versions))

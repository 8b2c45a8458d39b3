# SPDX-FileCopyrightText: 2026 The akash.avpn authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents about which two parsers could disagree have no canonical form, and are refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.akash.avpn.plugins.module_utils._common import canonical
from ansible_collections.akash.avpn.plugins.module_utils._common.errors import InvalidInput

_REFUSED = {
    "a duplicate key": b'{"version":1,"version":2}',
    "a duplicate key in depth": b'[{"a":{"b":1,"b":1}}]',
    "a duplicate key in two spellings": b'{"a":1,"\\u0061":2}',
    "a fraction": b'{"a":1.0}',
    "an exponent": b"[1e2]",
    "NaN": b"[NaN]",
    "infinity": b"[-Infinity]",
    "an integer beyond 63 bits": b"[9223372036854775808]",
    "an integer of many digits": b"[" + b"1" * 5000 + b"]",
    "a lone surrogate": b'["\\ud800"]',
    "a lone surrogate in a key": b'{"\\udc00":1}',
    "bytes that are no UTF-8": b'["\xff"]',
    "an overlong encoding": b'["\xc0\xaf"]',
    "a byte order mark": b"\xef\xbb\xbf[]",
    "UTF-16": "[]".encode("utf-16"),
    "two documents": b"[][]",
    "nothing": b"",
    "a comment": b"[] // x",
    "depth": b"[" * 40 + b"]" * 40,
    "bottomless depth": b"[" * 200_000,
    "length": b'["' + b"a" * 1000 + b'"]',
}


@pytest.mark.parametrize("text", _REFUSED.values(), ids=_REFUSED.keys())
def test_what_has_no_canonical_form_is_refused(text: bytes) -> None:
    limit = 1000 if text.startswith(b'["aaaa') else 1 << 20
    with pytest.raises(InvalidInput) as refusal:
        canonical.loads(text, where="it", limit=limit)
    assert refusal.value.where == "it"


def test_the_deepest_and_largest_that_is_allowed() -> None:
    text = b"[" * 32 + b"9223372036854775807" + b"]" * 32
    assert canonical.dumps(canonical.loads(text, where="it", limit=len(text))) == text


def test_equal_documents_have_equal_bytes() -> None:
    text = b'{ "b": [1, true, null], "a": "\\u00e9\\n" }'
    document = canonical.loads(text, where="it", limit=100)
    assert canonical.dumps(document) == '{"a":"é\\n","b":[1,true,null]}'.encode()
    assert canonical.loads(canonical.dumps(document), where="it", limit=100) == document


@pytest.mark.parametrize("document", [{}, {"a": 1}, {"b": [1, {"z": 1, "y": None}], "op": "é"}, {"zz": 1, "as": 0}])
def test_one_field_more_leads_to_the_same_bytes_whether_encoded_before_or_not(document: dict[str, Any]) -> None:
    whole = canonical.dumps({**document, "as": "me"})
    assert canonical.dumps_with(document, "as", "me") == whole
    encoded = canonical.Encoded(document)
    assert encoded == document
    assert encoded.data == canonical.dumps(document)
    assert canonical.dumps_with(encoded, "as", "me") == whole


def test_nesting_is_counted_the_same_whatever_nests() -> None:
    for deepest in (b"[" * 33 + b"]" * 33, b'{"a":' * 32 + b"{}" + b"}" * 32, b"[" * 32 + b"{}" + b"]" * 32):
        canonical.loads(deepest, where="it", limit=1000)
    for deeper in (b"[" * 33 + b"1" + b"]" * 33, b'{"a":' * 33 + b"{}" + b"}" * 33, b"[[]," * 32 + b"[0]" + b"]" * 32):
        with pytest.raises(InvalidInput, match="deeper"):
            canonical.loads(deeper, where="it", limit=1000)

"""Ids and fingerprints: the same on every host, and another for anything else."""

from __future__ import annotations

import json
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from killick.identity import canonical_json, derive_id, fingerprint

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcXYZ", max_size=3), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_the_canonical_text_is_json_with_sorted_keys_and_no_spaces(value: object) -> None:
    """The standard library's JSON is the witness."""
    witness = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(canonical_json(value)) == value
    assert canonical_json(value).replace(b"\x7f", b"\\u007f") == witness.encode().replace(b"\x7f", b"\\u007f")
    assert fingerprint(value) == sha256(canonical_json(value)).hexdigest()


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(), min_size=2))
def test_the_order_of_keys_means_nothing(value: dict[str, int]) -> None:
    """A map that was built in another order has the same fingerprint."""
    assert fingerprint(dict(reversed(value.items()))) == fingerprint(value)


def test_ids_are_pinned() -> None:
    """They stand in stores: a new release must find what an old one named."""
    assert derive_id("incident", "flight-delay", 3) == "incident-9d1fd032e1c5d25c"
    assert fingerprint({"a": 1})[:12] == "015abd7f5cc5"


@given(st.lists(st.text("ab", max_size=2), max_size=3), st.lists(st.text("ab", max_size=2), max_size=3))
def test_other_parts_are_another_id(left: list[str], right: list[str]) -> None:
    """Parts do not run into one another: `("a", "b")` is not `("ab",)`."""
    assert (derive_id("x", *left) == derive_id("x", *right)) == (left == right)
    assert derive_id("x", *left) != derive_id("y", *left)

"""Whatever is done to a ledger afterwards is found: a byte changed, an entry removed, moved, put in, or cut off."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.errors import Tampered
from killick.ledger.chain import extend, verify
from killick.ledger.entry import GENESIS, Entry, Fact

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
facts = st.builds(
    Fact,
    at=st.integers(0, 2**53),
    model=st.text(max_size=8),
    actor=st.sampled_from(["killick", "ana"]),
    action=st.text(max_size=8),
    subject=st.text(max_size=8),
    reason=st.text(max_size=20),
    evidence=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)
ledgers = st.lists(facts, min_size=2, max_size=8)


def chain(told: list[Fact]) -> list[Entry]:
    """The ledger of these facts, as it is read back from a disk."""
    entries: list[Entry] = []
    for fact in told:
        entry = extend(entries[-1] if entries else None, fact)
        entries.append(msgspec.json.decode(msgspec.json.encode(entry), type=Entry))
    return entries


@given(ledgers)
def test_an_untouched_ledger_verifies(told):
    """With the hash of any of its entries as the head that somebody wrote down."""
    entries = chain(told)
    assert verify(entries) == len(told)
    assert all(verify(entries, head=entry.hash) == len(told) for entry in entries)
    assert entries[0].previous == GENESIS


def test_an_empty_ledger_verifies_and_has_no_head():
    """Nothing was written, so nothing can be missing, unless somebody knows better."""
    assert verify([]) == 0
    with pytest.raises(Tampered, match="cut off after 0"):
        verify([], head="ab" * 32)


@given(ledgers, st.data())
def test_a_changed_byte_is_found(told, data):
    """Any byte of any entry as it lies on the disk, unless what is read is the same."""
    entries = chain(told)
    at = data.draw(st.integers(0, len(entries) - 1))
    written = bytearray(msgspec.json.encode(entries[at]))
    place = data.draw(st.integers(0, len(written) - 1))
    written[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = msgspec.json.decode(bytes(written), type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return  # it cannot even be read
    if changed == entries[at]:
        return  # a space, an escape: the same value
    with pytest.raises(Tampered):
        verify([*entries[:at], changed, *entries[at + 1 :]])


@given(ledgers, facts, st.data())
def test_a_changed_fact_is_found_even_when_its_own_hash_is_made_anew(told, other, data):
    """Whoever rewrites one entry has to rewrite all that follow, and the head is known elsewhere."""
    entries = chain(told)
    at = data.draw(st.integers(0, len(entries) - 1))
    if other == entries[at].fact:
        return
    forged = extend(entries[at - 1] if at else None, other)
    if at < len(entries) - 1:
        with pytest.raises(Tampered, match=f"entry {at + 2} does not follow"):
            verify([*entries[:at], forged, *entries[at + 1 :]])
    rewritten = [*entries[:at], forged]
    for entry in entries[at + 1 :]:
        rewritten.append(extend(rewritten[-1], entry.fact))
    assert verify(rewritten) == len(entries)
    with pytest.raises(Tampered, match="is not in the ledger"):
        verify(rewritten, head=entries[-1].hash)


@given(ledgers, st.data())
def test_a_removed_entry_is_found(told, data):
    """In the middle by what follows it; at the end by the head that was written down."""
    entries = chain(told)
    at = data.draw(st.integers(0, len(entries) - 1))
    left = entries[:at] + entries[at + 1 :]
    if at < len(entries) - 1:
        with pytest.raises(Tampered, match=f"entry {at + 1} is missing"):
            verify(left)
    with pytest.raises(Tampered):
        verify(left, head=entries[-1].hash)


@given(ledgers, st.data())
def test_a_ledger_that_was_cut_off_is_found_by_its_head(told, data):
    """Only by it: the rest is a whole ledger of an earlier day."""
    entries = chain(told)
    length = data.draw(st.integers(0, len(entries) - 1))
    assert verify(entries[:length]) == length
    with pytest.raises(Tampered, match=f"cut off after {length}"):
        verify(entries[:length], head=entries[-1].hash)


@given(ledgers, st.randoms(use_true_random=False))
def test_another_order_is_found(told, chance):
    """Two entries that change places break the chain, whatever they say."""
    entries = chain(told)
    shuffled = chance.sample(entries, len(entries))
    if shuffled == entries:
        return
    with pytest.raises(Tampered):
        verify(shuffled)


@given(ledgers, st.data())
def test_an_entry_told_twice_is_found(told, data):
    """Nothing can be put in."""
    entries = chain(told)
    at = data.draw(st.integers(0, len(entries) - 1))
    with pytest.raises(Tampered):
        verify([*entries[: at + 1], *entries[at:]])

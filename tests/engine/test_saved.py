"""A table profile as a file: it says what the rows said, and what is half there is refused in one message."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import killick
from killick.engine.check import check_profiles, judge, learn
from killick.engine.saved import BYTES_MAX, FILE_SCHEMA, pack_table, unpack_table
from killick.engine.table_profile import TableProfile, measure_source
from killick.errors import CallError, DataError, KillickError, OutsideError
from killick.ports.tables import FrameSource
from killick.profiles.census_codec import unpack_census
from killick.spec.load import parse_spec
from tests.engine.test_table_profile import REFERENCE, SPEC, TABLE, measured, table
from tests.golden.write import golden_census, golden_table

GOLDEN = Path(__file__).parents[1] / "golden"


PACKED = pack_table(REFERENCE)


def changed(**parts: object) -> bytes:
    """The bytes of the reference, with some of the fields of the map changed."""
    held = msgspec.msgpack.decode(PACKED)
    assert parts.keys() <= held.keys()
    return msgspec.msgpack.encode(held | parts)


def changed_census(name: str, value: object) -> bytes:
    """The bytes of the reference, with a field of its census changed."""
    census = msgspec.msgpack.decode(msgspec.msgpack.decode(PACKED)["census"])
    assert name in census
    return changed(census=msgspec.msgpack.encode(census | {name: value}))


def test_a_file_keeps_every_verdict(tmp_path: Path) -> None:
    """Either side may be read back from its file: not one number of the report is another."""
    current = measured(TABLE.with_columns(pl.col("x") + 0.8))
    REFERENCE.save(tmp_path / "r.killick")
    current.save(tmp_path / "c.killick")
    expected = check_profiles(current, REFERENCE)

    for now in (current, TableProfile.load(tmp_path / "c.killick")):
        for before in (REFERENCE, TableProfile.load(tmp_path / "r.killick")):
            report = check_profiles(now, before)
            assert report.verdicts == expected.verdicts
            assert report.to_json() == expected.to_json()
    assert "fail" in {verdict.status for verdict in expected.verdicts}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    """A file can be compared by its hash: neither time nor place nor chance is in it, and reading changes nothing."""
    again = learn(FrameSource(table(1), name="another name"), SPEC)
    REFERENCE.save(tmp_path / "r.killick")

    assert pack_table(again) == PACKED
    assert (tmp_path / "r.killick").read_bytes() == PACKED
    assert pack_table(TableProfile.load(tmp_path / "r.killick")) == PACKED


def test_what_was_read_can_be_added_to(tmp_path: Path) -> None:
    """A file is no end: tomorrow's batch is added to it, and yesterday's is taken out."""
    one, two = measured(TABLE[:500]), measured(TABLE[500:])
    one.save(tmp_path / "one.killick")

    total = TableProfile.load(tmp_path / "one.killick") + two

    assert pack_table(total) == pack_table(one + two)
    assert (total - two).rows == 500


def test_a_profile_without_a_census_is_whole(tmp_path: Path) -> None:
    """What is not kept is not judged, and the rest is."""
    bare = learn(FrameSource(table(1), name="reference"), SPEC, census=False)
    bare.save(tmp_path / "bare.killick")
    back = TableProfile.load(tmp_path / "bare.killick")

    verdicts, _ = judge(measured(TABLE, by=back), back)

    assert back.census is None
    assert verdicts == judge(measured(TABLE, by=bare), bare)[0]
    assert "quality.duplicates" not in {verdict.check for verdict in verdicts}


BOMB = zlib.compress(bytes(64 * 1024 * 1024), level=9)
REFUSED = {
    "nothing": (b"", "is no profile that can be read"),
    "text": (b"killick", "is no profile that can be read"),
    "a Parquet file": (b"PAR1" + bytes(90) + b"PAR1", "is no profile that can be read"),
    "another map": (msgspec.msgpack.encode({"schema": FILE_SCHEMA}), "is no profile that can be read"),
    "a newer schema": (changed(schema="killick.table/2"), "schema that this version cannot read"),
    "a spec that is none": (changed(spec="killick: 1\nmodel: m\ntask: bin\nowner: 3\n"), "is no profile"),
    "types that are none": (changed(types=b"abc"), "is no profile that can be read"),
    "no profiles": (changed(profiles=b""), "cannot be read"),
    "a newer reference": (
        changed(profiles=PACKED.replace(b"killick.reference/1", b"killick.reference/9")),
        "cannot be read|cannot read",
    ),
    "a census that is none": (changed(census=b"\x81\xa6schema\xff"), "census: cannot be read"),
    "a newer census": (changed_census("schema", "killick.census/2"), "schema that this version cannot read"),
    "a sample that is none": (changed_census("sample", b"abc"), "census"),
    "text that is no UTF-8": (PACKED.replace(b"killick.census/1", b"killick.cens\xff\xfe/1"), "cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_profile_is_refused_in_one_message(name: str) -> None:
    """One line, that says which file or part, and how to make it again."""
    content, words = REFUSED[name]
    with pytest.raises(DataError) as refused:
        unpack_table(content, TableProfile, name="r.killick")
    assert len(refused.value.mistakes) == 1
    assert "\n" not in str(refused.value)
    assert re.search(words, str(refused.value)), str(refused.value)
    assert refused.value.mistakes[0].hint


def zeros(rows: int) -> bytes:
    """An Arrow file of zeros, whose reader unpacks them before it knows how many they are."""
    file = io.BytesIO()
    pl.DataFrame({"x": pl.zeros(rows, dtype=pl.Int64, eager=True)}).write_ipc(file, compression="zstd")
    return file.getvalue()


def segmented(number: int) -> bytes:
    """The bytes of the reference, said to have so many segments."""
    profiles = msgspec.msgpack.decode(msgspec.msgpack.decode(PACKED)["profiles"])
    profiles["profiles"] = [[[["site", str(at)]], b""] for at in range(number)]
    return changed(profiles=msgspec.msgpack.encode(profiles))


FORGED = {
    "types in an Arrow file that unpacks to 80 MB": (changed(types=zeros(10_000_000)), "is no profile"),
    "a sample in such a file": (changed_census("sample", zlib.compress(zeros(10_000_000))), "census.sample"),
    "a column as wide as a table": (
        changed(types=msgspec.msgpack.encode([["x", ["Array", "Float64", 2**40]]])),
        "no type is",
    ),
    "more columns than there are": (
        changed(types=msgspec.msgpack.encode([[str(at), ["Int8"]] for at in range(65_537)])),
        "65537 columns",
    ),
    "types without end": (changed(types=b"\x91\x92\xa1x" + b"\x91" * 5_000 + b"\x90"), "is no profile"),
    "a spec like a book": (changed(spec="# " + "killick " * 200_000), "is no profile"),
    "segments without end": (segmented(2**28 // 1_000), "more segments and windows than fit into memory"),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_was_forged_to_be_large_is_refused(name: str) -> None:
    """What is small on a disk and large in memory is refused by what it says of itself, not after it was made."""
    content, words = FORGED[name]
    with pytest.raises(DataError, match=words) as refused:
        unpack_table(content, TableProfile, name="r.killick")
    assert refused.value.mistakes[0].hint


def test_a_file_larger_than_any_profile_is_not_read(tmp_path: Path) -> None:
    """A video that was given by mistake is told from a profile by its size."""
    with (tmp_path / "large.killick").open("wb") as file:
        file.truncate(BYTES_MAX + 1)
    with pytest.raises(DataError, match="larger than 1024 MB"):
        TableProfile.load(tmp_path / "large.killick")


def test_columns_that_are_not_watched_are_no_hindrance(tmp_path: Path) -> None:
    """Python's objects, records and lists of lists have no type in the file, and nothing about them is compared."""
    rows = pl.DataFrame({"x": np.arange(200.0)}).with_columns(
        thing=pl.Series([object() for _ in range(200)], dtype=pl.Object),
        record=pl.struct(pl.col("x").alias("inner")),
        lists=pl.Series([[[1]]] * 200),
    )
    made = killick.Reference.fit(rows, parse_spec("killick: 1\nmodel: m\ntask: binary\nschema: {}\n"))
    made.save(tmp_path / "r.killick")

    back = killick.Reference.load(tmp_path / "r.killick")

    assert list(back._learned.fit.schema) == ["x"]
    assert back.check(back.profile(rows)) == made.check(made.profile(rows))


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    """Sixty-four megabytes of zeros in sixty-four kilobytes, in whichever part, are never held."""
    import tracemalloc

    census = msgspec.msgpack.decode(msgspec.msgpack.decode(PACKED)["census"])
    profiles = msgspec.msgpack.decode(msgspec.msgpack.decode(PACKED)["profiles"])
    counts = msgspec.msgpack.decode(profiles["profiles"][0][1]) | {"counts": BOMB}
    profiles["profiles"][0][1] = msgspec.msgpack.encode(counts)
    bombs = [
        changed(profiles=msgspec.msgpack.encode(profiles)),
        changed_census("repeats", census["repeats"] | {"keys": BOMB}),
        changed_census("repeats", census["repeats"] | {"counts": BOMB}),
        changed_census("moments", [BOMB, *census["moments"][1:]]),
        changed_census("residuals", [BOMB, *census["residuals"][1:]]),
    ]
    tracemalloc.start()
    for bomb in bombs:
        with pytest.raises(DataError):
            unpack_table(bomb, TableProfile, name="r.killick")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 1024 * 1024


@given(st.integers(0, len(PACKED) - 1))
def test_every_truncation_is_refused(length: int) -> None:
    """However far a download got, it is not taken for a profile."""
    with pytest.raises(DataError):
        unpack_table(PACKED[:length], TableProfile, name="r.killick")


SMALL = pack_table(
    learn(
        FrameSource(pl.DataFrame({"x": np.arange(60) % 7, "kind": ["a", "b"] * 30}), name="reference"),
        parse_spec("killick: 1\nmodel: m\ntask: binary\nschema: {}\n"),
    )
)


@given(at=st.integers(0, len(SMALL) - 1), byte=st.integers(0, 255))
def test_a_byte_that_was_hit_is_refused_or_harmless(at: int, byte: int) -> None:
    """Whatever a disk does to a file, the answer is a profile or a refusal, and never a crash."""
    spoilt = bytearray(SMALL)
    spoilt[at] = byte
    try:
        unpack_table(bytes(spoilt), TableProfile, name="r.killick")
    except KillickError as error:
        assert isinstance(error, DataError)  # noqa: PT017 - most bytes are harmless or refused, and both are right


def test_a_file_that_is_not_there_or_cannot_be_written_says_so(tmp_path: Path) -> None:
    """To read is a mistake of the call's; to write is the disk's."""
    with pytest.raises(DataError, match=r"none\.killick: cannot be read"):
        TableProfile.load(tmp_path / "none.killick")
    with pytest.raises(OutsideError, match="could not be written"):
        REFERENCE.save(tmp_path / "nowhere" / "r.killick")


def test_profiles_made_apart_are_compared_by_their_samples() -> None:
    """Two fits share no bins. Their samples are compared: a large change is found, none is made up.

    A sample knows nothing of windows, by which the reference would say how far a column strays: so it warns.
    """
    apart = [learn(FrameSource(rows, name="t"), SPEC) for rows in (table(2), table(3).with_columns(pl.col("x") + 1))]

    quiet, loud = (check_profiles(one, REFERENCE) for one in apart)

    assert quiet.status == "ok", quiet.headline
    assert {v.column for v in loud.verdicts if v.status == "warn" and v.check == "drift.univariate"} == {"x"}
    assert loud.status == "warn"


def test_what_the_samples_do_not_hold_is_told() -> None:
    """An embedding is in no sample: that it moved cannot be seen, and the report does not say that it holds."""
    moved = table(2).with_columns(place=pl.concat_arr(pl.col("s") + 9, "s", "s"))
    with_box = table(1).with_columns(box=pl.struct("x"))
    before, now = (learn(FrameSource(rows, name="t"), SPEC) for rows in (with_box, moved))

    report = check_profiles(now, before)

    unknown = {v.column: v.reason for v in report.verdicts if v.status == "inconclusive" and not v.segment}
    assert "measured apart" in unknown["place"]
    assert {v.column for v in report.verdicts if v.status == "fail"} == {"box"}, "it is missing in the current table"


def test_profiles_made_apart_without_samples_cannot_be_compared() -> None:
    """There is nothing to compare by, and one message says how to go on."""
    bare = learn(FrameSource(table(2), name="t"), SPEC, census=False)
    with pytest.raises(CallError, match="killick profile CURRENT --reference"):
        check_profiles(bare, REFERENCE)


def test_a_profile_may_stand_on_either_side(tmp_path: Path) -> None:
    """Four ways to ask the same: tables, and files of one fit, give the same statuses."""
    REFERENCE.save(tmp_path / "r.killick")
    measure_source(FrameSource(TABLE, name="c"), REFERENCE.fit).save(tmp_path / "c.killick")
    expected = [(v.check, v.column, v.segment, v.status) for v in killick.check(TABLE, table(1), SPEC).verdicts]

    for current in (TABLE, tmp_path / "c.killick", killick.Profile.load(tmp_path / "c.killick")):
        report = killick.check(current, tmp_path / "r.killick")
        assert [(v.check, v.column, v.segment, v.status) for v in report.verdicts] == expected


def test_a_spec_beside_a_profile_is_refused(tmp_path: Path) -> None:
    """A profile was measured by its own spec; another one given beside it could only be ignored."""
    REFERENCE.save(tmp_path / "r.killick")
    for current, reference in ((TABLE, tmp_path / "r.killick"), (tmp_path / "r.killick", table(1))):
        with pytest.raises(CallError, match="spec: cannot be given beside a profile"):
            killick.check(current, reference, SPEC)


# ------------------------------------------------------------------------------------------------ golden files


def test_version_1_of_a_table_loads_for_ever() -> None:
    """What the first release wrote, number by number. This test is never changed; see tests/golden/write.py."""
    held = unpack_table((GOLDEN / "table-1.killick").read_bytes(), TableProfile, name="table-1.killick")

    assert held.fit.spec.model == "golden"
    assert {name: one.kind for name, one in held.columns.items()} == {
        "temp": "numeric",
        "carrier": "categorical",
        "weekend": "boolean",
        "score": "numeric",
        "delayed": "boolean",
        "flight_id": None,
        "departs_at": None,
    }
    assert (held.extent.rows, held.extent.start, held.extent.end) == (200, 1_704_067_200_000_000, 1_704_783_600_000_001)
    assert held.middle == 1_704_434_062_500_000
    assert sorted(held.reference.profiles) == [(), (("carrier", "B6"),), (("carrier", "DL"),), (("carrier", "UA"),)]
    assert [held.reference.profiles[key].rows for key in sorted(held.reference.profiles)] == [200, 100, 50, 50]
    assert sum(healthy.profiles[()].rows for healthy in held.reference.windows) == 200
    assert held.census is not None
    assert held.census.rows == 200


def test_version_1_of_a_census_loads_for_ever() -> None:
    """What the first release wrote, number by number. This test is never changed; see tests/golden/write.py."""
    census = unpack_census((GOLDEN / "census-1.bin").read_bytes())

    assert census.rows == 200
    assert sorted(census.values) == ["carrier", "temp", "weekend"]
    assert sorted(census.sizes) == ["temp"]
    assert census.sample_rows().height == 200
    assert census.faults.scored == 200
    assert sum(held[0].sum() for held in census.residuals.values()) > 0


def test_a_golden_table_is_judged_as_it_was() -> None:
    """It is no museum piece: it loads into a profile that checks and is checked."""
    profile = TableProfile.load(GOLDEN / "table-1.killick")

    report = check_profiles(profile, profile)

    assert report.status == "ok"
    assert report.tests > 0


def shape(value: object) -> object:
    """What a map holds, but for compressed bytes and for hashes, which other builds may make otherwise."""
    if isinstance(value, dict):
        return {key: shape(held) for key, held in value.items() if key not in ("hashed_by", "theta", "sample_theta")}
    if isinstance(value, list):
        return [shape(held) for held in value]
    return type(value) if isinstance(value, bytes | float) else value


@pytest.mark.parametrize("name", ["census-1.bin", "table-1.killick"])
def test_what_is_written_now_is_what_was_written_then(name: str) -> None:
    """While the schema is the first, so is what is in it; a change of format needs a new schema and a new file."""
    written = {"census-1.bin": golden_census, "table-1.killick": golden_table}[name]()
    assert shape(msgspec.msgpack.decode(written)) == shape(msgspec.msgpack.decode((GOLDEN / name).read_bytes()))

"""Whatever arrives in whatever order and however often: each prediction counts once, with its latest label."""

from collections import Counter

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.engine.identities import KEY
from killick.engine.joining import AT, FIRST_KNOWN, IS_SHADOW, LABEL_SCHEMA, OWNER, RECEIVED_AT, join, prediction_schema
from killick.spec.document import Schema, Spec
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, SCORE

SPEC = Spec(model="m", task="binary", schema=Schema())
LIVE, CANARY, SHADOW = range(3)
COUNTED = [KEY, OWNER, KNOWN_AT, LABEL, FIRST_KNOWN]

predictions = st.tuples(st.integers(0, 5), st.sampled_from([LIVE, CANARY, SHADOW]))
labels = st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 2), st.integers(0, 1))
rounds = st.lists(st.tuples(st.lists(predictions, max_size=5), st.lists(labels, max_size=5)), max_size=6)


def as_labels(told):
    """Labels as they come: key, when known, when received, what."""
    rows = [{KEY: key, KNOWN_AT: at, RECEIVED_AT: came, LABEL: label, FIRST_KNOWN: at} for key, at, came, label in told]
    return pl.DataFrame(rows, schema=LABEL_SCHEMA)


class Ledger:
    """All that was counted, as lists of rows: what the runs on disk hold."""

    def __init__(self) -> None:
        self.counted = pl.DataFrame(schema=prediction_schema(SPEC))
        self.known = pl.DataFrame(schema=LABEL_SCHEMA)
        self.sum: Counter[tuple[int, int, int, float, int]] = Counter()
        self.predictions: Counter[tuple[int, int]] = Counter()

    def live_through(self, came: list[tuple[int, int]], told: list[tuple[int, int, int, int]]) -> None:
        """Join a round, and add up what it gains and loses."""
        rows = {KEY: [key for key, _ in came], OWNER: [owner for _, owner in came]}
        coming = pl.DataFrame(rows, schema={KEY: pl.UInt64, OWNER: pl.UInt16}).select(
            KEY,
            pl.lit(7, pl.Int64).alias(EVENT_TIME),
            OWNER,
            pl.lit(0.5).alias(SCORE),
            (pl.col(OWNER) == SHADOW).alias(IS_SHADOW),
            pl.int_range(pl.len(), dtype=pl.UInt32).alias(AT),
        )
        telling = as_labels(told)
        keys = {*coming[KEY], *telling[KEY]}
        counted = self.counted.filter(pl.col(KEY).is_in(keys)).with_columns((pl.col(OWNER) == SHADOW).alias(IS_SHADOW))
        joined = join(coming, telling, counted, self.known.filter(pl.col(KEY).is_in(keys)))
        self.counted = pl.concat([self.counted, joined.fresh.drop(AT)])
        self.known = pl.concat([self.known, joined.latest])
        self.predictions.update(joined.fresh.select(KEY, OWNER).iter_rows())
        self.sum.update(joined.gained.select(COUNTED).iter_rows())
        self.sum.subtract(Counter(joined.lost.select(COUNTED).iter_rows()))


def answered_first(story):
    """What counts: of each key the first answer, every shadow once, the latest label, and when the first was."""
    owners: dict[int, set[int]] = {}
    latest: dict[int, tuple[int, int, int]] = {}
    first: dict[int, int] = {}
    for came, told in story:
        for key, owner in came:
            held = owners.setdefault(key, set())
            if owner == SHADOW or not held - {SHADOW}:
                held.add(owner)
        for key, *order in told:
            latest[key] = max(latest.get(key, tuple(order)), tuple(order))
            first[key] = min(first.get(key, order[0]), order[0])
    return owners, latest, first


@settings(max_examples=200)
@given(rounds)
def test_each_prediction_counts_once_with_its_latest_label(story):
    """Outcomes before their predictions, copies of both, corrections back and forth, shadows, all of it mixed."""
    ledger = Ledger()
    for came, told in story:
        ledger.live_through(came, told)
    owners, latest, first = answered_first(story)
    assert dict(ledger.predictions) == {(key, owner): 1 for key, held in owners.items() for owner in held}
    expected = {
        (key, owner, latest[key][0], float(latest[key][2]), first[key]): 1
        for key, held in owners.items()
        for owner in held
        if key in latest
    }
    assert {row: number for row, number in ledger.sum.items() if number} == expected


@settings(max_examples=100)
@given(st.lists(labels, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_labels_arrive_decides_nothing(told, random):
    """One at a time or together, forwards or shuffled: the same labels are counted."""
    together, shuffled = Ledger(), Ledger()
    together.live_through([(key, LIVE) for key in range(4)], told)
    random.shuffle(told)
    shuffled.live_through([(key, LIVE) for key in range(2)], [])
    for one in told:
        shuffled.live_through([], [one])
    shuffled.live_through([(key, LIVE) for key in range(4)], [])
    assert +together.sum == +shuffled.sum


def test_a_label_whose_prediction_never_came_is_told():
    """Each once, however often it comes."""
    ledger = Ledger()
    ledger.live_through([(1, LIVE)], [])
    empty = pl.DataFrame(schema=prediction_schema(SPEC)).with_columns(pl.lit(value=False).alias(IS_SHADOW))
    nobody = empty.with_columns(pl.lit(0, pl.UInt32).alias(AT))
    told = as_labels([(8, 1, 0, 1), (8, 2, 0, 1), (9, 1, 0, 0)])
    assert join(nobody, told, empty, pl.DataFrame(schema=LABEL_SCHEMA)).unmatched == 2

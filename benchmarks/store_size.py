"""What 90 days of 200 models weigh in the control store: a sample is stored for real, the rest is its multiple.

A model has 100 columns (80 numeric of several shapes, 20 categorical), a score, labels and 20 segments besides the
whole, and gets 20,000 predictions an hour. An hour and a day of it are profiled; one model's 90 days are put into a
SQLite store by the engine's own rule, the newest eight days as hours and the others as days, and the file is weighed.

    python -m benchmarks store_size              a minute on one core; it needs 1 GB and 200 MB of disk
"""

from __future__ import annotations

import tempfile
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.table import Row
from killick.adapters.control import open_control
from killick.clock import DAY, HOUR, Window
from killick.engine.measure import learn_scale, profile_batch, profile_labels
from killick.engine.turns import FINE_FOR
from killick.profiles.categorical import CategoricalScale
from killick.profiles.codec import pack_profile, unpack_profile
from killick.profiles.numeric import NumericScale
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.ports.control import ProfileKey
    from killick.profiles.profile import Profile
    from killick.profiles.scale import Scale

MODELS, DAYS, SEGMENTS = 200, 90, 20
NUMERIC, CATEGORICAL, ROWS_AN_HOUR = 80, 20, 20_000
BUDGET_GIGABYTES = 20.0
BEGIN = 20_000 * DAY
SPEC = parse_spec("""
killick: 1
model: m
task: binary
schema: {prediction_id: id, event_time: at, score: p, label: {column: y, known_at: then}}
segments: [c0]
""")


def make_rows(rng: np.random.Generator, start: int, rows: int) -> pl.DataFrame:
    """Return predictions of one hour, with their labels: numbers of the shapes that tables have, skewed categories."""
    shapes = (
        lambda: rng.normal(50, 10, rows),
        lambda: rng.lognormal(3, 1, rows).round(2),  # money
        lambda: rng.poisson(4, rows).astype(float),
        lambda: np.where(rng.random(rows) < 0.7, 0.0, rng.exponential(5, rows)),  # mostly nothing  # noqa: PLR2004
        lambda: np.where(rng.random(rows) < 0.05, np.nan, rng.uniform(-1, 1, rows)),  # sometimes missing  # noqa: PLR2004
    )
    columns: dict[str, object] = {f"x{at}": shapes[at % len(shapes)]() for at in range(NUMERIC)}
    for at in range(CATEGORICAL):
        kinds = SEGMENTS if at == 0 else 5 + 3 * at
        weights = 1 / np.arange(1, kinds + 1)
        columns[f"c{at}"] = rng.choice([f"k{kind}" for kind in range(kinds)], rows, p=weights / weights.sum())
    score = rng.beta(2, 5, rows)
    label = rng.random(rows) < score
    times = start + np.sort(rng.integers(0, HOUR, rows))
    columns |= {"event_time": times, "known_at": times + HOUR, "score": score, "label": label.astype(np.int64)}
    columns["latency_seconds"] = rng.gamma(2, 0.01, rows)
    said = {"version": "v1", "role": "live", "response_status": "ok"}
    return pl.DataFrame(columns).with_columns(
        *(pl.lit(value).alias(name) for name, value in said.items()),
        pl.int_range(rows).cast(pl.String).alias("prediction_id"),
    )


def make_profiles(rng: np.random.Generator, scale: Scale, start: int) -> dict[ProfileKey, Profile]:
    """Profile an hour: features, scores and labels, of the whole and by segment."""
    rows = make_rows(rng, start, ROWS_AN_HOUR)
    found = profile_batch(scale, rows, SPEC, HOUR)
    for key, profile in profile_labels(scale, rows, SPEC, HOUR).items():
        found[key] = found[key] + profile
    return found


def main() -> list[Row]:
    """Store a model's 90 days, weigh them, and tell what all models would weigh."""
    rng = np.random.default_rng(4)
    scale = learn_scale(make_rows(rng, BEGIN, 50_000), SPEC)
    hours = [make_profiles(rng, scale, BEGIN + at * HOUR) for at in range(DAY // HOUR)]
    day: dict[ProfileKey, Profile] = {}
    for hour in hours:
        for key, profile in hour.items():
            place = key._replace(window=Window(BEGIN, BEGIN + DAY))
            day[place] = day[place] + profile if place in day else profile
    print(f"{NUMERIC + CATEGORICAL} columns: {scale.counts_width:,} counts and {scale.sums_width:,} sums a profile")
    fine = [{key: pack_profile(profile) for key, profile in hour.items()} for hour in hours]
    coarse = {key: pack_profile(profile) for key, profile in day.items()}
    for packed, profiles in ((fine[0], hours[0]), (coarse, day)):
        for key, body in packed.items():
            read = unpack_profile(body, scale)
            assert (read.counts == profiles[key].counts).all()
            assert (read.sums == profiles[key].sums).all()
    tell("an hour", hours[0])
    tell("a day", day)
    stored, profiles = weigh(scale, fine, coarse)
    gigabytes = stored * MODELS / 1e9
    bodies = (FINE_FOR // DAY * sum(map(_weight, fine)) + (DAYS - FINE_FOR // DAY) * _weight(coarse)) * MODELS / 1e9
    print(
        f"one model: {profiles:,} profiles, {stored / 1e6:,.1f} MB on disk; bodies are {bodies / gigabytes:.0%} of it"
    )
    what = f"control store of {MODELS} models x {NUMERIC + CATEGORICAL} columns x {SEGMENTS} segments, {DAYS} days"
    return [Row(what, gigabytes * 1000, "MB", budget=BUDGET_GIGABYTES * 1000)]


def weigh(scale: Scale, hours: list[dict[ProfileKey, bytes]], day: Mapping[ProfileKey, bytes]) -> tuple[int, int]:
    """Store one model's days, as bodies that repeat from day to day; return the file's bytes and how many profiles."""
    number = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "control.sqlite")
        control = open_control(path)
        for at in range(DAYS):
            is_fine = at >= DAYS - FINE_FOR // DAY
            with control.transaction() as t:
                for held in hours if is_fine else [day]:
                    moved = {key._replace(window=key.window.shifted(at * DAY)): body for key, body in held.items()}
                    t.add_profiles("m", scale.fingerprint, moved)
                    number += len(moved)
        control.close()
        return path.stat().st_size, number


def tell(what: str, profiles: Mapping[ProfileKey, Profile]) -> None:
    """Print what a packed profile weighs, and which of its parts."""
    sizes = sorted(len(pack_profile(profile)) for profile in profiles.values())
    whole = max(profiles.values(), key=lambda profile: profile.rows)
    shares: Counter[str] = Counter()
    for part in whole.scale.parts:
        kind = {NumericScale: "numeric", CategoricalScale: "categorical"}.get(type(part), "score, outcome, service")
        counts, sums = whole.counts[whole.scale.counts[part.column]], whole.sums[whole.scale.sums[part.column]]
        shares[f"{kind} counts"] += len(zlib.compress(counts.tobytes(), level=1))
        shares[f"{kind} sums"] += len(zlib.compress(sums.tobytes(), level=1))
    total = sum(shares.values())
    told = ", ".join(f"{name} {share / total:.0%}" for name, share in shares.most_common())
    mean = sum(sizes) / len(sizes)
    print(f"{what}: {mean:,.0f} bytes a profile ({sizes[0]:,} to {sizes[-1]:,}); {told}")


def _weight(packed: Mapping[ProfileKey, bytes]) -> int:
    return sum(map(len, packed.values()))

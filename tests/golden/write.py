"""Write the golden files of the formats that this version writes; needs to be asked for in so many words.

    python tests/golden/write.py --i-am-adding-a-new-schema

Files that are there are never written again: what a release has written must load for ever. A change of format gets a
new schema (`killick.profile/2`), a new file beside the old ones, and a reader for both.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.engine.check import learn
from killick.engine.saved import pack_table
from killick.ports.tables import FrameSource
from killick.profiles.census_codec import pack_census
from killick.profiles.codec import pack_profile, pack_scale
from killick.profiles.kpis import fit_kpi
from killick.profiles.outcome_rows import Outcomes
from killick.profiles.profile import Profile, profile_outcomes, profile_rows
from killick.profiles.scale import Scale, fit_scale
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from killick.engine.table_profile import TableProfile

FOLDER = Path(__file__).parent
VERSION = 1


def golden() -> tuple[Scale, Profile]:
    """Return a scale with every kind of column, and a profile of rows with every oddity, made without chance."""
    rows = 200
    at = np.arange(rows)
    table = pl.DataFrame(
        {
            "temp": pl.Series(np.round(50 + 30 * np.sin(at), 1)),
            "precip": pl.Series(np.where(at % 5 == 0, at / 100, 0.0)),
            "carrier": pl.Series(np.array(["UA", "B6", "DL", "Zürich ✈"])[at * at % 4]),
            "weekend": pl.Series(at % 7 > 4),
            "score": pl.Series(at % 101 / 100),
        }
    )
    kinds = {"temp": "numeric", "precip": "numeric", "carrier": "categorical", "weekend": "boolean"}
    scale = fit_scale(table, kinds, ranges={"temp": (-40.0, 130.0)}, score="score", outcome="label", threshold=0.4)
    scale = replace(scale, kpis=(fit_kpi(pl.Series("cost", at % 13 / 2)),))
    odd = pl.DataFrame(
        {
            "temp": [None, float("nan"), float("inf"), float("-inf"), 1e308, 900.0],
            "precip": [None, 0.0, 0.0, 1e-300, 5.0, -1.0],
            "carrier": [None, "", "XX", "UA", "UA", "UA"],
            "weekend": [None, True, True, True, False, None],
            "score": [None, float("nan"), 1.5, 0.0, 1.0, 0.3],
        },
        schema=table.schema,
    )
    held = pl.concat([table, odd])
    one = np.zeros(held.height, np.int64)
    (features,) = profile_rows(scale, held, one, 1)
    row = np.arange(held.height)
    known = Outcomes(labels=pl.Series(row % 3 % 2), scores=held["score"], kpis={"cost": pl.Series(row % 11 / 2)})
    (outcomes,) = profile_outcomes(scale, known, one, 1)
    return scale, features + outcomes


def golden_profile() -> TableProfile:
    """Return a table profile with segments, windows, outcomes and a census, made without chance."""
    rows = 200
    at = np.arange(rows)
    table = pl.DataFrame(
        {
            "flight_id": at + 2**40,
            "departs_at": pl.Series(1_704_067_200 + 3_600 * at) * 1_000_000,
            "temp": np.round(50 + 30 * np.sin(at), 1),
            "carrier": np.array(["UA", "B6", "DL", "B6"])[at % 4],
            "weekend": at % 7 > 4,
            "score": at % 101 / 100,
            "delayed": at % 3 == 0,
        }
    ).with_columns(pl.col("departs_at").cast(pl.Datetime("us", "UTC")))
    spec = parse_spec(
        "killick: 1\nmodel: golden\ntask: binary\nsegments: [carrier]\n"
        "schema: {prediction_id: flight_id, event_time: departs_at, score: score, label: delayed}\n"
    )
    return learn(FrameSource(table, name="reference"), spec)


def golden_table() -> bytes:
    """Return that table profile's bytes."""
    return pack_table(golden_profile())


def golden_census() -> bytes:
    """Return the bytes of its census."""
    census = golden_profile().census
    assert census is not None
    return pack_census(census)


def main() -> int:
    """Write what is not there yet."""
    if "--i-am-adding-a-new-schema" not in sys.argv:
        sys.stderr.write(__doc__ or "")
        return 2
    scale, profile = golden()
    for name, content in (
        (f"scale-{VERSION}.json", pack_scale(scale)),
        (f"profile-{VERSION}.bin", pack_profile(profile)),
        (f"census-{VERSION}.bin", golden_census()),
        (f"table-{VERSION}.killick", golden_table()),
    ):
        if (FOLDER / name).exists():
            sys.stderr.write(f"{name} is there, and stays\n")
        else:
            (FOLDER / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())

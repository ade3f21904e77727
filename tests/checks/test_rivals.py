"""Other tools' rules: the same numbers as their own formulas on raw rows, and mistakes that are told clearly."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from killick.checks.rivals import Held, Rule, judge, parse_rules
from killick.errors import CallError
from killick.profiles.profile import Profile, profile_rows, stack
from killick.profiles.scale import fit_scale

if TYPE_CHECKING:
    from killick.checks.rivals import Said
    from killick.profiles.scale import Scale

TOWNS = ["Ulm", "Jena", "Bonn"]


def table(rng: np.random.Generator, rows: int, shift: float = 0.0, ulm: float = 0.4) -> pl.DataFrame:
    """Draw rows: a normal number, and a town."""
    rest = (1.0 - ulm) / 2.0
    return pl.DataFrame(
        {"temp": rng.normal(50 + 10 * shift, 10, rows), "town": rng.choice(TOWNS, rows, p=[ulm, rest, rest])}
    )


def held(scale: Scale, tables: list[pl.DataFrame], column: str) -> Held:
    """Profile each table as a window."""
    profiles = [profile_rows(scale, rows, np.zeros(rows.height, np.int64), 1)[0] for rows in tables]
    return Held(*stack(profiles or [Profile.empty(scale)], column))


def ask(
    text: str,
    reference: pl.DataFrame,
    windows: list[pl.DataFrame],
    column: str,
    healthy: list[pl.DataFrame] | None = None,
) -> Said:
    """Ask one rule about one column."""
    scale = fit_scale(reference, {"temp": "numeric", "town": "categorical"})
    (rule,) = parse_rules(text)
    sides = (held(scale, side, column) for side in ([reference], healthy or [], windows))
    return judge(rule, scale[column], *sides)


def turns_at(values: list[float], said_above: dict[float, list[bool]]) -> bool:
    """Whether a rule alarms in exactly those windows whose value is above its threshold."""
    return all(said == [value > limit for value in values] for limit, said in said_above.items())


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded generator."""
    return np.random.default_rng(8)


def drifting(rng: np.random.Generator) -> list[pl.DataFrame]:
    """Windows that drift more and more."""
    return [table(rng, 4000, shift, 0.4 + shift / 4) for shift in (0.0, 0.1, 0.2, 0.4, 0.8)]


def asked(kind: str, limits: list[float], reference: pl.DataFrame, windows: list[pl.DataFrame], column: str):
    """Ask a rule with several thresholds."""
    return {limit: ask(f"{kind}>{limit}", reference, windows, column).alarms.tolist() for limit in limits}


def test_psi_is_that_of_ten_quantile_bins(rng: np.random.Generator) -> None:
    """The witness cuts the raw reference at its deciles."""
    reference, windows = table(rng, 20_000), drifting(rng)
    cuts = np.quantile(reference["temp"], np.arange(1, 10) / 10, method="inverted_cdf")

    def shares(rows: pl.DataFrame) -> np.ndarray:
        return np.bincount(np.searchsorted(cuts, rows["temp"]), minlength=10) / rows.height

    p = shares(reference)
    values = [float(((q - p) * np.log(q / p)).sum()) for q in map(shares, windows)]

    # Halfway between two windows' values, where rounding decides nothing.
    limits = [round((a + b) / 2, 4) for a, b in pairwise(values)]
    assert turns_at(values, asked("psi", limits, reference, windows, "temp"))
    # A shift of 0.45 standard deviations is what a PSI of 0.2 means.
    assert ask("psi>0.2", reference, windows, "temp").alarms.tolist() == [False, False, False, False, True]


def test_jensen_shannon_and_psi_of_categories_are_scipys(rng: np.random.Generator) -> None:
    """The witness counts towns."""
    reference, windows = table(rng, 20_000), drifting(rng)
    p, *each = (np.array([(rows["town"] == town).mean() for town in TOWNS]) for rows in (reference, *windows))
    distances = [float(jensenshannon(p, q)) for q in each]
    divergences = [float(stats.entropy(p, q) + stats.entropy(q, p)) for q in each]

    for kind, values in (("js", distances), ("wasserstein", distances), ("psi", divergences)):
        limits = [round((a + b) / 2, 5) for a, b in pairwise(values)]
        assert turns_at(values, asked(kind, limits, reference, windows, "town")), kind


def test_wasserstein_is_in_standard_deviations_of_the_raw_reference(rng: np.random.Generator) -> None:
    """The witness sorts all rows. One value of a million in the reference hides any shift, as it does there."""
    reference, windows = table(rng, 20_000), drifting(rng)
    norm = float(reference["temp"].to_numpy().std())
    values = [float(stats.wasserstein_distance(reference["temp"], rows["temp"])) / norm for rows in windows]
    limits = [round((a + b) / 2, 3) for a, b in pairwise(values[1:])]

    assert turns_at(values, asked("wasserstein", [0.1, *limits], reference, windows, "temp"))
    spoiled = pl.concat([reference, pl.DataFrame({"temp": [1e6], "town": ["Ulm"]})])
    assert not ask("wasserstein>0.1", spoiled, windows, "temp").alarms.any()


def test_ks_alarms_no_more_often_than_that_of_the_rows(rng: np.random.Generator) -> None:
    """Binned, the statistic is the lower end of its bracket; far from the threshold both say the same."""
    reference = table(rng, 2000)
    windows = [table(rng, 300, shift) for shift in np.repeat([0.0, 0.1, 0.5], 40)]
    p_values = np.array([stats.ks_2samp(reference["temp"], rows["temp"]).pvalue for rows in windows])

    said = ask("ks", reference, windows, "temp").alarms

    assert not (said & (p_values >= 0.05)).any()
    assert said[p_values < 0.002].all()
    # It is no rule that keeps silent: without drift it alarms nearly as often as its level says.
    assert said[80:].all()


def test_the_chi_square_of_categories_is_scipys(rng: np.random.Generator) -> None:
    """At every window the same side of five percent."""
    reference = table(rng, 2000)
    windows = [table(rng, 300, ulm=ulm) for ulm in np.repeat([0.4, 0.47], 40)]
    count = [[(rows["town"] == town).sum() for town in TOWNS] for rows in (reference, *windows)]
    p_values = [stats.chi2_contingency([count[0], one], correction=False).pvalue for one in count[1:]]

    assert ask("ks", reference, windows, "town").alarms.tolist() == [p < 0.05 for p in p_values]


def test_three_sigma_learns_from_the_references_own_windows(rng: np.random.Generator) -> None:
    """The witness computes mean + 3 deviations of base-2 distances of the towns by SciPy."""
    healthy = [table(rng, 500) for _ in range(10)]
    reference = pl.concat(healthy)
    windows = [table(rng, 500, ulm=ulm) for ulm in np.repeat([0.4, 0.43, 0.46], 10)]
    p, *each = (np.array([(rows["town"] == town).mean() for town in TOWNS]) for rows in (reference, *healthy, *windows))
    distances = np.array([jensenshannon(p, q, base=2) for q in each])
    limit = distances[:10].mean() + 3 * distances[:10].std()

    said = ask("3sigma", reference, windows, "town", healthy)

    assert said.alarms.tolist() == (distances[10:] > limit).tolist()
    assert 0 < said.alarms.sum() < len(windows)


@pytest.mark.parametrize("text", ["psi>0.2", "js>0.1", "wasserstein>0.1", "ks", "3sigma"])
@pytest.mark.parametrize("column", ["temp", "town"])
def test_what_cannot_be_known_is_no_alarm_and_not_counted_as_judged(
    text: str, column: str, rng: np.random.Generator
) -> None:
    """No rows, all missing, and a reference without windows for 3sigma; infinities and 1e12 break nothing."""
    reference = table(rng, 500)
    nothing = reference.clear()
    missing = reference.with_columns(pl.lit(None, pl.Float64).alias("temp"), pl.lit(None, pl.String).alias("town"))
    odd = pl.DataFrame({"temp": [np.inf, -np.inf, np.nan, 1e12, 50.0], "town": ["", "Mars", None, "Ulm", "Ulm"]})

    said = ask(text, reference, [nothing, missing, odd], column)

    assert said.known.tolist() == [False, False, text != "3sigma"]
    assert not said.alarms[:2].any()


def test_a_constant_column_never_alarms_while_it_stays_so() -> None:
    """There is one bin that counts, and no spread."""
    same = pl.DataFrame({"temp": [7.0] * 100, "town": ["Ulm"] * 100})
    for rule in parse_rules("psi>0.2,js>0.1,wasserstein>0.1,ks"):
        for column in ("temp", "town"):
            assert not ask(rule.text, same, [same], column).alarms.any(), rule


def test_rules_are_read_as_they_are_written() -> None:
    """Blanks and capitals do not matter; a rule that is named twice counts once."""
    assert parse_rules("PSI > 0.25, ks,3sigma, ks") == (
        Rule("psi>0.25", "psi", 0.25),
        Rule("ks", "ks", 0.05),
        Rule("3sigma", "sigma", 3.0),
    )


def test_every_word_that_is_no_rule_is_named_at_once() -> None:
    """A threshold that a shell took away is told apart from a word that nobody knows."""
    with pytest.raises(CallError) as caught:
        parse_rules("psi,ks,psy>0.2,js>x,-3sigma")

    said = [str(mistake) for mistake in caught.value.mistakes]
    assert [mistake.value for mistake in caught.value.mistakes] == ["psi", "psy>0.2", "js>x", "-3sigma"]
    assert "'psi>0.2'" in said[0]
    assert "quote" in said[0]
    assert all("3sigma" in one for one in said[1:])


def test_no_rule_at_all_is_a_mistake() -> None:
    """An empty list would compare with nobody."""
    with pytest.raises(CallError, match="names no rule"):
        parse_rules(" , ")

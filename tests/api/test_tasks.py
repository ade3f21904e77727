"""The three tasks, end to end: quiet on more of the same, found when model or world got worse, exact numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from sklearn import metrics

import killick
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick import Report, Spec
    from killick.checks.verdict import Verdict

ROWS = 4_000
CLASSES = np.array(["ash", "beech", "oak"])


def spec_of(task: str, schema: str, more: str = "") -> Spec:
    """A spec of a few lines."""
    return parse_spec(f"killick: 1\nmodel: m\ntask: {task}\nschema: {{{schema}}}\n{more}\n")


BINARY = spec_of("binary", "score: s, decision: d, label: y")
MULTICLASS = spec_of("multiclass", "decision: d, label: y")
SCORES = spec_of("multiclass", "score: {ash: p_ash, beech: p_beech, oak: p_oak}, label: y")
REGRESSION = spec_of("regression", "score: s, label: y")
KPIS = spec_of("binary", "score: s, kpis: {cost: {better: lower}, margin: {better: higher}, clicks: {}}")


def logistic(z: np.ndarray) -> np.ndarray:
    """Log odds as a probability."""
    return 1.0 / (1.0 + np.exp(-z))


def binary(seed: int, *, noise: float = 0.0, shift: float = 0.0, change: float = 0.0) -> pl.DataFrame:
    """A model that knows the odds, plus noise; inputs may move, and the odds of large `x` may change."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(shift, 1, ROWS), rng.normal(size=ROWS)
    odds = 1.5 * x + 0.5 * z
    score = logistic(odds + noise * rng.normal(size=ROWS))
    label = rng.uniform(size=ROWS) < logistic(odds + change * (x > 0))
    return pl.DataFrame({"x": x, "z": z, "s": score, "d": score > 0.5, "y": label})


def classes(seed: int, *, confused: float = 0.0) -> pl.DataFrame:
    """A model that knows the odds of three classes, and takes each for the next in a share of the rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, 3))
    true = np.exp(1.5 * x) / np.exp(1.5 * x).sum(axis=1, keepdims=True)
    label = (rng.uniform(size=(ROWS, 1)) > true.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    scores = np.where(rng.uniform(size=(ROWS, 1)) < confused, true[:, [1, 2, 0]], true)
    parts = {f"p_{name}": scores[:, at] for at, name in enumerate(CLASSES)}
    return pl.DataFrame({"x": x[:, 0], **parts, "d": CLASSES[scores.argmax(axis=1)], "y": CLASSES[label]})


def decided(seed: int, *, confused: float = 0.0) -> pl.DataFrame:
    """The same with a decision and no scores."""
    return classes(seed, confused=confused).select("x", "d", "y")


def scored(seed: int, *, confused: float = 0.0) -> pl.DataFrame:
    """The same with a score for each class and no decision."""
    return classes(seed, confused=confused).drop("d")


def values(seed: int, *, noise: float = 1.0, bias: float = 0.0, shift: float = 0.0, slope: float = 0.0) -> pl.DataFrame:
    """A model that knows the mean of a number; errors may grow, be biased, or come to depend on `x`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, ROWS)
    return pl.DataFrame({"x": x, "s": 2 * x, "y": 2 * x + bias + slope * x + rng.normal(0, noise, ROWS)})


def failing(report: Report, check: str) -> set[str | None]:
    """What fails in a check: columns, or metrics of what has none."""
    return {v.column or v.metric for v in report.verdicts if v.status == "fail" and v.check == check}


def measured(report: Report) -> dict[str, Verdict]:
    """The metrics of all rows."""
    return {v.metric: v for v in report.verdicts if v.check == "performance.realised"}


TASKS: dict[str, tuple[Spec, Callable[[int], pl.DataFrame], pl.DataFrame, set[str]]] = {
    "binary": (BINARY, binary, binary(3, noise=2.0), {"log_loss", "roc_auc", "error_rate", "calibration_error"}),
    "multiclass": (MULTICLASS, decided, decided(3, confused=0.3), {"error_rate", "f1_macro"}),
    "a score for each class": (
        SCORES,
        scored,
        scored(3, confused=0.3),
        {"log_loss", "error_rate", "f1_macro", "calibration_error"},
    ),
    "regression": (REGRESSION, values, values(3, noise=1.3), {"mae"}),
    "regression with a bias": (REGRESSION, values, values(3, bias=0.4), {"bias"}),
}


@pytest.mark.parametrize("name", TASKS)
def test_more_of_the_same_is_quiet_and_a_worse_model_is_found(name: str) -> None:
    """Every metric that is a test fails when the model got worse, and none does on a second sample."""
    spec, world, worse, expected = TASKS[name]

    quiet, loud = (killick.check(table, world(1), spec) for table in (world(2), worse))

    assert quiet.status == "ok", quiet.headline
    assert not [v for v in quiet.verdicts if v.status == "inconclusive"]
    assert failing(loud, "performance.realised") == expected
    assert "worse" in loud.headline


def test_binary_metrics_are_those_of_scikit_learn() -> None:
    """Exact, but for ties: scores in the same hundredth count as one for the two areas."""
    table = binary(2)
    found = measured(killick.check(table, binary(1), BINARY))
    truth, score, decision = (table[name].to_numpy() for name in ("y", "s", "d"))

    exact = {
        "log_loss": metrics.log_loss(truth, score),
        "brier": metrics.brier_score_loss(truth, score),
        "error_rate": 1 - metrics.accuracy_score(truth, decision),
        "accuracy": metrics.accuracy_score(truth, decision),
        "f1": metrics.f1_score(truth, decision),
        "precision": metrics.precision_score(truth, decision),
        "recall": metrics.recall_score(truth, decision),
    }
    assert {name: found[name].value for name in exact} == pytest.approx(exact, rel=1e-9)
    assert found["roc_auc"].value == pytest.approx(metrics.roc_auc_score(truth, score), abs=5e-4)
    hundredths = np.floor(score * 100).clip(0, 99)
    assert found["average_precision"].value == pytest.approx(metrics.average_precision_score(truth, score), abs=5e-3)
    assert found["roc_auc"].value == pytest.approx(metrics.roc_auc_score(truth, hundredths), abs=1e-3)


@pytest.mark.parametrize(("spec", "world"), [(MULTICLASS, decided), (SCORES, scored)])
def test_multiclass_metrics_are_those_of_scikit_learn(spec: Spec, world: Callable[[int], pl.DataFrame]) -> None:
    """With a decision column, and with the likeliest class of the scores."""
    rows = classes(2)
    found = measured(killick.check(world(2), world(1), spec))
    truth, decision = rows["y"].to_numpy(), rows["d"].to_numpy()

    exact = {
        "error_rate": 1 - metrics.accuracy_score(truth, decision),
        "accuracy": metrics.accuracy_score(truth, decision),
        "f1_macro": metrics.f1_score(truth, decision, average="macro"),
        "f1_weighted": metrics.f1_score(truth, decision, average="weighted"),
        "precision_macro": metrics.precision_score(truth, decision, average="macro"),
        "recall_macro": metrics.recall_score(truth, decision, average="macro"),
    }
    if spec is SCORES:
        exact["log_loss"] = metrics.log_loss(truth, rows.select("p_ash", "p_beech", "p_oak").to_numpy())
    assert {name: found[name].value for name in exact} == pytest.approx(exact, rel=1e-9)


def test_regression_metrics_are_those_of_scikit_learn() -> None:
    """Exact from counts and sums."""
    table = values(2, bias=0.05)
    found = measured(killick.check(table, values(1), REGRESSION))
    truth, said = (table[name].to_numpy() for name in ("y", "s"))

    exact = {
        "mae": metrics.mean_absolute_error(truth, said),
        "rmse": metrics.root_mean_squared_error(truth, said),
        "r2": metrics.r2_score(truth, said),
        "bias": float((said - truth).mean()),
        "quantile_loss": metrics.mean_pinball_loss(truth, said, alpha=0.5),
    }
    assert {name: found[name].value for name in exact} == pytest.approx(exact, rel=1e-9)


# ------------------------------------------------------------------------------------------------ concept drift


@pytest.mark.parametrize(
    ("spec", "reference", "moved", "changed"),
    [
        (BINARY, binary(1), binary(4, shift=0.7), binary(5, change=-1.5)),
        (REGRESSION, values(1), values(4, shift=0.7), values(5, slope=0.6)),
    ],
    ids=["binary", "regression"],
)
def test_a_relation_that_changed_is_told_from_inputs_that_moved(
    spec: Spec, reference: pl.DataFrame, moved: pl.DataFrame, changed: pl.DataFrame
) -> None:
    """Inputs that move take score and label along, and the model stays right; a changed relation moves no input."""
    of_moved, of_changed = killick.check(moved, reference, spec), killick.check(changed, reference, spec)

    assert {"x", "s", "y"} <= failing(of_moved, "drift.univariate")
    assert failing(of_moved, "drift.concept") == set()
    assert failing(of_moved, "performance.realised") == set()
    assert {"x", "s"} <= failing(of_changed, "drift.concept")
    assert not {"x", "s"} & failing(of_changed, "drift.univariate")
    assert failing(of_changed, "performance.realised")


# ------------------------------------------------------------------------------------------------ labels


@pytest.mark.parametrize("coming", ["absent", "null", "some"])
def test_labels_that_come_later_are_no_alarm(coming: str) -> None:
    """What depends on them is inconclusive and says how many are there; the rest is judged, and holds."""
    now = binary(2)
    known = 0 if coming != "some" else 30
    label = pl.when(pl.int_range(pl.len()) < known).then("y")
    current = now.drop("y") if coming == "absent" else now.with_columns(y=label)

    report = killick.check(current, binary(1), BINARY)

    assert report.status == "ok", report.headline
    assert measured(report)["log_loss"].status == "inconclusive"
    assert f"{known} labels are known" in measured(report)["log_loss"].reason
    assert {v.column for v in report.verdicts if v.check == "drift.univariate" and v.status == "ok"} >= {"x", "z", "s"}


@pytest.mark.parametrize("gone", ["absent", "null"])
@pytest.mark.parametrize(
    ("spec", "reference", "current", "declared", "expected"),
    [
        (BINARY, binary(1), binary(2), {"roc_auc": 0.97, "log_loss": 0.52}, {"roc_auc"}),
        (MULTICLASS, decided(1), decided(2), {"error_rate": 0.1}, {"error_rate"}),
        (REGRESSION, values(1), values(2), {"mae": 0.5}, {"mae"}),
    ],
    ids=["binary", "multiclass", "regression"],
)
def test_what_was_declared_at_development_time_stands_in_for_labels(
    gone: str,
    spec: Spec,
    reference: pl.DataFrame,
    current: pl.DataFrame,
    declared: dict[str, float],
    expected: set[str],
) -> None:
    """A reference without labels says nothing of performance; the numbers of the model's card do."""
    written = ", ".join(f"{name}: {value}" for name, value in declared.items())
    schema = {"binary": "score: s, decision: d, label: y", "multiclass": "decision: d, label: y"}
    told = spec_of(
        spec.task,
        schema.get(spec.task, "score: s, label: y"),
        f"versions: [{{name: v1, loader: 'a:b', metrics: {{{written}}}}}]",
    )
    bare = reference.drop("y") if gone == "absent" else reference.with_columns(y=None)

    report, silent = (killick.check(current, bare, one) for one in (told, spec))

    assert failing(report, "performance.realised") == expected
    assert "was declared" in measured(report)[next(iter(expected))].reason
    assert failing(silent, "performance.realised") == set()
    assert measured(silent)[next(iter(expected))].value is not None


def test_an_objective_is_told_where_it_is_missed() -> None:
    """The promise is about a trailing window; a table that misses its level warns, and one that keeps it does not."""
    promise = "objectives: [{{name: ranks, sli: roc_auc, at_least: {}, window: 28d}}]"
    missed, kept = (
        killick.check(binary(2), binary(1), spec_of("binary", "score: s, label: y", promise.format(level)))
        for level in (0.95, 0.7)
    )

    assert measured(kept)["roc_auc"].status == "ok"
    assert measured(missed)["roc_auc"].status in ("warn", "fail"), measured(missed)["roc_auc"].reason


# ------------------------------------------------------------------------------------------------ business


def business(seed: int, *, cost: float = 1.0, margin: float = 1.0, clicks: float = 3.0) -> pl.DataFrame:
    """Scores, and what each prediction came to."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "s": rng.uniform(size=ROWS),
            "cost": rng.gamma(2.0, cost, ROWS),
            "margin": rng.normal(10 * margin, 3, ROWS),
            "clicks": rng.poisson(clicks, ROWS),
        }
    )


MOVES = {
    "nothing": ({}, {}),
    "costs more": ({"cost": 1.3}, {"cost": "fail"}),
    "costs less": ({"cost": 0.7}, {}),
    "earns less": ({"margin": 0.9}, {"margin": "fail"}),
    "earns more": ({"margin": 1.1}, {}),
    "clicks more": ({"clicks": 4.0}, {"clicks": "warn"}),
    "clicks less": ({"clicks": 2.0}, {"clicks": "warn"}),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_business_figure_fails_only_for_the_worse(name: str) -> None:
    """One that does not say what is better warns either way; the mean is that of the rows."""
    moves, expected = MOVES[name]
    table = business(2, **moves)

    report = killick.check(table, business(1), KPIS)

    found = {v.check.removeprefix("business."): v for v in report.verdicts if v.check.startswith("business.")}
    assert {kpi: v.status for kpi, v in found.items() if v.status != "ok"} == expected
    assert {kpi: v.value for kpi, v in found.items()} == pytest.approx({kpi: table[kpi].mean() for kpi in found})

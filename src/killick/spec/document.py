"""The spec as frozen values: what the operator wrote in `killick.yaml`, after every mistake has been refused.

Parsing happens once, in `spec/load.py`; whoever holds a `Spec` need not validate it again. Durations are microseconds,
shares are fractions of 1, money has the unit that stands beside it. Defaults are here, each with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias

from killick.clock import DAY, HOUR, Duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Task: TypeAlias = Literal["binary", "multiclass", "regression"]
Kind: TypeAlias = Literal["numeric", "boolean", "categorical", "text", "timestamp", "embedding"]
Better: TypeAlias = Literal["higher", "lower"]
Mode: TypeAlias = Literal["observe", "recommend", "act"]
Severity: TypeAlias = Literal["page", "ticket", "digest"]
Role: TypeAlias = Literal["live", "canary", "shadow", "fallback", "retired"]

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
KINDS: tuple[Kind, ...] = ("numeric", "boolean", "categorical", "text", "timestamp", "embedding")
WAYS: tuple[Better, ...] = ("higher", "lower")
MODES: tuple[Mode, ...] = ("observe", "recommend", "act")
SEVERITIES: tuple[Severity, ...] = ("page", "ticket", "digest")
METRICS: tuple[str, ...] = (
    *("log_loss", "roc_auc", "error_rate", "calibration_error", "brier"),
    *("average_precision", "accuracy", "f1", "precision", "recall"),
    *("f1_macro", "f1_weighted", "precision_macro", "recall_macro"),
    *("mae", "rmse", "r2", "quantile_loss"),
)
"""What an objective may be about: metrics of a binary model, of a multiclass one, of a regression. A bias is best at 0,
which no single level says."""
UNBOUNDED = frozenset({"log_loss", "mae", "rmse", "r2", "quantile_loss"})
"""Metrics that do not lie between 0 and 1."""
HIGHER_IS_BETTER = frozenset(
    {
        *("roc_auc", "average_precision", "accuracy", "f1", "precision", "recall"),
        *("f1_macro", "f1_weighted", "precision_macro", "recall_macro", "r2"),
    }
)
INCIDENT_KINDS: tuple[str, ...] = ("canary_harm", "data_fault", "objective_missed", "drift")
"""What a playbook may be about: `Playbook.when`."""
DRIFT_METHODS: tuple[str, ...] = (
    "psi",
    "chi_square",
    "g_test",
    "jensen_shannon",
    "hellinger",
    "total_variation",
    "kolmogorov_smirnov",
    "wasserstein",
)
"""By what a column's drift may be measured: `Spec.drift`, `Override.drift`."""
DRIFT_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "ks": "kolmogorov_smirnov",
        "js": "jensen_shannon",
        "chi2": "chi_square",
        "chisquare": "chi_square",
        "g": "g_test",
        "tv": "total_variation",
        "wasserstein1": "wasserstein",
        "emd": "wasserstein",
    }
)
"""What other libraries call them."""
ORDERED_METHODS = frozenset({"kolmogorov_smirnov", "wasserstein"})
"""Methods that need values in an order, and so a numeric column."""
FolderFormat: TypeAlias = Literal["parquet", "csv", "ndjson", "sagemaker", "sagemaker-ground-truth", "bentoml"]
FolderKind: TypeAlias = Literal["predictions", "outcomes"]
FOLDER_FORMATS: Mapping[FolderFormat, tuple[FolderKind, ...]] = MappingProxyType(
    {
        "parquet": ("predictions", "outcomes"),
        "csv": ("predictions", "outcomes"),
        "ndjson": ("predictions", "outcomes"),
        "sagemaker": ("predictions",),
        "sagemaker-ground-truth": ("outcomes",),
        "bentoml": ("predictions",),
    }
)
"""What the files of a watched folder may be, and what each can hold, the usual first: `Folder`."""
ACTIONS: tuple[str, ...] = ("rollback", "fallback", "retrain", "hold", "page", "review")
"""What a playbook may do."""


@dataclass(frozen=True, slots=True)
class Label:
    """Where the truth stands, and when it could be known: in `known_at`, or `delay` after the prediction."""

    column: str
    known_at: str | None = None
    # A label without a time of its own is taken to be known at once: a table that was joined by hand usually is.
    delay: Duration = 0
    positive: str | int | bool | None = None


@dataclass(frozen=True, slots=True)
class Kpi:
    """A business figure of an outcome, such as a cost, with its unit. Unless a way is better, a change only warns."""

    name: str
    unit: str | None = None
    better: Better | None = None


@dataclass(frozen=True, slots=True)
class Schema:
    """Which column plays which part. A column that has a part is not a feature."""

    prediction_id: str | None = None
    event_time: str | None = None
    entity_id: str | None = None
    score: str | None = None
    # By class, for a multiclass model; empty when one column holds the score.
    scores: Mapping[str, str] = field(default_factory=dict)
    decision: str | None = None
    # Above it the decision is positive. One half is the Bayes rule when both errors cost the same.
    decision_threshold: float = 0.5
    version: str | None = None
    latency: str | None = None
    status: str | None = None
    label: Label | None = None
    kpis: tuple[Kpi, ...] = ()
    time_zone: str = "UTC"

    @property
    def columns(self) -> frozenset[str]:
        """The columns that have a part, and so are no features."""
        parts = [
            self.prediction_id,
            self.event_time,
            self.entity_id,
            self.score,
            *self.scores.values(),
            self.decision,
            self.version,
            self.latency,
            self.status,
            *(kpi.name for kpi in self.kpis),
        ]
        if self.label:
            parts += [self.label.column, self.label.known_at]
        return frozenset(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Override:
    """What the operator knows of a feature better than inference does. `range` is inclusive.

    `drift` is one of `DRIFT_METHODS`; None is the default of its kind.
    """

    kind: Kind | None = None
    unit: str | None = None
    range: tuple[float, float] | None = None
    drift: str | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """Which columns are features: those that a pattern of `include` matches and none of `exclude` does."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    override: Mapping[str, Override] = field(default_factory=dict)

    def select(self, columns: Sequence[str]) -> tuple[str, ...]:
        """Return the features among the columns, in their order.

        >>> Features(exclude=("tail_*",)).select(["temp", "tail_number"])
        ('temp',)
        """
        return tuple(
            column
            for column in columns
            if any(fnmatchcase(column, pattern) for pattern in self.include)
            and not any(fnmatchcase(column, pattern) for pattern in self.exclude)
        )


@dataclass(frozen=True, slots=True)
class Band:
    """One key of a segment: a column's values, or, with `bins`, the bands that its numbers fall into.

    Bands are half-open: bins 500 and 1500 cut `<500`, `500-1500` and `>=1500`.
    """

    name: str
    column: str
    bins: tuple[float, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Name the bands that the bins cut.

        >>> Band("haul", "distance", bins=(500.0, 1500.0)).labels
        ('<500', '500-1500', '>=1500')
        """
        cuts = [f"{cut:g}" for cut in self.bins]
        middle = [f"{low}-{high}" for low, high in pairwise(cuts)]
        return (f"<{cuts[0]}", *middle, f">={cuts[-1]}") if cuts else ()


SegmentBy: TypeAlias = tuple[Band, ...]
"""How rows are grouped: one band, or a crossing of several."""


@dataclass(frozen=True, slots=True)
class Value:
    """What each kind of decision is worth, in `unit`: a right one earns, a wrong one costs (negative)."""

    unit: str
    true_positive: float = 0.0
    true_negative: float = 0.0
    false_positive: float = 0.0
    false_negative: float = 0.0


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """How often the rota accepts being called for nothing: at most `budget` times per `per`."""

    rota: str = "default"
    # One needless call a month is what the SRE workbook's burn-rate alerts aim at, and what people bear.
    budget: float = 1.0
    per: Duration = 30 * DAY


@dataclass(frozen=True, slots=True)
class Keep:
    """How fine profiles are kept, and how long."""

    signals: Duration = HOUR
    columns: Duration = HOUR
    days: int = 90


@dataclass(frozen=True, slots=True)
class Objective:
    """A service level: over a trailing `window`, the metric stays `at_most` or `at_least`."""

    name: str
    sli: str
    window: Duration
    at_most: float | None = None
    at_least: float | None = None
    severity: Severity = "ticket"
    runbook: str | None = None

    def holds(self, value: float) -> bool:
        """Whether the value keeps the objective.

        >>> Objective("honest-odds", "log_loss", window=DAY, at_most=0.62).holds(0.7)
        False
        """
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


@dataclass(frozen=True, slots=True)
class VersionSource:
    """A version that can be loaded: `loader` is `module:function`, called without arguments or with `artifact`.

    `metrics` are what it reached when it was made, by the names of `METRICS`.
    """

    name: str
    loader: str
    role: Role | None = None
    artifact: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guardrail:
    """What a canary must not do: be worse than live on a metric by more than a margin (absolute)."""

    metric: str
    worse_by: float


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """How a version goes out: through growing shares, each held for `hold`, watched by guardrails."""

    steps: tuple[float, ...] = (0.01, 0.05, 0.25, 1.0)
    hold: Duration = DAY
    guardrails: tuple[Guardrail, ...] = (Guardrail("error_rate", 0.02),)
    # A canary that has shown neither harm nor safety by then is taken back: exposure must end.
    patience: Duration = 28 * DAY


@dataclass(frozen=True, slots=True)
class Playbook:
    """What to do about a kind of incident, and whether to do it, recommend it, or only note it."""

    when: str
    do: tuple[str, ...]
    mode: Mode = "recommend"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a challenger must show on rows later than those it was trained on: be better than live, surely."""

    metric: str = "log_loss"
    # One-sided error of the gate: one in twenty useless challengers may go on to a canary, which watches it further.
    alpha: float = 0.05


@dataclass(frozen=True, slots=True)
class RetrainingPolicy:
    """The operator's training command, the rows that it gets, and the gate for what it makes."""

    run: tuple[str, ...]
    rows: Duration = 90 * DAY
    # The newest labelled rows are kept from the trainer, and the gate judges on them: four whole weeks, or one stormy
    # week could make any challenger look better.
    holdout: Duration = 28 * DAY
    gate: Gate = field(default_factory=Gate)
    cooldown: Duration = 28 * DAY
    timeout: Duration = HOUR


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on this machine that is watched for new files, below it too. What a file holds follows its format."""

    path: str
    format: FolderFormat
    kind: FolderKind = "predictions"


@dataclass(frozen=True, slots=True)
class Spec:
    """A model and all that its operator wants watched and done."""

    model: str
    task: Task
    schema: Schema
    features: Features = field(default_factory=Features)
    owner: str | None = None
    segments: tuple[SegmentBy, ...] = ()
    reference: str | None = None
    # By kind, one of DRIFT_METHODS; a kind that is not here has its default.
    drift: Mapping[Kind, str] = field(default_factory=dict)
    value: Value | None = None
    false_alarms: FalseAlarms = field(default_factory=FalseAlarms)
    keep: Keep = field(default_factory=Keep)
    evaluate_every: Duration = DAY
    objectives: tuple[Objective, ...] = ()
    versions: tuple[VersionSource, ...] = ()
    changes: str | None = None
    folders: tuple[Folder, ...] = ()
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)
    playbooks: tuple[Playbook, ...] = ()
    retraining: RetrainingPolicy | None = None
    fingerprint: str = ""

    def playbook(self, when: str) -> Playbook | None:
        """Return the first playbook for a kind of incident."""
        return next((playbook for playbook in self.playbooks if playbook.when == when), None)

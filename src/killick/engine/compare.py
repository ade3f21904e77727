"""Compare two versions on the same labelled rows: paired loss, rows of one time cluster taken as dependent.

Delays share their day's weather: on flights, taking rows as independent overstates the evidence three to twelve times.
The loss is that of the objective. What cannot be loaded, or fails, cannot be compared: that is said, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from killick.clock import DAY, HOUR
from killick.engine.record import Book
from killick.engine.serve import score
from killick.errors import KillickError
from killick.profiles.outcomes import log_losses, valid_scores
from killick.stats.paired import paired_improvement
from killick.telemetry.columns import EVENT_TIME, LABEL

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from killick.clock import Duration, Instant
    from killick.engine.world import World
    from killick.profiles.cells import Floats
    from killick.spec.document import Spec
    from killick.stats.paired import PairedImprovement

# The cluster-robust error is too small with fewer clusters than about twenty (Cameron & Miller 2015, section VI;
# measured in tests/stats/test_paired.py). A day is one draw of weather, load and season; while there are too few days,
# hours have to do.
CLUSTERS_MIN = 20


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better one version was than another; `paired` is None where that cannot be known, `problem` says why."""

    better: str
    than: str
    rows: int
    loss_better: float | None
    loss_than: float | None
    paired: PairedImprovement | None
    problem: str = ""

    def surely_better(self, alpha: float) -> bool:
        """Whether it is better with its whole lower bound, looked at once."""
        return self.known and self.paired is not None and self.paired.lower(alpha) > 0

    def surely_worse(self, alpha: float) -> bool:
        """Whether it is worse with its whole upper bound, looked at once."""
        return self.known and self.paired is not None and self.paired.p_value() > 1 - alpha

    def better_at_any_time(self, alpha: float) -> bool:
        """Whether it is better, however often this is asked."""
        return self.known and self.paired is not None and self.paired.anytime_lower(alpha) > 0

    def worse_at_any_time(self, alpha: float) -> bool:
        """Whether it is worse, however often this is asked."""
        if self.paired is None or not self.known:
            return False
        reach = self.paired.mean - self.paired.anytime_lower(alpha)
        return self.paired.mean + reach < 0

    @property
    def known(self) -> bool:
        """Whether there is enough evidence to say anything at all."""
        return self.paired is not None and self.paired.clusters >= CLUSTERS_MIN

    @property
    def words(self) -> str:
        """Say what was compared, and how it came out."""
        if self.paired is None or self.loss_better is None or self.loss_than is None:
            return (
                f"{self.better} and {self.than} cannot be compared yet ({self.problem or f'{self.rows} labelled rows'})"
            )
        needed = "" if self.known else f", {CLUSTERS_MIN} are needed"
        return (
            f"log loss {self.loss_better:.3f} of {self.better}, {self.loss_than:.3f} of {self.than} "
            f"on the same {self.rows} rows; gain {self.paired.mean:+.3f}, with 95 % confidence at least "
            f"{self.paired.lower(0.05):+.3f} looked at once and {self.paired.anytime_lower(0.05):+.3f} however often "
            f"({self.paired.clusters} clusters{needed})"
        )

    def as_evidence(self) -> dict[str, Any]:
        """Return it as JSON values."""
        paired = self.paired
        return {
            "better": self.better,
            "than": self.than,
            "rows": self.rows,
            "loss_better": self.loss_better,
            "loss_than": self.loss_than,
            "gain": paired.mean if paired else None,
            "standard_error": paired.standard_error if paired else None,
            "clusters": paired.clusters if paired else None,
        }


def compare_versions(world: World, spec: Spec, labelled: pl.DataFrame, *, better: str, than: str, now: Instant) -> Gain:
    """Score labelled rows with both versions, and compare their log loss.

    Where either cannot score, the gain is unknown.

    Args:
        world: loads versions.
        spec: which model.
        labelled: arranged rows with labels.
        better: the version that is hoped to be better.
        than: the other one.
        now: the instant of asking.
    """
    unknown = Gain(better, than, labelled.height, None, None, None)
    with world.control.transaction() as t:
        versions = [Book(t, spec.model, now).version(name) for name in (better, than)]
    if labelled.is_empty() or versions[0] is None or versions[1] is None:
        return unknown
    labels = labelled[LABEL].to_numpy()
    try:
        first, second = (score(world, version, labelled, spec.features) for version in versions if version)
    except KillickError as error:
        return replace(unknown, problem=str(error))
    usable = valid_scores(first) & valid_scores(second)
    if not usable.any():
        return unknown
    losses = [log_losses(scores[usable], labels[usable]) for scores in (first, second)]
    times = labelled[EVENT_TIME].to_numpy()[usable]
    paired = paired_improvement(losses[1] - losses[0], times // cluster_width(times))
    return Gain(better, than, int(usable.sum()), float(losses[0].mean()), float(losses[1].mean()), paired)


def columns_used(
    world: World, spec: Spec, name: str, rows: pl.DataFrame, columns: tuple[str, ...], now: Instant
) -> tuple[str, ...]:
    """Return which of the columns a version looks at: those that change a score, reversed or taken away.

    Reversed values are as plausible as the real ones; a stuck column, though, is the same reversed. Of a version that
    cannot score at all nothing is known, so it may look at all of them.
    """
    with world.control.transaction() as t:
        version = Book(t, spec.model, now).version(name)
    if version is None or rows.is_empty():
        return ()

    def scores(of: pl.DataFrame) -> Floats:
        return score(world, version, of, spec.features)

    try:
        plain = scores(rows)
    except KillickError:
        return columns
    return tuple(column for column in columns if _matters(scores, rows, column, plain))


def _matters(scores: Callable[[pl.DataFrame], Floats], rows: pl.DataFrame, column: str, plain: Floats) -> bool:
    """Whether a version's scores change with a column; one that cannot do without it looks at it."""
    others = (rows[column].reverse(), rows[column].clear(rows.height))
    try:
        return any(not np.array_equal(plain, scores(rows.with_columns(o)), equal_nan=True) for o in others)
    except KillickError:
        return True


def cluster_width(times: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Duration:
    """Return how wide the clusters of dependent rows are: days, or hours while there are too few days."""
    return DAY if len(np.unique(times // DAY)) >= CLUSTERS_MIN else HOUR

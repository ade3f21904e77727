"""The verdict: one result of one check, with its evidence and a reason in words.

Unknown is a value: what could not be judged is `inconclusive`, with the reason, and never NaN or a silent pass. A
failed check is a verdict; a spec or a table that cannot be used is an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from killick.clock import Window  # noqa: TC001 - msgspec reads the annotation
from killick.identity import derive_id
from killick.spec.document import Severity  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterable

Status: TypeAlias = Literal["ok", "warn", "fail", "inconclusive", "error"]
# From the best to the worst. `inconclusive` is worse than `ok` and better than `warn`: something is not known, nothing
# is known to be wrong.
STATUSES: tuple[Status, ...] = ("ok", "inconclusive", "warn", "fail", "error")

Direction: TypeAlias = Literal["up", "down"]
ReferenceKind: TypeAlias = Literal["training", "trailing", "other_segments"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one check says of one number: in a window, for a segment, of a version, against a reference."""

    check: str
    metric: str
    status: Status
    reason: str
    column: str | None = None
    segment: tuple[tuple[str, str], ...] = ()
    version: str | None = None
    window: Window | None = None
    reference: ReferenceKind = "training"
    severity: Severity = "digest"
    value: float | None = None
    interval: tuple[float, float] | None = None
    threshold: float | None = None
    effect: float | None = None
    direction: Direction | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    n_reference: int | None = None
    n_current: int | None = None

    @property
    def fingerprint(self) -> str:
        """What the verdict is about, whatever its window and value: the same in every window."""
        return derive_id("verdict", self.check, self.metric, self.column, self.segment, self.version, self.reference)


def worst(verdicts: Iterable[Verdict]) -> Status:
    """Return the overall status: the worst one, but `ok` as soon as anything could be judged and held.

    >>> worst([])
    'inconclusive'
    """
    found = {verdict.status for verdict in verdicts}
    serious = [status for status in ("error", "fail", "warn", "ok") if status in found]
    return serious[0] if serious else "inconclusive"

"""The judge of a canary: sequential evidence, and what it says so far.

Each batch of new labels is, in each stratum, a 2 x 2 table: canary and live, wrong and right. Given its margins the
table says nothing about load, season or segment mix, only about the two versions; the sequential Mantel-Haenszel
e-process multiplies such tables up, and may be looked at after every batch without inflating the error (statistics
2.2).

Harm is judged against "no worse at all", in closed form; safety against "worse by the margin of the guardrail". The
answer is one of four, never a bare boolean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from killick.stats.sequential import HARM_RATIOS, SAFE_RATIOS, EProcess, harm_log_e_closed, safe_log_e

if TYPE_CHECKING:
    from collections.abc import Sequence

Answer: TypeAlias = Literal["harm", "safe", "insufficient", "blind"]

# One healthy canary in a hundred may be stopped; one harmful one in twenty may be called safe, and the watch after its
# promotion still stands between it and the users (statistics, section 11).
ALPHA_HARM = 0.01
ALPHA_SAFE = 0.05


@dataclass(frozen=True, slots=True)
class Stratum:
    """New labels of one stratum: rows and wrong decisions of either arm."""

    canary_wrong: int
    canary: int
    live_wrong: int
    live: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the judge knows so far. `margin` is the odds ratio that would be too much, fixed beforehand."""

    margin: float
    harm: EProcess
    safe: EProcess
    canary: tuple[int, int] = (0, 0)
    live: tuple[int, int] = (0, 0)

    @classmethod
    def none(cls, margin: float) -> Evidence:
        """Return what is known before any label."""
        return cls(margin, EProcess.start(len(HARM_RATIOS)), EProcess.start(len(SAFE_RATIOS)))

    def add(self, strata: Sequence[Stratum]) -> Evidence:
        """Return the evidence with a batch of new labels."""
        if not strata:
            return self
        columns = (
            [stratum.canary_wrong for stratum in strata],
            [stratum.canary for stratum in strata],
            [stratum.live_wrong for stratum in strata],
            [stratum.live for stratum in strata],
        )
        canary_wrong, canary, live_wrong, live = (sum(column) for column in columns)
        return Evidence(
            self.margin,
            self.harm.add(harm_log_e_closed(*columns)),
            self.safe.add(safe_log_e(*columns, margin=self.margin)),
            (self.canary[0] + canary_wrong, self.canary[1] + canary),
            (self.live[0] + live_wrong, self.live[1] + live),
        )

    @property
    def answer(self) -> Answer:
        """Harm wins over safety; without a single label of either arm the judge is blind."""
        if not self.canary[1] or not self.live[1]:
            return "blind"
        if self.harm.evidence >= 1 / ALPHA_HARM:
            return "harm"
        return "safe" if self.safe.evidence >= 1 / ALPHA_SAFE else "insufficient"

    @property
    def words(self) -> str:
        """Say what is known."""
        return (
            f"{self.canary[0]} of {self.canary[1]} canary decisions were wrong, "
            f"{self.live[0]} of {self.live[1]} of live; "
            f"evidence of harm {self.harm.evidence:.3g} (acts at {1 / ALPHA_HARM:g}), "
            f"of safety {self.safe.evidence:.3g} (acts at {1 / ALPHA_SAFE:g})"
        )

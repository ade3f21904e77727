"""The report of a check: its verdicts, what was compared, how it was judged; and the ways to write it down.

A `Report` is a value; `save` is the only thing here that touches the world. What is written as JSON is
`killick.report/1` (DESIGN 5.3), and `schema/report-1.json` describes it to others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from killick.checks.verdict import STATUSES, Status, worst
from killick.errors import CallError, Mistake, OutsideError
from killick.reports.findings import Calibration, Curve, Distribution, Extent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from killick.checks.verdict import Verdict
    from killick.reports.words import Segment

__all__ = ["Calibration", "Curve", "Distribution", "Extent", "Report"]

SUFFIXES = (".html", ".json", ".xml", ".md")


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found.

    Attributes:
        model: the model that was checked.
        spec_hash: the fingerprint of the spec that said how.
        false_alarm_budget: how many false alarms were allowed for the whole check.
        tests: among how many tests that budget was shared.
        reference: what was compared with.
        current: what was compared.
        verdicts: every result, in the order in which the checks gave them.
        pictures: every column's distribution, by column and segment; in segments, of what does not hold there.
        kinds: what each column is watched as (numeric, categorical ...), where that is known.
        calibration: how often it came true when the model said so, where there are labels.
    """

    model: str
    spec_hash: str
    false_alarm_budget: float
    tests: int
    reference: Extent
    current: Extent
    verdicts: tuple[Verdict, ...]
    pictures: Mapping[tuple[str, Segment], Distribution] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    calibration: Calibration | None = None

    @property
    def status(self) -> Status:
        """The worst status; `ok` when anything could be judged and all of it holds."""
        return worst(self.verdicts)

    @property
    def passed(self) -> bool:
        """Whether something could be judged, and nothing of it fails; a warning passes.

        >>> Report("m", "", 0.05, 0, Extent(0), Extent(0), ()).passed
        False
        """
        return self.status in ("ok", "warn")

    @property
    def summary(self) -> dict[Status, int]:
        """How many verdicts there are of each status, all five named."""
        found = Counter(verdict.status for verdict in self.verdicts)
        return {status: found[status] for status in STATUSES}

    @property
    def headline(self) -> str:
        """The answer in a sentence or two."""
        from killick.reports.headline import headline

        return headline(self.verdicts)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as the JSON values of `killick.report/1`."""
        from killick.reports.export import as_values

        return as_values(self)

    def to_json(self) -> str:
        """Return the report as `killick.report/1`."""
        from killick.reports.export import as_json

        return as_json(self)

    def to_frame(self) -> pl.DataFrame:
        """Return the verdicts as a Polars frame, one row each; a segment is text, and a window has two columns."""
        from killick.reports.export import as_frame

        return as_frame(self)

    def to_junit(self) -> str:
        """Return the report as JUnit XML: one test case for a verdict, so that a CI server shows it."""
        from killick.reports.export import as_junit

        return as_junit(self)

    def to_markdown(self) -> str:
        """Return a short report as Markdown, for a pull request or a chat."""
        from killick.reports.export import as_markdown

        return as_markdown(self)

    def to_html(self) -> str:
        """Return the report as one HTML page that needs nothing from the network."""
        from killick.reports.html import report_html

        return report_html(self)

    def save(self, path: str | Path) -> None:
        """Write the report to a file, in the form that its suffix names: .html, .json, .xml (JUnit) or .md.

        Raises:
            CallError: the suffix names no form.
            OutsideError: the file could not be written.
        """
        path = Path(path)
        forms = {".html": self.to_html, ".json": self.to_json, ".xml": self.to_junit, ".md": self.to_markdown}
        write = forms.get(path.suffix.lower())
        if write is None:
            hint = f"end it in one of {', '.join(SUFFIXES)}"
            raise CallError(Mistake("report.save", "names no form of report by its suffix", value=path.name, hint=hint))
        text = write()
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutsideError(f"{path} could not be written: {error.strerror or error}") from error

    def _repr_html_(self) -> str:
        """Return a compact account for a notebook: no script, and no style that leaks out."""
        from killick.reports.notebook import notebook_html

        return notebook_html(self)

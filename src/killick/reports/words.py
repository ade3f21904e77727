"""Numbers, instants and segments in words: what the pages and files of this room say alike.

Pure text in, text out; nothing here escapes anything, which is the business of whoever writes HTML, XML or Markdown.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from killick.clock import DAY, HOUR, MINUTE, to_datetime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.clock import Duration, Instant, Window

Segment = tuple[tuple[str, str], ...]

NOTHING = "-"
# Names that are not their words with spaces between them.
_METRICS = {
    "psi": "PSI",
    "ks": "KS",
    "js": "Jensen-Shannon",
    "jensen_shannon": "Jensen-Shannon",
    "hellinger": "Hellinger",
    "wasserstein": "Wasserstein-1",
    "chi_square": "chi-square",
    "unseen_rate": "unknown",
    "outside_rate": "out of range",
    "outlier_rate": "outliers",
    "duplicate_rate": "duplicated",
    "duplicate_id_rate": "duplicated ids",
    "constant_share": "commonest value",
    "columns_missing": "missing column",
    "columns_extra": "extra column",
    "columns_reordered": "order of columns",
    "sampled_rows": "rows compared",
    "error_rate": "error rate",
    "roc_auc": "ROC AUC",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R2",
    "f1": "F1",
    "brier": "Brier score",
}
_TINY = 1e-3
_HUGE = 1e6


def place(segment: Segment) -> str:
    """Write a segment as people do.

    >>> place((("origin", "JFK"),)), place(())
    ('origin=JFK', 'everywhere')
    """
    return ", ".join(f"{name}={value}" for name, value in segment) or "everywhere"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Join names as a sentence does; beyond `most` the rest are counted.

    >>> listed(["temp", "dewp", "visib"]), listed(list("abcd"), most=2)
    ('temp, dewp and visib', 'a, b and 2 more')
    """
    shown, more = list(names[:most]), len(names) - most
    if more > 0:
        shown.append(f"{more} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Write a number with its noun.

    >>> counted(1, "column"), counted(0, "column"), counted(12000, "row")
    ('1 column', 'no columns', '12,000 rows')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number or 'no':{',' if number else ''}} {plural or noun + 's'}"


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is absent, NaN or infinite: JSON has no such numbers."""
    return value if value is not None and math.isfinite(value) else None


def figure(value: float | None) -> str:
    """Write a number with three significant digits; what is not there is a dash.

    >>> figure(0.61963), figure(None), figure(1.5e10), figure(25917)
    ('0.620', '-', '1.5e+10', '25,917')
    """
    known = finite(value)
    if known is None:
        return NOTHING
    size = abs(known)
    if size and (size < _TINY or size >= _HUGE):
        return f"{known:.2g}"
    if size >= 1000:  # noqa: PLR2004 - from here on digits are grouped
        return f"{known:,.0f}"
    if known == int(known):
        return f"{known:.0f}"
    return f"{known:.{max(0, 2 - math.floor(math.log10(size)))}f}"


def percent(share: float | None) -> str:
    """Write a share; a small one keeps a digit, so that only nothing is 0 %.

    >>> percent(0.3542), percent(0.005), percent(0.00002), percent(0.0), percent(None)
    ('35.4 %', '0.50 %', '0.002 %', '0 %', '-')
    """
    known = finite(share)
    if known is None:
        return NOTHING
    size = abs(100 * known)
    if size == 0:
        return "0 %"
    digits = 1 if size >= 1 else 2 if size >= 0.1 else max(0, -math.floor(math.log10(size)))  # noqa: PLR2004 - see above
    return f"{100 * known:.{min(digits, 9)}f} %"


def exact(number: float) -> str:
    """Write a number for a machine, short, and near enough for any drawing.

    >>> exact(24149.75318), exact(-11447.0), exact(0.1 + 0.2)
    ('24149.7532', '-11447', '0.3')
    """
    return f"{number:.9g}"


def metric(name: str) -> str:
    """Write the name of a number as people do.

    >>> metric("psi"), metric("roc_auc"), metric("missing_rate"), metric("correlation_change")
    ('PSI', 'ROC AUC', 'missing', 'correlation change')
    """
    return _METRICS.get(name) or name.removesuffix("_rate").replace("_", " ")


def amount(value: float | None, metric: str) -> str:
    """Write a number of a metric: a rate in per cent.

    >>> amount(0.354, "missing_rate"), amount(0.354, "psi")
    ('35.4 %', '0.354')
    """
    return percent(value) if metric.endswith(("_rate", "_share")) else figure(value)


def day(instant: Instant) -> str:
    """Write a day.

    >>> day(0)
    '1 Jan 1970'
    """
    moment = to_datetime(instant)
    return f"{moment.day} {moment:%b %Y}"


def moment(instant: Instant) -> str:
    """Write a day and a time in UTC; at midnight the day alone says it.

    >>> moment(0), moment(90 * MINUTE)
    ('1 Jan 1970', '1 Jan 1970, 01:30')
    """
    return day(instant) if instant % DAY == 0 else f"{day(instant)}, {to_datetime(instant):%H:%M}"


def span(window: Window | None) -> str:
    """Write a window: a day, or from when until when.

    >>> from killick.clock import Window
    >>> span(Window(0, DAY)), span(Window(0, 3 * DAY)), span(Window(0, HOUR))
    ('1 Jan 1970', '1 Jan 1970 to 3 Jan 1970', '1 Jan 1970, 00:00 to 01:00')
    """
    if window is None:
        return ""
    if window.start % DAY or window.end % DAY:
        close = window.width <= DAY
        begin, end = to_datetime(window.start), to_datetime(window.end)
        return f"{day(window.start)}, {begin:%H:%M} to {'' if close else day(window.end) + ', '}{end:%H:%M}"
    last = window.end - DAY
    return day(window.start) if last <= window.start else f"{day(window.start)} to {day(last)}"


def lasting(duration: Duration) -> str:
    """Write about how long, in the unit that a person would choose.

    >>> lasting(26 * DAY), lasting(HOUR), lasting(36 * HOUR), lasting(30 * MINUTE)
    ('26 days', '1 hour', '36 hours', '30 minutes')
    """
    if duration >= 2 * DAY:
        return counted(round(duration / DAY), "day")
    if duration >= HOUR:
        return counted(round(duration / HOUR), "hour")
    return counted(max(round(duration / MINUTE), 0), "minute")

"""What the tests of the reports are told with: a check that found something, and a life of sixty days."""

from itertools import pairwise
from typing import Any

from killick.alerting.incidents import Incident
from killick.checks.verdict import Verdict
from killick.clock import DAY, HOUR, Window, parse_instant
from killick.ledger.chain import extend
from killick.ledger.entry import Entry, Fact
from killick.recovery.states import Recovery
from killick.registry.aliases import Alias, Holding
from killick.registry.versions import Version
from killick.reports.chronicle import Budget, Chronicle, DriftRow, Moved, Point, Promise, Series, Told
from killick.reports.report import Calibration, Curve, Distribution, Extent, Report
from killick.retraining.states import Retraining
from killick.rollout.states import Rollout
from killick_client.events import Change

START = parse_instant("2013-05-01")
EVIL = '<script>alert("x")</script>'
JFK = (("origin", "JFK"),)


def a_verdict(**other: Any) -> Verdict:
    """A verdict that temp at JFK has moved, with other values where they are given."""
    fields: dict[str, Any] = {
        "check": "drift.univariate",
        "metric": "psi",
        "status": "fail",
        "reason": "PSI is 0.3; healthy windows stay within 0.1",
        "column": "temp",
        "segment": JFK,
        "window": Window(START, START + DAY),
        "value": 0.3,
        "threshold": 0.1,
        "n_reference": 80_000,
        "n_current": 900,
    }
    return Verdict(**(fields | other))


def a_report(*verdicts: Verdict, **other: Any) -> Report:
    """A report of these verdicts."""
    fields: dict[str, Any] = {
        "model": "flight-delay",
        "spec_hash": "61c5dfb2",
        "false_alarm_budget": 0.05,
        "tests": len(verdicts),
        "reference": Extent(80_000, START - 90 * DAY, START),
        "current": Extent(900, START, START + DAY),
        "verdicts": verdicts,
    }
    return Report(**(fields | other))


def an_evil_report() -> Report:
    """A report whose every name tries to become markup."""
    verdict = a_verdict(
        column=EVIL, segment=((EVIL, "]]>&\x00"),), reason=f"{EVIL} | ]]>\x0b", version=EVIL, check=EVIL
    )
    shares = Distribution((EVIL, "</script>", "other"), (0.5, 0.5, 0.0), (0.1, 0.8, 0.1))
    pictures = {(EVIL, verdict.segment): shares, (EVIL, ()): shares}
    return a_report(verdict, model=EVIL, spec_hash=EVIL, pictures=pictures, kinds={EVIL: EVIL})


def a_pictured_report() -> Report:
    """A report with every form of picture, a column without one, and what belongs to no column."""
    edges = tuple(float(n) for n in range(11))
    bins = (*(f"{n} to {n + 1}" for n in range(10)), "missing")
    number = Distribution(
        bins, (*(0.1,) * 10, 0.0), (*(0.0,) * 5, *(0.15,) * 5, 0.25), ordered=True, edges=edges, trailing=1
    )
    band = Distribution(("1", "2", "3"), (0.3, 0.3, 0.4), (0.2, 0.3, 0.5), ordered=True)
    named = Distribution(("UA", "EV", "unknown values"), (0.5, 0.5, 0.0), (0.1, 0.8, 0.1))
    facet = Distribution(bins, number.reference, number.current, ordered=True, edges=edges, trailing=1, facet_of="note")
    verdicts = (
        a_verdict(column="carrier", status="warn", segment=()),
        a_verdict(column="dewp", status="ok", value=0.01, segment=()),
        a_verdict(column="visib", status="inconclusive", value=None, reason="12 rows; 50 are needed", segment=()),
        a_verdict(),
        a_verdict(segment=(), value=0.4),
        a_verdict(check="quality.missing", metric="missing_rate", value=0.25, threshold=0.01, segment=()),
        a_verdict(column="note", status="ok", value=0.02, segment=()),
        a_verdict(check="quality.duplicates", metric="duplicate_rate", status="ok", column=None, segment=()),
        a_verdict(
            check="performance.realised",
            metric="roc_auc",
            column=None,
            segment=(),
            status="ok",
            value=0.8,
            effect=-0.02,
            interval=(0.78, 0.82),
        ),
    )
    return a_report(
        *verdicts,
        pictures={
            ("temp", ()): number,
            ("temp", JFK): number,
            ("carrier", ()): named,
            ("dewp", ()): band,
            ("note (length)", ()): facet,
        },
        kinds={"temp": "numeric", "carrier": "categorical", "dewp": "numeric", "note": "text", "visib": "numeric"},
        calibration=a_calibration(),
    )


def a_calibration() -> Calibration:
    """A model that was right, and now says too much."""
    score, low, high = (0.1, 0.5, 0.9), (0.05, 0.45, 0.8), (0.15, 0.55, 0.95)
    was = Curve(score, score, low, high, (400, 300, 200))
    now = Curve(score, (0.1, 0.3, 0.6), (0.05, 0.25, 0.5), (0.15, 0.35, 0.7), (90, 80, 70))
    return Calibration(now, was)


def a_wide_report(columns: int, segments: int, failing: float) -> Report:
    """A report of many columns, each pictured and judged by six checks in every segment; this share of them fails."""
    metrics = ("psi", "missing_rate", "outside_rate", "outlier_rate", "constant_share", "correlation_change")
    edges = tuple(1_000 + 37.123456 * n for n in range(25))
    bins = (*(f"{a:,.0f} to {b:,.0f}" for a, b in pairwise(edges)), "above 1,891", "missing")
    shares = tuple((n % 7 + 1.0) / 104 for n in range(26))
    drawn = Distribution(bins, shares, shares[::-1], ordered=True, edges=edges, trailing=2)
    places = [(), *((("region", f"area {n}"),) for n in range(segments))]
    said = "lower by 2.18 spreads (mean 44,146 -> 3,701), most: (22497.9, 25150.8] 5 % -> 0 %; it fails above 0.0457"
    verdicts, pictures = [], {}
    for n in range(columns):
        fails = n < failing * columns
        name = f"a column of the feature store, number {n}"
        for place in places:
            verdicts += [
                a_verdict(
                    metric=metric, column=name, segment=place, status="fail" if fails else "ok", reason=said, effect=0.2
                )
                for metric in metrics
            ]
            if fails or not place:
                pictures[name, place] = drawn
    return a_report(*verdicts, pictures=pictures)


def a_point(at: int, value: float | None, labels: int = 900) -> Point:
    """The point of the numbered day."""
    window = Window(START + at * DAY, START + (at + 1) * DAY)
    interval = None if value is None else (value - 0.02, value + 0.02)
    status = "inconclusive" if value is None else "fail" if value > 0.6 else "ok"
    return Point(window, value, interval, labels, status)


def a_chronicle(**other: Any) -> Chronicle:
    """Sixty days in which a feed broke at JFK, a fallback helped, a canary did harm and a retraining was refused."""
    window = Window(START, START + 60 * DAY)
    fault = Incident(
        kind="data_fault",
        title="origin=JFK: temp no longer looks like the feed",
        severity="ticket",
        opened_at=START + 11 * DAY,
        segment=JFK,
        columns=("temp",),
        onset=Window(START + 10 * DAY + 3 * HOUR, START + 10 * DAY + 10 * HOUR),
        resolved_at=START + 30 * DAY,
        causes=(
            {
                "kind": "change",
                "what": "pipeline weather-feed 2.1",
                "evidence_for": ["came 6h before"],
                "evidence_against": [],
            },
        ),
    )
    missed = Incident(
        kind="objective_missed",
        title="objective honest-odds is missed",
        severity="page",
        opened_at=START + 40 * DAY,
        subject="honest-odds",
        evidence={"value": 0.62, "threshold": 0.6, "labels": 20_000},
    )
    recovery = Recovery(
        incident="incident-1",
        action="fallback",
        version="no-weather",
        mode="act",
        planned_at=START + 11 * DAY,
        segment=JFK,
        acted_at=START + 16 * DAY,
        ended_at=START + 31 * DAY,
        evidence={"planned": {"words": "shown to be better: gain +0.138"}},
    )
    rollout = Rollout(version="v2", against="v1", began_at=START + 35 * DAY, ended_at=START + 36 * DAY)
    job = Retraining(
        reason="objective honest-odds is missed",
        requested_at=START + 40 * DAY,
        challenger="challenger-1",
        trained_from=START,
        trained_until=START + 12 * DAY,
        incident="incident-2",
        rows=50_000,
        ended_at=START + 40 * DAY,
        evidence={"gain": {"loss_better": 0.61, "loss_than": 0.59}},
    )
    entries = the_entries()
    fields: dict[str, Any] = {
        "model": "flight-delay",
        "spec_hash": "61c5dfb2",
        "span": window,
        "budget": Budget("flights-oncall", 1, 30 * DAY),
        "predictions": 54_000,
        "outcomes": 53_900,
        "promises": (
            Promise(
                "honest-odds",
                "log_loss",
                0.6,
                at_most=True,
                points=tuple(a_point(n, 0.5 + 0.003 * n) for n in range(60)),
            ),
        ),
        "performance": (
            Series("log_loss", (), tuple(a_point(n, 0.5) for n in range(60))),
            Series("log_loss", JFK, tuple(a_point(n, 0.7 if 10 <= n < 16 else 0.5) for n in range(60))),
        ),
        "drift": (a_row("temp", JFK), a_row("dewp", ())),
        "incidents": (
            Told("incident-1", "resolved", "the cause is gone", START + 30 * DAY, fault),
            Told("incident-2", "open", "somebody should act", START + 40 * DAY, missed),
        ),
        "recoveries": (Told("recovery-1", "closed", "taken back", START + 31 * DAY, recovery),),
        "rollouts": (Told("rollout-1", "rolled_back", "it serves nobody", START + 36 * DAY, rollout),),
        "retrainings": (Told("retraining-1", "refused", "it was not surely better", START + 40 * DAY, job),),
        "aliases": (Alias(name="live", holdings=(Holding(version="v1", since=START, actor="ana", reason="first"),)),),
        "versions": (Version(model="flight-delay", name="v1", loader="delays:load_v1", registered_at=START),),
        "changes": (Change(at=START + 10 * DAY, kind="pipeline", name="weather-feed", version="2.1"),),
        "entries": entries,
        "ledger_length": len(entries),
        "ledger_head": entries[-1].hash,
    }
    return Chronicle(**(fields | other))


def a_row(column: str, segment: tuple[tuple[str, str], ...]) -> DriftRow:
    """A column that was fine, then moved for six days, and was not judged on the last two."""
    cells = []
    for n in range(60):
        status = "fail" if 10 <= n < 16 else "inconclusive" if n >= 58 else "ok"
        beyond = {"fail": 2.5, "ok": 0.4}.get(status)
        cells.append(Moved(Window(START + n * DAY, START + (n + 1) * DAY), beyond, beyond, status))
    return DriftRow(column, segment, tuple(cells))


def the_entries() -> tuple[Entry, ...]:
    """The ledger of the life."""
    told = [
        (11, "begin incident", "incident-1", "temp no longer looks like the feed"),
        (16, "act recovery", "recovery-1", "shown to be better: gain +0.138"),
        (16, "plan traffic", "epoch 2", "asked by recovery-1/3/set_traffic"),
        (36, "harm rollout", "rollout-1", "36 of 48 canary decisions were wrong"),
    ]
    entries: list[Entry] = []
    for days, action, subject, reason in told:
        fact = Fact(
            at=START + days * DAY, model="flight-delay", actor="killick", action=action, subject=subject, reason=reason
        )
        entries.append(extend(entries[-1] if entries else None, fact))
    return tuple(entries)

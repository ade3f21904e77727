"""A report as values, JSON, a frame, JUnit XML and Markdown: what machines and chats read.

JSON is `killick.report/1` (DESIGN 5.3): what does not apply is null, instants are ISO 8601 in UTC, and NaN and infinity
never appear. JUnit is the dialect that Jenkins and GitLab read (testsuite, testcase, failure, error, skipped).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec

from killick.clock import format_instant
from killick.reports.importance import LOUD, by_importance
from killick.reports.words import amount, counted, finite, place, span

if TYPE_CHECKING:
    import polars as pl

    from killick.checks.verdict import Verdict
    from killick.clock import Instant
    from killick.reports.findings import Extent, Findings

SCHEMA = "killick.report/1"
# A chat message of more lines is not read; the page has them all.
MARKDOWN_ROWS_MAX = 30
# What XML 1.0 cannot say at all, escaped or not (https://www.w3.org/TR/xml/#charsets).
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLUMN = re.compile(r"([\\`*_{}\[\]<>|#~])")


def as_values(report: Findings) -> dict[str, Any]:
    """Return a report as JSON values."""
    return {
        "schema": SCHEMA,
        "model": report.model,
        "status": report.status,
        "spec_hash": report.spec_hash,
        "false_alarm_budget": finite(report.false_alarm_budget),
        "tests": report.tests,
        "reference": _extent(report.reference),
        "current": _extent(report.current),
        "verdicts": [_verdict(verdict) for verdict in report.verdicts],
        "summary": dict(report.summary),
    }


def as_json(report: Findings) -> str:
    """Return a report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(as_values(report)), indent=2).decode()


def as_frame(report: Findings) -> pl.DataFrame:
    """Return a report's verdicts as a frame; times are Polars datetimes in UTC, to the microsecond."""
    import polars as pl

    number, text, whole = pl.Float64, pl.String, pl.Int64
    schema = {
        **dict.fromkeys(("check", "metric", "column", "segment", "version"), text),
        **dict.fromkeys(("window_start", "window_end"), whole),
        **dict.fromkeys(("status", "severity"), text),
        **dict.fromkeys(("value", "interval_low", "interval_high", "threshold", "effect"), number),
        "direction": text,
        **dict.fromkeys(("p_value", "p_adjusted"), number),
        **dict.fromkeys(("n_reference", "n_current"), whole),
        **dict.fromkeys(("reason", "fingerprint"), text),
    }
    rows = []
    for verdict in report.verdicts:
        row = _verdict(verdict)
        window, interval = verdict.window, row.pop("interval") or [None, None]
        row |= {"segment": ", ".join(f"{name}={value}" for name, value in verdict.segment)}
        row |= {"interval_low": interval[0], "interval_high": interval[1]}
        row |= {"window_start": window and window.start, "window_end": window and window.end}
        rows.append(row)
    columns = {name: [row[name] for row in rows] for name in schema}
    return pl.DataFrame(columns, schema=schema).with_columns(
        pl.from_epoch(name, time_unit="us").dt.replace_time_zone("UTC") for name in ("window_start", "window_end")
    )


def as_junit(report: Findings) -> str:
    """Return a report as JUnit XML. `warn` passes, with its reason as output: a warning breaks no build."""
    summary = report.summary
    counts = {"failures": summary["fail"], "errors": summary["error"], "skipped": summary["inconclusive"]}
    suite = ET.Element("testsuite", name=_xml(f"killick {report.model}"), tests=str(len(report.verdicts)))
    suite.attrib.update({name: str(number) for name, number in counts.items()})
    for verdict in report.verdicts:
        case = ET.SubElement(suite, "testcase", classname=_xml(verdict.check), name=_xml(title(verdict)))
        said = _xml(verdict.reason)
        if verdict.status == "fail":
            ET.SubElement(case, "failure", message=said, type=verdict.severity).text = said
        elif verdict.status == "error":
            ET.SubElement(case, "error", message=said, type=verdict.severity).text = said
        elif verdict.status == "inconclusive":
            ET.SubElement(case, "skipped", message=said)
        else:
            ET.SubElement(case, "system-out").text = _xml(f"{verdict.status}: {verdict.reason}")
    suites = ET.Element("testsuites", name="killick", tests=str(len(report.verdicts)))
    suites.attrib.update({name: number for name, number in suite.attrib.items() if name in counts})
    suites.append(suite)
    ET.indent(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(suites, encoding="unicode")}\n'


def as_markdown(report: Findings) -> str:
    """Return a report as short Markdown: the answer, what was compared, and what does not hold."""
    said = " · ".join(f"{number} {status}" for status, number in report.summary.items() if number)
    lines = [
        f"## {_md(report.model)}: {report.status}",
        "",
        _md(report.headline),
        "",
        f"{counted(report.current.rows, 'row')} against {counted(report.reference.rows, 'reference row')}"
        + (f" · {said}" if said else ""),
    ]
    loud = by_importance(verdict for verdict in report.verdicts if verdict.status in LOUD)
    # What does not hold everywhere need not be said again of each segment.
    whole = {verdict.column for verdict in loud if not verdict.segment}
    told = [verdict for verdict in loud if not verdict.segment or verdict.column not in whole][:MARKDOWN_ROWS_MAX]
    if told:
        lines += ["", "| status | what | check | value | threshold | why |", "|---|---|---|---:|---:|---|"]
        lines += [_row(verdict) for verdict in told]
    if len(loud) > len(told):
        within = sum(bool(verdict.segment) for verdict in loud) - sum(bool(verdict.segment) for verdict in told)
        lines += ["", f"… and {len(loud) - len(told)} more{f', {within} of them in segments' if within else ''}."]
    return "\n".join(lines) + "\n"


def title(verdict: Verdict) -> str:
    """Say what a verdict is about: column or metric, where, of which version, when."""
    parts = [verdict.column or "", verdict.metric, f"at {place(verdict.segment)}" if verdict.segment else ""]
    parts += [f"of {verdict.version}" if verdict.version else "", span(verdict.window)]
    return " ".join(part for part in parts if part)


def _verdict(verdict: Verdict) -> dict[str, Any]:
    window, interval = verdict.window, verdict.interval
    return {
        "check": verdict.check,
        "metric": verdict.metric,
        "column": verdict.column,
        "segment": dict(verdict.segment),
        "version": verdict.version,
        "window": {"start": format_instant(window.start), "end": format_instant(window.end)} if window else None,
        "status": verdict.status,
        "severity": verdict.severity,
        "value": finite(verdict.value),
        "interval": [finite(end) for end in interval] if interval else None,
        "threshold": finite(verdict.threshold),
        "effect": finite(verdict.effect),
        "direction": verdict.direction,
        "p_value": finite(verdict.p_value),
        "p_adjusted": finite(verdict.p_adjusted),
        "n_reference": verdict.n_reference,
        "n_current": verdict.n_current,
        "reason": verdict.reason,
        "fingerprint": verdict.fingerprint,
    }


def _extent(extent: Extent) -> dict[str, Any]:
    return {"rows": extent.rows, "start": _instant(extent.start), "end": _instant(extent.end)}


def _instant(instant: Instant | None) -> str | None:
    return None if instant is None else format_instant(instant)


def _row(verdict: Verdict) -> str:
    what = verdict.column or verdict.metric
    where = f" at {place(verdict.segment)}" if verdict.segment else ""
    cells = [
        verdict.status,
        _md(what + where),
        f"{_md(verdict.check)} {_md(verdict.metric)}",
        amount(verdict.value, verdict.metric),
        amount(verdict.threshold, verdict.metric),
        _md(verdict.reason),
    ]
    return f"| {' | '.join(cells)} |"


def _md(text: str) -> str:
    return _COLUMN.sub(r"\\\1", " ".join(text.split()))


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)

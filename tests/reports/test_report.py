import json
import math
import re
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.checks.verdict import STATUSES, Verdict
from killick.clock import Window
from killick.errors import CallError, OutsideError
from killick.reports.report import Extent
from tests.reports.examples import EVIL, a_report, a_verdict, an_evil_report

SCHEMA = json.loads((files("killick.reports") / "schema" / "report-1.json").read_text(encoding="utf-8"))
CONFORMS = jsonschema.Draft202012Validator(SCHEMA)

text = st.text(max_size=12)
number = st.none() | st.floats()
count = st.none() | st.integers(0, 2**40)
windows = st.builds(lambda at, width: Window(at, at + width), st.integers(0, 4 * 10**15), st.integers(1, 10**12))
verdicts = st.builds(
    Verdict,
    check=text,
    metric=text,
    status=st.sampled_from(STATUSES),
    reason=text,
    column=st.none() | text,
    segment=st.dictionaries(text, text, max_size=2).map(lambda found: tuple(found.items())),
    version=st.none() | text,
    window=st.none() | windows,
    severity=st.sampled_from(["page", "ticket", "digest"]),
    value=number,
    interval=st.none() | st.tuples(st.floats(), st.floats()),
    threshold=number,
    effect=number,
    direction=st.sampled_from(["up", "down", None]),
    p_value=number,
    p_adjusted=number,
    n_reference=count,
    n_current=count,
)


@given(st.lists(verdicts, max_size=5))
def test_whatever_a_check_says_is_a_valid_report(found):
    """Any verdicts at all, NaN and infinity among them, come out as JSON that the schema and any parser accept."""
    said = a_report(*found).to_json()

    values = json.loads(said, parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    CONFORMS.validate(values)
    assert values == a_report(*found).to_dict()
    assert sum(values["summary"].values()) == len(found)


@given(st.lists(verdicts, max_size=5))
def test_whatever_a_check_says_is_valid_xml(found):
    """JUnit takes what XML cannot say, control characters above all, and still parses."""
    suites = ET.fromstring(a_report(*found).to_junit().encode())  # noqa: S314 - our own text

    assert len(suites.findall("testsuite/testcase")) == len(found)


@given(st.lists(verdicts, max_size=5))
def test_a_frame_has_a_row_for_each_verdict_and_types_that_do_not_depend_on_them(found):
    """A notebook can stack the frames of two reports, an empty one among them."""
    frame = a_report(*found).to_frame()

    assert frame.height == len(found)
    assert frame.schema == a_report().to_frame().schema
    assert frame.schema["window_start"] == pl.Datetime("us", "UTC")
    assert not frame.select(pl.col(pl.Float64).is_nan().any()).to_numpy().any()


def test_the_schema_refuses_what_is_no_report():
    """A missing key, a key too many, a status that does not exist and a time without a zone are all found."""
    good = a_report(a_verdict()).to_dict()
    CONFORMS.validate(good)

    bad = [
        {key: value for key, value in good.items() if key != "tests"},
        good | {"verdict": []},
        good | {"status": "broken"},
        good | {"reference": {"rows": 1, "start": "2013-05-01", "end": None}},
    ]
    assert [CONFORMS.is_valid(value) for value in bad] == [False] * 4


def test_a_report_says_exactly_what_the_design_promises():
    """The keys of `killick.report/1`, instants in ISO 8601, a segment as an object."""
    verdict = a_verdict(interval=(0.2, math.inf))
    said = a_report(verdict).to_dict()

    assert list(said) == [
        *("schema", "model", "status", "spec_hash", "false_alarm_budget", "tests"),
        *("reference", "current", "verdicts", "summary"),
    ]
    assert said["schema"] == "killick.report/1"
    assert said["current"] == {"rows": 900, "start": "2013-05-01T00:00Z", "end": "2013-05-02T00:00Z"}
    assert said["verdicts"] == [
        {
            "check": "drift.univariate",
            "metric": "psi",
            "column": "temp",
            "segment": {"origin": "JFK"},
            "version": None,
            "window": {"start": "2013-05-01T00:00Z", "end": "2013-05-02T00:00Z"},
            "status": "fail",
            "severity": "digest",
            "value": 0.3,
            "interval": [0.2, None],
            "threshold": 0.1,
            "effect": None,
            "direction": None,
            "p_value": None,
            "p_adjusted": None,
            "n_reference": 80_000,
            "n_current": 900,
            "reason": "PSI is 0.3; healthy windows stay within 0.1",
            "fingerprint": verdict.fingerprint,
        }
    ]
    assert said["summary"] == {"ok": 0, "inconclusive": 0, "warn": 0, "fail": 1, "error": 0}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((), "inconclusive"),
        (("inconclusive",), "inconclusive"),
        (("ok", "inconclusive"), "ok"),
        (("ok", "warn"), "warn"),
        (("warn", "fail", "ok"), "fail"),
        (("fail", "error"), "error"),
    ],
)
def test_the_status_is_the_worst_and_nothing_known_is_no_pass(statuses, expected):
    """Nothing that could be judged is `inconclusive`; one thing that holds makes it `ok`."""
    assert a_report(*(a_verdict(status=status) for status in statuses)).status == expected


@pytest.mark.parametrize(
    ("statuses", "passed"),
    [((), False), (("inconclusive",), False), (("ok", "warn"), True), (("ok", "fail"), False), (("error",), False)],
)
def test_a_report_passes_when_something_is_known_and_nothing_fails(statuses, passed):
    """What a notebook asserts: a warning passes, the unknown does not."""
    assert a_report(*(a_verdict(status=status) for status in statuses)).passed is passed


def test_junit_shows_each_status_as_a_ci_server_understands_it():
    """Fail is a failure, error an error, inconclusive is skipped with its reason, and a warning breaks no build."""
    found = [a_verdict(status=status, reason=f"it is {status}") for status in STATUSES]
    suite = ET.fromstring(a_report(*found).to_junit().encode()).find("testsuite")  # noqa: S314 - our own text

    inner = {case.attrib["name"] + case[0].tag: case[0] for case in suite}
    assert [case[0].tag for case in suite] == ["system-out", "skipped", "system-out", "failure", "error"]
    assert {node.attrib.get("message", node.text) for node in inner.values()} >= {"it is fail", "it is inconclusive"}
    assert suite.attrib["failures"] == suite.attrib["errors"] == suite.attrib["skipped"] == "1"


def test_markdown_is_a_table_that_no_name_can_break():
    """Pipes, angle brackets and line breaks in a name stay in their cell."""
    said = a_report(a_verdict(column="a|b\n<b>", reason="x | y")).to_markdown()
    row = said.splitlines()[-1]

    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert "<b>" not in said


def test_markdown_tells_what_matters_first_and_a_column_that_fails_everywhere_once():
    """A chat is read from the top; what is left out is counted."""
    found = [
        a_verdict(),
        a_verdict(segment=(), value=0.2),
        a_verdict(check="quality.missing", metric="missing_rate", segment=(), value=0.35),
        a_verdict(column="dewp", segment=(), value=9.0),
    ]
    said = a_report(*found).to_markdown()
    rows = [line.split(" | ") for line in said.splitlines() if line.startswith("| fail")]

    assert [(row[1], row[3]) for row in rows] == [("dewp", "9"), ("temp", "0.200"), ("temp", "35.0 %")]
    assert "… and 1 more, 1 of them in segments." in said


def test_save_writes_what_the_suffix_names(tmp_path: Path):
    """One word decides: .html, .json, .xml or .md; another is a mistake of the call, named with its value."""
    report = a_report(a_verdict())
    for suffix in ("html", "json", "xml", "md"):
        report.save(tmp_path / f"report.{suffix}")

    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.to_html()
    assert msgspec.json.decode((tmp_path / "report.json").read_bytes()) == report.to_dict()
    assert (tmp_path / "report.xml").read_text(encoding="utf-8") == report.to_junit()
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == report.to_markdown()
    with pytest.raises(CallError, match=r"report\.pdf"):
        report.save(tmp_path / "report.pdf")
    with pytest.raises(OutsideError, match="could not be written"):
        report.save(tmp_path / "no" / "such" / "folder.json")


def test_a_notebook_gets_an_account_without_a_script():
    """What a cell shows is escaped, and needs neither scripts nor a style that leaks."""
    said = an_evil_report()._repr_html_()

    assert EVIL not in said
    assert "<script" not in said
    assert "<style" not in said
    assert "&lt;script&gt;" in said


def test_a_report_without_times_says_nothing_about_them():
    """A table without a time column has rows and nothing else."""
    said = a_report(a_verdict(window=None), reference=Extent(10), current=Extent(5)).to_dict()

    assert said["reference"] == {"rows": 10, "start": None, "end": None}
    assert said["verdicts"][0]["window"] is None

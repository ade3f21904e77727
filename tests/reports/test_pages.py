import gzip
import json
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from killick.clock import DAY, Window
from killick.registry.aliases import Alias, Holding
from killick.registry.versions import Version
from killick.reports import charts, maps, replay, timelines
from killick.reports.replay import replay_html
from killick.reports.story import acts, stories
from tests.reports.examples import (
    EVIL,
    JFK,
    START,
    a_chronicle,
    a_pictured_report,
    a_point,
    a_report,
    a_row,
    a_verdict,
    an_evil_report,
)

FETCHING = {
    "src",
    "href",
    "srcset",
    "action",
    "formaction",
    "data",
    "poster",
    "background",
    "cite",
    "ping",
    "xlink:href",
}


# Every element that our templates write: a name that became markup would be another, or bring an attribute.
KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "script", "header", "main", "footer", "section"),
    *("form", "input", "select", "option", "output", "button", "label", "details", "summary", "figure", "figcaption"),
    *(
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "p",
        "time",
        "article",
    ),
    *("h1", "h2", "h3", "h4", "div", "span", "a", "b", "i", "small", "code", "svg", "g", "path", "rect", "use"),
    *("circle", "line"),
}


class Page(HTMLParser):
    """A page taken apart: its elements, and what stands in its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, dict[str, str | None], str]] = []
        self._open: tuple[str, dict[str, str | None]] | None = None
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._open = (tag, dict(attrs))
            self.inside.append((*self._open, ""))

    def handle_endtag(self, tag):
        """Leave a script or a style."""
        if self._open and tag == self._open[0]:
            self._open = None

    def handle_data(self, data):
        """Note what stands in a script or a style, or is read."""
        if self._open:
            tag, attrs, said = self.inside[-1]
            self.inside[-1] = (tag, attrs, said + data)
        else:
            self.words += data

    def scripts(self) -> list[str]:
        """What would run."""
        return [said for tag, attrs, said in self.inside if tag == "script" and "type" not in attrs]

    def charts(self) -> dict[str, dict]:
        """The specs of the page's charts, by the element that they are drawn in, or by form."""
        data = [said for tag, attrs, said in self.inside if attrs.get("id") == "charts"]
        return json.loads(data[0])["charts"] | json.loads(data[0])["forms"] if data else {}

    def library(self) -> list[str]:
        """What is unpacked to draw the charts."""
        packed = [said for tag, attrs, said in self.inside if attrs.get("id") == "vega"]
        return [gzip.decompress(b64decode(one)).decode() for one in packed]

    def places(self) -> list[dict[str, str | None]]:
        """The elements that charts are drawn in."""
        return [attrs for _, attrs in self.elements if "chart" in (attrs.get("class") or "").split()]

    def with_id(self, name: str | None) -> dict[str, str | None]:
        """The attributes of the element of that id: there is one, and only one."""
        (found,) = [attrs for _, attrs in self.elements if attrs.get("id") == name]
        return found

    def policy(self) -> str:
        """The content security policy."""
        return next(
            attrs["content"] for _, attrs in self.elements if attrs.get("http-equiv") == "Content-Security-Policy"
        )


PAGES = {
    "pictured": lambda: a_pictured_report().to_html(),
    "plain": lambda: a_report(a_verdict()).to_html(),
    "empty": lambda: a_report().to_html(),
    "evil": lambda: an_evil_report().to_html(),
    "replay": lambda: replay_html(a_chronicle()),
    "evil replay": lambda: replay_html(a_chronicle(model=EVIL, drift=(a_row(EVIL, ((EVIL, EVIL),)),))),
    "empty replay": lambda: replay_html(
        a_chronicle(
            **dict.fromkeys(
                ("promises", "performance", "drift", "incidents", "recoveries", "rollouts", "retrainings"), ()
            ),
            **dict.fromkeys(("aliases", "versions", "changes", "entries"), ()),
        )
    ),
}


@pytest.fixture(scope="module", params=PAGES)
def page(request) -> Page:
    """Each kind of page, taken apart."""
    return Page(PAGES[request.param]())


def test_a_page_asks_nothing_of_the_network(page: Page):
    """No element names a place outside the page: it reads the same on a plane, and tells nobody that it is read."""
    asked = [
        (tag, name, value)
        for tag, attrs in page.elements
        for name, value in attrs.items()
        if name in FETCHING and value and not value.startswith("#")
    ]
    styles = "".join(said for tag, _, said in page.inside if tag == "style")

    assert asked == []
    assert "url(" not in styles
    assert "@import" not in styles
    assert "http" not in json.dumps(page.charts())


def test_the_policy_names_each_script_and_style_by_its_hash(page: Page):
    """Nothing else may run or be fetched: no `unsafe-inline`, no `unsafe-eval`, no place that is not the page."""
    policy = dict(rule.split(" ", 1) for rule in page.policy().split("; "))
    styles = [said for tag, _, said in page.inside if tag == "style"]

    assert policy["default-src"] == "'none'"
    assert "unsafe" not in page.policy()
    for texts, rule in (([*page.scripts(), *page.library()], "script-src"), (styles, "style-src")):
        assert policy[rule].split() == [
            f"'sha256-{b64encode(sha256(one.encode()).digest()).decode()}'" for one in texts
        ]


def test_nothing_in_a_page_is_styled_or_scripted_by_an_attribute(page: Page):
    """The policy forbids both, so such an attribute would be dead, or a hole."""
    assert [
        (tag, name) for tag, attrs in page.elements for name in attrs if name == "style" or name.startswith("on")
    ] == []


def test_names_in_the_data_never_become_markup(page: Page):
    """A column called `<script>` is shown by that name, and runs nothing."""
    assert all("alert(" not in script for script in page.scripts())
    assert sum(tag == "script" for tag, _ in page.elements) <= 3
    assert {tag for tag, _ in page.elements} <= KNOWN


def test_every_chart_has_its_place_and_its_alternative(page: Page):
    """Each spec is drawn somewhere, and each place says in a sentence what is drawn there."""
    drawn = {attrs.get("data-form") or attrs["id"] for attrs in page.places()}

    assert drawn <= set(page.charts())
    assert {name for name, spec in page.charts().items() if "datasets" in spec} <= drawn
    for attrs in page.places():
        said = attrs.get("aria-label") or page.with_id(attrs.get("aria-labelledby"))["aria-label"]
        assert attrs["role"] == "img"
        assert len(said or "") > 20


def test_a_chart_without_a_spec_is_drawn_from_a_table_of_the_page(page: Page):
    """The numbers that are read are those that are drawn: each such chart names its table, and the table is there."""
    for attrs in page.places():
        if "data-form" in attrs:
            assert "data-table" in attrs
            assert page.with_id(attrs["data-table"]) is not None


def test_no_two_elements_share_an_id(page: Page):
    """A label, a link or a chart would reach the wrong one."""
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]

    assert len(ids) == len(set(ids))


def test_every_small_picture_says_what_it_shows(page: Page):
    """A picture has a name for those who hear the page, or is hidden from them because another one says it."""
    pictures = [attrs for tag, attrs in page.elements if tag == "svg" and attrs.get("class") == "spark"]

    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") == "true" for attrs in pictures)


def test_every_field_and_button_has_a_name(page: Page):
    """Filters are used by keyboard and by ear: none of them is a nameless box."""
    named = [attrs for tag, attrs in page.elements if tag in ("select", "output") or attrs.get("type") == "search"]

    assert all(attrs.get("aria-label") for attrs in named)
    assert all(attrs.get("aria-label") for _, attrs in page.elements if attrs.get("role") == "region")


def test_every_spec_is_vega_lite(page: Page):
    """Altair's own schema of Vega-Lite accepts each chart."""
    import altair as alt

    for spec in page.charts().values():
        assert alt.LayerChart.from_dict(spec | {"$schema": alt.SCHEMA_URL}).to_dict()


def test_a_page_without_charts_brings_no_library():
    """The charts' JavaScript is most of a page's weight."""
    assert len(a_report(a_verdict()).to_html()) < 60_000
    assert len(Page(a_pictured_report().to_html()).library()) == 1


def test_the_themes_are_vega_configs_of_the_same_parts():
    """What light names, dark names too, or a chart would lose a part of itself at night."""
    light, dark = charts.THEMES["light"], charts.THEMES["dark"]

    assert light.keys() == dark.keys()
    assert light["style"].keys() == dark["style"].keys()
    assert {name: len(colours) for name, colours in light["range"].items()} == {
        name: len(colours) for name, colours in dark["range"].items()
    }
    assert len(light["range"]["ordinal"]) == len(maps.MAP_LEVELS)


def test_a_life_is_told_as_a_table_of_incidents():
    """When it began, where, what, why, what was done, and how it ended: in the words of the record."""
    fault, missed = stories(a_chronicle())

    assert (fault.kind, fault.where, fault.cause) == ("data fault", "origin=JFK", "pipeline weather-feed 2.1")
    assert fault.began == "11 May 2013, 03:00 to 10:00"
    assert fault.noticed == "noticed 21 hours after"
    assert fault.done == ("fallback to no-weather on 17 May 2013, taken back 1 Jun 2013",)
    assert fault.ended == "31 May 2013, after 20 days"
    assert [entry.fact.action for entry in fault.entries] == ["begin incident", "act recovery", "plan traffic"]
    assert missed.done == ("retrained, and the gate refused challenger-1 (log loss 0.610 against 0.590 of live)",)
    assert missed.ended == "not yet: somebody should act"


def test_what_changed_who_answers_is_told_in_its_order():
    """The badges of the timeline: fallback and its end, canary and its end, what the gate refused."""
    assert [what for _, what in acts(a_chronicle())] == [
        "fallback to no-weather at origin=JFK",
        "no-weather taken back at origin=JFK: the cause is gone",
        "v2 goes out as a canary",
        "v2 does harm: taken back",
        "challenger-1 refused by the gate",
    ]


def test_the_page_of_a_life_shows_the_proof():
    """The ledger's head stands whole on the page, with the command that checks it."""
    chronicle = a_chronicle()

    assert f"killick ledger verify --head {chronicle.ledger_head}" in Page(replay_html(chronicle)).words


def test_the_versions_are_told_with_what_became_of_them():
    """Who is live, who was, who was taken back, and whom the gate refused."""
    said = Version(model="flight-delay", name="v1", loader="m:f")
    names = ("v1", "v2", "v3", "challenger-1-trial", "v4")
    held = [
        Holding(version=name, since=START + n * DAY, actor="ana", reason="r") for n, name in enumerate(("v1", "v3"))
    ]
    chronicle = a_chronicle(
        versions=tuple(msgspec.structs.replace(said, name=name) for name in names),
        aliases=(Alias(name="live", holdings=tuple(held)),),
    )

    assert [one["fate"] for one in replay._named(chronicle)] == [
        *("was live", "it serves nobody", "live", "stood at the gate: refused", "held ready")
    ]


def test_a_life_without_incidents_says_so():
    """Nothing happened is an answer."""
    quiet = replay_html(a_chronicle(incidents=(), recoveries=(), rollouts=(), retrainings=()))

    assert "Nothing happened to flight-delay in 60 days." in Page(quiet).words


def test_a_drift_map_leaves_out_what_holds_and_joins_what_was_not_judged():
    """Sixty days with six of drift and two without judgement are seven marks."""
    found = list(maps.runs(a_row("temp", JFK), Window(START, START + 60 * DAY)))

    assert [run["level"] for run in found] == ["both, beyond 2 times"] * 6 + [maps.NOT_JUDGED]
    assert found[-1]["to"] - found[-1]["from"] == 2 * DAY // 1_000


def test_lines_are_means_weighted_by_labels_and_unknown_days_are_left_out():
    """Two days of one label and three: their mean is not the middle."""
    points = [a_point(0, 0.2, labels=1), a_point(1, 0.6, labels=3), a_point(2, None, labels=0)]
    within = Window(START, START + 3 * DAY)

    assert [row["value"] for row in timelines.means("x", points, within, 2)] == pytest.approx([0.5])


def test_badges_that_would_cover_each_other_stand_on_levels():
    """Two acts of one day are both legible; one a month later is back on the ground."""
    within = Window(START, START + 60 * DAY)
    badges = [{"from": timelines.ms(START + day * DAY), "number": str(day)} for day in (1, 1, 2, 40)]

    assert [[one["number"] for one in level] for level in timelines._levels(badges, within)] == [
        ["1", "40"],
        ["1"],
        ["2"],
    ]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of this machine; without one, its tests are skipped, and say so."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium here: what a browser does with a page is not tested")
    return found


def browse(
    chromium: str, text: str, folder: Path, *more: str, wants: str = "--dump-dom", at: str = ""
) -> tuple[str, list[str]]:
    """Show a page to a browser that reaches no network; return what became of it, and what its console said."""
    (folder / "page.html").write_text(text, encoding="utf-8")
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
        *("--enable-logging=stderr", "--virtual-time-budget=20000", "--window-size=390,1600", wants),
        f"--user-data-dir={folder / 'profile'}",
    ]
    command = [chromium, *options, *more, f"file://{folder}/page.html{at}"]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return seen.stdout, [line for line in seen.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pictured", "evil", "replay", "evil replay"])
@pytest.mark.parametrize("scheme", ["0", "1"], ids=["dark", "light"])
def test_a_browser_draws_every_chart_and_complains_about_nothing(name, scheme, chromium, tmp_path):
    """In a real browser, with no network, under the policy: all charts are drawn, and the console stays silent."""
    text = PAGES[name]()
    shown, said = browse(chromium, text, tmp_path, f"--blink-settings=preferredColorScheme={scheme}", at="#all")

    assert said == []
    assert shown.count('data-drawn="yes"') == len(Page(text).places()) > 0
    assert shown.count("<svg") >= len(Page(text).places())


@pytest.mark.slow
def test_a_closed_line_is_drawn_only_when_it_is_opened(chromium, tmp_path):
    """A page of a hundred columns opens at once: what is not seen is not drawn."""
    text = a_pictured_report().to_html()
    shown, said = browse(chromium, text, tmp_path)

    assert said == []
    assert 0 < shown.count('data-drawn="yes"') < len(Page(text).places())


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 800, 1280, 1600])
def test_no_page_is_wider_than_its_window(width, chromium, tmp_path):
    """From a phone to a desk nobody scrolls sideways, whatever columns are called; wide tables scroll by themselves.

    The page stands in a frame of that width, since a browser's window has a least one; the frame's script reports.
    """
    long = a_verdict(column="x" * 200, segment=(("a" * 60, "b" * 60),), reason="no_space_" * 30)
    report = a_report(*a_pictured_report().verdicts, long, pictures=a_pictured_report().pictures)
    text = report.to_html()
    measure = "<script>onload=()=>setTimeout(()=>{document.title=f.contentDocument.documentElement.scrollWidth},3000)"
    (tmp_path / "inner.html").write_text(text, encoding="utf-8")
    outer = (
        f'<title>-</title><iframe id="f" src="inner.html#all" width="{width}" height="900"></iframe>{measure}</script>'
    )
    shown, _ = browse(chromium, outer, tmp_path, "--allow-file-access-from-files", "--window-size=1700,1000")
    found = re.search(r"<title>(\d+)</title>", shown)

    assert found is not None
    assert int(found[1]) <= width


@pytest.mark.slow
def test_a_page_prints_with_its_lines_open_and_without_complaint(chromium, tmp_path):
    """On paper: a document of some pages, and a silent console."""
    paper = tmp_path / "page.pdf"
    _, said = browse(chromium, a_pictured_report().to_html(), tmp_path, wants=f"--print-to-pdf={paper}")

    assert said == []
    assert paper.read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_a_browser_would_complain_about_what_the_policy_does_not_name(chromium, tmp_path):
    """A script that was changed by one letter does not run, and the console says so: the tests above can fail."""
    text = a_pictured_report().to_html().replace('"use strict";', '"use strict" ;', 1)
    shown, said = browse(chromium, text, tmp_path)

    assert "data-drawn" not in shown
    assert any("Content Security Policy" in line for line in said)


@pytest.mark.slow
def test_a_browser_would_refuse_a_library_that_is_not_the_one_named(chromium, tmp_path):
    """What is unpacked is held to its hash too."""
    text = a_pictured_report().to_html()
    (library,) = Page(text).library()
    other = b64encode(gzip.compress((library + ";").encode(), mtime=0)).decode()
    packed = re.search(r'id="vega">([^<]+)<', text)
    assert packed is not None
    shown, said = browse(chromium, text.replace(packed[1], other), tmp_path)

    assert 'data-drawn="yes"' not in shown
    assert any("Content Security Policy" in line for line in said)

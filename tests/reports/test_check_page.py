import re
from html.parser import HTMLParser

import pytest

from killick.clock import DAY
from killick.reports import html
from killick.reports.columns import MATRIX_SEGMENTS_MAX, SEGMENTS_MAX, columns_of, matrix
from killick.reports.report import Distribution, Extent
from tests.reports.examples import EVIL, JFK, START, a_pictured_report, a_report, a_verdict, a_wide_report

EMPTY = {"meta", "input", "link", "br", "path", "rect", "use", "circle", "col"}
# What closes by itself when the next one opens.
IMPLIED = {"td": {"td", "th", "tr", "tbody"}, "th": {"td", "th", "tr", "tbody"}, "tr": {"tr", "tbody"}, "li": {"li"}}
IMPLIED |= {"thead": {"tbody"}, "tbody": {"tbody"}}


class Node:
    """An element with its children, as a browser builds them."""

    def __init__(self, tag: str, attrs: dict[str, str | None]) -> None:
        self.tag, self.attrs, self.children, self.said = tag, attrs, [], ""

    def all(self, tag: str, **attrs: str) -> list["Node"]:
        """Every element inside of that tag, and with those attributes; a class is one of its words."""
        found = []
        for child in self.children:
            fits = child.tag == tag and all(
                value in (child.attrs.get(name.replace("_", "-").strip("-")) or "").split()
                for name, value in attrs.items()
            )
            found += [child] if fits else []
            found += child.all(tag, **attrs)
        return found

    @property
    def text(self) -> str:
        """All that is read in it, with single spaces."""
        return " ".join("".join(self.pieces()).split())

    def pieces(self):
        """What is read, in its order."""
        for child in self.children:
            if isinstance(child, Node):
                yield from child.pieces()
            yield child.said if child.tag == "" else " "


class Tree(HTMLParser):
    """A page as a tree; elements whose end may be left out end where HTML says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Node("html", {})
        self.open = [self.root]
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Open an element, after those that it ends."""
        while tag in IMPLIED.get(self.open[-1].tag, ()):
            self.open.pop()
        node = Node(tag, dict(attrs))
        self.open[-1].children.append(node)
        if tag not in EMPTY:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        """An element without content."""
        self.open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag):
        """Close an element, and what was left open in it."""
        if any(node.tag == tag for node in self.open):
            while self.open.pop().tag != tag:
                pass

    def handle_data(self, data):
        """Keep what is read."""
        node = Node("", {})
        node.said = data
        self.open[-1].children.append(node)


def page(report) -> Node:
    """A report's page as a tree."""
    return Tree(report.to_html()).root


def lines(report) -> list[Node]:
    """The lines of a report's columns."""
    return page(report).all("details", class_="column")


def test_the_page_reads_from_the_answer_to_how_it_was_judged():
    """The sections, in the order in which somebody asks."""
    root = page(a_pictured_report())

    assert root.all("h1")[0].text == "1 of 5 columns changed: temp (25.0 % missing)."
    assert [one.text for one in root.all("h2")] == [
        "Columns",
        "Segments",
        "Performance",
        "The table as a whole",
        "What could not be judged, and why",
        "Everything",
        "How it was judged",
    ]


def test_every_column_has_one_line_and_the_one_that_matters_most_is_first():
    """Failing, warning, unknown, holding: all are there, each once, with its kind and status."""
    found = [
        (one.all("b")[0].text, one.attrs["data-status"], one.attrs["data-kind"]) for one in lines(a_pictured_report())
    ]

    assert found == [
        ("temp", "fail", "numeric"),
        ("carrier", "warn", "categorical"),
        ("visib", "inconclusive", "numeric"),
        ("note", "ok", "text"),
        ("dewp", "ok", "numeric"),
    ]


def test_a_line_says_the_number_its_limit_and_why():
    """Metric, value, threshold and effect, and the reason in a sentence; the rest stands inside."""
    line = lines(a_report(a_verdict(segment=(), effect=1.25)))[0]

    assert line.all("span", class_="figure")[0].text == "0.300 PSI, limit 0.100 effect 1.25"
    assert line.all("span", class_="why")[0].text == "PSI is 0.3; healthy windows stay within 0.1"


def test_only_the_first_line_that_does_not_hold_is_open():
    """Who has nothing to fear sees a list; who has, sees the worst at once."""
    opened = [one.attrs.get("open", "no") for one in lines(a_pictured_report())]

    assert opened == [None, "no", "no", "no", "no"]
    assert "open" not in lines(a_report(a_verdict(status="ok")))[0].attrs


def test_the_numbers_of_a_chart_stand_beside_it_as_a_table():
    """Who cannot see the picture reads the same shares; the table knows where the bars on the axis end."""
    temp = lines(a_pictured_report())[0]
    table = temp.all("table")[0]
    rows = table.all("tr")
    told = [[cell.text for cell in row.all("td")] for row in rows]

    assert told[1] == ["0 to 1", "10.0 %", "0 %"]
    assert told[-1] == ["missing", "0 %", "25.0 %"]
    assert table.attrs["data-edges"] == "0 1 2 3 4 5 6 7 8 9 10"
    assert ["data-apart" in row.attrs for row in rows] == [*[False] * 11, True]


def test_a_column_without_cells_shows_its_facets_under_their_names():
    """A text is drawn by its length, and says so."""
    note = next(one for one in lines(a_pictured_report()) if one.all("b")[0].text == "note")

    assert [one.text for one in note.all("figcaption")[0].all("b")] == ["note (length)"]


def test_what_fails_in_a_segment_is_told_with_its_column():
    """The segment, its small picture and its reason; and the matrix of all of them."""
    root = page(a_pictured_report())
    within = root.all("ul", class_="within")[0].all("li")
    rows = root.all("div", class_="matrix")[0].all("tr")

    assert [one.all("b")[0].text for one in within] == ["origin=JFK"]
    assert within[0].all("svg")[0].attrs["aria-label"].startswith("Shares of temp at origin=JFK")
    assert [cell.text for cell in rows[1].all("th")] == ["JFK"]
    assert [rows[2].all("th")[0].text, rows[2].all("td")[0].text] == ["temp", "fail"]


def test_segments_that_hold_are_said_to():
    """Silence could mean that nobody looked."""
    assert (
        "Nothing fails and nothing is worth a look in any of 1 segment." in page(a_report(a_verdict(status="ok"))).text
    )


def test_performance_stands_beside_the_reference_with_its_interval_and_its_calibration():
    """Reference, current, interval; and the curve's numbers."""
    root = page(a_pictured_report())
    section = next(one for one in root.all("section") if one.all("h2") and one.all("h2")[0].text == "Performance")
    cells = [cell.text for cell in section.all("table")[0].all("tbody")[0].all("td")]

    assert cells[:4] == ["ROC AUC", "0.820", "0.800", "0.780 to 0.820"]
    assert "where it said 90.0 %, 60.0 % came true" in section.all("div", class_="chart")[0].attrs["aria-label"]
    assert len(section.all("table")[1].all("tr")) == 1 + 3 + 3


def test_a_table_wide_fault_is_told_before_the_columns():
    """Duplicates and the order of columns belong to no column, and still have their place: by how much they matter."""
    broken = a_verdict(check="quality.duplicates", metric="duplicate_rate", column=None, segment=(), value=0.3)
    told = [one.text for one in page(a_report(broken, a_verdict(status="ok", segment=()))).all("h2")]

    assert told[:2] == ["The table as a whole", "Columns"]


def test_the_budget_is_told_as_a_chance():
    """Nobody knows what 0.05 false alarms are."""
    facts = page(a_report(a_verdict(), tests=312)).all("dl")[0].text

    assert "Chance of any false failure 5 %shared by 312 tests" in facts


def test_the_filters_name_every_status_and_kind_that_is_there():
    """One cannot ask for what is not there."""
    form = page(a_pictured_report()).all("form")[0]

    assert [one.attrs["value"] for one in form.all("input", type="checkbox")] == ["fail", "warn", "inconclusive", "ok"]
    assert [one.text for one in form.all("option")] == ["every kind", "categorical", "numeric", "text"]


@pytest.mark.parametrize("failing", [0.1, 1.0])
def test_a_hundred_columns_in_five_segments_are_two_megabytes_at_most(failing):
    """Six checks each, and everything may fail: a mail server still takes the page."""
    text = a_wide_report(100, 5, failing).to_html()

    assert len(text.encode()) <= 2_000_000
    assert len(Tree(text).root.all("details", class_="column")) == 100


def test_more_than_a_page_holds_is_counted_not_dropped():
    """Lines, rows, segments and columns of the matrix are bounded; what is left out is told."""
    many = [a_verdict(column=f"column-{n}", segment=(("x", str(n)),)) for n in range(html.ROWS_MAX + 5)]
    text = page(a_report(*many)).text

    assert f"{len(many) - html.COLUMNS_MAX:,} more columns: the JSON report has all of them" in text
    assert "5 more verdicts in the JSON report" in text
    assert f"{len(many) - MATRIX_SEGMENTS_MAX:,} segments with fewer findings left out" in text

    several = [a_verdict(segment=(("x", str(n)),)) for n in range(SEGMENTS_MAX + 3)]
    assert "3 more findings in segments" in lines(a_report(*several))[0].text


@pytest.mark.parametrize(
    "name", [EVIL, "a\"b'c", "x" * 200, "\N{ANCHOR}\N{VARIATION SELECTOR-16} &amp; <b>", "]]>", " "]
)
def test_a_column_is_shown_by_its_name_whatever_it_is(name):
    """Markup, quotes, two hundred letters and pictures are names like any other."""
    shares = Distribution((name, "missing"), (0.5, 0.5), (0.9, 0.1), trailing=1)
    report = a_report(
        a_verdict(column=name, segment=((name, name),)),
        a_verdict(column=name, segment=()),
        pictures={(name, ()): shares},
    )
    line = lines(report)[0]

    assert line.all("b")[0].text == " ".join(name.split())
    assert line.all("table")[0].all("td")[0].text == " ".join(name.split())


def test_a_column_is_as_bad_as_its_worst_verdict_but_what_holds_outweighs_what_is_unknown():
    """One thing that holds makes a column known; one that fails in a segment makes it fail."""
    ok, unknown = (
        a_verdict(status="ok", segment=()),
        a_verdict(status="inconclusive", segment=(), check="quality.range"),
    )

    assert [columns_of(a_report(*found))[0].status for found in ([ok, unknown], [unknown], [ok, a_verdict()])] == [
        "ok",
        "inconclusive",
        "fail",
    ]


def test_the_matrix_groups_segments_by_what_they_are_made_of():
    """Values of one column stand beside each other, under its name; a cell that was not judged is empty."""
    ewr, ua = (("origin", "EWR"),), (("carrier", "UA"),)
    found = matrix(
        [a_verdict(), a_verdict(segment=ua), a_verdict(segment=ewr, status="ok"), a_verdict(column="dewp", segment=ewr)]
    )

    assert found is not None
    assert found.groups == (("carrier", 1), ("origin", 2))
    assert dict(found.rows)["dewp"] == (None, "fail", None)
    assert dict(found.rows)["temp"] == ("fail", "ok", "fail")


def test_a_notebook_gets_ten_columns_with_their_pictures_and_neither_script_nor_style_element():
    """What a cell shows is escaped, and leaks nothing into the notebook; what is left out is counted."""
    report = a_wide_report(14, 0, 0.5)
    said = Tree(report._repr_html_()).root

    assert len(said.all("tbody")[0].all("tr")) == 10
    assert len(said.all("svg")) == 10
    assert all(one.attrs["aria-label"] for one in said.all("svg"))
    assert not said.all("script")
    assert not said.all("style")
    assert "and 4 more columns" in said.text
    assert report.headline in said.text
    assert not re.search(r"\b(id|class)=", report._repr_html_())


def test_a_notebook_shows_what_belongs_to_no_column_before_the_columns():
    """A model that does worse is not hidden behind a list of columns that hold."""
    loss = a_verdict(check="performance.realised", metric="roc_auc", column=None, segment=(), reason="it fell to 0.6")
    said = Tree(a_report(loss, a_verdict(status="ok"))._repr_html_()).root

    assert "ROC AUC : it fell to 0.6" in said.all("ul")[0].text


def test_a_reference_that_is_newer_than_the_data_is_pointed_out():
    """Before and after are easily swapped on a command line."""
    swapped = a_report(
        a_verdict(), reference=Extent(10, START + DAY, START + 2 * DAY), current=Extent(5, START, START + DAY)
    )

    assert "wrong way round" in page(swapped).text
    assert "wrong way round" not in page(a_report(a_verdict())).text


def test_a_report_of_nothing_says_so():
    """No verdicts are no pass."""
    root = page(a_report())

    assert root.all("h1")[0].text == "Nothing could be judged: there are no verdicts."
    assert "No test was made." in root.text
    assert JFK[0][1] not in root.text

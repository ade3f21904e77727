import msgspec

from killick.alerting.incidents import Incident
from killick.checks.verdict import Verdict
from killick.clock import DAY, Window, parse_instant
from killick.engine.chronicle import STRENGTH_MAX, chronicle, strength
from killick.engine.record import Book
from killick.engine.world import World
from killick.ledger.chain import verify
from killick.ports.control import Batch
from killick.registry.versions import Version
from killick.reports.replay import replay_html
from killick.spec.load import parse_spec
from killick.testing.control import MemoryControl
from killick_client.events import Change

START = parse_instant("2013-05-01")
JFK = (("origin", "JFK"),)
SPEC = """
killick: 1
model: flight-delay
task: binary
schema: {prediction_id: id, event_time: at, score: p, label: {column: late}}
objectives:
  - {name: honest-odds, sli: log_loss, at_most: 0.58, window: 2d}
"""


def a_window(at: int) -> Window:
    """The numbered day."""
    return Window(START + at * DAY, START + (at + 1) * DAY)


def a_life() -> MemoryControl:
    """Three days: a fault on the second, seen by both witnesses in one column."""
    control = MemoryControl()
    with control.transaction() as t:
        book = Book(t, "flight-delay", START)
        book.register(Version(model="flight-delay", name="v1", loader="m:f", registered_at=START), "named by the spec")
        book.point("live", "v1", "named by the spec")
        t.put(
            "change",
            "flight-delay",
            "c",
            msgspec.json.encode(Change(at=START, kind="pipeline", name="feed")),
            revision=0,
        )
        Book(t, "another", START).note("apply spec", "another", "first seen")
        for day in range(3):
            t.add_batch(Batch(f"b{day}", "flight-delay", "predictions", "p", 100, a_window(day), START))
            t.add_verdicts("flight-delay", list(the_verdicts(day)))
        fault = Incident(kind="data_fault", title="temp", severity="ticket", opened_at=START + 2 * DAY, segment=JFK)
        Book(t, "flight-delay", START + 2 * DAY).begin("incident", "incident-1", fault, "temp moved")
    return control


def the_verdicts(day: int):
    """What the checks said of the numbered day."""
    value = 0.9 if day == 1 else 0.1
    drift = {"check": "drift.univariate", "column": "temp", "segment": JFK, "window": a_window(day), "reason": "r"}
    status = "fail" if day == 1 else "ok"
    yield Verdict(metric="psi", status=status, value=value, threshold=0.3, **drift)
    if day < 2:
        yield Verdict(
            metric="wasserstein", status=status, value=value, threshold=0.6, reference="other_segments", **drift
        )
    else:
        yield Verdict(metric="wasserstein", status="inconclusive", threshold=0.6, reference="other_segments", **drift)
    realised = {
        "check": "performance.realised",
        "window": a_window(day),
        "status": "ok",
        "reason": "r",
        "n_current": 100,
    }
    yield Verdict(metric="log_loss", value=0.5, **realised)
    yield Verdict(metric="log_loss", value=0.6, segment=JFK, **realised)
    yield Verdict(metric="log_loss", value=0.7, version="v1", **realised)
    yield Verdict(metric="roc_auc", value=0.7, **realised)
    trailing = Window.trailing(START + (day + 1) * DAY, 2 * DAY)
    yield Verdict(check="objective.honest-odds", metric="log_loss", status="ok", reason="r", window=trailing, value=0.5)


def a_world(control: MemoryControl) -> World:
    """A world of nothing but a control store: a chronicle asks for no more."""
    return World(control, *[None] * 6)


def told(until: int = 3):
    """The chronicle of the life, as of the end of the numbered day."""
    return chronicle(a_world(a_life()), parse_spec(SPEC), START + until * DAY)


def test_a_chronicle_puts_the_witnesses_of_a_window_together():
    """The strongest and the weakest voice, in units of their limits; one that could not be heard agrees to nothing."""
    (row,) = told().drift

    assert (row.column, row.segment) == ("temp", JFK)
    assert [cell.status for cell in row.cells] == ["ok", "fail", "ok"]
    assert [round(cell.strength, 2) for cell in row.cells] == [0.33, 3.0, 0.33]
    assert [cell.agreed if cell.agreed is None else round(cell.agreed, 2) for cell in row.cells] == [0.17, 1.5, None]


def test_a_chronicle_tells_what_all_versions_together_answered():
    """Overall first, then by segment; a single version's numbers and other metrics are another question."""
    assert [(series.metric, series.segment) for series in told().performance] == [("log_loss", ()), ("log_loss", JFK)]


def test_a_chronicle_is_of_one_model_and_its_ledger_is_everybodys():
    """Entries are the model's own; length and head are the whole chain's, which alone can be verified."""
    control = a_life()
    found = chronicle(a_world(control), parse_spec(SPEC), START + 3 * DAY)
    with control.transaction() as t:
        ledger = t.ledger()

    assert {entry.fact.model for entry in found.entries} == {"flight-delay"}
    assert found.ledger_length == len(found.entries) + 1
    assert verify(ledger, found.ledger_head) == found.ledger_length


def test_a_chronicle_knows_nothing_later_than_its_end():
    """Asked for the first day, it has one window of everything."""
    first = told(until=1)

    assert first.span == a_window(0)
    assert [len(series.points) for series in first.performance] == [1, 1]
    assert [len(promise.points) for promise in first.promises] == [1]
    assert first.predictions == 100


def test_a_chronicle_has_the_machines_as_they_stand():
    """An incident with its state and what the state means, the aliases, the versions, the changes."""
    found = told()
    (incident,) = found.incidents

    assert (incident.id, incident.state) == ("incident-1", "open")
    assert incident.meaning
    assert [alias.version for alias in found.aliases] == ["v1"]
    assert [version.name for version in found.versions] == ["v1"]
    assert [change.name for change in found.changes] == ["feed"]
    assert found.promises[0].bound == 0.58


def test_a_chronicle_of_nothing_is_a_page_too():
    """A model that was never seen has an empty life, and the page says so."""
    empty = chronicle(a_world(MemoryControl()), parse_spec(SPEC), START)

    assert "Nothing happened" in replay_html(empty)


def test_what_is_gathered_becomes_a_page():
    """From the store to the page in one piece."""
    page = replay_html(told())

    assert "1 data fault" in page
    assert "origin=JFK" in page


def test_a_limit_of_nothing_is_passed_by_anything():
    """A column that never moved in training has a limit of zero: no division, no infinity."""
    base = {"check": "drift.univariate", "metric": "psi", "reason": "r"}

    assert strength(Verdict(status="warn", value=0.1, threshold=0.0, **base)) == STRENGTH_MAX
    assert strength(Verdict(status="ok", value=0.0, threshold=0.0, **base)) == 0.0
    assert strength(Verdict(status="inconclusive", value=0.5, threshold=0.1, **base)) is None

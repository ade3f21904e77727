"""The page of a chronicle: the story first, then how the promise was kept, where the data moved, and the proof.

One file that works offline. Bounds: 200 incidents, 12 drift maps, 16 close-ups, 40 numbered acts; what is left out is
counted on the page. Measured on 275 days of flights: see the note beside `replay_html`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from killick.clock import DAY, Window
from killick.reports import maps, timelines
from killick.reports.page import Gallery, Placed, render
from killick.reports.story import Story, account, acts, causes, stories
from killick.reports.words import moment, place, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.clock import Duration, Instant
    from killick.reports.charts import Chart
    from killick.reports.chronicle import Chronicle, DriftRow
    from killick.reports.timelines import Band
    from killick.reports.words import Segment

INCIDENTS_MAX = 200
MAPS_MAX = 12
CLOSE_UPS_MAX = 16
# How much of the time before and after an incident its close-up shows.
AROUND: Duration = 21 * DAY
LANES = ("data fault", "objective", "canary harm", "live", "fallback", "rollout", "retraining", "change")
# The same in the order of the palette: what is live is blue, what is faulty vermilion.
PAINTS = ("live", "canary harm", "fallback", "objective", "rollout", "data fault", "retraining", "change")
_LANE_OF = {"data_fault": "data fault", "objective_missed": "objective", "canary_harm": "canary harm"}
_WEEKLY = 120 * DAY


def replay_html(chronicle: Chronicle) -> str:
    """Return the page. 275 days, 8 incidents, 64 rows of drift: about 1.7 MB (0.9 of them Vega), 2 s the first time."""
    gallery = Gallery()
    told = stories(chronicle)[-INCIDENTS_MAX:]
    bands = [band for story in told if (band := incident_band(story, chronicle.span))]
    done = [(at, what) for at, what in acts(chronicle) if chronicle.span.start <= at <= chronicle.span.end]
    shown = done[: timelines.BADGES_MAX]
    badges = [
        {"from": timelines.ms(at), "number": str(n), "what": what, "when": moment(at)}
        for n, (at, what) in enumerate(shown, start=1)
    ]
    promises = [
        (promise, gallery.hang(timelines.promise_chart(promise, chronicle.span, bands, badges if not n else [])))
        for n, promise in enumerate(chronicle.promises)
    ]
    lanes = gallery.hang(timelines.lanes_chart(LANES, PAINTS, stretches(chronicle, told), chronicle.span))
    return render(
        "replay.html",
        f"{chronicle.model}, {span(chronicle.span)}",
        gallery.placed,
        chronicle=chronicle,
        account=account(chronicle, told),
        stories=told,
        pages=sum(entry.fact.action == "page" for entry in chronicle.entries),
        acts=list(enumerate(shown, start=1)),
        more_acts=max(len(done) - len(shown), 0),
        promises=promises,
        lanes=lanes,
        segments=gallery.hang(_segments_chart(chronicle)),
        maps=_maps(chronicle, told, gallery),
        more_maps=max(len({row.segment for row in chronicle.drift}) - MAPS_MAX, 0),
        close_ups=_close_ups(chronicle, told, gallery),
        holdings=_holdings(chronicle),
        named=_named(chronicle),
        causes=causes,
    )


def incident_band(story: Story, within: Window) -> Band | None:
    """Return the stretch of time that an incident spoiled."""
    known = Window(story.spoiled.start, max(min(story.spoiled.end, within.end), story.spoiled.start))
    what = f"#{story.number} {story.kind}: {story.where}"
    return timelines.stretch(known, within, what=what, when=f"{story.began}; ended {story.ended}")


def stretches(chronicle: Chronicle, told: Sequence[Story]) -> list[Band]:
    """Return what happened beside the promise, each in its lane."""
    within = chronicle.span
    found: list[Band | None] = []
    for story in told:
        band = incident_band(story, within)
        lane = _LANE_OF.get(story.told.body.kind, "data fault")
        found.append(band and band | {"lane": lane, "label": f"#{story.number}"})
    for name, held in _holdings(chronicle):
        if name == "live":
            found += [_stretch(within, w, "live", version, f"{version} is live") for version, w, _ in held]
    for recovery in chronicle.recoveries:
        body = recovery.body
        if body.acted_at is not None:
            window = Window(body.acted_at, body.ended_at or within.end)
            what = f"{body.action} to {body.version} {place(body.segment)}"
            found.append(_stretch(within, window, "fallback", body.version, what))
    for rollout in chronicle.rollouts:
        window = Window(rollout.body.began_at, rollout.body.ended_at or within.end)
        what = f"rollout of {rollout.body.version}: {rollout.meaning or rollout.state}"
        found.append(_stretch(within, window, "rollout", rollout.body.version, what))
    for job in chronicle.retrainings:
        window = Window(job.body.requested_at, job.body.ended_at or job.since)
        what = f"{job.body.challenger}: {job.meaning or job.state}"
        found.append(_stretch(within, window, "retraining", job.state, what))
    for change in chronicle.changes:
        what = f"{change.kind} {change.name} {change.version or ''}: {change.note}"
        found.append(_stretch(within, Window(change.at, change.at), "change", change.kind, what))
    return [one for one in found if one]


def _stretch(within: Window, window: Window, lane: str, label: str, what: str) -> Band | None:
    when = moment(window.start)
    if window.width:
        when += f" to {moment(min(window.end, within.end))}"
    return timelines.stretch(window, within, lane=lane, label=label, what=what, when=when)


def _segments_chart(chronicle: Chronicle) -> Chart | None:
    lines = timelines.by_segment(chronicle.performance, "log_loss")
    return timelines.lines_chart(lines, chronicle.span, [], every=_every(chronicle))


def _every(chronicle: Chronicle) -> int:
    """Return how many windows make one point of a line: a week's, when the span is long."""
    widths = [point.window.width for series in chronicle.performance[:1] for point in series.points[:1]]
    if not widths or chronicle.span.width < _WEEKLY:
        return 1
    return max(7 * DAY // widths[0], 1)


def _maps(chronicle: Chronicle, told: Sequence[Story], gallery: Gallery) -> list[tuple[Segment, Placed | None]]:
    """Return a drift map for each segment: those with incidents first, the rows in one order in all of them."""
    by_segment: dict[Segment, list[DriftRow]] = {}
    for row in chronicle.drift:
        by_segment.setdefault(row.segment, []).append(row)
    hurt = [story.told.body.segment for story in told if story.told.body.kind == "data_fault"]
    segments = sorted(by_segment, key=lambda segment: (-_worst(by_segment[segment], segment in hurt), segment))
    loudness: dict[str, float] = {}
    for row in chronicle.drift:
        loudness[row.column] = loudness.get(row.column, 0.0) + sum(cell.status == "fail" for cell in row.cells)
    made = []
    for n, segment in enumerate(segments[:MAPS_MAX]):
        rows = sorted(by_segment[segment], key=lambda row: (-loudness[row.column], row.column))
        mine = [story for story in told if story.told.body.kind == "data_fault" and story.told.body.segment == segment]
        bands = [band for story in mine if (band := incident_band(story, chronicle.span))]
        chart = maps.drift_map(rows, segment, chronicle.span, bands, legend=n == 0)
        made.append((segment, gallery.hang(chart)))
    return made


def _worst(rows: Sequence[DriftRow], hurt: bool) -> float:  # noqa: FBT001 - a weight, not a mode
    return hurt * 1e6 + sum(cell.status == "fail" for row in rows for cell in row.cells)


def _close_ups(chronicle: Chronicle, told: Sequence[Story], gallery: Gallery) -> dict[int, Placed | None]:
    """Return, by incident, how the segment was answered beside the others around the time."""
    made: dict[int, Placed | None] = {}
    lines = timelines.by_segment(chronicle.performance, "log_loss")
    for story in told:
        segment = story.told.body.segment
        if len(made) >= CLOSE_UPS_MAX or not segment or place(segment) not in dict(lines):
            continue
        spoiled = story.spoiled
        start = max(spoiled.start - AROUND, chronicle.span.start)
        window = Window(start, min(min(spoiled.end, chronicle.span.end) + AROUND, chronicle.span.end))
        band = incident_band(story, window)
        mine = [line for line in lines if line[0] == place(segment)]
        chart = timelines.lines_chart(
            mine + [line for line in lines if line not in mine], window, [band] if band else [], every=1
        )
        made[story.number] = gallery.hang(chart)
    return made


def _holdings(chronicle: Chronicle) -> list[tuple[str, list[tuple[str, Window, str]]]]:
    """Return who held each alias, from when until when, and why."""
    found = []
    for alias in chronicle.aliases:
        ends: list[Instant] = [*(held.since for held in alias.holdings[1:]), chronicle.span.end]
        held = [
            (one.version, Window(one.since, max(end, one.since)), f"{one.actor}: {one.reason}")
            for one, end in zip(alias.holdings, ends, strict=True)
        ]
        found.append((alias.name, held))
    return found


def _named(chronicle: Chronicle) -> list[dict[str, Any]]:
    """Return the versions as a table tells them."""
    fates = {f"{job.body.challenger}-trial": f"stood at the gate: {job.state}" for job in chronicle.retrainings}
    fates |= {rollout.body.version: rollout.meaning or rollout.state for rollout in chronicle.rollouts}
    for alias in chronicle.aliases:
        for holding in alias.holdings:
            fates[holding.version] = alias.name if holding.version == alias.version else f"was {alias.name}"
    return [
        {
            "version": version,
            "fate": fates.get(version.name, "held ready"),
            "rows": version.lineage.get("rows_sha256", "")[:12],
        }
        for version in chronicle.versions
    ]

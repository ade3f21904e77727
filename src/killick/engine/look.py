"""Look: what is known of a model's telemetry, as values for a page or an answer. Nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from killick.checks.reference import unpack_reference
from killick.clock import Window
from killick.engine.measure import LABEL_DELAY, SERVICE
from killick.engine.turns import read_turn
from killick.errors import DataError, Mistake
from killick.profiles.codec import unpack_profile
from killick.profiles.delays import bucket_ends
from killick.profiles.service import FAILED, WEIGHTS, latency_quantile
from killick.stats.maturity import expected_labels, labelled_shares

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import ProfileKey, Transaction
    from killick.profiles.cells import Ints
    from killick.profiles.profile import Profile
    from killick.profiles.scale import Scale

EVER = Window(-(2**62), 2**62)


class Latency(msgspec.Struct, frozen=True):
    """How long answers took, in seconds: quantiles, known to 19 %."""

    p50: float
    p95: float
    p99: float


class Counted(msgspec.Struct, frozen=True):
    """What one stored profile counts: predictions, and labels that are in; `packed` is the profile itself.

    `stands_for` is how many predictions there were before sampling, by the weights of those that were kept; `failed`
    is how many of them said that they did not end well, and `latency` is None where none said how long it took.
    """

    version: str
    role: str
    segment: dict[str, str]
    start: int
    end: int
    rows: int
    stands_for: float
    labels: int
    failed: int
    latency: Latency | None
    packed: bytes | None = None


class Maturity(msgspec.Struct, frozen=True):
    """How far the labels of a window have come: predictions, labels that are in, and how many should be by now.

    `expected` is None while no window is old enough to say anything; of one that is older than what was seen of delays,
    it is what was seen, and more may come.
    """

    start: int
    end: int
    predictions: int
    labels: int
    expected: float | None


class Telemetry(msgspec.Struct, frozen=True):
    """A model's totals: what was accepted, counted, quarantined; and the newest event that was seen."""

    model: str
    totals: dict[str, int]
    pending: int
    newest: int | None


def telemetry_of(world: World, model: str) -> Telemetry:
    """Return a model's totals."""
    with world.control.transaction() as t:
        turn, _ = read_turn(t, model)
        pending = sum(batch.rows for batch in t.pending(model))
        return Telemetry(model, t.tallies(model), pending, turn.newest if turn.number and turn.newest > 0 else None)


def counted_in(
    world: World,
    model: str,
    window: Window = EVER,
    *,
    version: str | None = None,
    segment: Mapping[str, str] | None = None,
    packed: bool = False,
    most: int | None = None,
) -> list[Counted]:
    """Return what the stored profiles of a window count, in the order of their keys.

    Args:
        world: where they are.
        model: whose they are.
        window: those that lie wholly inside it.
        version: of one version; None: of all.
        segment: of one segment, the whole being `{}`; None: of all.
        packed: with the profiles themselves.
        most: how many may be asked for.

    Raises:
        DataError: they are more than `most`.
    """
    with world.control.transaction() as t:
        scale = _scale(t, model)
        if scale is None:
            return []
        # Counted before any is read: a year of a segmented model is gigabytes.
        keys = t.profile_keys(model, scale.fingerprint, window, version=version)
        asked = [key for key in keys if segment is None or dict(key.segment) == dict(segment)]
        if most is not None and len(asked) > most:
            problem = f"holds {len(asked):,} profiles, more than {most:,}"
            raise DataError(Mistake("window", problem, hint="ask for less time, or one segment"))
        held: dict[ProfileKey, bytes] = {}
        for one in {None} if segment is None else {key.segment for key in asked}:
            held |= t.profiles(model, scale.fingerprint, window, segment=one, version=version)
    return [_counted(key, held[key], scale, packed=packed) for key in asked]


def _counted(key: ProfileKey, body: bytes, scale: Scale, *, packed: bool) -> Counted:
    profile = unpack_profile(body, scale)
    told = profile.counts_of(SERVICE) if scale.service else np.zeros(FAILED + 1, np.int64)
    p50, p95, p99 = (latency_quantile(told, q) for q in (0.5, 0.95, 0.99))
    return Counted(
        version=key.version,
        role=key.role,
        segment=dict(key.segment),
        start=key.window.start,
        end=key.window.end,
        rows=profile.rows,
        stands_for=stands_for(profile),
        labels=labels_in(profile),
        failed=int(told[FAILED]),
        latency=None if p50 is None or p95 is None or p99 is None else Latency(p50, p95, p99),
        packed=body if packed else None,
    )


def maturity_of(world: World, model: str, now: Instant, window: Window = EVER) -> list[Maturity]:
    """Return how far the labels of each window have come, oldest first, versions and roles but shadows together."""
    with world.control.transaction() as t:
        scale = _scale(t, model)
        if scale is None or scale.delay is None:
            return []
        # Of every window, whichever are asked for: the old ones say how long labels take. Of the whole alone.
        held = t.profiles(model, scale.fingerprint, EVER, segment=())
    counted: dict[Window, tuple[int, Ints]] = {}
    for key, body in held.items():
        if key.role != "shadow":
            profile = unpack_profile(body, scale)
            rows, came = counted.get(key.window, (0, 0))
            counted[key.window] = (rows + profile.rows, came + profile.counts_of(LABEL_DELAY))
    if not counted:
        return []
    windows = sorted(counted)
    predictions = np.array([counted[one][0] for one in windows])
    labels = np.stack([counted[one][1] for one in windows])
    ends = bucket_ends()
    # A label can be waited for until the present, and a window's youngest prediction is as young as its end.
    ages = np.array([max(now - one.end, 0) for one in windows])
    shares = labelled_shares(predictions, labels, ages, ends)
    return [
        Maturity(
            one.start,
            one.end,
            rows := int(predictions[at]),
            int(labels[at].sum()),
            expected_labels(rows, now - (one.start + one.end) // 2, shares, ends),
        )
        for at, one in enumerate(windows)
        if window.covers(one)
    ]


def reference_of(world: World, model: str) -> bytes | None:
    """Return a model's packed reference; None where nothing was learned yet."""
    with world.control.transaction() as t:
        document = t.get("reference", model, "training")
    return document.body if document else None


def quarantined_of(world: World, model: str, limit: int = 100) -> list[dict[str, Any]]:
    """Return the newest rows that could not be used, newest first: when, of what kind, from whom, where, why."""
    with world.control.transaction() as t:
        rows = t.quarantined(model, limit)
    return [{"at": row.at, **msgspec.json.decode(row.body)} for row in rows]


def labels_in(profile: Profile) -> int:
    """Return how many labels a profile counts."""
    return int(profile.counts_of(LABEL_DELAY).sum()) if profile.scale.delay else 0


def stands_for(profile: Profile) -> float:
    """Return for how many predictions a profile's rows stand: those that were not kept by sampling too."""
    return float(profile.sums_of(SERVICE)[WEIGHTS]) if profile.scale.service else float(profile.rows)


def _scale(t: Transaction, model: str) -> Scale | None:
    reference = t.get("reference", model, "training")
    return unpack_reference(reference.body).scale if reference else None

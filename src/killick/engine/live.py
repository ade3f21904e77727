"""Live: every model that is being watched, and what is due for each.

What is due is found in the store and nowhere else, so it does not matter who died, or how many hosts look at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from killick.clock import DAY, HOUR, MINUTE, SECOND
from killick.engine.adopt import adopt
from killick.engine.aging import Apart, age, forget_answers, own_time
from killick.engine.folders import FolderWatch
from killick.engine.halves import pair_halves
from killick.engine.lost import set_aside_lost
from killick.engine.open import open_model, sweeping
from killick.engine.profiling import Round, profile_first, profile_pending
from killick.engine.turns import Watched
from killick.errors import OutsideError, StaleWrite
from killick.spec.document import Keep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from killick.clock import Duration, Instant
    from killick.engine.world import World
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

# Files are merged and windows aged once a minute: often enough for an hour's folder, seldom enough to cost nothing.
# What looks at everything there is, every file and every old delivery, is done once an hour.
_AGE_EVERY, _TIDY_EVERY = MINUTE, HOUR
# Of one tick: looks of some milliseconds each, up to the first piece that had something to do. At four ticks a second
# eight hundred models have theirs within a minute, and nobody's batch waits for more than one merged file.
_LOOKS_MAX = 20
_NO_HOMES: Mapping[str, World] = MappingProxyType({})
# Of one model in a row; then the others have their turn.
_ROUNDS_MAX = 4
# What fails is tried again after half a second, and then after twice as long each time: what is well again is noticed
# within half a minute.
_REST, _REST_MAX = SECOND // 2, 30 * SECOND


class Live:
    """Watches models.

    Args:
        world: where telemetry is.
        specs: the models that the operator has named. A model that sends without a spec is adopted.
        homes: the world of each spec, where what it names lies beside it; where there is none, the world itself.
    """

    def __init__(self, world: World, specs: Mapping[str, Spec], homes: Mapping[str, World] = _NO_HOMES) -> None:
        self._world = world
        self._specs = dict(specs)
        self._watched: dict[str, Watched] = {}
        self._homes = {model: homes.get(model, world) for model in specs}
        self._folders = [
            FolderWatch(self._homes[model], spec, folder) for model, spec in specs.items() for folder in spec.folders
        ]
        self._failed = _Failures()
        self._apart: Apart = set()
        self._aging: Iterator[bool] = iter(())
        self._aged_at: Instant | None = None
        self._tidied_at: Instant | None = None

    @property
    def specs(self) -> Mapping[str, Spec]:
        """The specs by model: the operator's, and those of models that were adopted."""
        return self._specs | {model: watched.spec for model, watched in self._watched.items()}

    def open(self, now: Instant) -> None:
        """Learn the references that the specs name, unless that was done before.

        Raises:
            Mistaken: a spec or its reference cannot be used.
        """
        for spec in self._specs.values():
            if spec.reference:
                reference = open_model(self._homes[spec.model], spec, now)
                self._watched[spec.model] = Watched(spec, reference.scale, reference.segments)

    @property
    def last_error(self) -> Mapping[str, str]:
        """By model, why something could not be done the last time."""
        return {folder.model: folder.error for folder in self._folders if folder.error} | self._failed.reasons

    def tick(self, now: Instant) -> Round:
        """Do what is due: take files, pair halves, profile what is pending, age what is old.

        What cannot be done of one model is told in `last_error` and rests for a while; nobody else waits for it.

        Raises:
            OutsideError: the store failed; what was done is done.
        """
        failed, done = self._failed, Round()
        for number, folder in enumerate(self._folders):
            if not failed.rests(f"folder {number}", folder.model, now):
                with failed.noted(f"folder {number}", folder.model, now):
                    folder.tick(self._scale(folder.model, now), now)
        with self._world.control.transaction() as t:
            holding = t.holding()
        for model in failed.due("halves", holding, now):
            with failed.noted("halves", model, now):
                pair_halves(self._world, model, self.specs.get(model), self._scale(model, now), now)
        with self._world.control.transaction() as t:
            waiting = t.waiting()
        for model in failed.due("profile", waiting, now):
            with failed.noted("profile", model, now):
                done = done + self._profile(model, now)
        self._age_some(now)
        return done

    def _age_some(self, now: Instant) -> None:
        """Go on with aging where the last tick has stopped, up to the first piece that had something to do."""
        for _ in range(_LOOKS_MAX):
            had_work = next(self._aging, None)
            if had_work is None and _has_passed(self._aged_at, _AGE_EVERY, now):
                self._aged_at, self._aging = now, self._pieces(now)
            elif had_work is not False:
                break

    def _pieces(self, now: Instant) -> Iterator[bool]:
        """Age every model, and tidy up once an hour; yield after each piece whether there was anything to do."""
        is_thorough = _has_passed(self._tidied_at, _TIDY_EVERY, now)
        if is_thorough:
            self._tidied_at = now
        with self._world.control.transaction() as t:
            models = [model for model in t.models() if model]
        for model in models:
            with self._failed.noted("aging", model, now):
                yield from self._age(model, now, is_thorough=is_thorough)
        if is_thorough:
            with self._failed.noted("tidying", "(all models)", now):
                while forget_answers(self._world, now):
                    yield True
                for _ in sweeping(self._world):
                    yield True

    def _age(self, model: str, now: Instant, *, is_thorough: bool) -> Iterator[bool]:
        watched = self._watch(model, now)
        yield False
        keep = self._keep(model, watched)
        # How old a model is that nobody watches, all of its files have to be asked.
        if keep and (watched or is_thorough) and (own := own_time(self._world, model, now)):
            yield from age(self._world, model, keep, own, watched, is_thorough=is_thorough, apart=self._apart)

    def _keep(self, model: str, watched: Watched | None) -> Duration | None:
        """Return how long a model's telemetry is kept; None where a spec says it that was given to others."""
        spec = watched.spec if watched else self._specs.get(model)
        if spec is None:
            with self._world.control.transaction() as t:
                if t.get("spec", model, "applied"):
                    return None
        return (spec.keep if spec else Keep()).days * DAY

    def _watch(self, model: str, now: Instant) -> Watched | None:
        """Return how a model is watched; None while too little is known of it."""
        watched = self._watched.get(model) or adopt(self._world, model, self._specs.get(model), now)
        if watched:
            self._watched[model] = watched
        return watched

    def _scale(self, model: str, now: Instant) -> Scale | None:
        watched = self._watch(model, now)
        return watched.scale if watched else None

    def _profile(self, model: str, now: Instant) -> Round:
        try:
            return self._rounds(model, now)
        except OutsideError:
            # What can be read again by then was not lost: a disk that hung, a share that was mounted late.
            lost = set_aside_lost(self._world, model, now) if self._failed.lasts("profile", model) else []
            if not lost:
                raise
            return Round(len(lost))

    def _rounds(self, model: str, now: Instant) -> Round:
        watched = self._watch(model, now)
        if watched is None:
            return Round()
        total = Round()
        for _ in range(_ROUNDS_MAX):
            done = self._round(watched, now)
            total = total + done
            if not done.batches:
                break
        return total

    def _round(self, watched: Watched, now: Instant) -> Round:
        try:
            return profile_pending(self._world, watched, now)
        except StaleWrite:
            return Round()  # another worker was faster; what it took is no longer pending
        except OutsideError:
            raise
        except Exception:  # noqa: BLE001 - one batch must not stop the others
            return profile_first(self._world, watched, now)


class _Failure(NamedTuple):
    """Why something failed the last time, when it did, and for how long it rests since."""

    why: str
    at: Instant
    rest: Duration


class _Failures:
    """What failed of which model, until it succeeds."""

    def __init__(self) -> None:
        self._failed: dict[tuple[str, str], _Failure] = {}

    @property
    def reasons(self) -> dict[str, str]:
        """By model, why something failed."""
        return {model: failure.why for (_, model), failure in self._failed.items()}

    def due(self, what: str, models: Iterable[str], now: Instant) -> list[str]:
        """Return the models of which something is to be tried; where it is no longer due, nothing fails any more."""
        due = set(models)
        self._failed = {key: value for key, value in self._failed.items() if key[0] != what or key[1] in due}
        return [model for model in models if not self.rests(what, model, now)]

    def rests(self, what: str, model: str, now: Instant) -> bool:
        """Whether something failed so lately that it is not tried yet."""
        failure = self._failed.get((what, model))
        return failure is not None and not _has_passed(failure.at, failure.rest, now)

    def lasts(self, what: str, model: str) -> bool:
        """Whether something has failed so often, for a minute at least, that it will not get better by itself."""
        failure = self._failed.get((what, model))
        return failure is not None and failure.rest == _REST_MAX

    @contextmanager
    def noted(self, what: str, model: str, now: Instant) -> Iterator[None]:
        """Note what keeps one model from being watched, and let the others have their turn."""
        try:
            yield
        except StaleWrite:
            return  # another worker was faster; what is left is done next time
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one model must not stop the others
            before = self._failed.get((what, model))
            rest = min(2 * before.rest, _REST_MAX) if before else _REST
            self._failed[what, model] = _Failure(str(error), now, rest)
        else:
            self._failed.pop((what, model), None)


def _has_passed(at: Instant | None, duration: Duration, now: Instant) -> bool:
    """Whether so much time has passed since an instant; where the clock went back behind it, nobody knows."""
    return at is None or not 0 <= now - at < duration

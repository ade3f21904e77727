"""Live: every model that is being watched, and what is due for each.

What is due is found in the store and nowhere else, so it does not matter who died, or how many hosts look at once.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from killick.clock import HOUR, MINUTE
from killick.engine.adopt import adopt
from killick.engine.aging import age, forget_answers
from killick.engine.folders import FolderWatch
from killick.engine.halves import pair_halves
from killick.engine.open import open_model, sweep
from killick.engine.profiling import Round, profile_first, profile_pending
from killick.engine.turns import Watched
from killick.errors import OutsideError, StaleWrite

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

# Files are merged and windows aged once a minute: often enough for an hour's folder, seldom enough to cost nothing.
# What looks at everything there is, every file and every old delivery, is done once an hour.
_AGE_EVERY, _TIDY_EVERY = MINUTE, HOUR
_NO_HOMES: Mapping[str, World] = MappingProxyType({})
# Of one model in a row; then the others have their turn.
_ROUNDS_MAX = 4


class Live:
    """Watches models.

    Args:
        world: where telemetry is.
        specs: the models that the operator has named. A model that sends without a spec is adopted.
        homes: the world of each spec, where what it names lies beside it; where there is none, the world itself.

    Attributes:
        last_error: by model, why something could not be done the last time.
    """

    def __init__(self, world: World, specs: Mapping[str, Spec], homes: Mapping[str, World] = _NO_HOMES) -> None:
        self._world = world
        self._specs = dict(specs)
        self._watched: dict[str, Watched] = {}
        self._homes = {model: homes.get(model, world) for model in specs}
        self._folders = [
            FolderWatch(self._homes[model], spec, folder) for model, spec in specs.items() for folder in spec.folders
        ]
        self._aged_at: Instant = 0
        self._tidied_at: Instant = 0
        self.last_error: dict[str, str] = {}

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

    def tick(self, now: Instant) -> Round:
        """Do what is due: take files, pair halves, profile what is pending, age what is old.

        Raises:
            OutsideError: for some model it could not be done; for the others it was.
        """
        failed: dict[str, Exception] = {}
        for folder in self._folders:
            with _noted(failed, folder.model):
                folder.tick(self._scale(folder.model, now), now)
        with self._world.control.transaction() as t:
            holding = t.holding()
        for model in holding:
            with _noted(failed, model):
                scale = self._scale(model, now)
                pair_halves(self._world, model, self.specs.get(model), scale, now)
        with self._world.control.transaction() as t:
            waiting = t.waiting()
        done = Round()
        for model in waiting:
            with _noted(failed, model):
                done = done + self._profile(model, now)
        if now >= self._aged_at + _AGE_EVERY:
            self._aged_at = now
            self._age(failed, now)
        unread = {folder.model: folder.error for folder in self._folders if folder.error}
        self.last_error = unread | {model: str(error) for model, error in failed.items()}
        # A model's own mistake is told by its name; the others need not wait for it.
        outside = {model: error for model, error in failed.items() if isinstance(error, OutsideError)}
        if outside:
            model, error = next(iter(outside.items()))
            raise OutsideError(f"what is due was not done for {len(outside)} models; first {model}: {error}") from error
        return done

    def _age(self, failed: dict[str, Exception], now: Instant) -> None:
        for model, watched in self._watched.items():
            with _noted(failed, model):
                age(self._world, watched)
        if now >= self._tidied_at + _TIDY_EVERY:
            self._tidied_at = now
            forget_answers(self._world, now)
            sweep(self._world)

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


@contextmanager
def _noted(failed: dict[str, Exception], model: str) -> Iterator[None]:
    """Note what keeps one model from being watched, and let the others have their turn."""
    try:
        yield
    except StaleWrite:
        pass  # another worker was faster; what is left is done next time
    except Exception as error:  # noqa: BLE001 - a mistake of ours in one model must not stop the others
        failed[model] = error

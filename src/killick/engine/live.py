"""Live: every model that is being watched, and what is due for each.

What is due is found in the store and nowhere else, so it does not matter who died, or how many hosts look at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.clock import MINUTE
from killick.engine.adopt import adopt
from killick.engine.aging import age, forget_answers
from killick.engine.open import open_model, sweep
from killick.engine.profiling import Round, Watched, profile_first, profile_pending
from killick.errors import KillickError, OutsideError, StaleWrite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.spec.document import Spec

# Files are merged and windows aged once a minute: often enough for an hour's folder, seldom enough to cost nothing.
_AGE_EVERY = MINUTE
# Of one model in a row; then the others have their turn.
_ROUNDS_MAX = 4


class Live:
    """Watches models.

    Args:
        world: where telemetry is.
        specs: the models that the operator has named. A model that sends without a spec is adopted.
    """

    def __init__(self, world: World, specs: Mapping[str, Spec]) -> None:
        self._world = world
        self._specs = dict(specs)
        self._watched: dict[str, Watched] = {}
        self._aged_at: Instant = 0
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
                reference = open_model(self._world, spec, now)
                self._watched[spec.model] = Watched(spec, reference.scale, reference.segments)

    def tick(self, now: Instant) -> Round:
        """Do what is due.

        Raises:
            OutsideError: of some model it could not be done; of the others it was.
        """
        with self._world.control.transaction() as t:
            waiting = dict.fromkeys(batch.model for batch in t.pending())
        done, failed = Round(), []
        for model in waiting:
            try:
                done = done + self._profile(model, now)
                self.last_error.pop(model, None)
            except KillickError as error:
                self.last_error[model] = str(error)
                failed.append(error)
        if now >= self._aged_at + _AGE_EVERY:
            self._aged_at = now
            for watched in self._watched.values():
                age(self._world, watched)
            forget_answers(self._world, now)
            sweep(self._world)
        if failed:
            raise OutsideError(f"{len(failed)} models could not be profiled; the first: {failed[0]}") from failed[0]
        return done

    def _profile(self, model: str, now: Instant) -> Round:
        watched = self._watched.get(model) or adopt(self._world, model, self._specs.get(model), now)
        if watched is None:
            return Round()
        self._watched[model] = watched
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

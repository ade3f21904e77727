"""Which models the server takes telemetry of: those of its specs, or, without specs, a bounded number of any name."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from killick.errors import Mistake, did_you_mean
from killick.identity import MODEL_BYTES_MAX, is_model_name
from killick.server.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from killick.spec.document import Spec

# What other hosts have taken is looked for when it is asked about, and no more often than that.
_FRESH_SECONDS = 1.0
_SHOWN_CHARACTERS = 200


class Known:
    """The models by name. Threads share it: a set takes names from several of them.

    Args:
        specs: by model; empty when the server was started without any.
        stored: tells of which models the store has something.
        models_max: how many there may be where no spec names them.
        seconds: a clock that never goes back.

    Raises:
        OutsideError: the store does not answer.
    """

    def __init__(
        self,
        specs: Mapping[str, Spec],
        stored: Callable[[], Iterable[str]],
        models_max: int,
        seconds: Callable[[], float],
    ) -> None:
        self._specs = specs
        self._stored = stored
        self._seconds = seconds
        self._read_at = float("-inf")
        self._names = set(stored())
        self._models_max = models_max
        # Names whose first rows are being stored, each as often as it is.
        self._coming: list[str] = []
        self._turn = threading.Lock()
        self._reading = threading.Lock()

    def admit(self, model: str) -> Spec | None:
        """Return the spec of a model that telemetry may come of; None where there are no specs.

        Raises:
            Refused: 404, no spec is of this name; 400, it can be no name; 403, there are too many models.
        """
        if self._specs:
            if model not in self._specs:
                hint = did_you_mean(model, self._specs)
                mistake = Mistake("model", "is in none of the server's specs", model, hint=hint)
                raise Refused(404, f"there is no model {model!r}; {hint}", mistakes=[mistake])
            return self._specs[model]
        if not is_model_name(model):
            said = f"a model's name is printable, and has 1 to {MODEL_BYTES_MAX} bytes when it is percent-encoded"
            raise Refused(400, said)
        with self._turn:
            self._must_have_room(model)
        return None

    def may_come(self, model: str) -> bool:
        """Whether telemetry may come of a model."""
        try:
            self.admit(model)
        except Refused:
            return False
        return True

    @contextmanager
    def storing(self, model: str) -> Iterator[None]:
        """Keep a place for a model while something of it is stored; it is known from then on, unless that fails.

        Raises:
            Refused: as `admit` does.
        """
        self.admit(model)
        with self._turn:
            self._must_have_room(model)
            self._coming.append(model)
        try:
            yield
            with self._turn:
                self._names.add(model)
        finally:
            with self._turn:
                self._coming.remove(model)

    def _must_have_room(self, model: str) -> None:
        if self._specs or model in self._names or model in self._coming:
            return
        if len(self._names.union(self._coming)) >= self._models_max:
            raise Refused(403, f"the server knows {self._models_max:,} models already, and takes no more names")

    @property
    def names(self) -> set[str]:
        """The models of the specs, and those of which something was stored, as far as this host knows."""
        with self._turn:
            return {*self._specs, *self._names}

    def __contains__(self, model: object) -> bool:
        """Whether a model is known, to whichever host; it may wait for the store."""
        if model not in self.names:
            self.refresh()
        return model in self.names

    def refresh(self) -> None:
        """Learn of which models other hosts have stored something; it may wait for the store.

        Raises:
            OutsideError: the store does not answer.
        """
        with self._reading:
            at = self._seconds()
            if at >= self._read_at + _FRESH_SECONDS:
                stored = self._stored()
                with self._turn:
                    self._names.update(stored)
                self._read_at = at

    def find(self, model: str) -> str:
        """Return the name of a model that is known; it may wait for the store.

        Raises:
            Refused: 404, it is not.
        """
        if model not in self:
            hint = did_you_mean(model, self.names) if self.names else "none has sent anything yet"
            raise Refused(404, f"there is no model {model[:_SHOWN_CHARACTERS]!r}; {hint}")
        return model

"""Which models the server takes telemetry of: those of its specs, or, without specs, a bounded number of any name."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from killick.errors import Mistake, did_you_mean
from killick.server.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from killick.spec.document import Spec

NAME_CHARACTERS_MAX = 200


class Known:
    """The models by name. Threads share it: a set takes names from several of them.

    Args:
        specs: by model; empty when the server was started without any.
        stored: models of which the store has something.
        models_max: how many there may be where no spec names them.
    """

    def __init__(self, specs: Mapping[str, Spec], stored: Iterable[str], models_max: int) -> None:
        self._specs = specs
        self._names = set(stored)
        self._models_max = models_max
        # Names whose first rows are being stored, each as often as it is.
        self._coming: list[str] = []
        self._turn = threading.Lock()

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
        if not model or len(model) > NAME_CHARACTERS_MAX or not model.isprintable():
            raise Refused(400, f"a model's name has 1 to {NAME_CHARACTERS_MAX} printable characters")
        with self._turn:
            self._must_have_room(model)
        return None

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
        """The models of the specs, and those of which something was stored."""
        return {*self._specs, *self._names}

    def find(self, model: str) -> str:
        """Return the name of a model that is known.

        Raises:
            Refused: 404, it is not.
        """
        if model not in self._specs and model not in self._names:
            hint = did_you_mean(model, self.names) if self.names else "none has sent anything yet"
            raise Refused(404, f"there is no model {model[:NAME_CHARACTERS_MAX]!r}; {hint}")
        return model

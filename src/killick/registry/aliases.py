"""Aliases with a history: which version was live when, who said so, and why. The question an auditor asks first."""

from __future__ import annotations

import msgspec

from killick.clock import Instant  # noqa: TC001 - msgspec reads the annotation


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A version held the alias from `since` until the next holding began."""

    version: str
    since: Instant
    actor: str
    reason: str


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name such as `live` or `fallback`, and every version that ever held it, the present one last."""

    name: str
    holdings: tuple[Holding, ...] = ()

    @property
    def version(self) -> str | None:
        """The version that holds it now."""
        return self.holdings[-1].version if self.holdings else None

    @property
    def previous(self) -> str | None:
        """The version that held it before the present one: where a rollback goes."""
        return self.holdings[-2].version if len(self.holdings) > 1 else None

    def moved(self, holding: Holding) -> Alias:
        """Return the alias held by another version from now on; the same version again changes nothing."""
        if self.version == holding.version:
            return self
        return Alias(name=self.name, holdings=(*self.holdings, holding))

"""What the migration loads and reads the target through: one small interface, and two Alcors behind it.

The bundled Alcor holds everything (`alcor`). Upstream Alcor has defects, which `upstream` lives with, and holds less,
so that `narrowed` shows the engine no more of the source than can be held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from alcor_migrate.side import Side
from alcor_migrate.target.alcor import AlcorSide

if TYPE_CHECKING:
    from collections.abc import Mapping


class Target(Side, Protocol):
    """The target as the run knows it, besides what it is to the engine."""

    async def counts(self) -> Mapping[str, int]:
        """How many objects of each resource it holds, by the resource's name. Raises CloudError."""
        ...

    async def answers(self) -> bool:
        """Whether it answers."""
        ...


__all__ = ["AlcorSide", "Target"]

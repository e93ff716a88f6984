"""Compares every object of both sides in canonical form while users go on writing.

A difference is at first only a suspicion: the object may have been written a moment ago. It is a *mismatch* when
it is still there after replay has passed everything that was written before the second look, again and again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import structlog

from alcor_migrate.engine.compare import differing, look
from alcor_model import differences, load_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_migrate.engine.replay import Replay
    from alcor_migrate.journal import Journal
    from alcor_migrate.side import Change
    from alcor_model import Resource

log = structlog.get_logger(__name__)

_LOOKS = 6
_PAUSE = 0.25
_SHOWN = 50


class Mismatch(msgspec.Struct, frozen=True):
    """An object that the two sides hold differently, and in what."""

    resource: str
    """Its name."""
    id: str
    """Of the object."""
    problem: str
    """The fields in which it differs, or the side it is missing on."""


class Verification(msgspec.Struct, frozen=True):
    """What one verify found; times are unix seconds."""

    started_at: float
    """When it began."""
    finished_at: float
    """When it ended."""
    compared: int
    """Objects that were compared."""
    mismatches: int
    """Objects that lastingly differ."""
    shown: list[Mismatch]
    """The first of them."""
    position: int
    """The journal's position that was applied when it ended."""

    @property
    def clean(self) -> bool:
        """Whether the two sides were equal."""
        return self.mismatches == 0


async def verify(
    journal: Journal,
    replay: Replay,
    page_size: int,
    progress: Callable[[str, int], None] = lambda _resource, _compared: None,
) -> Verification:
    """Compare everything. Raises CloudError when a side cannot be read."""
    started, compared = time.time(), 0
    mismatches: list[Mismatch] = []
    active, passive = replay.sides()
    for of in load_order():
        counted: list[int] = []
        suspects = {k.id for k in await differing(active, passive, of, page_size, counted.append)}
        compared += sum(counted)
        progress(of.plural, sum(counted))
        mismatches += [_describe(change) for change in await confirmed(journal, replay, of, suspects)]
    if mismatches:
        log.warning("verify_found_mismatches", count=len(mismatches), first=mismatches[0].problem)
    return Verification(started, time.time(), compared, len(mismatches), mismatches[:_SHOWN], replay.applied)


async def confirmed(
    journal: Journal, replay: Replay, of: Resource, suspects: set[str], looks: int = _LOOKS
) -> list[Change]:
    """Those of the suspects that differ at every look; what was only just written does not."""
    changes: list[Change] = []
    for number in range(looks):
        if not suspects:
            return []
        if number:
            await asyncio.sleep(_PAUSE * number)
        await replay.reach(journal.position)
        active, passive = replay.sides()
        changes = [c for c in await look(active, passive, of, suspects) if c.differs]
        suspects = {c.id for c in changes}
    return changes


def describe(change: Change) -> str:
    """In what the two sides differ."""
    if change.new is None:
        return "is only on the passive side"
    if change.old is None:
        return "is missing on the passive side"
    return "; ".join(str(d) for d in differences(change.of, change.new, change.old, given=change.given))


def _describe(change: Change) -> Mismatch:
    return Mismatch(change.of.name, change.id, describe(change))

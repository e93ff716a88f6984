"""Finds the objects in which the two sides differ. Used by verify, by the sweep, and to settle unknown writes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alcor_migrate.side import Change, Key
from alcor_model import Resource, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alcor_migrate.side import Side


async def digests(side: Side, of: Resource, page_size: int, *, given: bool) -> dict[str, bytes]:
    """The digest of every object of a resource on one side, by id."""
    return {o["id"]: digest(of, o, given=given) async for page in side.pages(of, page_size) for o in page}


async def differing(
    active: Side, passive: Side, of: Resource, page_size: int, progress: Callable[[int], None] = lambda _: None
) -> set[Key]:
    """The objects of a resource that one side lacks or holds differently.

    `progress` is told how many objects were compared.
    """
    given = not passive.keeps_everything
    ours, theirs = await asyncio.gather(
        digests(active, of, page_size, given=given), digests(passive, of, page_size, given=given)
    )
    ids = ours.keys() | theirs.keys()
    progress(len(ids))
    return {Key(of.name, i) for i in ids if ours.get(i) != theirs.get(i)}


async def look(active: Side, passive: Side, of: Resource, ids: Iterable[str]) -> list[Change]:
    """How these objects stand on both sides now."""
    wanted = sorted(set(ids))
    new, old = await asyncio.gather(active.read(of, wanted), passive.read(of, wanted))
    return [Change(of, i, old.get(i), new.get(i), not passive.keeps_everything) for i in wanted]


async def match(active: Side, passive: Side, of: Resource, field: str, values: Iterable[str]) -> list[Change]:
    """How the objects stand whose field has one of these values on either side."""
    wanted = sorted(set(values))
    new, old = await asyncio.gather(active.find(of, field, wanted), passive.find(of, field, wanted))
    # An object may match on one side and exist on the other one without matching there.
    only_here, only_there = old.keys() - new.keys(), new.keys() - old.keys()
    if only_here:
        new |= await active.read(of, sorted(only_here))
    if only_there:
        old |= await passive.read(of, sorted(only_there))
    return [Change(of, i, old.get(i), new.get(i), not passive.keeps_everything) for i in old.keys() | new.keys()]


async def still_held(active: Side, passive: Side, of: Resource, field: str, values: Iterable[str]) -> list[Change]:
    """How the objects stand that the passive side holds with one of these values in a field."""
    held = await passive.find(of, field, sorted(set(values)))
    return await look(active, passive, of, held) if held else []

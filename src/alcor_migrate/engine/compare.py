"""Finds the objects in which the two sides differ. Used by verify, by the sweep, and to settle unknown writes.

Both sides are listed at once and matched by id as they come: where both list in the order of the ids, only a page
or two is held, however large the cloud is; where one does not, what has not met its counterpart waits.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from alcor_migrate.side import Change, Key, listed, offered
from alcor_model import Resource, digest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from alcor_migrate.side import Side
    from alcor_model.fields import Json

_encode = msgspec.json.Encoder(order="sorted").encode

_HELD = 20_000
"""At most so many objects wait as they are; those beyond wait as digests, which cannot be compared as fast."""


async def differing(
    active: Side,
    passive: Side,
    of: Resource,
    page_size: int,
    progress: Callable[[int], None] = lambda _: None,
    prefix: str = "",
) -> set[Key]:
    """The objects of a resource that one side lacks or holds differently.

    `progress` is told how many objects were compared. With a `prefix`, only objects whose ids begin so.
    """
    walk = _Walk(of, given=not passive.keeps_everything)
    ours, theirs = (_Ahead(listed(side, of, page_size, prefix)) for side in (active, passive))
    try:
        while not (ours.ended and theirs.ended):
            if theirs.ended or (not ours.ended and ours.last <= theirs.last):
                walk.meet(await ours.page(), walk.ours, walk.theirs)
            else:
                walk.meet(await theirs.page(), walk.theirs, walk.ours)
    finally:
        await asyncio.gather(ours.close(), theirs.close())
    progress(walk.equal + len(walk.different | walk.ours.keys() | walk.theirs.keys()))
    return {Key(of.name, i) for i in walk.different | walk.ours.keys() | walk.theirs.keys()}


class _Ahead:
    """The pages of one side; the next one is being asked for while the last one is looked at."""

    def __init__(self, pages: AsyncGenerator[Sequence[Json], None]) -> None:
        self.last = ""
        """The last id that was listed."""
        self.ended = False
        self._pages = pages
        self._next = asyncio.create_task(self._ask())

    async def page(self) -> Sequence[Json]:
        page = await self._next
        if page is None:
            self.ended = True
            return ()
        self._next = asyncio.create_task(self._ask())
        self.last = page[-1]["id"] if page else self.last
        return page

    async def close(self) -> None:
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)
        await self._pages.aclose()

    async def _ask(self) -> Sequence[Json] | None:
        return await anext(self._pages, None)


class _Walk:
    """What was listed and has not met its counterpart, and what differed from it."""

    def __init__(self, of: Resource, *, given: bool) -> None:
        self.ours: dict[str, Any] = {}
        self.theirs: dict[str, Any] = {}
        self.different: set[str] = set()
        self.equal = 0
        self._of = of
        self._given = given

    def meet(self, page: Sequence[Json], mine: dict[str, Any], others: dict[str, Any]) -> None:
        """Compare what the other side has listed already; what it has not waits."""
        for found in page:
            other = others.pop(found["id"], None)
            if other is None:
                mine[found["id"]] = found if len(mine) < _HELD else self._digest(found)
            elif self._same(found, other):
                self.equal += 1
            else:
                self.different.add(found["id"])

    def _same(self, found: Json, other: Any) -> bool:
        """Most objects are equal as they are, which is much faster to see than that their normal forms are."""
        if isinstance(other, bytes):
            return self._digest(found) == other
        derived = _derived(self._of)
        if found.keys() & derived or other.keys() & derived:
            found = {name: value for name, value in found.items() if name not in derived}
            other = {name: value for name, value in other.items() if name not in derived}
        if _alike(found, other) or self._digest(found) == self._digest(other):
            return True
        # which of the two is Neutron's is not known here; what only one has a name for is left out if it says nothing
        return self._given and self._digest(offered(found, other)) == self._digest(offered(other, found))

    def _digest(self, found: Json) -> bytes:
        return digest(self._of, found, given=self._given)


def _alike(found: Json, other: Json) -> bool:
    """Whether both are the same as JSON; to Python 1 is also true, and 1.0."""
    try:
        return _encode(found) == _encode(other)
    except (RecursionError, UnicodeEncodeError):
        return False  # what cannot be written has no normal form either, whose making says so


@cache
def _derived(of: Resource) -> frozenset[str]:
    return frozenset(f.neutron for f in of.fields if not f.compared)


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

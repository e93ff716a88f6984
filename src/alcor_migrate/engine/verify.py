"""Compares every object of both sides in canonical form while users go on writing.

A difference is at first only a suspicion: the object may have been written a moment ago. It is a *mismatch* when
it is still there after replay has passed everything that was written before the second look, again and again.

Where both sides can say cheaply whether anything changed, objects are compared in buckets by the beginning of
their ids, and a bucket that was found equal is read again only when the fingerprint of one side is another one.
What is known survives a restart, and so does a verify that was interrupted: it goes on with the next resource.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec
import structlog

from alcor_migrate.engine.compare import differing, look
from alcor_migrate.side import Fingerprint, comes_to, fingerprints, steady
from alcor_model import differences, load_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_migrate.engine.replay import Replay
    from alcor_migrate.journal import Journal
    from alcor_migrate.side import Change, Side
    from alcor_model import Resource

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LOOKS = 6
_PAUSE = 0.25
_SHOWN = 50
_BUCKET = 3
"""Characters of an id that name its bucket: 4,096 buckets of UUIDs, 250 objects each when there are a million."""
_FEW = 0.25
"""Up to this share of changed buckets they are read one by one; beyond, reading everything in order is faster."""
_RESUMED_WITHIN = 600.0
"""Seconds after which an interrupted verify is not gone on with any more."""


class Mismatch(msgspec.Struct, frozen=True):
    """An object that the two sides hold differently, and in what."""

    resource: str
    """Its name."""
    id: str
    """Of the object."""
    problem: str
    """The fields in which it differs, or the side it is missing on."""


class Verified(msgspec.Struct, frozen=True):
    """What a verify found of one resource."""

    resource: str
    """Its key in a list of Neutron's API."""
    at: float
    """When its comparison began, in unix seconds: nothing that was looked at is older."""
    compared: int
    """Objects that are known to be equal or not, those that were not read again among them."""
    unchanged: int
    """Those among them that were not read again, because nothing behind them had changed on either side."""
    mismatches: int
    """Objects that lastingly differ."""


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
    unchanged: int = 0
    """Objects among those compared that were not read again: nothing behind them had changed on either side."""
    resources: list[Verified] = []
    """The same by resource."""

    @property
    def clean(self) -> bool:
        """Whether the two sides were equal."""
        return self.mismatches == 0

    @property
    def as_of(self) -> float:
        """How old the oldest comparison in it is: one that was interrupted goes on with what it had found before."""
        return min((v.at for v in self.resources), default=self.started_at)


class Memory(Protocol):
    """Where a verify keeps what it knows (`StateStore` does)."""

    def recall(self, key: str, kind: type[T], otherwise: T) -> T:
        """What was kept, or the other value."""
        ...

    def keep(self, key: str, value: Any) -> None:
        """Keep it durably."""
        ...


class _Forgetful:
    """No memory: every verify compares everything."""

    def recall(self, _key: str, _kind: type[T], otherwise: T) -> T:
        return otherwise

    def keep(self, key: str, value: Any) -> None:
        pass


class Equal(msgspec.Struct):
    """What is known to be equal of one resource: by bucket, both sides' fingerprints when it was found so."""

    marks: dict[str, str] = {}


class _Unfinished(msgspec.Struct):
    """A verify that has not come to its end."""

    started_at: float
    active: str
    done: list[Verified] = []
    shown: list[Mismatch] = []


async def verify(
    journal: Journal,
    replay: Replay,
    page_size: int,
    progress: Callable[[str, int], None] = lambda _resource, _compared: None,
    memory: Memory | None = None,
) -> Verification:
    """Compare everything; with `memory`, only what may have changed. Raises CloudError when a side cannot be read."""
    memory = memory or _Forgetful()
    run = memory.recall("verifying", _Unfinished | None, None)  # type: ignore[arg-type]  # a union is a type to msgspec
    if run is None or run.active != replay.active or time.time() - run.started_at > _RESUMED_WITHIN:
        run = _Unfinished(time.time(), replay.active)
    finished = {v.resource for v in run.done}
    for of in load_order():
        if of.plural in finished or not comes_to(replay.sides()[1], of):
            continue
        verified, mismatches = await _verify(journal, replay, of, page_size, memory)
        progress(of.plural, verified.compared)
        run.done.append(verified)
        run.shown = [*run.shown, *mismatches][:_SHOWN]
        memory.keep("verifying", run)
    memory.keep("verifying", None)
    found = sum(v.mismatches for v in run.done)
    if found:
        log.warning("verify_found_mismatches", count=found, first=run.shown[0].problem)
    return Verification(
        started_at=run.started_at,
        finished_at=time.time(),
        compared=sum(v.compared for v in run.done),
        mismatches=found,
        shown=run.shown,
        position=replay.applied,
        unchanged=sum(v.unchanged for v in run.done),
        resources=run.done,
    )


async def _verify(
    journal: Journal, replay: Replay, of: Resource, page_size: int, memory: Memory
) -> tuple[Verified, list[Mismatch]]:
    """Compare one resource."""
    began = time.time()
    found = await suspected(*replay.sides(), of, page_size, memory)
    mismatches = [_describe(change) for change in await confirmed(journal, replay, of, found.ids)]
    return Verified(of.plural, began, found.compared, found.unchanged, len(mismatches)), mismatches


class Suspicion(NamedTuple):
    """What differed at a first look at one resource."""

    ids: set[str]
    compared: int
    """Objects, those that were not read again among them."""
    unchanged: int
    """Objects that were not read again."""


async def suspected(
    active: Side, passive: Side, of: Resource, page_size: int, memory: Memory | None = None
) -> Suspicion:
    """The objects of a resource that may differ; what `memory` knows to be equal still is not read again.

    Raises CloudError.
    """
    memory = memory or _Forgetful()
    key = f"equal {active.name} {of.name}"
    counts: list[int] = []

    async def look_at(prefix: str = "") -> set[str]:
        return {k.id for k in await differing(active, passive, of, page_size, counts.append, prefix)}

    async with AsyncExitStack() as stack:
        moving = [side for side in (active, passive) if not await stack.enter_async_context(steady(side))]
        before = await _Marks.taken([active, passive], of)
        if before is None:
            ids = await look_at()
            return Suspicion(ids, sum(counts), 0)
        known = memory.recall(key, Equal, Equal()).marks
        changed = {bucket for bucket, mark in before.marks.items() if known.get(bucket) != mark}
        unchanged = 0
        if len(changed) > _FEW * len(before.marks):
            ids = await look_at()
        else:
            unchanged = sum(n for bucket, n in before.objects.items() if bucket not in changed)
            ids = set().union(*[await look_at(bucket) for bucket in sorted(changed)])
        if changed:
            # What was fingerprinted has to be what was compared: nothing may have moved meanwhile.
            equal = await before.unmoved(moving, of) - {i[:_BUCKET] for i in ids}
            memory.keep(key, Equal({bucket: before.marks[bucket] for bucket in sorted(equal)}))
    return Suspicion(ids, sum(counts) + unchanged, unchanged)


class _Marks:
    """Both sides' fingerprints of a resource, by bucket."""

    def __init__(self, by_side: dict[str, dict[str, Fingerprint]]) -> None:
        self.by_side = by_side
        buckets = set().union(*by_side.values())
        nothing = Fingerprint(0, "")
        found = {bucket: [marks.get(bucket, nothing) for marks in by_side.values()] for bucket in buckets}
        self.marks = {bucket: " ".join(f.mark for f in both) for bucket, both in found.items()}
        self.objects = {bucket: max(f.objects for f in both) for bucket, both in found.items()}

    @classmethod
    async def taken(cls, sides: list[Side], of: Resource) -> _Marks | None:
        """As they are now; None when a side has none."""
        found = await asyncio.gather(*(fingerprints(side, of, _BUCKET) for side in sides))
        by_side = {side.name: marks for side, marks in zip(sides, found, strict=True) if marks is not None}
        return cls(by_side) if len(by_side) == len(sides) else None

    async def unmoved(self, moving: list[Side], of: Resource) -> set[str]:
        """The buckets whose fingerprints are still the same on the sides that do not hold still."""
        now = await _Marks.taken(moving, of)
        same = set(self.marks)
        if now is not None:
            for name, marks in now.by_side.items():
                same -= {bucket for bucket in same if marks.get(bucket) != self.by_side[name].get(bucket)}
        return same


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

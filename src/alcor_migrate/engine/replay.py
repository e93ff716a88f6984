"""Applies the journal to the passive side, and is the only one that applies anything to it.

Each entry is turned into objects to be read again (`changes`); they are read on both sides, and what differs is
applied. Since the state is read after the entry was written, it is never older than the entry, whatever order
the answers came in; and since one task applies everything, nothing newer is overwritten.

Chunks of the copy come through here too, at their high watermark: an object that was replayed since the chunk's
low watermark is newer here than in the chunk, and is left out of it (the DBLog algorithm).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import structlog

from alcor_migrate.engine.changes import Touched, consequences, touched
from alcor_migrate.engine.compare import differing, look, match, still_held
from alcor_migrate.errors import CloudError, JournalError, StateNotWritten
from alcor_migrate.journal import HANDOVER, INCOMPLETE, MARK, NOT_SENT
from alcor_migrate.side import Change, Key, Query, comes_to, quick
from alcor_model import resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from alcor_migrate.journal import Event, Journal
    from alcor_migrate.side import Rejection, Side
    from alcor_model import Resource
    from alcor_model.fields import Json

log = structlog.get_logger(__name__)

_K = TypeVar("_K")

_BATCH = 500
"""Entries in a round at most. What they name is read from a source a hundred at a time, at once: where replay is
behind, the next entries need not wait for one answer after the other."""
_LONGEST_PAUSE = 5.0
_RETRIES_OF_A_REJECTION = 3
_SLOW = 1.0
"""Seconds after which a round of replay is worth a line in the log."""
_RECENT = 5.0
"""Seconds in which an applied change counts as recent for the last look of a cutover."""


class Chunk:
    """One page of the copy on its way to the target."""

    def __init__(self, token: str, of: Resource, low: int) -> None:
        self.token = token
        self.of = of
        self.low = low
        self.objects: Sequence[Json] = ()
        self.left_out = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class _Asked(NamedTuple):
    """A recheck that somebody waits for."""

    keys: set[Key]
    answer: asyncio.Future[list[Change]]
    quickly: bool


class LastLook:
    """What a handover asks of the round that passes its mark: to read again what was applied just before as well."""

    def __init__(self, token: str, since: float, most: int) -> None:
        """`token` is the mark's; `since` is a time (monotonic); `most` bounds how many objects are read."""
        self.token = token
        self.since = since
        self.most = most
        self.looked_at = 0
        """Objects that were read again."""
        self.found = 0
        """How many of them differed."""


class Replay:
    """Brings the passive side level with the active one, entry by entry.

    `active` says which side is written to by users now; cutover and reverse set it. `applied` is the position up
    to which every entry has been applied.
    """

    def __init__(
        self,
        journal: Journal,
        sides: dict[str, Side],
        applied: int,
        page_size: int,
        save: Callable[[int], None],
        note: Callable[[set[Key]], None] = lambda _: None,
    ) -> None:
        """`save` is told the position that is applied, and `note`, before they are, changes that belong together."""
        self.applied = applied
        self.active = "source"
        self.trouble = ""
        """Why nothing can be applied at the moment; empty when all is well."""
        self.incomplete = False
        """Whether the journal says that writes passed without a record, and no sweep has been made since."""
        self.unfinished: set[Key] = set()
        """What was being applied when the passive side failed, or the process died. Of a change of which a part was
        applied nobody sees any more what follows from it, so all of it is read again."""
        self.poison: dict[Key, str] = {}
        """Objects that the passive side would not take, with its reason."""
        self.last_look: LastLook | None = None
        """What the handover that is under way wants to be read again at its mark."""
        self.confirmed = ""
        """The token of the last mark of a handover that was passed."""
        self.undeclared: dict[str, int] = {}
        """Writes to collections that nobody declared, by collection: what they made stays behind."""
        self.written: dict[str, float] = {}
        """When an object of a resource was last replayed or healed, in unix seconds, by the resource's name."""
        self.entries = 0
        self.changes = 0
        self.worst_lag = 0.0
        self._journal = journal
        self._sides = sides
        self._page_size = page_size
        self._save = save
        self._note = note
        self._chunks: dict[str, Chunk] = {}
        self._replayed: dict[Key, int] = {}
        self._gone: dict[str, int] = {}
        self._asked: list[_Asked] = []
        self._wanted = asyncio.Event()
        self._progress = asyncio.Condition()
        self._oldest: float | None = None
        self._tries: dict[Key, int] = {}
        self._with_default_group: set[str] = set()
        self._recent: deque[tuple[float, Key]] = deque(maxlen=2000)

    @property
    def lag(self) -> float:
        """Age in seconds of the oldest entry that is not applied; 0 when all are."""
        return 0.0 if self._oldest is None else max(0.0, time.time() - self._oldest)

    @property
    def idle(self) -> bool:
        """Whether all that the journal holds is applied, and nobody waits for a recheck."""
        return self.applied >= self._journal.position and not self._asked

    def sides(self, active: str | None = None) -> tuple[Side, Side]:
        """(active side, passive side)."""
        name = active or self.active
        return self._sides[name], self._sides["target" if name == "source" else "source"]

    def recent(self, since: float = 0.0) -> list[Key]:
        """What was applied in the last few seconds, newest first; not what was before a time (monotonic)."""
        horizon = max(since, time.monotonic() - _RECENT)
        return list(dict.fromkeys(key for at, key in reversed(self._recent) if at > horizon))

    def begin_chunk(self, token: str, of: Resource, low: int) -> Chunk:
        """Announce a chunk whose low watermark stands at position `low`; it is applied at its high watermark."""
        chunk = self._chunks[token] = Chunk(token, of, low)
        return chunk

    def drop_chunk(self, chunk: Chunk) -> None:
        """Forget a chunk that could not be read."""
        self._chunks.pop(chunk.token, None)
        if not self._chunks:
            self._replayed.clear()
            self._gone.clear()

    async def recheck(self, keys: Iterable[Key], *, quickly: bool = False) -> list[Change]:
        """Read these objects again on both sides and apply what differs; answers that.

        `quickly` is for what nobody has doubts about: a source that has a database is read there.
        """
        wanted = set(keys)
        return await self._ask(wanted, quickly=quickly) if wanted else []

    async def reach(self, position: int) -> None:
        """Return when everything up to a position is applied."""
        async with self._progress:
            await self._progress.wait_for(lambda: self.applied >= position)

    async def run(self) -> None:
        """Apply entries as they come, until cancelled. A side that fails is tried again, and `trouble` says so."""
        pause = 0.1
        while True:
            try:
                await self._round()
            except (CloudError, JournalError, StateNotWritten) as error:
                self.trouble = error.message
                log.warning("replay_waits", reason=error.message, seconds=round(pause, 1))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self.trouble = ""
                pause = 0.1

    async def _round(self) -> None:
        while self._asked:
            asked = self._asked[0]
            changed = await self._settle(self.active, Touched(keys=frozenset(asked.keys)), quickly=asked.quickly)
            self._asked.pop(0)
            if not asked.answer.done():
                asked.answer.set_result(changed)
        events = await self._journal.read(after=self.applied, limit=_BATCH)
        if not events:
            self._oldest = None
            await self._rest()
            return
        outcomes = [e for e in events if e.outcome is not None]
        self._count_undeclared(outcomes)
        self._oldest = outcomes[0].at if outcomes else None
        await self._replay(outcomes, self._looking_at(events))
        for event in events:
            if event.kind == MARK and event.mark is not None:
                self.incomplete = self.incomplete or event.mark.kind == INCOMPLETE
                if event.mark.kind == HANDOVER:
                    self.confirmed = event.mark.token
                await self._apply_chunk(event.mark.token)
        if outcomes:
            self.entries += len(outcomes)
            self.worst_lag = max(self.worst_lag, self.lag)
        self._oldest = None
        async with self._progress:
            self.applied = events[-1].position
            self._save(self.applied)
            self._progress.notify_all()

    async def _replay(self, outcomes: Sequence[Event], look: LastLook | None) -> None:
        """Read what these name, and what a last look wants, all at once, and apply what differs."""
        for side in ("source", "target"):
            wanted = _union(_read(e) for e in outcomes if e.intent is not None and e.intent.side == side)
            again = self._once_more(look, wanted) if look and side == self.active else frozenset()
            if again or wanted != Touched():
                changes = await self._settle(side, _union([wanted, Touched(keys=again)]), quickly=True)
                self._note_written(wanted.keys)
                if look:
                    look.looked_at, look.found = len(again), sum(c.key in again for c in changes)

    def _looking_at(self, events: Iterable[Event]) -> LastLook | None:
        """The last look that is wanted, if its mark is among these."""
        look = self.last_look
        return look if look and any(e.mark is not None and e.mark.token == look.token for e in events) else None

    def _once_more(self, look: LastLook, wanted: Touched) -> frozenset[Key]:
        return frozenset([key for key in self.recent(look.since) if key not in wanted.keys][: look.most])

    def _note_written(self, keys: Iterable[Key]) -> None:
        self.written.update(dict.fromkeys((key.resource for key in keys), time.time()))

    def _count_undeclared(self, outcomes: Iterable[Event]) -> None:
        """Name what cannot be replayed, at its first write in the log and always in the figures."""
        for collection in (name for event in outcomes for name in _read(event).undeclared):
            if collection not in self.undeclared:
                log.warning("written_but_not_declared", collection=collection)
            self.undeclared[collection] = self.undeclared.get(collection, 0) + 1

    async def _rest(self) -> None:
        """Sleep until there is a new entry or someone asks for a recheck."""
        self._wanted.clear()
        if self._asked:
            return
        entry = asyncio.ensure_future(self._journal.wait(self.applied))
        asked = asyncio.ensure_future(self._wanted.wait())
        try:
            await asyncio.wait({entry, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (entry, asked):
                task.cancel()
            # Not awaited one by one: the end of a task that we have cancelled must not hide that we are cancelled.
            await asyncio.gather(entry, asked, return_exceptions=True)

    async def _settle(self, active_name: str, wanted: Touched, *, quickly: bool) -> list[Change]:
        """Make the passive side hold what the active one holds, for what is wanted and all that follows from it.

        Answers what differed.
        """
        active, passive = self.sides(active_name)
        if quickly:
            active, passive = quick(active), quick(passive)
        began, steps = time.monotonic(), 0
        seen: dict[Key, Change] = {}
        asked: set[Query] = set()
        compared: set[str] = set()
        wanted = _union([wanted, Touched(keys=frozenset(self.unfinished))])
        wanted = await self._compared(active, passive, wanted, compared)
        while keys_and_queries := self._unasked(wanted, seen, asked, passive):
            keys, queries = keys_and_queries
            asked |= queries
            steps += 1
            ids = _grouped((key.resource, key.id) for key in keys)
            values = _grouped(((q.resource, q.field, q.held), q.value) for q in queries)
            answers = await asyncio.gather(
                *(look(active, passive, resource(name), some) for name, some in ids.items()),
                *(
                    (still_held if held else match)(active, passive, resource(name), field, some)
                    for (name, field, held), some in values.items()
                ),
            )
            fresh = [change for answer in answers for change in answer if change.key not in seen]
            seen.update({c.key: c for c in fresh})
            self._remember_default_groups(fresh)
            wanted = _union(consequences(c) for c in fresh)
            wanted = await self._compared(active, passive, wanted, compared)
        changes = [c for c in seen.values() if c.differs]
        for key in self.poison.keys() & seen.keys() - {c.key for c in changes}:  # it is level now: nothing is refused
            self.poison.pop(key)
            self._tries.pop(key, None)
        if changes:
            self.unfinished |= {c.key for c in changes}
            if len(self.unfinished) > 1:  # a single one is applied as a whole, or not at all
                self._note(self.unfinished)
            self._judge(changes, await passive.apply(changes))
        self.unfinished = set()
        at, now = self._journal.position, time.monotonic()
        if now - began > _SLOW:
            log.info("slow_round", seconds=round(now - began, 2), steps=steps, read=len(seen), changed=len(changes))
        if self._chunks:
            self._replayed.update(dict.fromkeys(seen, at))
            self._gone.update({c.id: at for c in seen.values() if c.new is None})
        self._recent.extend((now, c.key) for c in changes)
        self._note_written(c.key for c in changes)
        self.changes += len(changes)
        return changes

    async def _compared(self, active: Side, passive: Side, wanted: Touched, compared: set[str]) -> Touched:
        """The same, with what differs of the resources that are to be compared as a whole, each of them once."""
        keys: set[Key] = set()
        for name in sorted(wanted.resources - compared):
            compared.add(name)
            if comes_to(passive, resource(name)):
                keys |= await differing(active, passive, resource(name), self._page_size)
        return _union([wanted, Touched(keys=frozenset(keys))]) if keys else wanted

    def _unasked(
        self, wanted: Touched, seen: dict[Key, Change], asked: set[Query], passive: Side
    ) -> tuple[set[Key], set[Query]] | None:
        """What of it is the passive side's and has not been looked at yet; None when everything has."""
        keys = {key for key in wanted.keys - seen.keys() if comes_to(passive, resource(key.resource))}
        queries = {
            q
            for q in wanted.queries - asked
            if comes_to(passive, resource(q.resource))
            and not (q.resource == "security_group" and q.value in self._with_default_group)
        }
        return (keys, queries) if keys or queries else None

    def _remember_default_groups(self, changes: Iterable[Change]) -> None:
        """Each project's default group is looked for once; it never comes back by itself while it is there."""
        for change in changes:
            if change.of.name == "security_group" and change.new and change.new.get("name") == "default":
                self._with_default_group.add(str(change.new.get("project_id")))

    def _judge(self, changes: Sequence[Change], rejections: Sequence[Rejection]) -> None:
        """Keep what was rejected, and forget older rejections of what was taken now."""
        reasons = {r.key: r.reason for r in rejections}
        for change in changes:
            key = change.key
            if key not in reasons:
                self.poison.pop(key, None)
                self._tries.pop(key, None)
                if change.new is None and change.old and change.old.get("name") == "default":
                    self._with_default_group.discard(str(change.old.get("project_id")))
                continue
            tries = self._tries[key] = self._tries.get(key, 0) + 1
            log.warning("rejected", object=str(key), reason=reasons[key], attempt=tries)
            self.poison[key] = reasons[key]
            if tries <= _RETRIES_OF_A_REJECTION:
                # What it needs may be on its way: look again soon, a bounded number of times.
                asyncio.get_running_loop().call_later(0.3 * tries, self._ask, {key})

    def _ask(self, keys: set[Key], *, quickly: bool = False) -> asyncio.Future[list[Change]]:
        asked = _Asked(keys, asyncio.get_running_loop().create_future(), quickly)
        self._asked.append(asked)
        self._wanted.set()
        return asked.answer

    def _is_orphan(self, found: Json, low: int) -> bool:
        """Whether it names an object that was found gone since a chunk's low watermark."""
        return any(self._gone.get(text, 0) > low for text in _texts(found))

    async def _apply_chunk(self, token: str) -> None:
        chunk = self._chunks.get(token)
        if chunk is None or not chunk.objects:
            return
        _, passive = self.sides("source")
        fresh = [o for o in chunk.objects if self._replayed.get(Key(chunk.of.name, o["id"]), 0) <= chunk.low]
        # What vanished together with another object was never named by an entry of its own: it is read again.
        orphans = {o["id"] for o in fresh if self._gone and self._is_orphan(o, chunk.low)}
        changes = [Change(chunk.of, o["id"], None, o) for o in fresh if o["id"] not in orphans]
        chunk.left_out = len(chunk.objects) - len(changes)
        self._judge(changes, await passive.apply(changes))
        if orphans:
            keys = frozenset(Key(chunk.of.name, i) for i in orphans)
            await self._settle("source", Touched(keys=keys), quickly=True)
        self.drop_chunk(chunk)
        if not chunk.done.done():
            chunk.done.set_result(None)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _read(event: Event) -> Touched:
    """What one outcome asks to be read again."""
    intent, outcome = event.intent, event.outcome
    if intent is None or outcome is None or outcome.how == NOT_SENT:
        return Touched()
    return touched(
        intent.method,
        intent.path,
        # Of an answer that was too long to be kept, the ids are not known.
        0 if outcome.truncated else outcome.status,
        _decoded(intent.body),
        _decoded(outcome.body),
        outcome.project_id,
    )


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None


def _union(parts: Iterable[Touched]) -> Touched:
    keys: set[Key] = set()
    queries: set[Query] = set()
    resources: set[str] = set()
    for part in parts:
        keys |= part.keys
        queries |= part.queries
        resources |= part.resources
    return Touched(frozenset(keys), frozenset(queries), frozenset(resources))


def _grouped(pairs: Iterable[tuple[_K, str]]) -> dict[_K, set[str]]:
    groups: dict[_K, set[str]] = {}
    for name, value in pairs:
        groups.setdefault(name, set()).add(value)
    return groups

"""The bulk transfer: every resource in dependency order, page by page, between watermarks.

The engine writes the watermarks into the journal itself, so they pass even when no user writes anything. The
source is never locked; what changes while a page travels is left out of it and comes with the replay.

A source that can hold still (its database) is read as it was at one moment. Its pages are then as old as that
moment, however late they are read, so there is one low watermark for all of them, put down before it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import structlog

from alcor_migrate.side import steady
from alcor_model import load_order

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from alcor_migrate.engine.replay import Chunk, Replay
    from alcor_migrate.journal import Journal
    from alcor_migrate.side import Side
    from alcor_model import Resource

log = structlog.get_logger(__name__)


class ResourceProgress(msgspec.Struct):
    """How far the copy of one resource is. `expected` is an estimate, 0 when there is none."""

    resource: str
    """Its key in a list of Neutron's API."""
    copied: int = 0
    """Objects loaded so far."""
    expected: int = 0
    """About how many there are; 0 when nobody can say."""
    finished: bool = False
    """Whether all of them are loaded."""


class CopyProgress(msgspec.Struct):
    """How far the copy is; times are unix seconds."""

    resources: list[ResourceProgress] = msgspec.field(
        default_factory=lambda: [ResourceProgress(of.plural) for of in load_order()]
    )
    """In the order in which they are loaded."""
    started_at: float = 0.0
    """0 before that."""
    finished_at: float = 0.0
    """0 before that."""
    left_out: int = 0
    """Objects that were newer in the journal than in their page."""

    @property
    def copied(self) -> int:
        """Objects loaded so far."""
        return sum(r.copied for r in self.resources)

    @property
    def rate(self) -> float:
        """Objects per second since the start."""
        if not self.started_at:
            return 0.0
        return self.copied / max(0.001, (self.finished_at or time.time()) - self.started_at)

    @property
    def eta(self) -> float | None:
        """Seconds that are left at this rate, or None when nobody can say."""
        expected = sum(max(r.expected, r.copied) for r in self.resources)
        if self.finished_at or not self.copied or not expected:
            return 0.0 if self.finished_at else None
        return max(0.0, expected - self.copied) / self.rate


class Copy:
    """Copies everything from the source to the target once; a resource that was interrupted starts again."""

    def __init__(
        self, source: Side, journal: Journal, replay: Replay, page_size: int, progress: CopyProgress
    ) -> None:
        self._source = source
        self._journal = journal
        self._replay = replay
        self.page_size = page_size
        """Objects in a page; a new value holds from the next resource on."""
        self.progress = progress

    async def run(self, save: Callable[[CopyProgress], None]) -> None:
        """Copy what is not copied yet. Raises CloudError when the source cannot be read."""
        self.progress.started_at = self.progress.started_at or time.time()
        async with self._moment() as low:
            await self._copy(low, save)
        self.progress.finished_at = time.time()
        save(self.progress)

    @asynccontextmanager
    async def _moment(self) -> AsyncIterator[int | None]:
        """Have the source hold still; answers the low watermark of everything it says, or None if it cannot.

        The chunk that is announced here is never loaded: while it stands, replay remembers what it has applied.
        """
        token = uuid.uuid4().hex
        first = self._replay.begin_chunk(token, load_order()[0], await self._journal.mark("copy-low", token))
        try:
            async with steady(self._source) as still:
                yield first.low if still else None
        finally:
            self._replay.drop_chunk(first)

    async def _copy(self, moment: int | None, save: Callable[[CopyProgress], None]) -> None:
        ended: list[ResourceProgress] = []
        chunks = self._chunks(moment, ended)

        async def following() -> tuple[ResourceProgress, Chunk] | None:
            return await anext(chunks, None)

        def finish() -> None:
            for done in ended:
                done.finished = True
                save(self.progress)
                log.info("copied", resource=done.resource, objects=done.copied)
            ended.clear()

        ahead = asyncio.create_task(following())
        try:
            while found := await ahead:
                finish()
                # The next page, be it of the next resource, is read while this one is loaded.
                ahead = asyncio.create_task(following())
                done, chunk = found
                await self._journal.mark("copy-high", chunk.token)
                await chunk.done
                done.copied += len(chunk.objects)
                self.progress.left_out += chunk.left_out
                finish()
            finish()
        finally:
            ahead.cancel()
            unused, *_ = await asyncio.gather(ahead, return_exceptions=True)
            if isinstance(unused, tuple):
                self._replay.drop_chunk(unused[1])
            await chunks.aclose()

    async def _chunks(
        self, moment: int | None, ended: list[ResourceProgress]
    ) -> AsyncGenerator[tuple[ResourceProgress, Chunk], None]:
        """The pages of what is not copied yet, in the order of loading; `ended` gets each that is read."""
        for of in load_order():
            done = next(r for r in self.progress.resources if r.resource == of.plural)
            if done.finished:
                continue
            done.copied = 0
            pages = aiter(self._source.pages(of, self.page_size))
            while chunk := await self._read(pages, of, moment):
                yield done, chunk
            ended.append(done)

    async def _read(
        self, pages: AsyncIterator[Sequence[dict[str, object]]], of: Resource, moment: int | None
    ) -> Chunk | None:
        """The next page with its low watermark; None when there are no more."""
        token = uuid.uuid4().hex
        low = await self._journal.mark("copy-low", token) if moment is None else moment
        chunk = self._replay.begin_chunk(token, of, low)
        try:
            # No tuple as the default: CPython hands it on as the arguments of StopIteration.
            chunk.objects = await anext(pages, [])
        except BaseException:
            self._replay.drop_chunk(chunk)
            raise
        if not chunk.objects:
            self._replay.drop_chunk(chunk)
            return None
        return chunk

"""The asyncio face of the journal, and its one writer thread."""

from __future__ import annotations

import asyncio
import functools
import queue
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
import structlog

from alcor_migrate.errors import JournalError, JournalStalled
from alcor_migrate.journal.entries import Entry, Prune, PutIntent, PutMark, PutOutcome, Settle
from alcor_migrate.journal.records import (
    READ_THAT_WROTE,
    Counts,
    Event,
    Intent,
    JournalStats,
    Mark,
    Outcome,
    Unsettled,
)
from alcor_migrate.journal.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger(__name__)

MAX_GROUP = 1024
PROBE_SECONDS = 0.25
# Seconds. Whoever wants the interpreter while the other thread computes, gets it after this time; with Python's 5 ms
# a commit waits for a busy event loop longer than for the disk.
_TURN = 0.0005
_RESTART = "This is a defect, and the log has its details. What was answered is on disk: restart `alcor-migrate run`."
_T = TypeVar("_T")

_Job = tuple[tuple[Entry, ...], "asyncio.Future[int]"]
_Done = list[tuple["asyncio.Future[int]", int | JournalError]]


class Journal:
    """The durable order of captured writes.

    What a method that writes has returned is on disk. Entries that wait at the same time share one commit.
    After a failed commit the journal is *stalled*: intents raise JournalStalled at once, while outcomes and
    marks wait until a write works again, because what they tell has already happened.

    Use it from one event loop. Everything raises JournalError when it is closed.
    """

    def __init__(self, store: Store) -> None:
        self.stats = JournalStats()
        self._store = store
        self._position = store.position
        self._found = store.last
        """What was there before: the clock may have been set back since, so times do not tell."""
        self._seq = store.seq
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="journal-reader")
        self._checkpointer = ThreadPoolExecutor(1, thread_name_prefix="journal-checkpointer")
        self._checkpoint: Future[None] | None = None
        self._writer = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._taken: list[_Job] = []
        """What the writer has taken from the queue and not ended yet."""
        self._open: set[int] = set()
        self._ending = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._stalled = False
        self._closed = False

    @classmethod
    async def open(cls, where: str | Path, *, writer: str = "gateway", max_bytes: int | None = None) -> Journal:
        """Opens the journal at a path (SQLite) or a database URL; makes it where it is missing.

        `writer` names this gateway among several on one database. `max_bytes` bounds the file: beyond it the
        journal is stalled until something is pruned. Raises JournalError.
        """
        url = _url(where)
        try:
            store = Store(url, writer, max_bytes)
            await asyncio.to_thread(store.open)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            msg = f"the journal at {url.render_as_string(hide_password=True)} cannot be opened: {_short(error)}"
            raise JournalError(msg) from error
        sys.setswitchinterval(min(_TURN, sys.getswitchinterval()))
        journal = cls(store)
        journal._writer.start()
        return journal

    # -- state -----------------------------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """The position of the last durable event; 0 when there is none.

        Of several gateways on one database each knows only of its own; `read` finds all.
        """
        return self._position

    @property
    def open_intents(self) -> int:
        """Writes of this run that have no durable outcome yet."""
        return len(self._open) + self._ending

    @property
    def stalled(self) -> bool:
        """Whether the last write failed and none has worked since."""
        return self._stalled

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._store.size()

    # -- writing ---------------------------------------------------------------------------------------------

    async def intent(self, intent: Intent) -> int:
        """Keeps a write that is about to be forwarded; returns its number once that is durable."""
        if self._stalled:
            raise _stalled_error()
        self._seq += 1
        seq = self._seq
        await self._put(PutIntent(seq, intent))
        self._open.add(seq)
        return seq

    async def outcome(self, seq: int, outcome: Outcome) -> int:
        """Keeps what became of an intent of this run; returns its position once that is durable.

        Waits as long as the journal is stalled.
        """
        if seq not in self._open:
            msg = f"intent {seq} is not waiting for an outcome"
            raise JournalError(msg, "Report this as a defect of the gateway.")
        self._open.discard(seq)
        self._ending += 1
        try:
            return await self._put(PutOutcome(seq, outcome))
        finally:
            self._ending -= 1

    async def read_that_wrote(self, intent: Intent, outcome: Outcome) -> int:
        """Keeps a read that may have changed something, in one go; returns its position."""
        if self._stalled:
            raise _stalled_error()
        self._seq += 1
        return await self._put(PutIntent(self._seq, intent), PutOutcome(self._seq, outcome, READ_THAT_WROTE))

    async def mark(self, kind: str, token: str) -> int:
        """Puts a mark into the order; returns its position once that is durable."""
        return await self._put(PutMark(Mark(kind=kind, token=token, at=time.time())))

    async def settle(self, seq: int, how: str, *, writer: str | None = None) -> int:
        """Ends an uncertainty; returns the position of the outcome.

        An intent without outcome gets an unknown one (status 0, `how`), so a place in the order. An outcome
        that is unknown is noted as resolved in this way. Anything else stays as it is.
        """
        return await self._put(Settle(seq, writer or self._store.writer, how))

    async def prune(self, applied_position: int, keep_seconds: float) -> int:
        """Forgets events up to a position that are older than this; returns how many.

        Unknown outcomes that nobody settled stay, and so do intents without outcome.
        """
        return await self._put(Prune(applied_position, time.time() - keep_seconds))

    async def _put(self, *entries: Entry) -> int:
        if self._closed:
            raise _closed_error()
        future: asyncio.Future[int] = self._loop.create_future()
        self._queue.put((entries, future))
        return await future

    # -- reading ---------------------------------------------------------------------------------------------

    async def read(self, *, after: int, limit: int = 500) -> list[Event]:
        """Events after a position, in order, each outcome with its intent."""
        return await self._ask(functools.partial(self._store.read, after, limit))

    async def unsettled(self, *, begun_since: bool = False) -> list[Unsettled]:
        """Intents that have no outcome: those that were found when this journal was opened, left by a crash.

        With `begun_since` also those that were begun after that, which are under way.
        """
        return await self._ask(functools.partial(self._store.unsettled, None if begun_since else self._found))

    async def counts(self) -> Counts:
        """How much the journal holds."""
        return await self._ask(self._store.counts)

    async def wait(self, after: int) -> int:
        """Returns the position as soon as it is greater than `after`."""
        while self._position <= after:
            if self._closed:
                raise _closed_error()
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(future)
            try:
                await future
            finally:
                if future in self._waiters:
                    self._waiters.remove(future)
        return self._position

    async def _ask(self, question: Callable[[], _T]) -> _T:
        if self._closed:
            raise _closed_error()
        try:
            return await self._loop.run_in_executor(self._reader, question)
        except sa.exc.SQLAlchemyError as error:
            msg = f"the journal cannot be read: {_short(error)}"
            raise JournalError(msg) from error

    async def close(self) -> None:
        """Writes what is queued, then ends. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._reader.shutdown)
        await asyncio.to_thread(self._checkpointer.shutdown)
        # the writer's last report was scheduled before its thread ended
        await asyncio.sleep(0)
        self._wake()
        await asyncio.to_thread(self._store.close)

    # -- the writer thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_groups()
        except Exception as error:  # whatever it is, nobody may wait for ever for what is not written any more
            log.exception("journal_writer_died")
            self._refuse_all(JournalError(f"the journal's writer died: {type(error).__name__}: {error}", _RESTART))

    def _refuse_all(self, error: JournalError) -> None:
        self._stalled = True
        self._report([(future, error) for _, future in self._taken])
        while (job := self._queue.get()) is not None:
            self._report([(job[1], error)])

    def _write_groups(self) -> None:
        ending = False
        while not ending:
            job = self._queue.get()
            group: list[_Job] = []
            while job is not None:
                group.append(job)
                if len(group) == MAX_GROUP or self._queue.empty():
                    break
                job = self._queue.get()
            ending = job is None
            while group:
                self._taken = group
                group = self._taken = self._commit(group)
                if group:
                    ending = self._stall(group) or ending

    def _commit(self, group: list[_Job]) -> list[_Job]:
        """Writes a group; returns what has to be tried again when writing works again."""
        started = time.perf_counter()
        try:
            results = self._store.write([entry for entries, _ in group for entry in entries])
        except JournalError as error:
            if len(group) == 1:
                self._report([(group[0][1], error)])
                return []
            return [left for job in group for left in self._commit([job])]
        except (sa.exc.SQLAlchemyError, OSError) as error:
            log.error("journal_write_failed", entries=len(group), error=_short(error))  # noqa: TRY400  (known)
            self.stats.failures += 1
            again = [job for job in group if not _is_refusable(job)]
            stalled = _stalled_error()
            self._stalled = True
            self._report([(future, stalled) for entries, future in group if _is_refusable((entries, future))])
            return again or [_probe(self._loop)]
        self._measure(time.perf_counter() - started, len(results))
        done: _Done = []
        at = 0
        for entries, future in group:
            at += len(entries)
            done.append((future, results[at - 1]))
        self._stalled = False
        self._report(done)
        self._shorten_log()
        return []

    def _shorten_log(self) -> None:
        """Keeps SQLite's log short. Copying it takes long, so most of that is done beside the commits."""
        under_way = self._checkpoint
        try:
            if under_way is None:
                if self._store.log_is_long:
                    self._checkpoint = self._checkpointer.submit(self._store.checkpoint)
            elif under_way.done():
                self._checkpoint = None
                under_way.result()
                self._store.restart_log()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            # the log keeps what could not be copied; whether it can still be written, the next commit finds out
            log.warning("journal_checkpoint_failed", error=_short(error))

    def _stall(self, waiting: list[_Job]) -> bool:
        """Waits until the store can be opened again; refuses what is refusable. True when asked to end."""
        self.stats.stalls += 1
        ending = False
        while True:
            deadline = time.monotonic() + PROBE_SECONDS
            while not ending and (left := deadline - time.monotonic()) > 0:
                try:
                    job = self._queue.get(timeout=left)
                except queue.Empty:
                    break
                if job is None:
                    ending = True
                elif _is_refusable(job):
                    self._report([(job[1], _stalled_error())])
                else:
                    waiting.append(job)
            try:
                self._store.reopen()
                self._drop_kept(waiting)
            except (sa.exc.SQLAlchemyError, OSError) as error:
                self.stats.failures += 1
                if ending:
                    msg = f"the journal was closed while it could not be written: {_short(error)}"
                    self._report([(future, JournalError(msg)) for _, future in waiting])
                    waiting.clear()
                    return True
                continue
            if not waiting:
                waiting.append(_probe(self._loop))
            return ending

    def _drop_kept(self, waiting: list[_Job]) -> None:
        """Takes out what a commit that was reported as failed has kept all the same."""
        done: _Done = []
        for job in list(waiting):
            (entry, *_), future = job
            if isinstance(entry, PutOutcome) and (position := self._store.kept(entry)) is not None:
                waiting.remove(job)
                done.append((future, position))
        self._report(done)

    def _measure(self, seconds: float, entries: int) -> None:
        stats = self.stats
        stats.commits += 1
        stats.entries += entries
        stats.last_commit = seconds
        stats.commit_time_total += seconds
        stats.longest_commit = max(stats.longest_commit, seconds)
        stats.largest_group = max(stats.largest_group, entries)

    def _report(self, done: _Done) -> None:
        self._loop.call_soon_threadsafe(self._finished, done, self._store.position, self._store.seq)

    # -- back in the event loop ------------------------------------------------------------------------------

    def _finished(self, done: _Done, position: int, seq: int) -> None:
        self._seq = max(self._seq, seq)
        for future, result in done:
            if future.done():  # cancelled, or reported before the writer died
                continue
            if isinstance(result, JournalError):
                future.set_exception(result)
            else:
                future.set_result(result)
        if position > self._position:
            self._position = position
            self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def _is_refusable(job: _Job) -> bool:
    """Whether the caller can be told that it did not happen, because it waits before it acts."""
    return isinstance(job[0][0], PutIntent | Settle | Prune)


def _probe(loop: asyncio.AbstractEventLoop) -> _Job:
    """A write that nobody waits for."""
    return (PutMark(Mark(kind="probe", token="", at=time.time())),), loop.create_future()


def _url(where: str | Path) -> sa.URL:
    text = str(where)
    if "://" in text:
        return sa.make_url(text)
    return sa.URL.create("sqlite", database=str(Path(text).absolute()))


def _short(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())[:200]


def _stalled_error() -> JournalStalled:
    return JournalStalled("the journal cannot be written now")


def _closed_error() -> JournalError:
    return JournalError("the journal is closed", "Open it again; a closed journal keeps nothing.")

"""Time that costs nothing, and a journal in memory that keeps what the real one keeps."""

import asyncio
import selectors
from collections import deque

from alcor_migrate.errors import JournalError
from alcor_migrate.journal import MARK, READ_THAT_WROTE, Event, Mark, Outcome
from alcor_migrate.journal.records import OUTCOME, JournalStats, Unsettled

BEGINNING = 1_800_000_000.0


class NothingLeft(Exception):
    """Nobody will ever wake up again."""


class _InstantSelector(selectors.SelectSelector):
    """Instead of waiting until the next timer, moves the loop's clock there."""

    now = 0.0

    def select(self, timeout=None):
        if timeout is None:
            raise NothingLeft
        self.now += max(0.0, timeout)
        return super().select(0)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by its own timers."""

    def __init__(self):
        self._instant = _InstantSelector()
        super().__init__(self._instant)

    def time(self):
        return self._instant.now

    def stand_still(self, seconds):
        """Time passes, and nobody does anything meanwhile: SIGSTOP, a machine that swaps."""
        self._instant.now += seconds

    def advance(self, seconds):
        """Let everything happen that happens within this time."""
        self.run_until_complete(asyncio.sleep(seconds))


class SimulatedClock:
    """Stands in for the module `time`; its wall clock can be set, its monotonic one cannot."""

    def __init__(self, loop):
        self._loop = loop
        self.jumped = 0.0

    def time(self):
        return BEGINNING + self._loop.time() + self.jumped

    def monotonic(self):
        return self._loop.time()

    perf_counter = monotonic


class Disk:
    """What survives a crash: the journal's entries, and what the state store was told to keep."""

    def __init__(self):
        self.intents = {}
        self.events = []
        self.settled = {}
        self.kept = {}

    def keep(self, name, value):
        self.kept[name] = value

    def recall(self, name, _kind, otherwise):
        return self.kept.get(name, otherwise)


class SimulatedJournal:
    """The real journal's face over a `Disk`. An entry is durable some milliseconds after it was given."""

    def __init__(self, disk, clock, random):
        self.stats = JournalStats()
        self._found = max(disk.intents, default=0)
        self.stalled = False
        self._disk = disk
        self._clock = clock
        self._random = random
        self._seq = self._found
        self._queue = deque()
        self._committing = None
        self._waiters = []
        self._open = set()
        self._ending = 0

    @property
    def open_intents(self):
        return len(self._open) + self._ending

    @property
    def position(self):
        return self._disk.events[-1].position if self._disk.events else 0

    async def intent(self, intent):
        self._seq += 1
        seq = self._seq
        await self._commit(lambda: self._disk.intents.__setitem__(seq, intent))
        self._open.add(seq)
        return seq

    async def outcome(self, seq, outcome):
        if seq not in self._open:
            raise JournalError(f"intent {seq} is not waiting for an outcome")
        self._open.discard(seq)
        self._ending += 1
        try:
            return await self._commit(lambda: self._append(OUTCOME, seq=seq, outcome=outcome))
        finally:
            self._ending -= 1

    async def read_that_wrote(self, intent, outcome):
        self._seq += 1
        seq = self._seq

        def keep():
            self._disk.intents[seq] = intent
            return self._append(READ_THAT_WROTE, seq=seq, outcome=outcome)

        return await self._commit(keep)

    async def mark(self, kind, token):
        mark = Mark(kind=kind, token=token, at=self._clock.time())
        return await self._commit(lambda: self._append(MARK, mark=mark))

    async def settle(self, seq, how, *, writer=None):
        assert writer in {None, "gateway"}

        def keep():
            for event in self._disk.events:
                if event.seq == seq:
                    if event.outcome.status == 0:
                        self._disk.settled[seq] = how
                    return event.position
            outcome = Outcome(status=0, finished_at=self._clock.time(), how=how)
            return self._append(OUTCOME, seq=seq, outcome=outcome)

        return await self._commit(keep)

    async def read(self, *, after, limit=500):
        await asyncio.sleep(self._random.choice([0.0, 0.001]))
        # Positions are 1, 2, 3 … without holes, since nothing is pruned here.
        return self._disk.events[after : after + limit]

    async def unsettled(self):
        answered = {event.seq for event in self._disk.events}
        return [
            Unsettled(seq=seq, writer="gateway", intent=intent)
            for seq, intent in self._disk.intents.items()
            if seq not in answered and seq <= self._found
        ]

    async def wait(self, after):
        while self.position <= after:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        return self.position

    def _append(self, kind, seq=None, outcome=None, mark=None):
        event = Event(
            position=self.position + 1,
            kind=kind,
            writer="gateway",
            seq=seq,
            intent=self._disk.intents.get(seq),
            outcome=outcome,
            mark=mark,
        )
        self._disk.events.append(event)
        return event.position

    async def _commit(self, keep):
        future = asyncio.get_running_loop().create_future()
        self._queue.append((keep, future))
        if self._committing is None:
            self._committing = asyncio.ensure_future(self._run())
        return await asyncio.shield(future)

    async def _run(self):
        """One commit after the other, each of all that waits."""
        while self._queue:
            group = list(self._queue)
            self._queue.clear()
            await asyncio.sleep(self._random.choice([0.0005, 0.002, 0.02]))
            for keep, future in group:
                result = keep()
                if not future.done():
                    future.set_result(result)
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        self._committing = None

    def crash(self):
        """What was not committed is gone."""
        self._queue.clear()
        if self._committing is not None:
            self._committing.cancel()

"""One of several processes behind one port: a gateway that follows its master (`pool.py`).

Run as `python -m alcor_migrate.gateway.worker CHANNEL MASTER`: the file descriptor of its channel, and the master's
process id. It decides nothing about routes, writes no journal, and ends with its master.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import itertools
import logging
import os
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import structlog

from alcor_migrate.errors import JournalError, MigrationError
from alcor_migrate.gateway.channel import (
    Channel,
    Doubt,
    Drain,
    Drained,
    Follow,
    Following,
    FromMaster,
    Go,
    Healed,
    Identify,
    KeepIntent,
    KeepOutcome,
    KeepRead,
    Kept,
    Known,
    Left,
    Listening,
    MayRead,
    Message,
    Missed,
    Permit,
    Ping,
    Pong,
    ReadOne,
    Start,
    Stop,
    Up,
    Wait,
)
from alcor_migrate.gateway.server import Gateway
from alcor_migrate.gateway.stats import UNHEARD
from alcor_migrate.gateway.switch import Caller
from alcor_migrate.journal import NOT_SENT, Intent, JournalStats, Outcome
from alcor_migrate.pauses import spare_what_stays

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_migrate.gateway.hold import Turn

log = structlog.get_logger(__name__)

_PR_SET_PDEATHSIG = 1  # prctl(2)
_CALLERS = 4096
_CALLER_SECONDS = 60.0
_GRACE = 0.25
"""Seconds beyond `reads_patience` in which the master, who lets reads wait, must say something."""


class RemoteJournal:
    """The journal as a worker sees it: each call is a question to the master, who owns the one writer."""

    def __init__(self, channel: Channel) -> None:
        self.stats = JournalStats()
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[int], type[Message]]] = {}

    async def intent(self, intent: Intent) -> int:
        """As `Journal.intent`. Who stops waiting has not sent the write, and the journal is told so."""
        return await self._ask(lambda number: KeepIntent(number, intent))

    async def outcome(self, seq: int, outcome: Outcome) -> int:
        """As `Journal.outcome`."""
        return await self._ask(lambda number: KeepOutcome(number, seq, outcome))

    async def read_that_wrote(self, intent: Intent, outcome: Outcome) -> int:
        """As `Journal.read_that_wrote`."""
        return await self._ask(lambda number: KeepRead(number, intent, outcome))

    async def mark(self, kind: str, token: str) -> int:
        """Workers have nothing to mark: the master does it when it hears that a write was missed."""
        raise JournalError(f"a worker was asked to mark {kind} {token}", "Report this as a defect of the gateway.")

    async def _ask(self, question: Callable[[int], Message]) -> int:
        number = next(self._numbers)
        future: asyncio.Future[int] = self._loop.create_future()
        message = question(number)
        self._waiting[number] = future, type(message)
        self._channel.send(message)
        return await future

    def kept(self, answer: Kept) -> None:
        """The master has answered."""
        future, question = self._waiting.pop(answer.number, (None, Message))
        if future is None:
            return
        if not future.done():
            if answer.error:
                future.set_exception(JournalError(answer.error))
            else:
                future.set_result(answer.value)
        elif question is KeepIntent and not answer.error:
            nothing = Outcome(status=0, finished_at=time.time(), how=NOT_SENT)
            self._channel.send(KeepOutcome(0, answer.value, nothing))


class WorkerGateway(Gateway):
    """A gateway whose route is its master's, and that lets writes through only while it hears from the master."""

    shares_port = True

    def __init__(self, start: Start, channel: Channel, journal: RemoteJournal, identify: Any) -> None:
        super().__init__(start.settings, journal, identify, start.follow.active)
        self._channel = channel
        self._lease_ends = time.monotonic() + start.settings.lease
        self._numbers = itertools.count(1)
        self._turns: dict[Turn, int] = {}
        """Numbers of those that wait for their turn or have it."""
        self._waiting: dict[int, Turn] = {}
        self._reading: list[Callable[[str], None]] = []
        """Reads that came just now, and ask together whether they may go ahead."""
        self._asked: dict[int, list[Callable[[str], None]]] = {}
        self._unheard = False
        """Whether the master had said nothing of reads in time, and has not been heard since."""
        self.follow(start.follow)

    @property
    def fenced(self) -> bool:
        """Whether the lease is over: the route that is known here may not be the route any more."""
        return time.monotonic() > self._lease_ends

    def renew(self, at: float) -> None:
        """The master lived at this time; a message that waited here for long renews nothing."""
        self._lease_ends = max(self._lease_ends, at + self.settings.lease)
        self._unheard = False

    def follow(self, to: Follow) -> None:
        """The master has switched."""
        self.route, self._active, self.epoch, self.queueing = to.route, to.active, to.epoch, to.queueing
        self.reads, self.ahead = to.reads, to.reads != to.active.side
        self.stats.epoch = to.epoch

    def enter_room(self, turn: Turn) -> None:
        """The room is the master's, so that there is one order for all workers."""
        number = self._turns[turn] = next(self._numbers)
        self._waiting[number] = turn
        self._channel.send(Wait(number, turn.size, turn.token, turn.arrived))

    def leave_room(self, turn: Turn) -> None:
        """The next may go."""
        number = self._turns.pop(turn)
        self._waiting.pop(number, None)
        self._channel.send(Left(number))

    def go(self, number: int) -> None:
        """The master says whose turn it is."""
        turn = self._waiting.pop(number, None)
        if turn is not None:
            turn.go()

    def let_go_when_fenced(self) -> None:
        """Nobody waits for a master that is not there: what is held is answered 503 by its exchange."""
        if self.fenced and self._waiting:
            log.error("lease_is_over", held=len(self._waiting))
            for number in list(self._waiting):
                self.go(number)

    def sampled(self, target: bytes, token: str) -> None:
        """The master is told."""
        self._channel.send(ReadOne(target, token))

    def may_read(self, then: Callable[[str], None]) -> None:
        """The master is asked, by all reads of this turn of the event loop together.

        It is asked after the read came, so its answer counts every write that was acknowledged before, by whomever.
        """
        if self._unheard or self.fenced:
            then(UNHEARD)
            return
        if not self._reading:
            self.loop.call_soon(self._ask)
        self._reading.append(then)

    def _ask(self) -> None:
        number = next(self._numbers)
        self._asked[number], self._reading = self._reading, []
        self._channel.send(MayRead(number, len(self._asked[number])))
        self._channel.flush()
        self.loop.call_later(self.settings.reads_patience + _GRACE, self._give_up, number)

    def _give_up(self, number: int) -> None:
        if number in self._asked:
            self._unheard = True
            self.permitted(number, UNHEARD)

    def permitted(self, number: int, why: str) -> None:
        """The master has answered, or never will."""
        for then in self._asked.pop(number, ()):
            then(why)

    def doubt(self) -> None:
        """The master hears of it before the client gets its answer."""
        self._channel.send(Doubt())
        self._channel.flush()

    def missed(self, error: JournalError) -> None:
        """A write goes on without a record, and the master hears of it first."""
        self.stats.not_captured_total += 1
        self.incomplete = True
        self._channel.send(Missed(str(error)))
        self._channel.flush()


class Worker:
    """The process: a channel, and a gateway once the master says so."""

    def __init__(self) -> None:
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._gateway: WorkerGateway | None = None
        self._questions: dict[int, asyncio.Future[Caller | None]] = {}
        self._callers: dict[bytes, tuple[float, Caller]] = {}
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, wire: socket.socket) -> None:
        """From Up to Stop."""
        loop = asyncio.get_running_loop()
        self._channel = Channel(FromMaster, self._received, self._lost)
        self._journal = RemoteJournal(self._channel)
        await loop.create_unix_connection(lambda: self._channel, sock=wire)
        self._channel.send(Up())
        await self._over
        self._channel.flush()

    def _lost(self) -> None:
        # The master is dead. Nothing that is under way can be recorded or answered any more.
        os._exit(1)

    def _received(self, message: Any) -> None:
        match message:
            case Kept():
                self._journal.kept(message)
            case Known(number, project_id, user_id):
                future = self._questions.pop(number, None)
                if future is not None and not future.done():
                    future.set_result(Caller(project_id, user_id))
            case Start():
                identify = self._identify if message.identifies else None
                self._gateway = WorkerGateway(message, self._channel, self._journal, identify)
                self._begin(self._start(self._gateway))
            case _ if self._gateway is not None:
                self._told(self._gateway, message)
            case Stop():
                self._over.set_result(None)

    def _told(self, gateway: WorkerGateway, message: Any) -> None:
        match message:
            case Follow(epoch=epoch):
                gateway.follow(message)
                self._channel.send(Following(epoch))
            case Ping(at):
                gateway.renew(at)
                self._channel.send(Pong(gateway.stats, gateway.in_flight_writes))
            case Go(number):
                gateway.go(number)
            case Permit(number, why):
                gateway.permitted(number, why)
            case Drain(number, patience):
                self._begin(self._drain(gateway, number, patience))
            case Healed():
                gateway.incomplete = False
            case Stop():
                self._begin(self._stop(gateway))

    def _begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, gateway: WorkerGateway) -> None:
        try:
            await gateway.start()
        except MigrationError as error:
            self._channel.send(Listening(error.message))
            return
        self._channel.send(Listening())
        while True:
            await asyncio.sleep(gateway.settings.heartbeat / 2)
            gateway.let_go_when_fenced()

    async def _drain(self, gateway: WorkerGateway, number: int, patience: float) -> None:
        if await gateway.drained(patience):
            self._channel.send(Drained(number))

    async def _stop(self, gateway: WorkerGateway) -> None:
        await gateway.stop()
        self._channel.send(Pong(gateway.stats, gateway.in_flight_writes))
        self._over.set_result(None)

    async def _identify(self, token: str) -> Caller | None:
        """Asks the master, who asks Keystone; what was answered a moment ago is not asked again."""
        digest = hashlib.blake2b(token.encode(), digest_size=16).digest()
        known = self._callers.get(digest)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        number = next(self._numbers)
        future: asyncio.Future[Caller | None] = asyncio.get_running_loop().create_future()
        self._questions[number] = future
        self._channel.send(Identify(number, token))
        caller = await future
        if caller is not None and caller.project_id is not None:
            if len(self._callers) >= _CALLERS:
                self._callers.clear()
            self._callers[digest] = time.monotonic() + _CALLER_SECONDS, caller
        return caller


def die_with(master: int) -> None:
    """The kernel kills this process when its parent ends (prctl(2)), even while it is stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != master:
        sys.exit(1)


def main() -> None:
    """The program."""
    descriptor, master = map(int, sys.argv[1:])
    die_with(master)
    # a terminal or a service manager tells the whole group; the master says Stop when it is time
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

    spare_what_stays()

    async def run() -> None:
        await Worker().run(socket.socket(fileno=descriptor))

    try:
        import uvloop  # noqa: PLC0415  # there is none on some platforms
    except ImportError:
        asyncio.run(run())
    else:
        uvloop.run(run())


if __name__ == "__main__":
    main()

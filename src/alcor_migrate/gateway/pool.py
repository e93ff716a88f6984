"""Several worker processes on one port, and their master.

The master owns the route, the epoch, the hold's time limit and the one journal; workers (`worker.py`) own the
connections. A switch is done when every worker has confirmed its epoch or is dead: one that does not confirm in
time is killed before anybody acts on the switch, and replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from alcor_migrate.errors import GatewayError, JournalError
from alcor_migrate.gateway.channel import (
    Channel,
    Doubt,
    Drain,
    Drained,
    Follow,
    Following,
    FromWorker,
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
from alcor_migrate.gateway.hold import Turn
from alcor_migrate.gateway.metrics import close_server, serve_metrics
from alcor_migrate.gateway.routes import Route
from alcor_migrate.gateway.server import Gateway
from alcor_migrate.gateway.settings import (
    GatewaySettings,
    Policy,
    client_context,
    listen_address,
    server_context,
)
from alcor_migrate.gateway.stats import Stats, added
from alcor_migrate.gateway.switch import Caller, Switch
from alcor_migrate.journal import INCOMPLETE, Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from alcor_migrate.gateway.face import ApiGateway, Recorder

log = structlog.get_logger(__name__)

_START_PATIENCE = 30.0
_RESTART_PAUSE = 0.5
_CONFIRM_WAITS = 4
_LOST = "the gateway's worker ended"


class Member:
    """A worker as its master sees it."""

    def __init__(self, pool: GatewayPool, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.channel = Channel(FromWorker, lambda message: pool.heard(self, message), self._lost)
        self.read = asyncio.Event()
        """Whether everything that it ever said was read."""
        self.gone = asyncio.Event()
        """Whether it is dead and everything that it ever said was read."""
        self.joined = False
        """Whether it has a route, and so has to confirm switches."""
        self.listening = False
        self.refusal = ""
        self.epoch = -1
        self.stats = Stats()
        self.in_flight = 0
        self.unanswered = 0
        """Heartbeats since it was heard; not seconds, because the master may have been the one that stood still."""
        self.drained: set[int] = set()
        self.open: set[int] = set()
        """Intents without an outcome."""
        self.turns: dict[int, Turn] = {}
        """Its writes in the room."""

    def _lost(self) -> None:
        self.read.set()


class GatewayPool(Switch):
    """A gateway of `settings.workers` processes. Use it like Gateway, from one event loop."""

    def __init__(
        self,
        settings: GatewaySettings,
        journal: Recorder,
        identify: Callable[[str], Awaitable[Caller | None]] | None = None,
        route: Route = Route.PASS,
    ) -> None:
        super().__init__(settings, route, identify)
        self.journal = journal
        self.restarts = 0
        """Workers that had to be replaced."""
        self._members: set[Member] = set()
        self._past = Stats()
        self._orphans: set[int] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._reading: list[tuple[Member, MayRead]] = []
        """Reads of workers that ask whether they may go ahead."""
        self._numbers = itertools.count(1)
        self._started = False
        self._stopping = asyncio.Event()
        self._place: socket.socket | None = None
        self._metrics: asyncio.Server | None = None
        self._address = ""

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the workers. Raises GatewayError when the address cannot be had, ConfigError when it is none."""
        settings = self.settings
        self._loop = asyncio.get_running_loop()
        server_context(settings)
        if any(address.tls for addresses in settings.sides.values() for address in addresses):
            client_context(settings)
        self._place = _place(settings.listen)
        host, port = self._place.getsockname()[:2]
        self._address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._theirs = msgspec.structs.replace(settings, listen=self._address, metrics_listen=None)
        self._keeper = self.spawn(self._keep_alive())
        try:
            if settings.metrics_listen is not None:
                self._metrics = await serve_metrics(settings.metrics_listen, self, self.journal.stats)
            for _ in range(settings.workers):
                await self._employ()
            async with asyncio.timeout(_START_PATIENCE):
                await self._until(lambda: self._all_listen() or bool(self._refusal()))
        except GatewayError:
            await self.stop()
            raise
        except (TimeoutError, OSError) as error:
            await self.stop()
            raise GatewayError("the gateway's workers cannot be started") from error
        if refusal := self._refusal():
            await self.stop()
            raise GatewayError(refusal)
        self._started = True
        log.info("gateway_pool_listens", address=self._address, workers=settings.workers)

    def _all_listen(self) -> bool:
        return len(self._members) == self.settings.workers and all(m.listening for m in self._members)

    def _refusal(self) -> str:
        return next((m.refusal for m in self._members if m.refusal), "")

    @property
    def address(self) -> str:
        """Where the workers listen, with the port that was found when 0 was asked for."""
        return self._address

    @property
    def url(self) -> str:
        """The address as a URL."""
        return ("https" if self.settings.certificate else "http") + f"://{self._address}"

    @property
    def workers(self) -> list[int]:
        """Process ids of those that listen."""
        return [m.process.pid for m in self._members if m.listening]

    async def stop(self) -> None:
        """Finish what is under way within `stop_grace`, end the workers, settle what they left."""
        if self._place is None:
            return
        place, self._place = self._place, None
        self._end_holding()
        self._stopping.set()
        for member in self._members:
            member.channel.send(Stop())
        try:
            async with asyncio.timeout(self.settings.stop_grace + 2.0):
                await self._until(lambda: not self._members)
        except TimeoutError:
            await asyncio.gather(*(self._fence(m, "did not stop") for m in list(self._members)))
        self._keeper.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.stop_grace):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        place.close()
        await close_server(self._metrics)
        log.info("gateway_pool_stopped", captured=self.stats.captured_total, restarts=self.restarts)

    async def _employ(self) -> None:
        """Start one worker process."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "alcor_migrate.gateway.worker",
                    str(theirs.fileno()),
                    str(os.getpid()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                )
            except OSError:
                ours.close()
                raise
        member = Member(self, process)
        self._members.add(member)
        await self._loop.create_unix_connection(lambda: member.channel, sock=ours)
        self.spawn(self._watch(member))

    async def _watch(self, member: Member) -> None:
        """What is to be done when a worker has ended."""
        code = await member.process.wait()
        # All that it said before it died is still in the channel, and counts.
        await member.read.wait()
        member.gone.set()
        self._members.discard(member)
        self._past = added(self._past, member.stats)
        for server in self._past.servers.values():
            server.up = server.processes = 0
        for turn in member.turns.values():
            self.leave_room(turn)
        if member.open:
            self.spawn(self._settle(set(member.open)))
        self._stir()
        if self._stopping.is_set():
            return
        log.error("gateway_worker_ended", pid=member.process.pid, code=code, unsettled=len(member.open))
        self.restarts += 1
        if not member.listening:
            await self._pause(_RESTART_PAUSE)
        while not self._stopping.is_set():
            try:
                await self._employ()
            except OSError as error:
                log.error("gateway_worker_not_started", error=str(error))  # noqa: TRY400  (known)
                await self._pause(_RESTART_PAUSE)
            else:
                return

    async def _settle(self, seqs: set[int]) -> None:
        """Give writes whose worker died a place in the order, when the side has had time to end them.

        Until then they count as in flight: nobody knows whether the side is still at work on them.
        """
        self._orphans |= seqs
        await self._pause(self.settings.orphan_patience)
        for seq in sorted(seqs):
            try:
                await self.journal.outcome(seq, Outcome(status=0, finished_at=time.time(), how=_LOST))
            except JournalError as error:
                # the intent stays without outcome, and the next start settles it
                log.error("write_not_settled", seq=seq, error=str(error))  # noqa: TRY400  (known)
            self._own.unknown_total += 1
            self._orphans.discard(seq)
        self._stir()

    async def _keep_alive(self) -> None:
        """Renew the leases, and fence who does not answer."""
        settings = self.settings
        while True:
            for member in list(self._members):
                if not member.joined:
                    continue
                member.channel.send(Ping(time.monotonic()))
                member.unanswered += 1
                if member.unanswered * settings.heartbeat > settings.lease + settings.heartbeat:
                    self.spawn(self._fence(member, "did not answer"))
            await asyncio.sleep(settings.heartbeat)

    async def _fence(self, member: Member, why: str) -> None:
        """Make sure that this worker never does anything again. A stopped process can be killed too."""
        log.warning("gateway_worker_fenced", pid=member.process.pid, why=why, epoch=self.epoch)
        with contextlib.suppress(ProcessLookupError):
            member.process.kill()
        await member.gone.wait()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter

    def _stir(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # -- the route -----------------------------------------------------------------------------------------------

    @property
    def in_flight_writes(self) -> int:
        """Writes of all workers in flight, as of their last word, and those that dead workers left."""
        return sum(m.in_flight for m in self._members) + len(self._orphans)

    @property
    def stats(self) -> Stats:
        """All workers' figures, as of their last word."""
        total = added(self._past, self._own)
        for member in self._members:
            total = added(total, member.stats)
        total.epoch = self.epoch
        return total

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109  (the answer says whether it passed)
        """As `Gateway.drained`, for all workers and for what dead ones left."""
        number = next(self._numbers)
        asked = [m for m in self._members if m.joined]
        for member in asked:
            member.channel.send(Drain(number, timeout))
        try:
            async with asyncio.timeout(timeout):
                await self._until(
                    lambda: not self._orphans and all(number in m.drained or m.gone.is_set() for m in asked)
                )
        except TimeoutError:
            return False
        finally:
            for member in asked:
                member.drained.discard(number)
        return True

    def mark_complete(self) -> None:
        """As `Gateway.mark_complete`."""
        self.incomplete = False
        for member in self._members:
            member.channel.send(Healed())

    def _spread(self) -> None:
        for member in self._members:
            if member.joined:
                member.channel.send(self._follow())

    def _follow(self) -> Follow:
        return Follow(self.route, self._active, self.reads, self.epoch, self.queueing)

    async def _followed(self, epoch: int) -> None:
        """Wait for every worker, and see to it even when nobody waits for us any more."""
        await asyncio.shield(self.spawn(self._confirm(epoch)))

    async def _confirm(self, epoch: int) -> None:
        def late() -> list[Member]:
            return [m for m in self._members if m.joined and m.epoch < epoch]

        # In several waits: one in which the whole machine stood still is no fault of theirs.
        for _ in range(_CONFIRM_WAITS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.settings.confirm_timeout / _CONFIRM_WAITS):
                    await self._until(lambda: not late())
                return
        await asyncio.gather(*(self._fence(m, "did not confirm the switch") for m in late()))

    # -- what workers say ----------------------------------------------------------------------------------------

    def heard(self, member: Member, message: Any) -> None:
        """A worker has said something."""
        member.unanswered = 0
        match message:
            case KeepIntent(number, intent):
                self.spawn(self._keep_intent(member, number, self.journal.intent(intent)))
            case KeepOutcome(number, seq, outcome):
                member.open.discard(seq)
                self.spawn(self._keep(member, number, self.journal.outcome(seq, outcome)))
            case KeepRead(number, intent, outcome):
                self.spawn(self._keep(member, number, self.journal.read_that_wrote(intent, outcome)))
            case Identify(number, token):
                self.spawn(self._tell(member, number, token))
            case Missed(error):
                self._missed(error)
            case Wait(number, size, token, arrived):
                send = functools.partial(member.channel.send, Go(number))
                turn = member.turns[number] = Turn(send, size, token, arrived)
                self.enter_room(turn)
            case Left(number):
                self.leave_room(member.turns.pop(number))
            case ReadOne() | MayRead() | Doubt():
                self._of_reads(member, message)
            case Pong(stats, in_flight):
                member.stats, member.in_flight = stats, in_flight
            case _:
                self._moved(member, message)

    def _of_reads(self, member: Member, message: Any) -> None:
        match message:
            case ReadOne(target, token):
                self.sampled(target, token)
            case MayRead():
                if not self._reading:
                    # Not from here: what other workers said before this one asked may still lie unread.
                    self._loop.call_soon(self._permit)
                self._reading.append((member, message))
            case Doubt():
                self.doubt()

    def _moved(self, member: Member, message: Any) -> None:
        """A worker has come further; somebody may wait for that."""
        match message:
            case Up():
                # From here on it has to confirm every switch, also those that come while it begins to listen.
                member.joined = True
                member.epoch = self.epoch
                member.channel.send(Start(self._theirs, self._follow(), self._identify is not None))
                if self._stopping.is_set():
                    member.channel.send(Stop())
            case Listening(error):
                member.listening = not error
                member.refusal = error
                if error and self._started:
                    log.error("gateway_worker_refused", error=error)
                    member.channel.send(Stop())
            case Following(epoch):
                member.epoch = epoch
            case Drained(number):
                member.drained.add(number)
        self._stir()

    async def _keep_intent(self, member: Member, number: int, work: Coroutine[Any, Any, int]) -> None:
        try:
            seq = await work
        except JournalError as error:
            if self.settings.policy is Policy.FAIL_OPEN:
                self._missed(str(error))
            member.channel.send(Kept(number, 0, error.message))
            return
        if member.gone.is_set():
            await self._settle({seq})
            return
        member.open.add(seq)
        member.channel.send(Kept(number, seq))

    async def _keep(self, member: Member, number: int, work: Coroutine[Any, Any, int]) -> None:
        try:
            position = await work
        except JournalError as error:
            member.channel.send(Kept(number, 0, error.message))
        else:
            member.channel.send(Kept(number, position))

    async def _tell(self, member: Member, number: int, token: str) -> None:
        caller = await self.caller(token) or Caller()
        member.channel.send(Known(number, caller.project_id, caller.user_id))

    def _permit(self) -> None:
        reading, self._reading = self._reading, []

        def tell(why: str) -> None:
            for member, asked in reading:
                member.channel.send(Permit(asked.number, why))

        self.permit(tell, sum(asked.many for _, asked in reading))

    def _missed(self, error: str) -> None:
        self.misses += 1
        if not self.incomplete:
            log.error("journal_incomplete", error=error)
            self.incomplete = True
            self.spawn(self._mark_incomplete())

    async def _mark_incomplete(self) -> None:
        with contextlib.suppress(JournalError):
            await self.journal.mark(INCOMPLETE, str(self.epoch))


def _place(listen: str) -> socket.socket:
    """The address, kept for our workers: bound, and never listened on. Raises GatewayError."""
    address = listen_address(listen)
    try:
        family, _, _, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # sharing would also be granted beside another gateway of the same user, so first we ask without
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
        place = socket.socket(family)
        try:
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            place.bind(where)
        except OSError:
            place.close()
            raise
    except OSError as error:
        msg = f"the gateway cannot listen on {listen}: {error.strerror or error}"
        raise GatewayError(msg, "Free the address, or choose another one as `listen`.") from error
    return place


def open_gateway(
    settings: GatewaySettings,
    journal: Recorder,
    identify: Callable[[str], Awaitable[Caller | None]] | None = None,
    route: Route = Route.PASS,
) -> ApiGateway:
    """The gateway that the settings ask for: in this process, or in several."""
    if settings.workers > 1:
        return GatewayPool(settings, journal, identify, route)
    return Gateway(settings, journal, identify, route)

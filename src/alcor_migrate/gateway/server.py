"""The gateway: listens, knows the route, counts what is in flight."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from alcor_migrate import compiled
from alcor_migrate.errors import GatewayError, JournalError, MigrationError
from alcor_migrate.gateway.ahead import read_ahead
from alcor_migrate.gateway.balancer import Balancer
from alcor_migrate.gateway.clock import Clock
from alcor_migrate.gateway.metrics import close_server, serve_metrics
from alcor_migrate.gateway.proxy import ClientConnection
from alcor_migrate.gateway.routes import Route
from alcor_migrate.gateway.settings import (
    GatewaySettings,
    client_context,
    listen_address,
    server_context,
)
from alcor_migrate.gateway.switch import Caller, Switch
from alcor_migrate.journal import INCOMPLETE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from alcor_migrate.gateway.exchange import Exchange
    from alcor_migrate.gateway.face import Recorder
    from alcor_migrate.gateway.http1 import RequestHead
    from alcor_migrate.gateway.routes import Kind

log = structlog.get_logger(__name__)


class Ticket(NamedTuple):
    """A write in flight, and the route it goes by, whatever the route becomes meanwhile."""

    epoch: int
    route: Route


class Gateway(Switch):
    """The HTTP reverse proxy in the API path. Use it from one event loop.

    A switch of the route takes effect between two requests, for all connections at once; what began before it ends
    where it began, and `drained` says when the last such write has its outcome recorded.

    `identify` turns a token into its Caller; it is asked beside the forwarding and never waited for. `route` holds
    from the first request on.
    """

    shares_port = False
    """Whether other processes listen on the same address."""

    def __init__(
        self,
        settings: GatewaySettings,
        journal: Recorder,
        identify: Callable[[str], Awaitable[Caller | None]] | None = None,
        route: Route = Route.PASS,
    ) -> None:
        super().__init__(settings, route, identify)
        self.journal = journal
        self.stats = self._own
        self._in_flight: dict[int, int] = {}
        self._doubtful: set[asyncio.Task[None]] = set()
        """Writes whose side is given time to end them."""
        self._drain_waiters: list[asyncio.Future[None]] = []
        self._balancers: dict[str, Balancer] = {}
        self._clients: set[ClientConnection] = set()
        self._all_left = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._metrics: asyncio.Server | None = None
        self._ports: list[tuple[str, int]] = []

    # -- life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listens. Raises GatewayError when the address cannot be had, ConfigError when it is none."""
        settings = self.settings
        address = listen_address(settings.listen)
        self.loop = asyncio.get_running_loop()
        self.clock = Clock(settings, self.loop.time)
        for side, addresses in settings.sides.items():
            tls = client_context(settings) if any(address.tls for address in addresses) else None
            balancer = self._balancers[side] = Balancer(side, addresses, settings, self.clock, tls)
            self.stats.servers |= balancer.stats
        try:
            self._server = await self.loop.create_server(
                lambda: ClientConnection(self),
                address.host,
                address.port,
                ssl=server_context(settings),
                backlog=1024,
                reuse_address=True,
                reuse_port=self.shares_port or None,
            )
        except OSError as error:
            msg = f"the gateway cannot listen on {settings.listen}: {error.strerror or error}"
            raise GatewayError(msg, "Free the address, or choose another one as `listen`.") from error
        self._ports = [socket.getsockname()[:2] for socket in self._server.sockets]
        self._sweep()
        for balancer in self._balancers.values():
            balancer.watch()
        if settings.metrics_listen is not None:
            try:
                self._metrics = await serve_metrics(settings.metrics_listen, self, self.journal.stats)
            except MigrationError:
                await self.stop()
                raise
        sides = {"source": settings.source, "target": settings.target}
        log.info("gateway_listens", address=self.address, **sides, compiled=compiled.in_use())

    @property
    def address(self) -> str:
        """Where it listens, with the port that was found when 0 was asked for."""
        host, port = self._ports[0]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def url(self) -> str:
        """The address as a URL."""
        return ("https" if self.settings.certificate else "http") + f"://{self.address}"

    async def stop(self) -> None:
        """Takes no more requests, finishes those under way within `stop_grace`, then closes. Safe to call twice.

        A hold ends towards the old side. One that is claimed does not, because its writes may belong to the new
        one by now: if nobody releases it within `stop_grace`, they are cut off unanswered and go nowhere.
        """
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._doubtful:
            task.cancel()
        self._end_holding()
        for client in list(self._clients):
            client.retire()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.stop_grace):
                while self._tasks:
                    await asyncio.wait(self._tasks)
                if self._clients:
                    self._all_left.clear()
                    await self._all_left.wait()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in list(self._clients):
            client.abort()
        for balancer in self._balancers.values():
            await balancer.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await server.wait_closed()
        await close_server(self._metrics)
        log.info("gateway_stopped", captured=self.stats.captured_total, unknown=self.stats.unknown_total)

    def _sweep(self) -> None:
        """Looks at all deadlines; much cheaper than a timer for each."""
        now = self.loop.time()
        self.clock.renew(now)
        for client in [c for c in self._clients if c.deadline < now]:
            client.expire()
        for balancer in self._balancers.values():
            balancer.sweep(now)
        self._sweeper = self.loop.call_later(self.clock.interval, self._sweep)

    # -- the route -------------------------------------------------------------------------------------------

    @property
    def fenced(self) -> bool:
        """Whether no write may be let through, because the route is not known for sure. Never in one process."""
        return False

    @property
    def in_flight_writes(self) -> int:
        """Writes that were let through and whose outcome is not recorded yet."""
        return sum(self._in_flight.values())

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109  (the answer says whether it passed)
        """Waits until no write of an earlier epoch is in flight; False when the time has passed before that."""
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._drain_waiters.append(waiter)
        self._wake_drained()
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            return False
        finally:
            if waiter in self._drain_waiters:
                self._drain_waiters.remove(waiter)
        return True

    def mark_complete(self) -> None:
        """A full sweep has found everything that had passed without a record."""
        self.incomplete = False

    # -- for the connections ---------------------------------------------------------------------------------

    @property
    def balancer(self) -> Balancer:
        """The servers of the side that is active now."""
        # every read asks: this is the side of a route without the calls of `Route.side`
        return self._balancers["target" if self._active is Route.TARGET else "source"]

    @property
    def balancers(self) -> Iterable[Balancer]:
        """The servers of every side."""
        return self._balancers.values()

    @property
    def balancer_of_reads(self) -> Balancer:
        """The servers of the side that serves reads."""
        return self._balancers[self.reads]

    def read_ahead(self, client: ClientConnection, request: RequestHead, kind: Kind) -> Exchange:
        """How a read is served while reads go to the passive side."""
        return read_ahead(self, client, request, kind)

    def may_read(self, then: Callable[[str], None]) -> None:
        """Tells a read, at once or later, that it may go to the passive side (an empty text), or why not."""
        self.permit(then, 1)

    def balancer_of(self, route: Route) -> Balancer:
        """The servers of a route's side."""
        return self._balancers[route.side]

    def enter(self) -> Ticket:
        """A write is let through."""
        ticket = Ticket(self.epoch, self._active)
        self._in_flight[self.epoch] = self._in_flight.get(self.epoch, 0) + 1
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Its outcome is recorded (or none is needed)."""
        left = self._in_flight[ticket.epoch] - 1
        if left:
            self._in_flight[ticket.epoch] = left
            return
        del self._in_flight[ticket.epoch]
        self._wake_drained()

    def leave_later(self, ticket: Ticket, record: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Its answer was lost, and its side may still be at work on it: until that had time to end, it is in flight.

        Only then its outcome is recorded. When we are stopped before, the intent stays without one, and the next
        start gives it that time.
        """
        task = self.spawn(self._leave_later(ticket, record))
        self._doubtful.add(task)
        task.add_done_callback(self._doubtful.discard)

    async def _leave_later(self, ticket: Ticket, record: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await asyncio.sleep(self.settings.orphan_patience)
            await record()
        finally:
            self.leave(ticket)

    def _wake_drained(self) -> None:
        if self._drain_waiters and not any(epoch < self.epoch for epoch in self._in_flight):
            for waiter in self._drain_waiters:
                if not waiter.done():
                    waiter.set_result(None)

    def missed(self, error: JournalError) -> None:
        """A write was not recorded."""
        self.stats.not_captured_total += 1
        self.misses += 1
        if not self.incomplete:
            log.error("journal_incomplete", error=str(error))
            self.incomplete = True
            self.spawn(self._mark_incomplete())

    async def _mark_incomplete(self) -> None:
        """Leaves a trace in the order of events, as soon as the journal can be written again."""
        with contextlib.suppress(JournalError):
            await self.journal.mark(INCOMPLETE, str(self.epoch))

    def identified(self, token: str) -> asyncio.Task[Caller | None] | None:
        """Begins to find out whose token it is."""
        return self.spawn(self.caller(token)) if self._identify is not None else None

    def client_came(self, client: ClientConnection) -> None:
        """A connection was accepted."""
        self._clients.add(client)
        self.stats.connections += 1

    def client_left(self, client: ClientConnection) -> None:
        """A connection is closed."""
        self._clients.discard(client)
        if not self._clients:
            self._all_left.set()

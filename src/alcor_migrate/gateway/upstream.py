"""Connections to one API server: a pool that is kept alive, and the reading of answers.

Decides nothing about routes and repeats nothing by itself: who sent a request is told what became of it.
"""

from __future__ import annotations

import asyncio
import enum
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, cast

import structlog

from alcor_migrate.gateway import http1
from alcor_migrate.gateway.clock import NEVER
from alcor_migrate.gateway.http1 import BadMessage, ChunkedBody, FixedBody, OpenBody, ResponseHead
from alcor_migrate.gateway.stats import ServerStats

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from alcor_migrate.gateway.clock import Clock
    from alcor_migrate.gateway.settings import Address, GatewaySettings

log = structlog.get_logger(__name__)

_MAX_ANSWER_HEAD = 256 * 1024


class Lost(enum.Enum):
    """Why there is no (whole) answer."""

    REFUSED = "refused"
    """There was no connection, so nothing was sent."""
    BROKEN = "connection lost"
    TIMEOUT = "timeout"
    MALFORMED = "malformed answer"


class Sender(ABC):
    """Who asked. Everything is called from the event loop; nothing after `answer_end` or `answer_lost`."""

    __slots__ = ()

    @property
    @abstractmethod
    def repeatable(self) -> bool:
        """Whether another server may be asked instead: a read without a body, with no part of its answer here."""

    @abstractmethod
    def connected(self, connection: UpstreamConnection) -> None:
        """A connection is yours: send on it, or release it."""

    @abstractmethod
    def informed(self, head: ResponseHead) -> None:
        """An interim answer (1xx)."""

    @abstractmethod
    def answered(self, head: ResponseHead, payload: bytes, *, complete: bool) -> None:
        """The head of the answer and what came with it. When it is complete nothing more follows.

        Of an answer that came whole, the payload is left in its head.
        """

    @abstractmethod
    def answer_data(self, payload: bytes) -> None:
        """More of the body."""

    @abstractmethod
    def answer_end(self, trailers: bytes) -> None:
        """The answer is complete."""

    @abstractmethod
    def answer_lost(self, lost: Lost) -> None:
        """There will be no more of it. After REFUSED nothing was sent."""

    @abstractmethod
    def upstream_full(self) -> None:
        """Send no more of the request's body for now."""

    @abstractmethod
    def upstream_drained(self) -> None:
        """Go on sending."""


class UpstreamConnection(asyncio.Protocol):
    """One connection; serves one request at a time. Its callbacks are those of asyncio.Protocol."""

    __slots__ = (
        "_body",
        "_buffer",
        "_clock",
        "_head",
        "_scanned",
        "_sender",
        "_to_head",
        "_transport",
        "deadline",
        "idle_since",
        "request_complete",
        "server",
        "used",
    )

    def __init__(self, server: Upstream) -> None:
        self.server = server
        self._clock = server.clock
        self._transport: asyncio.Transport | None = None
        self._sender: Sender | None = None
        self._buffer = b""
        self._scanned = 0
        self._head: ResponseHead | None = None
        self._body: FixedBody | ChunkedBody | OpenBody | None = None
        self._to_head = False
        self.request_complete = True
        self.used = False
        """Whether it has carried an answer before, so that its end may be the other side's idle limit."""
        self.idle_since = 0.0
        self.deadline = NEVER

    # -- for the sender --------------------------------------------------------------------------------------

    def send(self, sender: Sender, data: bytes, *, to_head: bool, complete: bool) -> None:
        """Sends a request's head (and body, when complete); the sender hears of the answer."""
        self._sender = sender
        self.server.stats.requests += 1
        self._to_head = to_head
        self.request_complete = complete
        self.deadline = self._clock.answer
        transport = self._transport
        if transport is None or transport.is_closing():
            self._lose(Lost.REFUSED)
        else:
            transport.write(data)

    def send_body(self, data: bytes, *, complete: bool) -> None:
        """Sends more of the request."""
        self.request_complete = complete
        self.deadline = self._clock.answer
        if data and self._transport is not None:
            self._transport.write(data)

    def pause(self, sender: object) -> None:
        """The sender cannot take more of the answer for now.

        Only while it is being served: the last bytes of an answer may fill the client after the connection has
        gone back to the pool, and there it must be ready for the next request.
        """
        if self._sender is sender and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self.deadline = NEVER

    def resume(self, sender: object) -> None:
        """It can again."""
        if self._sender is sender and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.deadline = self._clock.answer

    @property
    def usable(self) -> bool:
        """Whether a request can be sent on it, as far as this end knows."""
        return self._transport is not None and not self._transport.is_closing()

    def move_away(self) -> None:
        """The server does not answer any more: a request that may be asked elsewhere is given back."""
        if self._sender is not None and self._head is None and self._sender.repeatable:
            self._lose(Lost.BROKEN)

    def abandon(self) -> None:
        """The sender is no longer interested; the connection is of no more use."""
        self._sender = None
        self._discard()

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102  (asyncio's)
        self._transport = cast("asyncio.Transport", transport)
        self.server.made(self)

    def data_received(self, data: bytes) -> None:  # noqa: D102  (asyncio's)
        sender = self._sender
        if sender is None:
            # nobody asked for anything: whatever this is, it would be taken for the next answer
            self._discard()
            return
        self.deadline = self._clock.answer
        try:
            body = self._body
            if body is None:
                self._read_head(sender, self._buffer + data if self._buffer else data)
                return
            payload, rest, done = body.feed(data)
        except BadMessage as bad:
            log.warning("upstream_answer_malformed", upstream=self.server.name, reason=bad.reason)
            self._lose(Lost.MALFORMED)
            return
        if done:
            self._complete(reusable=not rest)
            if payload:
                sender.answer_data(payload)
            sender.answer_end(body.trailers)
        elif payload:
            sender.answer_data(payload)

    def _read_head(self, sender: Sender, data: bytes) -> None:
        if not self._to_head and (plain := http1.plain_response_head(data)) is not None:
            head, end = plain
            self._buffer, self._scanned = b"", 0
            if head.whole:
                self._head = head
                self._complete(reusable=True)
                sender.answered(head, b"", complete=True)
            else:
                self._begin(sender, head, data[end:])
            return
        while True:
            end = http1.find_head(data, self._scanned)
            if not end:
                if len(data) > _MAX_ANSWER_HEAD:
                    msg = "the answer's head is too long"
                    raise BadMessage(msg, 502)
                self._buffer, self._scanned = data, len(data)
                return
            head = http1.parse_response_head(data[:end], to_head=self._to_head)
            self._buffer, self._scanned = b"", 0
            data = data[end:]
            if head.status >= 200:  # noqa: PLR2004  (final)
                break
            if head.status == 101:  # noqa: PLR2004  (Switching Protocols was never asked for)
                msg = "the upstream changed the protocol"
                raise BadMessage(msg, 502)
            sender.informed(head)
        self._begin(sender, head, data)

    def _begin(self, sender: Sender, head: ResponseHead, data: bytes) -> None:
        """The head of the final answer is read, and perhaps more."""
        self._head = head
        if head.length is not None:
            size = len(data)
            if size >= head.length:
                self._complete(reusable=size == head.length)
                sender.answered(head, data if size == head.length else data[: head.length], complete=True)
                return
            self._body = FixedBody(head.length - size)
            sender.answered(head, data, complete=False)
            return
        body = self._body = ChunkedBody() if head.chunked else OpenBody()
        payload, rest, done = body.feed(data)
        if done and not body.trailers:
            self._complete(reusable=not rest)
            sender.answered(head, payload, complete=True)
            return
        sender.answered(head, payload, complete=False)
        if done:
            self._complete(reusable=not rest)
            sender.answer_end(body.trailers)

    def eof_received(self) -> bool:  # noqa: D102  (asyncio's)
        # it closes now and must not be used any more; the rest is for connection_lost, which follows
        self.server.forget(self)
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102  (asyncio's)
        self._transport = None
        self.server.gone(self)
        sender = self._sender
        if sender is None:
            return
        if exc is None and isinstance(self._body, OpenBody):
            self._sender = None
            sender.answer_end(b"")
        else:
            self._lose(Lost.BROKEN)

    def pause_writing(self) -> None:  # noqa: D102  (asyncio's)
        if self._sender is not None:
            self._sender.upstream_full()

    def resume_writing(self) -> None:  # noqa: D102  (asyncio's)
        if self._sender is not None:
            self._sender.upstream_drained()

    # -- ends ------------------------------------------------------------------------------------------------

    def _complete(self, *, reusable: bool) -> None:
        """Back to the pool before the sender hears of it, so that its next request finds the connection."""
        head = self._head
        self._sender = None
        self._head = None
        self._body = None
        self.used = True
        if reusable and self.request_complete and head is not None and head.keep_alive:
            self.deadline = NEVER
            self.server.release(self)
        else:
            self._discard()

    def _lose(self, lost: Lost) -> None:
        sender, self._sender = self._sender, None
        self._discard()
        if sender is not None:
            if lost is not Lost.BROKEN or not self.used or self._head is not None:
                # the end of a connection that had been idle says nothing about the server
                self.server.failed(lost)
            sender.answer_lost(lost)

    def _discard(self) -> None:
        self.deadline = NEVER
        self.server.forget(self)
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """The deadline has passed."""
        self._lose(Lost.TIMEOUT)

    def close(self) -> None:
        """Ends an idle connection."""
        self.server.forget(self)
        if self._transport is not None:
            self._transport.close()


class Attempt(NamedTuple):
    """Somebody who wants a connection."""

    sender: Sender
    max_idle: float | None
    """How long (s) the connection may have been idle; None: as long as it is kept, 0: a new one."""
    tried: tuple[Upstream, ...]
    """Servers that need not be asked again."""


class Upstream:
    """One API server and its connections.

    `refused` is told of attempts that found no connection, so that they can go on elsewhere; `failed` of every
    request or connection that failed, and why.
    """

    def __init__(
        self,
        address: Address,
        settings: GatewaySettings,
        clock: Clock,
        tls: ssl.SSLContext | None,
        *,
        refused: Callable[[Upstream, Attempt], None],
        failed: Callable[[Upstream, Lost], None],
    ) -> None:
        self.address = address
        self.clock = clock
        self.name = address.authority
        self.settings = settings
        self.stats = ServerStats()
        self.loop = asyncio.get_running_loop()
        self.tls = tls if address.tls else None
        self._refused = refused
        self._failed = failed
        self._idle: list[UpstreamConnection] = []
        self._connections: set[UpstreamConnection] = set()
        self._connecting: set[asyncio.Task[None]] = set()
        self._waiting: dict[Sender, Attempt] = {}
        self._empty = asyncio.Event()

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._connections)

    @property
    def busy(self) -> int:
        """How many requests it has, or will have as soon as it can be reached."""
        return len(self._connections) - len(self._idle) + len(self._connecting) + len(self._waiting)

    def acquire(self, sender: Sender, *, max_idle: float | None = None, tried: tuple[Upstream, ...] = ()) -> None:
        """Gives the sender a connection, at once where one is idle for less than `max_idle` (0: a new one)."""
        now = self.clock.now if max_idle is None else self.loop.time()
        youngest = now - (self.settings.upstream_idle if max_idle is None else max_idle)
        # the last one released is the youngest, so when it is too old all are
        while self._idle and self._idle[-1].idle_since > youngest:
            connection = self._idle.pop()
            if connection.usable:
                sender.connected(connection)
                return
        attempt = Attempt(sender, max_idle, tried)
        if len(self._connections) + len(self._connecting) < self.settings.max_upstream_connections:
            self._connect(attempt)
        elif self._idle:
            # old ones make room
            self._idle.pop(0).close()
            self._connect(attempt)
        else:
            self._waiting[sender] = attempt

    def withdraw(self, sender: Sender) -> None:
        """The sender wants no connection any more."""
        self._waiting.pop(sender, None)

    def _next(self) -> Attempt:
        """Who has waited longest."""
        return self._waiting.pop(next(iter(self._waiting)))

    def _connect(self, attempt: Attempt) -> None:
        task = self.loop.create_task(self._connected(attempt))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connected(self, attempt: Attempt) -> None:
        address = self.address
        try:
            async with asyncio.timeout(self.settings.connect_timeout):
                _, connection = await self.loop.create_connection(
                    lambda: UpstreamConnection(self),
                    address.host,
                    address.port,
                    ssl=self.tls,
                    server_hostname=address.host if self.tls else None,
                )
            if not connection.usable:
                msg = "closed at once"
                raise ConnectionResetError(msg)
        except (OSError, TimeoutError) as error:
            log.warning("upstream_refused", upstream=self.name, error=str(error) or type(error).__name__)
            self.failed(Lost.TIMEOUT if isinstance(error, TimeoutError) else Lost.REFUSED)
            self._refused(self, attempt)
        except asyncio.CancelledError:
            attempt.sender.answer_lost(Lost.REFUSED)
            raise
        else:
            attempt.sender.connected(connection)

    def failed(self, why: Lost) -> None:
        """A request or a connection has failed."""
        self.stats.failures += 1
        self._failed(self, why)

    def move_away(self) -> None:
        """It does not answer: who waits for a connection, or for the answer to a read, tries another server."""
        while self._waiting:
            self._refused(self, self._next())
        for connection in list(self._connections):
            connection.move_away()

    def close_idle(self) -> None:
        """Keeps no connection for later; those at work go on."""
        for connection in list(self._idle):
            connection.close()

    def release(self, connection: UpstreamConnection) -> None:
        """The connection is free again."""
        if self._waiting:
            self._next().sender.connected(connection)
        else:
            # the clock is behind, so the connection is taken for idle a little longer than it is
            connection.idle_since = self.clock.now
            self._idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """The connection must not be used again."""
        if connection in self._idle:
            self._idle.remove(connection)

    def made(self, connection: UpstreamConnection) -> None:
        """The connection is open."""
        self._connections.add(connection)

    def gone(self, connection: UpstreamConnection) -> None:
        """The connection is closed."""
        self._connections.discard(connection)
        self.forget(connection)
        if self._waiting:
            self._connect(self._next())
        if not self._connections:
            self._empty.set()

    def sweep(self, now: float) -> None:
        """Ends what is overdue."""
        for connection in [c for c in self._connections if c.deadline < now]:
            connection.expire()
        while self._idle and self._idle[0].idle_since < now - self.settings.upstream_idle:
            self._idle.pop(0).close()

    async def close(self) -> None:
        """Ends every connection; senders hear that theirs is lost."""
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in list(self._connections):
            connection.expire()
        if self._connections:
            self._empty.clear()
            await self._empty.wait()

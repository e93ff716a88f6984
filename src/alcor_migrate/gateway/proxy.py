"""One client's connection: reads requests, and gives each to an exchange.

Requests of a connection are answered one after the other; what is pipelined waits, unread where it is much.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import structlog

from alcor_migrate.gateway import http1
from alcor_migrate.gateway.clock import NEVER
from alcor_migrate.gateway.http1 import BadMessage, ChunkedBody, Fields, FixedBody, RequestHead, ResponseHead
from alcor_migrate.gateway.recorded import Recorded
from alcor_migrate.gateway.relay import Relay
from alcor_migrate.gateway.routes import Kind, Route, kind_of

if TYPE_CHECKING:
    from alcor_migrate.gateway.exchange import Exchange
    from alcor_migrate.gateway.server import Gateway

log = structlog.get_logger(__name__)

_PIPELINED_BYTES: Final = 64 * 1024
_LINGER_SECONDS: Final = 2.0
# Members of an enumeration are looked up by name each time, constants are not.
_WRITE: Final = Kind.WRITE
_PASS: Final = Route.PASS


class ClientConnection(asyncio.Protocol):
    """One client. Its callbacks are those of asyncio.Protocol."""

    __slots__ = (
        "_answer_begun",
        "_body",
        "_buffer",
        "_closing",
        "_eof",
        "_exchange",
        "_fields",
        "_gateway",
        "_keep_alive",
        "_lingering",
        "_loop",
        "_max_head",
        "_paused",
        "_scanned",
        "_transport",
        "address",
        "clock",
        "deadline",
        "forwarded",
        "full",
        "gone",
        "settings",
    )

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._loop = gateway.loop
        self.clock = gateway.clock
        self.settings = gateway.settings
        self._max_head = gateway.settings.max_head
        self._fields: Fields | None = None
        """Those of the last request, which the next one mostly repeats."""
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._scanned = 0
        self._exchange: Exchange | None = None
        self._body: FixedBody | ChunkedBody | None = None
        self._keep_alive = True
        self._answer_begun = False
        self._closing = False
        self._eof = False
        self._lingering = False
        self._paused = False
        self.gone = False
        """Whether nobody is there to be answered."""
        self.full = False
        """Whether the client is slow to take what was written."""
        self.address = b"unknown"
        self.forwarded = b""
        self.deadline = NEVER

    # -- asyncio.Protocol ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102  (asyncio's)
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if peer:
            self.address = str(peer[0]).encode()
        proto = b"http" if transport.get_extra_info("ssl_object") is None else b"https"
        self.forwarded = b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\n" % (self.address, proto)
        self._gateway.client_came(self)
        self.deadline = self.clock.idle

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102  (asyncio's)
        self._transport = None
        self._closing = True
        self.gone = True
        self.full = False
        self._buffer = b""
        self._gateway.client_left(self)
        if self._exchange is not None:
            self._exchange.client_gone()

    def data_received(self, data: bytes) -> None:  # noqa: D102  (asyncio's)
        if self._closing:
            return
        self._buffer = self._buffer + data if self._buffer else data
        self._advance()

    def eof_received(self) -> bool:  # noqa: D102  (asyncio's)
        # a client that has only finished sending still gets the answers it is owed (TLS cannot be half closed)
        transport = self._transport
        if self._closing or transport is None or transport.get_extra_info("ssl_object") is not None:
            return False
        self._eof = True
        return self._exchange is not None and self._body is None

    def pause_writing(self) -> None:  # noqa: D102  (asyncio's)
        self.full = True
        self.deadline = self.clock.body
        if self._exchange is not None:
            self._exchange.client_full()

    def resume_writing(self) -> None:  # noqa: D102  (asyncio's)
        self.full = False
        if self._body is None:
            self.deadline = NEVER if self._exchange is not None else self.clock.idle
        if self._exchange is not None:
            self._exchange.client_drained()

    # -- reading requests ------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Does what can be done with the bytes that are here."""
        try:
            while self._buffer and not self._closing:
                if self._body is not None:
                    self._read_body(self._body)
                elif self._exchange is not None:
                    if len(self._buffer) > _PIPELINED_BYTES:
                        self.pause_reading()
                    return
                elif not self._read_head():
                    break
        except BadMessage as bad:
            self.refuse(bad.status, bad.reason)
        if self._eof and self._exchange is None and self._transport is not None:
            self._transport.close()

    def _read_head(self) -> bool:
        """Begins the next request, if its head is complete."""
        data = self._buffer
        if self._fields is not None and not self._scanned and len(data) <= self._max_head:
            head = http1.repeated_head(data, self._fields)
            if head is not None:
                self._buffer = b""
                return self._begin(head)
        if data[0] == 13 and not self._scanned and data.startswith(b"\r\n"):  # noqa: PLR2004  (carriage return)
            # RFC 9112 §2.2: one empty line before a request is forgiven
            self._buffer = data = data[2:]
            self._scanned = 1
        if data in (b"", b"\r"):
            return False
        end = http1.find_head(data, self._scanned)
        if not end or end > self._max_head:
            if end or len(data) > self._max_head:
                msg = "the head of the request is too long"
                raise BadMessage(msg, 431)
            if self._scanned <= 1:
                self.deadline = self.clock.head
            self._scanned = len(data)
            return False
        if end == len(data):
            self._buffer = b""
        else:
            self._buffer = data[end:]
            data = data[:end]
        head = http1.parse_request_head(data)
        self._fields = head.fields
        self._scanned = 0
        return self._begin(head)

    def _begin(self, head: RequestHead) -> bool:
        self._keep_alive = head.keep_alive
        self._answer_begun = False
        fields = head.fields
        exchange = self._exchange = _exchange_for(self._gateway, self, head)
        if fields.chunked or fields.length:
            self._body = ChunkedBody() if fields.chunked else FixedBody(fields.length or 0)
            self.deadline = self.clock.body
            exchange.start(complete=False)
            if fields.expects_continue and head.minor and not self._buffer and self._exchange is exchange:
                self.write(http1.CONTINUE)
        else:
            self.deadline = NEVER
            exchange.start(complete=True)
        return True

    def _read_body(self, body: FixedBody | ChunkedBody) -> None:
        payload, self._buffer, done = body.feed(self._buffer)
        exchange = self._exchange
        if done:
            self._body = None
            self.deadline = NEVER
        else:
            self.deadline = self.clock.body
        if exchange is None:
            return
        if payload:
            exchange.body(payload)
        # the exchange may have ended with an answer of our own
        if done and self._exchange is exchange:
            exchange.body_end(body.trailers)

    def pause_reading(self) -> None:
        """Takes no more bytes for now."""
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
            if self._body is not None:
                # the silence is ours
                self.deadline = NEVER

    def resume_reading(self) -> None:
        """Takes bytes again."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
            if self._body is not None:
                self.deadline = self.clock.body

    # -- for the exchange ------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Sends bytes of an answer."""
        if self._transport is not None:
            self._transport.write(data)

    def begin_answer(self, request: RequestHead, head: ResponseHead, payload: bytes, *, complete: bool) -> bool:
        """Sends the head, as this client gets it, and what there is of the body; whether that is chunked for it."""
        self._answer_begun = True
        if self._body is not None:
            # the rest of the request is of no interest to who has answered already
            self._keep_alive = False
        if head.whole and self._keep_alive and request.minor:
            self.write(head.whole)
            return False
        lines = [b"HTTP/1.1 ", head.line, b"\r\n", head.forward]
        chunked = head.length is None and request.minor == 1
        if chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif head.length is None:
            self._keep_alive = False
        if not self._keep_alive:
            lines.append(b"Connection: close\r\n")
        elif not request.minor:
            lines.append(b"Connection: keep-alive\r\n")
        lines.append(b"\r\n")
        if not chunked:
            lines.append(head.body or payload)
        else:
            if payload:
                lines.append(http1.chunk(payload))
            if complete:
                lines.append(http1.last_chunk())
        self.write(b"".join(lines))
        return chunked

    def own_answer(self, request: RequestHead, status: int, reason: str, retry_after: int | None = None) -> None:
        """Answers in the gateway's own name."""
        self._answer_begun = True
        if self._body is not None or not request.minor:
            self._keep_alive = False
        self.write(
            http1.own_answer(
                status,
                reason,
                close=not self._keep_alive,
                retry_after=retry_after,
                body=request.method != b"HEAD",
            )
        )

    def exchange_end(self) -> None:
        """The answer is written; the next request can begin."""
        self._exchange = None
        if self._transport is None or self._closing:
            return
        if not self._keep_alive:
            self._end()
            return
        self.deadline = self.clock.idle
        self.resume_reading()
        if self._buffer or self._eof:
            # not from within the answer's own call chain, which may be long with many pipelined requests
            self._loop.call_soon(self._advance)

    def cut(self) -> None:
        """The answer cannot be finished: only closing tells the client so."""
        self._exchange = None
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, status: int, reason: str) -> None:
        """The request is not acceptable: says so if nothing else was said, and closes."""
        exchange, self._exchange = self._exchange, None
        self._gateway.stats.refused_total += 1
        log.info("request_refused", client=self.address.decode(), status=status, reason=reason)
        if exchange is not None:
            exchange.client_gone()
        if self._answer_begun and exchange is not None:
            self.cut()
            return
        self.write(http1.own_answer(status, reason, close=True))
        self._end()

    def _end(self) -> None:
        """Closes so that the client can read the answer, even when it is still sending (RFC 9112 §9.6)."""
        transport = self._transport
        self._closing = True
        if transport is None:
            return
        if self._body is None and not self._buffer:
            transport.close()
            return
        self._body = None
        self._buffer = b""
        self._lingering = True
        self.resume_reading()
        self.deadline = self._loop.time() + _LINGER_SECONDS
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def expire(self) -> None:
        """The deadline has passed."""
        self.deadline = NEVER
        if self._transport is None:
            return
        if self._lingering or self.full or (self._exchange is None and not self._buffer):
            self._closing = True
            self._transport.abort() if self.full else self._transport.close()
        elif self._exchange is None:
            self.refuse(408, "the head of the request took too long")
        else:
            self.refuse(408, "the body of the request took too long")

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._exchange is not None

    def retire(self) -> None:
        """The gateway stops: no further request is taken."""
        self._keep_alive = False
        if self._exchange is None and self._transport is not None:
            self._closing = True
            self._transport.close()

    def abort(self) -> None:
        """The gateway has stopped."""
        if self._transport is not None:
            self._transport.abort()


def _exchange_for(gateway: Gateway, client: ClientConnection, request: RequestHead) -> Exchange:
    """Decides how a request is served under the route of this moment."""
    kind = kind_of(request.method, request.target)
    if kind is _WRITE:
        if gateway.route is not _PASS:
            return Recorded(gateway, client, request, kind)
    elif gateway.ahead:
        return gateway.read_ahead(client, request, kind)
    return Relay(gateway, client, request, kind)

"""One request on its way, as its client's connection and its upstream connection see it.

It is a `Relay` (relay.py: streamed both ways, nothing recorded before the answer) or a `Recorded` write (recorded.py:
read whole, held if need be, recorded, sent once, recorded, answered).
"""

from __future__ import annotations

import logging
import random
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import structlog

from alcor_migrate.gateway import http1
from alcor_migrate.gateway.access import count, resource_of, without_secrets
from alcor_migrate.gateway.upstream import Lost, Sender

if TYPE_CHECKING:
    from alcor_migrate.gateway.http1 import RequestHead, ResponseHead
    from alcor_migrate.gateway.proxy import ClientConnection
    from alcor_migrate.gateway.routes import Kind
    from alcor_migrate.gateway.server import Gateway
    from alcor_migrate.gateway.upstream import Upstream, UpstreamConnection

log = structlog.get_logger(__name__)

FENCED: Final = 503, "the gateway cannot let writes through now; nothing was changed"
"""Status and reason of the answer to a write while the route is not known for sure."""


class Exchange(Sender):
    """One request on its way: what its client's connection calls, and how its answer gets there."""

    __slots__ = (
        "_chunked",
        "_client",
        "_connection",
        "_gateway",
        "_kind",
        "_request",
        "_request_id",
        "_route",
        "_started",
        "_status",
    )

    def __init__(self, gateway: Gateway, client: ClientConnection, request: RequestHead, kind: Kind) -> None:
        self._gateway = gateway
        self._client = client
        self._request = request
        self._request_id = request.fields.request_id
        self._kind = kind
        self._route = gateway.route
        self._started = client.clock.time()
        self._status = 0
        self._chunked = False
        self._connection: UpstreamConnection | None = None

    @abstractmethod
    def start(self, *, complete: bool) -> None:
        """The head was read, and with it all of the request when it is complete."""

    @abstractmethod
    def body(self, payload: bytes) -> None:
        """Some of the request's body. May raise BadMessage."""

    @abstractmethod
    def body_end(self, trailers: bytes) -> None:
        """The request is complete."""

    @abstractmethod
    def client_gone(self) -> None:
        """Nobody waits for the answer any more."""

    def _forwarded(self, server: Upstream) -> list[bytes]:
        """The request's head for the next hop, without framing and without the empty line."""
        request, client = self._request, self._client
        fields = request.fields
        lines = [request.method, b" ", request.target, b" HTTP/1.1\r\n", fields.forward]
        if fields.forwarded_for or fields.forwarded_proto:
            before = fields.forwarded_for and fields.forwarded_for + b", "
            lines.append(b"X-Forwarded-For: %b%b\r\n" % (before, client.address))
            lines.append(b"X-Forwarded-Proto: %b\r\n" % (fields.forwarded_proto or b"http"))
        else:
            lines.append(client.forwarded)
        if fields.forwarded:
            # continued where it is spoken; who does not know it is not made to
            node = b'"[%b]"' % client.address if b":" in client.address else client.address
            lines.append(b"Forwarded: %b, for=%b\r\n" % (fields.forwarded, node))
        if not fields.hosts:
            lines.append(b"Host: %b\r\n" % server.name.encode())
        return lines

    def _begin_answer(self, head: ResponseHead, payload: bytes, *, complete: bool) -> None:
        self._status = head.status
        self._chunked = self._client.begin_answer(self._request, head, payload, complete=complete)

    def _more_answer(self, payload: bytes) -> None:
        self._client.write(http1.chunk(payload) if self._chunked else payload)

    def _end_answer(self, trailers: bytes) -> None:
        if self._chunked:
            self._client.write(http1.last_chunk(trailers))

    def _own_answer(self, status: int, reason: str, retry_after: int | None = None) -> None:
        self._status = status
        self._client.own_answer(self._request, status, reason, retry_after)

    def _lost_answer(self, lost: Lost) -> None:
        name = self._gateway.side
        if lost is Lost.REFUSED:
            reason = f"the network API ({name}) cannot be reached; nothing was changed"
            self._own_answer(503, reason, self._gateway.settings.retry_after)
        elif lost is Lost.TIMEOUT:
            self._own_answer(504, f"the network API ({name}) did not answer in time")
        else:
            self._own_answer(502, f"the network API ({name}) broke off without a whole answer")

    def _count(self) -> None:
        gateway = self._gateway
        status = 0 if self._client.gone else self._status
        seconds = self._client.clock.time() - self._started
        request = self._request
        resource = resource_of(request.target)
        count(gateway.stats, self._route._value_, request.method, resource, status, seconds)
        share = self._client.settings.access_log
        failed = status >= 500 or not status  # noqa: PLR2004  (a server's failure)
        if failed or (share and random.random() < share):  # noqa: S311  (a sample, no secret)
            log.log(
                logging.WARNING if failed else logging.INFO,
                "request",
                client=self._client.address.decode(),
                method=request.method.decode(),
                target=without_secrets(request.target),
                resource=resource,
                route=self._route.value,
                status=status,
                ms=round(seconds * 1e3, 1),
                request_id=self._request_id,
            )

    def informed(self, head: ResponseHead) -> None:
        """Interim answers go on, except 100: the gateway asks for no permission to send a body."""
        if head.status != 100 and self._request.minor:  # noqa: PLR2004  (Continue)
            self._client.write(b"HTTP/1.1 %b\r\n%b\r\n" % (head.line, head.forward))

    def client_full(self) -> None:
        """The client is slow to take the answer."""
        if self._connection is not None:
            self._connection.pause(self)

    def client_drained(self) -> None:
        """It takes again."""
        if self._connection is not None:
            self._connection.resume(self)

    def upstream_full(self) -> None:
        """The other side is slow to take the request."""
        self._client.pause_reading()

    def upstream_drained(self) -> None:
        """It takes again."""
        self._client.resume_reading()

"""What becomes of one request.

It is a `Relay` (streamed both ways, nothing recorded before the answer) or a `Recorded` write (read whole, held if
need be, recorded, sent once, recorded, answered).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import structlog

from alcor_migrate.errors import JournalError
from alcor_migrate.gateway import http1
from alcor_migrate.gateway.access import count, resource_of, without_secrets
from alcor_migrate.gateway.hold import Turn
from alcor_migrate.gateway.http1 import BadMessage, RequestHead, ResponseHead
from alcor_migrate.gateway.routes import Kind, Route, kind_of
from alcor_migrate.gateway.settings import Policy
from alcor_migrate.gateway.upstream import Lost
from alcor_migrate.journal import NOT_SENT, Intent, Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from alcor_migrate.gateway.balancer import Balancer
    from alcor_migrate.gateway.proxy import ClientConnection
    from alcor_migrate.gateway.server import Gateway, Ticket
    from alcor_migrate.gateway.upstream import Upstream, UpstreamConnection

log = structlog.get_logger(__name__)

_FENCED = 503, "the gateway cannot let writes through now; nothing was changed"


class Exchange(ABC):
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
        self._started = gateway.loop.time()
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
        seconds = gateway.loop.time() - self._started
        request = self._request
        resource = resource_of(request.target)
        count(gateway.stats, self._route._value_, request.method, resource, status, seconds)
        share = gateway.settings.access_log
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


class Relay(Exchange):
    """A request that is streamed through: reads, and writes while the route is `pass`.

    A read that lost its connection before the answer came is sent again: on a new connection where the old one had
    been idle before, to another server otherwise, to each once. Writes never are.
    """

    __slots__ = ("_balancer", "_head", "_over", "_pending", "_request_complete", "_ticket", "_tried", "_turn")

    _balancer: Balancer
    _head: ResponseHead

    def __init__(self, gateway: Gateway, client: ClientConnection, request: RequestHead, kind: Kind) -> None:
        super().__init__(gateway, client, request, kind)
        self._ticket: Ticket | None = None
        self._turn: Turn | None = None
        self._pending: list[bytes] = []
        self._request_complete = False
        self._over = False
        self._tried: tuple[Upstream, ...] = ()

    # -- the client ------------------------------------------------------------------------------------------

    def start(self, *, complete: bool) -> None:
        """Takes a connection, or waits in the hold when this may write."""
        self._request_complete = complete
        gateway = self._gateway
        if self._kind is not Kind.READ and gateway.queueing and not gateway.fenced:
            self._turn = Turn(self._go, 0, self._request.fields.token)
            gateway.enter_room(self._turn)
        else:
            self._go()

    def _go(self) -> None:
        if self._over:
            return
        balancer = self._balancer = self._gateway.balancer
        if self._kind is Kind.READ:
            if not balancer.acquire(self):
                self._gateway.loop.call_soon(self._refused)
            return
        if self._gateway.fenced:
            self._own_answer(*_FENCED, self._gateway.settings.retry_after)
            self._finish()
            self._client.exchange_end()
            return
        self._ticket = self._gateway.enter()
        max_idle = None
        if self._kind is Kind.WRITE:
            max_idle = self._gateway.settings.upstream_idle_for_writes
        if not balancer.acquire(self, max_idle=max_idle):
            # not from within its turn, which would be that of the next then, and so on
            self._gateway.loop.call_soon(self._refused)

    def _refused(self) -> None:
        if not self._over:
            self.answer_lost(Lost.REFUSED)

    def body(self, payload: bytes) -> None:
        """Sends it on, or keeps it until there is a connection, and takes no more meanwhile."""
        if self._request.fields.chunked:
            payload = http1.chunk(payload)
        if self._connection is None:
            self._pending.append(payload)
            self._client.pause_reading()
        else:
            self._connection.send_body(payload, complete=False)

    def body_end(self, trailers: bytes) -> None:
        """The request is complete."""
        self._request_complete = True
        ending = http1.last_chunk(trailers) if self._request.fields.chunked else b""
        if self._connection is not None:
            self._connection.send_body(ending, complete=True)
        elif ending:
            self._pending.append(ending)

    def client_gone(self) -> None:
        """A read ends with its client. A write that was sent whole goes on: it is in flight until answered."""
        if self._over:
            return
        if self._connection is not None:
            if self._kind is not Kind.READ and self._request_complete:
                self._connection.resume(self)
                return
            self._connection.abandon()
        else:
            # a hold would call _go, which finds that it is over
            for balancer in self._gateway.balancers:
                balancer.withdraw(self)
        self._finish()

    # -- the upstream ----------------------------------------------------------------------------------------

    def connected(self, connection: UpstreamConnection) -> None:
        """Sends the request."""
        if self._over:
            connection.server.release(connection)
            return
        self._connection = connection
        lines = self._forwarded(connection.server)
        fields = self._request.fields
        if fields.chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        elif fields.length is not None:
            lines.append(b"Content-Length: %d\r\n" % fields.length)
        lines.append(b"\r\n")
        if self._pending:
            lines += self._pending
            self._pending = []
            self._client.resume_reading()
        connection.send(
            self, b"".join(lines), to_head=self._request.method == b"HEAD", complete=self._request_complete
        )

    def answered(self, head: ResponseHead, payload: bytes, *, complete: bool) -> None:
        """Passes on the head and what came with it."""
        self._begin_answer(head, payload, complete=complete)
        if complete:
            self._answer_done(head)
            return
        self._head = head
        if self._client.full and self._connection is not None:
            self._connection.pause(self)

    def answer_data(self, payload: bytes) -> None:
        """Passes on more of the body."""
        self._more_answer(payload)

    def answer_end(self, trailers: bytes) -> None:
        """The answer is complete."""
        self._end_answer(trailers)
        self._answer_done(self._head)

    def answer_lost(self, lost: Lost) -> None:
        """Sends a read again where that is safe, or tells the client."""
        connection, self._connection = self._connection, None
        if self._status:
            self._client.cut()
        elif lost is Lost.BROKEN and connection is not None and self._ask_again(connection):
            return
        else:
            self._lost_answer(lost)
        self._finish()
        self._client.exchange_end()

    @property
    def repeatable(self) -> bool:
        """Whether it is a read of whose answer nothing has come."""
        return self._kind is Kind.READ and not self._request.has_body and not self._status

    def _ask_again(self, broken: UpstreamConnection) -> bool:
        if not self.repeatable:
            return False
        if not broken.used:
            # nothing can be said for this server; a connection that had been idle may just have been too old
            self._tried = (*self._tried, broken.server)
        if not self._balancer.acquire(self, max_idle=0, tried=self._tried):
            return False
        self._gateway.stats.retried_reads_total += 1
        return True

    def _answer_done(self, head: ResponseHead) -> None:
        self._connection = None
        if self._kind is Kind.READ_THAT_MAY_WRITE and head.status < 300:  # noqa: PLR2004  (it worked)
            ticket, self._ticket = self._ticket, None
            self._gateway.spawn(self._record(head, ticket))
        shadow = self._gateway.settings.shadow
        if shadow and self._sampled(shadow, head):
            self._gateway.sampled(self._request.target, self._request.fields.token)
        self._finish()
        self._client.exchange_end()

    def _sampled(self, share: float, head: ResponseHead) -> bool:
        asked = self._kind is Kind.READ and self._request.method == b"GET" and head.status == 200  # noqa: PLR2004  (OK)
        return asked and random.random() < share  # noqa: S311  (a sample, no secret)

    def _finish(self) -> None:
        self._over = True
        if self._turn is not None:
            self._gateway.leave_room(self._turn)
            self._turn = None
        if self._ticket is not None:
            self._gateway.leave(self._ticket)
            self._ticket = None
        self._count()

    async def _record(self, head: ResponseHead, ticket: Ticket | None) -> None:
        """Notes in the journal that this read may have changed something; its body says nothing about what."""
        if ticket is None:
            return
        try:
            if ticket.route.captures:
                now = time.time()
                caller = await self._gateway.caller(self._request.fields.token)
                intent = Intent(
                    method=self._request.method.decode(),
                    path=self._request.target.decode(),
                    request_id=self._request.fields.request_id,
                    started_at=now,
                    route=ticket.route.value,
                    side=ticket.route.side,
                )
                outcome = Outcome(
                    status=head.status,
                    finished_at=now,
                    upstream_request_id=http1.request_id_of(head),
                    project_id=caller.project_id if caller else None,
                    user_id=caller.user_id if caller else None,
                )
                await self._gateway.journal.read_that_wrote(intent, outcome)
        except JournalError as error:
            self._gateway.missed(error)
        finally:
            self._gateway.leave(ticket)


class Recorded(Exchange):
    """A write that goes through the journal: read whole, held if need be, recorded, sent once, recorded, answered."""

    __slots__ = (
        "_answer",
        "_answer_complete",
        "_answer_size",
        "_body",
        "_head",
        "_heard",
        "_lost",
        "_overdue",
        "_parts",
        "_size",
        "_streaming",
        "_task",
    )

    _body: bytes
    _task: asyncio.Task[None]
    repeatable = False

    def __init__(self, gateway: Gateway, client: ClientConnection, request: RequestHead, kind: Kind) -> None:
        super().__init__(gateway, client, request, kind)
        self._parts: list[bytes] = []
        self._size = 0
        if not self._request_id:
            self._request_id = _new_request_id()
        self._heard: asyncio.Future[None] = gateway.loop.create_future()
        self._lost: Lost | None = None
        self._overdue = False
        self._head: ResponseHead | None = None
        self._answer: list[bytes] = []
        self._answer_size = 0
        self._answer_complete = False
        self._streaming = False

    # -- the client ------------------------------------------------------------------------------------------

    def start(self, *, complete: bool) -> None:
        """Refuses what is known to be too long before it is sent."""
        self._check(self._request.fields.length or 0)
        if complete:
            self.body_end(b"")

    def body(self, payload: bytes) -> None:
        """Keeps it."""
        self._size += len(payload)
        self._check(self._size)
        self._parts.append(payload)

    def _check(self, size: int) -> None:
        if size > self._gateway.settings.max_body:
            msg = f"a request's body may have {self._gateway.settings.max_body} bytes"
            raise BadMessage(msg, 413)

    def body_end(self, trailers: bytes) -> None:  # noqa: ARG002  (RFC 9110 §6.5.1 lets us drop them)
        """The request is complete, the write begins."""
        self._task = self._gateway.spawn(self._run())

    def client_gone(self) -> None:
        """The write goes on without its client; only an answer being streamed ends."""
        if self._streaming and self._connection is not None:
            self._connection.abandon()
            self._connection = None

    def client_full(self) -> None:
        """The client is slow to take the answer, which only matters once it is streamed."""
        if self._streaming:
            super().client_full()

    def client_drained(self) -> None:
        """It takes again."""
        if self._streaming:
            super().client_drained()

    async def _run(self) -> None:
        gateway = self._gateway
        if not gateway.queueing or gateway.fenced:
            await self._serve(self._let_through())
            return
        let_through: asyncio.Future[Ticket | None] = gateway.loop.create_future()
        # the ticket is taken in the turn itself: a hold that begins before this task goes on finds it in flight
        turn = Turn(lambda: let_through.set_result(self._let_through()), self._size, self._request.fields.token)
        gateway.enter_room(turn)
        try:
            ticket = await let_through
            self._started += time.monotonic() - turn.arrived
            await self._serve(ticket)
        finally:
            gateway.leave_room(turn)

    def _let_through(self) -> Ticket | None:
        return None if self._gateway.fenced else self._gateway.enter()

    async def _serve(self, ticket: Ticket | None) -> None:
        gateway = self._gateway
        if self._client.gone:
            # nothing was sent and nobody waits for it: not doing it is the truth the client will find
            if ticket is not None:
                gateway.leave(ticket)
            self._count()
            return
        refusal: tuple[int, str] | None = _FENCED
        if ticket is not None:
            try:
                refusal = await self._write(ticket)
            finally:
                gateway.leave(ticket)
        if refusal is not None:
            status, reason = refusal
            self._own_answer(status, reason, gateway.settings.retry_after)
        else:
            self._give_answer()
        if not self._streaming:
            self._count()
            self._client.exchange_end()

    async def _write(self, ticket: Ticket) -> tuple[int, str] | None:
        """Records, sends, records. What it answers instead of the upstream's answer, if anything."""
        gateway = self._gateway
        body = b"".join(self._parts)
        self._parts = []
        seq: int | None = None
        if ticket.route.captures:
            try:
                seq = await self._intent(ticket, body)
            except JournalError as error:
                if gateway.settings.policy is Policy.FAIL_CLOSED:
                    return 503, "writes cannot be recorded now; nothing was changed"
                gateway.missed(error)
        token = self._request.fields.token
        caller = gateway.identified(token) if seq is not None and token else None
        self._body = body
        if gateway.balancer_of(ticket.route).acquire(self, max_idle=gateway.settings.upstream_idle_for_writes):
            await self._heard
        else:
            self._lost = Lost.REFUSED
        if seq is not None:
            known = caller.result() if caller is not None and caller.done() and not caller.cancelled() else None
            outcome = self._outcome(known.project_id if known else None, known.user_id if known else None)
            await self._keep(seq, outcome)
        return None

    async def _intent(self, ticket: Ticket, body: bytes) -> int:
        gateway = self._gateway
        intent = Intent(
            method=self._request.method.decode(),
            path=self._request.target.decode(),
            body=body,
            request_id=self._request_id,
            started_at=time.time(),
            route=ticket.route.value,
            side=ticket.route.side,
        )
        try:
            seq = await self._patiently(gateway.journal.intent(intent), gateway.settings.intent_patience)
        except TimeoutError:
            msg = "the journal takes too long to write"
            raise JournalError(msg) from None
        gateway.stats.captured_total += 1
        return seq

    def _outcome(self, project_id: str | None, user_id: str | None) -> Outcome:
        now = time.time()
        stats = self._gateway.stats
        if self._head is None:
            lost = self._lost or Lost.BROKEN
            if lost is Lost.REFUSED:
                stats.not_sent_total += 1
                return Outcome(status=0, finished_at=now, how=NOT_SENT)
            stats.unknown_total += 1
            return Outcome(status=0, finished_at=now, how=lost.value, project_id=project_id, user_id=user_id)
        return Outcome(
            status=self._head.status,
            finished_at=now,
            body=b"".join(self._answer) if self._answer_complete else b"",
            upstream_request_id=http1.request_id_of(self._head),
            project_id=project_id,
            user_id=user_id,
            truncated=not self._answer_complete,
        )

    async def _patiently(self, work: Coroutine[Any, Any, int], seconds: float) -> int:
        """Waits for it. Raises TimeoutError when that takes too long.

        As asyncio.timeout does it, which takes more time than all else that the event loop does for a write.
        """
        self._overdue = False
        alarm = self._gateway.loop.call_later(seconds, self._give_up)
        try:
            return await work
        except asyncio.CancelledError:
            # who cancels for another reason counts too
            if self._overdue and not self._task.uncancel():
                raise TimeoutError from None
            raise
        finally:
            alarm.cancel()

    def _give_up(self) -> None:
        self._overdue = True
        self._task.cancel()

    async def _keep(self, seq: int, outcome: Outcome) -> None:
        """Makes the outcome durable.

        When that takes too long it goes on without us: the intent is there, so the write is not lost, and the
        client is told the truth.
        """
        gateway = self._gateway
        try:
            await self._patiently(gateway.journal.outcome(seq, outcome), gateway.settings.outcome_patience)
        except (TimeoutError, JournalError) as error:
            gateway.stats.answered_late_total += 1
            log.error("outcome_not_durable", seq=seq, error=str(error))  # noqa: TRY400  (known)

    def _give_answer(self) -> None:
        if self._head is None:
            self._lost_answer(self._lost or Lost.BROKEN)
        elif self._lost is not None:
            self._own_answer(502, "the network API broke off in the middle of its answer; the write was made")
        else:
            self._begin_answer(self._head, b"".join(self._answer), complete=self._answer_complete)
            self._answer = []
            if not self._answer_complete:
                self._stream_rest()

    def _stream_rest(self) -> None:
        """The answer was too long to keep: the rest is streamed now that its outcome is recorded."""
        connection = self._connection
        if connection is None:
            self._client.cut()
        elif self._client.gone:
            connection.abandon()
        else:
            self._streaming = True
            if not self._client.full:
                connection.resume(self)

    # -- the upstream ----------------------------------------------------------------------------------------

    def connected(self, connection: UpstreamConnection) -> None:
        """Sends the write, whole."""
        self._connection = connection
        lines = self._forwarded(connection.server)
        fields = self._request.fields
        body, self._body = self._body, b""
        if body or fields.length is not None or fields.chunked:
            lines.append(b"Content-Length: %d\r\n" % len(body))
        if not fields.has_request_id:
            lines.append(b"X-Openstack-Request-Id: %b\r\n" % self._request_id.encode())
        lines += [b"\r\n", body]
        connection.send(self, b"".join(lines), to_head=False, complete=True)

    def informed(self, head: ResponseHead) -> None:
        """Interim answers are not passed on before the outcome is recorded."""

    def answered(self, head: ResponseHead, payload: bytes, *, complete: bool) -> None:
        """Keeps it until the outcome is recorded."""
        self._head = head
        self._keep_answer(head.body or payload)
        if complete:
            self._answer_over(None)

    def answer_data(self, payload: bytes) -> None:
        """Keeps it, as long as it is not too much."""
        if self._streaming:
            self._more_answer(payload)
        else:
            self._keep_answer(payload)

    def _keep_answer(self, payload: bytes) -> None:
        if payload:
            self._answer.append(payload)
            self._answer_size += len(payload)
            if self._answer_size > self._gateway.settings.max_answer and self._connection is not None:
                self._connection.pause(self)
                if not self._heard.done():
                    self._heard.set_result(None)

    def answer_end(self, trailers: bytes) -> None:
        """The answer is complete."""
        if self._streaming:
            self._end_answer(trailers)
            self._stream_over()
        else:
            self._answer_over(None)

    def answer_lost(self, lost: Lost) -> None:
        """It is not, and never will be."""
        if self._streaming:
            self._client.cut()
            self._stream_over()
        else:
            self._answer_over(lost)

    def _answer_over(self, lost: Lost | None) -> None:
        self._connection = None
        self._lost = lost
        self._answer_complete = lost is None
        if not self._heard.done():
            self._heard.set_result(None)

    def _stream_over(self) -> None:
        self._connection = None
        self._streaming = False
        self._count()
        self._client.exchange_end()

    def upstream_full(self) -> None:
        """The whole request was already given to the transport."""

    def upstream_drained(self) -> None:
        """Same."""


def _new_request_id() -> str:
    """In the form of OpenStack's: a random UUID (RFC 9562, version 4)."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"req-{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def exchange_for(gateway: Gateway, client: ClientConnection, request: RequestHead) -> Exchange:
    """Decides how a request is served under the route of this moment."""
    kind = kind_of(request.method, request.target)
    if kind is Kind.WRITE and gateway.route is not Route.PASS:
        return Recorded(gateway, client, request, kind)
    return Relay(gateway, client, request, kind)

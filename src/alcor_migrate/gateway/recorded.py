"""A write that goes through the journal."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from typing import TYPE_CHECKING, Any

import structlog

from alcor_migrate.errors import JournalError
from alcor_migrate.gateway import http1
from alcor_migrate.gateway.exchange import FENCED, Exchange
from alcor_migrate.gateway.hold import Turn
from alcor_migrate.gateway.http1 import BadMessage
from alcor_migrate.gateway.settings import Policy
from alcor_migrate.gateway.upstream import Lost
from alcor_migrate.journal import NOT_SENT, Intent, Outcome

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from alcor_migrate.gateway.http1 import RequestHead, ResponseHead
    from alcor_migrate.gateway.proxy import ClientConnection
    from alcor_migrate.gateway.routes import Kind
    from alcor_migrate.gateway.server import Gateway, Ticket
    from alcor_migrate.gateway.upstream import UpstreamConnection

log = structlog.get_logger(__name__)


class Recorded(Exchange):
    """A write that goes through the journal: read whole, held if need be, recorded, sent once, recorded, answered."""

    __slots__ = (
        "_answer",
        "_answer_complete",
        "_answer_size",
        "_body",
        "_doubtful",
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

    def __init__(self, gateway: Gateway, client: ClientConnection, request: RequestHead, kind: Kind) -> None:
        super().__init__(gateway, client, request, kind)
        self._parts: list[bytes] = []
        self._size = 0
        if not self._request_id:
            self._request_id = _new_request_id()
        self._heard: asyncio.Future[None] = gateway.loop.create_future()
        self._lost: Lost | None = None
        self._overdue = False
        self._doubtful = False
        self._head: ResponseHead | None = None
        self._answer: list[bytes] = []
        self._answer_size = 0
        self._answer_complete = False
        self._streaming = False

    @property
    def repeatable(self) -> bool:
        """A write is sent once."""
        return False

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
        refusal: tuple[int, str] | None = FENCED
        if ticket is not None:
            try:
                refusal = await self._write(ticket)
            finally:
                if not self._doubtful:
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
            if outcome.unknown:
                self._doubtful = True
                gateway.leave_later(ticket, functools.partial(self._keep_doubtful, seq, outcome))
            else:
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
            gateway.doubt()
            log.error("outcome_not_durable", seq=seq, error=str(error))  # noqa: TRY400  (known)

    async def _keep_doubtful(self, seq: int, outcome: Outcome) -> None:
        """The same of an outcome that nobody waits for."""
        try:
            await self._gateway.journal.outcome(seq, outcome)
        except JournalError as error:
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

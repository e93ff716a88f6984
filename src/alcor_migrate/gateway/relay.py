"""A request that is streamed through."""

from __future__ import annotations

import functools
import random
import time
from typing import TYPE_CHECKING, Final

from alcor_migrate.errors import JournalError
from alcor_migrate.gateway import http1
from alcor_migrate.gateway.exchange import FENCED, Exchange
from alcor_migrate.gateway.hold import Turn
from alcor_migrate.gateway.routes import Kind
from alcor_migrate.gateway.upstream import Lost
from alcor_migrate.journal import Intent, Outcome

if TYPE_CHECKING:
    from alcor_migrate.gateway.balancer import Balancer
    from alcor_migrate.gateway.http1 import RequestHead, ResponseHead
    from alcor_migrate.gateway.proxy import ClientConnection
    from alcor_migrate.gateway.server import Gateway, Ticket
    from alcor_migrate.gateway.upstream import Upstream, UpstreamConnection

# Members of an enumeration are looked up by name each time, constants are not.
_READ: Final = Kind.READ
_WRITE: Final = Kind.WRITE
_MAY_WRITE: Final = Kind.READ_THAT_MAY_WRITE


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
        if self._kind is not _READ and gateway.queueing and not gateway.fenced:
            self._turn = Turn(self._go, 0, self._request.fields.token)
            gateway.enter_room(self._turn)
        else:
            self._go()

    def _go(self) -> None:
        if self._over:
            return
        balancer = self._balancer = self._gateway.balancer
        if self._kind is _READ:
            if not balancer.acquire(self):
                self._gateway.loop.call_soon(self._refused)
            return
        if self._gateway.fenced:
            self._own_answer(*FENCED, self._gateway.settings.retry_after)
            self._finish()
            self._client.exchange_end()
            return
        self._ticket = self._gateway.enter()
        max_idle = None
        if self._kind is _WRITE:
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
            if self._kind is not _READ and self._request_complete:
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
        if self._ticket is not None and self._may_have_written and lost is not Lost.REFUSED:
            ticket, self._ticket = self._ticket, None
            self._gateway.leave_later(ticket, functools.partial(self._note, ticket, how=lost.value))
        self._finish()
        self._client.exchange_end()

    @property
    def _may_have_written(self) -> bool:
        return self._kind is _MAY_WRITE

    @property
    def repeatable(self) -> bool:
        """Whether it is a read of whose answer nothing has come."""
        return self._kind is _READ and not self._request.has_body and not self._status

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
        if self._ticket is not None and self._may_have_written and not 300 <= head.status < 500:  # noqa: PLR2004
            ticket, self._ticket = self._ticket, None
            self._gateway.spawn(self._record(head, ticket))
        shadow = self._client.settings.shadow
        if shadow and self._sampled(shadow, head):
            self._gateway.sampled(self._request.target, self._request.fields.token)
        self._finish()
        self._client.exchange_end()

    def _sampled(self, share: float, head: ResponseHead) -> bool:
        asked = self._kind is _READ and self._request.method == b"GET" and head.status == 200  # noqa: PLR2004  (OK)
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
        if ticket is None:
            return
        try:
            await self._note(ticket, head.status, http1.request_id_of(head))
        finally:
            self._gateway.leave(ticket)

    async def _note(self, ticket: Ticket, status: int = 0, request_id: str = "", how: str = "") -> None:
        """Notes in the journal that this read may have changed something; its body says nothing about what."""
        if not ticket.route.captures:
            return
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
            status=status,
            finished_at=now,
            upstream_request_id=request_id,
            project_id=caller.project_id if caller else None,
            user_id=caller.user_id if caller else None,
            how=how,
        )
        try:
            await self._gateway.journal.read_that_wrote(intent, outcome)
        except JournalError as error:
            self._gateway.missed(error)

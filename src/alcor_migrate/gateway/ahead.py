"""Reads while they go to the other side than writes: to the passive one, ahead of the writes or behind them.

The passive side is asked for a read when it has everything that was acknowledged before the read came; whether it
has is for `Gateway.may_read` to say. It only ever brings good news: what it does not have, refuses or does not answer
is asked of the active side, so no client meets an error that it would not have met there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alcor_migrate.errors import JournalError
from alcor_migrate.gateway.relay import Relay
from alcor_migrate.gateway.routes import Kind, on_both_sides
from alcor_migrate.gateway.stats import LOST, REFUSED

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_migrate.gateway.exchange import Exchange
    from alcor_migrate.gateway.http1 import RequestHead, ResponseHead
    from alcor_migrate.gateway.proxy import ClientConnection
    from alcor_migrate.gateway.server import Gateway
    from alcor_migrate.gateway.upstream import Lost, UpstreamConnection

_GOOD = 300


class AheadRead(Relay):
    """A read of something that both sides serve."""

    __slots__ = ("_passive",)

    def __init__(self, gateway: Gateway, client: ClientConnection, request: RequestHead, kind: Kind) -> None:
        super().__init__(gateway, client, request, kind)
        self._passive = False
        """Whether the passive side is asked, and has not begun to answer."""

    def start(self, *, complete: bool) -> None:
        """Waits until it may go ahead, or may not."""
        self._request_complete = complete
        self._gateway.may_read(self.permitted)

    def permitted(self, why: str) -> None:
        """It may, or why not."""
        if self._over:
            return
        gateway = self._gateway
        if why:
            self._fall_back(why)
        elif not gateway.ahead:
            self._go()
        else:
            self._passive = True
            balancer = self._balancer = gateway.balancer_of_reads
            if not balancer.acquire(self):
                self._fall_back(LOST)

    def _fall_back(self, why: str) -> None:
        self._passive = False
        self._tried = ()
        self._gateway.fell_back(why, self._request.target)
        self._go()

    def connected(self, connection: UpstreamConnection) -> None:
        """Sends the request; a passive side that stays silent is not waited for as long as the active one."""
        super().connected(connection)
        if self._passive and self._connection is connection:
            connection.deadline = self._gateway.loop.time() + self._gateway.settings.ahead_timeout

    def informed(self, head: ResponseHead) -> None:
        """Interim answers of the passive side are nobody's."""
        if not self._passive:
            super().informed(head)

    def answered(self, head: ResponseHead, payload: bytes, *, complete: bool) -> None:
        """Passes on success, and whatever the active side says."""
        if self._passive:
            if head.status >= _GOOD:
                connection, self._connection = self._connection, None
                if connection is not None and not complete:
                    connection.abandon()
                self._fall_back(REFUSED)
                return
            self._passive = False
            self._gateway.stats.reads_ahead += 1
        super().answered(head, payload, complete=complete)

    def answer_data(self, payload: bytes) -> None:
        """Passes on more of the body, if it is that of the answer that was begun."""
        if self._status:
            super().answer_data(payload)

    def answer_end(self, trailers: bytes) -> None:
        """The answer is complete, if it is the one that was begun."""
        if self._status:
            super().answer_end(trailers)

    def answer_lost(self, lost: Lost) -> None:
        """Asks the active side instead, while nothing was passed on."""
        if self._passive:
            self._connection = None
            self._fall_back(LOST)
        else:
            super().answer_lost(lost)


class SettledRead(Relay):
    """A read that may write goes to the active side, and is recorded before it is answered.

    Elsewhere it is recorded after its answer. But here the client's next read may go to the passive side, and has to
    find what this one has made.
    """

    __slots__ = ("_kept",)

    def __init__(self, gateway: Gateway, client: ClientConnection, request: RequestHead, kind: Kind) -> None:
        super().__init__(gateway, client, request, kind)
        self._kept: list[Callable[[], None]] | None = None
        """What came of the answer while it was being recorded."""

    def answered(self, head: ResponseHead, payload: bytes, *, complete: bool) -> None:
        """Records that it may have changed something, then passes on."""
        if head.status >= _GOOD or self._ticket is None:
            super().answered(head, payload, complete=complete)
            return
        self._kept = [lambda: Relay.answered(self, head, payload, complete=complete)]
        if self._connection is not None:
            self._connection.pause(self)
        self._gateway.spawn(self._settle(head))

    def answer_data(self, payload: bytes) -> None:
        """Passes on more of the body, when it may."""
        if self._kept is None:
            super().answer_data(payload)
        else:
            self._kept.append(lambda: Relay.answer_data(self, payload))

    def answer_end(self, trailers: bytes) -> None:
        """The answer is complete."""
        if self._kept is None:
            super().answer_end(trailers)
        else:
            self._kept.append(lambda: Relay.answer_end(self, trailers))

    def answer_lost(self, lost: Lost) -> None:
        """There will be no more of it."""
        if self._kept is None:
            super().answer_lost(lost)
        else:
            self._kept.append(lambda: Relay.answer_lost(self, lost))

    def client_gone(self) -> None:
        """Nobody waits for the answer; it is recorded all the same."""
        if self._kept is not None:
            self._kept = None
            if self._connection is not None:
                self._connection.abandon()
                self._connection = None
            self._finish()
        else:
            super().client_gone()

    async def _settle(self, head: ResponseHead) -> None:
        gateway = self._gateway
        ticket, self._ticket = self._ticket, None
        recorded = gateway.spawn(self._record(head, ticket))
        done, _ = await asyncio.wait({recorded}, timeout=gateway.settings.outcome_patience)
        if not done:
            gateway.missed(JournalError("the journal takes too long to note a read that may have written"))
        kept, self._kept = self._kept, None
        for event in kept or ():
            if not self._over:
                event()
        if not self._over and self._connection is not None and not self._client.full:
            self._connection.resume(self)


def read_ahead(gateway: Gateway, client: ClientConnection, request: RequestHead, kind: Kind) -> Exchange:
    """How a read is served while reads go to the passive side."""
    if kind is Kind.READ_THAT_MAY_WRITE:
        return SettledRead(gateway, client, request, kind)
    if request.has_body or not on_both_sides(request.method, request.target):
        return Relay(gateway, client, request, kind)
    return AheadRead(gateway, client, request, kind)

"""Reads that go to the passive side while writes still go to the active one: when they may, and what they wait for.

The rule is that of a consistent read from a follower: a read that came just now takes the journal's position of this
moment, waits until replay has applied everything up to there, and then goes to the passive side. So it sees every
write that was acknowledged before it came, whoever wrote it. What a read waits for is bounded; whatever is in doubt
is asked of the active side, which knows best.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING

import msgspec
import structlog

from alcor_migrate.errors import CloudError, JournalError
from alcor_migrate.gateway.stats import CLOSED, LATE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from alcor_migrate.engine.replay import Replay
    from alcor_migrate.gateway import ApiGateway
    from alcor_migrate.journal import Journal

log = structlog.get_logger(__name__)

_LOOK = 0.5
"""Seconds between two looks at the passive side."""
_ANSWER = 2.0
"""Seconds in which it must answer one."""
_DRAIN = 5.0
_OPENING = "writes from before the switch of the reads are still under way"


class ReadsStatus(msgspec.Struct, kw_only=True):
    """Which side serves reads, and what became of those that went ahead of the writes."""

    side: str
    """`source` or `target`."""
    closed: str = ""
    """Why reads that should go to the passive side are asked of the active one now; empty when they are not."""
    answered: int = 0
    """Reads that the passive side answered since the start."""
    waited: int = 0
    """Reads that had to wait for replay before they might go there."""
    waited_seconds: float = 0.0
    """How long they waited, together."""
    longest_wait_ms: float = 0.0
    """The longest that one waited."""
    fell_back: dict[str, int] = {}
    """Reads that the active side was asked for instead, by why: `late`, `closed`, `refused`, `lost`, `unheard`."""


class _Waiting:
    """Reads that wait for a position."""

    def __init__(self, position: int, then: Callable[[str], None], many: int, since: float) -> None:
        self.position = position
        self.then = then
        self.many = many
        self.since = since
        self.alarm: asyncio.TimerHandle | None = None


class Reads:
    """Says which reads may go to the passive side. Give `permit` to the gateway, and `applied` to replay.

    `answers` asks a side whether it answers at all; `worry` is whatever else keeps reads where the writes are, in
    words, or empty. `patience` is in seconds.
    """

    def __init__(
        self,
        gateway: ApiGateway,
        journal: Journal,
        replay: Replay,
        patience: float,
        answers: Callable[[str], Awaitable[bool]],
        worry: Callable[[], str] = str,
    ) -> None:
        self.waited = 0
        self.waited_seconds = 0.0
        self.longest_wait = 0.0
        self._gateway = gateway
        self._journal = journal
        self._replay = replay
        self._patience = patience
        self._answers = answers
        self._worry = worry
        self._waiting: deque[_Waiting] = deque()
        """In the order of their positions, which only grow."""
        self._opening = True
        self._silent = ""
        self._said = ""

    # -- for the gateway, and for replay -------------------------------------------------------------------------

    def permit(self, then: Callable[[str], None], many: int) -> None:
        """Tell so many reads that came just now that they may go to the passive side, or why not: LATE, CLOSED."""
        if self.closed:
            then(CLOSED)
            return
        position = self._journal.position
        if self._replay.applied >= position:
            then("")
            return
        waiting = _Waiting(position, then, many, time.monotonic())
        waiting.alarm = asyncio.get_running_loop().call_later(self._patience, self._give_up, waiting)
        self._waiting.append(waiting)

    def applied(self, position: int) -> None:
        """Everything up to a position is applied, or was rejected, which is known by now."""
        why = CLOSED if self._waiting and self.closed else ""
        while self._waiting and (why or self._waiting[0].position <= position):
            self._end(self._waiting.popleft(), why)

    def _give_up(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        self._end(waiting, LATE)

    def _end(self, waiting: _Waiting, why: str) -> None:
        if waiting.alarm is not None:
            waiting.alarm.cancel()
        waited = time.monotonic() - waiting.since
        self.waited += waiting.many
        self.waited_seconds += waited * waiting.many
        self.longest_wait = max(self.longest_wait, waited)
        waiting.then(why)

    # -- whether they may at all ---------------------------------------------------------------------------------

    @property
    def closed(self) -> str:
        """Why no read may go to the passive side now; empty when they may."""
        replay, gateway = self._replay, self._gateway
        if self._silent or self._opening:
            return self._silent or _OPENING
        if replay.trouble:
            return f"replay waits: {replay.trouble}"
        if replay.poison:
            return f"{len(replay.poison)} objects were not taken by the passive side"
        if self._journal.stalled or gateway.doubts:
            return "the journal cannot be written"
        if gateway.incomplete or replay.incomplete:
            return "writes passed without a record; a full sweep has to find them"
        if replay.lag > self._patience:
            return f"replay is {replay.lag:.1f} s behind"
        return self._worry()

    @property
    def status(self) -> ReadsStatus:
        """As of now."""
        stats = self._gateway.stats
        return ReadsStatus(
            side=self._gateway.reads,
            closed=self.closed if self._gateway.ahead else "",
            answered=stats.reads_ahead,
            waited=self.waited,
            waited_seconds=round(self.waited_seconds, 3),
            longest_wait_ms=round(self.longest_wait * 1000, 1),
            fell_back=dict(stats.fell_back),
        )

    # -- the switch ----------------------------------------------------------------------------------------------

    async def switch(self, side: str) -> None:
        """Let reads go to a side; to the passive one only once what was under way before is recorded.

        When that takes long, it is left to `run`. Raises GatewayError, JournalError.
        """
        self._opening = True
        await self._gateway.switch_reads(side)
        if self._gateway.ahead:
            await self._open()

    async def run(self) -> None:
        """Look whether the passive side answers, for as long as reads go there; until cancelled."""
        while True:
            if self._gateway.ahead:
                await self._look()
            else:
                self._opening = True
            if self.closed != self._said and (self._gateway.ahead or self._said):
                self._said = self.closed if self._gateway.ahead else ""
                log.warning("reads_fall_back" if self._said else "reads_go_ahead", why=self._said)
            await asyncio.sleep(_LOOK)

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(_ANSWER):
                answers = await self._answers(self._gateway.reads)
        except (TimeoutError, CloudError):
            answers = False
        self._silent = "" if answers else "the passive side does not answer"
        if self._opening:
            try:
                await self._open()
            except JournalError as error:
                log.warning("reads_wait", reason=error.message)

    async def _open(self) -> None:
        """Reads may go ahead once everything that was answered by the rules of before is in the journal."""
        if await self._gateway.drained(_DRAIN):
            await self._journal.mark("reads", uuid.uuid4().hex)
            self._opening = not self._gateway.ahead

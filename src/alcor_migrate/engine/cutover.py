"""The handover of the API traffic from one side to the other: cutover forwards, reverse backwards, one protocol.

    catch up → look again at what changed just now, until a quiet moment → hold → in-flight writes drained
    → position taken *then* → replayed to it, as the attempt's own token confirms, with a last look at what changed
    since the first → recorded → flipped → released

Before the hold nobody waits, so it begins at a moment that leaves it the least to do: no write in flight, nothing to
replay, nothing changed since it was looked at. Where writes never cease there is no such moment; after some seconds
the hold begins all the same. Everything between hold and release happens within the hold's bound. Whatever is late or
fails releases the held writes to the old side; the attempt is counted, and another follows after a pause. Each
attempt has its own token, so that a stale mark is never taken for the new one. Nothing throttles inside the hold, and
no hook runs in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import structlog

from alcor_migrate.engine.replay import LastLook
from alcor_migrate.errors import GatewayError, MigrationError
from alcor_migrate.gateway import Route
from alcor_migrate.journal import HANDOVER

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from alcor_migrate.engine.replay import Replay
    from alcor_migrate.gateway import ApiGateway
    from alcor_migrate.journal import Journal

log = structlog.get_logger(__name__)

_T = TypeVar("_T")

_CATCH_UP = 15.0
_LOW_LAG = 0.3
_MOMENT = 0.005
"""Seconds between two looks for a quiet moment."""
_LAST_LOOK = 200
"""How many recently changed objects the last look reads again; more would not fit into the hold."""
_RESERVE = 0.2
"""The part of the hold in seconds that is kept for recording and flipping."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0

IN_FLIGHT, LAG, LATE, REJECTED, EXPIRED, ABORTED = (
    "writes in flight",
    "lag",
    "time",
    "rejected objects",
    "hold expired",
    "aborted",
)


class Attempt(msgspec.Struct, kw_only=True):
    """One try of a handover; durations are milliseconds, counted from the start of the hold."""

    token: str
    """Names this try in the journal."""
    at: float
    """When its hold began; or the attempt, if nothing was held."""
    succeeded: bool = False
    """Whether the traffic was switched."""
    reason: str = ""
    """Why not."""
    why: str = ""
    """The same in one of a few words, to be counted: `writes in flight`, `lag`, `time`, `rejected objects`, `hold
    expired`, `aborted`, `failed`."""
    max_hold: float = 0.0
    """The bound of its hold, in seconds."""
    drained_ms: float = 0.0
    """When the last write in flight had its outcome."""
    replayed_ms: float = 0.0
    """When everything up to `position` was applied, and what had changed just before was read again."""
    hold_ms: float = 0.0
    """When the waiting writes went on."""
    position: int = 0
    """The journal's position after the last write."""
    looked_at: int = 0
    """Objects that the last look read again."""
    found_late: int = 0
    """How many of them differed."""


class NotNow(MigrationError):
    """The handover cannot be done in this attempt; `why` is one of a few words."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class Handover:
    """Moves the traffic to `to`; `record` makes the new state durable and is called once, inside the hold.

    `wait_for_quiet`: seconds that a quiet moment is waited for before each hold. `quiet` is entered around each
    attempt, and `failed` is told of each that failed.
    """

    def __init__(
        self,
        gateway: ApiGateway,
        journal: Journal,
        replay: Replay,
        max_hold: float,
        quiet: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext,
        failed: Callable[[Attempt], None] = lambda _: None,
        wait_for_quiet: float = 0.0,
    ) -> None:
        self._gateway = gateway
        self._journal = journal
        self._replay = replay
        self._max_hold = max_hold
        self._quiet = quiet
        self._failed = failed
        self._wait_for_quiet = wait_for_quiet
        self._aborted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def abort(self, reason: str) -> None:
        """Do not switch any more: what is held goes to the old side. Too late once the switch is recorded."""
        if not self._aborted.done():
            self._aborted.set_result(reason)

    async def run(self, to: str, attempts: int, record: Callable[[Attempt], None]) -> list[Attempt]:
        """Try until it works or the attempts are used up; the last attempt says which."""
        made: list[Attempt] = []
        pause = _FIRST_PAUSE
        for _ in range(attempts):
            if made:
                await asyncio.wait({self._aborted}, timeout=pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                if self._aborted.done():
                    break
            attempt = Attempt(token=uuid.uuid4().hex, at=time.time(), max_hold=self._max_hold)
            made.append(attempt)
            async with self._quiet():
                await self._try(to, attempt, record)
            log.info("handover_attempt", to=to, **msgspec.to_builtins(attempt))
            if attempt.succeeded:
                break
            self._failed(attempt)
        return made

    async def _try(self, to: str, attempt: Attempt, record: Callable[[Attempt], None]) -> None:
        old, new = (Route.CAPTURE, Route.TARGET) if to == "target" else (Route.TARGET, Route.CAPTURE)
        try:
            looked = await self._unless_aborted(self._approach())
        except NotNow as error:
            attempt.reason, attempt.why = f"{error.message}; nothing was held", error.why
            return
        attempt.at, start = time.time(), time.monotonic()
        epoch = await self._gateway.hold(self._max_hold)

        def switch() -> None:
            # No turn of the event loop between these: what is recorded is what is done, whoever is cancelled.
            self._gateway.claim(epoch)
            record(attempt)
            self._replay.active = to
            attempt.succeeded = True

        try:
            await self._unless_aborted(self._hand_over(attempt, start, looked))
            switch()
        except NotNow as error:
            attempt.reason, attempt.why = error.message, error.why
        except TimeoutError:
            attempt.reason, attempt.why = "the hold's time was used up", LATE
        except MigrationError as error:
            attempt.reason, attempt.why = error.message, EXPIRED if isinstance(error, GatewayError) else "failed"
        finally:
            # Whatever happened, nobody waits any longer; a hold that gave up by itself went to the old side.
            with contextlib.suppress(GatewayError):
                await self._gateway.release(new if attempt.succeeded else old, epoch=epoch)
            attempt.hold_ms = _since(start)

    async def _hand_over(self, attempt: Attempt, start: float, looked: float) -> None:
        deadline = start + self._max_hold - _RESERVE
        if not await self._gateway.drained(deadline - time.monotonic()):
            raise NotNow(f"{self._gateway.in_flight_writes} writes were still in flight on the old side", IN_FLIGHT)
        attempt.drained_ms = _since(start)
        async with asyncio.timeout(deadline - time.monotonic()):
            look = self._replay.last_look = LastLook(attempt.token, looked, _LAST_LOOK)
            attempt.position = await self._journal.mark(HANDOVER, attempt.token)
            await self._replay.reach(attempt.position)
            if self._replay.confirmed != attempt.token:
                raise NotNow("replay did not come to the mark of this attempt", LATE)
            attempt.replayed_ms = _since(start)
            attempt.looked_at, attempt.found_late = look.looked_at, look.found
        if self._replay.poison:
            raise NotNow(f"{len(self._replay.poison)} objects were not taken by the passive side", REJECTED)

    async def _approach(self) -> float:
        """Come as near as can be while nobody waits; answers when what changed was last looked at (monotonic)."""
        await self._catch_up()
        looked, until = await self._look(), time.monotonic() + self._wait_for_quiet
        while (busy := self._journal.open_intents or not self._replay.idle) or self._replay.recent(looked):
            if time.monotonic() > until:
                looked = await self._look()
                await self._catch_up()
                break
            if busy:
                await asyncio.sleep(_MOMENT)
            else:
                looked = await self._look()
        return looked

    async def _look(self) -> float:
        """Read again what changed just now, so that little of it is left to the last look; answers when it began."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_CATCH_UP):
                await self._replay.recheck(self._replay.recent(), quickly=True)
        except TimeoutError:
            raise NotNow(f"what changed just now was not read again within {_CATCH_UP:g} s", LAG) from None
        return began

    async def _catch_up(self) -> None:
        """Wait, without holding anyone, until the lag is as low as it gets under load."""
        until = time.monotonic() + _CATCH_UP
        while self._replay.lag > _LOW_LAG or self._replay.trouble:
            if time.monotonic() > until:
                raise NotNow(f"the lag stayed above {_LOW_LAG:g} s for {_CATCH_UP:g} s", LAG)
            await asyncio.sleep(0.02)

    async def _unless_aborted(self, work: Coroutine[None, None, _T]) -> _T:
        """Do it, unless `abort` is called before it is done. Raises NotNow then."""
        task = asyncio.ensure_future(work)
        try:
            both: set[asyncio.Future[Any]] = {task, self._aborted}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise NotNow(self._aborted.result(), ABORTED)
        return task.result()


def _since(start: float) -> float:
    return round((time.monotonic() - start) * 1000, 1)

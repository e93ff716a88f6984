"""The handover of the API traffic from one side to the other: cutover forwards, reverse backwards, one protocol.

    catch up → hold → in-flight writes drained → position taken *then* → replayed to it → last look at what
    changed just now → recorded → flipped → released

Everything between hold and release happens within the hold's bound. Whatever is late or fails releases the held
writes to the old side; the attempt is counted, and another follows after a pause. Each attempt has its own token,
so that a stale mark is never taken for the new one. Nothing throttles inside the hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import TYPE_CHECKING

import msgspec
import structlog

from alcor_migrate.errors import GatewayError, MigrationError
from alcor_migrate.gateway import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_migrate.engine.replay import Replay
    from alcor_migrate.gateway import ApiGateway
    from alcor_migrate.journal import Journal

log = structlog.get_logger(__name__)

_CATCH_UP = 15.0
_LOW_LAG = 0.3
_LAST_LOOK = 200
"""How many recently changed objects the last look reads again; more would not fit into the hold."""
_RESERVE = 0.2
"""The part of the hold in seconds that is kept for recording and flipping."""


class Attempt(msgspec.Struct, kw_only=True):
    """One try of a handover; durations are milliseconds, counted from the start of the hold."""

    token: str
    """Names this try in the journal."""
    at: float
    """When it began."""
    succeeded: bool = False
    """Whether the traffic was switched."""
    reason: str = ""
    """Why not."""
    drained_ms: float = 0.0
    """When the last write in flight had its outcome."""
    replayed_ms: float = 0.0
    """When everything up to `position` was applied."""
    looked_ms: float = 0.0
    """When the last look had ended."""
    hold_ms: float = 0.0
    """When the waiting writes went on."""
    position: int = 0
    """The journal's position after the last write."""
    looked_at: int = 0
    """Objects that the last look read again."""
    found_late: int = 0
    """How many of them differed."""


class Late(MigrationError):
    """A step of the handover did not fit into the hold."""


class Handover:
    """Moves the traffic to `to`; `record` makes the new state durable and is called once, inside the hold."""

    def __init__(self, gateway: ApiGateway, journal: Journal, replay: Replay, max_hold: float) -> None:
        self._gateway = gateway
        self._journal = journal
        self._replay = replay
        self._max_hold = max_hold

    async def run(self, to: str, attempts: int, record: Callable[[Attempt], None]) -> list[Attempt]:
        """Try until it works or the attempts are used up; the last attempt says which."""
        made: list[Attempt] = []
        pause = 0.5
        for _ in range(attempts):
            if made:
                await asyncio.sleep(pause)
                pause = min(pause * 2, 10.0)
            attempt = Attempt(token=uuid.uuid4().hex, at=time.time())
            made.append(attempt)
            await self._try(to, attempt, record)
            log.info("handover_attempt", to=to, **msgspec.to_builtins(attempt))
            if attempt.succeeded:
                break
        return made

    async def _try(self, to: str, attempt: Attempt, record: Callable[[Attempt], None]) -> None:
        old, new = (Route.CAPTURE, Route.TARGET) if to == "target" else (Route.TARGET, Route.CAPTURE)
        if not await self._catch_up():
            attempt.reason = f"the lag stayed above {_LOW_LAG:g} s for {_CATCH_UP:g} s; nothing was held"
            return
        start = time.monotonic()
        epoch = await self._gateway.hold(self._max_hold)
        goes_to = old
        try:
            await self._hand_over(attempt, epoch, start, record)
            self._replay.active = to
            goes_to = new
        except (MigrationError, TimeoutError) as error:
            attempt.reason = str(error) or "the hold's time was used up"
        finally:
            # Whatever happened, nobody waits any longer; a hold that gave up by itself went to the old side.
            with contextlib.suppress(GatewayError):
                await self._gateway.release(goes_to, epoch=epoch)
            attempt.hold_ms = _since(start)
        attempt.succeeded = goes_to is new

    async def _hand_over(self, attempt: Attempt, epoch: int, start: float, record: Callable[[Attempt], None]) -> None:
        deadline = start + self._max_hold - _RESERVE
        if not await self._gateway.drained(deadline - time.monotonic()):
            raise Late(f"{self._gateway.in_flight_writes} writes were still in flight on the old side")
        attempt.drained_ms = _since(start)
        async with asyncio.timeout(deadline - time.monotonic()):
            attempt.position = await self._journal.mark("handover", attempt.token)
            await self._replay.reach(attempt.position)
            attempt.replayed_ms = _since(start)
            recent = sorted(self._replay.recent())[:_LAST_LOOK]
            attempt.looked_at = len(recent)
            attempt.found_late = len(await self._replay.recheck(recent))
            attempt.looked_ms = _since(start)
        if self._replay.poison:
            raise Late(f"{len(self._replay.poison)} objects were not taken by the passive side")
        # From here on the gateway no longer gives up on its own; what is recorded now is what is done.
        self._gateway.claim(epoch)
        record(attempt)

    async def _catch_up(self) -> bool:
        """Wait, without holding anyone, until the lag is as low as it gets under load."""
        until = time.monotonic() + _CATCH_UP
        while time.monotonic() < until:
            if self._replay.lag <= _LOW_LAG and not self._replay.trouble:
                return True
            await asyncio.sleep(0.02)
        return False


def _since(start: float) -> float:
    return round((time.monotonic() - start) * 1000, 1)

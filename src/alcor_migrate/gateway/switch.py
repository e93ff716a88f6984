"""The route, its epochs and the hold: what a gateway of one process and the master of several have in common."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec
import structlog

from alcor_migrate.errors import GatewayError, JournalError
from alcor_migrate.gateway.access import without_secrets
from alcor_migrate.gateway.hold import Room, Turn
from alcor_migrate.gateway.routes import Route
from alcor_migrate.gateway.stats import CLOSED, Stats

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from typing import Any

    from alcor_migrate.gateway.face import Recorder
    from alcor_migrate.gateway.metrics import Family
    from alcor_migrate.gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

_TOLD_EVERY = 1.0
"""Seconds between two lines of the log about reads that fell back for one reason."""


class Caller(msgspec.Struct, frozen=True):
    """Whose token it is."""

    project_id: str | None = None
    user_id: str | None = None


def closed(then: Callable[[str], None], many: int = 1) -> None:  # noqa: ARG001  (what is asked)
    """As long as nobody says how far the passive side is, no read goes there."""
    then(CLOSED)


class Switch:
    """Owns the route, the side of the reads, and the waiting room. Use it from one event loop.

    `route` is what happens to writes from now on, `reads` the side that serves reads; every change of them begins a
    new `epoch`. A subclass says how a change becomes known to those who serve clients (`_spread`), and when all of
    them follow it (`_followed`).
    """

    journal: Recorder

    def __init__(
        self,
        settings: GatewaySettings,
        route: Route,
        identify: Callable[[str], Awaitable[Caller | None]] | None,
    ) -> None:
        self.settings = settings
        self.route = route
        self.reads = route.side
        """The side that serves reads: `source` or `target`."""
        self.ahead = False
        """Whether that is the passive one; each read asks `permit` before it goes there."""
        self.permit: Callable[[Callable[[str], None], int], None] = closed
        """Tells so many reads that came just now, at once or later, that they may go to the passive side (an empty
        text), or why not: LATE or CLOSED. Who said something before is heard before this is asked."""
        self.doubts = 0
        """Answered writes whose outcome may not be in the journal yet."""
        self.epoch = 0
        self.queueing = False
        """Whether a write has to wait for its turn in the room."""
        self.incomplete = False
        """Whether a write has passed without a record (only under fail_open); see `mark_complete`."""
        self.misses = 0
        """Grows whenever one does: who heals looks at it before and after."""
        self.on_read: Callable[[bytes, str], None] | None = None
        """Told of the share `settings.shadow` of answered GETs: target and token. Must not wait or raise."""
        self.figures: Callable[[], Iterable[Family]] = tuple
        """Further figures to be served with those of the gateway."""
        self._own = Stats()
        """What happened here, in this process."""
        self._identify = identify
        self._active = route
        self._claimed = -1
        self._alarm: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._told: dict[str, float] = {}
        """When a read that fell back was last logged, by why."""
        self._room = Room(settings.max_held_requests, settings.max_held_bytes, self._own, self._flow)

    def sampled(self, target: bytes, token: str) -> None:
        """A GET was answered, and is one of the share that is told."""
        if self.on_read is not None:
            self.on_read(target, token)

    # -- for subclasses ------------------------------------------------------------------------------------------

    def _spread(self) -> None:
        """The route, the epoch or `queueing` has changed."""

    async def _followed(self, epoch: int) -> None:
        """Waits until nothing goes by an older epoch any more."""

    # -- the engine's --------------------------------------------------------------------------------------------

    @property
    def side(self) -> str:
        """The active side, where writes go: `source` or `target`."""
        return self._active.side

    @property
    def holding(self) -> bool:
        """Whether writes wait."""
        return self.route is Route.HOLD

    async def switch(self, route: Route) -> int:
        """Changes the route for all later requests; returns the new epoch, when it is followed everywhere.

        Raises GatewayError within a hold (see `release`), and when there is no target to switch to.
        """
        if route is Route.HOLD:
            return await self.hold()
        if self.holding:
            raise GatewayError("the route cannot be switched while writes are held", "Release the hold.")
        self._check(route)
        epoch = self._set(route)
        await self._followed(epoch)
        return epoch

    async def switch_reads(self, side: str) -> int:
        """Lets reads go to a side, while writes stay; returns the new epoch, when it is followed everywhere.

        When the writes follow, or come back, both are on one side again. Raises GatewayError within a hold, where
        there is no such side, and when writes are not recorded, so that nobody could say what a read must see.
        """
        if self.holding:
            raise GatewayError("reads cannot be switched while writes are held", "Release the hold.")
        if side != self.side and (self.settings.target is None or not self._active.captures):
            raise GatewayError(f"reads cannot go to the {side} now", "Give the gateway a target, and let it capture.")
        self.reads = side
        epoch = self._set(self.route)
        await self._followed(epoch)
        return epoch

    async def hold(self, max_hold: float | None = None) -> int:
        """Lets writes wait from now on, at most this many seconds; returns the new epoch, when no write passes.

        When the time has passed, or too many wait, they are let go on to the side that was active before, and
        `stats.holds_expired` counts it. Raises GatewayError when writes are held already.
        """
        if self.holding:
            raise GatewayError("writes are held already", "Release the hold that is there.")
        self._room.close()
        self.queueing = True
        epoch = self._set(Route.HOLD)
        seconds = self.settings.max_hold if max_hold is None else max_hold
        self._ring(seconds, self._expire_hold, epoch, "time")
        await self._followed(epoch)
        return epoch

    def claim(self, epoch: int) -> None:
        """Takes the hold of this epoch over: from now on it only ends by `release`.

        For the moment in which a switch is recorded, when giving up by itself would split the two sides. Raises
        GatewayError when the hold is over.
        """
        if not self.holding or epoch != self.epoch:
            raise _hold_is_over()
        self._claimed = epoch
        self._still()

    async def release(self, route: Route, *, epoch: int | None = None) -> int:
        """Lets the held writes go on by this route; returns the new epoch, when it is followed everywhere.

        A project's writes go on in the order of their arrival, each when the one before it was answered, for at most
        `release_patience`; what waits then goes on at once. Give the epoch of your own hold to be sure that it is
        still that one. Raises GatewayError when the hold is over, and then everything went to the old side.
        """
        if not self.holding or (epoch is not None and epoch != self.epoch):
            raise _hold_is_over()
        self._check(route)
        new = self._end_hold(route)
        await self._followed(new)
        return new

    # -- within --------------------------------------------------------------------------------------------------

    def _check(self, route: Route) -> None:
        if route is Route.HOLD or (route.side == "target" and self.settings.target is None):
            msg = f"there is nothing behind the route {route.value}"
            raise GatewayError(msg, "Give the gateway the address of its target.")

    def _set(self, route: Route) -> int:
        self.route = route
        if route is not Route.HOLD:
            if route.side != self.side or not route.captures:
                self.reads = route.side
            self._active = route
        self.ahead = self.reads != self.side
        self.epoch += 1
        self._own.epoch = self.epoch
        log.info(
            "route_switched",
            route=route.value,
            side=self.side,
            reads=self.reads,
            epoch=self.epoch,
            held=len(self._room),
        )
        self._spread()
        return self.epoch

    def _end_hold(self, route: Route) -> int:
        epoch = self._set(route)
        # before the first goes: when all of them have gone, this alarm is stilled again
        self._ring(self.settings.release_patience, self._room.open_wide)
        self._room.open()
        return epoch

    def _expire_hold(self, epoch: int, why: str) -> None:
        if self.holding and self.epoch == epoch != self._claimed:
            self._own.holds_expired += 1
            log.warning("hold_expired", why=why, held=len(self._room), side=self.side)
            self.spawn(self._followed(self._end_hold(self._active)))

    def _end_holding(self) -> None:
        """Nothing waits any longer, except in a claimed hold: its writes may belong to the new side by now."""
        if self.holding and self._claimed != self.epoch:
            self._end_hold(self._active)
        if not self.holding:
            self._room.open_wide()

    def _flow(self) -> None:
        """Nobody waits any more."""
        self._still()
        if self.queueing:
            self.queueing = False
            self._spread()

    def _ring(self, seconds: float, then: Callable[..., object], *arguments: object) -> None:
        self._still()
        self._alarm = asyncio.get_running_loop().call_later(seconds, then, *arguments)

    def _still(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    # -- reads that go ahead -------------------------------------------------------------------------------------

    def doubt(self) -> None:
        """A write was answered although its outcome is not durable: no read goes ahead until it is."""
        self.doubts += 1
        self.spawn(self._settle_doubt())

    async def _settle_doubt(self) -> None:
        try:
            # the journal keeps the order: what was given to it before this is in it when this is
            await self.journal.mark("doubt", str(self.epoch))
        except JournalError as error:
            log.error("doubt_stays", error=error.message)  # noqa: TRY400  (known)
        else:
            self.doubts -= 1

    def fell_back(self, why: str, target: bytes) -> None:
        """A read is asked of the active side, although reads go to the passive one."""
        stats = self._own
        stats.fell_back[why] = stats.fell_back.get(why, 0) + 1
        now = time.monotonic()
        if now - self._told.get(why, -_TOLD_EVERY) >= _TOLD_EVERY:
            self._told[why] = now
            log.warning("read_fell_back", why=why, target=without_secrets(target), so_far=stats.fell_back[why])

    # -- turns ---------------------------------------------------------------------------------------------------

    def enter_room(self, turn: Turn) -> None:
        """A write waits for its turn; whose it is, is found out meanwhile."""
        self._own.held_total += 1
        if self._identify is not None and self._room.asks_for(turn.token):
            self.spawn(self._name(turn.token))
        if not self._room.enter(turn):
            # not from here: who waits last has to be waiting before it is let go
            asyncio.get_running_loop().call_soon(self._expire_hold, self.epoch, "too many")

    def leave_room(self, turn: Turn) -> None:
        """Its turn is over."""
        self._room.leave(turn)

    async def _name(self, token: str) -> None:
        caller = await self.caller(token)
        if caller is not None and caller.project_id is not None:
            self._room.name(token, caller.project_id)

    async def caller(self, token: str) -> Caller | None:
        """Whose token it is, as far as that can be found out."""
        if self._identify is None or not token:
            return None
        try:
            return await self._identify(token)
        except Exception as error:  # noqa: BLE001  (somebody else's code; not knowing the caller is harmless)
            log.warning("caller_unknown", error=type(error).__name__)
            return None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task that stop() waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _hold_is_over() -> GatewayError:
    """Who claims or releases a hold comes too late."""
    return GatewayError(
        "the hold is over: its time had passed and the writes went on to the old side",
        "Repeat the step; nothing was lost.",
    )

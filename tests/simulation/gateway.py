"""The gateway of the simulation: the protocol of routes, holds and epochs, without bytes."""

import asyncio
import contextlib

from alcor_migrate.errors import GatewayError
from alcor_migrate.gateway import ORPHAN_PATIENCE, Route
from alcor_migrate.journal import Intent, Outcome
from tests.simulation.cloud import PROJECT, Dead

PATIENCE = 0.5
"""Seconds that the gateway waits for an answer. What a side began it still ends, within `ORPHAN_PATIENCE`."""


class SimulatedGateway:
    """As `alcor_migrate.gateway.Gateway`, for the engine; `request` is what users call."""

    incomplete = False
    misses = 0
    doubts = 0
    permit = None

    def __init__(self, world, route, reads):
        self.route = route
        self.reads = reads
        self.epoch = 0
        self._world = world
        self._active = route
        self._waiting = []
        self._claimed = -1
        self._alarm = None
        self._in_flight = {}
        self.doubtful = 0
        """Writes that a side may still be at work on, though their answer was lost."""
        self.unrecorded = 0
        """Reads that may have written, and of which nothing is in the journal yet."""

    @property
    def in_flight_writes(self):
        return sum(n for epoch, n in self._in_flight.items() if epoch < self.epoch)

    async def request(self, method, path, body=None):
        """(status, answer). Raises Dead when the client sees no answer, or one that tells nothing (502)."""
        may_write = method == "GET" and path.endswith("/security-groups")
        if method == "GET" and not may_write:
            return await self._read(method, path)
        while self.route is Route.HOLD:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        epoch, side = self.epoch, self.route.side
        self._in_flight[epoch] = self._in_flight.get(epoch, 0) + 1
        try:
            answer, outcome, record = await self._pass(method, path, body, side, may_write)
        except BaseException:
            self._in_flight[epoch] -= 1
            raise
        recorded = self._world.engine.do(self._record(epoch, outcome, record))
        if outcome.unknown:
            raise Dead
        await recorded
        return outcome.status, answer

    async def _record(self, epoch, outcome, record):
        """Of a lost answer only when the side has had time to end what it is at work on."""
        try:
            if outcome.unknown:
                self.doubtful += 1
                await asyncio.sleep(ORPHAN_PATIENCE)
                self.doubtful -= 1
            await record(outcome)
        finally:
            self._in_flight[epoch] -= 1

    @property
    def ahead(self):
        return self.reads != self._active.side

    async def _read(self, method, path):
        """From the passive side, when reads go there and it may be asked, and has good news."""
        clouds = self._world.clouds
        if self.ahead:
            permitted = asyncio.get_running_loop().create_future()
            # who waits may have been killed meanwhile
            self.permit(lambda why: permitted.done() or permitted.set_result(why), 1)
            if not await permitted and self.ahead:
                with contextlib.suppress(Dead):
                    status, answer = await clouds[self.reads].serve(method, path)
                    if status < 300:
                        self._world.reads_ahead += 1
                        return status, answer
        return await clouds[self._active.side].serve(method, path)

    async def _pass(self, method, path, body, side, may_write):
        world, encode = self._world, self._world.encode
        route = "target" if side == "target" else "capture"
        now = world.clock.time()
        intent = Intent(
            method=method, path=path, request_id="r", started_at=now, body=encode(body), route=route, side=side
        )
        journal = world.engine.journal
        if may_write:
            self.unrecorded += 1

            async def record(outcome):
                await journal.read_that_wrote(intent, outcome)
                self.unrecorded -= 1
        else:
            seq = await journal.intent(intent)

            async def record(outcome):
                await journal.outcome(seq, outcome)

        try:
            async with asyncio.timeout(PATIENCE):
                status, answer = await world.clouds[side].serve(method, path, body)
        except (Dead, TimeoutError):
            return None, Outcome(status=0, finished_at=world.clock.time(), how="lost", project_id=PROJECT), record
        return answer, self._outcome(status, answer), record

    def _outcome(self, status, answer):
        world = self._world
        return Outcome(status=status, finished_at=world.clock.time(), body=world.encode(answer), project_id=PROJECT)

    # -- for the engine --------------------------------------------------------------------------------------

    async def switch_reads(self, side):
        await asyncio.sleep(0)
        self.reads = side
        self.epoch += 1
        return self.epoch

    async def hold(self, max_hold=None):
        await asyncio.sleep(0)
        self.route = Route.HOLD
        self.epoch += 1
        self._alarm = asyncio.get_running_loop().call_later(max_hold, self._expire, self.epoch)
        return self.epoch

    def _expire(self, epoch):
        if self.epoch == epoch and self._claimed != epoch:
            self._go_on(self._active)

    def claim(self, epoch):
        if self.epoch != epoch:
            raise GatewayError("the hold is over")
        self._claimed = epoch

    async def release(self, route, *, epoch=None):
        if self.epoch != epoch:
            raise GatewayError("the hold is over")
        self._go_on(route)
        return self.epoch

    def _go_on(self, route):
        self._alarm.cancel()
        if route.side != self._active.side:
            self.reads = route.side
        self.route = self._active = route
        self.epoch += 1
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def drained(self, timeout):  # noqa: ASYNC109  # the protocol's own
        until = self._world.clock.monotonic() + timeout
        while self.in_flight_writes:
            if self._world.clock.monotonic() >= until:
                return False
            await asyncio.sleep(0.001)
        return True

    def mark_complete(self):
        self.incomplete = False

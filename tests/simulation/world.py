"""One simulated cloud, its users, and the life (and deaths) of the migration's process."""

import asyncio
import json
from contextlib import ExitStack
from random import Random
from unittest import mock

from alcor_migrate.engine.copy import Copy, CopyProgress
from alcor_migrate.engine.cutover import Handover
from alcor_migrate.engine.reads import Reads
from alcor_migrate.engine.replay import Replay
from alcor_migrate.engine.steering import Brakes, Steering
from alcor_migrate.engine.upkeep import Upkeep
from alcor_migrate.errors import CloudError
from alcor_migrate.gateway import Route
from alcor_model import differences, load_order, resource
from tests.simulation.cloud import SimulatedCloud
from tests.simulation.gateway import SimulatedGateway
from tests.simulation.simulated import Disk, SimulatedClock, SimulatedJournal, SimulatedLoop
from tests.simulation.users import Users

_TIMED = ("replay", "cutover", "verify", "copy", "reads", "upkeep")
PAGE = 3
SIMULATED = {"network", "subnet", "security_group", "security_group_rule", "router", "port"}


def resources():
    """Those of which there is something, in their order of loading; listing the others would only take time."""
    return tuple(of for of in load_order() if of.name in SIMULATED)


class Engine:
    """One life of the migration's process, from the disk it finds to its death. Says what the conductor says."""

    def __init__(self, world):
        kept = world.disk.kept
        self._world = world
        self._tasks = set()
        self.journal = SimulatedJournal(world.disk, world.clock, world.random)
        self.replay = Replay(
            self.journal, world.clouds, kept.get("applied", 0), PAGE, self._save_applied, self._note_unfinished
        )
        self.replay.unfinished = kept.get("unfinished", set())
        self.replay.active = kept.get("active", "source")
        route = Route.TARGET if self.replay.active == "target" else Route.CAPTURE
        self.gateway = SimulatedGateway(world, route, kept.get("reads", self.replay.active))
        self.reads = Reads(self.gateway, self.journal, self.replay, 1.0, self._answers)
        self.gateway.permit = self.reads.permit
        steering = Steering(
            chunk_size=PAGE, max_hold=3.0, max_lag=1.0, source_latency=1.0, brakes=Brakes(), save=lambda _: None
        )
        self.upkeep = Upkeep(world.disk, self.journal, self.replay, self.gateway, steering, verify_max_age=600.0)
        self.copied = CopyProgress()
        self.ready = False

    def start(self):
        self.do(self._settle_unknown_writes())
        self.do(self.replay.run())
        self.do(self.reads.run())
        self.do(self._bring_to_ready())

    def do(self, work):
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        return task

    def _save_applied(self, position):
        self._world.disk.kept.update(applied=position)
        self.reads.applied(position)

    def _note_unfinished(self, keys):
        self._world.disk.kept.update(unfinished=set(keys))

    async def _answers(self, side):
        return not self._world.clouds[side].down

    async def _settle_unknown_writes(self):
        for unsettled in await self.journal.unsettled():
            await self.journal.settle(unsettled.seq, "found without an outcome at start")

    async def _bring_to_ready(self):
        kept = self._world.disk.kept
        while not kept.get("copied"):
            try:
                await Copy(self._world.clouds["source"], self.journal, self.replay, PAGE, self.copied).run(
                    lambda _: None
                )
                kept["copied"] = True
            except CloudError:
                await asyncio.sleep(1)
        await self.sweep()
        self.ready = True

    async def sweep(self):
        """Find what passed the gateway by, as often as it takes for both sides to answer."""
        while True:
            try:
                self._see_doubts()
                await self.upkeep.sweep()
                self._see_doubts()
            except CloudError:
                await asyncio.sleep(1)
            else:
                return

    def _see_doubts(self):
        """A sweep may find what a write has done whose outcome is not recorded yet."""
        self._world.late = self._world.late or self.gateway.doubtful > 0

    async def hand_over(self, to):
        if self.replay.active == to or self.replay.poison:
            return
        patience = self._world.random.choice([0.0, 0.0, 20.0])
        handover = Handover(self.gateway, self.journal, self.replay, 3.0, wait_for_quiet=patience)
        made = await handover.run(to, 2, lambda _: self._world.disk.kept.update(active=to, reads=to))
        self._world.handovers += [(to, attempt) for attempt in made]

    async def switch_reads(self, to):
        self._world.disk.kept.update(reads=to)
        await self.reads.switch(to)

    def die(self):
        for task in self._tasks:
            task.cancel()
        self.journal.crash()

    def complaints(self):
        """Tasks that ended by themselves in an error."""
        ended = [t for t in self._tasks if t.done() and not t.cancelled()]
        return [repr(t.exception()) for t in ended if t.exception()]


class World:
    """Everything, in simulated time. Close it."""

    def __init__(self, seed):
        self.random = Random(seed)
        self.loop = SimulatedLoop()
        self.clock = SimulatedClock(self.loop)
        self._patches = ExitStack()
        for module in _TIMED:
            self._patches.enter_context(mock.patch(f"alcor_migrate.engine.{module}.time", self.clock))
        for module in ("copy", "upkeep"):
            self._patches.enter_context(mock.patch(f"alcor_migrate.engine.{module}.load_order", resources))
        self.disk = Disk()
        self.clouds = {name: SimulatedCloud(name, self) for name in ("source", "target")}
        self.users = Users(self)
        self.engine = None
        self.handovers = []
        self.reads_ahead = 0
        """Reads that the passive side answered."""
        self.swept = 0
        """Objects that sweeps found; the log names them."""
        self.late = False
        """Whether a process started while a cloud was still at work on what the one before it had sent."""
        self._requests = set()
        self.restart()

    @staticmethod
    def encode(value):
        return b"" if value is None else json.dumps(value).encode()

    @property
    def active(self):
        return self.clouds[self.disk.kept.get("active", "source")]

    @property
    def reversed(self):
        """Whether the traffic was ever on the target; Neutron's own numbers and times are then left to the sweep."""
        return any(attempt.succeeded for _, attempt in self.handovers)

    def user(self, work):
        """A user begins something, and does not wait for it here. With the process dead, nobody listens."""
        if self.engine is None:
            work.close()
            return
        task = self.loop.create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    def crash(self):
        """SIGKILL of the migration's process. What the clouds have begun they finish."""
        if self.engine is None:
            return
        for task in list(self._requests):
            task.cancel()
        # A read that may write is recorded after it, so one that is cut off is left to the sweep.
        self.late = self.late or self.engine.gateway.unrecorded > 0
        self.engine.die()
        self.swept += self.engine.upkeep.swept.found
        self.engine = None
        self.loop.advance(0)

    def restart(self):
        if self.engine is None:
            self.late = self.late or any(cloud.serving for cloud in self.clouds.values())

            async def begin():
                self.engine = Engine(self)
                self.engine.start()

            self.loop.run_until_complete(begin())

    def mend(self):
        """All that was broken works again."""
        for cloud in self.clouds.values():
            cloud.down, cloud.slowness = False, 1.0
        self.restart()

    def heal(self):
        """All works, and everything has the time it needs, a sweep included."""
        self.mend()
        self.loop.advance(60)
        self.loop.run_until_complete(self.engine.journal.wait(0) if self.disk.events else asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.wait_for(self.engine.replay.reach(self.engine.journal.position), 60))
        self.loop.run_until_complete(asyncio.wait_for(self.engine.sweep(), 600))

    def differences(self, *, given=False):
        """What the two sides hold differently, found without a sweep; with `given` only what users can give."""
        return [
            (key, found)
            for key in sorted(self.clouds["source"].objects.keys() | self.clouds["target"].objects.keys())
            if (found := self._difference(key, given=given))
        ]

    def _difference(self, key, *, given):
        held = [self.clouds[name].objects.get(key) for name in ("source", "target")]
        if None in held:
            return None if held[0] is held[1] else "is on one side only"
        return [str(d) for d in differences(resource(key.resource), *held, given=given)]

    def count(self, into):
        """Add what happened here."""
        into["schedules"] += 1
        into["acknowledged writes"] += self.users.acknowledged
        into["reads ahead"] += self.reads_ahead
        into["simulated hours"] += self.loop.time() / 3600
        for to, attempt in self.handovers:
            into[("cutovers" if to == "target" else "reverses") if attempt.succeeded else "late handovers"] += 1

    def close(self):
        self.crash()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.advance(0)
        self._patches.close()
        self.loop.close()

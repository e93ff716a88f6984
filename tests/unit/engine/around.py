"""A migration whose surroundings are in memory: both sides, the gateway, the catalogue."""

import asyncio
import contextlib
from unittest.mock import patch

from memory import MemorySide

from alcor_migrate.engine.conductor import Migration
from alcor_migrate.errors import GatewayError
from alcor_migrate.gateway import Route, Stats
from alcor_migrate.settings import EngineSettings, GatewayOptions, Settings, SourceSettings, TargetSettings
from alcor_model import load_order


class StandInGateway:
    """Does what a gateway says it does, without any network; `drains` says how the wait for writes in flight ends."""

    def __init__(self, route):
        self.route = route
        self.active = route
        self.reads = route.side
        self.doubts = 0
        self.epoch = 0
        self.incomplete = False
        self.misses = 0
        self.in_flight_writes = 0
        self.stats = Stats()
        self.drains = True
        self.told = []
        self.on_drain = None

    async def start(self):
        self.told.append("start")

    async def stop(self):
        self.told.append("stop")

    async def switch(self, route):
        if route.side != self.active.side or not route.captures:
            self.reads = route.side
        self.route = self.active = route
        self.epoch += 1
        return self.epoch

    @property
    def ahead(self):
        return self.reads != self.active.side

    async def switch_reads(self, side):
        self.told.append(f"reads {side}")
        self.reads = side
        self.epoch += 1
        return self.epoch

    async def hold(self, max_hold=None):
        self.told.append(f"hold {max_hold:g}")
        self.route = Route.HOLD
        self.epoch += 1
        return self.epoch

    async def drained(self, timeout):  # noqa: ASYNC109  # the gateway's
        self.told.append("drained")
        if self.on_drain:
            await self.on_drain()
        if not self.drains:
            await asyncio.sleep(min(timeout, 0.05))
        return self.drains

    def claim(self, epoch):
        if self.route is not Route.HOLD or epoch != self.epoch:
            raise GatewayError("the hold is over")

    async def release(self, route, *, epoch=None):
        self.told.append(f"release {route.value}")
        if self.route is not Route.HOLD or epoch not in (None, self.epoch):
            raise GatewayError("the hold is over")
        return await self.switch(route)

    def mark_complete(self):
        self.incomplete = False


class MemorySurroundings:
    """Neutron, Alcor, gateway and catalogue in memory; they outlive a migration that is started again."""

    def __init__(self):
        self.source, self.target = MemorySide("source"), MemorySide("target")
        self.made = []
        self.ids = True
        self.answers = True
        self.probed = 0
        self.probe_seconds = 0.0
        self.listed_agents = []
        self.moved = []
        self.says = {}
        self.set_aside = {}

    def __call__(self, _settings):
        return self

    async def check(self):
        return self.ids

    async def ids_can_be_given(self):
        return self.ids

    async def target_answers(self):
        return self.answers

    async def probe(self):
        self.probed += 1
        await asyncio.sleep(self.probe_seconds)

    async def estimate(self):
        return {}

    def gateway(self, _journal, route):
        self.made.append(StandInGateway(route))
        return self.made[-1]

    async def move_catalogue(self):
        self.moved.append("public http://gateway")
        return self.moved

    def asker(self):
        return self

    async def ask(self, side, target, token):
        return self.says[side](target, token)

    async def agents(self):
        return self.listed_agents

    async def close(self):
        pass


def settings(directory, **engine):
    return Settings(
        source=SourceSettings(cloud="prod", url="http://neutron"),
        target=TargetSettings(url="http://alcor"),
        gateway=GatewayOptions(listen="127.0.0.1:1", max_hold=30.0, shadow=engine.pop("shadow", 0.0)),
        state_dir=str(directory / "state"),
        engine=EngineSettings(sweep_interval=engine.pop("sweep_interval", 30.0), **engine),
    )


FEW = [of for of in load_order() if of.name in {"network", "subnet", "router", "port"}]


@contextlib.asynccontextmanager
async def migrating(directory, around, **engine):
    """A running migration of a few resources; started again in the same directory, it goes on."""
    with contextlib.ExitStack() as patched:
        for module in ("copy", "verify", "upkeep"):
            patched.enter_context(patch(f"alcor_migrate.engine.{module}.load_order", lambda: FEW))
        patched.enter_context(patch("alcor_migrate.engine.verify._PAUSE", 0.01))
        migration = Migration(settings(directory, **engine), "olga", around)
        await migration.start()
        try:
            yield migration
        finally:
            await migration.close()


async def until(check, seconds=60.0):
    """Wait for something to become true, bounded by a time that only matters when it never does."""
    async with asyncio.timeout(seconds):
        while not check():
            await asyncio.sleep(0.01)

"""Any schedule of writes, faults, copies and handovers keeps the promises of the design."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from alcor_model import resource
from tests.simulation.world import World

picks = st.integers(0, 1000)
TRIED = Counter()
"""What happened in all schedules together."""


class Schedule(RuleBasedStateMachine):
    """Rules are what may happen next; what must hold is asked at the end, when everything works again."""

    def __init__(self):
        super().__init__()
        self.world = None
        self.bypassed = False

    @initialize(seed=st.integers(0, 2**32), networks=st.integers(0, 5), copied=st.booleans())
    def begin(self, seed, networks, copied):
        self.world = World(seed)
        for number in range(networks):  # what was there before the migration
            source = self.world.clouds["source"]
            network = source._create(resource("networks"), {"name": f"old-{number}"})
            subnet = source._create(resource("subnets"), {"name": f"old-{number}", "network_id": network["id"]})
            self.world.users.meet(resource("networks"), network)
            self.world.users.meet(resource("subnets"), subnet)
        if copied:
            self.world.loop.advance(30)

    @property
    def known(self):
        return self.world.users.known

    # -- users -----------------------------------------------------------------------------------------------

    @rule(many=st.integers(1, 3))
    def create_networks(self, many):
        self.world.user(self.world.users.create("network", many))

    @rule(pick=picks, what=st.sampled_from(["subnet", "port"]))
    def create_below_a_network(self, pick, what):
        if above := self.known("network"):
            self.world.user(self.world.users.create(what, network_id=above[pick % len(above)].id))

    @rule()
    def create_security_group(self):
        self.world.user(self.world.users.create("security_group"))

    @rule()
    def create_router(self):
        self.world.user(self.world.users.create("router"))

    @rule(pick=picks)
    def plug_router(self, pick):
        if routers := self.known("router"):
            self.world.user(self.world.users.plug(routers[pick % len(routers)]))

    @rule(pick=picks, times=st.integers(1, 3))
    def rename(self, pick, times):
        if known := self.known("network", "subnet", "port", "security_group", "router"):
            for _ in range(times):
                self.world.user(self.world.users.rename(known[pick % len(known)]))

    @rule(pick=picks)
    def delete(self, pick):
        if known := self.known("network", "subnet", "security_group", "router"):
            self.world.user(self.world.users.delete(known[pick % len(known)]))

    @rule()
    def list_groups(self):
        self.world.user(self.world.users.list_groups())

    # -- time and faults -------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.005, 0.05, 0.5, 5.0]))
    def let_time_pass(self, seconds):
        self.world.loop.advance(seconds)

    @rule()
    def all_is_well_for_a_while(self):
        self.world.mend()
        self.world.loop.advance(30)

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0]))
    def kill(self, seconds):
        self.world.loop.advance(seconds)
        self.world.crash()
        TRIED["kills"] += 1

    @rule(seconds=st.sampled_from([1.0, 4.0]))
    def stop_the_process_for_a_while(self, seconds):
        self.world.loop.stand_still(seconds)

    @rule()
    def start_again(self):
        self.world.restart()

    @rule(side=st.sampled_from(["source", "target"]), down=st.booleans())
    def break_or_mend_a_side(self, side, down):
        self.world.clouds[side].down = down

    @rule(side=st.sampled_from(["source", "target"]))
    def cut_the_next_answer(self, side):
        self.world.clouds[side].cuts_an_answer = True

    @rule(side=st.sampled_from(["source", "target"]), slowness=st.sampled_from([0.01, 1.0, 20.0]))
    def change_speed(self, side, slowness):
        self.world.clouds[side].slowness = slowness

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def set_the_clock(self, seconds):
        self.world.clock.jumped += seconds

    @precondition(lambda self: self.world.active.name == "source")
    @rule(pick=picks)
    def an_agent_writes_past_the_gateway(self, pick):
        self.bypassed = True
        source = self.world.clouds["source"]
        networks = source._of("network")
        if networks:
            network = sorted(networks)[pick % len(networks)]
            source._create(resource("ports"), {"name": "", "network_id": network, "device_owner": "network:dhcp"})

    # -- the operator ----------------------------------------------------------------------------------------

    @rule(to=st.sampled_from(["source", "target"]), slowness=st.sampled_from([0.1, 1.0, 30.0]))
    def hand_over(self, to, slowness):
        engine = self.world.engine
        if engine and engine.ready:
            self.world.clouds["source"].slowness = slowness
            self.world.loop.run_until_complete(self._begin(engine, to))
            self.world.loop.advance(0.1)

    @rule(ahead=st.booleans(), picks=st.lists(picks, max_size=6))
    def switch_reads_while_users_write(self, ahead, picks):
        engine = self.world.engine
        if engine and engine.ready:
            active = self.world.active.name
            passive = "target" if active == "source" else "source"
            self.world.loop.run_until_complete(self._begin(engine, passive if ahead else active, reads=True))
            self.world.loop.advance(0.6)
            for pick in picks:
                self.create_networks(1)
                self.rename(pick, 1)
                self.delete(pick // 2)
                self.world.loop.advance(pick / 1000)

    async def _begin(self, engine, to, *, reads=False):
        if not any(t.get_name() == "verb" and not t.done() for t in engine._tasks):
            engine.do(engine.switch_reads(to) if reads else engine.hand_over(to)).set_name("verb")

    # -- what must hold --------------------------------------------------------------------------------------

    def teardown(self):
        if self.world is None:
            return
        world = self.world
        try:
            world.heal()
            if not self.bypassed and not world.late and not world.reversed:
                # Copy and replay alone make the sides equal, and nothing is left to the sweep.
                assert world.swept + world.engine.upkeep.swept.found == 0
            assert world.engine.complaints() == []
            assert world.differences(given=world.active.name == "target") == []
            world.users.judge(world.active)
            assert world.users.broken == []
            world.count(TRIED)
        finally:
            world.close()

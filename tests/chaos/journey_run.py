"""One run of a journey: the operator who asks for each step, the blows on its way, the look at both sides after."""

import asyncio
import contextlib
import json
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from alcor_model.errors import AlcorError
from lab import LabError
from lab.workload import Workload
from tests.chaos.journey_blows import armoury, call
from tests.chaos.journey_ground import OPERATOR, STATUS_PATIENCE, Trial
from tests.chaos.journey_judge import GRACE, Evidence, Window, judge
from tests.chaos.journey_plan import AHEAD, BACK, VERBS, Plan, is_there, reads_at
from tests.chaos.journey_wire import Wire
from tests.chaos.judge import Verdict

CLIENTS = 3
RATE = 2.5  # operations a second, of all clients together
SLOW_RATE = 0.4  # the same while a busy machine cannot follow
FAR_BEHIND = 4.0  # seconds of lag: twice what keeps a gate closed
PATIENCE = 300.0  # seconds in which the journey must go on once all is repaired
VERB_PATIENCE = 90.0  # seconds
LOOK = 0.2  # seconds
PACE_LOOK = 1.0  # seconds
AFTER_REFUSAL = 0.3  # seconds
LINGER = 1.5  # seconds in which users read ahead before anything else is asked for
AFTER_RESUME = 1.0  # seconds: what needs attention is looked at about once in so many
HOUSEWARMING = 20.0  # seconds
BELONGINGS = 4  # objects of each user before the first blow
LONGEST = 4.0  # seconds from a blow to its repair: longer than a hold may last, and than a health check waits


@dataclass
class Run:
    """One run: its plan, its parts, what was seen of it. `slowness` stretches all patience, for a slow machine."""

    plan: Plan
    folder: Path
    slowness: float = 1.0
    blows: Counter = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    windows: list = field(default_factory=list)
    troubles: list = field(default_factory=list)
    said: Counter = field(default_factory=Counter)
    """What verbs were refused for."""
    spent: Counter = field(default_factory=Counter)
    """Seconds of each part of the run."""
    acknowledged: int = 0
    unknown: int = 0
    requests: int = 0
    broken: int = 0
    """Requests that a fault broke."""
    ahead: int = 0
    """Reads that the passive side was seen to have answered."""
    down: bool = False
    """Whether something is broken right now."""
    unbroken: bool = False
    """Whether the run came to its verdict."""

    @property
    def seed(self):
        return self.plan.seed

    @property
    def seconds(self):
        return sum(self.spent.values())

    async def live(self, ground, databases, clock):
        """Everything from the start to the verdict."""
        self.rng = random.Random(self.seed)
        self.ground, wires = ground, dict(ground.wires)
        url, journal, wire = "", None, None
        if self.plan.reads_database and ground.reading is not None:
            wires["source database wire"] = ground.reading
        workload = self.workload = Workload(ground.lab, CLIENTS, seed=self.seed)
        with self._spending("start"):
            if self.plan.store != "sqlite":
                server, real = await asyncio.to_thread(databases.get, self.plan.store)
                wire, url = await _by_wire(databases, real)
                wires["journal wire"] = wire
                journal = (self.plan.store, databases._processes, server.start)
        clock = clock if self.plan.turns_clock else None
        self.trial = Trial(ground, url, self.plan, clock, self.slowness)
        started = False
        try:
            with self._spending("start"):
                await asyncio.to_thread(self.trial.start)
            self.arms = armoury(self.trial, wires, self.rng, journal)
            with self._spending("housewarming"):
                await asyncio.to_thread(workload.start)
                started = True
                await self._until_users_are_at_home()
            workload.pace(RATE)
            await self._travel()
            with self._spending("look"):
                result = await asyncio.to_thread(workload.stop)
                started = False
                await self._judge(result)
        finally:
            with self._spending("end"):
                if started:
                    with contextlib.suppress(LabError):  # what broke the run is told already
                        await asyncio.to_thread(workload.stop)
                if wire:
                    await wire.close()
                await asyncio.to_thread(self._end_trial)

    @contextlib.contextmanager
    def _spending(self, what):
        begun = time.monotonic()
        try:
            yield
        finally:
            self.spent[what] += time.monotonic() - begun

    def _end_trial(self):
        """Keep what the migration has kept, unless its run was well, and stop it."""
        kept = self.trial.state_dir
        if not (self.verdict.well and self.unbroken) and kept.exists():
            ignore = shutil.ignore_patterns("*.sock")
            shutil.copytree(kept, self.folder / "state", ignore=ignore, dirs_exist_ok=True)
        try:
            self.trial.stop()
        finally:
            self.trial.disk.empty()
            self.trial.disk.remove()

    async def _strike(self):
        """One blow, sometimes two at once; repaired when this returns."""
        parts = sorted({arm.part for arm in self.arms})
        hit = self.rng.sample(parts, k=1 if self.rng.random() < 0.7 else 2)
        blows = [self.rng.choice([arm for arm in self.arms if arm.part == part]) for part in hit]
        pause = min(0.1 + self.rng.expovariate(1.0), LONGEST)
        start = time.time()
        self.down = True
        name = " and ".join(blow.name for blow in blows)
        self._log(f"{name}, for {pause:.1f} s")
        try:
            for blow in blows:
                self.blows[blow.name] += 1
                await call(blow.strike)
            await asyncio.sleep(pause)
        finally:
            for blow in sorted(blows, key=lambda blow: blow.turn):
                await call(blow.mend)
            self.windows.append(Window(start, time.time(), name))
            self.down = False
            self._log(f"repaired after {time.time() - start:.1f} s")

    # -- the journey ---------------------------------------------------------------------------------------------

    async def _until_users_are_at_home(self):
        """Without a few objects of their own they have little to do for the rest of the run."""
        deadline = time.monotonic() + HOUSEWARMING * self.slowness
        while self.workload.snapshot().writes_acknowledged < CLIENTS * BELONGINGS and time.monotonic() < deadline:
            await asyncio.sleep(LOOK)

    async def _travel(self):
        """Every step, with blows while it is on its way."""
        pace = asyncio.create_task(self._keep_pace())
        try:
            for step in self.plan.steps:
                with self._spending(step):
                    await self._one(step)
                if self.troubles:
                    return
        finally:
            pace.cancel()
            await asyncio.gather(pace, return_exceptions=True)

    async def _one(self, step):
        self._log(f"to {step}")
        going = asyncio.create_task(self._go(step))
        try:
            for _ in range(1 if step in (AHEAD, BACK) else self.rng.randint(1, 2)):
                await asyncio.sleep(self.rng.expovariate(2.0))  # a handover takes about half a second
                await self._strike()
            await going
            if step == AHEAD and not self.troubles:
                await asyncio.sleep(LINGER)
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    async def _keep_pace(self):
        """Users go on slower while the machine cannot follow them, also while an operator's word takes its time."""
        while True:
            if status := await self._status():
                self.workload.pace(SLOW_RATE if status["replay"]["lag"] > FAR_BEHIND else RATE)
            await asyncio.sleep(PACE_LOOK)

    async def _go(self, step):
        """Ask for it as an operator does, again and again until it is there."""
        patience = PATIENCE * self.slowness
        deadline = time.monotonic() + patience
        status = None
        while time.monotonic() < deadline:
            if self.down:
                deadline = time.monotonic() + patience
            status = await self._status()
            if status and is_there(step, status):
                self._log(f"is {step}")
                return
            if status:
                await self._ask_for(step, status)
            await asyncio.sleep(LOOK)
        self.troubles.append(f"it did not come to {step} in {patience:.0f} s: {_stands(status)}; {self.said}")

    async def _ask_for(self, step, status):
        if status["state"] == "needs_attention":
            if not self.down:
                await self._say("resume", VERB_PATIENCE)
                await asyncio.sleep(AFTER_RESUME)
            return
        if step in (AHEAD, BACK):
            taken = await self._say("reads", VERB_PATIENCE, to=reads_at(step, status))
        elif step in VERBS:
            closed = [gate["name"] for gate in status["gates"] if not gate["open"]]
            if step == "switched" and not self.down and "verification" in closed:  # a reverse verifies by itself
                await self._say("verify", VERB_PATIENCE)
            taken = await self._say(VERBS[step], VERB_PATIENCE)
        else:
            return
        if taken is None:
            await asyncio.sleep(AFTER_REFUSAL)

    async def _status(self):
        self._see_it_lives()
        status = await self._say("status", STATUS_PATIENCE)
        if status:
            answered = status["reads"]["answered"]
            self.ahead += answered - self._answered if answered >= self._answered else answered
            self._answered = answered
        return status

    _answered = 0
    """Reads of the passive side that the status told last; they begin at 0 with each process."""

    async def _say(self, verb, patience, **arguments):
        """Say a word; None when it is not taken, which is counted."""
        begun, said = time.monotonic(), ""
        try:
            return await self.trial.say(verb, patience * self.slowness, actor=OPERATOR, **arguments)
        except (AlcorError, TimeoutError) as error:
            said = getattr(error, "message", "no answer")
            self.said[f"{verb}: {said}"] += 1
            return None
        finally:
            if verb != "status":
                self._log(f"{verb}, {time.monotonic() - begun:.1f} s: {said or 'done'}")

    def _see_it_lives(self):
        """What ends by itself is a finding, and is started again by its supervisor."""
        for name in ("migrate", "controller"):
            service = self.ground.lab.services[name]
            if not (self.down or service.alive):
                self.troubles.append(
                    f"{name} ended by itself with code {service.returncode}: {service.tail()[-600:]}"
                )
                service.start()

    # -- the end -------------------------------------------------------------------------------------------------

    async def _judge(self, result):
        """Let it settle, look at both sides, judge."""
        self._log("users have stopped")
        self.acknowledged, self.unknown = result.writes_acknowledged, result.unknown
        self.requests = result.requests
        await self._settle("everything is applied and well", _well)
        await self._sweep()
        verified = await self._verify()
        status = await self._status()
        entries = await self._say("audit", VERB_PATIENCE)
        lab = self.ground.lab
        urls = [lab.neutron_url, lab.alcor_url]
        if status["active"] == "target":
            urls.reverse()
        through = await asyncio.to_thread(self.ground.side, lab.gateway_url)
        await self._settle("what the look itself has written", _well)
        active, passive = [await asyncio.to_thread(self.ground.side, url) for url in urls]
        failures = _answered(result)
        self.broken = len(failures)
        seen = Evidence(self.workload.records, active, passive, through, failures, result.violations)
        seen.windows, seen.status, seen.entries = self.windows, status, entries or []
        seen.verified, seen.troubles, seen.grace = verified or {}, self.troubles, GRACE * self.slowness
        self.verdict = judge(seen)
        self.unbroken = True

    async def _sweep(self):
        """Wait for a sweep that began after now: what a broken connection has carried may be done late."""
        status = await self._status() or {"sweep": {"sweeps": 0}, "activity": ""}
        after = status["sweep"]["sweeps"] + status["activity"].startswith("sweeping")
        await self._settle("a sweep of everything", lambda status: status["sweep"]["sweeps"] > after)

    async def _verify(self):
        until = time.monotonic() + PATIENCE * self.slowness
        while time.monotonic() < until:
            if verified := await self._say("verify", VERB_PATIENCE):
                return verified
            await asyncio.sleep(LOOK)
        self.troubles.append(f"verify was never done: {self.said}")
        return None

    async def _settle(self, what, good):
        patience = PATIENCE * self.slowness
        deadline = time.monotonic() + patience
        status = None
        while time.monotonic() < deadline:
            status = await self._status()
            if status and good(status):
                return
            if status and status["state"] == "needs_attention":
                await self._say("resume", VERB_PATIENCE)
                await asyncio.sleep(AFTER_RESUME)
            await asyncio.sleep(LOOK)
        self.troubles.append(f"{what} did not come about in {patience:.0f} s: {_stands(status)}; {self.said}")

    def _log(self, text):
        with (self.folder / "plan.log").open("a", encoding="utf-8") as log:
            log.write(f"{time.time():.3f} {text}\n")


async def _by_wire(databases, real):
    """A wire to a database's server, and the URL by which it is reached so."""
    port = int(real.rpartition(":")[2].partition("/")[0])
    wire = Wire(databases._ports.reserve(), port)
    await wire.open()
    return wire, real.replace(f":{port}/", f":{wire.port}/")


def _stands(status):
    if not status:
        return "no status"
    told = {name: status[name] for name in ("state", "standing", "active", "activity", "attention")}
    closed = [f"{gate['name']}: {gate['reason']}" for gate in status["gates"] if not gate["open"]]
    return json.dumps(told | {"closed": closed, "trouble": status["replay"]["trouble"]})


def _well(status):
    """Whether nothing is open or in need of anything."""
    journal, replay = status["journal"], status["replay"]
    # what the journal calls unknown stays so, and replay has read what became of it; what a crash cut off is a gate
    settled = all(gate["open"] for gate in status["gates"] if gate["name"] == "unknown writes")
    caught_up = replay["applied"] >= journal["position"] and settled and not journal["stalled"]
    open_ones = replay["trouble"] or replay["poison"] or status["attention"] or status["gateway"]["in_flight_writes"]
    return caught_up and not open_ones and status["state"] in ("ready", "switched", "reversed")


def _answered(result):
    """Each failure with the time of its answer."""
    ends = {}
    for sample in result.samples:
        ends.setdefault((sample.method, sample.path.partition("/v2.0")[2]), []).append(sample)
    found = []
    for failure in result.failures:
        near = [s for s in ends.get((failure.method, failure.path), ()) if s.start >= failure.at - 0.01]
        end = near[0].start + near[0].seconds if near else failure.at + 1.0
        found.append((failure, end))
    return found

"""`make chaos N=200`: a whole migration, there and back and there again, while users write and everything breaks.

`python -m tests.chaos.journey [--runs N] [--seed SEED]`

Real Keystone, Neutron, gateway, engine and bundled Alcor. A run's seed decides how far the journey goes, what the
users do, who is killed or frozen, which wire is cut, when and for how long; at which statement that meets a program
is the machine's. Writes `build/chaos/journey.json` and exits non-zero when a run was not well. The folder of such
a run is kept and named.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import random
import shutil
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from keystoneauth1.exceptions import ClientException
from rich.console import Console

from alcor_model.errors import AlcorError
from lab import LabError
from lab.ports import Ports
from lab.process import Processes
from lab.workload import Workload
from tests.chaos.campaign import scratch_folder, summary
from tests.chaos.gateway import Databases, Part, Worker, there_are
from tests.chaos.journey_ground import OPERATOR, PATIENT, Ground, Trial, clock_library
from tests.chaos.journey_judge import Evidence, Window, judge
from tests.chaos.journey_wire import DEFECTS, Wire
from tests.chaos.judge import Verdict

RESULT = Path("build/chaos/journey.json")
LEGS = ("ready", "switched", "reversed", "switched")
VERBS = {"switched": "cutover", "reversed": "reverse"}
WORKERS = (1, 2, 3)
CLIENTS = 3
RATE = 2.5  # operations a second, of all clients together
SLOW_RATE = 0.4  # the same while a busy machine cannot follow
FAR_BEHIND = 4.0  # seconds of lag: twice what keeps a gate closed
PATIENCE = 300.0  # seconds in which the journey must go on once all is repaired
VERB_PATIENCE = 90.0  # seconds
LOOK = 0.2  # seconds
AFTER_REFUSAL = 0.3  # seconds
AFTER_RESUME = 1.0  # seconds: what needs attention is looked at about once in so many
HOUSEWARMING = 20.0  # seconds
BELONGINGS = 4  # objects of each user before the first blow
LONGEST = 4.0  # seconds from a blow to its repair: longer than a hold may last, and than a health check waits
AN_HOUR = 3600
ORDER = ("journal", "database", "wire", "neutron", "controller", "disk", "clock", "migration", "worker")
"""What is repaired first: each needs some of those before it."""


@dataclass
class Blow:
    """One way to hit one part."""

    part: str
    name: str
    strike: object
    mend: object


async def _aside(function, *args):
    return await asyncio.to_thread(function, *args)


@dataclass
class Run:
    """One run: its plan, its parts, what was seen of it."""

    seed: int
    store: str
    folder: Path
    workers: int = 1
    turns_clock: bool = False
    legs: tuple = LEGS
    blows: Counter = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    windows: list = field(default_factory=list)
    troubles: list = field(default_factory=list)
    said: Counter = field(default_factory=Counter)
    """What verbs were refused for."""
    acknowledged: int = 0
    unknown: int = 0
    requests: int = 0
    broken: int = 0
    """Requests that a fault broke."""
    seconds: float = 0.0
    down: bool = False
    """Whether something is broken right now."""

    async def live(self, ground, databases, clock):
        """Everything from the start to the verdict."""
        begun = time.monotonic()
        self.rng = random.Random(self.seed)
        self.ground, wires = ground, dict(ground.wires)
        journal, wire = "", None
        if self.store != "sqlite":
            server, real = await _aside(databases.get, self.store)
            wire, journal = await self._wire(databases, real)
            wires["journal wire"] = wire
            self.journal_server = server
        clock = clock if self.turns_clock else None
        self.trial = Trial(ground, journal, self.workers, clock)
        workload = self.workload = Workload(ground.lab, CLIENTS, seed=self.seed)
        started = False
        try:
            await _aside(self.trial.start)
            self.arms = self._armoury(wires, databases, clock)
            await _aside(workload.start)
            started = True
            await self._until_users_are_at_home(workload)
            workload.pace(RATE)
            await self._travel()
            result = await _aside(workload.stop)
            started = False
            await self._judge(workload, result)
        finally:
            if started:
                with contextlib.suppress(LabError):  # what broke the run is told already
                    await _aside(workload.stop)
            if wire:
                await wire.close()
            await _aside(self._keep_state)
            await _aside(self._end_trial)
            self.seconds = time.monotonic() - begun

    async def _wire(self, databases, real):
        port = int(real.rpartition(":")[2].partition("/")[0])
        wire = Wire(databases._ports.reserve(), port)
        await wire.open()
        return wire, real.replace(f":{port}/", f":{wire.port}/")

    def _keep_state(self):
        """Copy what the migration has kept, unless its run was well."""
        if not (self.verdict.well and self.unbroken) and self.trial.state_dir.exists():
            ignore = shutil.ignore_patterns("*.sock")
            shutil.copytree(self.trial.state_dir, self.folder / "state", ignore=ignore, dirs_exist_ok=True)

    unbroken = False
    """Whether the run came to its verdict."""

    def _end_trial(self):
        try:
            self.trial.stop()
        finally:
            self.trial.disk.empty()
            self.trial.disk.remove()

    # -- what can be broken --------------------------------------------------------------------------------------

    def _armoury(self, wires, databases, clock):
        """Every blow that is possible in this run, by part."""
        services = self.ground.lab.services
        processes = self.ground.lab._processes
        arms = []

        def process(part, name, owner=processes, begin=None):
            def back():
                service = owner.services[name]
                service.signal(signal.SIGCONT) if service.alive else service.start()
                service.wait_ready(PATIENT)

            struck = Part(name, owner, begin or back)
            arms.append(Blow(part, f"{part} killed", struck.kill, begin or back))
            arms.append(Blow(part, f"{part} frozen", struck.freeze, struck.thaw))

        process("migration", "migrate")
        process("controller", "controller")
        process("neutron", "neutron")
        if "mariadb" in services:
            process("database", "mariadb")
        if self.store != "sqlite":
            process("journal", self.store, databases._processes, self.journal_server.start)
        if self.workers > 1:
            worker = _MigrationWorker(processes, self.rng)
            arms.append(Blow("worker", "worker killed", worker.kill, lambda: None))
            arms.append(Blow("worker", "worker frozen", worker.freeze, worker.thaw))
        for name, wire in wires.items():
            arms += [Blow(name, f"{name} {defect}", _Spoiling(wire, defect), wire.mend) for defect in DEFECTS]
        if self.trial.disk.mounted:
            arms.append(Blow("disk", "disk full", self.trial.disk.fill, self.trial.disk.empty))
        if clock:
            arms.append(Blow("clock", "clock ahead", lambda: self.trial.set_clock(AN_HOUR), self._clock_back))
            arms.append(Blow("clock", "clock behind", lambda: self.trial.set_clock(-AN_HOUR), self._clock_back))
        return arms

    def _clock_back(self):
        self.trial.set_clock(0)

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
                await _call(blow.strike)
            await asyncio.sleep(pause)
        finally:
            for blow in sorted(blows, key=lambda blow: ORDER.index(blow.part.split()[-1])):
                await _call(blow.mend)
            self.windows.append(Window(start, time.time(), name))
            self.down = False
            self._log(f"repaired after {time.time() - start:.1f} s")

    # -- the journey ---------------------------------------------------------------------------------------------

    async def _until_users_are_at_home(self, workload):
        """Without a few objects of their own they have little to do for the rest of the run."""
        deadline = time.monotonic() + HOUSEWARMING
        while workload.snapshot().writes_acknowledged < CLIENTS * BELONGINGS and time.monotonic() < deadline:
            await asyncio.sleep(LOOK)

    async def _travel(self):
        """Every leg, with blows while it is on its way."""
        for leg in self.legs:
            self._log(f"to {leg}")
            going = asyncio.create_task(self._go(leg))
            try:
                for _ in range(self.rng.randint(1, 2)):
                    await asyncio.sleep(self.rng.expovariate(2.0))  # a handover takes about half a second
                    await self._strike()
                await going
            finally:
                going.cancel()
                await asyncio.gather(going, return_exceptions=True)
            if self.troubles:
                return

    async def _go(self, leg):
        """Ask for it as an operator does, again and again until it is there."""
        deadline = time.monotonic() + PATIENCE
        status = None
        while time.monotonic() < deadline:
            if self.down:
                deadline = time.monotonic() + PATIENCE
            status = await self._status()
            if status and status["state"] == leg:
                self._log(f"is {leg}")
                return
            if status:
                self.workload.pace(SLOW_RATE if status["replay"]["lag"] > FAR_BEHIND else RATE)
                await self._ask_for(leg, status)
            await asyncio.sleep(LOOK)
        self.troubles.append(f"it did not come to {leg} in {PATIENCE:.0f} s: {_stands(status)}; {self.said}")

    async def _ask_for(self, leg, status):
        if status["state"] == "needs_attention":
            if not self.down:
                await self._say("resume", VERB_PATIENCE)
                await asyncio.sleep(AFTER_RESUME)
        elif leg in VERBS:
            closed = [gate["name"] for gate in status["gates"] if not gate["open"]]
            if closed and not self.down and "verification" in closed:
                await self._say("verify", VERB_PATIENCE)
            if await self._say(VERBS[leg], VERB_PATIENCE) is None:
                await asyncio.sleep(AFTER_REFUSAL)

    async def _status(self):
        self._see_it_lives()
        return await self._say("status")

    async def _say(self, verb, *patience):
        """Say a word; None when it is not taken, which is counted."""
        begun, said = time.monotonic(), ""
        try:
            return await self.trial.say(verb, *patience, actor=OPERATOR)
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

    async def _judge(self, workload, result):
        """Let it settle, look at both sides, judge."""
        self._log("users have stopped")
        self.acknowledged, self.unknown = result.writes_acknowledged, result.unknown
        self.requests = result.requests
        await self._settle("everything is applied and well", _well)
        swept = (await self._status() or {}).get("sweep", {}).get("sweeps", 0)
        await self._settle("a sweep of everything", lambda status: status["sweep"]["sweeps"] > swept + 1)
        verified = None
        until = time.monotonic() + PATIENCE
        while verified is None and time.monotonic() < until:
            verified = await self._say("verify", VERB_PATIENCE)
            await asyncio.sleep(LOOK if verified is None else 0)
        if verified is None:
            self.troubles.append(f"verify was never done: {self.said}")
        status = await self._status()
        entries = await self._say("audit")
        lab = self.ground.lab
        urls = [lab.neutron_url, lab.alcor_url]
        if status["active"] == "target":
            urls.reverse()
        through = await _aside(self.ground.side, lab.gateway_url)
        await self._settle("what the look itself has written", _well)
        active, passive = [await _aside(self.ground.side, url) for url in urls]
        failures = _answered(result)
        self.broken = len(failures)
        seen = Evidence(workload.records, active, passive, through, failures, result.violations)
        seen.windows, seen.status, seen.entries = self.windows, status, entries or []
        seen.verified, seen.troubles = verified or {}, self.troubles
        self.verdict = judge(seen)
        self.unbroken = True

    async def _settle(self, what, good):
        deadline = time.monotonic() + PATIENCE
        status = None
        while time.monotonic() < deadline:
            status = await self._status()
            if status and good(status):
                return
            if status and status["state"] == "needs_attention":
                await self._say("resume", VERB_PATIENCE)
                await asyncio.sleep(AFTER_RESUME)
            await asyncio.sleep(LOOK)
        self.troubles.append(f"{what} did not come about in {PATIENCE:.0f} s: {_stands(status)}; {self.said}")

    def _log(self, text):
        with (self.folder / "plan.log").open("a", encoding="utf-8") as log:
            log.write(f"{time.time():.3f} {text}\n")


class _MigrationWorker(Worker):
    """A worker of the gateway that `alcor-migrate run` leads."""

    @property
    def service(self):
        return self._processes.services["migrate"]


@dataclass
class _Spoiling:
    wire: object
    defect: str

    async def __call__(self):
        self.wire.spoil(self.defect)


async def _call(act):
    """Do it in the loop where it belongs there, else in a thread."""
    if asyncio.iscoroutinefunction(act) or isinstance(act, _Spoiling):
        await act()
    else:
        await _aside(act)


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


async def campaign(seeds, told):
    """Run every seed; returns the runs, and tells of them after each. Folders of runs that were well are removed."""
    runs = []
    base = await _aside(scratch_folder)
    ports = Ports()
    processes = Processes(base)
    databases = Databases(processes, ports)
    stores, clock = await _aside(there_are), await _aside(clock_library)
    ground = None
    try:
        for seed in seeds:
            run = planned(seed, stores, base)
            try:
                if ground is None:
                    fresh = Ground(ports)
                    await fresh.open()
                    ground = fresh
                ground.quiet_logs()
                await run.live(ground, databases, clock)
            except Exception as error:  # noqa: BLE001  (a campaign goes on, and says what happened)
                run.unbroken = False
                said = [f"the run broke: {type(error).__name__}: {error}", *run.troubles]
                run.verdict.mismatches += [each for each in said if each not in run.verdict.mismatches]
            runs.append(run)
            told(runs)
            ground = await _ready_again(ground, run)
    finally:
        if ground:
            await ground.close()
        await _aside(processes.close)
        ports.release()
        if all(run.verdict.well for run in runs):
            shutil.rmtree(base)
    return runs


def planned(seed, stores, base):
    """The run of a seed."""
    folder = base / f"seed-{seed}"
    folder.mkdir()
    rng = random.Random(seed ^ 0x5EED)
    store = rng.choice(stores) if rng.random() < 0.5 else "sqlite"
    # a faked clock is in the way of every system call for the time, so few runs have one
    return Run(seed, store, folder, rng.choice(WORKERS), rng.random() < 0.2, LEGS[: rng.randint(2, len(LEGS))])


async def _ready_again(ground, run):
    """The same ground without what the run has made, or None when the next run needs another one."""
    if ground is None:
        return None
    if run.verdict.well:
        shutil.rmtree(run.folder)
        with contextlib.suppress(LabError, ClientException):  # a lab that keeps something is of no more use
            await ground.mend()
            await _aside(ground.clear)
            return ground
    else:
        shutil.copytree(ground.lab.logs, run.folder / "logs", dirs_exist_ok=True)
    await ground.close()
    return None


def _line(run):
    blows = ", ".join(f"{count}x {what}" for what, count in sorted(run.blows.items()))
    told = f"{run.acknowledged} acknowledged, {run.unknown} unknown, {run.broken} broken by faults"
    shape = f"journal {run.store}, workers {run.workers}{', clock' if run.turns_clock else ''}"
    shape += f", to {run.legs[-1]} in {len(run.legs)} legs"
    text = f"seed {run.seed} {shape}, {run.seconds:.0f} s: {told}; {blows}"
    if run.verdict.well:
        return text
    found = run.verdict.found
    (run.folder / "findings").write_text("\n".join([text, *found]) + "\n", encoding="utf-8")
    return "\n    ".join([f"{text}: NOT WELL, see {run.folder}", *(each[:400] for each in found[:10])])


def main(argv=None):
    """The command line; the exit code says whether every run was well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--first", type=int, default=1, help="the first seed of so many")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--result", type=Path, default=RESULT)
    wanted = parser.parse_args(argv)
    first = wanted.first
    seeds = [wanted.seed] if wanted.seed is not None else range(first, first + wanted.runs)
    console = Console()
    wanted.result.parent.mkdir(parents=True, exist_ok=True)

    def told(runs):
        """A campaign that is stopped leaves what it has found."""
        console.print(_line(runs[-1]), highlight=False, markup=False)
        wanted.result.write_text(json.dumps(summary(runs), indent=2) + "\n", encoding="utf-8")

    runs = asyncio.run(campaign(seeds, told))
    result = summary(runs)
    blows = sum((run.blows for run in runs), Counter())
    console.print(", ".join(f"{count} x {what}" for what, count in sorted(blows.items())), highlight=False)
    console.print_json(json.dumps(result))
    for seed in result["failed_seeds"]:
        console.print(f"again: make chaos SEED={seed}")
    return 1 if result["failed_seeds"] else 0


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sys.exit(main())

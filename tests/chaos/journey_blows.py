"""Every way to hit a part of a running journey, and the way to repair it."""

import asyncio
import signal
from dataclasses import dataclass

from tests.chaos.gateway import Part, Worker
from tests.chaos.journey_ground import PATIENT
from tests.chaos.journey_wire import DEFECTS

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

    @property
    def turn(self):
        """When it is repaired, beside others."""
        return ORDER.index(self.part.split()[-1])


class MigrationWorker(Worker):
    """A worker of the gateway that `alcor-migrate run` leads."""

    @property
    def service(self):
        return self._processes.services["migrate"]


@dataclass
class Spoiling:
    """Begins a defect of a wire."""

    wire: object
    defect: str

    async def __call__(self):
        self.wire.spoil(self.defect)


async def call(act):
    """Do it in the loop where it belongs there, else in a thread."""
    if asyncio.iscoroutinefunction(act) or isinstance(act, Spoiling):
        await act()
    else:
        await asyncio.to_thread(act)


def armoury(trial, wires, rng, journal=None):
    """Every blow that is possible in a run. `journal`: (name, its processes, what starts it) of a server for it."""
    processes = trial.lab._processes
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
    if "mariadb" in trial.lab.services:
        process("database", "mariadb")
    if journal:
        process("journal", *journal)
    if trial.workers > 1:
        worker = MigrationWorker(processes, rng)
        arms.append(Blow("worker", "worker killed", worker.kill, lambda: None))
        arms.append(Blow("worker", "worker frozen", worker.freeze, worker.thaw))
    for name, wire in wires.items():
        arms += [Blow(name, f"{name} {defect}", Spoiling(wire, defect), wire.mend) for defect in DEFECTS]
    if trial.disk.mounted:
        arms.append(Blow("disk", "disk full", trial.disk.fill, trial.disk.empty))
    if trial.turns_clock:
        for name, seconds in (("clock ahead", AN_HOUR), ("clock behind", -AN_HOUR)):
            arms.append(Blow("clock", name, lambda by=seconds: trial.set_clock(by), lambda: trial.set_clock(0)))
    return arms

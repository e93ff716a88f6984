"""`make chaos N=200`: a whole migration, there and back and there again, while users write and everything breaks.

`python -m tests.chaos.journey [--runs N] [--seed SEED] [--at-once LABS]`

Real Keystone, Neutron, gateway, engine and bundled Alcor. A run's seed decides how far the journey goes, when reads
go ahead of the writes, what the users do, who is killed or frozen, which wire is cut, when and for how long; at which
statement that meets a program is the machine's. Writes `build/chaos/journey.json` and exits non-zero when a run was
not well. The folder of such a run is kept and named.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import shutil
import sys
from collections import Counter
from pathlib import Path

import structlog
from keystoneauth1.exceptions import ClientException
from rich.console import Console

from lab import LabError
from lab.ports import Ports
from lab.process import Processes
from tests.chaos.campaign import scratch_folder, summary
from tests.chaos.gateway import Databases, there_are
from tests.chaos.journey_ground import Ground, clock_library
from tests.chaos.journey_plan import planned
from tests.chaos.journey_run import Run

RESULT = Path("build/chaos/journey.json")


class Lane:
    """Runs one after the other on one lab; some lanes can run beside each other, and share nothing."""

    def __init__(self, folder, ports, slowness):
        folder.mkdir()
        self._ports, self._slowness = ports, slowness
        self._folder = folder
        self._processes = Processes(folder)
        self._databases = Databases(self._processes, ports)
        self._ground = None

    async def make(self, plan, clock):
        """Live the run of a plan; returns it."""
        folder = self._folder / f"seed-{plan.seed}"
        folder.mkdir()
        run = Run(plan, folder, self._slowness)
        try:
            if self._ground is None:
                fresh = Ground(self._ports)
                await fresh.open()
                self._ground = fresh
            self._ground.quiet_logs()
            await run.live(self._ground, self._databases, clock)
        except Exception as error:  # noqa: BLE001  (a campaign goes on, and says what happened)
            run.unbroken = False
            said = [f"the run broke: {type(error).__name__}: {error}", *run.troubles]
            run.verdict.mismatches += [each for each in said if each not in run.verdict.mismatches]
        return run

    async def tidy(self, run):
        """Be as before the run, with the same lab if that is possible. A run that was not well leaves its folder."""
        if self._ground is None:
            return
        if run.verdict.well:
            shutil.rmtree(run.folder)
            with contextlib.suppress(LabError, ClientException):  # a lab that keeps something is of no more use
                await self._ground.mend()
                await asyncio.to_thread(self._ground.clear)
                return
        else:
            shutil.copytree(self._ground.lab.logs, run.folder / "logs", dirs_exist_ok=True)
        await self._leave()

    async def _leave(self):
        ground, self._ground = self._ground, None
        if ground:
            await ground.close()

    async def close(self):
        """Stop everything."""
        await self._leave()
        await asyncio.to_thread(self._processes.close)


async def campaign(seeds, told, at_once=1, slowness=1.0):
    """Run every seed, so many at once; returns the runs, and tells of them after each."""
    runs, seeds = [], iter(seeds)
    base = await asyncio.to_thread(scratch_folder)
    ports = Ports()
    stores, clock = await asyncio.to_thread(there_are), await asyncio.to_thread(clock_library)

    async def one_by_one(number):
        lane = Lane(base / f"lane-{number}", ports, slowness)
        try:
            for seed in seeds:
                run = await lane.make(planned(seed, stores), clock)
                runs.append(run)
                told(runs)
                await lane.tidy(run)
        finally:
            await lane.close()

    try:
        async with asyncio.TaskGroup() as lanes:
            for number in range(1, at_once + 1):
                lanes.create_task(one_by_one(number))
    finally:
        ports.release()
        if all(run.verdict.well for run in runs):
            shutil.rmtree(base)
    return runs


def _line(run):
    blows = ", ".join(f"{count}x {what}" for what, count in sorted(run.blows.items()))
    told = f"{run.acknowledged} acknowledged, {run.unknown} unknown, {run.broken} broken by faults"
    told += f", {run.ahead} reads ahead" if run.ahead else ""
    text = f"seed {run.seed} {run.plan.words}, {run.seconds:.0f} s: {told}; {blows}"
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
    parser.add_argument("--at-once", type=int, default=1, help="so many runs beside each other, each on its own lab")
    parser.add_argument("--slowness", type=float, default=1.0, help="stretches all patience, for a slow machine")
    parser.add_argument("--result", type=Path, default=RESULT)
    wanted = parser.parse_args(argv)
    first = wanted.first
    seeds = [wanted.seed] if wanted.seed is not None else range(first, first + wanted.runs)
    console = Console()
    wanted.result.parent.mkdir(parents=True, exist_ok=True)

    def told(runs):
        """A campaign that is stopped leaves what it has found."""
        console.print(_line(runs[-1]), highlight=False, markup=False, soft_wrap=True)
        wanted.result.write_text(json.dumps(summary(runs), indent=2) + "\n", encoding="utf-8")

    runs = asyncio.run(campaign(seeds, told, wanted.at_once, wanted.slowness))
    result = summary(runs)
    for counted in ("blows", "spent"):
        together = sum((getattr(run, counted) for run in runs), Counter())
        shown = sorted(
            f"{number:.0f} {'x' if counted == 'blows' else 's'} {what}" for what, number in together.items()
        )
        console.print(", ".join(shown), highlight=False, soft_wrap=True)
    console.print_json(json.dumps(result))
    for seed in result["failed_seeds"]:
        console.print(f"again: make chaos SEED={seed}")
    return 1 if result["failed_seeds"] else 0


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sys.exit(main())

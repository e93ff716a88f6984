"""`make chaos-gateway N=200`: SIGKILL of gateway, upstream and store at random instants, under load, and a verdict.

`python -m tests.chaos.gateway [--runs N] [--seed SEED] [--stores sqlite,mariadb,postgresql]`

A run's seed decides the store, who is killed or frozen, when and for how long, and what the upstream does to its
clients; the instants at which that meets the program are the machine's. Writes `build/chaos/gateway.json` and exits
non-zero when a run was not well. The folder of such a run is kept and named.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import logging
import os
import random
import shutil
import signal
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import structlog
from rich.console import Console
from rich.table import Table

from alcor_migrate.journal import Journal
from lab.database import MariaDB, find_program
from lab.ports import HOST, Ports
from lab.postgresql import PostgreSQL, provide
from lab.process import Processes
from tests.chaos.campaign import scratch_folder, summary
from tests.chaos.judge import Ledger, Verdict, judge

HERE = Path(__file__).parent
HERE_FIRST = {"PYTHONPATH": str(HERE.parents[1] / "src")}
"""The gateway of this checkout, wherever the interpreter's own is from."""
RESULT = Path("build/chaos/gateway.json")
STORES = ("sqlite", "mariadb", "postgresql")
CLIENTS = 8
WORKERS = (1, 2)
UPSTREAMS = (1, 2)
BLOWS = (2, 4)
PATIENCE = 120.0  # seconds that a client waits for an answer; a killed store may take a minute to come back


def there_are():
    """The stores that this machine has, or gets."""
    found = ["sqlite"]
    if find_program("mariadbd") and find_program("mariadb-install-db"):
        found.append("mariadb")
    if not provide():
        found.append("postgresql")
    return found


class Databases:
    """The servers of a campaign, each started when a run first wants it and cleared for every run."""

    def __init__(self, processes, ports):
        self._processes, self._ports, self._servers = processes, ports, {}

    def get(self, kind):
        """(server, its service, URL) of an empty journal."""
        if kind not in self._servers:
            folder = self._processes.directory / kind
            made = MariaDB if kind == "mariadb" else PostgreSQL
            self._servers[kind] = made(folder, self._ports.reserve(), self._processes)
            self._servers[kind].initialise()
        elif not self._processes.services[kind].alive:  # a run broke and left it so
            self._servers[kind].start()
        server = self._servers[kind]
        url = server.url("neutron") if kind == "mariadb" else server.url
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for table in ("journal_events", "journal_intents", "journal_facts"):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
        engine.dispose()
        return server, url


class Part:
    """Something that is killed and comes back."""

    def __init__(self, name, processes, start):
        self.name, self._processes, self.start = name, processes, start

    @property
    def service(self):
        return self._processes.services[self.name]

    def kill(self):
        self.service.kill()

    def freeze(self):
        self.service.signal(signal.SIGSTOP)

    def thaw(self):
        self.service.signal(signal.SIGCONT)


class Worker(Part):
    """One of the gateway's workers, which its master replaces."""

    def __init__(self, processes, rng):
        super().__init__("gateway", processes, self._nothing)
        self._rng = rng
        self._hit = None

    def _nothing(self):
        """The master brings it back, and so it is no part that is started."""

    def _signal(self, number, pid=None):
        path = Path(f"/proc/{self.service.pid}/task/{self.service.pid}/children")
        with contextlib.suppress(OSError, IndexError):  # none is left, or this one has just gone
            self._hit = pid or self._rng.choice([int(child) for child in path.read_text().split()])
            os.kill(self._hit, number)

    def kill(self):
        self._signal(signal.SIGKILL)

    def freeze(self):
        self._signal(signal.SIGSTOP)

    def thaw(self):
        self._signal(signal.SIGCONT, self._hit)


def listens(port):
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def name_of(intent):
    return json.loads(intent.body)["name"]


@dataclass
class Run:
    """One run: its plan, its parts, its clients' ledger."""

    seed: int
    store: str
    folder: Path
    ledger: Ledger = field(default_factory=Ledger)
    blows: Counter = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    workers: int = 1
    upstreams: int = 1
    holds: bool = False
    unknown: int = 0
    reads: int = 0
    ending: bool = False

    @property
    def acknowledged(self):
        return len(self.ledger.acknowledged)

    async def live(self, databases, ports):
        """Everything from the start to the verdict."""
        processes = await asyncio.to_thread(Processes, self.folder)
        try:
            parts, where = await asyncio.to_thread(self._start, processes, databases, ports)
            clients = [asyncio.create_task(self._client(number)) for number in range(CLIENTS)]
            await self._strike(parts, random.Random(self.seed))
            self.ending = True
            await asyncio.gather(*clients)
            # what was answered is durable: nobody gets time to tidy up
            await asyncio.to_thread(parts["gateway"].kill)
            await self._look(where)
        finally:
            await asyncio.to_thread(processes.close)

    def _start(self, processes, databases, ports):
        rng = random.Random(-self.seed)
        self.port = ports.reserve()
        there = [ports.reserve() for _ in range(self.upstreams)]
        source = ",".join(f"http://{HOST}:{port}" for port in there)
        self.executed = self.folder / "executed"
        self.executed.touch()
        where, parts = str(self.folder / "journal"), {}
        if self.store != "sqlite":
            server, where = databases.get(self.store)
            parts["store"] = Part(self.store, databases._processes, server.start)

        def start_upstream(name, port):
            # all append to one file
            arguments = [HERE / "upstream.py", port, self.executed, rng.randrange(10**6)]
            processes.spawn(name, [sys.executable, *arguments], ready=lambda: listens(port)).wait_ready()

        def start_gateway():
            arguments = [HERE / "gateway_process.py", where, source, f"{HOST}:{self.port}"]
            command = [sys.executable, *arguments, self.workers, "holds" if self.holds else ""]
            processes.spawn("gateway", command, HERE_FIRST, ready=lambda: listens(self.port)).wait_ready()

        for number, port in enumerate(there, 1):
            name = f"upstream {number}"
            parts[name] = Part(name, processes, functools.partial(start_upstream, name, port))
        parts["gateway"] = Part("gateway", processes, start_gateway)
        if self.workers > 1:
            parts["worker"] = Worker(processes, rng)
        for name, part in parts.items():
            if name.startswith("upstream"):
                part.start()
        start_gateway()
        return parts, where

    async def _strike(self, parts, rng):
        """Kills and freezes by the plan, and brings all back: the store first, the gateway last."""
        for _ in range(rng.randint(*BLOWS)):
            await asyncio.sleep(rng.uniform(0.05, 0.5))
            hit = [name for name in parts if rng.random() < 0.4] or [rng.choice(list(parts))]
            freeze = len(hit) == 1 and rng.random() < 0.25
            pause = rng.uniform(0.0, 0.4)
            for name in hit:
                self.blows[f"{name} {'frozen' if freeze else 'killed'}"] += 1
                await asyncio.to_thread(parts[name].freeze if freeze else parts[name].kill)
                await asyncio.sleep(rng.uniform(0.0, 0.05))
            await asyncio.sleep(pause)
            for name in hit if freeze else [name for name in parts if name in hit]:
                await asyncio.to_thread(parts[name].thaw if freeze else parts[name].start)
        await asyncio.sleep(rng.uniform(0.1, 0.4))

    async def _client(self, number):
        """Writes and reads until the end, each write once, whatever becomes of it."""
        rng = random.Random(self.seed * 1000 + number)
        count = 0
        while not self.ending:
            try:
                reader, writer = await asyncio.open_connection(HOST, self.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            try:
                while not self.ending:
                    count += 1
                    if not await self._write(reader, writer, f"{number}-{count}", rng):
                        break
            finally:
                writer.transport.abort()

    async def _write(self, reader, writer, name, rng):
        """One write, sometimes a read; False when the connection is of no more use."""
        sent = time.monotonic()
        body = json.dumps({"name": name, "description": "x" * rng.choice((10, 200, 3000))}).encode()
        status = None
        try:
            if rng.random() < 0.1:
                writer.write(b"GET /v2.0/ports HTTP/1.1\r\nHost: api\r\n\r\n")
                await self._answer(reader)
                self.reads += 1
            head = f"POST /v2.0/ports HTTP/1.1\r\nHost: api\r\nX-Auth-Token: {rng.choice('abc')}{name}\r\n"
            writer.write(head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            if rng.random() > 0.01:  # else it leaves without waiting for the answer
                status = await self._answer(reader)
        except TimeoutError:
            self.verdict.mismatches.append(f"{name} was not answered within {PATIENCE:.0f} s")
        except (OSError, EOFError):
            status = None
        if status == 201:
            self.ledger.acknowledged[name] = (sent, time.monotonic())
        elif status == 503:
            self.ledger.refused.add(name)
            await asyncio.sleep(0.02)
        else:
            self.ledger.uncertain.add(name)
        return status is not None

    @staticmethod
    async def _answer(reader):
        async with asyncio.timeout(PATIENCE):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            await reader.readexactly(int(fields.get("content-length", 0)))
        return int(head.split(" ")[1])

    async def _look(self, where):
        """Reads what is left, judges it, then settles what is open as the engine would: by looking."""
        executed = self.executed.read_text(encoding="utf-8").split()
        journal = await Journal.open(where)
        try:
            events = await journal.read(after=0, limit=10**9)
            unsettled = await journal.unsettled()
            before = self.verdict.mismatches
            self.verdict = judge(self.ledger, executed, events, unsettled, name_of)
            self.verdict.mismatches += before
            unknown = [e for e in events if e.outcome and e.outcome.unknown]
            self.unknown = len(unknown) + len(unsettled)
            for open_one in (*unknown, *unsettled):
                how = "it is there" if name_of(open_one.intent) in executed else "it is not there"
                await journal.settle(open_one.seq, how, writer=open_one.writer)
            # an intent without outcome gets an unknown one first, which is then resolved
            for left in unsettled:
                await journal.settle(left.seq, "read back", writer=left.writer)
            counts = await journal.counts()
            if counts.unknown or counts.unsettled:
                self.verdict.mismatches.append(f"{counts.unknown} unknown and {counts.unsettled} open after settling")
        finally:
            await journal.close()


async def campaign(seeds, stores, told):
    """Runs every seed; returns the runs, and tells of them after each. Folders of runs that were well are removed."""
    runs = []
    base = await asyncio.to_thread(scratch_folder)
    ports = Ports()
    processes = Processes(base)
    databases = Databases(processes, ports)
    try:
        for seed in seeds:
            folder = base / f"seed-{seed}"
            folder.mkdir()
            rng = random.Random(seed ^ 0x5EED)
            run = Run(seed, rng.choice(stores), folder, workers=rng.choice(WORKERS))
            run.upstreams, run.holds = rng.choice(UPSTREAMS), rng.random() < 0.5
            try:
                await run.live(databases, ports)
            except Exception as error:  # noqa: BLE001  (a campaign goes on, and says what happened)
                run.verdict.mismatches.append(f"the run broke: {type(error).__name__}: {error}")
            runs.append(run)
            if run.verdict.well:
                shutil.rmtree(folder)
            told(runs)
    finally:
        await asyncio.to_thread(processes.close)
        ports.release()
        if all(run.verdict.well for run in runs):
            shutil.rmtree(base)
    return runs


def _line(run):
    blows = ", ".join(f"{count}x {what}" for what, count in sorted(run.blows.items()))
    told = f"{run.acknowledged} acknowledged, {len(run.ledger.refused)} refused, {run.unknown} unknown"
    shape = f"workers {run.workers}, upstreams {run.upstreams}{', holds' if run.holds else ''}"
    text = f"seed {run.seed} {run.store}, {shape}: {told}; {blows}"
    if run.verdict.well:
        return text
    return "\n    ".join([f"{text}: NOT WELL, see {run.folder}", *run.verdict.found[:10]])


def table(runs):
    """The campaign by store."""
    made = Table("store", "runs", "acknowledged", "refused", "unknown", "reads", "blows", "not well")
    captions = []
    for store in STORES:
        mine = [run for run in runs if run.store == store]
        if mine:
            blows = sum((run.blows for run in mine), Counter())
            told = [sum(len(getattr(run.ledger, what)) for run in mine) for what in ("acknowledged", "refused")]
            seen = [sum(getattr(run, what) for run in mine) for what in ("unknown", "reads")]
            failed = [run.seed for run in mine if not run.verdict.well]
            hit = ", ".join(f"{count} x {what}" for what, count in sorted(blows.items()))
            numbers = [f"{n:,}" for n in (len(mine), *told, *seen, blows.total())]
            made.add_row(store, *numbers, str(failed or "none"))
            captions.append(f"{store}: {hit}")
    made.caption = "\n".join(captions)
    return made


def main(argv=None):
    """The command line; the exit code says whether every run was well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--stores", help="those to choose from; default: all that this machine has")
    parser.add_argument("--result", type=Path, default=RESULT)
    wanted = parser.parse_args(argv)
    seeds = [wanted.seed] if wanted.seed is not None else range(1, wanted.runs + 1)
    console = Console()
    stores = wanted.stores.split(",") if wanted.stores else there_are()
    wanted.result.parent.mkdir(parents=True, exist_ok=True)

    def told(runs):
        """A campaign that is stopped leaves what it has found."""
        console.print(_line(runs[-1]), highlight=False)
        wanted.result.write_text(json.dumps(summary(runs), indent=2) + "\n", encoding="utf-8")

    runs = asyncio.run(campaign(seeds, stores, told))
    result = summary(runs)
    console.print(table(runs))
    console.print_json(json.dumps(result))
    for seed in result["failed_seeds"]:
        console.print(f"again: make chaos-gateway SEED={seed}")
    return 1 if result["failed_seeds"] else 0


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sys.exit(main())

"""How fast a cloud is copied, verified, replayed and handed over.

    python -m benchmarks.engine [--size 100000] [--only database api neutron replay lag cutover]

Adds to build/bench/engine.json, where a row of the same name is replaced. Each part has a lab of its own.
Source is a real Neutron on MariaDB, its cloud written by SQL into its tables; target is the bundled Alcor, over HTTP,
on SQLite. Each step is a process of its own (`engine_step`), whose greatest memory and CPU are measured, and the
controller's beside it; `lag` and `cutover` run `alcor-migrate` itself (`engine_live`). The bars are for 1,000,000
ports from the database and 100,000 from the API; with another --size they scale with it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql

from benchmarks import engine_handover, engine_live
from benchmarks.engine_step import cpu_of, memory_of
from benchmarks.real_neutron import accepted
from benchmarks.report import DIRECTORY, add, row
from benchmarks.synthetic import load
from lab import Lab
from lab.journey import Journey
from lab.ports import HOST, Ports

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = ("database", "api", "neutron", "replay", "lag", "cutover")
MILLION = 1_000_000
FROM_NEUTRON = 10_000
REPLAYED = 5_000
ROUNDS = 3
HANDING_OVER = 1800.0
"""Seconds after which no more handover begins."""
FROM_THE_API = 200
"""At most so many of the lab's objects are of kinds that only the API lists (agents, quotas, ...)."""
BUFFER = 1 << 30
READING = {"database": "replay reads Neutron's database", "api": "replay reads Neutron's API"}
OTHERS = ("controller", "mariadb", "neutron")


class Bench:
    """A lab, a controller that is new when asked for, and the steps."""

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self.lab = lab
        self._scratch = scratch
        self._database = next(
            line.removeprefix("connection = ")
            for line in (lab.directory / "neutron.conf").read_text(encoding="utf-8").splitlines()
            if line.startswith("connection = ")
        )
        self._journey: Journey | None = None

    def fill(self, ports: int) -> None:
        """Write the cloud."""
        began = time.perf_counter()
        # As large as a real Neutron's would be; the lab's own is for small clouds.
        self.sql(f"SET GLOBAL innodb_buffer_pool_size = {BUFFER}")
        objects = load(self._database, ports, series=f"{ports}-")
        print(f"  {objects:,} objects written in {time.perf_counter() - began:.0f} s", flush=True)

    def sql(self, statement: str) -> None:
        """Do something in Neutron's database."""
        server = int(self._database.split("@")[1].partition(":")[2].partition("/")[0])
        where = pymysql.connect(host=HOST, port=server, user="root", database="neutron", autocommit=True)
        with where, where.cursor() as cursor:
            cursor.execute(statement)

    def reading(self, source: str) -> dict[str, Any]:
        """The keys of a configuration with which `alcor-migrate` reads so."""
        return {"source": {"database": self._database}} if source == "database" else {}

    def new_target(self) -> None:
        """An empty controller in place of the last one."""
        self.stop()
        for path in self.lab.directory.glob("alcor.sqlite*"):
            path.unlink()
        self._journey = Journey(self.lab)
        self._journey.start_controller()

    def run(self, what: str, state: str = "", *, database: bool = False, source: str = "") -> dict[str, Any]:
        """One step; prints and answers what it found. `cpu_of`: seconds that the others used meanwhile."""
        argv = [sys.executable, "-m", "benchmarks.engine_step", what, *self._options(source, database=database)]
        argv += ["--state", str(self._scratch / (state or what))]
        before = {name: self._cpu(name) for name in OTHERS}
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, env=self._environment())
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        found["cpu_of"] = {name: round(self._cpu(name) - before[name], 1) for name in OTHERS}
        found["controller_memory"] = memory_of(self.lab.services["controller"].pid)
        print(f"  {what}: {found}", flush=True)
        return found

    @contextlib.contextmanager
    def stand_in(self) -> Iterator[str]:
        """The address of the fast source."""
        ports = Ports()
        port = ports.reserve()
        argv = [sys.executable, "-m", "benchmarks.engine_step", "serve", *self._options("", database=True)]
        argv += ["--port", str(port)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=self._environment())
        try:
            while (line := process.stdout.readline() if process.stdout else "") != "ready\n":
                if not line:
                    sys.exit("the stand-in did not start")
            yield f"http://{HOST}:{port}"
        finally:
            process.kill()
            process.wait()
            ports.release()

    def stop(self) -> None:
        """End the controller."""
        if self._journey is not None:
            self._journey.stop()
            self._journey = None

    def _cpu(self, name: str) -> float:
        """Seconds of CPU that a service has used, with its processes' that still run."""
        pid = self.lab.services[name].pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        return sum(cpu_of(one) for one in (pid, *map(int, workers)))

    def _options(self, source: str, *, database: bool) -> list[str]:
        options = ["--source", source or self.lab.neutron_url, "--target", self.lab.alcor_url]
        return [*options, "--database", self._database] if database else options

    def _environment(self) -> dict[str, str]:
        return {"OS_CLIENT_CONFIG_FILE": str(self.lab.clouds_yaml), "PATH": "/usr/bin:/bin"}


# -- the parts -------------------------------------------------------------------------------------------------------


def from_database(bench: Bench, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Copy, verify, verify again, all from the database."""
    size = asked.size
    bench.fill(size)
    bench.new_target()
    share, cloud = size / MILLION, f"{size:,} ports from Neutron's database"
    copied = bench.run("copy", "database", database=True)
    first = bench.run("verify", "database", database=True)
    again = bench.run("verify", "database", database=True)
    unequal = copied["refused"] + first["mismatches"] + again["mismatches"]
    read_again = again["objects"] - again["unchanged"]
    if first["objects"] != copied["objects"] or read_again > FROM_THE_API:
        print("  NOT what was expected: see the counts above")
    return [
        row(f"{cloud}: copy", "s", copied["seconds"], bar=300 * share, at_most=True),
        *_means(cloud, copied, bar=1000),
        row(f"{cloud}: verify", "s", first["seconds"], bar=120 * share, at_most=True),
        *_means(f"{cloud}: verify", first, bar=1000),
        row(f"{cloud}: second verify, nothing changed", "s", again["seconds"], bar=15, at_most=True),
        row(f"{cloud}: differences", "objects", unequal, bar=0, at_most=True),
    ]


def _means(name: str, found: dict[str, Any], bar: float) -> list[dict[str, Any]]:
    """Memory and CPU of a step, and of the controller."""
    return [
        row(f"{name}: memory", "MB", found["memory"], bar=bar, at_most=True),
        row(f"{name}: memory of the controller", "MB", found["controller_memory"], bar=bar, at_most=True),
        row(f"{name}: CPU of the engine", "s", found["cpu"]),
        row(f"{name}: CPU of the controller", "s", found["cpu_of"]["controller"]),
    ]


def from_fast_api(bench: Bench, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """Copy from a source whose API costs nothing."""
    size = asked.size
    bench.fill(size)
    bench.new_target()
    with bench.stand_in() as source:
        copied = bench.run("copy", "api", source=source)
    name = f"{size:,} ports from a fast API"
    return [
        row(f"{name}: copy", "s", copied["seconds"], bar=60 * size / 100_000, at_most=True),
        *_means(name, copied, bar=400),
    ]


def from_neutron(bench: Bench, _: argparse.Namespace) -> list[dict[str, Any]]:
    """Copy from the real API, and list the same with a bare HTTP client, in turn."""
    bench.fill(FROM_NEUTRON)
    rates: dict[str, list[float]] = {"list": [], "copy": []}
    bench.new_target()
    bench.run("list")  # Neutron's first answers are slower than its later ones
    for number in range(ROUNDS):
        bench.new_target()
        for what in ("list", "copy"):
            found = bench.run(what, f"neutron-{number}")
            rates[what].append(found["objects"] / found["seconds"])
    ours, peer = statistics.median(rates["copy"]), statistics.median(rates["list"])
    name = f"objects copied from the real Neutron, {FROM_NEUTRON:,} ports"
    return [row(name, "1/s", ours, peer=peer, peer_name="a bare client that lists them", bar=0.9)]


def replayed(bench: Bench, _: argparse.Namespace) -> list[dict[str, Any]]:
    """Replay an update of every port, whose states are read from the real Neutron."""
    peer = _accepted(bench.lab)
    bench.fill(REPLAYED)
    bench.new_target()
    bench.run("copy", "replay", database=True)
    bench.sql("UPDATE ports SET name = CONCAT(name, '-changed') WHERE device_owner = 'compute:nova'")
    found = bench.run("replay", "replay")
    if found["changes"] != REPLAYED or found["refused"]:
        print("  NOT what was expected: see the counts above")
    ours = found["entries"] / found["seconds"]
    name = f"a real Neutron, {bench.lab.neutron_workers} processes, {engine_live.WRITERS} clients creating ports"
    return [row("captured writes replayed", "1/s", ours, peer=peer, peer_name=name, bar=20)]


def lagging(bench: Bench, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """How far replay is behind while Neutron takes what it can."""
    keys = bench.reading(asked.source)
    return engine_live.lag(bench.lab, _accepted(bench.lab), READING[asked.source], keys)


def cut_over(bench: Bench, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """There and back, under load."""
    bench.fill(asked.objects)
    cloud = f"{asked.objects:,} objects, {READING[asked.source]}"
    return engine_handover.measure(bench.lab, asked.count, cloud, HANDING_OVER, bench.reading(asked.source))


def _accepted(lab: Lab) -> float:
    """Ports that Neutron itself creates in a second."""
    token = lab.connection("lab-admin", direct=True).auth_token
    return accepted(lab.neutron_url, token, engine_live.WRITERS, 10)


BENCHES = dict(
    zip(PARTS, (from_database, from_fast_api, from_neutron, replayed, lagging, cut_over), strict=True),
)


def main() -> None:
    """Runs it and writes the figures of each part as soon as they are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--objects", type=int, default=10_000, help="ports of the cloud that is handed over")
    parser.add_argument("--count", type=int, default=20, help="cutovers, each with its reverse")
    parser.add_argument("--source", choices=READING, default="database", help="what lag and cutover are read from")
    options = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for part in options.only:
        print(part, flush=True)
        with Lab(database="mariadb") as lab, tempfile.TemporaryDirectory(dir=DIRECTORY) as scratch:
            bench = Bench(lab, Path(scratch))
            try:
                rows = BENCHES[part](bench, options)
            finally:
                bench.stop()
        print(f"written to {add('engine', rows)}", flush=True)


if __name__ == "__main__":
    main()

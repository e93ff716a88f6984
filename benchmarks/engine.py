"""How fast a cloud is copied and verified: from Neutron's database, from a fast API, from the real Neutron.

    python -m benchmarks.engine [--size 100000] [--only database api neutron]

Writes build/bench/engine.json. The cloud is written by SQL into the tables of a real Neutron (MariaDB); target is the
bundled Alcor, over HTTP, on SQLite. Each step is a process of its own, whose greatest memory is measured.
The bars are for 1,000,000 ports from the database and 100,000 from the API; with another --size they scale with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import uvloop
from aiohttp import web

from alcor_migrate.cloud import Cloud
from alcor_migrate.engine.copy import Copy, CopyProgress
from alcor_migrate.engine.replay import Replay
from alcor_migrate.engine.state import StateStore
from alcor_migrate.engine.verify import verify
from alcor_migrate.http import JsonClient
from alcor_migrate.journal import Journal
from alcor_migrate.settings import SourceSettings
from alcor_migrate.source import NeutronSide, open_source
from alcor_migrate.target import AlcorSide
from alcor_model import load_order
from benchmarks.report import DIRECTORY, row, write
from benchmarks.synthetic import load
from lab import Lab
from lab.journey import Journey
from lab.ports import HOST, Ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alcor_migrate.source.database import DatabaseSide

PARTS = ("database", "api", "neutron")
MILLION = 1_000_000
FROM_NEUTRON = 5_000
FROM_THE_API = 200
"""At most so many of the lab's objects are of kinds that only the API lists (agents, quotas, ...)."""
PAGE = 1000
BUFFER = 1 << 30


# -- one step, in a process of its own -------------------------------------------------------------------------------


async def step(what: str, options: argparse.Namespace) -> dict[str, Any]:
    """Do one thing and say how long it took."""
    cloud = Cloud("lab-admin")
    api = NeutronSide(JsonClient("Neutron", options.source, cloud), cloud)
    source = open_source(api, cloud, SourceSettings("lab-admin", options.source, options.database))
    target = AlcorSide(JsonClient("Alcor", options.target, cloud), cloud)
    try:
        if what == "list":
            return await listing(source)
        return await work(what, source, target, Path(options.state))
    finally:
        await source.close()
        await target.close()


async def listing(source: NeutronSide | DatabaseSide) -> dict[str, Any]:
    """List everything and throw it away."""
    began, found = time.perf_counter(), 0
    for of in load_order():
        async for page in source.pages(of, PAGE):
            found += len(page)
    return {"objects": found, "seconds": time.perf_counter() - began}


async def work(what: str, source: NeutronSide | DatabaseSide, target: AlcorSide, state: Path) -> dict[str, Any]:
    """Copy or verify as a migration does, without its gateway."""
    store = StateStore(state)
    journal = await Journal.open(state / "journal.sqlite")
    sides = {"source": source, "target": target}
    replay = Replay(journal, sides, store.recall("applied", int, 0), PAGE, lambda p: store.keep("applied", p))
    task = asyncio.create_task(replay.run())
    began = time.perf_counter()
    try:
        if what == "copy":
            progress = CopyProgress()
            await Copy(source, journal, replay, PAGE, progress).run(lambda _: None)
            found: dict[str, Any] = {"objects": progress.copied, "refused": len(replay.poison)}
        else:
            verified = await verify(journal, replay, PAGE, memory=store)
            found = {
                "objects": verified.compared,
                "unchanged": verified.unchanged,
                "mismatches": verified.mismatches,
                "shown": [f"{m.resource} {m.id} {m.problem}" for m in verified.shown[:3]],
            }
        return found | {"seconds": time.perf_counter() - began}
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await journal.close()
        store.close()


# -- a stand-in that only serves pages -------------------------------------------------------------------------------


async def serve(port: int, options: argparse.Namespace) -> None:
    """Serve the source's objects, read beforehand from its database, as fast as Python sends bytes."""
    cloud = Cloud("lab-admin")
    api = NeutronSide(JsonClient("Neutron", options.source, cloud), cloud)
    source = open_source(api, cloud, SourceSettings("lab-admin", options.source, options.database))
    pages: dict[str, list[tuple[str, bytes]]] = {}
    keys: dict[str, str] = {}
    for of in load_order():
        rows = [(o["id"], json.dumps(o).encode()) async for page in source.pages(of, PAGE) for o in page]
        pages[f"/v2.0/{of.collection}"], keys[f"/v2.0/{of.collection}"] = sorted(rows), of.plural
    known = {"extensions": [{"alias": alias} for alias in await source.extensions()]}
    await source.close()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/v2.0/extensions":
            return web.json_response(known)
        if request.path.endswith("/details.json"):
            return web.json_response({"quota": {"security_group": {"used": 1}}})
        rows = pages.get(request.path)
        if rows is None:
            return web.json_response({}, status=404)
        start = places[request.path].get(request.query.get("marker", ""), -1) + 1
        some = rows[start : start + int(request.query.get("limit", len(rows)))]
        body = b'{"' + keys[request.path].encode() + b'":[' + b",".join(text for _, text in some) + b"]}"
        return web.Response(body=body, content_type="application/json")

    places = {path: {i: n for n, (i, _) in enumerate(rows)} for path, rows in pages.items()}
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


# -- all of it -------------------------------------------------------------------------------------------------------


class Bench:
    """The lab, a controller that is new for each part, and the steps."""

    def __init__(self, lab: Lab, scratch: Path) -> None:
        self._lab = lab
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
        where = pymysql.connect(host=HOST, port=self._database_port(), user="root", autocommit=True)
        with where, where.cursor() as cursor:
            # As large as a real Neutron's would be; the lab's own is for small clouds.
            cursor.execute(f"SET GLOBAL innodb_buffer_pool_size = {BUFFER}")
        objects = load(self._database, ports, series=f"{ports}-")
        print(f"  {objects:,} objects written in {time.perf_counter() - began:.0f} s")

    def new_target(self) -> None:
        """An empty controller in place of the last one."""
        if self._journey is not None:
            self._journey.stop()
        for path in self._lab.directory.glob("alcor.sqlite*"):
            path.unlink()
        self._journey = Journey(self._lab)
        self._journey.start_controller()

    def run(self, what: str, state: str, *, database: bool = False, source: str = "") -> dict[str, Any]:
        """One step; prints and answers what it found."""
        argv = [sys.executable, "-m", "benchmarks.engine", "--step", what, *self._options(source, database=database)]
        argv += ["--state", str(self._scratch / state)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, env=self._environment())
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        print(f"  {what}: {found}", flush=True)
        return found

    @contextlib.contextmanager
    def stand_in(self) -> Iterator[str]:
        """The address of the fast source."""
        ports = Ports()
        port = ports.reserve()
        argv = [sys.executable, "-m", "benchmarks.engine", "--serve", str(port), *self._options("", database=True)]
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

    def _options(self, source: str, *, database: bool) -> list[str]:
        options = ["--source", source or self._lab.neutron_url, "--target", self._lab.alcor_url]
        return [*options, "--database", self._database] if database else options

    def _environment(self) -> dict[str, str]:
        return {"OS_CLIENT_CONFIG_FILE": str(self._lab.clouds_yaml), "PATH": "/usr/bin:/bin"}

    def _database_port(self) -> int:
        return int(self._database.split("@")[1].partition(":")[2].partition("/")[0])


def from_database(bench: Bench, size: int) -> list[dict[str, Any]]:
    """Copy, verify, verify again, all from the database."""
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
        row(f"{cloud}: memory", "MB", copied["memory"], bar=1000, at_most=True),
        row(f"{cloud}: verify", "s", first["seconds"], bar=120 * share, at_most=True),
        row(f"{cloud}: memory of verify", "MB", first["memory"], bar=1000, at_most=True),
        row(f"{cloud}: second verify, nothing changed", "s", again["seconds"], bar=15, at_most=True),
        row(f"{cloud}: differences", "objects", unequal, bar=0, at_most=True),
    ]


def from_fast_api(bench: Bench, size: int) -> list[dict[str, Any]]:
    """Copy from a source whose API costs nothing."""
    bench.new_target()
    with bench.stand_in() as source:
        copied = bench.run("copy", "api", source=source)
    name = f"{size:,} ports from a fast API"
    return [
        row(f"{name}: copy", "s", copied["seconds"], bar=60 * size / 100_000, at_most=True),
        row(f"{name}: memory", "MB", copied["memory"], bar=400, at_most=True),
    ]


def from_neutron(bench: Bench) -> list[dict[str, Any]]:
    """Copy from the real API, against only listing it."""
    bench.new_target()
    listed = bench.run("list", "list")
    copied = bench.run("copy", "neutron")
    ours, peer = (found["objects"] / found["seconds"] for found in (copied, listed))
    name = "objects copied from the real Neutron"
    return [row(name, "1/s", ours, peer=peer, peer_name="only listing it", bar=0.9)]


def main() -> None:
    """Runs it and writes the figures; with --step or --serve it is a part of itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    for hidden in ("step", "serve", "source", "target", "state"):
        parser.add_argument(f"--{hidden}", help=argparse.SUPPRESS)
    parser.add_argument("--database", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve(int(options.serve), options))
        return
    if options.step:
        found = uvloop.run(step(options.step, options))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(found | {"memory": memory}))
        return
    rows: list[dict[str, Any]] = []
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with Lab(database="mariadb") as lab, tempfile.TemporaryDirectory(dir=DIRECTORY) as scratch:
        bench = Bench(lab, Path(scratch))
        try:
            if "neutron" in options.only:
                bench.fill(FROM_NEUTRON)
                rows += from_neutron(bench)
            if {"database", "api"} & set(options.only):
                bench.fill(options.size)
            if "api" in options.only:
                rows += from_fast_api(bench, options.size)
            if "database" in options.only:
                rows += from_database(bench, options.size)
        finally:
            bench.stop()
    print(f"written to {write('engine', rows)}")


if __name__ == "__main__":
    main()

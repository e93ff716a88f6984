"""One step of the engine's benchmark, in a process of its own, so that its memory and CPU are its own.

`list`, `copy`, `verify` and `replay` do it and print one line of JSON; `serve` is a fast source, of pages only.
`benchmarks.engine` starts them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web

from alcor_migrate.cloud import Cloud
from alcor_migrate.engine.copy import Copy, CopyProgress
from alcor_migrate.engine.replay import Replay
from alcor_migrate.engine.state import StateStore
from alcor_migrate.engine.verify import verify
from alcor_migrate.http import JsonClient
from alcor_migrate.journal import Intent, Journal, Outcome
from alcor_migrate.pauses import spare_what_stays
from alcor_migrate.settings import SourceSettings
from alcor_migrate.source import NeutronSide, open_source
from alcor_migrate.target import AlcorSide
from alcor_model import load_order, resource
from lab.ports import HOST

if TYPE_CHECKING:
    from alcor_migrate.source.database import DatabaseSide

PAGE = 1000
WRITERS = 64
"""Captured writes that are put into the journal at a time, for one commit to take many."""


def memory_of(pid: int) -> float:
    """The greatest memory that a process has had, MB."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, with those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


# -- the steps -------------------------------------------------------------------------------------------------------


async def step(what: str, options: argparse.Namespace) -> dict[str, Any]:
    """Do one thing and say how long it took."""
    cloud = Cloud("lab-admin")
    api = NeutronSide(JsonClient("Neutron", options.source, cloud), cloud)
    source = open_source(api, cloud, SourceSettings("lab-admin", options.source, options.database))
    target = AlcorSide(JsonClient("Alcor", options.target, cloud), cloud)
    try:
        if what == "list":
            return await listing(options.source, cloud, api)
        return await work(what, source, target, Path(options.state))
    finally:
        await source.close()
        await target.close()


async def listing(url: str, cloud: Cloud, side: NeutronSide) -> dict[str, Any]:
    """List what the copy lists, page by page, with a bare HTTP client that throws it away."""
    fields = {"X-Auth-Token": await cloud.token()}
    offered = [of for of in load_order() if not of.nested and await side.offers(of)]
    decode = msgspec.json.Decoder().decode
    began, found = time.perf_counter(), 0
    async with aiohttp.ClientSession(headers=fields) as session:
        for of in offered:
            query = f"limit={PAGE}&sort_key=id&sort_dir=asc"
            marker = ""
            while True:
                async with session.get(f"{url}/v2.0/{of.collection}?{query}{marker}") as answer:
                    rows = decode(await answer.read()).get(of.plural, []) if answer.status < 400 else []
                found += len(rows)
                if len(rows) < PAGE:
                    break
                marker = f"&marker={rows[-1]['id']}"
    return {"objects": found, "seconds": time.perf_counter() - began}


async def work(what: str, source: NeutronSide | DatabaseSide, target: AlcorSide, state: Path) -> dict[str, Any]:
    """Copy, verify or replay as a migration does, without its gateway."""
    store = StateStore(state)
    journal = await Journal.open(state / "journal.sqlite")
    sides = {"source": source, "target": target}
    replay = Replay(journal, sides, store.recall("applied", int, 0), PAGE, lambda p: store.keep("applied", p))
    if what == "replay":
        await backlog(journal, source)
    task = asyncio.create_task(replay.run())
    began = time.perf_counter()
    try:
        if what == "copy":
            progress = CopyProgress()
            await Copy(source, journal, replay, PAGE, progress).run(lambda _: None)
            found: dict[str, Any] = {"objects": progress.copied, "refused": len(replay.poison)}
        elif what == "replay":
            await replay.reach(journal.position)
            found = {"entries": replay.entries, "changes": replay.changes, "refused": len(replay.poison)}
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


async def backlog(journal: Journal, source: NeutronSide | DatabaseSide) -> None:
    """Put an update of every port into the journal, in an order that no listing has, as the gateway would have."""
    ports = [port async for page in source.pages(resource("port"), PAGE) for port in page]
    ports.sort(key=lambda port: str(port["mac_address"])[::-1])
    slots = asyncio.Semaphore(WRITERS)

    async def captured(port: dict[str, Any]) -> None:
        async with slots:
            now = time.time()
            body = msgspec.json.encode({"port": {"name": port["name"]}})
            path, ask = f"/v2.0/ports/{port['id']}", f"req-{port['id']}"
            seq = await journal.intent(Intent(method="PUT", path=path, body=body, request_id=ask, started_at=now))
            answer = msgspec.json.encode({"port": port})
            await journal.outcome(
                seq, Outcome(status=200, body=answer, finished_at=now, project_id=port["project_id"])
            )

    await asyncio.gather(*(captured(port) for port in ports))


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


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("list", "copy", "verify", "replay", "serve"))
    for name in ("source", "target", "state", "database"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    if options.what == "serve":
        uvloop.run(serve(options.port, options))
        return
    spare_what_stays()  # as `alcor-migrate run` does
    found = uvloop.run(step(options.what, options))
    own = os.getpid()
    print(json.dumps(found | {"memory": round(memory_of(own), 1), "cpu": round(cpu_of(own), 1)}))


if __name__ == "__main__":
    main()

"""SIGKILL of a gateway under concurrent writes: every write that a client saw answered is in the journal."""

import asyncio
import contextlib
import json
import random
import signal
import subprocess
import sys

import pytest
from gateway_harness import RawClient, answer, eventually

from alcor_migrate.journal import Journal

pytestmark = pytest.mark.process

VICTIM = """
import asyncio, sys
import uvloop
from alcor_migrate.gateway import Gateway, GatewaySettings, Route
from alcor_migrate.journal import Journal

async def main():
    journal = await Journal.open(sys.argv[1])
    settings = GatewaySettings(
        listen="127.0.0.1:0", source=sys.argv[2], intent_patience=60, outcome_patience=60
    )
    gateway = Gateway(settings, journal)
    await gateway.start()
    await gateway.switch(Route.CAPTURE)
    print(gateway.address.rpartition(":")[2], flush=True)
    await asyncio.Event().wait()

import logging, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
uvloop.run(main())
"""


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_acknowledged_write_is_missing_after_a_kill(tmp_path, source, seed):
    rng = random.Random(seed)
    made = []

    def make(seen, _writer):
        name = json.loads(seen.body)["name"]
        made.append(name)
        return answer(json.dumps({"id": name}).encode(), "201 Created")

    source.script = make
    acknowledged = []

    async def write(port, worker):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            client = RawClient(reader, writer)
            try:
                for number in range(10_000):
                    name = f"{worker}-{number}"
                    status, _, body = await client.ask("POST", "/v2.0/ports", json.dumps({"name": name}).encode())
                    assert (status, json.loads(body)) == (201, {"id": name})
                    acknowledged.append(name)
            finally:
                writer.close()

    for life in range(2):
        victim = subprocess.Popen(  # noqa: ASYNC220  (our own program)
            [sys.executable, "-c", VICTIM, str(tmp_path / "j"), source.url], stdout=subprocess.PIPE, text=True
        )
        try:
            port = int(await asyncio.to_thread(victim.stdout.readline))
            writers = [asyncio.create_task(write(port, f"{life}-{n}")) for n in range(12)]
            before = len(acknowledged)
            await eventually(lambda before=before: len(acknowledged) > before)
            await asyncio.sleep(rng.uniform(0.05, 0.3))
        finally:
            victim.send_signal(signal.SIGKILL)
            await asyncio.to_thread(victim.wait)
            victim.stdout.close()
        await asyncio.gather(*writers)

    journal = await Journal.open(tmp_path / "j")
    events = await journal.read(after=0, limit=10**9)
    recorded = [json.loads(e.outcome.body)["id"] for e in events if e.outcome.status == 201]
    left = [json.loads(u.intent.body)["name"] for u in await journal.unsettled()]
    await journal.close()
    assert set(acknowledged) <= set(recorded)
    # what was made and never answered is known to be unknown; nothing was made behind the journal's back
    assert set(made) <= set(recorded) | set(left)
    assert len(made) == len(set(made))
    assert len(recorded) == len(set(recorded))

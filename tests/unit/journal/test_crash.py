"""SIGKILL at any instant: whatever was acknowledged is found again."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from alcor_migrate.journal import Journal

VICTIM = """
import asyncio, sys, time
from alcor_migrate.journal import Intent, Journal, Outcome

async def main():
    journal = await Journal.open(sys.argv[1])
    print("ready", flush=True)
    async def work(worker):
        number = 0
        while True:
            number += 1
            path = f"/{sys.argv[2]}/{worker}/{number}"
            now = time.time()
            intent = Intent(method="POST", path=path, body=b"b", request_id="r", started_at=now)
            seq = await journal.intent(intent)
            sys.stdout.write(f"I {seq} {path}\\n")
            position = await journal.outcome(seq, Outcome(status=201, body=b"a", finished_at=time.time()))
            sys.stdout.write(f"O {position} {path}\\n")
            sys.stdout.flush()
    await asyncio.gather(*(work(n) for n in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_what_was_acknowledged_survives_a_kill(tmp_path, seed):
    rng = random.Random(seed)
    intents, outcomes = {}, {}
    for life in range(2):
        victim = subprocess.Popen(  # noqa: ASYNC220  (our own program; nothing else runs here)
            [sys.executable, "-c", VICTIM, str(tmp_path / "j"), f"life{life}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert await asyncio.to_thread(victim.stdout.readline) == "ready\n"
            time.sleep(rng.uniform(0.0, 0.2))  # noqa: ASYNC251  (nothing else runs here)
        finally:
            os.kill(victim.pid, signal.SIGKILL)
            printed, _ = victim.communicate()
        for line in printed.split("\n")[:-1]:
            what, number, path = line.split()
            (intents if what == "I" else outcomes)[path] = int(number)
    journal = await Journal.open(tmp_path / "j")
    events = await journal.read(after=0, limit=10**9)
    found = {e.intent.path: e for e in events}
    assert {path: found[path].position for path in outcomes} == outcomes
    left = {u.intent.path: u.seq for u in await journal.unsettled()}
    assert {p: left.get(p) or found[p].seq for p in intents} == intents
    assert [e.position for e in events] == list(range(1, len(events) + 1))
    await journal.close()

"""How many captured writes the journal can make durable: intent and outcome, each waited for.

    python -m benchmarks.journal [--seconds 5] [--workers 64]

Writes build/bench/journal.json. The peer is one commit per row on the same disk by one connection, which is
what a journal without group commit would reach.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import uvloop

from alcor_migrate.journal import Intent, Journal, Outcome
from benchmarks.report import DIRECTORY, row, write

BODY = json.dumps({"port": {"network_id": "n" * 36, "name": "bench", "description": "d" * 100}}).encode()
ANSWER = json.dumps({"port": {"id": "p" * 36, "name": "bench", "description": "d" * 700}}).encode()


async def ours(path: Path, workers: int, seconds: float) -> tuple[float, float]:
    """Pairs a second and the 99th percentile of one pair in milliseconds."""
    journal = await Journal.open(path)
    taken: list[float] = []
    end = time.perf_counter() + seconds

    async def work() -> None:
        while (started := time.perf_counter()) < end:
            now = time.time()
            seq = await journal.intent(
                Intent(method="POST", path="/v2.0/ports", body=BODY, request_id="req-" + "0" * 36, started_at=now)
            )
            await journal.outcome(seq, Outcome(status=201, body=ANSWER, finished_at=now))
            taken.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(workers)))
    elapsed = time.perf_counter() - started
    stats = journal.stats
    await journal.close()
    p50 = statistics.median(taken) * 1e3
    print(f"  {workers} writers: {len(taken) / elapsed:,.0f} pairs/s, p50 {p50:.2f} ms")
    print(f"    {stats.entries / stats.commits:.0f} entries a commit")
    return len(taken) / elapsed, statistics.quantiles(taken, n=100)[98] * 1e3


def single_commits(path: Path, seconds: float) -> float:
    """Pairs a second with one durable commit for every row."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, body BLOB)")
    rows = 0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        connection.execute("INSERT INTO entry (body) VALUES (?)", (ANSWER,))
        rows += 1
    connection.close()
    return rows / 2 / seconds


def main() -> None:
    """Runs it and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--workers", type=int, default=64)
    options = parser.parse_args()
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as scratch:
        peer = single_commits(Path(scratch) / "single", options.seconds)
        one, _ = uvloop.run(ours(Path(scratch) / "one", 1, options.seconds))
        many, p99 = uvloop.run(ours(Path(scratch) / "many", options.workers, options.seconds))
    name = "one commit per row"
    wrote = f"captured writes, {options.workers} at a time"
    rows = [
        row("captured writes, 1 at a time", "1/s", one, peer=peer, peer_name=name),
        row(wrote, "1/s", many, bar=5000),
        row(f"{wrote}, against no group commit", "1/s", many, peer=peer, peer_name=name, bar=1),
        row(f"{wrote}, p99", "ms", p99, bar=15, at_most=True),
    ]
    print(f"written to {write('journal', rows)}")


if __name__ == "__main__":
    main()

"""Reads that go to the passive side while writes go to the active one, in one process and in several."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys

import pytest
from gateway_harness import UNHURRIED, RawClient, answer, eventually

from alcor_migrate.engine.reads import Reads
from alcor_migrate.errors import GatewayError, JournalError
from alcor_migrate.gateway import GatewayPool, GatewaySettings, Route
from alcor_migrate.gateway.routes import on_both_sides
from alcor_migrate.side import COMES_BACK
from alcor_model import resource

PORT = "/v2.0/ports/p1"
PATIENCE = 60.0  # seconds; nothing waits so long


def at_once(then, _many):
    then("")


@pytest.fixture
async def ahead(make_gateway):
    gateway = await make_gateway()
    await gateway.switch(Route.CAPTURE)
    await gateway.switch_reads("target")
    gateway.permit = at_once
    return gateway


@pytest.fixture
async def client(ahead, connect):
    return await connect(ahead)


def test_what_both_sides_serve_is_what_comes_back():
    for name in COMES_BACK:
        plural = resource(name).plural.replace("_", "-").encode()
        for path in (b"", b"/x-1", b"/x-1.json", b"?name=a&fields=id", b"/x-1/tags", b"/x-1/tags/blue"):
            assert on_both_sides(b"GET", b"/v2.0/" + plural + path), (plural, path)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"HEAD", b"/v2.0/ports"),
        (b"GET", b"/v2.0/trunks"),
        (b"GET", b"/v2.0/agents"),
        (b"GET", b"/v2.0/routers/r1/l3-agents"),
        (b"GET", b"/v2.0/floatingips/f1/port_forwardings"),
        (b"GET", b"/v2.0/ports/p1/bindings"),
        (b"GET", b"/v2.0/quotas/p"),
        (b"GET", b"/v2.0/extensions"),
        (b"GET", b"/"),
        (b"GET", b"/v2.0/networks/%70"),
        (b"GET", b"/v2.0/portsx"),
    ],
)
def test_everything_else_stays_with_the_writes(method, target):
    assert not on_both_sides(method, target)


async def test_reads_go_ahead_and_writes_stay(ahead, client, source, target):
    assert (await client.ask("GET", PORT))[2] == b"target"
    assert (await client.ask("GET", "/v2.0/trunks"))[2] == b"source"
    assert (await client.ask("PUT", PORT, b"{}"))[2] == b"source"
    assert (ahead.reads, ahead.side, ahead.stats.reads_ahead) == ("target", "source", 1)
    await ahead.switch_reads("source")
    assert (await client.ask("GET", PORT))[2] == b"source"
    assert (len(source.seen), len(target.seen)) == (3, 1)


async def test_reads_and_writes_meet_again_when_the_writes_move(ahead, client):
    ahead.permit = None  # who is not ahead is not asked
    await ahead.switch(Route.TARGET)
    assert (ahead.ahead, (await client.ask("GET", PORT))[2]) == (False, b"target")
    await ahead.switch_reads("source")
    assert ahead.ahead
    await ahead.switch(Route.PASS)
    assert (ahead.ahead, (await client.ask("GET", PORT))[2]) == (False, b"source")


async def test_a_hold_that_gives_up_leaves_the_reads_where_they_are(ahead, client):
    await ahead.hold(0.05)
    with pytest.raises(GatewayError, match="held"):
        await ahead.switch_reads("source")
    assert (await client.ask("GET", PORT))[2] == b"target"
    await eventually(lambda: not ahead.holding)
    assert (ahead.reads, ahead.side) == ("target", "source")


async def test_reads_do_not_go_ahead_of_writes_that_nobody_records(make_gateway):
    gateway = await make_gateway()
    with pytest.raises(GatewayError, match="cannot go to the target"):
        await gateway.switch_reads("target")


async def test_who_must_not_go_ahead_is_served_by_the_active_side(ahead, client):
    ahead.permit = lambda then, _many: then("late")
    assert (await client.ask("GET", PORT))[2] == b"source"
    assert ahead.stats.fell_back == {"late": 1}


async def test_a_client_that_leaves_while_its_read_waits_is_forgotten(ahead, client, source, target):
    waiting = []
    ahead.permit = lambda then, _many: waiting.append(then)
    await client.send(b"GET /v2.0/ports HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(lambda: waiting)
    client.reset()
    await eventually(lambda: ahead.stats.requests == {("capture", "GET", 0): 1})
    waiting[0]("")
    assert (source.seen, target.seen) == ([], [])


@pytest.mark.parametrize(
    "said",
    [
        answer(b"gone", "404 Not Found"),
        answer(b"no", "500 Internal Server Error"),
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwrong\r\n",
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\nw\r\n0\r\nX: y\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\nuntil the end",
        b"nonsense\r\n\r\n",
        None,
    ],
)
async def test_the_passive_side_only_brings_good_news(ahead, client, target, said):
    target.script = lambda *_: said
    for _ in range(3):
        assert (await client.ask("GET", PORT))[::2] == (200, b"source")
    assert sum(ahead.stats.fell_back.values()) == 3
    assert ahead.stats.reads_ahead == 0
    target.script = None
    assert (await client.ask("GET", PORT))[2] == b"target"


async def test_a_passive_side_that_is_away_costs_no_read(ahead, client, target):
    await target.stop()
    assert (await client.ask("GET", PORT))[2] == b"source"
    assert ahead.stats.fell_back == {"lost": 1}


async def test_a_passive_side_that_says_nothing_costs_no_read(make_gateway, connect, target):
    gateway = await make_gateway(ahead_timeout=0.05, body_timeout=0.2)  # looked at four times as often
    await gateway.switch(Route.CAPTURE)
    await gateway.switch_reads("target")
    gateway.permit = at_once
    never = asyncio.Event()
    target.script = lambda *_: never.wait()
    client = await connect(gateway)
    assert (await client.ask("GET", PORT))[2] == b"source"
    assert gateway.stats.fell_back == {"lost": 1}
    never.set()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.usefixtures("ahead")
async def test_a_read_that_may_write_is_recorded_before_it_is_answered(client, journal, source, monkeypatch, chunked):
    if chunked:
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsource\r\n0\r\n\r\n"
        source.script = lambda *_: whole
    may_commit = asyncio.Event()
    keep = journal.read_that_wrote

    async def slow(intent, outcome):
        await may_commit.wait()
        return await keep(intent, outcome)

    monkeypatch.setattr(journal, "read_that_wrote", slow)
    asking = asyncio.create_task(client.ask("GET", "/v2.0/security-groups"))
    await eventually(lambda: source.seen)
    await asyncio.sleep(0.05)
    assert not asking.done()
    may_commit.set()
    assert (await asking)[2] == b"source"
    assert journal.position == 1


async def test_a_read_that_may_write_and_cannot_be_recorded_is_answered_and_keeps_reads_back(
    make_gateway, connect, journal, monkeypatch
):
    gateway = await make_gateway(outcome_patience=0.05)
    await gateway.switch(Route.CAPTURE)
    await gateway.switch_reads("target")
    never = asyncio.Event()
    monkeypatch.setattr(journal, "read_that_wrote", lambda *_: never.wait())
    client = await connect(gateway)
    assert (await client.ask("GET", "/v2.0/security-groups"))[::2] == (200, b"source")
    assert gateway.incomplete
    never.set()


async def test_a_write_that_is_answered_late_is_a_doubt_until_the_journal_has_it(
    make_gateway, connect, journal, monkeypatch
):
    gateway = await make_gateway(outcome_patience=0.05)
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    may_commit = asyncio.Event()
    mark = journal.mark

    async def stuck(*_):
        await asyncio.Event().wait()

    async def slow(kind, token):
        await may_commit.wait()
        return await mark(kind, token)

    monkeypatch.setattr(journal, "outcome", stuck)
    monkeypatch.setattr(journal, "mark", slow)
    assert (await client.ask("PUT", PORT, b"{}"))[0] == 200
    assert gateway.doubts == 1
    may_commit.set()
    await eventually(lambda: not gateway.doubts)


async def test_a_doubt_stays_when_the_journal_has_ended(make_gateway, journal, monkeypatch):
    gateway = await make_gateway()

    async def closed(*_):
        raise JournalError("the journal is closed")

    monkeypatch.setattr(journal, "mark", closed)
    gateway.doubt()
    await eventually(lambda: not gateway._tasks)
    assert gateway.doubts == 1


# -- read your writes ----------------------------------------------------------------------------------------------


class Cloud:
    """Both sides as numbers under paths, and a replay that is behind by what chance wants."""

    trouble = ""
    lag = 0.0
    incomplete = False

    def __init__(self, source, target, journal, seed):
        self.numbers = {"source": {}, "target": {}}
        self.applied = 0
        self.poison = {}
        self._random = random.Random(seed)
        self._journal = journal
        for upstream, name in ((source, "source"), (target, "target")):
            upstream.script = lambda seen, _writer, name=name: self._serve(name, seen)

    async def _serve(self, name, seen):
        method, path, _ = seen.line.split()
        await asyncio.sleep(self._random.random() * 0.003)
        held = self.numbers[name]
        if method == "PUT":
            held[path] = json.loads(seen.body)
        found = path in held
        return answer(json.dumps(held.get(path)).encode(), "200 OK" if found else "404 Not Found")

    async def replay(self, reads):
        """Apply what is in the journal, some entries at a time, each some time after it was written."""
        while True:
            for event in await self._journal.read(after=self.applied, limit=self._random.randint(1, 20)):
                if event.outcome is not None:
                    path = event.intent.path
                    self.numbers["target"][path] = self.numbers["source"][path]
                await asyncio.sleep(self._random.random() * 0.004)
                self.applied = event.position
                reads.applied(self.applied)
            await asyncio.sleep(0.001)


async def answering(_side):
    return True


async def read_what_was_written(gateway, open_to, source, target, journal, *, clients=6, rounds=25):
    """Clients write by one connection and read by another; answers how the reads ended."""
    cloud = Cloud(source, target, journal, 7)
    reads = Reads(gateway, journal, cloud, PATIENCE, answering)
    gateway.permit = reads.permit
    replay = asyncio.create_task(cloud.replay(reads))
    await reads.switch("target")
    missed = []

    async def user(number):
        writer, reader = [await open_to(gateway) for _ in range(2)]
        for value in range(rounds):
            path = f"/v2.0/networks/n{number if value % 3 else 'shared'}"
            status, _, _ = await writer.ask("PUT", path, json.dumps([number, value]).encode())
            known = list(cloud.numbers["source"][path])
            status, _, body = await reader.ask("GET", path)
            if status != 200 or (value % 3 and json.loads(body) != known):
                missed.append((path, known, status, body))
            if value % 7 == number % 7:
                await asyncio.sleep(0.01)

    try:
        await asyncio.gather(*(user(number) for number in range(clients)))
    finally:
        replay.cancel()
    assert missed == []
    return reads


async def test_each_read_sees_what_was_acknowledged_before_it(make_gateway, connect, source, target, journal):
    gateway = await make_gateway()
    await gateway.switch(Route.CAPTURE)
    reads = await read_what_was_written(gateway, connect, source, target, journal)
    assert gateway.stats.fell_back == {}
    assert gateway.stats.reads_ahead == 6 * 25
    assert reads.waited > 0


@pytest.fixture
def open_to(clean):
    async def open_client(gateway):
        host, _, port = getattr(gateway, "address", gateway).rpartition(":")
        client = RawClient(*await asyncio.open_connection(host, int(port)))

        async def close():
            client.writer.close()
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()

        clean.push_async_callback(close)
        return client

    return open_client


@pytest.fixture
async def pool(clean, source, target, journal):
    settings = GatewaySettings(
        listen="127.0.0.1:0",
        source=source.url,
        target=target.url,
        workers=2,
        heartbeat=0.05,
        stop_grace=0.5,
        # a busy machine is no reason to replace anybody, nor to give up
        lease=60.0,
        confirm_timeout=60.0,
        reads_patience=PATIENCE,
        **UNHURRIED,
    )
    made = GatewayPool(settings, journal, None, Route.CAPTURE)
    await made.start()
    clean.push_async_callback(made.stop)
    return made


@pytest.mark.process
async def test_each_read_sees_it_by_whichever_worker_it_was_written(pool, open_to, source, target, journal):
    reads = await read_what_was_written(pool, open_to, source, target, journal)
    await eventually(lambda: pool.stats.reads_ahead == 6 * 25)
    assert pool.stats.fell_back == {}
    assert reads.waited > 0
    await pool.switch(Route.TARGET)  # the writes follow: nobody has to wait any more
    client = await open_to(pool)
    target.script = None
    pool.permit = None
    assert (await client.ask("GET", PORT))[2] == b"target"


@pytest.mark.process
async def test_a_doubt_of_a_worker_is_known_to_the_master(pool, journal, monkeypatch):
    marked = []

    async def mark(kind, _token):
        marked.append(kind)
        return 1

    monkeypatch.setattr(journal, "mark", mark)
    (member, *_) = pool._members
    from alcor_migrate.gateway.channel import Doubt  # noqa: PLC0415  (as a worker would send it)

    pool.heard(member, Doubt())
    assert pool.doubts == 1
    await eventually(lambda: not pool.doubts)
    assert marked == ["doubt"]


MASTER = """
import asyncio, sys
from alcor_migrate.gateway import GatewayPool, GatewaySettings, Route
from alcor_migrate.journal import Journal

async def main():
    journal = await Journal.open(sys.argv[1])
    settings = GatewaySettings(
        listen="127.0.0.1:0", source=sys.argv[2], target=sys.argv[3], workers=2, heartbeat=0.05, lease=60.0,
        confirm_timeout=60.0, reads_patience=0.2
    )
    pool = GatewayPool(settings, journal, None, Route.CAPTURE)
    await pool.start()
    pool.permit = lambda then, many: then("")
    await pool.switch_reads("target")
    print(pool.address, flush=True)
    await asyncio.Event().wait()

import logging, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
asyncio.run(main())
"""


@pytest.fixture
async def master(tmp_path, source, target):
    process = subprocess.Popen(  # noqa: ASYNC220  (our own program)
        [sys.executable, "-c", MASTER, str(tmp_path / "j"), source.url, target.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process, (await asyncio.to_thread(process.stdout.readline)).strip()
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
        process.stdout.close()


@pytest.mark.process
async def test_while_the_engine_stands_still_reads_are_served_by_the_active_side(master, open_to):
    process, address = master
    client = await open_to(address)

    async def served_by(side):
        """Whether it serves reads after a moment, in which a busy machine may have it otherwise."""
        for _ in range(100):
            status, _, body = await client.ask("GET", PORT)
            assert status == 200
            if body == side:
                return True
            await asyncio.sleep(0.05)
        return False

    assert await served_by(b"target")
    os.kill(process.pid, signal.SIGSTOP)
    # what it said before it stood still may still be under way
    assert await served_by(b"source")
    for _ in range(5):
        assert (await client.ask("GET", PORT))[2] == b"source"
    os.kill(process.pid, signal.SIGCONT)
    assert await served_by(b"target")

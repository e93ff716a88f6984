"""Several worker processes on one port, real ones, with a tiny upstream."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gateway_harness import PATIENCE, UNHURRIED, RawClient, answer, eventually

from alcor_migrate.errors import GatewayError, JournalStalled
from alcor_migrate.gateway import Caller, GatewayPool, GatewaySettings, Policy, Route, open_gateway
from alcor_migrate.gateway.metrics import exposition

pytestmark = pytest.mark.process


@pytest.fixture
def make_pool(clean, source, target, journal):
    async def make(*, identify=None, route=Route.CAPTURE, **changes):
        fields = {
            "listen": "127.0.0.1:0",
            "source": source.url,
            "target": target.url,
            "workers": 2,
            "stop_grace": 0.5,
            "heartbeat": 0.05,
            "orphan_patience": 0.2,
            # a busy machine is no reason to replace anybody
            "lease": 60.0,
            "confirm_timeout": 60.0,
            **UNHURRIED,
        }
        pool = open_gateway(GatewaySettings(**fields | changes), journal, identify, route)
        assert isinstance(pool, GatewayPool)
        await pool.start()
        clean.push_async_callback(pool.stop)
        return pool

    return make


@pytest.fixture
def open_to(clean):
    opened = []

    async def open_client(address):
        host, _, port = address.rpartition(":")
        client = RawClient(*await asyncio.open_connection(host, int(port)))
        clean.callback(client.writer.transport.abort)
        opened.append(client)
        return client

    return open_client


@pytest.fixture
def connect_to_each(open_to):
    """A connection to each worker: the kernel knows who holds its other end."""

    def socket_of(client):
        """The other end's, as files of a process are named; empty before it is accepted."""
        ours, theirs = (client.writer.get_extra_info(name)[1] for name in ("sockname", "peername"))
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            _, local, remote, *_, inode = line.split()[:10]
            if (int(local[-4:], 16), int(remote[-4:], 16)) == (theirs, ours):
                return f"socket:[{inode}]"
        return ""

    def files(pid):
        # not one that is closed between the listing and the look
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield str(fd.readlink())

    async def connect(pool):
        found = {}
        for _ in range(200):
            client = await open_to(pool.address)

            def whose(client=client):
                name = socket_of(client)
                return next((pid for pid in pool.workers if name in files(pid)), None)

            await eventually(whose)
            found.setdefault(whose(), client)
            if len(found) == len(pool.workers):
                return found
        raise AssertionError("one worker gets no connection")

    return connect


async def test_requests_of_all_workers_are_captured_in_one_journal(make_pool, connect_to_each, journal):
    async def identify(token):
        return Caller(f"project of {token}", "u")

    pool = await make_pool(workers=3, identify=identify, metrics_listen="127.0.0.1:0")
    clients = await connect_to_each(pool)
    for client in clients.values():
        for n in range(3):
            status, _, body = await client.ask("POST", f"/{n}", b"{}", b"X-Auth-Token: t")
            assert (status, body) == (200, b"source")
    events = await journal.read(after=0)
    assert len(events) == 9
    assert len({e.seq for e in events}) == 9
    assert {e.outcome.project_id for e in events} <= {"project of t", None}
    await eventually(lambda: pool.stats.requests == {("capture", "POST", 200): 9})
    text = exposition(pool, journal.stats)
    assert 'requests_total{route="capture",method="POST",resource="other",status="200"} 9\n' in text
    assert "alcor_gateway_captured_total 9\n" in text


async def test_a_hold_holds_and_ends_everywhere(make_pool, connect_to_each, open_to, source):
    pool = await make_pool(max_held_requests=4)
    clients = list((await connect_to_each(pool)).values())

    def ask(*which):
        return [asyncio.create_task(c.ask("POST", "/", b"{}")) for c in which]

    # nobody ends it: its time passes, for all
    epoch = await pool.hold(0.2)
    assert {body for _, _, body in await asyncio.gather(*ask(*clients))} == {b"source"}
    assert (pool.route, pool.stats.holds_expired) == (Route.CAPTURE, 1)
    with pytest.raises(GatewayError, match="the hold is over"):
        await pool.release(Route.TARGET, epoch=epoch)

    # one worker's share of the room is full: it ends for all
    more = await open_to(pool.address), await open_to(pool.address), await open_to(pool.address)
    await pool.hold(60)
    answers = await asyncio.gather(*ask(*clients, *more))
    assert {body for _, _, body in answers} == {b"source"}
    assert pool.stats.holds_expired == 2
    for client in more:
        client.writer.transport.abort()

    # released
    epoch = await pool.hold(60)
    asking = ask(*clients)
    await eventually(lambda: pool.stats.held_now == 2)
    assert await pool.drained(60)
    before = len(source.seen)
    pool.claim(epoch)
    await pool.release(Route.TARGET, epoch=epoch)
    assert {body for _, _, body in await asyncio.gather(*asking)} == {b"target"}
    assert len(source.seen) == before
    with pytest.raises(GatewayError, match="the hold is over"):
        pool.claim(epoch)


async def test_a_projects_writes_keep_their_order_across_workers(make_pool, connect_to_each, target):
    async def of_project(token):
        return Caller(project_id=token[0])

    pool = await make_pool(identify=of_project, max_held_requests=100)
    clients = list((await connect_to_each(pool)).values())
    more = [list((await connect_to_each(pool)).values()) for _ in range(5)]
    turns = [client for each in [clients, *more] for client in each]
    begun, at_work = [], set()

    async def work(seen, _writer):
        project = seen.body[:1]
        begun.append((seen.body, project in at_work))
        at_work.add(project)
        await asyncio.sleep(0.002)
        at_work.discard(project)
        return answer(b"done")

    target.script = work
    await pool.hold(60)
    asking, names = [], []
    for number, client in enumerate(turns):
        names.append(b"%c%02d" % (b"ab"[number // 2 % 2], number))
        token = b"X-Auth-Token: %b%d" % (names[-1][:1], number)
        asking.append(asyncio.create_task(client.ask("POST", "/", names[-1], token)))
        await eventually(lambda many=number + 1: pool.stats.held_now == many)
    await pool.release(Route.TARGET)
    assert {status for status, _, _ in await asyncio.gather(*asking)} == {200}
    for project in (b"a", b"b"):
        assert [name for name, _ in begun if name[:1] == project] == [n for n in names if n[:1] == project]
    assert not any(beside for _, beside in begun)
    await eventually(lambda: not pool.queueing)
    assert (await turns[0].ask("POST", "/", b"a", b"X-Auth-Token: a"))[0] == 200


async def test_a_worker_that_dies_in_a_hold_holds_nobody_up(make_pool, connect_to_each, target):
    pool = await make_pool()
    each = await connect_to_each(pool)
    await pool.hold(60)
    asking = {}
    for number, (pid, client) in enumerate(each.items()):
        asking[pid] = asyncio.create_task(client.ask("POST", "/", b"{}", b"X-Auth-Token: same"))
        await eventually(lambda many=number + 1: pool.stats.held_now == many)
    victim, survivor = asking
    os.kill(victim, signal.SIGKILL)
    await eventually(lambda: pool.stats.held_now == 1)
    await pool.release(Route.TARGET)
    assert (await asking[survivor])[2] == b"target"
    with pytest.raises((ConnectionError, EOFError)):
        await asking[victim]
    assert len(target.seen) == 1
    await eventually(lambda: not pool.queueing)


async def test_a_full_room_is_full_for_all_workers_together(make_pool, connect_to_each):
    pool = await make_pool(max_held_requests=2)
    await pool.hold(60)
    clients = (await connect_to_each(pool)).values()
    answers = await asyncio.gather(*(c.ask("POST", "/", b"{}") for c in clients))
    assert {body for _, _, body in answers} == {b"source"}
    assert (pool.route, pool.stats.holds_expired) == (Route.CAPTURE, 1)


async def test_switching_a_hundred_times_under_load(make_pool, open_to):
    pool = await make_pool(workers=3)
    # odd while a switch is under way; never the same again, so that two switches are not taken for none
    phase, right = 0, "source"
    wrong, done, sure = [], 0, 0
    stop = asyncio.Event()

    async def load(n):
        nonlocal done, sure
        client = await open_to(pool.address)
        while not stop.is_set():
            method = "POST" if n % 2 else "GET"
            before = phase
            status, _, body = await client.ask(method, "/", b"{}" if n % 2 else b"")
            # a request that began and ended while one side was the only right one has to be served by it
            if status != 200 or (not before % 2 and before == phase and body.decode() != right):
                wrong.append((status, body, before))
            done += 1
            sure += not before % 2 and before == phase
        client.writer.transport.abort()

    loads = [asyncio.create_task(load(n)) for n in range(12)]
    for n in range(100):
        to = (Route.CAPTURE, Route.TARGET)[n % 2]
        phase += 1
        await pool.switch(to)
        phase, right = phase + 1, to.side
        await eventually(lambda goal=sure + 3: sure >= goal)
    stop.set()
    await asyncio.gather(*loads)
    assert wrong == []
    assert done >= sure >= 300
    assert (pool.epoch, pool.restarts) == (100, 0)


async def test_a_killed_worker_loses_no_acknowledged_write(make_pool, open_to, source, journal):
    made, acknowledged = [], []

    async def make(seen, _writer):
        name = json.loads(seen.body)["name"]
        made.append(name)
        await asyncio.sleep(0.005)
        return answer(json.dumps({"id": name}).encode(), "201 Created")

    source.script = make
    pool = await make_pool()
    stop = asyncio.Event()

    async def write(writer):
        number = 0
        while not stop.is_set():
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                client = await open_to(pool.address)
                try:
                    while not stop.is_set():
                        number += 1
                        name = f"{writer}-{number}"
                        status, _, _ = await client.ask("POST", "/", json.dumps({"name": name}).encode())
                        assert status == 201
                        acknowledged.append(name)
                finally:
                    client.writer.transport.abort()

    writers = [asyncio.create_task(write(n)) for n in range(8)]
    for kills in range(1, 3):
        before = len(acknowledged)
        await eventually(lambda before=before: len(acknowledged) >= before + 20)
        os.kill(pool.workers[0], signal.SIGKILL)
        await eventually(lambda kills=kills: pool.restarts == kills and len(pool.workers) == 2)
    stop.set()
    await asyncio.gather(*writers)
    assert await pool.drained(60)
    events = await journal.read(after=0, limit=10**6)
    recorded = [json.loads(e.outcome.body)["id"] for e in events if e.outcome.status == 201]
    unknown = [json.loads(e.intent.body)["name"] for e in events if e.outcome.unknown]
    assert set(acknowledged) <= set(recorded)
    assert set(made) <= set(recorded) | set(unknown)
    assert len(made) == len(set(made))
    assert await journal.unsettled(begun_since=True) == []


async def test_writes_of_a_dead_worker_keep_a_hold_from_being_drained(make_pool, connect_to_each, source, journal):
    never = asyncio.Event()
    source.script = lambda *_: never.wait()
    pool = await make_pool(orphan_patience=0.5)
    (pid, client), *_ = (await connect_to_each(pool)).items()
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    await eventually(lambda: source.seen)
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: pool.restarts)
    await pool.hold(60)
    assert await pool.drained(60)
    assert time.monotonic() - killed >= 0.5
    (event,) = await journal.read(after=0)
    assert event.outcome.unknown
    never.set()


async def test_a_stopped_worker_is_fenced_before_a_switch_is_done(make_pool, connect_to_each, source):
    pool = await make_pool(confirm_timeout=0.2)
    (pid, client), *_ = (await connect_to_each(pool)).items()
    assert (await client.ask("POST", "/before", b"{}"))[0] == 200
    os.kill(pid, signal.SIGSTOP)
    await client.send(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    await pool.switch(Route.TARGET)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    with contextlib.suppress(ConnectionError):
        assert await client.rest() == b""
    await eventually(lambda: len(pool.workers) == 2)
    assert pid not in pool.workers
    assert [s.line for s in source.seen] == ["POST /before HTTP/1.1"]
    after = await connect_to_each(pool)
    assert {(await c.ask("POST", "/", b"{}"))[2] for c in after.values()} == {b"target"}


async def test_when_the_whole_machine_stands_still_no_worker_is_blamed_for_it(make_pool, monkeypatch):
    pool = await make_pool(confirm_timeout=2.0)
    spread, loop = pool._spread, asyncio.get_running_loop()

    def go_on():
        for pid in pool.workers:
            os.kill(pid, signal.SIGCONT)

    def stand_still():
        time.sleep(2.2)
        loop.call_later(0.1, go_on)  # the master is the first that gets a processor again

    def spread_and_stand_still():
        for pid in pool.workers:
            os.kill(pid, signal.SIGSTOP)
        spread()
        # in the turn after the one in which it begins to wait for them
        loop.call_soon(loop.call_soon, stand_still)

    monkeypatch.setattr(pool, "_spread", spread_and_stand_still)
    await pool.switch(Route.TARGET)
    assert (pool.restarts, len(pool.workers)) == (0, 2)


async def test_a_worker_that_is_silent_for_a_lease_is_replaced(make_pool):
    pool = await make_pool(lease=1.0)
    pid = pool.workers[0]
    os.kill(pid, signal.SIGSTOP)
    await eventually(lambda: pid not in pool.workers and len(pool.workers) == 2)
    assert pool.restarts >= 1  # on a busy machine the other one may be silent for as long


async def stalled(_intent):
    raise JournalStalled("the journal cannot be written now")


async def test_a_stalled_journal_is_told_to_clients_of_workers(make_pool, connect_to_each, journal, monkeypatch):
    pool = await make_pool()
    (client, *_) = (await connect_to_each(pool)).values()
    monkeypatch.setattr(journal, "intent", stalled)
    status, head, _ = await client.ask("POST", "/", b"{}")
    assert (status, b"Retry-After" in head) == (503, True)
    assert not pool.incomplete


async def test_passing_without_a_record_is_known_to_the_master(make_pool, connect_to_each, journal, monkeypatch):
    pool = await make_pool(policy=Policy.FAIL_OPEN)
    (client, *_) = (await connect_to_each(pool)).values()
    monkeypatch.setattr(journal, "intent", stalled)
    assert (await client.ask("POST", "/", b"{}"))[0] == 200
    assert pool.incomplete
    pool.mark_complete()
    assert not pool.incomplete
    assert (await client.ask("POST", "/", b"{}"))[0] == 200
    assert pool.incomplete


async def test_a_taken_address_is_told(make_pool):
    pool = await make_pool()
    with pytest.raises(GatewayError, match="cannot listen"):
        await make_pool(listen=pool.address)


MASTER = """
import asyncio, signal, sys
from alcor_migrate.gateway import GatewayPool, GatewaySettings, Route
from alcor_migrate.journal import Journal

async def main():
    journal = await Journal.open(sys.argv[1])
    settings = GatewaySettings(
        listen="127.0.0.1:0", source=sys.argv[2], workers=2, heartbeat=0.05, lease=1.0
    )
    pool = GatewayPool(settings, journal, None, Route.CAPTURE)
    await pool.start()

    async def hold():
        await pool.hold(60)
        print("holds", flush=True)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: asyncio.ensure_future(hold()))
    print(pool.address, *pool.workers, flush=True)
    await asyncio.Event().wait()

import logging, structlog
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
asyncio.run(main())
"""


@pytest.fixture
async def master(tmp_path, source):
    process = subprocess.Popen(  # noqa: ASYNC220  (our own program)
        [sys.executable, "-c", MASTER, str(tmp_path / "j"), source.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        address, *pids = (await asyncio.to_thread(process.stdout.readline)).split()
        yield process, address, [int(pid) for pid in pids]
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
        process.stdout.close()


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123  (a file of the kernel)
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_workers_end_with_their_master_even_when_stopped(master):
    process, _, pids = master
    os.kill(pids[0], signal.SIGSTOP)
    process.kill()
    await eventually(lambda: all(gone(pid) for pid in pids))


async def writes_go_on(client):
    """A worker that has not heard from its master for a lease lets none through, also where the machine paused."""
    async with asyncio.timeout(PATIENCE):
        while (await client.ask("POST", "/", b"{}"))[0] != 200:
            await asyncio.sleep(0.05)


async def test_without_a_master_writes_stop_and_reads_go_on(master, open_to, source):
    process, address, _ = master
    client = await open_to(address)
    await writes_go_on(client)
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(1.2)
    seen = len(source.seen)
    status, head, _ = await client.ask("POST", "/", b"{}")
    assert (status, b"Retry-After" in head) == (503, True)
    assert len(source.seen) == seen
    assert (await client.ask("GET", "/"))[0] == 200
    process.send_signal(signal.SIGCONT)
    await writes_go_on(client)


async def test_nobody_is_held_for_a_master_that_stands_still(master, open_to, source):
    process, address, _ = master
    client = await open_to(address)
    process.send_signal(signal.SIGUSR1)
    assert await asyncio.to_thread(process.stdout.readline) == "holds\n"
    asking = asyncio.create_task(client.ask("POST", "/", b"{}"))
    await asyncio.wait({asking}, timeout=0.2)
    process.send_signal(signal.SIGSTOP)
    status, head, _ = await asking
    assert (status, b"Retry-After" in head) == (503, True)
    assert source.seen == []


async def test_the_master_hears_of_a_share_of_what_its_workers_have_read(make_pool, open_to):
    pool = await make_pool(shadow=1.0)
    heard = []
    pool.on_read = lambda target, token: heard.append((target, token))
    client = await open_to(pool.address)
    await client.ask("GET", "/v2.0/ports", b"", b"X-Auth-Token: secret")
    await eventually(lambda: heard)
    assert heard == [(b"/v2.0/ports", "secret")]

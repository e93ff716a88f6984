"""Several API servers on one side: who gets a request, and what becomes of it when a server fails."""

import asyncio
import collections
import contextlib
import os
import signal

import pytest
from gateway_harness import UpstreamServer, answer, eventually
from test_gateway_pool import connect_to_each, make_pool, open_to  # noqa: F401  (fixtures)

from alcor_migrate.gateway import Caller, Route
from alcor_migrate.gateway.health import Condition, Health
from alcor_migrate.journal import NOT_SENT
from alcor_migrate.settings import HealthChecks
from lab.ports import Ports

QUICK = HealthChecks(interval=0.02, timeout=5.0, fall=2, rise=2)
NEVER = HealthChecks(interval=60.0)
CHECK = "GET / HTTP/1.1"


class Server(UpstreamServer):
    """One of several; it knows checks from requests, and can be killed and brought back on its port."""

    def __init__(self, name, port):
        super().__init__(self.serve)
        self.name = name
        self.port = port
        self.check = answer(b"{}")
        self.act = lambda _seen: answer(self.name)

    async def start(self):
        self.over = asyncio.Event()
        self.writers = set()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def serve(self, seen, _writer):
        return self.check if seen.line == CHECK else self.act(seen)

    async def never(self, _seen):
        """Takes a request and does not answer."""
        await self.over.wait()

    async def stop(self):
        self.over.set()
        await super().stop()

    async def kill(self):
        """As SIGKILL does: every connection is reset."""
        for writer in list(self.writers):
            writer.transport.abort()
        await self.stop()

    @property
    def asked(self):
        """Requests of clients."""
        return [seen for seen in self.seen if seen.line != CHECK]


@pytest.fixture
async def servers(clean):
    reserved = Ports()  # nobody else gets the port of one that is down
    clean.callback(reserved.release)
    made = [await Server(name, reserved.reserve()).start() for name in (b"a", b"b", b"c")]
    for server in made:
        clean.push_async_callback(server.stop)
    return made


@pytest.fixture
def make(make_gateway):
    async def made(servers, checks=QUICK, **changes):
        return await make_gateway(source=[s.url for s in servers], checks=checks, **changes)

    return made


def up(gateway):
    """Ports of the servers that get requests."""
    return {
        int(name.rpartition(":")[2])
        for (side, name), server in gateway.stats.servers.items()
        if side == "source" and server.up
    }


def ports(*servers):
    return {server.port for server in servers}


# -- what is known of a server: pure -----------------------------------------------------------------------------


def told(*findings, checks=QUICK):
    """The condition after these findings, and how often it changed."""
    health = Health(checks)
    changes = [health.well() if f is Condition.UP else health.bad(f) for f in findings]
    return health.condition, sum(changes)


UP, SILENT, UNREACHABLE, UNWELL = Condition.UP, Condition.SILENT, Condition.UNREACHABLE, Condition.UNWELL


@pytest.mark.parametrize(
    ("findings", "condition", "changes"),
    [
        ([], UP, 0),
        ([UP, UP, UP], UP, 0),
        ([SILENT], UP, 0),
        ([SILENT, SILENT], SILENT, 1),
        ([SILENT, UP, SILENT, UP, SILENT], UP, 0),
        ([UNWELL, UNWELL], UNWELL, 1),
        ([UNREACHABLE], UNREACHABLE, 1),
        ([UNREACHABLE, UP], UNREACHABLE, 1),
        ([UNREACHABLE, UP, UP], UP, 2),
        ([UNREACHABLE, UP, SILENT, UP], SILENT, 2),
        ([UNREACHABLE, UP, SILENT, UP, UP], UP, 3),
        ([UNREACHABLE, UNWELL], UNWELL, 2),
    ],
)
def test_a_server_falls_and_rises(findings, condition, changes):
    assert told(*findings) == (condition, changes)


# -- who gets a request ------------------------------------------------------------------------------------------


async def test_requests_go_round_and_to_the_one_that_has_fewest(make, connect, servers):
    gateway = await make(servers)
    client = await connect(gateway)
    assert collections.Counter([(await client.ask("GET", "/x"))[2] for _ in range(9)]) == {b"a": 3, b"b": 3, b"c": 3}
    gate = asyncio.Event()

    async def slow(_seen):
        await gate.wait()
        return answer(b"slow")

    servers[0].act = slow
    busy = [await connect(gateway) for _ in range(3)]
    waiting = [asyncio.create_task(c.ask("GET", "/slow")) for c in busy]
    await eventually(lambda: any(seen.line == "GET /slow HTTP/1.1" for seen in servers[0].asked))
    assert b"a" not in {(await client.ask("GET", "/y"))[2] for _ in range(6)}
    gate.set()
    assert b"slow" in {body for _, _, body in await asyncio.gather(*waiting)}


async def test_one_server_alone_is_not_checked(gateway, client, source):
    await client.ask("GET", "/x")
    assert [seen.line for seen in source.seen] == ["GET /x HTTP/1.1"]
    assert [s.up for s in gateway.stats.servers.values()] == [1, 1]


# -- a server that is killed -------------------------------------------------------------------------------------


async def test_a_refused_connection_goes_on_to_the_next_server_for_writes_too(make, connect, servers, journal):
    gateway = await make(servers[:2], NEVER)
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    await eventually(lambda: all(s.seen for s in servers[:2]))
    await servers[0].kill()
    assert [(await client.ask("POST", "/", b"{}"))[::2] for _ in range(4)] == [(200, b"b")] * 4
    assert len(servers[1].asked) == 4
    assert [e.outcome.status for e in await journal.read(after=0)] == [200] * 4
    assert up(gateway) == ports(servers[1])


async def test_a_killed_server_fails_no_read_and_no_write_is_sent_twice(make, connect, servers, journal):
    gateway = await make(servers)
    await gateway.switch(Route.CAPTURE)
    stop = asyncio.Event()
    reads, told = collections.Counter(), {}

    async def slowly(seen):
        await asyncio.sleep(0.003)
        return answer(seen.body)

    for server in servers:
        server.act = slowly

    async def read():
        client = await connect(gateway)
        while not stop.is_set():
            reads[(await client.ask("GET", "/v2.0/ports"))[0]] += 1

    async def write(writer):
        client = await connect(gateway)
        number = 0
        while not stop.is_set():
            number += 1
            name = b"%d-%d" % (writer, number)
            told[name] = (await client.ask("POST", "/", name))[0]

    load = [asyncio.create_task(read()) for _ in range(6)] + [asyncio.create_task(write(n)) for n in range(6)]

    async def some_more():
        known = sum(reads.values()), len(told)
        await eventually(lambda: sum(reads.values()) >= known[0] + 20 and len(told) >= known[1] + 20)

    for victim in (0, 1, 2, 0):
        await some_more()
        await servers[victim].kill()
        await some_more()
        await servers[victim].start()
        await eventually(lambda: up(gateway) == ports(*servers))
    stop.set()
    await asyncio.gather(*load)

    assert set(reads) == {200}
    sent = collections.Counter(seen.body for server in servers for seen in server.asked if seen.body)
    assert set(sent.values()) == {1}
    assert set(told.values()) <= {200, 502}
    await eventually(lambda: not gateway.in_flight_writes)
    events = {e.intent.body: e.outcome for e in await journal.read(after=0, limit=10**6)}
    assert {name: 200 if o.status else 502 for name, o in events.items()} == told
    # a write whose fate is unknown is said to be unknown
    assert all(events[name].unknown for name, status in told.items() if status == 502)


async def test_a_read_that_breaks_everywhere_is_asked_once_of_each(make, connect, servers):
    for server in servers:
        server.act = lambda _seen: None
    gateway = await make(servers, NEVER)
    client = await connect(gateway)
    assert (await client.ask("GET", "/x"))[0] == 502
    assert [len(server.asked) for server in servers] == [1, 1, 1]
    assert gateway.stats.retried_reads_total == 2


@pytest.mark.parametrize("route", [Route.PASS, Route.CAPTURE])
async def test_a_write_that_breaks_is_asked_of_nobody_else(make, connect, servers, route):
    for server in servers:
        server.act = lambda _seen: None
    gateway = await make(servers, NEVER)
    await gateway.switch(route)
    client = await connect(gateway)
    assert (await client.ask("DELETE", "/v2.0/ports/p"))[0] == 502
    assert (await client.ask("POST", "/v2.0/ports", b"{}"))[0] == 502
    assert sum(len(server.asked) for server in servers) == 2


async def test_broken_requests_take_a_server_out_but_never_the_last_one(make, connect, servers):
    gateway = await make(servers[:2], HealthChecks(interval=60.0, fall=2))
    client = await connect(gateway)
    for server in servers[:2]:
        server.act = lambda _seen: None
    for _ in range(6):
        assert (await client.ask("GET", "/x"))[0] == 502
    assert len(up(gateway)) == 1
    for server in servers[:2]:
        server.act = lambda _seen: answer(b"well")
    assert (await client.ask("GET", "/x"))[0] == 200


async def test_an_answer_that_has_begun_is_not_begun_again(make, connect, servers):
    async def half(_seen):
        return b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"

    servers[0].act = servers[1].act = half
    gateway = await make(servers[:2], NEVER)
    client = await connect(gateway)
    await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    await client.head()
    for server in servers[:2]:
        await server.kill()
    with contextlib.suppress(ConnectionError):
        assert await client.rest() == b"half"
    assert sum(len(s.asked) for s in servers) == 1


# -- a server that says no, or nothing ---------------------------------------------------------------------------


async def test_a_server_that_answers_checks_with_503_gets_no_more_and_ends_what_it_has(make, connect, servers):
    gate = asyncio.Event()

    async def slow(seen):
        await gate.wait()
        return answer(b"ended " + seen.body)

    gateway = await make(servers[:2])
    await gateway.switch(Route.CAPTURE)
    servers[0].act = servers[1].act = slow
    running = []
    for number in range(4):
        client = await connect(gateway)
        asking = client.ask("GET", "/x") if number < 2 else client.ask("POST", "/x", b"write")
        running.append(asyncio.create_task(asking))
        await eventually(lambda many=number + 1: sum(len(s.asked) for s in servers[:2]) == many)
    assert [len(s.asked) for s in servers[:2]] == [2, 2]
    servers[0].check = answer(b"{}", "503 Service Unavailable")
    await eventually(lambda: up(gateway) == ports(servers[1]))
    servers[1].act = lambda _seen: answer(b"b")
    assert {(await client.ask("GET", "/y"))[2] for client in [await connect(gateway)] for _ in range(6)} == {b"b"}
    assert len(servers[0].asked) == 2
    gate.set()
    assert (
        sorted(e[::2] for e in await asyncio.gather(*running)) == [(200, b"ended ")] * 2 + [(200, b"ended write")] * 2
    )
    assert gateway.stats.retried_reads_total == 0
    servers[0].check = answer(b"{}")
    await eventually(lambda: up(gateway) == ports(*servers[:2]))


async def test_a_silent_server_is_taken_out_and_its_reads_are_asked_elsewhere(make, connect, servers, journal):
    gateway = await make(servers[:2], HealthChecks(interval=0.05, timeout=0.8, fall=2))
    await gateway.switch(Route.CAPTURE)
    servers[0].script = lambda seen, _writer: servers[0].never(seen)
    clients = [await connect(gateway) for _ in range(8)]
    reads = [asyncio.create_task(c.ask("GET", "/x")) for c in clients[:4]]
    writes = [asyncio.create_task(c.ask("POST", "/w", b"%d" % n)) for n, c in enumerate(clients[4:])]
    await eventually(lambda: up(gateway) == ports(servers[1]))
    assert [r[::2] for r in await asyncio.gather(*reads)] == [(200, b"b")] * 4
    stuck = [seen.body for seen in servers[0].asked if seen.body]
    assert stuck
    await servers[0].kill()
    statuses = {b"%d" % n: (await write)[0] for n, write in enumerate(writes)}
    assert statuses == {body: 502 if body in stuck else 200 for body in statuses}
    sent = collections.Counter(seen.body for server in servers for seen in server.asked if seen.body)
    assert set(sent.values()) == {1}
    await eventually(lambda: not gateway.in_flight_writes)
    assert sum(e.outcome.unknown for e in await journal.read(after=0)) == len(stuck)


async def test_a_flapping_server_fails_no_read(make, connect, servers):
    gateway = await make(servers[:2])
    client = await connect(gateway)
    statuses = collections.Counter()
    for flap in range(10):
        await servers[0].kill()
        for _ in range(10):
            statuses[(await client.ask("GET", "/x"))[0]] += 1
        await servers[0].start()
        if flap % 2:
            await eventually(lambda: up(gateway) == ports(*servers[:2]))
        for _ in range(10):
            statuses[(await client.ask("GET", "/x"))[0]] += 1
    assert statuses == {200: 200}


# -- all of them -------------------------------------------------------------------------------------------------


async def test_all_down_is_503_and_the_first_that_is_back_is_asked_at_once(make, connect, servers, journal):
    gateway = await make(servers[:2], HealthChecks(interval=0.02, rise=1000))
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    await client.ask("GET", "/x")
    for server in servers[:2]:
        await server.kill()
    for method, body in (("GET", b""), ("POST", b"{}")):
        status, head, _ = await client.ask(method, "/", body)
        assert status == 503
        assert b"\r\nRetry-After: " in head
    await eventually(lambda: up(gateway) == set())
    assert (await client.ask("POST", "/", b"{}"))[0] == 503
    assert {e.outcome.how for e in await journal.read(after=0)} == {NOT_SENT}
    await servers[1].start()
    assert (await client.ask("GET", "/x"))[::2] == (200, b"b")
    assert (await client.ask("POST", "/", b"{}"))[::2] == (200, b"b")


async def test_when_all_want_no_requests_the_answer_is_503(make, connect, servers):
    for server in servers[:2]:
        server.check = answer(b"{}", "503 Service Unavailable")
    gateway = await make(servers[:2])
    client = await connect(gateway)
    await eventually(lambda: up(gateway) == set())
    assert (await client.ask("GET", "/x"))[0] == 503
    servers[0].check = answer(b"{}")
    await eventually(lambda: up(gateway) == ports(servers[0]))
    assert (await client.ask("GET", "/x"))[::2] == (200, b"a")


@pytest.mark.process
async def test_each_of_several_workers_watches_for_itself(make_pool, connect_to_each, servers):  # noqa: F811
    pool = await make_pool(source=[s.url for s in servers[:2]], checks=QUICK)
    each = await connect_to_each(pool)
    for client in each.values():
        assert {(await client.ask("GET", "/x"))[2] for _ in range(2)} == {b"a", b"b"}
    await servers[0].kill()
    for client in each.values():
        for _ in range(3):
            assert (await client.ask("POST", "/x", b"{}"))[::2] == (200, b"b")

    def shares():
        return {
            s.up / s.processes for (_, name), s in pool.stats.servers.items() if name.endswith(f":{servers[0].port}")
        }

    await eventually(lambda: shares() == {0.0})
    os.kill(pool.workers[0], signal.SIGKILL)
    await eventually(lambda: pool.restarts == 1 and len(pool.workers) == 2)
    await servers[0].start()
    await eventually(lambda: shares() == {1.0})
    assert {server.processes for server in pool.stats.servers.values()} == {2}


async def test_many_that_were_held_are_refused_together_when_no_server_is_left(make, connect, servers):
    """A project's reads that may write go on one after the other, and each fails at once."""
    for server in servers[:2]:
        server.check = answer(b"{}", "503 Service Unavailable")
    gateway = await make(servers[:2], identify=lambda _token: asyncio.sleep(0, Caller(project_id="p")))
    await gateway.switch(Route.CAPTURE)
    await eventually(lambda: up(gateway) == set())
    await gateway.hold(60)
    clients = [await connect(gateway) for _ in range(200)]
    token = b"X-Auth-Token: t"
    asking = [asyncio.create_task(c.ask("GET", "/v2.0/security-groups", b"", token)) for c in clients]
    await eventually(lambda: gateway.stats.held_now == 200)
    await gateway.release(Route.CAPTURE)
    assert {status for status, _, _ in await asyncio.gather(*asking)} == {503}
    await eventually(lambda: not gateway.queueing)

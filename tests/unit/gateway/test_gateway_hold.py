"""Switching, holding, draining, releasing."""

import asyncio
import time

import pytest
from gateway_harness import answer, eventually

from alcor_migrate.errors import GatewayError
from alcor_migrate.gateway import Caller, Route


async def test_a_switch_moves_reads_and_writes_at_once(gateway, client, journal):
    assert (await client.ask("GET", "/"))[2] == b"source"
    assert await gateway.switch(Route.CAPTURE) == 1
    assert (await client.ask("POST", "/", b"{}"))[2] == b"source"
    assert await gateway.switch(Route.TARGET) == 2
    assert (await client.ask("GET", "/"))[2] == b"target"
    assert (await client.ask("POST", "/", b"{}"))[2] == b"target"
    assert [e.intent.side for e in await journal.read(after=0)] == ["source", "target"]
    assert (gateway.side, gateway.stats.epoch) == ("target", 2)


async def test_what_is_held_waits_and_goes_on_to_the_new_side_in_order(gateway, connect, source, journal):
    await gateway.switch(Route.CAPTURE)
    epoch = await gateway.hold(60)
    asking = []
    for number in range(20):
        client = await connect(gateway)
        asking.append(asyncio.create_task(client.ask("POST", f"/v2.0/ports?{number}", b"{}")))
        await eventually(lambda number=number: gateway.stats.held_now == number + 1)
    reader = await connect(gateway)
    assert (await reader.ask("GET", "/v2.0/ports"))[2] == b"source"
    assert await gateway.drained(60)
    assert (await journal.counts()).intents == 0
    await gateway.release(Route.TARGET, epoch=epoch)
    answers = await asyncio.gather(*asking)
    assert {body for _, _, body in answers} == {b"target"}
    recorded = await journal.unsettled(begun_since=True)
    assert recorded == []
    by_seq = sorted(await journal.read(after=0), key=lambda e: e.seq)
    assert [e.intent.path for e in by_seq] == [f"/v2.0/ports?{n}" for n in range(20)]
    assert (gateway.stats.held_now, gateway.stats.held_total) == (0, 20)
    assert gateway.stats.longest_hold_ms > 0
    assert gateway.stats.holds_expired == 0
    assert [s for s in source.seen if s.line.startswith("POST")] == []


class Working:
    """An API server's work: what it had begun whenever a request came in, and how long each takes (s)."""

    def __init__(self, seconds=0.002):
        self.begun, self.at_work, self.together, self.seconds = [], {}, set(), seconds

    async def __call__(self, seen, _writer):
        name = seen.field("X-Auth-Token")[0]
        project = name[:1]
        self.begun.append(seen.body.decode())
        self.together |= {(project, other) for other, many in self.at_work.items() if many}
        self.at_work[project] = self.at_work.get(project, 0) + 1
        await asyncio.sleep(self.seconds)
        self.at_work[project] -= 1
        return answer(b"done")


async def of_project(token):
    """A project has several tokens: the first letter tells."""
    await asyncio.sleep(0.001)
    return Caller(project_id=token[0])


async def hold_writes(gateway, connect, names):
    """Writes that wait, in this order; each is a project's letter and a number."""
    asking = []
    for number, name in enumerate(names):
        client = await connect(gateway)
        token = b"X-Auth-Token: %b%d" % (name[:1].encode(), number % 3)
        asking.append(asyncio.create_task(client.ask("POST", "/", name.encode(), token)))
        await eventually(lambda many=number + 1: gateway.stats.held_now == many)
    return asking


async def test_each_projects_writes_go_on_one_after_the_other(make_gateway, connect, target):
    gateway = await make_gateway(identify=of_project)
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    names = [f"{'abc'[n % 3]}{n:02}" for n in range(30)]
    asking = await hold_writes(gateway, connect, names)
    work = target.script = Working()
    await gateway.release(Route.TARGET)
    assert {status for status, _, _ in await asyncio.gather(*asking)} == {200}
    for project in "abc":
        assert [n for n in work.begun if n[0] == project] == [n for n in names if n[0] == project]
    # projects beside each other, but never two writes of one
    assert {one == other for one, other in work.together} == {False}
    await eventually(lambda: not gateway.queueing)


async def test_what_arrives_while_a_project_goes_on_comes_after_it(make_gateway, connect, target):
    gateway = await make_gateway(identify=of_project)
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    asking = await hold_writes(gateway, connect, ["a1", "a2", "a3"])
    late, other = await connect(gateway), await connect(gateway)
    work, gate = Working(), asyncio.Event()

    async def wait_for_all(seen, writer):
        made = await work(seen, writer)
        if seen.body[:1] == b"a":
            await gate.wait()
        return made

    target.script = wait_for_all
    await gateway.release(Route.TARGET)
    await eventually(lambda: work.begun)
    asking.append(asyncio.create_task(late.ask("POST", "/", b"a4", b"X-Auth-Token: a1")))
    await eventually(lambda: gateway.stats.held_total == 4)
    await other.ask("POST", "/", b"b1", b"X-Auth-Token: b1")
    gate.set()
    await asyncio.gather(*asking)
    assert [n for n in work.begun if n[0] == "a"] == ["a1", "a2", "a3", "a4"]
    assert work.begun[:2] == ["a1", "b1"]


async def test_going_on_one_after_the_other_is_bounded(make_gateway, connect, target):
    gateway = await make_gateway(identify=of_project, release_patience=0.5)
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    asking = await hold_writes(gateway, connect, [f"a{n}" for n in range(8)])
    gate, times = asyncio.Event(), []

    async def stuck(seen, _writer):
        times.append(time.monotonic())
        await gate.wait()
        return answer(seen.body)

    target.script = stuck
    released = time.monotonic()
    await gateway.release(Route.TARGET)
    await eventually(lambda: len(times) == 8)
    assert times[1] - released >= 0.5  # until then only the first is at work
    assert not gateway.queueing
    gate.set()
    assert {status for status, _, _ in await asyncio.gather(*asking)} == {200}


async def test_a_failed_write_does_not_hold_up_its_project(make_gateway, connect, target, journal):
    gateway = await make_gateway(identify=of_project)
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    asking = await hold_writes(gateway, connect, ["a0", "a1", "a2", "a3"])
    asking[1].cancel()
    target.script = lambda seen, _: None if seen.body == b"a2" else answer(seen.body)
    await gateway.release(Route.TARGET)
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [a[0] for a in (answers[0], answers[2], answers[3])] == [200, 502, 200]
    await eventually(lambda: not gateway.queueing and not gateway.in_flight_writes)
    assert sum(e.outcome.unknown for e in await journal.read(after=0)) == 1


@pytest.mark.parametrize("before", [Route.PASS, Route.CAPTURE, Route.TARGET])
async def test_a_hold_that_nobody_ends_goes_on_to_the_old_side(gateway, client, before):
    await gateway.switch(before)
    epoch = await gateway.hold(0.05)
    status, _, body = await client.ask("POST", "/v2.0/ports", b"{}")
    assert (status, body) == (200, before.side.encode())
    assert gateway.route is before
    assert gateway.stats.holds_expired == 1
    with pytest.raises(GatewayError, match="the hold is over"):
        await gateway.release(Route.TARGET, epoch=epoch)
    assert gateway.route is before


async def test_a_hold_of_somebody_else_is_not_released(gateway):
    first = await gateway.hold(60)
    await gateway.release(Route.PASS, epoch=first)
    second = await gateway.hold(60)
    with pytest.raises(GatewayError, match="the hold is over"):
        await gateway.release(Route.TARGET, epoch=first)
    assert gateway.holding
    await gateway.release(Route.PASS, epoch=second)


async def test_a_hold_that_follows_at_once_waits_for_what_was_released(gateway, client, source, journal):
    gate = asyncio.Event()

    async def slow(*_):
        await gate.wait()
        return answer(b"source")

    source.script = slow
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    asking = asyncio.create_task(client.ask("POST", "/", b"{}"))
    await eventually(lambda: gateway.stats.held_now == 1)
    await gateway.release(Route.CAPTURE)
    second = await gateway.hold(60)
    assert gateway.in_flight_writes == 1
    assert not await gateway.drained(0.05)
    gate.set()
    assert await gateway.drained(60)
    assert [e.outcome.status for e in await journal.read(after=0)] == [200]
    await gateway.release(Route.TARGET, epoch=second)
    assert (await asking)[2] == b"source"


async def test_a_full_room_goes_on_to_the_old_side(make_gateway, connect):
    gateway = await make_gateway(max_held_requests=3)
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    clients = [await connect(gateway) for _ in range(4)]
    answers = await asyncio.gather(*(c.ask("POST", "/", b"{}") for c in clients))
    assert {body for _, _, body in answers} == {b"source"}
    assert gateway.route is Route.CAPTURE
    assert gateway.stats.holds_expired == 1


async def test_held_bytes_are_bounded(make_gateway, connect):
    gateway = await make_gateway(max_held_bytes=1000)
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    client = await connect(gateway)
    assert (await client.ask("POST", "/", b"x" * 1001))[2] == b"source"
    assert gateway.stats.holds_expired == 1


async def test_drained_waits_for_the_old_side_only(gateway, connect, source):
    go = asyncio.Event()

    async def slow(*_):
        await go.wait()
        return answer(b"source")

    source.script = slow
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    asking = asyncio.create_task(client.ask("POST", "/", b"{}"))
    await eventually(lambda: gateway.in_flight_writes == 1)
    await gateway.hold(60)
    assert not await gateway.drained(0.05)
    other = await connect(gateway)
    held = asyncio.create_task(other.ask("POST", "/", b"{}"))
    await eventually(lambda: gateway.stats.held_now == 1)
    go.set()
    assert await gateway.drained(60)
    assert (await asking)[2] == b"source"
    await gateway.release(Route.TARGET)
    assert (await held)[2] == b"target"


async def test_a_read_that_began_before_a_switch_ends_where_it_began(gateway, client, source):
    go = asyncio.Event()

    async def slow(_seen, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsou")
        await go.wait()
        return b"rce"

    source.script = slow
    asking = asyncio.create_task(client.ask("GET", "/"))
    await eventually(lambda: source.seen)
    await gateway.switch(Route.TARGET)
    go.set()
    assert (await asking)[2] == b"source"
    assert (await client.ask("GET", "/"))[2] == b"target"


async def test_gets_that_write_are_held(gateway, connect):
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    paths = ["/v2.0/auto-allocated-topology/p", "/v2.0/security-groups"]
    clients = [await connect(gateway) for _ in paths]
    asking = [asyncio.create_task(c.ask("GET", p)) for c, p in zip(clients, paths, strict=True)]
    await eventually(lambda: gateway.stats.held_now == 2)
    await gateway.release(Route.TARGET)
    assert {body for _, _, body in await asyncio.gather(*asking)} == {b"target"}


async def test_a_held_write_whose_client_is_gone_is_not_made(gateway, connect, source, target, journal):
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    client = await connect(gateway)
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    await eventually(lambda: gateway.stats.held_now == 1)
    client.reset()
    await eventually(lambda: not gateway._clients)
    await gateway.release(Route.TARGET)
    await eventually(lambda: gateway.stats.requests)
    assert target.seen == source.seen == []
    assert (await journal.counts()).intents == 0


async def test_a_held_client_that_has_only_finished_sending_is_answered(gateway, client):
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    client.writer.write_eof()
    await eventually(lambda: gateway.stats.held_now == 1)
    await asyncio.sleep(0.02)
    await gateway.release(Route.TARGET)
    assert (await client.answer())[2] == b"target"
    assert await client.rest() == b""


async def test_switching_and_holding_twice_are_refused(make_gateway, gateway):
    await gateway.hold(60)
    with pytest.raises(GatewayError, match="held already"):
        await gateway.hold(60)
    with pytest.raises(GatewayError, match="while writes are held"):
        await gateway.switch(Route.TARGET)
    with pytest.raises(GatewayError, match="nothing behind"):
        await gateway.release(Route.HOLD)
    await gateway.release(Route.PASS)
    with pytest.raises(GatewayError, match="the hold is over"):
        await gateway.release(Route.PASS)
    alone = await make_gateway(target=None)
    with pytest.raises(GatewayError, match="nothing behind"):
        await alone.switch(Route.TARGET)


async def test_flipping_under_load_fails_nothing_and_serves_the_right_side(gateway, connect, journal):
    """Each writer checks that it is served by a side that was active at some time during its request."""
    await gateway.switch(Route.CAPTURE)
    ended = False
    served = {b"source": 0, b"target": 0}

    async def write(number):
        client = await connect(gateway)
        while not ended:
            before, epoch = gateway.side, gateway.epoch
            method = "POST" if number % 2 else "GET"
            status, _, body = await client.ask(method, f"/v2.0/ports?{number}", b"{}" if number % 2 else b"")
            assert status == 200
            served[body] += 1
            if gateway.epoch == epoch and not gateway.holding:
                assert body.decode() == before

    writers = [asyncio.create_task(write(n)) for n in range(8)]
    for flip in range(60):
        epoch = await gateway.hold(60)
        assert await gateway.drained(60)
        to, side = (Route.CAPTURE, b"source") if flip % 2 else (Route.TARGET, b"target")
        await gateway.release(to, epoch=epoch)
        before = served[side]
        await eventually(lambda side=side, before=before: served[side] > before)
    ended = True
    await asyncio.gather(*writers)
    assert min(served.values()) >= 30
    assert gateway.stats.holds_expired == 0
    counts = await journal.counts()
    assert counts.unknown == counts.unsettled == 0


async def test_a_claimed_hold_only_ends_by_release(make_gateway, connect):
    gateway = await make_gateway(max_held_requests=2)
    await gateway.switch(Route.CAPTURE)
    epoch = await gateway.hold(0.05)
    gateway.claim(epoch)
    clients = [await connect(gateway) for _ in range(4)]
    asking = [asyncio.create_task(c.ask("POST", "/", b"{}")) for c in clients]
    await eventually(lambda: gateway.stats.held_now == 4)
    await asyncio.sleep(0.1)
    assert gateway.stats.held_now == 4
    await gateway.release(Route.TARGET, epoch=epoch)
    assert {body for _, _, body in await asyncio.gather(*asking)} == {b"target"}
    assert gateway.stats.holds_expired == 0


async def test_a_hold_that_is_over_cannot_be_claimed(gateway):
    epoch = await gateway.hold(0.01)
    await eventually(lambda: not gateway.holding)
    with pytest.raises(GatewayError, match="the hold is over"):
        gateway.claim(epoch)


async def test_stopping_in_a_claimed_hold_sends_held_writes_nowhere(make_gateway, connect, source, target, journal):
    gateway = await make_gateway(stop_grace=0.05)
    await gateway.switch(Route.CAPTURE)
    gateway.claim(await gateway.hold(60))
    client = await connect(gateway)
    asking = asyncio.create_task(client.ask("POST", "/", b"{}"))
    await eventually(lambda: gateway.stats.held_now == 1)
    await gateway.stop()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await asking
    assert source.seen == target.seen == []
    assert (await journal.counts()).intents == 0


async def test_stopping_in_a_hold_loses_no_held_write(make_gateway, connect):
    gateway = await make_gateway(stop_grace=60)
    await gateway.switch(Route.CAPTURE)
    await gateway.hold(60)
    client = await connect(gateway)
    asking = asyncio.create_task(client.ask("POST", "/", b"{}"))
    await eventually(lambda: gateway.stats.held_now == 1)
    await gateway.stop()
    status, head, body = await asking
    assert (status, body, b"Connection: close" in head) == (200, b"source", True)

"""What is recorded, when, and what the client is told."""

import asyncio
import contextlib
import time
from uuid import RFC_4122, UUID

import pytest
from gateway_harness import answer, eventually
from structlog.testing import capture_logs

from alcor_migrate.errors import JournalStalled
from alcor_migrate.gateway import Caller, Policy, Route

BODY = b'{"port": {"name": "a"}}'
CREATED = b'{"port": {"id": "p1", "name": "a"}}'


def created(_seen, _writer):
    return answer(CREATED, "201 Created", b"X-Openstack-Request-Id: req-up")


async def test_pass_records_nothing(gateway, client, source, journal):
    source.script = created
    status, _, body = await client.ask("POST", "/v2.0/ports", BODY)
    assert (status, body) == (201, CREATED)
    assert source.seen[0].body == BODY
    assert (await journal.counts()).intents == 0
    assert gateway.in_flight_writes == 0


async def test_capture_records_intent_and_outcome(make_gateway, connect, source, journal):
    async def identify(token):
        assert token == "tok"
        return Caller("project-1", "user-1")

    gateway = await make_gateway(identify=identify)
    source.script = created
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    status, head, body = await client.ask("POST", "/v2.0/ports?a=%2Fb", BODY, b"X-Auth-Token: tok")
    assert (status, body) == (201, CREATED)
    assert b"X-Openstack-Request-Id: req-up" in head
    [event] = await journal.read(after=0)
    assert (event.intent.method, event.intent.path, event.intent.body) == ("POST", "/v2.0/ports?a=%2Fb", BODY)
    assert (event.intent.route, event.intent.side) == ("capture", "source")
    assert (event.outcome.status, event.outcome.body) == (201, CREATED)
    assert event.outcome.upstream_request_id == "req-up"
    assert (event.outcome.project_id, event.outcome.user_id) == ("project-1", "user-1")
    assert source.seen[0].field("X-Openstack-Request-Id") == [event.intent.request_id]
    assert gateway.stats.captured_total == 1


async def test_the_intent_is_durable_before_the_write_is_sent(gateway, client, source, journal):
    known = []

    async def look(_seen, _writer):
        known.extend(await journal.unsettled(begun_since=True))
        return answer(CREATED, "201 Created")

    source.script = look
    await gateway.switch(Route.CAPTURE)
    await client.ask("POST", "/v2.0/ports", BODY)
    assert [u.intent.path for u in known] == ["/v2.0/ports"]


async def test_the_outcome_is_durable_before_the_client_is_answered(gateway, client, source, journal, monkeypatch):
    source.script = created
    gate = asyncio.Event()
    outcome = journal.outcome

    async def slow(seq, what):
        await gate.wait()
        return await outcome(seq, what)

    monkeypatch.setattr(journal, "outcome", slow)
    await gateway.switch(Route.CAPTURE)
    asking = asyncio.create_task(client.ask("POST", "/v2.0/ports", BODY))
    await eventually(lambda: source.seen)
    done, _ = await asyncio.wait([asking], timeout=0.05)
    assert not done
    assert gateway.in_flight_writes == 1
    gate.set()
    assert (await asking)[0] == 201


async def test_a_clients_own_request_id_is_kept(gateway, client, source, journal):
    await gateway.switch(Route.CAPTURE)
    own = "req-11111111-2222-3333-4444-555555555555"
    await client.ask("DELETE", "/v2.0/ports/p", b"", f"X-Openstack-Request-Id: {own}".encode())
    await client.ask("DELETE", "/v2.0/ports/q", b"", b"X-Openstack-Request-Id: nonsense")
    first, second = await journal.read(after=0)
    assert first.intent.request_id == own
    assert second.intent.request_id.startswith("req-")
    assert [s.field("X-Openstack-Request-Id") for s in source.seen] == [[own], ["nonsense"]]


async def test_a_lost_write_is_unknown_and_never_sent_twice(gateway, client, source, journal):
    # the second write meets a pooled connection that breaks under it
    source.script = lambda *_: answer() if len(source.seen) == 1 else None
    await gateway.switch(Route.CAPTURE)
    await client.ask("PUT", "/v2.0/ports/p", BODY)
    status, _, body = await client.ask("PUT", "/v2.0/ports/p", BODY)
    assert status == 502
    assert b"NeutronError" in body
    assert len(source.seen) == 2
    await journal.wait(1)
    _, event = await journal.read(after=0)
    assert event.outcome.unknown
    assert event.outcome.how == "connection lost"
    assert gateway.stats.unknown_total == 1


async def test_a_write_that_was_never_sent_is_known_not_to_have_happened(make_gateway, connect, journal, source):
    gateway = await make_gateway()
    await source.stop()
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    status, head, _ = await client.ask("POST", "/v2.0/ports", BODY)
    assert status == 503
    assert b"Retry-After: 2" in head
    [event] = await journal.read(after=0)
    assert (event.outcome.status, event.outcome.how, event.outcome.unknown) == (0, "not-sent", False)
    assert (await client.ask("GET", "/v2.0/ports"))[0] == 503


async def test_a_slow_upstream_is_unknown_and_504(make_gateway, connect, source, journal):
    gateway = await make_gateway(answer_timeout=0.1)
    over = asyncio.Event()

    async def never(*_):
        await over.wait()

    source.script = never
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    assert (await client.ask("POST", "/v2.0/ports", BODY))[0] == 504
    await journal.wait(0)
    [event] = await journal.read(after=0)
    assert (event.outcome.unknown, event.outcome.how) == (True, "timeout")
    over.set()


async def test_a_write_whose_answer_was_lost_is_in_flight_until_its_side_had_time_to_end_it(
    make_gateway, connect, source, journal
):
    gateway = await make_gateway(orphan_patience=0.3)
    source.script = lambda *_: None
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    began = time.monotonic()
    assert (await client.ask("POST", "/v2.0/ports", BODY))[0] == 502
    await gateway.hold(60)
    assert await gateway.drained(60)
    assert time.monotonic() - began >= 0.3
    [event] = await journal.read(after=0)
    assert event.outcome.unknown


async def test_stopped_meanwhile_it_is_left_to_the_next_start(make_gateway, connect, source, journal):
    gateway = await make_gateway(orphan_patience=60, stop_grace=60)
    source.script = lambda *_: None
    await gateway.switch(Route.CAPTURE)
    assert (await (await connect(gateway)).ask("POST", "/v2.0/ports", BODY))[0] == 502
    await gateway.stop()
    assert (journal.position, len(await journal.unsettled(begun_since=True))) == (0, 1)


@pytest.mark.parametrize("cut", [None, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"])
async def test_a_read_that_may_have_written_is_recorded_when_its_answer_is_lost(
    gateway, client, source, journal, cut
):
    async def broken(_seen, writer):
        if cut:
            writer.write(cut)
            await writer.drain()
        writer.close()

    source.script = broken
    await gateway.switch(Route.CAPTURE)
    with contextlib.suppress(asyncio.IncompleteReadError):
        await client.ask("GET", "/v2.0/security-groups")
    await journal.wait(0)
    [event] = await journal.read(after=0)
    assert (event.intent.path, event.outcome.unknown) == ("/v2.0/security-groups", True)
    await eventually(lambda: not gateway.in_flight_writes)


async def test_an_answer_that_breaks_off_is_recorded_as_made(gateway, client, source, journal):
    async def half(_seen, writer):
        writer.write(answer(b"x" * 100, "201 Created")[:-50])
        await writer.drain()

    source.script = half
    await gateway.switch(Route.CAPTURE)
    assert (await client.ask("POST", "/v2.0/ports", BODY))[0] == 502
    [event] = await journal.read(after=0)
    assert (event.outcome.status, event.outcome.truncated, event.outcome.body) == (201, True, b"")


async def test_a_client_that_leaves_does_not_stop_the_record(gateway, client, source, journal):
    go = asyncio.Event()

    async def wait(*_):
        await go.wait()
        return answer(CREATED, "201 Created")

    source.script = wait
    await gateway.switch(Route.CAPTURE)
    await client.send(b"POST /v2.0/ports HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    await eventually(lambda: source.seen)
    client.reset()
    await asyncio.sleep(0.02)
    go.set()
    await journal.wait(0)
    [event] = await journal.read(after=0)
    assert event.outcome.status == 201
    await eventually(lambda: gateway.in_flight_writes == 0)


async def test_a_client_that_leaves_before_its_write_is_whole_has_written_nothing(gateway, connect, source, journal):
    await gateway.switch(Route.CAPTURE)
    for framing in (b"Content-Length: 10\r\n\r\n12345", b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n"):
        client = await connect(gateway)
        await client.send(b"POST /v2.0/ports HTTP/1.1\r\nHost: a\r\n" + framing)
        client.reset()
    other = await connect(gateway)
    assert (await other.ask("POST", "/v2.0/ports", b"{}"))[0] == 200
    assert [seen.body for seen in source.seen] == [b"{}"]
    assert (await journal.counts()).intents == 1
    assert gateway.in_flight_writes == 0


async def test_one_request_id_is_in_journal_log_and_what_the_server_sees(make_gateway, connect, source, journal):
    gateway = await make_gateway(access_log=1.0)
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    given = b"req-11111111-2222-3333-4444-555555555555"
    with capture_logs() as lines:
        await client.ask("POST", "/v2.0/ports", b"{}", b"X-Openstack-Request-Id: " + given)
        await client.ask("POST", "/v2.0/ports", b"{}")
    ids = [seen.field("X-Openstack-Request-Id") for seen in source.seen]
    assert ids[0] == [given.decode()]
    uuid = UUID(ids[1][0].removeprefix("req-"))
    assert (uuid.version, uuid.variant, f"req-{uuid}") == (4, RFC_4122, ids[1][0])
    assert [[e.intent.request_id] for e in await journal.read(after=0)] == ids
    assert [line["request_id"] for line in lines if line["event"] == "request"] == [given.decode(), ids[1][0]]


async def test_a_write_of_pass_is_in_flight_until_answered_even_without_its_client(gateway, client, source):
    go = asyncio.Event()

    async def wait(*_):
        await go.wait()
        return answer(CREATED, "201 Created")

    source.script = wait
    await client.send(b"POST /v2.0/ports HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    await eventually(lambda: source.seen)
    await gateway.switch(Route.CAPTURE)
    client.reset()
    assert not await gateway.drained(0.05)
    go.set()
    assert await gateway.drained(60)


async def test_a_stalled_journal_refuses_writes_but_no_reads(gateway, client, source, journal, monkeypatch):
    async def stalled(_):
        raise JournalStalled("no room")

    monkeypatch.setattr(journal, "intent", stalled)
    await gateway.switch(Route.CAPTURE)
    status, head, _ = await client.ask("POST", "/v2.0/ports", BODY)
    assert (status, b"Retry-After" in head) == (503, True)
    assert source.seen == []
    assert not gateway.incomplete
    assert (await client.ask("GET", "/v2.0/ports"))[0] == 200


async def test_fail_open_passes_and_says_that_the_journal_is_incomplete(
    make_gateway, connect, source, journal, monkeypatch
):
    async def stalled(_):
        raise JournalStalled("no room")

    gateway = await make_gateway(policy=Policy.FAIL_OPEN)
    monkeypatch.setattr(journal, "intent", stalled)
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    assert (await client.ask("POST", "/v2.0/ports", BODY))[0] == 200
    assert len(source.seen) == 1
    assert gateway.incomplete
    assert gateway.stats.not_captured_total == 1
    await journal.wait(0)
    assert [e.mark.kind for e in await journal.read(after=0)] == ["incomplete"]
    gateway.mark_complete()
    assert not gateway.incomplete


async def test_a_journal_that_hangs_counts_as_stalled(make_gateway, connect, source, journal, monkeypatch):
    async def hanging(_):
        await asyncio.sleep(10)

    gateway = await make_gateway(intent_patience=0.05)
    monkeypatch.setattr(journal, "intent", hanging)
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    assert (await client.ask("POST", "/v2.0/ports", BODY))[0] == 503
    assert source.seen == []


async def test_an_outcome_that_cannot_be_kept_in_time_does_not_hide_the_truth(
    make_gateway, connect, source, journal, monkeypatch
):
    async def hanging(*_):
        await asyncio.sleep(10)

    source.script = created
    gateway = await make_gateway(outcome_patience=0.05)
    monkeypatch.setattr(journal, "outcome", hanging)
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    assert (await client.ask("POST", "/v2.0/ports", BODY))[0] == 201
    assert gateway.stats.answered_late_total == 1
    assert len(await journal.unsettled(begun_since=True)) == 1


@pytest.mark.parametrize("identify", ["slow", "broken"])
async def test_finding_the_caller_never_delays_or_fails_a_write(make_gateway, connect, source, journal, identify):
    async def slow(_):
        await asyncio.sleep(10)

    async def broken(_):
        raise ValueError("keystone is down")

    gateway = await make_gateway(identify={"slow": slow, "broken": broken}[identify])
    source.script = created
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    assert (await client.ask("POST", "/v2.0/ports", BODY, b"X-Auth-Token: t"))[0] == 201
    [event] = await journal.read(after=0)
    assert event.outcome.project_id is None


async def test_gets_that_write_are_recorded(gateway, client, journal):
    await gateway.switch(Route.CAPTURE)
    await client.ask("GET", "/v2.0/auto-allocated-topology/p1")
    await client.ask("GET", "/v2.0/security-groups?project_id=p")
    await client.ask("GET", "/v2.0/security-groups/some-id")
    await client.ask("GET", "/v2.0/ports")
    await journal.wait(1)
    first, second = await journal.read(after=0)
    assert (first.kind, first.intent.path) == ("outcome", "/v2.0/auto-allocated-topology/p1")
    assert (second.kind, second.intent.path) == ("get-that-writes", "/v2.0/security-groups?project_id=p")
    assert second.outcome.body == b""


async def test_a_read_that_may_write_does_not_wait_for_the_journal(gateway, client, journal, monkeypatch):
    gate = asyncio.Event()
    keep = journal.read_that_wrote

    async def slow(*args):
        await gate.wait()
        return await keep(*args)

    monkeypatch.setattr(journal, "read_that_wrote", slow)
    await gateway.switch(Route.CAPTURE)
    assert (await client.ask("GET", "/v2.0/security-groups"))[0] == 200
    assert gateway.in_flight_writes == 1
    gate.set()
    await eventually(lambda: gateway.in_flight_writes == 0)
    assert journal.position == 1


async def test_a_chunked_write_is_recorded_and_sent_with_its_length(gateway, client, source, journal):
    await gateway.switch(Route.CAPTURE)
    await client.send(
        b'POST /v2.0/ports HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n": 1\r\n'
    )
    await client.send(b"1\r\n}\r\n0\r\nX-Sum: 1\r\n\r\n")
    assert (await client.answer())[0] == 200
    assert source.seen[0].body == b'{"a": 1}'
    assert source.seen[0].field("Content-Length") == ["8"]
    [event] = await journal.read(after=0)
    assert event.intent.body == b'{"a": 1}'


async def test_too_long_a_body_is_413_and_never_sent(make_gateway, connect, source, journal):
    gateway = await make_gateway(max_body=1000)
    await gateway.switch(Route.CAPTURE)
    for request in (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n",
    ):
        client = await connect(gateway)
        await client.send(request)
        status, head, _ = await client.answer()
        assert (status, b"Connection: close" in head) == (413, True)
        client.writer.close()
    assert source.seen == []
    assert (await journal.counts()).intents == 0


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_answer_too_long_to_keep_is_streamed_after_its_outcome(
    make_gateway, connect, source, journal, framing
):
    big = bytes(range(256)) * 8000

    async def send(_seen, writer):
        if framing == "length":
            writer.write(answer(big, "201 Created"))
        else:
            writer.write(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(big), 64000):
                piece = big[at : at + 64000]
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        return b""

    source.script = send
    gateway = await make_gateway(max_answer=100_000)
    await gateway.switch(Route.CAPTURE)
    client = await connect(gateway)
    status, _, body = await client.ask("POST", "/v2.0/ports", BODY)
    assert (status, body) == (201, big)
    [event] = await journal.read(after=0)
    assert (event.outcome.status, event.outcome.truncated, event.outcome.body) == (201, True, b"")
    assert (await client.ask("POST", "/v2.0/ports", BODY))[2] == big


async def test_stats_count_by_route_method_and_status(gateway, client):
    await client.ask("GET", "/v2.0/ports")
    await gateway.switch(Route.CAPTURE)
    await client.ask("POST", "/v2.0/ports", BODY)
    assert gateway.stats.requests == {("pass", "GET", 200): 1, ("capture", "POST", 200): 1}
    assert sum(gateway.stats.latency) == 2

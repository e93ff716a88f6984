"""The journal's disk fails under the gateway, in three ways and under both policies, and comes back."""

import asyncio
import contextlib
import errno
import itertools
import json
import os
import subprocess
import time

import pytest
import sqlalchemy as sa

from alcor_migrate.errors import JournalError
from alcor_migrate.gateway import Gateway, GatewaySettings, Policy, Route
from alcor_migrate.journal import INCOMPLETE, Journal
from alcor_migrate.journal.store import Store
from tests.chaos.upstream import read_request

DISK = 1024 * 1024
PATIENCE = 60.0  # seconds; only what never comes takes so long


class FullDisk:
    """A real file system of one megabyte, filled to the last byte: ENOSPC comes from the kernel."""

    def __init__(self, folder, _monkeypatch):
        self.place = folder / "disk"
        self.place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(self.place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("only root can mount a small file system")

    def begin(self):
        with (self.place / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(b"\0" * 4096):
                pass

    def end(self):
        (self.place / "ballast").unlink()

    def remove(self):
        subprocess.run(["umount", str(self.place)], check=True)  # noqa: S607  (root's PATH)


class Injected:
    """Connections of the journal that fail while `failing`."""

    def __init__(self, folder, monkeypatch):
        self.place = folder
        self.failing = False
        make = Store._make_engine

        def make_engine(store):
            engine = make(store)
            sa.event.listen(engine, self.event, self.fault)
            return engine

        monkeypatch.setattr(Store, "_make_engine", make_engine)

    def begin(self):
        self.failing = True

    def end(self):
        self.failing = False

    def remove(self):
        pass


class FailingFlush(Injected):
    """Every commit ends in EIO, and nothing of it is kept."""

    event = "commit"

    def fault(self, _connection):
        if self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class ReadOnly(Injected):
    """SQLite's own answer to a file system that has become read-only (as Linux does it after errors)."""

    event = "begin"

    def fault(self, connection):
        connection.exec_driver_sql(f"PRAGMA query_only={'ON' if self.failing else 'OFF'}")


class Network:
    """The network API behind the gateway, and a client of the gateway."""

    def __init__(self):
        self.executed = []

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                method, body = await read_request(reader)
                if method == "POST":
                    self.executed.append(json.loads(body)["name"])
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async def ask(self, port, method, body=b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            head = f"{method} /v2.0/ports HTTP/1.1\r\nHost: api\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
            _, status, *_ = (await reader.readline()).decode().split(" ")
            return int(status)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture(params=[FullDisk, FailingFlush, ReadOnly])
def disk(request, tmp_path, monkeypatch):
    disk = request.param(tmp_path, monkeypatch)
    yield disk
    disk.remove()


@pytest.fixture
async def network():
    network = Network()
    server = await asyncio.start_server(network.serve, "127.0.0.1", 0)
    network.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield network
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("policy", list(Policy))
async def test_a_failing_disk_follows_the_policy_and_recovers(disk, network, policy):
    journal = await Journal.open(disk.place / "journal")
    settings = GatewaySettings(
        listen="127.0.0.1:0",
        source=network.url,
        policy=policy,
        intent_patience=PATIENCE,
        outcome_patience=0.3,
        stop_grace=0.2,
    )
    gateway = Gateway(settings, journal)
    await gateway.start()
    await gateway.switch(Route.CAPTURE)
    port = int(gateway.address.rpartition(":")[2])
    answers = {}

    async def write(name):
        body = json.dumps({"name": name, "description": "x" * 20_000}).encode()
        answers[name] = await network.ask(port, "POST", body)
        return answers[name]

    async def until(prefix, reached):
        end = time.monotonic() + PATIENCE
        for number in itertools.count():
            await write(f"{prefix}-{number}")
            if reached():
                return
            assert time.monotonic() < end, f"{prefix}: it never came to that: {answers}"
            await asyncio.sleep(0.01)

    try:
        assert [await write(f"before-{n}") for n in range(3)] == [201] * 3
        disk.begin()
        if policy is Policy.FAIL_CLOSED:
            await until("failing", lambda: 503 in answers.values())
            assert journal.stalled
            assert not gateway.incomplete
        else:
            await until("failing", lambda: gateway.incomplete)
            assert await write("passed") == 201
            assert set(answers.values()) == {201}
        assert await network.ask(port, "GET") == 201  # the stand-in's answer to everything
        disk.end()
        recorded = gateway.stats.captured_total
        await until("after", lambda: gateway.stats.captured_total > recorded)
        assert not journal.stalled
        events = await settled(journal)
    finally:
        await gateway.stop()
        await journal.close()

    names = {json.loads(e.intent.body)["name"] for e in events if e.intent and e.outcome.status == 201}
    acknowledged = {name for name, status in answers.items() if status == 201}
    assert len(network.executed) == len(set(network.executed))
    assert set(network.executed) == acknowledged
    marks = {e.mark.kind for e in events if e.mark}
    if policy is Policy.FAIL_CLOSED:
        assert names == acknowledged
        assert INCOMPLETE not in marks
    else:
        assert len(acknowledged - names) == gateway.stats.not_captured_total > 0
        assert INCOMPLETE in marks
    assert [e.position for e in events] == list(range(1, len(events) + 1))


async def settled(journal):
    """All events, once those outcomes that waited for the disk are there."""
    async with asyncio.timeout(PATIENCE):
        while await journal.unsettled(begun_since=True):
            await asyncio.sleep(0.02)
    return await journal.read(after=0, limit=10**6)


async def test_a_folder_that_cannot_be_written_is_one_clear_sentence():
    """/proc takes no files from anybody, root included."""
    with pytest.raises(JournalError, match=r"the journal at .* cannot be opened"):
        await Journal.open("/proc/self/journal")

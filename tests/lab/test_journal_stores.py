"""The journal on real servers: what holds for the file holds for MariaDB and PostgreSQL.

`tests/unit/journal/test_journal.py` says the same for SQLite, in more detail; `Story` is what all three tell alike.
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from alcor_migrate.errors import JournalError, JournalStalled
from alcor_migrate.journal import NOT_SENT, Intent, Journal, Outcome
from alcor_migrate.journal.rows import intent_row
from alcor_migrate.journal.schema import intents
from alcor_migrate.journal.store import Store
from lab.database import MariaDB, find_program
from lab.ports import Ports
from lab.postgresql import PostgreSQL, provide
from lab.process import Processes

pytestmark = pytest.mark.lab

PATIENCE = 240.0  # seconds; only what never comes takes so long


def intent(path="/v2.0/ports", **changes):
    fields = {"method": "POST", "path": path, "request_id": "req-1", "started_at": time.time()}
    return Intent(**fields | {"body": b'{"port": {}}'} | changes)


def outcome(status=201, **changes):
    return Outcome(**{"status": status, "body": b'{"port": {"id": "p"}}', "finished_at": time.time()} | changes)


async def eventually(condition, seconds=PATIENCE):
    """Patient, because the server's recovery waits for a disk that others use too."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


class Server:
    """Either server behind one face: `url`, `kill`, `start`."""

    def __init__(self, name, server):
        self.name, self._server = name, server

    @property
    def url(self):
        # any of the databases that the lab makes will do
        return self._server.url("neutron") if self.name == "mariadb" else self._server.url

    def start(self):
        self._server.start()

    def kill(self):
        if self.name == "mariadb":
            self._server._service.kill()
        else:
            self._server.kill()


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def server(request):
    # not below pytest's own folder, which PostgreSQL's user may not enter
    folder = Path(tempfile.mkdtemp(prefix="alcor-journal-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        ports = Ports()
        stack.callback(ports.release)
        processes = Processes(folder)
        stack.callback(processes.close)
        if request.param == "mariadb":
            if not (find_program("mariadbd") and find_program("mariadb-install-db")):
                pytest.skip("mariadbd is not installed")
            made = MariaDB(folder / "mariadb", ports.reserve(), processes)
        else:
            if left_out := provide():
                pytest.skip(left_out)
            made = PostgreSQL(folder / "postgresql", ports.reserve(), processes)
        made.initialise()
        yield Server(request.param, made)


@pytest.fixture
def url(server):
    """An empty journal's place."""
    yield server.url
    engine = sa.create_engine(server.url)
    with engine.begin() as connection:
        for table in ("journal_events", "journal_intents", "journal_facts"):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
    engine.dispose()


@pytest.fixture
async def journal(url):
    journal = await Journal.open(url)
    yield journal
    await journal.close()


async def test_events_are_read_in_the_order_of_outcomes_with_their_intents(journal):
    first = await journal.intent(intent("/v2.0/ports?x=%2F", route="target", side="target"))
    second = await journal.intent(intent("/second", body=bytes(range(256))))
    await journal.outcome(second, outcome(upstream_request_id="req-up", project_id="proj", user_id="user"))
    await journal.mark("watermark", "token-1")
    await journal.outcome(first, outcome(200, truncated=True, body=b""))
    events = await journal.read(after=0)
    assert [e.mark.token if e.mark else e.intent.path for e in events] == ["/second", "token-1", "/v2.0/ports?x=%2F"]
    assert [e.position for e in events] == [1, 2, 3]
    assert events[0].intent.body == bytes(range(256))
    assert (events[0].outcome.project_id, events[0].outcome.upstream_request_id) == ("proj", "req-up")
    assert (events[2].intent.side, events[2].outcome.truncated) == ("target", True)
    assert abs(events[0].at - time.time()) < 60
    assert [e.position for e in await journal.read(after=1, limit=1)] == [2]


async def test_concurrent_writes_share_commits_and_keep_their_order(journal):
    async def pair(number):
        seq = await journal.intent(intent(f"/{number}"))
        return await journal.outcome(seq, outcome())

    positions = await asyncio.gather(*(pair(number) for number in range(200)))
    assert sorted(positions) == list(range(1, 201))
    by_position = {e.position: e.intent.path for e in await journal.read(after=0, limit=1000)}
    assert [by_position[p] for p in positions] == [f"/{n}" for n in range(200)]
    assert journal.stats.commits < 200


async def test_order_goes_on_after_a_restart_and_what_was_left_is_settled(url):
    journal = await Journal.open(url)
    await journal.outcome(await journal.intent(intent()), outcome())
    left = await journal.intent(intent("/left"))
    await journal.close()

    journal = await Journal.open(url)
    assert journal.position == 1
    [found] = await journal.unsettled()
    assert (found.seq, found.intent.path) == (left, "/left")
    later = await journal.intent(intent("/later"))
    assert later > left
    assert await journal.settle(left, "crash") == 2
    assert await journal.unsettled() == []
    assert await journal.outcome(later, outcome()) == 3
    with pytest.raises(JournalError, match="no intent 999"):
        await journal.settle(999, "never was")
    assert not journal.stalled
    await journal.close()


async def test_counts_and_prune_keep_the_unknown(journal):
    old = time.time() - 100
    seqs = [await journal.intent(intent(f"/{n}", started_at=old)) for n in range(5)]
    await journal.outcome(seqs[0], outcome(finished_at=old))
    await journal.outcome(seqs[1], outcome(0, how="connection lost", finished_at=old))
    await journal.outcome(seqs[2], outcome(0, how=NOT_SENT, finished_at=old))
    await journal.read_that_wrote(intent("/v2.0/security-groups", method="GET"), outcome(200))
    counts = await journal.counts()
    assert (counts.intents, counts.outcomes, counts.unknown, counts.unsettled) == (6, 4, 1, 2)
    assert await journal.prune(1000, 50) == 2
    assert [e.intent.path for e in await journal.read(after=0)] == ["/1", "/v2.0/security-groups"]
    await journal.settle(seqs[1], "read back")
    assert (await journal.counts()).unknown == 0
    assert await journal.prune(1000, 50) == 1


async def test_what_is_too_long_for_the_server_stalls_nobody(journal):
    """SQLite keeps any length; a server refuses the statement, and would refuse it for ever."""
    long = "x" * 1000
    seq = await journal.intent(intent("/v2.0/ports?" + long * 60, request_id=long, method="M" * 40))
    await journal.outcome(seq, outcome(upstream_request_id=long, how=long))
    await journal.mark("watermark", long)
    seq = await journal.intent(intent("/big"))
    await journal.outcome(seq, outcome(body=b"\\'" * (12 * 1024 * 1024)))
    event = (await journal.read(after=2))[0]
    assert event.outcome.truncated is (event.outcome.body == b"")
    assert len(event.outcome.body) in (0, 24 * 1024 * 1024)
    beside = asyncio.gather(
        journal.intent(intent("/huge", body=b"\\'" * (12 * 1024 * 1024))),
        journal.intent(intent("/small")),
        return_exceptions=True,
    )
    huge, small = await beside
    assert isinstance(huge, int) or "longer than" in str(huge)
    assert isinstance(small, int)
    assert journal.stats.failures == 0


async def test_gateways_on_one_database_share_one_order(url):
    """Whoever has read a position has read all smaller ones, and nothing is refused."""
    journals = [await Journal.open(url, writer=f"gateway-{n}") for n in range(3)]
    seen = []

    async def write(journal):
        for number in range(60):
            await journal.outcome(await journal.intent(intent(f"/{number}")), outcome())

    async def follow():
        after = 0
        while len(seen) < 180:
            for event in await journals[0].read(after=after):
                seen.append(event)
                after = event.position
            await asyncio.sleep(0)

    await asyncio.wait_for(asyncio.gather(follow(), *(write(journal) for journal in journals)), PATIENCE)
    assert [e.position for e in seen] == list(range(1, 181))
    assert {(e.writer, e.seq) for e in seen} == {(f"gateway-{w}", n) for w in range(3) for n in range(1, 61)}
    assert [journal.stats.failures for journal in journals] == [0, 0, 0]
    for journal in journals:
        await journal.close()


async def test_what_a_killed_gateway_left_under_way_is_waited_for(url):
    """Its last transaction may be committed after the next gateway asks where order goes on."""
    await (await Journal.open(url)).close()
    left = Store(sa.make_url(url), "gateway")
    left.open()
    under_way = left._writing()
    transaction = under_way.begin()
    left._last_position(under_way)
    under_way.execute(intents.insert().values(intent_row("gateway", 1, intent("/left"))))
    opening = asyncio.create_task(Journal.open(url))
    await asyncio.sleep(0.5)
    assert not opening.done()
    transaction.commit()
    journal = await asyncio.wait_for(opening, PATIENCE)
    assert await journal.intent(intent("/next")) == 2
    assert [u.intent.path for u in await journal.unsettled(begun_since=True)] == ["/left", "/next"]
    await journal.close()
    left.close()


async def test_a_killed_server_stalls_the_journal_and_loses_nothing(server, url):
    journal = await Journal.open(url)
    acknowledged = {}
    ending = False

    async def write(worker):
        number = 0
        while not ending:
            number += 1
            path = f"/{worker}/{number}"
            try:
                seq = await journal.intent(intent(path))
            except JournalStalled:
                await asyncio.sleep(0.02)
                continue
            acknowledged[path] = await journal.outcome(seq, outcome())

    writers = [asyncio.create_task(write(n)) for n in range(8)]
    for life in range(2):
        await asyncio.sleep(0.4)
        await asyncio.to_thread(server.kill)
        await eventually(lambda: journal.stalled)
        before = len(acknowledged)
        await asyncio.to_thread(server.start)
        await eventually(lambda least=before + 50: len(acknowledged) > least and not journal.stalled)
        assert journal.stats.stalls > life
    ending = True
    await asyncio.wait_for(asyncio.gather(*writers), PATIENCE)
    await journal.close()

    journal = await Journal.open(url)
    events = await journal.read(after=0, limit=10**9)
    found = {e.intent.path: e.position for e in events if e.intent}
    assert {path: found.get(path) for path in acknowledged} == acknowledged
    assert len([e for e in events if e.intent]) == len(found)
    await journal.close()


async def test_a_server_that_is_not_there_is_one_clear_sentence(server):
    port = Ports()
    nowhere = sa.make_url(server.url).set(port=port.reserve(), password="hidden-1")
    with pytest.raises(JournalError, match="cannot be opened") as caught:
        await Journal.open(nowhere.render_as_string(hide_password=False))
    assert "hidden-1" not in str(caught.value)
    port.release()

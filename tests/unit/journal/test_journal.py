import asyncio
import sqlite3
import time

import pytest

from alcor_migrate.errors import JournalError, JournalStalled
from alcor_migrate.journal import NOT_SENT, Intent, Journal, Outcome
from alcor_migrate.journal import store as store_module

PATIENCE = 60.0  # seconds; only what never comes takes so long


def intent(path="/v2.0/ports", **changes):
    fields = {
        "method": "POST",
        "path": path,
        "body": b'{"port": {}}',
        "request_id": "req-1",
        "started_at": time.time(),
    }
    return Intent(**fields | changes)


def outcome(status=201, **changes):
    return Outcome(**{"status": status, "body": b'{"port": {"id": "p"}}', "finished_at": time.time()} | changes)


@pytest.fixture
async def journal(tmp_path):
    journal = await Journal.open(tmp_path / "journal.db")
    yield journal
    await journal.close()


async def test_an_outcome_is_read_with_its_intent(journal):
    seq = await journal.intent(intent("/v2.0/ports?x=%2F", route="target", side="target"))
    position = await journal.outcome(seq, outcome(upstream_request_id="req-up", project_id="proj", user_id="user"))
    [event] = await journal.read(after=0)
    assert (event.position, event.kind, event.seq) == (position, "outcome", seq)
    assert event.intent.path == "/v2.0/ports?x=%2F"
    assert (event.intent.route, event.intent.side) == ("target", "target")
    assert event.outcome.status == 201
    assert (event.outcome.project_id, event.outcome.upstream_request_id) == ("proj", "req-up")
    assert not event.outcome.unknown


async def test_events_are_in_the_order_of_outcomes_not_of_intents(journal):
    first = await journal.intent(intent("/first"))
    second = await journal.intent(intent("/second"))
    await journal.outcome(second, outcome())
    await journal.mark("watermark", "token-1")
    await journal.outcome(first, outcome())
    events = await journal.read(after=0)
    assert [e.mark.token if e.mark else e.intent.path for e in events] == ["/second", "token-1", "/first"]
    assert [e.position for e in events] == [1, 2, 3]
    assert [e.position for e in await journal.read(after=1, limit=1)] == [2]
    assert journal.position == 3


async def test_concurrent_writes_share_commits_and_keep_their_order(journal):
    async def pair(number):
        seq = await journal.intent(intent(f"/{number}"))
        return await journal.outcome(seq, outcome())

    positions = await asyncio.gather(*(pair(number) for number in range(200)))
    assert sorted(positions) == list(range(1, 201))
    by_position = {e.position: e.intent.path for e in await journal.read(after=0, limit=1000)}
    assert [by_position[p] for p in positions] == [f"/{n}" for n in range(200)]
    assert journal.stats.commits < 200


async def test_order_goes_on_after_a_restart(tmp_path):
    journal = await Journal.open(tmp_path / "j")
    seq = await journal.intent(intent())
    await journal.outcome(seq, outcome())
    left = await journal.intent(intent("/left"))
    await journal.close()

    journal = await Journal.open(tmp_path / "j")
    assert journal.position == 1
    [found] = await journal.unsettled()
    assert (found.seq, found.intent.path) == (left, "/left")
    later = await journal.intent(intent("/later"))
    assert later > left
    assert [u.seq for u in await journal.unsettled()] == [left]
    position = await journal.settle(left, "crash")
    assert position == 2
    assert await journal.unsettled() == []
    assert await journal.outcome(later, outcome()) == 3
    [settled, _] = await journal.read(after=1)
    assert settled.outcome.unknown
    assert settled.outcome.how == "crash"
    assert settled.intent.path == "/left"
    await journal.close()


async def test_what_a_crash_left_is_found_with_the_clock_set_back_too(tmp_path):
    journal = await Journal.open(tmp_path / "j")
    left = await journal.intent(intent("/left", started_at=time.time() + 3600))
    await journal.close()
    journal = await Journal.open(tmp_path / "j")
    under_way = await journal.intent(intent("/under-way", started_at=time.time() - 3600))
    assert [u.seq for u in await journal.unsettled()] == [left]
    assert [u.seq for u in await journal.unsettled(begun_since=True)] == [left, under_way]
    await journal.close()


async def test_an_unknown_outcome_counts_until_it_is_settled(journal):
    seq = await journal.intent(intent(method="PUT"))
    position = await journal.outcome(seq, outcome(0, how="connection lost"))
    unsent = await journal.intent(intent(method="PUT"))
    await journal.outcome(unsent, outcome(0, how=NOT_SENT))
    counts = await journal.counts()
    assert (counts.unknown, counts.intents, counts.outcomes, counts.by_method) == (1, 2, 2, {"PUT": 2})
    assert await journal.settle(seq, "read back") == position
    assert (await journal.counts()).unknown == 0


async def test_settling_what_is_settled_changes_nothing_and_the_unheard_of_is_refused(journal):
    seq = await journal.intent(intent())
    position = await journal.outcome(seq, outcome())
    assert await journal.settle(seq, "again") == position
    with pytest.raises(JournalError, match="no intent 999"):
        await journal.settle(999, "never was")
    [event] = await journal.read(after=0)
    assert event.outcome.status == 201


async def test_one_refused_entry_does_not_spoil_its_group(journal):
    results = await asyncio.gather(
        journal.mark("a", "1"), journal.settle(999, "x"), journal.mark("b", "2"), return_exceptions=True
    )
    assert results[0] == 1
    assert isinstance(results[1], JournalError)
    assert results[2] == 2
    assert not journal.stalled


async def test_an_outcome_is_given_once_and_to_an_intent_of_this_run(journal):
    seq = await journal.intent(intent())
    await journal.outcome(seq, outcome())
    for wrong in (seq, 999):
        with pytest.raises(JournalError, match="not waiting"):
            await journal.outcome(wrong, outcome())


async def test_wait_returns_when_something_new_is_durable(journal):
    waiting = asyncio.create_task(journal.wait(0))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await journal.intent(intent())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    position = await journal.mark("heartbeat", "1")
    assert await waiting == position
    assert await journal.wait(0) == position


async def test_a_read_that_may_have_written_is_one_event_of_its_own_kind(journal):
    await journal.read_that_wrote(intent("/v2.0/security-groups", method="GET"), outcome(200, body=b""))
    [event] = await journal.read(after=0)
    assert (event.kind, event.intent.method, event.outcome.status) == ("get-that-writes", "GET", 200)


async def test_prune_keeps_the_young_the_unapplied_the_unknown_and_the_ends(tmp_path):
    journal = await Journal.open(tmp_path / "j")
    old = time.time() - 100
    seqs = [await journal.intent(intent(f"/{n}", started_at=old)) for n in range(6)]
    await journal.outcome(seqs[0], outcome(finished_at=old))
    await journal.outcome(seqs[1], outcome(0, how="lost", finished_at=old))
    await journal.outcome(seqs[2], outcome())
    await journal.outcome(seqs[3], outcome(finished_at=old))
    await journal.outcome(seqs[4], outcome(finished_at=old))
    assert await journal.prune(3, 50) == 1
    assert [e.intent.path for e in await journal.read(after=0)] == ["/1", "/2", "/3", "/4"]
    await journal.settle(seqs[1], "read back")
    assert await journal.prune(1000, 0) == 3
    await journal.close()
    journal = await Journal.open(tmp_path / "j")
    assert journal.position == 5
    assert await journal.intent(intent()) == seqs[5] + 1
    await journal.close()


async def test_secrets_are_not_kept(journal):
    seq = await journal.intent(intent(body=b'{"vpn": {"psk": "hidden-1", "name": "keep"}}'))
    await journal.outcome(seq, outcome(body=b'{"auth": {"identity": "hidden-2"}}'))
    [event] = await journal.read(after=0)
    assert b"hidden" not in event.intent.body + event.outcome.body
    assert b"keep" in event.intent.body


async def test_a_full_store_stalls_intents_and_recovers_when_there_is_room(tmp_path):
    journal = await Journal.open(tmp_path / "j", max_bytes=256 * 1024)
    big = b"x" * 20_000
    kept = []
    for _ in range(100):
        try:
            kept.append(await journal.intent(intent(body=big)))
        except JournalStalled:
            break
    assert journal.stalled
    assert len(kept) > 3
    with pytest.raises(JournalStalled):
        await journal.intent(intent())
    # what has happened is kept waiting, not refused
    known = asyncio.create_task(journal.outcome(kept[0], outcome()))
    await asyncio.wait([known], timeout=0.05)
    database = sqlite3.connect(tmp_path / "j")
    database.execute("DELETE FROM journal_intents WHERE seq > 2")
    database.commit()
    database.close()
    async with asyncio.timeout(PATIENCE):
        assert await known > 0
        while journal.stalled:
            await asyncio.sleep(0.05)
    assert await journal.intent(intent()) > max(kept)
    await journal.close()


async def test_a_commit_that_failed_late_is_not_kept_twice(journal, monkeypatch):
    """What a failed fsync reported as lost may be in the file all the same."""
    seq = await journal.intent(intent())
    write = journal._store.write
    failures = []

    def failing(batch):
        results = write(batch)
        if not failures:
            failures.append(batch)
            raise OSError(5, "Input/output error")
        return results

    monkeypatch.setattr(journal._store, "write", failing)
    position = await asyncio.wait_for(journal.outcome(seq, outcome()), PATIENCE)
    assert failures
    events = await journal.read(after=0)
    assert [e.position for e in events if e.seq == seq] == [position]


async def test_nobody_waits_for_ever_when_the_writer_dies_of_a_defect(journal, monkeypatch):
    def defect(_entries):
        raise KeyError("nobody foresaw this")

    seq = await journal.intent(intent())
    monkeypatch.setattr(journal._store, "write", defect)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(JournalError, match="writer died: KeyError"):
            await journal.outcome(seq, outcome())
        with pytest.raises(JournalError, match="writer died: KeyError"):
            await journal.mark("watermark", "token")
        with pytest.raises(JournalStalled):
            await journal.intent(intent())
    assert journal.stalled


async def test_closing_while_stalled_fails_what_waits(tmp_path, monkeypatch):
    journal = await Journal.open(tmp_path / "j")
    seq = await journal.intent(intent())

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal._store, "write", broken)
    monkeypatch.setattr(journal._store, "reopen", broken)
    waiting = asyncio.create_task(journal.outcome(seq, outcome()))
    await asyncio.sleep(0.05)
    await asyncio.wait_for(journal.close(), PATIENCE)
    with pytest.raises(JournalError, match="closed"):
        await waiting


async def test_a_closed_journal_says_so(tmp_path):
    journal = await Journal.open(tmp_path / "j")
    waiting = asyncio.create_task(journal.wait(0))
    await asyncio.sleep(0)
    await journal.close()
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.mark("x", "y")
    with pytest.raises(JournalError, match="closed"):
        await waiting


async def test_a_file_that_is_no_journal_is_one_clear_sentence(tmp_path):
    (tmp_path / "j").write_bytes(b"this is no database, " * 100)
    with pytest.raises(JournalError, match="cannot be opened"):
        await Journal.open(tmp_path / "j")
    with pytest.raises(JournalError, match="cannot be opened"):
        await Journal.open(tmp_path / "no" / "such" / "directory")


async def test_another_schema_is_refused(tmp_path):
    await (await Journal.open(tmp_path / "j")).close()
    database = sqlite3.connect(tmp_path / "j")
    database.execute("UPDATE journal_facts SET value = '99'")
    database.commit()
    database.close()
    with pytest.raises(JournalError, match="schema 99"):
        await Journal.open(tmp_path / "j")


async def test_the_file_is_private(tmp_path):
    await (await Journal.open(tmp_path / "j")).close()
    assert (tmp_path / "j").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("size", "most"), [(20_000, 1_000_000), (0, 500_000)])
async def test_the_log_stays_short_under_writes_that_never_pause(size, most, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_LONG_LOG", 100_000)
    journal = await Journal.open(tmp_path / "journal.db")
    body = b"x" * size
    longest = 0
    for number in range(100):
        seq = await journal.intent(intent(f"/{number}", body=body))
        await journal.outcome(seq, outcome(body=body))
        if (checkpoint := journal._checkpoint) is not None:
            # it goes on beside the writes, but a busy disk may take until after the last of them
            await asyncio.wrap_future(checkpoint)
        longest = max(longest, (tmp_path / "journal.db-wal").stat().st_size)
    counted = await journal.counts()
    await journal.close()
    assert (counted.intents, counted.outcomes) == (100, 100)
    assert longest < most, "several MB were written"

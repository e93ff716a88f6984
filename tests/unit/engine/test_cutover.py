"""The handover: in this order, within the hold, and back to the old side whatever fails."""

import asyncio
import contextlib
import time

import pytest

from alcor_migrate.engine.cutover import Handover
from alcor_migrate.errors import GatewayError
from alcor_migrate.gateway import Route
from alcor_migrate.journal import INCOMPLETE, Outcome
from alcor_migrate.side import Key


class StandInGateway:
    """Tells what it was asked to do, in order; `drains` says how the wait for writes in flight ends."""

    def __init__(self, journal):
        self.journal = journal
        self.told = []
        self.drains = True
        self.expired = False
        self.in_flight_writes = 0
        self.on_drain = None

    async def hold(self, _seconds):
        self.told.append("hold")
        return 7

    async def drained(self, _seconds):
        if self.on_drain:
            await self.on_drain()
        self.told.append(f"drained at {self.journal.position}")
        return self.drains

    def claim(self, _epoch):
        if self.expired:
            raise GatewayError("the hold is over")
        self.told.append("claim")

    async def release(self, route, *, epoch):
        assert epoch == 7
        if self.expired:
            raise GatewayError("the hold is over")
        self.told.append(f"release {route.value}")


@pytest.fixture
def gateway(journal):
    return StandInGateway(journal)


@pytest.fixture
async def running(replay):
    task = asyncio.create_task(replay.run())
    yield replay
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def handover(gateway, journal, replay, max_hold=60.0):  # a busy disk is no reason to give up
    return Handover(gateway, journal, replay, max_hold)


async def test_the_position_is_taken_after_the_last_write_has_drained(
    gateway, journal, running, writes, source, target
):
    async def late_write():
        source.put("network", id="late")
        await writes.record("POST", "/v2.0/networks", {"network": {"id": "late"}})

    gateway.on_drain = late_write
    recorded = []
    (attempt,) = await handover(gateway, journal, running).run("target", 1, recorded.append)
    assert attempt.succeeded
    assert recorded == [attempt]
    assert gateway.told == ["hold", "drained at 1", "claim", "release target"]
    assert attempt.position == 2
    assert Key("network", "late") in target.objects
    assert running.active == "target"


async def test_the_last_look_finds_what_changed_behind_the_last_writes_and_looks_at_nothing_else(
    gateway, journal, running, writes, source, target
):
    async def written(name):
        await writes.record("POST", "/v2.0/networks", {"network": source.put("network", id=name, name=name)})
        await running.reach(journal.position)

    for name in ("long", "just"):
        await written(name)

    async def meanwhile():
        await written("last")
        source.put("network", id="last", name="changed behind its answer")

    gateway.on_drain = meanwhile
    source.put("network", id="just", name="changed before the hold")
    [attempt] = await handover(gateway, journal, running).run("target", 1, lambda _: None)
    assert (attempt.succeeded, attempt.found_late) == (True, 1)
    assert attempt.looked_at == 1  # the looks before the hold came to an end with what was changing until then
    assert {key.id: held["name"] for key, held in target.objects.items()} == {
        "long": "long",
        "just": "changed before the hold",
        "last": "changed behind its answer",
    }


async def test_a_hold_begins_at_a_quiet_moment(gateway, journal, running, writes, source, target):
    source.put("network", id="n", name="old")
    seq = await writes.begin("PUT", "/v2.0/networks/n")
    moved = Handover(gateway, journal, running, 60.0, wait_for_quiet=60.0)
    running_handover = asyncio.ensure_future(moved.run("target", 1, lambda _: None))
    await asyncio.sleep(0.1)
    assert gateway.told == []
    source.put("network", id="n", name="new")
    await journal.outcome(seq, Outcome(status=200, finished_at=time.time()))
    [attempt] = await running_handover
    assert (attempt.succeeded, attempt.looked_at, attempt.found_late) == (True, 0, 0)
    assert gateway.told[0] == "hold"
    assert target.objects[Key("network", "n")]["name"] == "new"


async def test_where_writes_never_cease_the_hold_begins_all_the_same(gateway, journal, running, writes):
    await writes.begin("PUT", "/v2.0/networks/n")
    [attempt] = await Handover(gateway, journal, running, 60.0, wait_for_quiet=0.05).run("target", 1, lambda _: None)
    assert attempt.succeeded


async def test_writes_that_stay_in_flight_give_the_hold_back_to_the_old_side(gateway, journal, running):
    gateway.drains = False
    gateway.in_flight_writes = 2
    recorded = []
    first, second = await handover(gateway, journal, running).run("target", 2, recorded.append)
    assert not recorded
    assert "2 writes" in first.reason
    assert first.token != second.token
    assert gateway.told.count("release capture") == 2
    assert running.active == "source"


async def test_a_replay_that_does_not_get_there_in_time_gives_back_too(
    gateway, journal, running, writes, source, target
):
    async def late_write():
        source.put("network", id="late")
        await writes.record("POST", "/v2.0/networks", {"network": {"id": "late"}})
        target.down = True

    gateway.on_drain = late_write
    (attempt,) = await handover(gateway, journal, running, max_hold=0.5).run("target", 1, lambda _: None)
    assert not attempt.succeeded
    assert gateway.told[-1] == "release capture"
    assert target.down  # nobody waited for it to come back
    target.down = False


async def test_a_hold_that_gave_up_by_itself_is_not_switched(gateway, journal, running):
    gateway.expired = True
    recorded = []
    (attempt,) = await handover(gateway, journal, running).run("target", 1, recorded.append)
    assert not attempt.succeeded
    assert not recorded
    assert "the hold is over" in attempt.reason


async def test_a_record_that_fails_leaves_nobody_waiting(gateway, journal, running):
    def fail(_attempt):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await handover(gateway, journal, running).run("target", 1, fail)
    assert gateway.told[-1] == "release capture"
    assert running.active == "source"


async def test_a_rejected_object_stops_the_handover(gateway, journal, running, writes, source, target):
    target.refuses = {"bad"}
    source.put("network", id="bad")
    await writes.record("POST", "/v2.0/networks", {"network": {"id": "bad"}})
    (attempt,) = await handover(gateway, journal, running).run("target", 1, lambda _: None)
    assert "not taken" in attempt.reason
    assert gateway.told[-1] == "release capture"


async def test_the_way_back_is_the_same(gateway, journal, running):
    running.active = "target"
    (attempt,) = await handover(gateway, journal, running).run("source", 1, lambda _: None)
    assert attempt.succeeded
    assert gateway.told[-1] == f"release {Route.CAPTURE.value}"
    assert running.active == "source"


async def test_the_journal_says_when_it_is_incomplete(journal, running):
    assert not running.incomplete
    await running.reach(await journal.mark(INCOMPLETE, "3"))
    assert running.incomplete


async def test_an_abort_in_the_hold_gives_back_to_the_old_side_and_ends_the_attempts(gateway, journal, running):
    moved = handover(gateway, journal, running)

    async def panic():
        moved.abort("somebody panicked")
        await asyncio.sleep(5)

    gateway.on_drain = panic
    recorded = []
    (attempt,) = await moved.run("target", 5, recorded.append)
    assert (attempt.why, attempt.reason) == ("aborted", "somebody panicked")
    assert not recorded
    assert gateway.told == ["hold", "release capture"]


async def test_an_abort_after_the_switch_is_recorded_comes_too_late(gateway, journal, running):
    moved = handover(gateway, journal, running)
    (attempt,) = await moved.run("target", 5, lambda _: moved.abort("too late"))
    assert attempt.succeeded
    assert gateway.told[-1] == "release target"


async def test_whoever_is_cancelled_what_was_recorded_is_done(gateway, journal, running):
    task = asyncio.ensure_future(handover(gateway, journal, running).run("target", 5, lambda _: task.cancel()))
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert gateway.told[-1] == "release target"
    assert running.active == "target"


async def test_a_token_that_replay_has_not_seen_does_not_confirm_the_attempt(gateway, journal, running, monkeypatch):
    read, blind = journal.read, asyncio.Event()

    async def seen(**asked):
        events = await read(**asked)
        return await asyncio.sleep(5, []) if blind.is_set() else events

    async def reached(_position):
        """As if somebody had said so without having come there."""

    monkeypatch.setattr(journal, "read", seen)
    await running.reach(await journal.mark("handover", "of an earlier attempt"))
    blind.set()
    monkeypatch.setattr(running, "reach", reached)
    recorded = []
    (attempt,) = await handover(gateway, journal, running).run("target", 1, recorded.append)
    assert not recorded
    assert "did not come to the mark" in attempt.reason


async def test_attempts_back_off_and_each_is_told(gateway, journal, running, monkeypatch):
    monkeypatch.setattr("alcor_migrate.engine.cutover._FIRST_PAUSE", 0.01)
    gateway.drains = False
    told, quiet = [], []

    @contextlib.asynccontextmanager
    async def hush():
        quiet.append(len(gateway.told))
        yield
        quiet.append(len(gateway.told))

    moved = Handover(gateway, journal, running, 60.0, hush, told.append)
    made = await moved.run("target", 3, lambda _: None)
    assert told == made
    assert {attempt.why for attempt in made} == {"writes in flight"}
    assert len({attempt.token for attempt in made}) == 3
    assert quiet == [0, 3, 3, 6, 6, 9]  # nothing is done outside of it

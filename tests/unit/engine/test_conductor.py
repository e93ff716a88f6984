"""A whole migration with everything around it in memory: its states, what needs attention, panic, postponing."""

import asyncio
import sqlite3
import time

import pytest
from around import MemorySurroundings, migrating, until
from memory import Writes

from alcor_migrate.engine import conductor
from alcor_migrate.engine.state import State
from alcor_migrate.errors import ControlError, GateClosed, JournalError, StateError, StateNotWritten
from alcor_migrate.gateway import Route
from alcor_migrate.journal import Intent
from alcor_migrate.side import Key
from alcor_migrate.status import gather, to_json


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(conductor, "_ATTENTION_INTERVAL", 0.01)
    monkeypatch.setattr("alcor_migrate.engine.attention.REJECTED_PATIENCE", 0.05)


@pytest.fixture
def around():
    made = MemorySurroundings()
    for number in range(5):
        made.source.put("network", id=f"n{number}", name=str(number))
    return made


def states(migration):
    return [t.after for t in migration.store.transitions()]


async def ready(migration):
    await until(lambda: migration.store.state is State.READY)


async def test_it_copies_catches_up_and_is_ready_then_goes_there_and_back_and_is_completed(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        assert around.target.objects == around.source.objects
        assert (await migration.cutover("ann")).succeeded
        assert migration.gateway.route is Route.TARGET
        assert (await migration.reverse("ann")).succeeded
        assert migration.gateway.route is Route.CAPTURE
        await migration.verify()
        assert (await migration.cutover("ann")).succeeded
        assert await migration.complete("ann", "prod") == ["public http://gateway"]
        assert states(migration) == [
            *("capturing", "copying", "catching_up", "ready", "cutting_over", "switched"),
            *("reversing", "reversed", "cutting_over", "switched", "completed"),
        ]
        document = to_json(await gather(migration))
        assert document["state"] == document["standing"] == "completed"
        assert document["attention"] == []


async def test_each_transition_says_who_when_why_and_what_was_seen(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        await migration.cutover("ann")
        switched = migration.store.transitions()[-1]
        assert (switched.actor, switched.before, switched.after) == ("ann", "cutting_over", "switched")
        assert switched.at > 0
        assert switched.reason
        assert switched.evidence["token"] == migration.attempts[-1].token


async def test_started_again_it_goes_on_where_it_was(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        await migration.cutover("ann")
    async with migrating(tmp_path, around) as migration:
        assert migration.store.state is State.SWITCHED
        assert migration.gateway.route is Route.TARGET
        assert migration.replay.active == "target"


async def test_a_write_that_a_crash_cut_off_is_given_time_before_it_is_looked_at(tmp_path, around, monkeypatch):
    monkeypatch.setattr(conductor, "ORPHAN_PATIENCE", 600.0)
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        intent = Intent(method="POST", path="/v2.0/networks", request_id="r", started_at=time.time())
        await migration.journal.intent(intent)
    async with migrating(tmp_path, around) as migration:
        with pytest.raises(GateClosed, match="unknown writes"):
            await migration.cutover("ann")
        around.source.put("network", id="late", name="Neutron was still at work on it")
    monkeypatch.setattr(conductor, "ORPHAN_PATIENCE", 0.01)
    async with migrating(tmp_path, around) as migration:
        await until(lambda: Key("network", "late") in around.target.objects)
        assert (await migration.cutover("ann")).succeeded


async def test_a_rejected_object_needs_attention_and_resume_offers_it_again(tmp_path, around):
    around.target.refuses = {"n3"}
    async with migrating(tmp_path, around) as migration:
        await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        concern = next(c for c in migration.concerns if c.name == "rejected objects")
        assert "1 objects" in concern.reason
        with pytest.raises(GateClosed, match="rejected objects"):
            await migration.resume("ann")
        around.target.refuses = set()
        await migration.resume("ann")
        await ready(migration)
        assert Key("network", "n3") in around.target.objects


async def test_lasting_mismatches_need_attention_until_a_repair_has_healed_them(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        around.target.put("network", id="n1", name="somebody changed this")
        found = await migration.verify("ann")
        assert found.mismatches == 1
        await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        with pytest.raises(StateError, match="needs attention: verification") as refused:
            await migration.cutover("ann")
        assert "--repair" in refused.value.next_step
        assert (await migration.verify("ann", repair=True)).clean
        await ready(migration)
        assert [e.actor for e in migration.store.audit() if e.act == "repair"] == ["ann"]


async def test_a_task_that_dies_needs_attention_and_resume_begins_it_again(tmp_path, around, monkeypatch):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)

        async def broken():
            raise ValueError("a defect")

        with monkeypatch.context() as patched:
            patched.setattr(migration.replay, "_round", broken)
            migration.replay._wanted.set()
            await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        (concern,) = migration.concerns
        assert concern.name == "replay"
        assert "ValueError: a defect" in concern.reason
        assert migration.activity.startswith("stopped")
        await migration.resume("ann")
        assert migration.store.state is State.READY
        assert (await migration.verify()).clean


async def test_a_journal_that_cannot_be_written_needs_attention_until_it_can(tmp_path, around, monkeypatch):
    monkeypatch.setattr("alcor_migrate.engine.attention.STALL_PATIENCE", 0.05)
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        migration.journal._stalled = True
        await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        assert migration.concerns[0].name == "journal"
        migration.journal._stalled = False
        await ready(migration)
        assert migration.store.transitions()[-1].reason == "nothing needs attention any more"


def fill(migration, monkeypatch):
    """Let the disk under the state directory be full while the patch lasts."""

    def full(_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(migration.store._engine.dialect, "do_commit", full)


async def test_a_full_disk_stops_no_part_of_the_engine_for_good(tmp_path, around, monkeypatch):
    monkeypatch.setattr("alcor_migrate.engine.attention.STALL_PATIENCE", 0.0)
    monkeypatch.setattr(conductor, "_RETRY_PAUSE", 0.01)
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        with monkeypatch.context() as patched:
            fill(migration, patched)
            migration.journal._stalled = True
            await until(lambda: migration.concerns)
            with pytest.raises(StateNotWritten, match="disk is full"):
                await migration.verify()
            around.source.put("network", id="n9", name="meanwhile")
            await migration.replay.recheck([Key("network", "n9")])
            migration.replay._save(migration.replay.applied)
            assert migration.store.state is State.READY
        await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        migration.journal._stalled = False
        await ready(migration)
        assert migration._crew.stopped == {}
        assert (await migration.verify()).clean
        assert (await migration.cutover("ann")).succeeded


async def test_a_handover_that_could_not_be_recorded_is_none_and_can_be_asked_for_again(
    tmp_path, around, monkeypatch
):
    async with migrating(tmp_path, around, cutover_attempts=1) as migration:
        await ready(migration)
        hold = migration.gateway.hold
        with monkeypatch.context() as patched:

            async def full_from_now_on(bound):
                fill(migration, patched)
                return await hold(bound)

            patched.setattr(migration.gateway, "hold", full_from_now_on)
            with pytest.raises(StateNotWritten):
                await migration.cutover("ann")
            assert migration.store.state is State.CUTTING_OVER
            assert migration.gateway.route is Route.CAPTURE
            assert migration.attempts[-1].why == "failed"
        await ready(migration)
        assert migration.replay.active == "source"
        assert (await migration.cutover("ann")).succeeded


async def test_what_leads_back_is_possible_while_something_needs_attention(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        await migration.cutover("ann")
        around.source.put("network", id="n9", name="only in Neutron")
        await migration.verify()
        await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        with pytest.raises(StateError, match="needs attention"):
            await migration.complete("ann", "prod")
        with pytest.raises(GateClosed, match="mismatches"):  # the gates still decide
            await migration.reverse("ann")
        around.source.drop("network", "n9")
        assert (await migration.reverse("ann")).succeeded


async def test_panic_in_the_hold_gives_back_what_is_held_and_switches_nothing(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        holding = asyncio.Event()

        async def stay():
            holding.set()
            await asyncio.sleep(30)

        migration.gateway.on_drain = stay
        attempt = asyncio.create_task(migration.cutover("ann"))
        await holding.wait()
        said = await migration.stop_at_once("ben")
        assert "requests go on to Neutron" in said
        made = await attempt
        assert (made.succeeded, made.why) == (False, "aborted")
        assert migration.gateway.told[-1] == "release capture"
        assert migration.gateway.route is Route.CAPTURE
        assert migration.replay.active == "source"
        await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        assert "ben stopped the engine" in migration.concerns[0].reason


async def test_after_panic_nothing_is_replayed_until_resume_even_when_it_is_started_again(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        await migration.stop_at_once("ben")
        with pytest.raises(StateError, match="ben stopped the engine"):
            await migration.verify()
    async with migrating(tmp_path, around) as migration:
        position = await migration.journal.mark("test", "t")
        await asyncio.sleep(0.05)
        assert migration.replay.applied < position
        assert migration.store.state is State.NEEDS_ATTENTION
        assert migration.gateway.route is Route.CAPTURE  # what users write is still recorded
        await migration.resume("ann")
        await migration.replay.reach(position)
        assert migration.store.state is State.READY


async def test_panic_ends_a_verb_that_is_under_way(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        migration.steering.brake("throttle", "cat")
        verifying = asyncio.create_task(migration.verify())
        await until(lambda: migration.throttle.holds_back)
        await migration.stop_at_once("ben")
        with pytest.raises(StateError, match="ben stopped"):
            await verifying


async def test_a_cutover_waits_for_its_flag_file_and_everything_else_goes_on(tmp_path, around, monkeypatch):
    monkeypatch.setattr("alcor_migrate.engine.postponement._LOOK", 0.01)
    flag = tmp_path / "not-yet"
    flag.touch()
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        asked = asyncio.create_task(migration.cutover("ann", postpone_flag_file=str(flag)))
        await until(lambda: migration.postponement.waits)
        assert str(flag) in to_json(await gather(migration))["steering"]["waits"]
        assert (await migration.verify()).clean
        with pytest.raises(StateError, match="waits already"):
            await migration.cutover("ben")
        flag.unlink()
        assert (await asked).succeeded


async def test_unpostpone_does_not_wait_for_the_flag_file_and_withdraw_drops_it(tmp_path, around):
    flag = tmp_path / "not-yet"
    flag.touch()
    async with migrating(tmp_path, around, postpone_flag_file=str(flag)) as migration:
        await ready(migration)
        asked = asyncio.create_task(migration.cutover("ann"))
        await until(lambda: migration.postponement.waits)
        migration.postponement.withdraw()
        with pytest.raises(StateError, match="withdrawn"):
            await asked
        asked = asyncio.create_task(migration.cutover("ann"))
        await until(lambda: migration.postponement.waits)
        migration.postponement.end()
        assert (await asked).succeeded


async def test_the_bound_of_one_cutover_can_be_given_with_it(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        attempt = await migration.cutover("ann", max_hold=2.5)
        assert "hold 2.5" in migration.gateway.told
        assert attempt.max_hold == 2.5
        migration.steering.set("max-hold=", "1.5")
        assert (await migration.reverse("ann")).max_hold == 1.5


async def test_failed_attempts_are_counted_by_their_reason(tmp_path, around, monkeypatch):
    monkeypatch.setattr("alcor_migrate.engine.cutover._FIRST_PAUSE", 0.01)
    async with migrating(tmp_path, around, cutover_attempts=3) as migration:
        await ready(migration)
        migration.gateway.drains = False
        last = await migration.cutover("ann")
        assert not last.succeeded
        assert migration.store.state is State.READY
        assert to_json(await gather(migration))["aborts"] == {"writes in flight": 3}


async def test_a_refused_cutover_is_written_down_with_its_gates(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        around.answers = False
        with pytest.raises(GateClosed, match="does not answer"):
            await migration.cutover("ann")
        (entry,) = [e for e in migration.store.audit() if e.act == "refused"]
        assert entry.actor == "ann"
        assert [gate["name"] for gate in entry.evidence["gates"]] == ["passive side"]


async def test_the_status_is_told_although_the_journal_cannot_be_read(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        await Writes(migration.journal).record("DELETE", "/v2.0/networks/nobody")
        before = to_json(await gather(migration))

        async def full():
            msg = "the journal cannot be read: database or disk is full"
            raise JournalError(msg)

        migration.journal.counts = migration.journal.unsettled = full
        migration._unsettled = 1
        after = to_json(await gather(migration))
        assert after["journal"]["entries"] == before["journal"]["entries"] == 1
        assert "unknown writes" in {gate["name"] for gate in after["gates"] if not gate["open"]}


async def test_what_passed_without_a_record_closes_the_gate_until_a_whole_sweep_has_healed_it(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)

        def pass_without_a_record(name):
            around.source.put("network", id=name, name=name)
            migration.gateway.incomplete = True
            migration.gateway.misses += 1

        pass_without_a_record("missed")
        with pytest.raises(GateClosed, match="a full sweep has to heal it"):
            await migration.cutover("ann")
        pages, asked = around.source.pages, []

        async def and_one_more_comes(of, page_size):
            if asked[-1:] == ["network"]:  # which was compared, so this sweep does not see it
                pass_without_a_record("missed by the sweep")
            asked.append(of.name)
            async for page in pages(of, page_size):
                yield page

        around.source.pages = and_one_more_comes
        await migration.upkeep.sweep()
        assert Key("network", "missed") in around.target.objects
        assert Key("network", "missed by the sweep") in around.source.objects
        around.source.pages = pages
        with pytest.raises(GateClosed, match="a full sweep has to heal it"):
            await migration.cutover("ann")
        await migration.upkeep.sweep()
        assert around.target.objects == around.source.objects
        assert (await migration.cutover("ann")).succeeded


@pytest.mark.parametrize("verb", ["cutover", "reverse"])
async def test_a_verb_that_is_refused_leaves_the_sweep_alone_that_may_open_its_gate(tmp_path, around, verb):
    async with migrating(tmp_path, around, sweep_interval=0.05) as migration:
        await ready(migration)
        if verb == "reverse":
            assert (await migration.cutover("ann")).succeeded
        active, _ = migration.replay.sides()
        pages, begun, may_go = active.pages, [], asyncio.Event()

        async def waiting(of, page_size):
            begun.append(of.name)
            await may_go.wait()
            async for page in pages(of, page_size):
                yield page

        active.pages = waiting
        migration.gateway.incomplete = True
        await until(lambda: begun)
        for _ in range(3):  # an operator who asks again and again
            with pytest.raises(GateClosed, match="a full sweep has to heal it"):
                await getattr(migration, verb)("ann")
            assert "upkeep" in migration._crew
        may_go.set()
        await until(lambda: not migration.gateway.incomplete)
        assert (await getattr(migration, verb)("ann")).succeeded


async def test_a_dry_run_measures_each_step_and_does_none_of_them(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        found = await migration.look_ahead("cutover", "ann", 60.0)
        assert found.max_hold_ms == 60_000
        assert found.fits
        assert [step.expected_ms is not None for step in found.steps] == [True] * 5 + [False]
        assert "no handover was made yet" in found.steps[-1].basis
        assert not [told for told in migration.gateway.told if "hold" in told]
        assert migration.store.state is State.READY
        assert migration.store.audit()[-1].act == "forecast"
        await migration.cutover("ann")
        back = await migration.look_ahead("reverse")
        assert back.steps[-1].expected_ms is not None
        assert "Neutron" in back.steps[-1].what


async def test_a_migration_that_was_cancelled_passes_everything_on_and_has_no_way_further(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        await migration.cancel("ann")
        assert migration.gateway.route is Route.PASS
        with pytest.raises(StateError):
            await migration.cancel("ann")
        with pytest.raises(StateError, match="has ended"):
            await migration.stop_at_once("ann")
    assert not around.source.applied


async def test_the_console_says_and_sets_what_its_words_promise(tmp_path, around):
    from alcor_migrate.engine.console import obey  # noqa: PLC0415  # only here

    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        assert "ready; active: source" in await obey(migration, "status\n", "ann")
        assert await obey(migration, "chunk-size=?", "ann") == "chunk-size=500"
        assert await obey(migration, "chunk-size=20", "ann") == "chunk-size=20"
        assert migration.steering.chunk_size == 20
        await obey(migration, "max-lag=0.5", "ann")
        assert migration.steering.max_lag == 0.5
        await obey(migration, "throttle", "ann")
        assert migration.throttle.reason == "ann has throttled it"
        assert "throttled: ann has throttled it" in await obey(migration, "status", "ann")
        await obey(migration, "no-throttle", "ann")
        assert migration.throttle.reason == ""
        assert "panic" in await obey(migration, "help", "ann")
        for nonsense in ("chunk-size=0", "chunk-size=many", "chunk-size=", "max-hold=1000", "dance", ""):
            with pytest.raises(ControlError):
                await obey(migration, nonsense, "ann")
        commands = [e.reason for e in migration.store.audit() if e.act == "command"]
        assert commands == ["chunk-size=20", "max-lag=0.5", "throttle", "no-throttle"]


async def test_brakes_are_still_on_when_it_is_started_again(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        migration.steering.brake("throttle", "ann")
        migration.steering.brake("postpone", "ben")
    async with migrating(tmp_path, around) as migration:
        assert (migration.steering.throttled, migration.steering.postponed) == ("ann", "ben")


async def test_a_cancel_is_recorded_before_writes_pass_without_a_record(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        passing = asyncio.Event()
        switch = migration.gateway.switch

        async def slowly(route):
            passing.set()
            assert migration.store.state is State.CANCELLED
            await asyncio.sleep(0.05)
            return await switch(route)

        migration.gateway.switch = slowly
        cancelling = asyncio.create_task(migration.cancel("ann"))
        await passing.wait()
        with pytest.raises(StateError, match=r"has ended|just ended"):
            await migration.stop_at_once("ben")
        await cancelling
        assert migration.gateway.route is Route.PASS
        assert migration.panic == ""


async def test_a_completion_that_has_begun_to_move_endpoints_is_finished_in_spite_of_panic(tmp_path, around):
    async with migrating(tmp_path, around) as migration:
        await ready(migration)
        await migration.cutover("ann")
        moving, go_on = asyncio.Event(), asyncio.Event()

        async def move():
            moving.set()
            await go_on.wait()
            return ["public"]

        around.move_catalogue = move
        completing = asyncio.create_task(migration.complete("ann", "prod"))
        await moving.wait()
        panicking = asyncio.create_task(migration.stop_at_once("ben"))
        await asyncio.sleep(0.05)
        go_on.set()
        assert await completing == ["public"]
        with pytest.raises(StateError, match="just ended"):
            await panicking
        assert migration.store.state is State.COMPLETED

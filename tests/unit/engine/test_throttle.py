"""The throttle: any one reason holds pages back, it is always said, and it never touches a handover."""

import asyncio
from pathlib import Path

import pytest
from around import MemorySurroundings, migrating, until
from memory import Writes

from alcor_migrate.engine import throttle
from alcor_migrate.engine.state import State
from alcor_migrate.engine.steering import Brakes, Steering
from alcor_migrate.engine.throttle import Throttle, ThrottledSide, verdict
from alcor_migrate.errors import CloudUnreachable
from alcor_migrate.side import Key
from alcor_migrate.status import gather, to_json
from alcor_model import load_order


def steering(**changed):
    values = {"chunk_size": 2, "max_hold": 3.0, "max_lag": 2.0, "source_latency": 0.0, "brakes": Brakes()}
    return Steering(**(values | changed), save=lambda _: None)


async def nothing():
    pass


@pytest.mark.parametrize(
    ("by", "flag", "latency", "target", "words"),
    [
        ("", None, 0.1, 1.0, ""),
        ("ann", None, 0.1, 1.0, "ann has throttled it"),
        ("", Path("/run/stop"), 0.1, 1.0, "the file /run/stop exists"),
        ("", None, 1.5, 1.0, "the source answers in 1.50 s, above 1 s"),
        ("", None, 99.0, 0.0, ""),
    ],
)
def test_one_reason_is_enough_and_is_said(by, flag, latency, target, words):
    assert verdict(by, flag, latency, target) == words


async def test_a_page_waits_until_the_operator_lets_it_go():
    steers = steering()
    held = Throttle(steers, None, nothing)
    await held.passed()
    steers.brake("throttle", "ann")
    page = asyncio.create_task(held.passed())
    await until(lambda: held.holds_back)
    steers.brake("no-throttle", "ann")
    held.wake()
    await page
    assert held.waited > 0
    assert not held.holds_back


async def test_a_slow_source_holds_pages_back_until_it_is_quick_again(monkeypatch):
    monkeypatch.setattr(throttle, "PROBE_INTERVAL", 0.01)
    monkeypatch.setattr(throttle, "_LOOK", 0.01)
    slow = True

    async def probe():
        await asyncio.sleep(0.3 if slow else 0)

    held = Throttle(steering(source_latency=0.25), None, probe)
    page = asyncio.create_task(held.passed())
    await until(lambda: held.holds_back)
    assert "the source answers in " in held.reason
    slow = False
    await page
    assert held.latency < 0.25


async def test_a_source_that_does_not_answer_is_left_to_who_reads_it():
    async def probe():
        raise CloudUnreachable("down")

    await Throttle(steering(source_latency=1.0), None, probe).passed()


async def test_nothing_is_throttled_while_it_is_lifted_and_what_waits_goes_on():
    steers = steering()
    steers.brake("throttle", "ann")
    held = Throttle(steers, None, nothing)
    page = asyncio.create_task(held.passed())
    await until(lambda: held.holds_back)
    with held.lifted():
        await page
        await held.passed()
        assert held.reason == ""
    assert held.reason


async def test_only_pages_wait_single_objects_do_not():
    around = MemorySurroundings()
    around.source.put("network", id="n1")
    steers = steering()
    steers.brake("throttle", "ann")
    side = ThrottledSide(around.source, Throttle(steers, None, nothing))
    of = next(of for of in load_order() if of.name == "network")
    assert await side.read(of, ["n1"]) == {"n1": {"id": "n1"}}
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(side.pages(of, 2))


async def test_a_throttled_copy_stands_still_says_why_and_replay_goes_on(tmp_path):
    around = MemorySurroundings()
    around.source.put("network", id="n1")
    flag = tmp_path / "slow-down"
    flag.touch()
    async with migrating(tmp_path, around, throttle_flag_file=str(flag)) as migration:
        await until(lambda: migration.throttle.holds_back)
        document = to_json(await gather(migration))
        assert document["state"] == "copying"
        assert document["throttle"]["reason"] == f"the file {flag} exists"
        assert document["throttle"]["waiting"]
        position = await migration.journal.mark("test", "t")
        await migration.replay.reach(position)
        flag.unlink()
        await until(lambda: migration.store.state is State.READY)


async def test_a_throttle_does_not_keep_a_cutover_or_the_way_back_waiting(tmp_path):
    async with migrating(tmp_path, MemorySurroundings()) as migration:
        await until(lambda: migration.store.state is State.READY)
        migration.steering.brake("throttle", "ann")
        assert (await migration.cutover("ann")).succeeded
        reversing = asyncio.create_task(migration.reverse("ann"))
        await until(lambda: migration.store.state is State.REVERSED)
        migration.steering.brake("no-throttle", "ann")  # what is compared afterwards may wait
        assert (await reversing).succeeded


async def test_what_waits_here_ends_when_the_migration_does(tmp_path):
    async with migrating(tmp_path, MemorySurroundings(), sweep_interval=0.01) as migration:
        await until(lambda: migration.store.state is State.READY)
        migration.steering.brake("throttle", "ann")
        await until(lambda: migration.throttle.holds_back)
        await migration.cancel("ann")
        assert not migration.throttle.holds_back


async def test_not_even_a_whole_comparison_is_throttled_within_the_hold(tmp_path):
    """A write whose outcome nobody knows has a resource compared as a whole, in pages."""
    around = MemorySurroundings()
    async with migrating(tmp_path, around) as migration:
        await until(lambda: migration.store.state is State.READY)
        migration.steering.brake("throttle", "ann")

        async def write_of_unknown_outcome():
            around.source.put("network", id="n1")
            await Writes(migration.journal).record("POST", "/v2.0/networks", status=500)

        migration.gateway.on_drain = write_of_unknown_outcome
        assert (await migration.cutover("ann")).succeeded
        assert Key("network", "n1") in around.target.objects

"""Replay brings the passive side level, whatever order and accidents the writes came with."""

import asyncio
import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from memory import MemorySide, Writes

from alcor_migrate.engine.copy import Copy, CopyProgress
from alcor_migrate.engine.replay import Replay
from alcor_migrate.engine.verify import verify
from alcor_migrate.journal import Journal
from alcor_migrate.side import Key


@contextlib.asynccontextmanager
async def running(replay):
    task = asyncio.create_task(replay.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def level(replay, journal):
    async with asyncio.timeout(60):
        await replay.reach(journal.position)


async def test_creates_updates_and_deletes_arrive(replay, journal, writes, source, target):
    async with running(replay):
        source.put("network", id="n1", name="a", project_id="p")
        await writes.record("POST", "/v2.0/networks", {"network": {"id": "n1"}})
        source.put("network", id="n2", name="b", project_id="p")
        await writes.record("POST", "/v2.0/networks", {"network": {"id": "n2"}})
        source.put("network", id="n1", name="changed", project_id="p")
        await writes.record("PUT", "/v2.0/networks/n1", {"network": {"id": "n1"}})
        source.drop("network", "n2")
        await writes.record("DELETE", "/v2.0/networks/n2")
        await level(replay, journal)
    assert target.objects == source.objects
    assert replay.lag == 0
    assert replay.entries == 4


async def test_two_answers_out_of_order_end_in_the_newer_state(replay, journal, writes, source, target):
    source.put("port", id="p", network_id="n", mac_address="m", name="second", revision_number=3)
    newer = {"port": {"id": "p", "name": "second", "revision_number": 3}}
    older = {"port": {"id": "p", "name": "first", "revision_number": 2}}
    await writes.record("PUT", "/v2.0/ports/p", newer)
    await writes.record("PUT", "/v2.0/ports/p", older)
    async with running(replay):
        await level(replay, journal)
    assert target.objects[Key("port", "p")]["name"] == "second"


async def test_what_a_delete_takes_with_it_goes_too(replay, journal, writes, source, target):
    for side in (source, target):
        side.put("network", id="n")
        side.put("subnet", id="s", network_id="n", cidr="10.0.0.0/24", ip_version=4)
        side.put("port", id="dhcp", network_id="n", mac_address="m", device_owner="network:dhcp")
    source.objects.clear()
    await writes.record("DELETE", "/v2.0/networks/n")
    async with running(replay):
        await level(replay, journal)
    assert target.objects == {}


async def test_ports_that_neutron_makes_for_a_router_arrive(replay, journal, writes, source, target):
    source.put("router", id="r", external_gateway_info={"network_id": "ext"})
    source.put(
        "port", id="gw", network_id="ext", mac_address="m", device_id="r", device_owner="network:router_gateway"
    )
    await writes.record("PUT", "/v2.0/routers/r", {"router": {"id": "r"}})
    async with running(replay):
        await level(replay, journal)
    assert Key("port", "gw") in target.objects


async def test_the_default_group_made_by_a_get_arrives(replay, journal, writes, source, target):
    source.put("security_group", id="g", name="default", project_id="p")
    source.put("security_group_rule", id="r", security_group_id="g", direction="egress")
    await writes.record("GET", "/v2.0/security-groups", status=200, project_id="p")
    async with running(replay):
        await level(replay, journal)
    assert target.objects == source.objects


async def test_a_create_with_an_unknown_outcome_is_found(replay, journal, writes, source, target):
    source.put("port", id="p", network_id="n", mac_address="m")
    await writes.record("POST", "/v2.0/ports", status=0, how="connection lost")
    async with running(replay):
        await level(replay, journal)
    assert Key("port", "p") in target.objects


async def test_a_write_that_was_never_sent_is_not_looked_for(replay, journal, writes, source):
    await writes.record("PUT", "/v2.0/ports/p", status=0, how="not-sent")
    source.down = True
    async with running(replay):
        await level(replay, journal)
    assert not replay.trouble


async def test_a_side_that_is_down_delays_and_loses_nothing(replay, journal, writes, source, target):
    target.down = True
    source.put("network", id="n")
    await writes.record("POST", "/v2.0/networks", {"network": {"id": "n"}})
    async with running(replay):
        async with asyncio.timeout(60):
            while not replay.trouble:
                await asyncio.sleep(0.01)
        assert "target" in replay.trouble
        assert replay.lag > 0
        target.down = False
        await level(replay, journal)
    assert target.objects == source.objects
    assert not replay.trouble


async def test_what_follows_from_a_change_is_not_forgotten_when_only_a_part_was_applied(
    replay, journal, writes, source, target
):
    for side in (source, target):
        side.put("port", id="p", network_id="n")
        side.put("floatingip", id="f", port_id="p")
    source.drop("port", "p")
    source.put("floatingip", id="f", port_id=None)
    await writes.record("DELETE", "/v2.0/ports/p")
    target.breaks_after = 1  # the port is gone there, and nothing tells any more that its floating IP was let go
    async with running(replay):
        await level(replay, journal)
    assert target.breaks_after is None
    assert target.objects == source.objects


async def test_what_was_being_applied_when_the_process_died_is_read_again(journal, writes, source, target):
    kept = []

    def engine():
        return Replay(journal, {"source": source, "target": target}, 0, 2, lambda _: None, kept.append)

    for side in (source, target):
        side.put("port", id="p", network_id="n")
        side.put("floatingip", id="f", port_id="p")
    source.drop("port", "p")
    source.put("floatingip", id="f", port_id=None)
    await writes.record("DELETE", "/v2.0/ports/p")
    target.breaks_after = 1
    dying = engine()
    async with running(dying):
        while not dying.trouble:
            await asyncio.sleep(0.01)
    replay = engine()
    replay.unfinished = kept[-1]
    async with running(replay):
        await level(replay, journal)
    assert target.objects == source.objects


async def test_a_poison_object_is_set_aside_and_healed_when_it_is_taken_again(
    replay, journal, writes, source, target
):
    target.refuses = {"bad"}
    for name in ("bad", "good"):
        source.put("network", id=name)
        await writes.record("POST", "/v2.0/networks", {"network": {"id": name}})
    async with running(replay):
        await level(replay, journal)
        assert Key("network", "good") in target.objects
        assert set(replay.poison) == {Key("network", "bad")}
        target.refuses.clear()
        await replay.recheck({Key("network", "bad")})
    assert not replay.poison
    assert target.objects == source.objects


async def test_a_poison_object_that_is_deleted_is_none_any_more(replay, journal, writes, source, target):
    target.refuses = {"bad"}
    source.put("network", id="bad")
    await writes.record("POST", "/v2.0/networks", {"network": {"id": "bad"}})
    async with running(replay):
        await level(replay, journal)
        assert set(replay.poison) == {Key("network", "bad")}
        source.drop("network", "bad")
        await writes.record("DELETE", "/v2.0/networks/bad")
        await level(replay, journal)
    assert not replay.poison


async def test_after_the_switch_the_same_engine_works_backwards(replay, journal, writes, source, target):
    replay.active = "target"
    target.put("network", id="n", name="made on Alcor")
    await writes.record("POST", "/v2.0/networks", {"network": {"id": "n"}}, side="target")
    async with running(replay):
        await level(replay, journal)
    assert source.objects == target.objects


async def test_copy_takes_everything_even_from_a_quiet_source(replay, journal, source, target):
    for number in range(7):
        source.put("network", id=f"n{number}")
        source.put("port", id=f"p{number}", network_id=f"n{number}", mac_address=f"m{number}")
    progress = CopyProgress()
    async with running(replay), asyncio.timeout(60):
        await Copy(source, journal, replay, 2, progress).run(lambda _: None)
    assert target.objects == source.objects
    assert progress.copied == 14
    assert progress.finished_at


async def test_the_next_resource_is_read_while_the_last_page_of_one_is_loaded(replay, journal, source, target):
    source.put("network", id="n")
    source.put("port", id="p", network_id="n")
    read, take, saved = asyncio.Event(), target.apply, []

    async def note(of, _page):
        if of.name == "port":
            read.set()

    async def apply(changes):
        if changes[0].of.name == "network":
            await read.wait()  # for ever, if ports are only read when all networks are loaded
        return await take(changes)

    source.after_page, target.apply = note, apply
    async with running(replay), asyncio.timeout(60):
        await Copy(source, journal, replay, 2, CopyProgress()).run(
            lambda progress: saved.append([r.resource for r in progress.resources if r.finished and r.copied])
        )
    assert target.applied == [Key("network", "n"), Key("port", "p")]
    assert ["networks"] in saved  # durable before the ports are


async def test_what_is_written_while_a_page_travels_is_not_overwritten_by_it(replay, journal, writes, source, target):
    source.put("network", id="n1", name="old")
    source.put("network", id="n2", name="doomed")

    async def write_meanwhile(of, page):
        if of.name == "network" and page[0]["id"] == "n1":
            source.put("network", id="n1", name="new")
            await writes.record("PUT", "/v2.0/networks/n1", {"network": {"id": "n1"}})
            source.drop("network", "n2")
            await writes.record("DELETE", "/v2.0/networks/n2")

    source.after_page = write_meanwhile
    progress = CopyProgress()
    async with running(replay), asyncio.timeout(60):
        await Copy(source, journal, replay, 2, progress).run(lambda _: None)
        await level(replay, journal)
    assert target.objects == {Key("network", "n1"): {"id": "n1", "name": "new"}}
    assert progress.left_out == 2


async def test_what_vanished_with_its_owner_is_not_brought_by_a_page(replay, journal, writes, source, target):
    source.put("security_group", id="g", name="doomed")
    source.put("security_group_rule", id="r", security_group_id="g", direction="egress")

    async def delete_meanwhile(of, _page):
        if of.name == "security_group_rule":
            source.drop("security_group", "g")
            source.drop("security_group_rule", "r")
            target.objects.pop(Key("security_group", "g"), None)
            # Neither side has the group any more when this is replayed, so nothing follows from it.
            await writes.record("DELETE", "/v2.0/security-groups/g")

    source.after_page = delete_meanwhile
    async with running(replay), asyncio.timeout(60):
        await Copy(source, journal, replay, 2, CopyProgress()).run(lambda _: None)
        await level(replay, journal)
    assert target.objects == source.objects == {}


async def test_a_list_that_loses_a_deleted_object_is_replayed_with_it(replay, journal, writes, source, target):
    for side in (source, target):
        side.put("bgp_peer", id="b")
        side.put("bgp_speaker", id="s", peers=["b"])
    source.drop("bgp_peer", "b")
    source.put("bgp_speaker", id="s", peers=[])
    await writes.record("DELETE", "/v2.0/bgp-peers/b")
    async with running(replay):
        await level(replay, journal)
    assert target.objects == source.objects


async def test_verify_tells_a_lasting_difference_from_a_passing_one(replay, journal, writes, source, target):
    source.put("network", id="n1", name="a")
    target.put("network", id="n1", name="b")
    source.put("network", id="n2", name="late")
    async with running(replay):
        await writes.record("POST", "/v2.0/networks", {"network": {"id": "n2"}})
        found = await verify(journal, replay, 2)
        assert found.mismatches == 1
        assert found.shown[0].id == "n1"
        assert "name" in found.shown[0].problem
        await replay.recheck({Key("network", "n1")})
        assert (await verify(journal, replay, 2)).clean


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["POST", "PUT", "DELETE", "silent"]), st.sampled_from("abcde"), st.integers(0, 99)),
    max_size=25,
)


@pytest.mark.parametrize("seed", range(3))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=OPERATIONS, during=OPERATIONS)
def test_any_sequence_of_writes_around_a_copy_ends_level(tmp_path_factory, seed, before, during):
    """Writes before, between the pages of, and after a copy; some answers are lost on the way."""
    asyncio.run(_schedule(tmp_path_factory.mktemp("journal"), seed, before, during))


async def _schedule(directory, seed, before, during):
    journal = await Journal.open(directory / "journal.sqlite")
    source, target = MemorySide("source"), MemorySide("target")
    writes = Writes(journal)
    pending = list(during)

    async def write(operation):
        method, name, value = operation
        exists = Key("network", name) in source.objects
        path = "/v2.0/networks" if method == "POST" else f"/v2.0/networks/{name}"
        lost = value % 7 == seed
        status = {"status": 0, "how": "connection lost"} if lost else {}
        if method == "POST" and not exists:
            source.put("network", id=name, value=value)
            await writes.record("POST", path, {"network": {"id": name}}, **status)
        elif method == "PUT" and exists:
            source.put("network", id=name, value=value)
            await writes.record("PUT", path, {"network": {"id": name}}, **status)
        elif method == "DELETE" and exists:
            source.drop("network", name)
            await writes.record("DELETE", path, **status)

    copying = asyncio.current_task()

    async def between_pages(_of, _page):
        if asyncio.current_task() is copying:  # replay reads pages too, when it settles a lost answer
            for operation in pending[:3]:
                await write(operation)
            del pending[:3]

    for operation in before:
        await write(operation)
    source.after_page = between_pages
    replay = Replay(journal, {"source": source, "target": target}, 0, 2, lambda _: None)
    async with running(replay), asyncio.timeout(60):
        await Copy(source, journal, replay, 2, CopyProgress()).run(lambda _: None)
        for operation in pending:
            await write(operation)
        await replay.reach(journal.position)
    await journal.close()
    assert target.objects == source.objects


async def test_what_vanished_with_an_object_is_asked_of_the_side_that_still_holds_it(
    replay, journal, writes, source, target
):
    """Neutron answers to nothing about the forwardings of a floating IP that is gone."""
    for side in (source, target):
        side.put("floatingip", id="f", floating_network_id="n")
    target.put("port_forwarding", id="x", floatingip_id="f", internal_port_id="p")
    target.put("port_forwarding", id="y", floatingip_id="other", internal_port_id="p")
    target.put("rbac_policy", id="r", object_type="network", object_id="n")
    source.drop("floatingip", "f")
    source.put("port_forwarding", id="y", floatingip_id="other", internal_port_id="p")
    await writes.record("DELETE", "/v2.0/floatingips/f")
    asked = []
    find = source.find

    async def noted(of, field, values):
        asked.append((of.name, field))
        return await find(of, field, values)

    source.find = noted
    async with running(replay):
        await level(replay, journal)
    assert {str(k) for k in target.objects} == {"port_forwarding y", "rbac_policy r"}
    assert ("port_forwarding", "floatingip_id") not in asked


async def test_what_lies_below_an_object_is_found_through_it(replay, journal, writes, source, target):
    for side in (source, target):
        side.put("policy", id="q", name="gold", revision_number=1)
    target.put("bandwidth_limit_rule", id="gone", qos_policy_id="q", max_kbps=1)
    source.put("bandwidth_limit_rule", id="new", qos_policy_id="q", max_kbps=2)
    source.objects[Key("policy", "q")]["revision_number"] = 3
    await writes.record("PUT", "/v2.0/qos/policies/q/bandwidth_limit_rules/new", {"bandwidth_limit_rule": {}})
    async with running(replay):
        await level(replay, journal)
    assert target.objects == source.objects


async def test_writes_to_what_nobody_declared_are_counted_by_name(replay, journal, writes):
    for path in ("/v2.0/sfc/port_chains", "/v2.0/sfc/flow_classifiers/f", "/v2.0/taas/tap_flows"):
        await writes.record("POST", path, {})
    await writes.record("POST", "/v2.0/sfc/port_pairs", {}, status=400)
    async with running(replay):
        await level(replay, journal)
    assert replay.undeclared == {"sfc": 2, "taas": 1}


async def test_on_the_way_back_neutron_is_not_asked_for_what_does_not_come_back(replay, journal, writes, source):
    """Of a port that is gone, seven other kinds of objects could refer to it."""
    source.put("port", id="p", network_id="n", mac_address="m")
    source.keeps_everything = False
    replay.active = "target"
    asked = []
    find = source.find

    async def noted(of, field, values):
        asked.append((of.name, field))
        return await find(of, field, values)

    source.find = noted
    await writes.record("DELETE", "/v2.0/ports/p", side="target")
    async with running(replay):
        await level(replay, journal)
    assert not source.objects
    assert asked == [("floatingip", "port_id")]


async def test_replay_ends_when_it_is_told_even_while_it_wakes_up(replay, journal, monkeypatch):
    waking = asyncio.Event()

    async def wait(_after):
        try:
            await asyncio.sleep(60)
        finally:
            waking.set()
            await asyncio.sleep(0.02)  # it takes a moment to end

    monkeypatch.setattr(journal, "wait", wait)
    task = asyncio.create_task(replay.run())
    await asyncio.sleep(0.02)
    replay._wanted.set()
    await waking.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=60)
    assert done

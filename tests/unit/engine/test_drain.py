"""The proof that Neutron's pipeline is empty: what is on its way is found, and what was not seen is said."""

import datetime as dt
import time

import pytest
from aiohttp import web
from around import MemorySurroundings, migrating, until

from alcor_migrate.engine.drain import Check, Drained, in_transition, waiting
from alcor_migrate.engine.state import State
from alcor_migrate.errors import StateError

NOW = dt.datetime(2026, 1, 1, 12, 0, 0, tzinfo=dt.UTC).timestamp()
BOUND = {
    "id": "p1",
    "status": "DOWN",
    "admin_state_up": True,
    "binding:host_id": "host-1",
    "binding:vif_type": "ovs",
    "updated_at": "2026-01-01T11:59:50Z",
}


@pytest.mark.parametrize(
    ("changed", "waits"),
    [
        ({}, "is DOWN, bound to host-1 and changed 10 s ago"),
        ({"status": "BUILD"}, "is BUILD"),
        ({"status": "ACTIVE"}, ""),
        ({"admin_state_up": False}, ""),
        ({"binding:host_id": ""}, ""),
        ({"binding:vif_type": "binding_failed"}, ""),
        ({"updated_at": "2026-01-01T11:50:00Z"}, ""),  # its instance is shut off
        ({"updated_at": None}, ""),
    ],
)
def test_a_port_waits_for_its_agent_or_rests(changed, waits):
    assert waits in in_transition("port", BOUND | changed, NOW)
    assert bool(in_transition("port", BOUND | changed, NOW)) == bool(waits)


def test_only_queues_of_agents_count():
    listed = [
        {"name": "q-plugin", "messages": 0},
        {"name": "dhcp_agent.host-1", "messages": 2},
        {"name": "q-agent-notifier-port-update_fanout_1", "messages": 1},
        {"name": "reply_123", "messages": 7},
        {"name": "conductor", "messages": 9},
        {"name": "neutron-vo-Port-1.9"},
    ]
    ours, busy = waiting(listed)
    assert ours == 4
    assert busy == {"dhcp_agent.host-1": 2, "q-agent-notifier-port-update_fanout_1": 1}


def test_what_was_not_seen_is_said_and_does_not_pretend():
    seen = Check(name="ports", passed=True, reason="none")
    unseen = Check(name="queues", passed=None, reason="not configured")
    found = Drained(at=0.0, checks=[seen, unseen])
    assert found.empty
    assert found.words == "drained (not seen: queues)"
    busy = Drained(at=0.0, checks=[seen, Check(name="agents", passed=False, reason="1 of 2")])
    assert not busy.empty
    assert busy.words == "not drained: agents: 1 of 2"


@pytest.fixture(autouse=True)
def young(monkeypatch):
    monkeypatch.setattr("alcor_migrate.engine.drain.STATISTICS_AGE", 0.0)


async def test_figures_of_queues_are_asked_for_when_they_are_newer_than_everything_else(
    tmp_path, rabbitmq, monkeypatch
):
    _, asked, url = rabbitmq
    async with migrating(tmp_path, MemorySurroundings(), rabbitmq=url) as migration:
        await until(lambda: migration.store.state is State.READY)
        await migration.cutover("ann")
        monkeypatch.setattr("alcor_migrate.engine.drain.STATISTICS_AGE", 0.3)
        found = await migration.drain("ann")
        assert asked
        assert time.time() - found.at >= 0.3


@pytest.fixture
async def rabbitmq():
    """The one answer of a management API that is asked for; `queues` can be changed."""
    queues, asked = [], []

    async def listed(request):
        asked.append((request.raw_path, request.headers.get("Authorization", "")))
        return web.json_response(queues)

    app = web.Application()
    app.router.add_get("/api/queues/{vhost}", listed)
    app.router.add_get("/api/queues", listed)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    yield queues, asked, f"http://neutron:s%40cret@127.0.0.1:{port}/net%2Fwork"
    await runner.cleanup()


async def test_everything_is_looked_at_and_written_down(tmp_path, rabbitmq):
    queues, asked, url = rabbitmq
    around = MemorySurroundings()
    around.listed_agents = [{"binary": "neutron-dhcp-agent", "host": "h1", "alive": True}]
    async with migrating(tmp_path, around, rabbitmq=url) as migration:
        await until(lambda: migration.store.state is State.READY)
        with pytest.raises(StateError, match="drain is not possible"):
            await migration.drain("ann")
        await migration.cutover("ann")
        found = await migration.drain("ann")
        assert found.empty, found.words
        assert all(check.passed for check in found.checks)
        assert asked[0][0].startswith("/api/queues/net%2Fwork?")
        assert asked[0][1].startswith("Basic ")
        entry = migration.store.audit()[-1]
        assert (entry.act, entry.actor, entry.reason) == ("drain", "ann", "drained")
        assert len(entry.evidence["checks"]) == len(found.checks) == 7
        assert "cret" not in str(entry.evidence)

        queues.append({"name": "l3_agent.h1", "messages": 3})
        around.listed_agents[0]["alive"] = False
        around.source.put("port", **(BOUND | {"status": "BUILD"}))
        migration.gateway.in_flight_writes = 1
        found = await migration.drain("ann")
        closed = {check.name: check for check in found.checks if check.passed is False}
        assert set(closed) == {"requests in flight", "ports between two states", "agents", "agents' queues"}
        assert closed["agents' queues"].shown == ["l3_agent.h1: 3"]


async def test_a_broker_that_cannot_be_reached_is_not_seen(tmp_path):
    around = MemorySurroundings()
    async with migrating(tmp_path, around, rabbitmq="http://u:secret@127.0.0.1:1") as migration:
        await until(lambda: migration.store.state is State.READY)
        await migration.cutover("ann")
        found = await migration.drain("ann")
        last = found.checks[-1]
        assert last.passed is None
        assert "does not answer" in last.reason
        assert "secret" not in last.reason


async def test_it_looks_again_until_the_pipeline_is_empty(tmp_path, monkeypatch):
    monkeypatch.setattr("alcor_migrate.engine.conductor._DRAIN_LOOK", 0.01)
    around = MemorySurroundings()
    around.source.put("port", id="p1", status="BUILD")
    async with migrating(tmp_path, around) as migration:
        await until(lambda: migration.store.state is State.READY)
        await migration.cutover("ann")
        looks = []

        async def agents():
            looks.append(1)
            if len(looks) == 3:
                around.source.put("port", id="p1", status="ACTIVE")
            return []

        around.agents = agents
        assert (await migration.drain("ann", wait=10.0)).empty
        assert len(looks) == 4

"""The target's side against the real bundled controller."""

from samples import sample

from alcor_migrate.engine.changes import lookups
from alcor_migrate.side import Change
from alcor_model import RESOURCES, resource

BY_NAME = {of.name: of for of in RESOURCES}


def made(of, numbers, **fields):
    return [Change(of, o["id"], None, o) for o in (sample(of, n, **fields) for n in numbers)]


async def everything(alcor, of, page_size=2):
    return [o async for page in alcor.pages(of, page_size) for o in page]


async def test_whatever_is_declared_comes_back_as_it_was_given(alcor):
    """One controller for all of them: each keeps to itself."""
    for of in RESOURCES:
        changes = made(of, range(5))
        for _ in range(2):  # the second time changes nothing
            assert await alcor.apply(changes) == []
        assert await everything(alcor, of) == [c.new for c in changes]
        ids = [changes[3].id, "unknown", changes[0].id]
        assert await alcor.read(of, ids) == {c.id: c.new for c in (changes[0], changes[3])}

        other = sample(of, 3, from_a_plugin="changed")
        assert await alcor.apply([Change(of, other["id"], changes[3].new, other)]) == []
        assert (await alcor.read(of, [other["id"]]))[other["id"]]["from_a_plugin"] == "changed"

        gone = [Change(of, c.id, c.new, None) for c in changes[1:]]
        assert await alcor.apply(gone) == []
        assert await alcor.apply(gone) == []
        assert await everything(alcor, of) == [changes[0].new]
    assert set((await alcor.counts()).values()) == {1}


async def test_it_counts_what_it_holds(alcor):
    await alcor.apply([*made(BY_NAME["network"], range(3)), *made(BY_NAME["policy"], range(2))])
    counts = await alcor.counts()
    assert counts.keys() == BY_NAME.keys()
    assert {name: n for name, n in counts.items() if n} == {"network": 3, "policy": 2}


async def test_objects_are_found_by_whatever_replay_asks_for(alcor):
    for name, field in sorted(lookups()):
        of = BY_NAME[name]
        wanted = made(of, range(2), **{field: f"wanted-by-{field}"})
        if field not in of.identity:
            await alcor.apply([*wanted, *made(of, range(2, 4), **{field: "another"})])
            found = await alcor.find(of, field, [f"wanted-by-{field}", "unknown"])
            assert found.keys() == {c.id for c in wanted}


async def test_agents_tell_which_nodes_there_are(alcor):
    of = BY_NAME["agent"]
    switch = {
        "agent_type": "Open vSwitch agent",
        "host": "compute-1",
        "configurations": {"tunneling_ip": "10.255.0.11"},
    }
    agents = [sample(of, 0, **switch), sample(of, 1, agent_type="DHCP agent", configurations={})]
    await alcor.apply([Change(of, a["id"], None, a) for a in agents])
    (known,) = (await alcor._client.get("/nodes"))["nodeInfos"]
    assert (known["node_id"], known["node_name"], known["local_ip"]) == (agents[0]["id"], "compute-1", "10.255.0.11")
    gone = [Change(of, a["id"], a, None) for a in agents]
    for _ in range(2):
        assert await alcor.apply(gone) == []
    assert (await alcor._client.get("/nodes"))["nodeInfos"] == []


async def test_objects_are_created_whatever_the_order_in_which_they_are_given(alcor):
    changes = [c for name in ("floatingip", "port", "subnet", "network") for c in made(BY_NAME[name], range(2))]
    assert await alcor.apply(changes) == []
    assert sum((await alcor.counts()).values()) == 8


async def test_what_cannot_be_converted_is_rejected_alone(alcor):
    of = resource("ports")
    changes = made(of, range(4))
    broken = {**changes[2].new, "network_id": 7}
    rejections = await alcor.apply([*changes[:2], Change(of, broken["id"], None, broken), changes[3]])
    assert [r.key.id for r in rejections] == [broken["id"]]
    assert "network_id" in rejections[0].reason
    assert len(await everything(alcor, of)) == 3


async def test_of_a_batch_that_is_refused_only_the_object_to_blame_is_left_out(alcor, monkeypatch):
    """The controller checks for itself, and refuses a batch as a whole."""
    of = resource("ports")
    changes = made(of, range(9))
    # As if the two were of different versions: what we let pass, the controller does not.
    monkeypatch.setattr(
        "alcor_migrate.target.alcor.to_alcor",
        lambda _of, o: o if o["id"] != changes[4].id else {**o, "mac_address": 1},
    )
    rejections = await alcor.apply(changes)
    assert [r.key.id for r in rejections] == [changes[4].id]
    assert "mac_address" in rejections[0].reason
    assert (await alcor.counts())["port"] == 8

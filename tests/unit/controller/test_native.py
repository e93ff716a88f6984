from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alcor_model.catalogue import RESOURCES
from alcor_model.fields import Shape
from alcor_sdn.controller.native import BY_COLLECTION
from alcor_sdn.controller.services.table import SERVICES

PORT = {
    "id": "port-1",
    "name": "web",
    "project_id": "p-demo",
    "network_id": "net-1",
    "mac_address": "fa:16:3e:00:00:01",
    "fixed_ips": [{"subnet_id": "sub-1", "ip_address": "10.0.0.5"}],
    "security_groups": ["sg-1"],
    "dns_name": None,
}

VALUES = {
    str: st.text(max_size=8),
    bool: st.booleans(),
    int: st.integers(0, 2**31),
    list: st.just([]),
    dict: st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=2),
    type(None): st.none(),
}


@st.composite
def objects(draw, of):
    """Any objects that the catalogue accepts, with distinct ids, in Alcor's form."""
    ids = draw(st.lists(st.uuids().map(str), min_size=1, max_size=5, unique=True))
    made = []
    for object_id in ids:
        alcor = {"id": object_id}
        for field in of.fields:
            if not field.alcor or field.alcor == "id" or field.forward:
                continue
            if field.shape is Shape.ADDRESS:
                alcor[field.alcor] = draw(st.ip_addresses(v=4).map(str))
            elif type(None) not in field.types or draw(st.booleans()):
                alcor[field.alcor] = draw(VALUES[draw(st.sampled_from(field.types))])
        if of.name == "subnet":
            alcor["ip_version"] = 4
        if of.name == "floatingip":
            alcor["neutron:attributes"] = {"floating_network_id": draw(st.uuids().map(str))}
        alcor["only_alcor_knows"] = draw(st.none() | st.text(max_size=3))
        made.append(alcor)
    return made


@pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)
async def test_what_is_loaded_in_bulk_is_listed_exactly(of, native):
    path, key = f"/{of.alcor_collection}", of.alcor_plural

    # Where no service has a hand in it, all resources are stored alike.
    @settings(max_examples=15 if of.name in SERVICES else 3, deadline=None, suppress_health_check=list(HealthCheck))
    @given(objects(of))
    def samples(batch):
        batches.append(batch)

    batches = []
    samples()
    for batch in batches:
        for _ in range(2):  # the second time changes nothing
            status, answer = await native.post(path + "/bulk", {key: batch})
            assert (status, answer) == (201, {"count": len(batch)})
        ids = "&".join(f"id={alcor['id']}" for alcor in batch)
        assert await native.get(f"{path}?render=exact&{ids}") == (
            200,
            {key: sorted(batch, key=lambda alcor: alcor["id"])},
        )
        gone = await native.delete(path + "/bulk", {"ids": [alcor["id"] for alcor in batch] * 2})
        assert gone == (200, {"count": len(batch)})
        assert await native.get(f"{path}?render=exact&{ids}") == (200, {key: []})


async def test_exact_lists_are_paged_in_the_order_of_ids(native):
    batch = [{**PORT, "id": f"port-{n:03}"} for n in range(25)]
    await native.post("/ports/bulk", {"ports": batch[::-1]})
    seen, marker = [], ""
    while True:
        _, answer = await native.get(f"/ports?render=exact&limit=10&marker={marker}")
        if not answer["ports"]:
            break
        seen += answer["ports"]
        marker = seen[-1]["id"]
    assert seen == batch


async def test_exact_lists_are_filtered_by_what_is_indexed_and_by_nothing_else(native):
    batch = [{**PORT, "id": f"port-{n}", "device_id": f"device-{n % 3}"} for n in range(6)]
    await native.post("/ports/bulk", {"ports": batch})
    _, answer = await native.get("/ports?render=exact&device_id=device-0&device_id=device-2")
    assert [p["id"] for p in answer["ports"]] == ["port-0", "port-2", "port-3", "port-5"]
    status, answer = await native.get("/ports?render=exact&veth_name=x")
    assert status == 400
    assert "veth_name" in answer["message"]


async def test_a_batch_with_a_bad_object_stores_nothing(native):
    status, answer = await native.post("/ports/bulk", {"ports": [PORT, {**PORT, "id": "p2", "network_id": 7}]})
    assert status == 400
    assert "ports[1]" in answer["message"]
    assert "network_id" in answer["message"]
    assert (await native.get("/ports?render=exact"))[1] == {"ports": []}


async def test_echo_gives_the_objects_back(native):
    status, answer = await native.post("/ports/bulk?echo=true", {"ports": [PORT]})
    assert (status, answer) == (201, {"ports": [PORT]})


async def test_addresses_and_groups_follow_the_ports(native, store):
    await native.post("/ports/bulk", {"ports": [PORT]})
    assert await store.read(lambda rows: rows.taken("sub-1")) == {"10.0.0.5": "port-1"}
    moved = {**PORT, "fixed_ips": [{"subnet_id": "sub-1", "ip_address": "10.0.0.6"}], "security_groups": []}
    await native.post("/ports/bulk", {"ports": [moved]})
    assert await store.read(lambda rows: rows.taken("sub-1")) == {"10.0.0.6": "port-1"}
    assert await store.read(lambda rows: rows.ports_in_group(["sg-1"])) == set()
    await native.delete("/ports/bulk", {"ids": ["port-1", "unknown"]})
    assert await store.read(lambda rows: rows.taken("sub-1")) == {}


async def test_ordinary_lists_render_nothing_as_null(native):
    await native.post("/ports/bulk", {"ports": [{**PORT, "binding:profile": None, "tags": None}]})
    _, answer = await native.get("/ports?name=web")
    assert answer["ports"][0]["dns_name"] == ""
    assert answer["ports"][0]["binding:profile"] == {}
    assert answer["ports"][0]["tags"] == []
    assert (await native.get("/ports?name=other"))[1] == {"ports": []}
    assert (await native.get("/ports?fields=id&fields=name"))[1] == {"ports": [{"id": "port-1", "name": "web"}]}


@pytest.mark.parametrize(
    ("collection", "status"),
    [
        ("vpcs", 200),
        ("subnets", 200),
        ("routers", 200),
        ("ports", 404),
        ("elasticips", 404),
        ("security-groups", 412),
    ],
)
async def test_missing_objects_are_answered_as_upstream_does(collection, status, native):
    member = BY_COLLECTION[collection].alcor_member
    answered, body = await native.get(f"/{collection}/nothing")
    assert answered == status
    if status == 200:
        assert body == {member: None}


async def test_deleting_one(native):
    await native.post("/vpcs/bulk", {"vpcs": [{"id": "v"}]})
    await native.post("/ports/bulk", {"ports": [PORT]})
    assert await native.delete("/vpcs/v") == (200, {"id": "v"})
    assert await native.delete("/vpcs/v") == (200, {"id": None})
    assert await native.delete("/ports/port-1") == (200, None)
    assert (await native.delete("/ports/port-1"))[0] == 404


async def test_only_administrators_get_in(as_caller):
    path = "/project/p-demo"
    assert (await as_caller("nobody", path).get("/vpcs"))[0] == 401
    assert (await as_caller("demo", path).get("/vpcs"))[0] == 403
    assert (await as_caller("keystone-is-down", path).get("/vpcs"))[0] == 503
    assert (await as_caller("admin", path).get("/vpcs"))[0] == 200


@pytest.mark.parametrize("body", [None, [], {"ports": {}}, {"port": {}}])
async def test_bodies_that_are_no_batch_are_refused(body, native):
    assert (await native.post("/ports/bulk", body))[0] == 400


async def test_status_counts_what_is_held(client, native):
    await native.post("/ports/bulk", {"ports": [PORT]})
    async with client.get("/alcor/v1/status") as answer:
        body = await answer.json()
    assert body["ready"] is True
    assert body["resources"]["ports"] == 1
    assert body["resources"]["vpcs"] == 0

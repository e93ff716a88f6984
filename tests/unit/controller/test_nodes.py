from __future__ import annotations

import pytest

NODE = {"node_id": "id-1", "node_name": "compute-1", "local_ip": "10.0.0.11", "mac_address": "02:00:00:00:00:01"}
NODE |= {"veth": "", "server_port": 50001, "host_dvr_mac": "fe:16:11:00:00:00", "data-path-ip": "10.0.0.11"}
OTHER = NODE | {"node_id": "id-2", "node_name": "compute-2", "local_ip": "10.0.0.12"}


@pytest.fixture(params=["", "/v4"])
def nodes(as_caller, request):
    return as_caller("admin", request.param)


async def test_nodes_come_change_and_go_with_upstreams_wrappers(nodes):
    assert await nodes.post("/nodes", {"host_info": NODE}) == (201, {"host_info": NODE})
    assert await nodes.post("/nodes/bulk", {"host_infos": [NODE, OTHER]}) == (200, [NODE, OTHER])
    assert await nodes.get("/nodes/id-1") == (200, {"host_info": NODE})
    assert await nodes.get("/nodes") == (200, {"nodeInfos": [NODE, OTHER]})
    for query in ("name=compute-2", "node_name=compute-2", "id=id-2", "local_ip=10.0.0.12"):
        assert await nodes.get(f"/nodes?{query}") == (200, {"nodeInfos": [OTHER]})
    moved = NODE | {"data-path-ip": "10.9.9.9"}
    assert await nodes.put("/nodes/id-1", {"host_info": moved}) == (200, {"host_info": moved})
    async with nodes._client.delete("/nodes/id-1", headers={"X-Auth-Token": "admin"}) as answer:
        assert (answer.status, await answer.text()) == (200, "{Node(Node) Id: id-1}")
    assert await nodes.get("/nodes/id-1") == (200, {"host_info": None})


@pytest.mark.parametrize("missing", ["node_id", "node_name", "local_ip", "mac_address", "data-path-ip"])
async def test_a_node_that_could_not_be_used_is_refused_and_so_is_its_batch(missing, nodes):
    broken = {k: v for k, v in NODE.items() if k != missing}
    status, answer = await nodes.post("/nodes/bulk", {"host_infos": [OTHER, broken]})
    assert status == 400
    assert missing in answer["message"]
    assert await nodes.get("/nodes") == (200, {"nodeInfos": []})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/nodes", {"host": {}}, 400),
        ("POST", "/nodes", [], 400),
        ("POST", "/nodes/bulk", {"host_infos": {}}, 400),
        ("PUT", "/nodes/id-1", {"host_info": NODE}, 404),
        ("PUT", "/nodes/id-9", {"host_info": NODE}, 400),
        ("DELETE", "/nodes/id-1", None, 404),
    ],
)
async def test_what_is_wrong_is_answered_by_its_status(method, path, body, status, nodes):
    assert (await nodes(method, path, body))[0] == status


async def test_only_administrators_see_nodes(as_caller):
    assert (await as_caller("demo", "").get("/nodes"))[0] == 403
    assert (await as_caller("nobody", "").get("/nodes"))[0] == 401

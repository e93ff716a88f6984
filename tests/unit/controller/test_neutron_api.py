from __future__ import annotations

import asyncio

import pytest
from aiohttp.test_utils import TestClient, TestServer
from conftest import KnownCallers

from alcor_model.catalogue import RESOURCES
from alcor_sdn.controller.server import application
from alcor_sdn.controller.services.table import SERVICES
from alcor_sdn.controller.store import Store

NOBODY = "00000000-0000-0000-0000-000000000000"


def kind(answer):
    status, body = answer
    return status, body["NeutronError"]["type"]


async def made(api, collection, member, **values):
    status, body = await api.post(f"/{collection}", {member: values})
    assert status == 201, body
    return body[member]


@pytest.fixture
async def net(demo):
    return await made(demo, "networks", "network", name="n")


@pytest.fixture
async def subnet(demo, net):
    return await made(demo, "subnets", "subnet", network_id=net["id"], cidr="10.0.0.0/28", ip_version=4)


@pytest.fixture
async def outside(admin):
    ext = await made(admin, "networks", "network", name="ext", **{"router:external": True})
    await made(admin, "subnets", "subnet", network_id=ext["id"], cidr="203.0.113.0/24", ip_version=4)
    return ext["id"]


async def test_a_new_network_has_all_its_fields(demo, admin):
    network = await made(demo, "networks", "network", name="n")
    expected = {
        "admin_state_up": True,
        "availability_zone_hints": [],
        "availability_zones": [],
        "description": "",
        "dns_domain": "",
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "is_default": False,
        "l2_adjacency": True,
        "mtu": 1450,
        "name": "n",
        "port_security_enabled": True,
        "project_id": "p-demo",
        "qos_policy_id": None,
        "revision_number": 1,
        "router:external": False,
        "shared": False,
        "status": "ACTIVE",
        "subnets": [],
        "tags": [],
        "tenant_id": "p-demo",
    }
    assert {k: v for k, v in network.items() if k not in {"id", "created_at", "updated_at"}} == expected
    _, shown = await admin.get(f"/networks/{network['id']}")
    assert shown["network"]["provider:network_type"] == "vxlan"
    assert "is_default" not in shown["network"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": "x"}, "Attribute 'id' not allowed in POST"),
        ({"zork": 1}, "Unrecognized attribute(s) 'zork'"),
        ({"name": 7}, "Invalid input for name. Reason: '7' is not a valid string."),
        ({"mtu": -1}, "Invalid input for mtu. Reason: '-1' should be non-negative."),
        (
            {"project_id": "p-other"},
            (
                "Specifying 'project_id' other than the authenticated project in request is not allowed for the "
                "current user."
            ),
        ),
    ],
)
async def test_what_a_network_may_not_say(values, message, demo):
    status, body = await demo.post("/networks", {"network": values})
    assert status == 400
    assert body["NeutronError"]["message"] == message


async def test_projects_do_not_see_each_other(demo, other, admin, net):
    path = f"/networks/{net['id']}"
    assert kind(await other.get(path)) == (404, "NetworkNotFound")
    assert kind(await other.put(path, {"network": {"name": "x"}})) == (404, "NetworkNotFound")
    assert kind(await other.delete(path)) == (404, "NetworkNotFound")
    assert kind(await other.post("/ports", {"port": {"network_id": net["id"]}})) == (404, "NetworkNotFound")
    assert (await other.get("/networks"))[1] == {"networks": []}
    assert len((await admin.get("/networks"))[1]["networks"]) == 1
    assert (await demo.get(path))[0] == 200


async def test_readers_only_read(as_caller, net):
    reader = as_caller("reader")
    assert (await reader.get(f"/networks/{net['id']}"))[0] == 200
    refused = await reader.put(f"/networks/{net['id']}", {"network": {"name": "x"}})
    assert kind(refused) == (403, "PolicyNotAuthorized")
    assert kind(await reader.post("/networks", {"network": {}})) == (403, "PolicyNotAuthorized")


@pytest.mark.parametrize(
    "values", [{"shared": True}, {"router:external": True}, {"provider:segmentation_id": 7}, {"is_default": True}]
)
async def test_what_only_administrators_say_of_networks(values, demo):
    name = next(iter(values))
    status, body = await demo.post("/networks", {"network": values})
    assert status == 403
    rule = f"(rule:create_network and rule:create_network:{name}) is disallowed by policy"
    assert body["NeutronError"]["message"] == rule


async def test_tokens(client, as_caller):
    status, body = await as_caller("unknown").get("/networks")
    assert (status, body["error"]["code"]) == (401, 401)
    assert (await as_caller("keystone-is-down").get("/networks"))[0] == 503
    async with client.get("/v2.0/networks") as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{KnownCallers.auth_uri}"'
        assert answer.headers["x-openstack-request-id"].startswith("req-")
    async with client.get("/healthcheck") as answer:
        assert (answer.status, await answer.text()) == (200, "OK")
    async with client.get("/") as answer:
        assert (await answer.json())["versions"][0]["id"] == "v2.0"


async def test_lists_are_in_the_order_of_ids_and_paged(demo):
    for number in range(7):
        await made(demo, "networks", "network", name=f"n{number}")
    _, everything = await demo.get("/networks")
    ids = [n["id"] for n in everything["networks"]]
    assert ids == sorted(ids)
    seen, path = [], "/networks?limit=3"
    while path:
        _, page = await demo.get(path)
        seen += [n["id"] for n in page["networks"]]
        nexts = [link["href"] for link in page["networks_links"] if link["rel"] == "next"]
        path = nexts[0].partition("/v2.0")[2] if nexts else None
    assert seen == ids
    _, page = await demo.get(f"/networks?limit=2&marker={ids[4]}&page_reverse=True")
    assert [n["id"] for n in page["networks"]] == ids[2:4]
    _, page = await demo.get(f"/networks?limit=2&sort_key=id&sort_dir=desc&marker={ids[4]}")
    assert [n["id"] for n in page["networks"]] == [ids[3], ids[2]]
    assert kind(await demo.get(f"/networks?limit=2&marker={NOBODY}")) == (404, "NetworkNotFound")


async def test_concurrent_ports_get_different_addresses(demo, net, subnet):
    answers = await asyncio.gather(*(demo.post("/ports", {"port": {"network_id": net["id"]}}) for _ in range(20)))
    good = [body["port"] for status, body in answers if status == 201]
    bad = [body["NeutronError"]["type"] for status, body in answers if status != 201]
    addresses = {p["fixed_ips"][0]["ip_address"] for p in good}
    assert len(good) == len(addresses) == 13  # .2 to .14: without network, broadcast and gateway
    assert bad == ["IpAddressGenerationFailure"] * 7
    assert len({p["mac_address"] for p in good}) == 13
    assert subnet["gateway_ip"] not in addresses


@pytest.mark.usefixtures("subnet")
async def test_bulk_creation_is_all_or_nothing(demo, net):
    twice = [{"network_id": net["id"], "fixed_ips": [{"ip_address": "10.0.0.5"}]} for _ in range(2)]
    assert kind(await demo.post("/ports", {"ports": twice})) == (409, "IpAddressAlreadyAllocated")
    assert (await demo.get("/ports"))[1] == {"ports": []}
    good = [{"network_id": net["id"], "name": f"p{n}"} for n in range(3)]
    status, body = await demo.post("/ports", {"ports": good})
    assert status == 201
    assert [p["name"] for p in body["ports"]] == ["p0", "p1", "p2"]
    assert kind(await demo.post("/routers", {"routers": [{"name": "r"}]})) == (400, "HTTPBadRequest")


async def test_hosts_address_themselves_in_slaac_subnets(demo, net):
    before = await made(demo, "ports", "port", network_id=net["id"], mac_address="fa:16:3e:00:00:01")
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    await made(demo, "subnets", "subnet", network_id=net["id"], cidr="fd00::/64", ip_version=6, **modes)
    after = await made(demo, "ports", "port", network_id=net["id"], mac_address="fa:16:3e:00:00:02")
    _, shown = await demo.get(f"/ports/{before['id']}")
    assert shown["port"]["fixed_ips"][0]["ip_address"] == "fd00::f816:3eff:fe00:1"
    assert after["fixed_ips"][0]["ip_address"] == "fd00::f816:3eff:fe00:2"


@pytest.mark.usefixtures("subnet")
async def test_the_default_group_is_made_once_and_given_to_ports(demo, net):
    port = await made(demo, "ports", "port", network_id=net["id"])
    _, listed = await demo.get("/security-groups")
    (default,) = listed["security_groups"]
    assert port["security_groups"] == [default["id"]]
    assert (default["name"], len(default["security_group_rules"])) == ("default", 4)
    assert kind(await demo.delete(f"/security-groups/{default['id']}")) == (409, "SecurityGroupInUse")
    _, rules = await demo.get("/security-group-rules")
    assert {r["remote_group_id"] for r in rules["security_group_rules"] if r["direction"] == "ingress"} == {
        default["id"]
    }


async def test_rules_that_exist_are_refused(demo):
    group = await made(demo, "security-groups", "security_group", name="g")
    rule = {"security_group_id": group["id"], "direction": "ingress", "protocol": "tcp"}
    first = await made(demo, "security-group-rules", "security_group_rule", **rule)
    status, body = await demo.post("/security-group-rules", {"security_group_rule": {**rule, "protocol": "6"}})
    assert status == 409
    assert body["NeutronError"]["message"] == f"Security group rule already exists. Rule id is {first['id']}."


async def test_if_match_insists_on_a_revision(demo, net):
    path = f"/networks/{net['id']}"
    new = {"network": {"name": "m"}}
    assert (await demo.put(path, new, If_Match="revision_number=1"))[0] == 200
    refused = await demo.put(path, {"network": {"name": "o"}}, If_Match="revision_number=1")
    assert kind(refused) == (412, "RevisionNumberConstraintFailed")
    assert kind(await demo.delete(path, If_Match="revision_number=9"))[0] == 412
    assert (await demo.put(path, new))[1]["network"]["revision_number"] == 2  # nothing changed


async def test_a_floating_ip_follows_its_port(demo, outside, net, subnet):
    router = await made(demo, "routers", "router", external_gateway_info={"network_id": outside})
    port = await made(demo, "ports", "port", network_id=net["id"])
    values = {"floating_network_id": outside, "port_id": port["id"]}
    refused = await demo.post("/floatingips", {"floatingip": values})
    assert kind(refused) == (404, "ExternalGatewayForFloatingIPNotFound")
    interface = f"/routers/{router['id']}/add_router_interface"
    assert (await demo.put(interface, {"subnet_id": subnet["id"]}))[0] == 200
    floating = await made(demo, "floatingips", "floatingip", **values)
    assert (floating["router_id"], floating["fixed_ip_address"]) == (
        router["id"],
        port["fixed_ips"][0]["ip_address"],
    )
    assert floating["port_details"]["mac_address"] == port["mac_address"]
    remove = f"/routers/{router['id']}/remove_router_interface"
    assert kind(await demo.put(remove, {"subnet_id": subnet["id"]})) == (409, "RouterInterfaceInUseByFloatingIP")
    assert kind(await demo.delete(f"/routers/{router['id']}")) == (409, "RouterInUse")
    assert (await demo.delete(f"/ports/{port['id']}"))[0] == 204
    _, shown = await demo.get(f"/floatingips/{floating['id']}")
    assert shown["floatingip"]["port_id"] is None
    assert shown["floatingip"]["router_id"] is None
    assert (await demo.delete(f"/floatingips/{floating['id']}"))[0] == 204
    assert (await demo.put(remove, {"subnet_id": subnet["id"]}))[0] == 200
    assert (await demo.delete(f"/routers/{router['id']}"))[0] == 204


async def test_objects_survive_a_restart(settings):
    shown = []
    for _ in range(2):
        store = Store(settings.database_url)
        async with TestClient(TestServer(application(settings, store, KnownCallers()))) as client:
            headers = {"X-Auth-Token": "demo"}
            if not shown:
                await client.post("/v2.0/networks", json={"network": {"name": "n"}}, headers=headers)
            async with client.get("/v2.0/networks", headers=headers) as answer:
                shown.append(await answer.json())
        store.close()
    assert shown[0] == shown[1]
    assert len(shown[0]["networks"]) == 1


async def test_single_native_objects_go_through_the_services(native):
    status, body = await native.post("/vpcs", {"network": {"id": "net-1", "name": "n", "status": "DOWN"}})
    assert status == 201
    vpc = body["network"]
    assert (vpc["id"], vpc["status"], vpc["project_id"], vpc["mtu"]) == ("net-1", "DOWN", "p-admin", 1450)
    cidr = {"id": "sub-1", "network_id": "net-1", "cidr": "10.0.0.0/24", "ip_version": 4}
    assert (await native.post("/subnets", {"subnet": cidr}))[0] == 201
    port = {"network_id": "net-1", "fixed_ips": [{"ip_address": "10.0.0.5"}], "create_at": "2020-01-01T00:00:00Z"}
    status, body = await native.post("/ports", {"port": {"id": "port-1", **port}})
    assert (status, body["port"]["create_at"]) == (201, "2020-01-01T00:00:00Z")
    assert body["port"]["fixed_ips"] == [{"subnet_id": "sub-1", "ip_address": "10.0.0.5"}]
    assert (await native.post("/ports", {"port": {"id": "port-1", **port}}))[0] == 409
    assert (await native.post("/ports", {"port": port}))[0] == 409
    assert (await native.delete("/subnets/sub-1"))[0] == 409
    status, body = await native.put("/ports/port-1", {"port": {"name": "new", "status": "ACTIVE"}})
    assert (body["port"]["name"], body["port"]["status"]) == ("new", "ACTIVE")
    assert (await native.post("/routers", {"router": {"name": "r"}}))[0] == 200
    assert (await native.put("/ports/none", {"port": {"name": "x"}}))[0] == 404
    assert (await native.put("/security-groups/none", {"security_group": {"name": "x"}}))[0] == 412


async def test_objects_with_few_fields_can_be_used(native, admin):
    """A source without some extension has no such fields: nothing may rely on them."""
    net, sub, port, group, router = (f"00000000-0000-0000-0000-00000000000{n}" for n in range(1, 6))
    await native.post("/vpcs/bulk", {"vpcs": [{"id": net, "project_id": "p-demo"}]})
    bare = {"id": sub, "project_id": "p-demo", "network_id": net, "cidr": "10.0.0.0/24", "ip_version": 4}
    await native.post("/subnets/bulk", {"subnets": [{**bare, "gateway_ip": "10.0.0.1"}]})
    bare = {"id": port, "project_id": "p-demo", "network_id": net, "mac_address": "fa:16:3e:00:00:01"}
    await native.post("/ports/bulk", {"ports": [bare]})
    await native.post("/security-groups/bulk", {"security_groups": [{"id": group, "project_id": "p-demo"}]})
    await native.post("/routers/bulk", {"routers": [{"id": router, "project_id": "p-demo"}]})
    for collection, member, object_id, changes in (
        ("networks", "network", net, {"name": "n", "mtu": 1400, "shared": True, "router:external": True}),
        ("networks", "network", net, {"shared": False, "router:external": False, "description": "d"}),
        ("subnets", "subnet", sub, {"name": "s", "dns_nameservers": ["1.1.1.1"], "enable_dhcp": True}),
        ("subnets", "subnet", sub, {"allocation_pools": [{"start": "10.0.0.5", "end": "10.0.0.9"}]}),
        ("ports", "port", port, {"name": "p", "fixed_ips": [{"subnet_id": sub}], "binding:host_id": "h"}),
        ("ports", "port", port, {"security_groups": [group], "port_security_enabled": True, "trusted": True}),
        ("ports", "port", port, {"allowed_address_pairs": [{"ip_address": "10.0.0.7"}], "device_id": "d"}),
        ("ports", "port", port, {"extra_dhcp_opts": [{"opt_name": "a", "opt_value": "b"}]}),
        ("security-groups", "security_group", group, {"name": "g", "stateful": True}),
        ("routers", "router", router, {"name": "r", "admin_state_up": True}),
        ("routers", "router", router, {"routes": []}),
    ):
        status, body = await admin.put(f"/{collection}/{object_id}", {member: changes})
        assert status == 200, body
        for name in changes.keys() - {"fixed_ips", "allowed_address_pairs", "extra_dhcp_opts"}:
            assert body[member][name] == changes[name]
    add = f"/routers/{router}/add_router_interface"
    assert (await admin.put(add, {"subnet_id": sub}))[0] == 200
    rule = {"security_group_id": group, "direction": "ingress"}
    assert (await admin.post("/security-group-rules", {"security_group_rule": rule}))[0] == 201
    assert (await admin.put(add.replace("add", "remove"), {"subnet_id": sub}))[0] == 200
    for path in (f"/ports/{port}", f"/routers/{router}", f"/security-groups/{group}", f"/networks/{net}"):
        assert (await admin.delete(path))[0] == 204


async def test_everything_that_is_served_is_declared(admin):
    for of in RESOURCES:
        if of.name in SERVICES:
            assert (await admin.get(f"/{of.collection}"))[0] == 200
    assert kind(await admin.get("/trunks")) == (404, "HTTPNotFound")
    assert (await admin.get("/extensions"))[1]["extensions"]


async def test_what_was_loaded_below_an_object_is_shown_in_it(admin, native):
    await native.post("/routers/bulk", {"routers": [{"id": "r", "project_id": "p"}, {"id": "s", "project_id": "p"}]})
    helper = {"id": "h", "router_id": "r", "protocol": "udp", "port": 69, "helper": "tftp"}
    await native.post("/conntrack-helpers/bulk", {"conntrack_helpers": [helper]})
    assert (await admin.get("/routers/r"))[1]["router"]["conntrack_helpers"] == [
        {"protocol": "udp", "port": 69, "helper": "tftp"}
    ]
    assert (await admin.get("/routers/s"))[1]["router"]["conntrack_helpers"] == []
    floating = {"id": "f", "project_id": "p", "elastic_ip": "203.0.113.5", "port_id": "", "private_ip": ""}
    floating |= {"neutron:attributes": {"floating_network_id": "n"}}
    await native.post("/elasticips/bulk", {"elasticips": [floating]})
    forwarding = {"id": "x", "floatingip_id": "f", "protocol": "tcp", "internal_port": 22, "external_port": 2222}
    forwarding |= {"internal_port_id": "p1", "internal_ip_address": "10.0.0.5"}
    await native.post("/port-forwardings/bulk", {"port_forwardings": [{**forwarding, "description": ""}]})
    shown = (await admin.get("/floatingips/f"))[1]["floatingip"]["port_forwardings"]
    assert shown == [{k: v for k, v in forwarding.items() if k != "floatingip_id"}]

"""What Neutron is sent so that it holds what Alcor holds, and in which order."""

import json
from pathlib import Path

import msgspec
import pytest

from alcor_migrate.engine.compare import _Walk
from alcor_migrate.errors import CloudRefused
from alcor_migrate.side import COMES_BACK, Change, Key, Rejection, comes_to
from alcor_migrate.source.given import AFTERWARDS, ON_POST, ON_PUT
from alcor_migrate.source.writer import NeutronWriter
from alcor_model import RESOURCES, resource

CREATED = "2026-01-02T03:04:05Z"
MAC = "fa:16:3e:00:00:01"
EUI64 = "fd00::f816:3eff:fe00:1"
INTERFACE = "network:router_interface"
GATEWAY = "network:router_gateway"


class Neutron:
    """Takes requests as JsonClient sends them. `refuses` are (method, path) -> how often it says 409 (-1: always)."""

    def __init__(self):
        self.requests = []
        self.refuses = {}
        self.status = 409
        self.subnets = {}
        self.automatic_rules = []

    async def request(self, method, path, body=None):
        self.requests.append((method, path.removeprefix("/v2.0/"), body))
        if left := self.refuses.get((method, path.removeprefix("/v2.0/"))):
            self.refuses[method, path.removeprefix("/v2.0/")] = left - 1
            return self.status, {"NeutronError": {"type": "Conflict", "message": "not now", "detail": ""}}
        if method == "GET":
            subnet_id = path.rpartition("/")[2]
            return (200, {"subnet": self.subnets[subnet_id]}) if subnet_id in self.subnets else (404, None)
        if path == "/v2.0/security-groups":
            rules = [{"id": rule} for rule in self.automatic_rules]
            return 201, {"security_group": body["security_group"] | {"security_group_rules": rules}}
        return {"POST": 201, "DELETE": 204}.get(method, 200), body

    def sent(self):
        return [(method, path) for method, path, _ in self.requests]

    def body(self, method, path):
        (body,) = [body for m, p, body in self.requests if (m, p) == (method, path)]
        return None if body is None else next(iter(body.values()))


@pytest.fixture
def neutron():
    return Neutron()


@pytest.fixture
def writer(neutron):
    return NeutronWriter(neutron)


def change(name, object_id, old=None, new=None):
    def whole(fields):
        return None if fields is None else {"id": object_id, "project_id": "p", "created_at": CREATED} | fields

    return Change(resource(name), object_id, whole(old), whole(new), given=True)


def router_gateway(network="ext"):
    return {"network_id": network, "enable_snat": True, "external_fixed_ips": [{"ip_address": "203.0.113.5"}]}


def port(**fields):
    return {"network_id": "n", "mac_address": MAC, "device_id": "", "device_owner": "", "fixed_ips": []} | fields


async def test_creations_follow_references_and_groups_come_first(writer, neutron):
    """The first network of a project would make its default group, with an id of Neutron's own."""
    changes = [
        change("floatingip", "f", new={"floating_network_id": "n"}),
        change("port", "p", new=port()),
        change("router", "r", new={"name": "r"}),
        change("subnet", "s", new={"network_id": "n"}),
        change("network", "n", new={"name": "n"}),
        change("security_group_rule", "x", new={"security_group_id": "g"}),
        change("security_group", "g", new={"name": "g"}),
    ]
    assert await writer.apply(changes) == []
    assert neutron.sent() == [
        ("POST", "security-groups"),
        ("POST", "security-group-rules"),
        ("POST", "networks"),
        ("POST", "subnets"),
        ("POST", "routers"),
        ("POST", "ports"),
        ("POST", "floatingips"),
    ]


async def test_deletions_come_before_creations_and_dependents_first(writer, neutron):
    changes = [
        change("network", "new", new={}),
        change("network", "n", old={}),
        change("subnet", "s", old={}),
        change("router", "r", old={}),
        change("port", "p", old=port()),
        change("floatingip", "f", old={}),
        change("security_group", "g", old={}),
        change("security_group_rule", "x", old={}),
    ]
    assert await writer.apply(changes) == []
    sent = neutron.sent()
    assert sent[-1] == ("POST", "networks")
    for first, then in [
        ("floatingips/f", "ports/p"),
        ("ports/p", "routers/r"),
        ("ports/p", "subnets/s"),
        ("ports/p", "security-groups/g"),
        ("subnets/s", "networks/n"),
        ("security-group-rules/x", "security-groups/g"),
    ]:
        assert sent.index(("DELETE", first)) < sent.index(("DELETE", then))


async def test_what_is_gone_already_is_deleted(writer, neutron):
    neutron.refuses["DELETE", "networks/n"] = -1
    neutron.status = 404
    assert await writer.apply([change("network", "n", old={})]) == []


async def test_a_creation_carries_identity_and_only_what_can_be_given(writer, neutron):
    new = {
        "name": "blue",
        "tenant_id": "p",
        "status": "ACTIVE",
        "mtu": 1450,
        "provider:segmentation_id": 77,
        "provider:physical_network": None,
        "availability_zone_hints": [],
        "revision_number": 7,
        "updated_at": CREATED,
        "subnets": ["s"],
        "invented": 1,
    }
    await writer.apply([change("network", "n", new=new)])
    assert neutron.body("POST", "networks") == {
        "id": "n",
        "project_id": "p",
        "created_at": CREATED,
        "name": "blue",
        "mtu": 1450,
        "provider:segmentation_id": 77,
    }


@pytest.mark.parametrize(
    "name", ["network", "subnet", "security_group", "security_group_rule", "router", "floatingip"]
)
async def test_every_creation_says_when_it_was(writer, neutron, name):
    await writer.apply([change(name, "i", new={})])
    assert neutron.body("POST", resource(name).collection)["created_at"] == CREATED


@pytest.mark.parametrize("unknown", [None, "", "2026-01-02 03:04:05", "2026-01-02T03:04:05.123Z"])
async def test_a_time_that_neutron_would_refuse_is_left_out(writer, neutron, unknown):
    await writer.apply([change("network", "n", new={"created_at": unknown})])
    assert neutron.body("POST", "networks") == {"id": "n", "project_id": "p"}


async def test_a_subnet_without_gateway_is_made_without(writer, neutron):
    await writer.apply([change("subnet", "s", new={"gateway_ip": None, "segment_id": None, "cidr": "10.0.0.0/24"})])
    body = neutron.body("POST", "subnets")
    assert body["gateway_ip"] is None
    assert "segment_id" not in body


async def test_the_default_group_is_made_as_such_and_automatic_rules_are_removed(writer, neutron):
    neutron.automatic_rules = ["a1", "a2"]
    rule = {"security_group_id": "g", "direction": "ingress", "description": None}
    changes = [change("security_group", "g", new={"name": "default"}), change("security_group_rule", "x", new=rule)]
    await writer.apply(changes)
    body = neutron.body("POST", "security-groups")
    assert body["default_group"] is True
    assert "name" not in body
    assert neutron.sent() == [
        ("POST", "security-groups"),
        ("DELETE", "security-group-rules/a1"),
        ("DELETE", "security-group-rules/a2"),
        ("POST", "security-group-rules"),
    ]
    assert "description" not in neutron.body("POST", "security-group-rules")


async def test_default_groups_come_before_the_others(writer, neutron):
    """The first group of a project would make Neutron create the default one with an id of its own."""
    changes = [change("security_group", name, new={"name": name}) for name in ("a", "b", "default", "c")]
    await writer.apply(changes)
    assert [body["security_group"]["id"] for _, _, body in neutron.requests] == ["default", "a", "b", "c"]


async def test_another_group_keeps_its_name(writer, neutron):
    await writer.apply([change("security_group", "g", new={"name": "web"})])
    assert neutron.body("POST", "security-groups")["name"] == "web"


async def test_a_rule_that_differs_is_made_again(writer, neutron):
    """There is no update of rules in Neutron 29; a PUT ends in 500."""
    old, new = {"direction": "ingress", "description": None}, {"direction": "ingress", "description": "web"}
    await writer.apply([change("security_group_rule", "x", old, new)])
    assert neutron.sent() == [("DELETE", "security-group-rules/x"), ("POST", "security-group-rules")]


async def test_a_rule_that_does_not_differ_stays(writer, neutron):
    old, new = {"direction": "ingress", "description": None}, {"direction": "ingress", "description": ""}
    await writer.apply([change("security_group_rule", "x", old, new)])
    assert neutron.sent() == []


async def test_the_gateway_port_comes_with_its_router(writer, neutron):
    changes = [
        change("port", "gp", new=port(device_id="r", device_owner=GATEWAY, network_id="ext")),
        change("router", "r", new={"external_gateway_info": router_gateway() | {"invented": None}}),
    ]
    assert await writer.apply(changes) == []
    assert neutron.sent() == [("POST", "routers")]
    body = neutron.body("POST", "routers")
    assert body["port_identity"] == {"id": "gp", "mac_address": MAC, "created_at": CREATED}
    assert body["external_gateway_info"] == router_gateway()


async def test_a_gateway_set_later_has_its_identity_too(writer, neutron):
    changes = [
        change("router", "r", {"external_gateway_info": None}, {"external_gateway_info": router_gateway()}),
        change("port", "gp", new=port(device_id="r", device_owner=GATEWAY)),
    ]
    await writer.apply(changes)
    assert neutron.requests == [
        (
            "PUT",
            "routers/r",
            {
                "router": {
                    "external_gateway_info": router_gateway(),
                    "port_identity": {"id": "gp", "mac_address": MAC, "created_at": CREATED},
                }
            },
        )
    ]


async def test_a_gateway_is_taken_away_with_its_port(writer, neutron):
    changes = [
        change("router", "r", {"external_gateway_info": router_gateway()}, {"external_gateway_info": None}),
        change("port", "gp", old=port(device_id="r", device_owner=GATEWAY)),
    ]
    await writer.apply(changes)
    assert neutron.requests == [("PUT", "routers/r", {"router": {"external_gateway_info": {}}})]


async def test_the_port_of_a_floating_ip_comes_and_goes_with_it(writer, neutron):
    new = {"floating_network_id": "ext", "floating_ip_address": "203.0.113.9", "port_id": "", "fixed_ip_address": ""}
    owned = port(device_id="f", device_owner="network:floatingip", created_at="unknown")
    await writer.apply([change("port", "fp", new=owned), change("floatingip", "f", new=new)])
    assert neutron.body("POST", "floatingips") == {
        "id": "f",
        "project_id": "p",
        "created_at": CREATED,
        "floating_network_id": "ext",
        "floating_ip_address": "203.0.113.9",
        "port_identity": {"id": "fp", "mac_address": MAC},
    }
    neutron.requests.clear()
    await writer.apply([change("port", "fp", old=owned), change("floatingip", "f", old=new)])
    assert neutron.sent() == [("DELETE", "floatingips/f")]


@pytest.mark.parametrize(
    "owner",
    [
        "network:router_gateway",
        "network:floatingip",
        "network:router_ha_interface",
        "network:router_centralized_snat",
        "network:floatingip_agent_gateway",
    ],
)
async def test_ports_that_neutron_makes_are_only_changed(writer, neutron, owner):
    owned = port(device_id="r", device_owner=owner, name="")
    await writer.apply([change("port", "p", new=owned)])
    await writer.apply([change("port", "p", old=owned)])
    assert neutron.sent() == []
    moved = owned | {"name": "mine", "fixed_ips": [{"subnet_id": "s", "ip_address": "203.0.113.5"}]}
    await writer.apply([change("port", "p", owned, moved)])
    assert neutron.requests == [("PUT", "ports/p", {"port": {"name": "mine"}})]


@pytest.mark.parametrize(
    "owner", [INTERFACE, "network:router_interface_distributed", "network:ha_router_replicated_interface"]
)
async def test_an_interface_is_a_port_that_is_attached(writer, neutron, owner):
    fixed_ips = [{"subnet_id": "s", "ip_address": "10.0.0.1"}, {"subnet_id": "s6", "ip_address": EUI64}]
    owned = port(device_id="r", device_owner=owner, fixed_ips=fixed_ips, **{"binding:host_id": "h"})
    await writer.apply([change("port", "p", new=owned)])
    assert neutron.sent() == [("POST", "ports"), ("PUT", "routers/r/add_router_interface")]
    body = neutron.body("POST", "ports")
    assert body["device_owner"] == owner
    assert body["fixed_ips"] == fixed_ips  # in SLAAC subnets, too: Neutron adds no address to an interface
    assert body.keys().isdisjoint({"device_id", "binding:host_id"})
    assert neutron.requests[1][2] == {"port_id": "p"}

    neutron.requests.clear()
    await writer.apply([change("port", "p", old=owned)])
    assert neutron.requests == [("PUT", "routers/r/remove_router_interface", {"port_id": "p"})]


async def test_a_port_becomes_an_interface(writer, neutron):
    owned = port(device_id="r", device_owner=INTERFACE, name="new")
    await writer.apply([change("port", "p", port(name="old"), owned)])
    assert neutron.requests == [
        ("PUT", "routers/r/add_router_interface", {"port_id": "p"}),
        ("PUT", "ports/p", {"port": {"name": "new"}}),
    ]


async def test_an_interface_that_was_made_but_not_attached_is_attached(writer, neutron):
    owned = port(device_id="r", device_owner=INTERFACE)
    await writer.apply([change("port", "p", owned | {"device_id": ""}, owned)])
    assert neutron.requests == [("PUT", "routers/r/add_router_interface", {"port_id": "p"})]


async def test_routes_come_after_the_interfaces(writer, neutron):
    routes = [{"destination": "198.51.100.0/24", "nexthop": "10.0.0.9"}]
    changes = [
        change("router", "r", new={"routes": routes}),
        change("port", "p", new=port(device_id="r", device_owner=INTERFACE)),
    ]
    await writer.apply(changes)
    assert neutron.sent()[-1] == ("PUT", "routers/r")
    assert neutron.body("PUT", "routers/r") == {"routes": routes}
    assert "routes" not in neutron.body("POST", "routers")


async def test_routes_go_before_the_interfaces(writer, neutron):
    stays = {"destination": "192.0.2.0/24", "nexthop": "10.0.1.9"}
    goes = {"destination": "198.51.100.0/24", "nexthop": "10.0.0.9"}
    changes = [
        change("port", "p", old=port(device_id="r", device_owner=INTERFACE)),
        change("port", "q", old=port(device_id="t", device_owner=INTERFACE)),
        change("router", "r", {"routes": [stays, goes]}, {"routes": [stays]}),
        change("router", "t", old={"routes": [goes]}),
    ]
    await writer.apply(changes)
    assert neutron.requests[:2] == [
        ("PUT", "routers/r", {"router": {"routes": [stays]}}),
        ("PUT", "routers/t", {"router": {"routes": []}}),
    ]
    assert neutron.sent()[2:5] == [
        ("PUT", "routers/r/remove_router_interface"),
        ("PUT", "routers/t/remove_router_interface"),
        ("DELETE", "routers/t"),
    ]


async def test_an_address_that_neutron_makes_of_the_mac_is_not_named(writer, neutron):
    neutron.subnets = {
        "slaac": {"ipv6_address_mode": "slaac", "ipv6_ra_mode": None},
        "stateless": {"ipv6_address_mode": None, "ipv6_ra_mode": "dhcpv6-stateless"},
        "stateful": {"ipv6_address_mode": "dhcpv6-stateful", "ipv6_ra_mode": "dhcpv6-stateful"},
    }
    fixed_ips = [{"subnet_id": s, "ip_address": EUI64} for s in neutron.subnets]
    fixed_ips += [{"subnet_id": "four", "ip_address": "10.0.0.5"}, {"subnet_id": "six", "ip_address": "fd00::5"}]
    await writer.apply([change("port", "p", new=port(fixed_ips=fixed_ips))])
    assert neutron.body("POST", "ports")["fixed_ips"] == [
        {"subnet_id": "slaac"},
        {"subnet_id": "stateless"},
        {"subnet_id": "stateful", "ip_address": EUI64},
        {"subnet_id": "four", "ip_address": "10.0.0.5"},
        {"subnet_id": "six", "ip_address": "fd00::5"},
    ]


async def test_a_port_without_address_is_made_without(writer, neutron):
    await writer.apply([change("port", "p", new=port())])
    assert neutron.body("POST", "ports")["fixed_ips"] == []


async def test_a_change_sends_only_what_changed_and_may(writer, neutron):
    old = {"name": "a", "mtu": 1500, "provider:segmentation_id": 7, "status": "DOWN", "availability_zone_hints": []}
    new = {
        "name": "b",
        "mtu": 1500,
        "provider:segmentation_id": 7,
        "status": "ACTIVE",
        "availability_zone_hints": ["z"],
        "created_at": "2020-01-01T00:00:00Z",
        "project_id": "q",
    }
    await writer.apply([change("network", "n", old, new)])
    assert neutron.requests == [("PUT", "networks/n", {"network": {"name": "b"}})]


async def test_what_is_only_spelled_differently_is_not_sent(writer, neutron):
    old = port(fixed_ips=[{"subnet_id": "s", "ip_address": "fd00::5"}], mac_address=MAC.upper(), name="")
    new = port(fixed_ips=[{"subnet_id": "s", "ip_address": "fd00:0::5"}], mac_address=MAC, name=None)
    await writer.apply([change("port", "p", old, new)])
    assert neutron.sent() == []


@pytest.mark.parametrize(
    ("name", "old", "sent"),
    [
        (
            "port",
            {"name": "x", "dns_name": "x", "binding:host_id": "x"},
            {"name": "", "dns_name": "", "binding:host_id": ""},
        ),
        (
            "port",
            {"security_groups": ["g"], "binding:profile": {"a": 1}},
            {"security_groups": [], "binding:profile": {}},
        ),
        ("port", {"data_plane_status": "DOWN", "trusted": True, "admin_state_up": False}, None),
        ("subnet", {"gateway_ip": "10.0.0.1", "segment_id": "x"}, {"gateway_ip": None, "segment_id": None}),
        ("subnet", {"allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.9"}]}, None),
        ("floatingip", {"port_id": "p", "fixed_ip_address": "10.0.0.5"}, {"port_id": None, "fixed_ip_address": None}),
        ("security_group", {"description": "x"}, {"description": ""}),
    ],
)
async def test_a_null_is_sent_only_where_neutron_takes_it(writer, neutron, name, old, sent):
    await writer.apply([change(name, "i", old, dict.fromkeys(old))])
    if sent is None:
        assert neutron.sent() == []
    else:
        assert neutron.body("PUT", f"{resource(name).collection}/i") == sent


async def test_the_default_group_is_never_named_in_a_change(writer, neutron):
    await writer.apply(
        [change("security_group", "g", {"name": "default"}, {"name": "default", "description": "ours"})]
    )
    assert neutron.body("PUT", "security-groups/g") == {"description": "ours"}


async def test_tags_are_sent_by_themselves_and_only_when_they_changed(writer, neutron):
    changes = [
        change("network", "made", new={"tags": ["a"]}),
        change("network", "plain", new={"tags": []}),
        change("network", "moved", {"tags": ["a", "b"]}, {"tags": ["b", "a"]}),
        change("network", "cleared", {"tags": ["a"]}, {"tags": []}),
    ]
    await writer.apply(changes)
    tags = [(path, body) for method, path, body in neutron.requests if method == "PUT"]
    assert sorted(tags) == [("networks/cleared/tags", {"tags": []}), ("networks/made/tags", {"tags": ["a"]})]
    assert all("tags" not in body["network"] for method, _, body in neutron.requests if method == "POST")


@pytest.mark.parametrize("value", [False, None])
async def test_what_this_neutron_does_not_offer_is_neither_missed_nor_sent_while_it_is_not_set(
    writer, neutron, value
):
    changed = change("router", "r", {"name": "old"}, {"name": "new", "enable_ndp_proxy": value})
    await writer.apply([changed])
    assert neutron.body("PUT", "routers/r") == {"name": "new"}
    equal = msgspec.structs.replace(changed, new=changed.new | {"name": "old"}, given=True)
    assert not equal.differs
    ours, theirs = equal.new, equal.old
    assert _Walk(equal.of, given=True)._same(ours, theirs)
    assert _Walk(equal.of, given=True)._same(theirs, ours)
    assert msgspec.structs.replace(equal, new=equal.new | {"enable_ndp_proxy": True}).differs
    assert msgspec.structs.replace(equal, old=equal.old | {"enable_ndp_proxy": True}).differs


async def test_what_is_refused_is_tried_once_more_after_all_else(writer, neutron):
    neutron.refuses["DELETE", "security-groups/g"] = 1
    changes = [
        change("security_group", "g", old={"name": "g"}),
        change("port", "p", port(security_groups=["g"]), port(security_groups=["h"])),
    ]
    assert await writer.apply(changes) == []
    assert neutron.sent() == [
        ("DELETE", "security-groups/g"),
        ("PUT", "ports/p"),
        ("DELETE", "security-groups/g"),
    ]


async def test_what_was_made_is_not_made_again_when_only_the_rest_was_refused(writer, neutron):
    neutron.refuses["PUT", "routers/r/add_router_interface"] = 1
    assert await writer.apply([change("port", "p", new=port(device_id="r", device_owner=INTERFACE))]) == []
    assert neutron.sent() == [
        ("POST", "ports"),
        ("PUT", "routers/r/add_router_interface"),
        ("PUT", "routers/r/add_router_interface"),
    ]


async def test_what_is_refused_twice_is_a_rejection_and_the_rest_is_done(writer, neutron):
    neutron.refuses["DELETE", "networks/n"] = -1
    rejected = await writer.apply([change("network", "n", old={}), change("network", "m", old={})])
    assert [r.key for r in rejected] == [Key("network", "n")]
    assert isinstance(rejected[0], Rejection)
    assert "409" in rejected[0].reason
    assert "not now" in rejected[0].reason
    assert neutron.sent().count(("DELETE", "networks/m")) == 1


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_when_neutron_itself_fails_nothing_is_called_a_rejection(writer, neutron, status):
    neutron.refuses["DELETE", "networks/n"] = -1
    neutron.status = status
    with pytest.raises(CloudRefused):
        await writer.apply([change("network", "n", old={})])


async def test_what_refers_to_further_resources_is_given_too(writer, neutron):
    hints = {"openvswitch": {"other_config": {"tx-steering": "hash"}}}
    further = {"qos_policy_id": "q", "hints": hints, "trusted": True, "numa_affinity_policy": "required"}
    await writer.apply(
        [
            change("port", "p", new=port(**further, device_profile="gpu", data_plane_status="ACTIVE")),
            change("network", "n", new={"qos_policy_id": "q"}),
            change("subnet", "s", new={"network_id": "n", "subnetpool_id": "pool", "cidr": "10.0.0.0/24"}),
            change("router", "r", new={"ha": False, "distributed": False, "flavor_id": "f"}),
            change("security_group_rule", "x", new={"security_group_id": "g", "remote_address_group_id": "a"}),
            change("floatingip", "f", new={"floating_network_id": "n", "qos_policy_id": "q"}),
        ]
    )
    sent = neutron.body("POST", "ports")
    assert {name: sent[name] for name in further} == further
    assert sent["device_profile"] == "gpu"
    assert "data_plane_status" not in sent
    assert neutron.body("PUT", "ports/p") == {"data_plane_status": "ACTIVE"}  # only there does Neutron take it
    assert neutron.body("POST", "networks")["qos_policy_id"] == "q"
    assert neutron.body("POST", "subnets")["subnetpool_id"] == "pool"
    router = neutron.body("POST", "routers")
    assert (router["ha"], router["distributed"], router["flavor_id"]) == (False, False, "f")
    assert neutron.body("POST", "security-group-rules")["remote_address_group_id"] == "a"
    assert neutron.body("POST", "floatingips")["qos_policy_id"] == "q"


async def test_what_is_not_set_is_left_to_neutron(writer, neutron):
    """A Neutron without the extension would refuse the very name."""
    unset = {"hints": None, "trusted": False, "qos_policy_id": None, "mac_learning_enabled": None}
    await writer.apply(
        [change("port", "p", new=port(**unset)), change("router", "r", new={"enable_ndp_proxy": False})]
    )
    assert not unset.keys() & neutron.body("POST", "ports").keys()
    assert "enable_ndp_proxy" not in neutron.body("POST", "routers")


async def test_what_alcor_only_keeps_is_said_not_to_come_back(writer, neutron):
    found = await writer.apply([change("trunk", "t", new={"port_id": "p"}), change("network", "n", new={})])
    assert [(r.key, "trunk cannot be brought back" in r.reason) for r in found] == [(Key("trunk", "t"), True)]
    assert neutron.sent() == [("POST", "networks")]


def test_on_the_way_back_only_what_can_change_on_alcor_is_compared():
    assert not change("trunk", "t", {"name": "a"}, {"name": "b"}).differs
    assert not change("segment", "s", {"network_id": "n"}, None).differs
    assert change("network", "n", {"name": "a"}, {"name": "b"}).differs


@pytest.mark.parametrize("name", sorted(COMES_BACK))
def test_what_is_given_is_what_neutron_lets_one_give(name):
    of = resource(name)
    golden = Path(__file__).resolve().parents[1] / "model" / "golden" / "attributes.json"
    known = json.loads(golden.read_text())["collections"][of.collection.replace("-", "_")]
    for field in ON_POST[name] | ON_PUT[name] | AFTERWARDS.get(name, frozenset()):
        assert field not in known or known[field]["given"], field
    missing = {f for f, said in known.items() if said["given"] and said["shown"]} - ON_POST[name] - ON_PUT[name]
    elsewhere = {"project_id", "tenant_id", "tags", "id", "routes"}
    found_out = {"service_type_id", "router_id"}  # from the flavor, from the address
    assert missing <= elsewhere | found_out


def test_on_the_way_back_nothing_else_counts_as_compared():
    alcor, neutron = Neutron(), Neutron()
    alcor.keeps_everything, neutron.keeps_everything = True, False
    assert {of.name for of in RESOURCES if comes_to(neutron, of)} == COMES_BACK
    assert all(comes_to(alcor, of) for of in RESOURCES)

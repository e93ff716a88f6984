"""Upstream Alcor is loaded without tripping over its defects (against a stand-in that has them)."""

import pytest
from java_alcor import JavaAlcor

from alcor_migrate.errors import CloudRefused, CloudUnreachable
from alcor_migrate.side import Change
from alcor_migrate.target.begun import Begun
from alcor_migrate.target.nodes import node
from alcor_migrate.target.upstream import UpstreamSide
from alcor_migrate.target.upstream_form import batches, host, kept
from alcor_model import differences, resource

P = {"project_id": "p"}
NETWORK = {"id": "n", **P, "name": "web", "admin_state_up": True, "shared": True, "mtu": 1450}
NETWORK |= {"provider:network_type": "vxlan", "provider:segmentation_id": 7, "port_security_enabled": True}
SUBNET = {"id": "s", **P, "name": "", "network_id": "n", "cidr": "10.0.0.0/24", "ip_version": 4, "enable_dhcp": True}
SUBNET |= {"gateway_ip": "10.0.0.1", "dns_nameservers": ["9.9.9.9"]}
GROUP = {"id": "g", **P, "name": "default", "description": "made by Neutron"}
RULE = {"id": "x", **P, "security_group_id": "g", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
RULE |= {"port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": None}
ROUTER = {"id": "r", **P, "name": "edge", "admin_state_up": True, "distributed": False}
ROUTER |= {"routes": [{"destination": "192.168.7.0/24", "nexthop": "10.0.0.9"}]}
ROUTER |= {"interfaces": [{"subnet_id": "s", "ip_address": "10.0.0.1"}]}
FLOATING = {"id": "f", **P, "floating_ip_address": "203.0.113.5", "port_id": "p0", "fixed_ip_address": "10.0.0.10"}
FLOATING |= {"floating_network_id": "ext"}


def port(number, host="", groups=("g",), **fields):
    made = {"id": f"p{number}", **P, "network_id": "n", "name": f"port {number}", "admin_state_up": True}
    made |= {"mac_address": f"fa:16:3e:00:00:{number:02x}", "security_groups": list(groups), "device_id": ""}
    made |= {"fixed_ips": [{"subnet_id": "s", "ip_address": f"10.0.0.{10 + number}"}], "device_owner": ""}
    return made | {"port_security_enabled": True, "binding:host_id": host, "binding:vif_type": "unbound"} | fields


PORTS = [port(0), port(1, groups=()), port(2, "h1"), port(3, "h2"), port(4, "h1")]
AGENT = {"agent_type": "Open vSwitch agent", "configurations": {"tunneling_ip": "10.255.0.11"}}
AGENTS = [{"id": f"a-{host}", "host": host, **AGENT} for host in ("h1", "h2")]
CLOUD = {
    "agent": AGENTS,
    "network": [NETWORK],
    "security_group": [GROUP],
    "security_group_rule": [RULE],
    "subnet": [SUBNET],
    "router": [ROUTER],
    "port": PORTS,
    "floatingip": [FLOATING],
}


def new(name, *objects):
    return [Change(resource(name), o["id"], None, o, given=True) for o in objects]


def everything():
    return [change for name, objects in CLOUD.items() for change in new(name, *objects)]


class Project:
    async def project_id(self):
        return "admin"


@pytest.fixture
def java():
    return JavaAlcor()


@pytest.fixture
def begun(tmp_path):
    return Begun(tmp_path / "begun.json")


@pytest.fixture
def upstream(java, begun):
    return UpstreamSide(java, Project(), begun, in_flight=0.0)


async def listed(upstream, name):
    return {o["id"]: o async for page in upstream.pages(resource(name), 2) for o in page}


async def test_a_cloud_is_loaded_and_what_is_there_is_left_alone(upstream, java):
    assert await upstream.apply(everything()) == []
    assert java.rows["vpcs"]["n"]["provider:segmentation_id"] == 7
    assert java.rows["subnets"]["s"]["attached_router_id"] == "r"
    assert java.rows["routers"]["r"]["routetable"]["routes"][0]["destination"] == "192.168.7.0/24"
    assert java.rows["elasticips"]["f"]["port_id"] == "p0"
    assert {n["node_name"] for n in java.nodes.values()} == {"h1", "h2"}

    for name, objects in CLOUD.items():
        of = resource(name)
        found = await listed(upstream, name)
        assert found.keys() == {o["id"] for o in objects}
        for o in objects:
            expected = host(o) if name == "agent" else kept(of, o)
            assert differences(of, expected, found[o["id"]]) == []

    java.requests.clear()
    assert await upstream.apply(everything()) == []
    assert java.sent() == []  # a second POST of a port would have destroyed the first


async def test_only_what_came_from_neutron_is_listed(upstream):
    """Upstream makes a default group with rules for each project, and a port for each subnet."""
    await upstream.apply(everything())
    assert set(await listed(upstream, "security_group")) == {"g"}
    assert set(await listed(upstream, "security_group_rule")) == {"x"}
    assert set(await listed(upstream, "port")) == {p["id"] for p in PORTS}


async def test_the_default_group_keeps_its_id_and_has_the_rules_of_neutrons(upstream, java):
    await upstream.apply(new("security_group", GROUP) + new("security_group_rule", RULE))
    assert [r["id"] for r in java.rows["security-groups"]["g"]["security_group_rules"]] == ["x"]
    assert (await upstream.read(resource("security_group"), ["g"]))["g"]["name"] == "default"


async def test_a_network_whose_vni_cannot_be_forced_does_not_stay(upstream, java):
    java.breaks["PUT", "n"] = 9
    (rejection,) = await upstream.apply(new("network", NETWORK))
    assert "PUT" in rejection.reason
    assert java.rows["vpcs"] == {}


async def test_a_subnet_that_is_half_there_is_taken_away_and_made_again(upstream, java):
    java.breaks["POST", "s"] = 1
    assert await upstream.apply(new("network", NETWORK) + new("subnet", SUBNET)) == []
    assert java.rows["subnets"]["s"]["gatewayPortId"]


async def test_a_subnet_that_fails_again_leaves_nothing(upstream, java):
    java.breaks["POST", "s"] = 9
    (rejection,) = await upstream.apply(new("network", NETWORK) + new("subnet", SUBNET))
    assert rejection.key.id == "s"
    assert java.rows["subnets"] == {}
    assert java.rows["ports"] == {}


def test_ports_go_in_batches_of_one_host_with_groups_or_without():
    other = port(5) | {"project_id": "q"}
    found = [[p["id"] for p in batch] for batch in batches([*PORTS, other, port(6, "h1")], 2)]
    assert found == [["p0"], ["p1"], ["p2", "p4"], ["p6"], ["p3"], ["p5"]]


async def test_of_a_batch_that_fails_only_the_port_to_blame_is_missing(upstream, java):
    cloud = [c for c in everything() if c.of.name not in {"port", "floatingip"}]
    bad = port(7, groups=("no such group",))
    (rejection,) = await upstream.apply([*cloud, *new("port", port(0), bad, port(1))])
    assert rejection.key.id == "p7"
    assert set(await listed(upstream, "port")) == {"p0", "p1"}
    assert java.rows["ports"]["p0"]["fixed_ips"], "its addresses were released by a second POST"


async def test_a_ghost_is_taken_away_although_its_first_deletion_fails(upstream, java):
    cloud = [c for c in everything() if c.of.name not in {"port", "floatingip"}]
    (rejection,) = await upstream.apply([*cloud, *new("port", port(8, "a host without a node"))])
    assert rejection.key.id == "p8"
    assert "p8" not in java.rows["ports"]


async def test_a_change_says_what_upstream_would_reset(upstream, java):
    await upstream.apply(everything())
    changed = [
        Change(resource("network"), "n", NETWORK, NETWORK | {"name": "other"}),
        Change(resource("subnet"), "s", SUBNET, SUBNET | {"enable_dhcp": False}),
        Change(resource("port"), "p1", PORTS[1], PORTS[1] | {"name": "x", "port_security_enabled": False}),
    ]
    assert await upstream.apply(changed) == []
    network, subnet, there = (java.rows[c][i] for c, i in (("vpcs", "n"), ("subnets", "s"), ("ports", "p1")))
    assert (network["name"], network["shared"], network["provider:segmentation_id"]) == ("other", True, 7)
    assert (subnet["enable_dhcp"], subnet["gateway_ip"]) == (False, "10.0.0.1")
    assert (there["name"], there["port_security_enabled"]) == ("x", False)


async def test_a_port_with_another_mac_is_made_anew(upstream, java):
    await upstream.apply(everything())
    changed = PORTS[1] | {"mac_address": "fa:16:3e:ff:ff:ff"}
    assert await upstream.apply([Change(resource("port"), "p1", PORTS[1], changed)]) == []
    assert java.rows["ports"]["p1"]["mac_address"] == "fa:16:3e:ff:ff:ff"


async def test_a_floating_ip_moves_to_another_port(upstream, java):
    await upstream.apply(everything())
    moved = FLOATING | {"port_id": "p1", "fixed_ip_address": "10.0.0.11"}
    assert await upstream.apply([Change(resource("floatingip"), "f", FLOATING, moved)]) == []
    assert java.rows["elasticips"]["f"]["port_id"] == "p1"


async def test_addresses_of_all_networks_lie_in_one_range(upstream, java):
    """Of several ranges upstream would take any."""
    await upstream.apply(everything())
    other = FLOATING | {"id": "f2", "floating_ip_address": "198.51.100.9", "port_id": None, "fixed_ip_address": None}
    assert await upstream.apply(new("floatingip", other)) == []
    assert list(java.ranges) == ["neutron-4"]
    assert len(java.ranges["neutron-4"]["allocation_ranges"]) == 2


async def test_routes_come_and_go_and_wait_for_interfaces(upstream, java):
    await upstream.apply(everything())
    other = ROUTER | {"routes": [{"destination": "192.168.8.0/24", "nexthop": "10.0.0.9"}]}
    assert await upstream.apply([Change(resource("router"), "r", ROUTER, other)]) == []
    assert [r["destination"] for r in java.rows["routers"]["r"]["routetable"]["routes"]] == ["192.168.8.0/24"]
    java.rows["routers"]["r"]["gateway_ports"] = []
    (rejection,) = await upstream.apply([Change(resource("router"), "r", other, ROUTER)])
    assert "every subnet" in rejection.reason


async def test_everything_is_deleted_in_an_order_that_upstream_accepts(upstream, java):
    await upstream.apply(everything())
    gone = [Change(c.of, c.id, c.new, None) for c in everything()]
    for _ in range(2):
        assert await upstream.apply(gone) == []
    left = {collection: set(rows) for collection, rows in java.rows.items() if rows}
    assert left.pop("security-groups") == {"default-p"}  # upstream's own
    assert set(left) == {"security-group-rules"}
    assert java.nodes == {}


@pytest.mark.parametrize(
    ("name", "found", "reason"),
    [
        ("network", NETWORK | {"provider:network_type": "geneve"}, "geneve"),
        ("subnet", SUBNET | {"cidr": "2001:db8::/64", "ip_version": 6, "gateway_ip": "2001:db8::1"}, "upstream-ipv6"),
        ("subnet", SUBNET | {"cidr": "10.0.0.0/29"}, "/28"),
        ("subnet", SUBNET | {"gateway_ip": None}, "without a gateway"),
        ("subnet", SUBNET | {"cidr": "nonsense"}, "cidr"),
        ("port", port(1, fixed_ips=[]), "without an address"),
        ("port", port(1, fixed_ips=[{"subnet_id": "s", "ip_address": "2001:db8::1"}]), "IPv6"),
        ("port", port(1, **{"binding:vnic_type": "direct-physical"}), "direct-physical"),
        ("security_group_rule", RULE | {"protocol": "112"}, "112"),
        ("security_group_rule", RULE | {"port_range_max": None}, "one end of a range"),
        ("security_group_rule", RULE | {"remote_address_group_id": "a"}, "upstream-rule-opens"),
        ("trunk", {"id": "t", **P, "port_id": "p0"}, "no place"),
    ],
)
async def test_what_upstream_cannot_hold_is_refused_before_anything_is_sent(upstream, java, name, found, reason):
    (rejection,) = await upstream.apply(new(name, found))
    assert reason in rejection.reason
    assert java.sent() == []


async def test_an_interface_that_is_not_the_gateway_is_refused(upstream, java):
    await upstream.apply([c for c in everything() if c.of.name not in {"router", "port", "floatingip"}])
    other = ROUTER | {"interfaces": [{"subnet_id": "s", "ip_address": "10.0.0.77"}]}
    (rejection,) = await upstream.apply(new("router", other))
    assert "gateway of its subnet" in rejection.reason
    assert not java.rows["subnets"]["s"].get("attached_router_id")


async def test_a_router_loses_its_interfaces_after_its_routes(upstream, java):
    await upstream.apply(everything())
    bare = ROUTER | {"interfaces": [], "routes": []}
    assert await upstream.apply([Change(resource("router"), "r", ROUTER, bare)]) == []
    assert not java.rows["subnets"]["s"]["attached_router_id"]
    assert java.rows["routers"]["r"]["routetable"]["routes"] == []


# -- creations that were cut off ---


async def test_what_was_being_created_when_we_died_is_taken_away_and_made_anew(java, begun, upstream, tmp_path):
    cloud = [c for c in everything() if c.of.name not in {"port", "floatingip"}]
    await upstream.apply(cloud)
    ghost = port(8, "a host without a node")
    java.rows["ports"]["p8"] = dict(ghost)  # what upstream keeps of a creation that failed after we were gone
    java.ghosts.add("p8")
    context = begun.creating("port", "p", ["p8"])
    await context.__aenter__()  # and nobody leaves it

    again = UpstreamSide(java, Project(), Begun(tmp_path / "begun.json"), in_flight=0.0)
    assert await again.apply([]) == []
    assert "p8" not in java.rows["ports"]
    assert await Begun(tmp_path / "begun.json").left() == []


async def test_a_creation_whose_answer_was_lost_is_not_sent_twice(upstream, java, monkeypatch):
    cloud = [c for c in everything() if c.of.name not in {"port", "floatingip"}]
    await upstream.apply(cloud)
    request = java.request

    async def lost(method, path, *rest, **more):
        answer = await request(method, path, *rest, **more)
        if method == "POST":
            raise CloudUnreachable("the connection was cut")
        return answer

    monkeypatch.setattr(java, "request", lost)
    with pytest.raises(CloudUnreachable):
        await upstream.apply(new("port", port(0)))
    assert java.rows["ports"]["p0"]
    monkeypatch.setattr(java, "request", request)
    assert await upstream.apply(new("port", port(0))) == []
    assert java.rows["ports"]["p0"]["fixed_ips"], "its addresses were released by a second POST"
    assert [m for m, p in java.sent("POST", "DELETE") if "ports" in p] == ["POST", "DELETE", "POST"]


async def test_what_is_being_created_is_not_taken_away_by_who_lists(upstream, java, begun):
    await upstream.apply([c for c in everything() if c.of.name not in {"port", "floatingip"}])
    java.rows["ports"]["p8"] = port(8)
    async with begun.creating("port", "p", ["p8"]):
        assert "p8" in await listed(upstream, "port")
    assert "p8" in java.rows["ports"]


async def test_half_a_subnet_of_a_creation_that_nobody_noted_is_made_anew(upstream, java):
    await upstream.apply(new("network", NETWORK))
    java.rows["subnets"]["s"] = {**SUBNET, "project_id": "p"}  # without its gateway port
    assert await upstream.apply(new("subnet", SUBNET)) == []
    assert java.rows["subnets"]["s"]["gatewayPortId"]


async def test_a_service_that_is_down_is_no_objects_fault(upstream, java, monkeypatch):
    async def down(*_args, **_more):
        return 503, {"message": "no server is available"}

    monkeypatch.setattr(java, "request", down)
    with pytest.raises(CloudRefused, match="503"):
        await upstream.apply(new("network", NETWORK))


def test_only_l2_agents_with_a_tunnel_are_nodes():
    assert node(AGENTS[0])["mac_address"] == "02:00:0a:ff:00:0b"
    assert node(AGENTS[0] | {"configurations": {}}) is None
    assert node(AGENTS[0] | {"agent_type": "DHCP agent"}) is None

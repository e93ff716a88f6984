"""Goal states say what Alcor's objects say, to the hosts that need it, and gaps name what they cannot."""

from pathlib import Path

import pytest

from alcor_model import EXTENSION, resource, to_alcor
from alcor_model import goalstate as gs
from alcor_model.goalstate.build import DVR_MAC, NO_WORD, GoalStates

NETWORK = {"id": "n1", "name": "net", "provider:network_type": "vxlan", "provider:segmentation_id": 5001, "mtu": 1450}
SUBNET = {
    "id": "s1",
    "network_id": "n1",
    "cidr": "10.0.0.0/24",
    "ip_version": 4,
    "gateway_ip": "10.0.0.1",
    "enable_dhcp": True,
    "dns_nameservers": ["9.9.9.9"],
    "host_routes": [{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}],
    "revision_number": 0,
}
PORT = {
    "id": "p1",
    "network_id": "n1",
    "mac_address": "fa:16:3e:00:00:01",
    "admin_state_up": True,
    "device_id": "vm",
    "device_owner": "compute:nova",
    "fixed_ips": [{"subnet_id": "s1", "ip_address": "10.0.0.5"}, {"subnet_id": "s2", "ip_address": "2001:db8::5"}],
    "allowed_address_pairs": [{"ip_address": "10.0.0.0/28", "mac_address": "fa:16:3e:00:00:09"}],
    "security_groups": ["g1"],
    "port_security_enabled": True,
    "revision_number": 7,
}
NODE = {"node_id": "h", "local_ip": "10.9.0.1", "data-path-ip": "10.8.0.1", "mac_address": "aa:bb:cc:00:00:01"}
RULE = {"id": "r1", "security_group_id": "g1", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}


def resources(states, host):
    return [(gs.ResourceType.Name(r.type), r.id) for r in states.message.host_resources[host].resources]


def test_a_bound_port_and_what_its_host_needs_with_it():
    states = GoalStates()
    states.add_vpc(["10.9.0.1"], NETWORK)
    states.add_subnet(["10.9.0.1"], SUBNET, NETWORK, "fa:16:3e:00:00:02")
    states.add_port("10.9.0.1", PORT, [SUBNET, {"id": "s2", "enable_dhcp": False}])
    message = states.message
    assert message.format_version == 102
    assert resources(states, "10.9.0.1") == [("VPC", "n1"), ("SUBNET", "s1"), ("PORT", "p1"), ("DHCP", "p1/s1")]
    assert message.vpc_states["n1"].configuration.tunnel_id == 5001
    subnet = message.subnet_states["s1"].configuration
    assert (subnet.network_type, subnet.tunnel_id, subnet.revision_number) == (gs.NetworkType.VXLAN, 5001, 1)
    assert (subnet.gateway.ip_address, subnet.gateway.mac_address) == ("10.0.0.1", "fa:16:3e:00:00:02")
    assert [entry.entry for entry in subnet.dns_entry_list] == ["9.9.9.9"]
    port = message.port_states["p1"]
    assert (port.operation_type, port.configuration.update_type) == (gs.OperationType.CREATE, gs.UpdateType.FULL)
    assert (port.configuration.revision_number, port.configuration.host_info.ip_address) == (7, "10.9.0.1")
    assert [ip.ip_address for ip in port.configuration.fixed_ips] == ["10.0.0.5", "2001:db8::5"]
    assert [group.id for group in port.configuration.security_group_ids] == ["g1"]
    assert port.configuration.allow_address_pairs[0].ip_address == "10.0.0.0/28"
    dhcp = message.dhcp_states["p1/s1"].configuration
    assert (dhcp.subnet_id, dhcp.ipv4_address, dhcp.ipv6_address) == ("s1", "10.0.0.5", "")
    assert states.gaps == []


def test_neighbors_are_known_by_how_they_are_reached():
    states = GoalStates()
    for _ in range(2):
        states.add_neighbor(["10.9.0.2", "10.9.0.3"], PORT, NODE, 5001)
    states.add_neighbor(["10.9.0.3"], PORT, NODE, 5001, gs.NeighborType.L3)
    assert resources(states, "10.9.0.2") == [("NEIGHBOR", "L2/p1")]
    assert resources(states, "10.9.0.3") == [("NEIGHBOR", "L2/p1"), ("NEIGHBOR", "L3/p1")]
    near = states.message.neighbor_states["L2/p1"].configuration
    assert (near.id, near.host_ip_address, near.host_mac_address) == ("p1", "10.8.0.1", "aa:bb:cc:00:00:01")
    assert [(ip.ip_address, ip.tunnel_id) for ip in near.fixed_ips] == [("10.0.0.5", 5001), ("2001:db8::5", 5001)]
    far = states.message.neighbor_states["L3/p1"].configuration
    assert {ip.neighbor_type for ip in far.fixed_ips} == {gs.NeighborType.L3}


def test_a_port_of_a_node_without_a_tunnel_address_is_a_gap():
    states = GoalStates()
    states.add_neighbor(["10.9.0.2"], PORT, NODE | {"data-path-ip": None}, 5001)
    assert not states.message.neighbor_states
    assert [(gap.resource, gap.object_id, gap.field) for gap in states.gaps] == [("node", "h", "data-path-ip")]


def test_a_router_has_a_table_for_each_subnet():
    states = GoalStates()
    router = {"id": "r", "routetable": {"routes": [{"destination": "0.0.0.0/0", "nexthop": "10.0.0.254"}]}}
    states.add_router(["10.9.0.1"], router, [SUBNET, {"id": "s2"}])
    made = states.message.router_states["r"].configuration
    assert made.host_dvr_mac_address == DVR_MAC
    tables = {
        table.subnet_id: [rule.destination for rule in table.routing_rules] for table in made.subnet_routing_tables
    }
    assert tables == {"s1": ["192.0.2.0/24", "0.0.0.0/0"], "s2": ["0.0.0.0/0"]}
    assert {rule.priority for rule in made.subnet_routing_tables[0].routing_rules} == {100}


def test_rules_of_a_group():
    states = GoalStates()
    rules = [
        RULE | {"port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": "192.0.2.0/24"},
        RULE | {"id": "r2", "protocol": "17", "direction": "egress", "remote_group_id": "g2"},
        RULE | {"id": "r3", "protocol": "ipv6-icmp", "ethertype": "IPv6"},
    ]
    states.add_security_group(["10.9.0.1"], {"id": "g1", "name": "web"}, rules)
    one, two, three = states.message.security_group_states["g1"].configuration.security_group_rules
    assert (one.direction, one.protocol, one.port_range_max, one.remote_ip_prefix) == (1, 0, 22, "192.0.2.0/24")
    assert (two.direction, two.protocol, two.remote_group_id) == (0, gs.Protocol.UDP, "g2")
    assert (three.ethertype, three.protocol) == (gs.EtherType.IPV6, gs.Protocol.ICMP)
    assert states.gaps == []


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({"protocol": None}, "protocol"),
        ({"protocol": "sctp"}, "protocol"),
        ({"protocol": "icmp", "port_range_min": 0}, "port_range_min"),
        ({"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}, "port_range_max"),
        ({EXTENSION: {"remote_address_group_id": "a"}}, "remote_address_group_id"),
        ({"ethertype": "ARP"}, "ethertype"),
        ({"direction": "both"}, "direction"),
    ],
)
def test_a_rule_that_would_read_as_another_is_left_out(odd, field):
    states = GoalStates()
    states.add_security_group(["10.9.0.1"], {"id": "g1"}, [RULE | odd, RULE | {"id": "r9"}])
    assert [r.id for r in states.message.security_group_states["g1"].configuration.security_group_rules] == ["r9"]
    (gap,) = states.gaps
    assert (gap.resource, gap.object_id, gap.field) == ("security_group_rule", "r1", field)
    assert "not sent" in str(gap)


@pytest.mark.parametrize(("resource_", "field"), [(r, f) for r, fields in NO_WORD.items() for f in fields])
def test_what_the_protocol_has_no_place_for_is_a_gap_when_it_is_set(resource_, field):
    of = resource(resource_)
    declared = of.field(field)
    assert declared is not None, "the field is one of Neutron's"
    odd = next(
        value
        for value in ("x", False, 9000, [1], {"a": 1}, True)
        if type(value) in declared.types or not declared.types
    )
    base = {"network": {"id": "o"}, "subnet": {**SUBNET, "id": "o"}, "port": {**PORT, "id": "o"}}
    states = GoalStates()
    adders = {
        "network": lambda o: states.add_vpc([], o),
        "subnet": lambda o: states.add_subnet([], o, NETWORK),
        "port": lambda o: states.add_port("10.9.0.1", o),
        "security_group": lambda o: states.add_security_group([], o, []),
        "router": lambda o: states.add_router([], o, []),
    }
    neutron = {**base.get(resource_, {"id": "o"}), field: odd if NO_WORD[resource_][field][0](odd) else True}
    adders[resource_](to_alcor(of, neutron))
    assert [(gap.resource, gap.object_id, gap.field) for gap in states.gaps] == [(resource_, "o", field)]


def test_a_network_that_has_no_word_is_not_told_as_vxlan():
    states = GoalStates()
    states.add_subnet(["10.9.0.1"], SUBNET, NETWORK | {"provider:network_type": "flat"})
    assert not states.message.subnet_states
    assert [gap.field for gap in states.gaps] == ["provider:network_type"]


def test_every_gap_is_documented():
    page = (Path(__file__).parents[3] / "docs" / "goal-states.md").read_text()
    for fields in NO_WORD.values():
        for field in fields:
            assert f"`{field}" in page, field

from collections import Counter
from ipaddress import ip_address, ip_network

import pytest

from alcor_model import resource
from lab.plan import RESOURCES, TAGGED, Ref
from lab.topology import plan_topology

PROJECTS = ("web-shop", "analytics", "research")


@pytest.fixture(scope="module")
def plan():
    return plan_topology(PROJECTS, 120, seed=1)


def bodies(plan, resource):
    return [planned.body for planned in plan.of(resource)]


def references(value):
    match value:
        case Ref():
            yield value
        case dict():
            for part in value.values():
                yield from references(part)
        case list():
            for part in value:
                yield from references(part)


def joined(plan, interface):
    """The subnets that an interface of a router is in."""
    if interface.resource == "subnet":
        return [interface]
    port = next(port for port in plan.of("port") if port.ref == interface)
    return [fixed["subnet_id"] for fixed in port.body["fixed_ips"]]


def test_the_seed_decides_everything(plan):
    assert plan_topology(PROJECTS, 120, seed=1) == plan
    assert plan_topology(PROJECTS, 120, seed=8) != plan


@pytest.mark.parametrize("ports", [0, 1, 40, 120, 2000])
def test_size_is_a_parameter_and_any_size_is_well_formed(ports):
    plan = plan_topology(PROJECTS, ports, seed=3)
    servers = [p for p in plan.of("port") if not p.key.endswith("/router") and "/trunk/" not in p.key]
    assert len(servers) == ports
    refs = [planned.ref for planned in plan.objects]
    assert len(refs) == len(set(refs))
    planned = set(refs)
    for thing in plan.objects:
        assert set(references(thing.body)) <= planned, thing.key
        assert thing.below is None or thing.below in planned, thing.key
    subnets = {p.ref: ip_network(p.body["cidr"]) for p in plan.of("subnet") if "cidr" in p.body}
    taken = Counter()
    for port in plan.of("port"):
        for fixed in port.body.get("fixed_ips", []):
            if "ip_address" in fixed:
                assert ip_address(fixed["ip_address"]) in subnets[fixed["subnet_id"]]
                taken[fixed["subnet_id"], fixed["ip_address"]] += 1
    assert set(taken.values()) <= {1}
    for router, routes in plan.routes.items():
        reached = [subnets[ref] for interface in plan.interfaces[router] for ref in joined(plan, interface)]
        for route in routes:
            assert any(ip_address(route["nexthop"]) in subnet for subnet in reached)


def test_networks_of_every_kind(plan):
    networks = plan.of("network")
    assert {planned.body.get("provider:network_type", "vxlan") for planned in networks} == {"vxlan", "vlan", "flat"}
    assert sum(bool(body.get("router:external")) for body in bodies(plan, "network")) == 1
    assert any(body.get("shared") for body in bodies(plan, "network"))
    assert any(body.get("admin_state_up") is False for body in bodies(plan, "network"))
    assert {planned.project for planned in networks} == {None, *PROJECTS}


def test_one_project_overlaps_another(plan):
    cidrs = {
        project: {
            p.body["cidr"]
            for p in plan.of("subnet")
            if p.project == project and p.body["ip_version"] == 4 and "cidr" in p.body
        }
        for project in PROJECTS
    }
    assert cidrs["analytics"] & cidrs["web-shop"]
    assert not cidrs["research"] & cidrs["web-shop"]


def test_subnets_of_every_kind(plan):
    subnets = bodies(plan, "subnet")
    assert {body.get("ipv6_address_mode") for body in subnets} == {None, "slaac", "dhcpv6-stateful"}
    assert any("gateway_ip" in body and body["gateway_ip"] is None for body in subnets)
    assert any(body.get("host_routes") for body in subnets)
    assert any(len(body.get("allocation_pools", [])) > 1 for body in subnets)
    versions = Counter(body["network_id"] for body in subnets)
    assert max(versions.values()) == 2, "no network has both IPv4 and IPv6"


def test_routers_with_interfaces_gateway_and_routes(plan):
    assert any(body.get("external_gateway_info") for body in bodies(plan, "router"))
    assert any(not body.get("external_gateway_info") for body in bodies(plan, "router"))
    kinds = {ref.resource for interfaces in plan.interfaces.values() for ref in interfaces}
    assert kinds == {"subnet", "port"}
    assert all(plan.routes.values())


def test_rules_of_every_kind(plan):
    rules = bodies(plan, "security_group_rule")
    assert any("remote_group_id" in rule for rule in rules)
    assert any(rule.get("port_range_max", 0) > rule.get("port_range_min", 0) for rule in rules)
    icmp = [rule for rule in rules if rule.get("protocol") == "icmp"]
    assert {"port_range_max" in rule for rule in icmp} == {True, False}, "type with code, and type alone"
    assert any(rule["ethertype"] == "IPv6" for rule in rules)
    assert any(rule.get("protocol", "").isdigit() for rule in rules)
    assert {rule["direction"] for rule in rules} == {"ingress", "egress"}


def test_ports_of_every_kind(plan):
    ports = bodies(plan, "port")
    hosts = {port.get("binding:host_id") for port in ports}
    assert hosts == {None, "compute-1", "compute-2", "compute-3", "compute-4"}
    assert any(port.get("allowed_address_pairs") for port in ports)
    assert any(port.get("extra_dhcp_opts") for port in ports)
    assert any(port.get("admin_state_up") is False for port in ports)
    assert any(port.get("port_security_enabled") is False for port in ports)
    assert any(port.get("security_groups") == [] and port.get("port_security_enabled", True) for port in ports)
    assert any("security_groups" not in port for port in ports), "the project's default group"


def test_floating_ips_tags_and_descriptions(plan):
    assert {"port_id" in body for body in bodies(plan, "floatingip")} == {True, False}
    tagged = {planned.resource for planned in plan.objects if planned.tags}
    assert tagged == TAGGED
    described = [planned.body["description"] for planned in plan.objects if "description" in planned.body]
    assert any(not text.isascii() for text in described)
    assert all(ord(sign) < 0x10000 for text in described for sign in text)


def test_every_kind_of_resource_is_made_after_what_it_names(plan):
    assert {planned.resource for planned in plan.objects} == set(RESOURCES)
    place = {name: number for number, name in enumerate(RESOURCES)}
    for planned in plan.objects:
        named = {ref.resource for ref in references(planned.body)} | (
            {planned.below.resource} if planned.below else set()
        )
        assert all(place[name] < place[planned.resource] or name == planned.resource for name in named), planned.key


def test_what_lies_below_another_object_says_below_which(plan):
    for planned in plan.objects:
        nested = resource(planned.resource).nested
        assert (planned.below.resource if planned.below else None) == (nested.resource if nested else None)

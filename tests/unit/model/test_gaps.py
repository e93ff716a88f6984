"""What a target does not hold: every rule is found, on the object and for the reason that it says."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_objects import objects

from alcor_migrate.target import upstream_form
from alcor_model import RESOURCES, resource
from alcor_model.fields import Target
from alcor_model.gaps import NOT_ENACTED, SERVED, Examiner, Severity, notices, rules
from alcor_sdn.controller.services.table import SERVICES

GOLDEN = Path(__file__).parent / "golden"
NETWORK = {"id": "n", "provider:network_type": "flat", "provider:segmentation_id": 0, "port_security_enabled": True}
SUBNET = {"id": "s", "name": "s", "network_id": "n", "cidr": "10.0.0.0/24", "ip_version": 4, "gateway_ip": "10.0.0.1"}
SUBNET |= {"allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.254"}]}
PORT = {"id": "p", "network_id": "n", "mac_address": "fa:16:3e:00:00:01", "port_security_enabled": True}
PORT |= {"fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.9"}]}
RULE = {"id": "r", "security_group_id": "g", "direction": "ingress", "ethertype": "IPv4"}
FACE = PORT | {"device_owner": "network:router_interface", "device_id": "router-1"}
FACE |= {"fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.1"}]}
FLOATING = {"id": "f", "floating_network_id": "n", "floating_ip_address": "203.0.113.9"}

SIX = {"cidr": "2001:db8::/64", "ip_version": 6}
ROUTES = [{"destination": d, "nexthop": "10.0.0.9"} for d in ("10.1.0.0/24", "0.0.0.0/0")]

CASES = [
    ("no-place", [("trunk", {"id": "t", "port_id": "p"})], ""),
    ("field-lost", [("security_group", {"id": "g", "name": "web", "stateful": False})], "stateful"),
    ("field-lost", [("floatingip", FLOATING)], "floating_network_id"),
    ("field-lost", [("port", PORT | {"binding:profile": {"vlan": 7}})], "binding:profile"),
    ("without-effect", [("network", NETWORK | {"port_security_enabled": False})], "port_security_enabled"),
    ("without-effect", [("network", NETWORK | {"shared": True, "dns_domain": "a."})], "shared, dns_domain"),
    (
        "without-effect",
        [("router", {"id": "r", "external_gateway_info": {"network_id": "n"}})],
        "external_gateway_info",
    ),
    (
        "without-effect",
        [("subnet", SUBNET | {"allocation_pools": [{"start": "10.0.0.9", "end": "10.0.0.99"}]})],
        "allocation_pools",
    ),
    ("network-type", [("network", NETWORK | {"provider:network_type": "geneve"})], "geneve"),
    ("network-type", [("network", {"id": "n", "segments": [{}, {}]})], "several segments"),
    ("flat-without-id", [("network", NETWORK | {"provider:segmentation_id": None})], ""),
    (
        "vni-not-reserved",
        [("network", NETWORK | {"provider:network_type": "vxlan", "provider:segmentation_id": 7})],
        "vxlan 7",
    ),
    ("ipv6", [("subnet", SUBNET | SIX)], "2001:db8::/64"),
    ("ipv6", [("port", PORT | {"fixed_ips": [{"subnet_id": "s", "ip_address": "2001:db8::9"}]})], "2001:db8::9"),
    ("prefix", [("subnet", SUBNET | {"cidr": "10.0.0.0/29", "allocation_pools": []})], "10.0.0.0/29"),
    ("prefix", [("subnet", SUBNET | {"cidr": "10.0.0.0/15"})], "10.0.0.0/15"),
    ("no-gateway", [("subnet", SUBNET | {"gateway_ip": None})], ""),
    ("gateway-outside", [("subnet", SUBNET | {"gateway_ip": "10.9.0.1"})], "10.9.0.1"),
    ("nameless-subnet", [("subnet", SUBNET | {"name": ""})], ""),
    ("port-without-address", [("port", PORT | {"fixed_ips": []})], ""),
    ("vnic-type", [("port", PORT | {"binding:vnic_type": "direct-physical"})], "direct-physical"),
    (
        "same-mac",
        [("port", PORT), ("port", PORT | {"id": "q", "mac_address": "FA:16:3E:00:00:01"})],
        PORT["mac_address"],
    ),
    (
        "same-device-name",
        [
            (
                "port",
                PORT | {"id": f"0000-0000-0{n}", "mac_address": str(n), "binding:host_id": "h", "device_id": "d"},
            )
            for n in (1, 1)
        ],
        "0000-0000-0",
    ),
    ("interface-made-anew", [("port", FACE)], ""),
    ("router-port", [("port", PORT | {"device_owner": "network:router_gateway"})], "network:router_gateway"),
    ("dhcp-port", [("port", PORT | {"device_owner": "network:dhcp"})], ""),
    ("router-networks", [("port", FACE), ("port", FACE | {"id": "q", "network_id": "m"})], "router router-1"),
    ("subnet-routers", [("port", FACE), ("port", FACE | {"id": "q", "device_id": "router-2"})], "subnet s"),
    (
        "interface-address",
        [("subnet", SUBNET), ("port", FACE | {"fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.7"}]})],
        "10.0.0.7",
    ),
    ("route", [("router", {"id": "r", "routes": [*ROUTES, ROUTES[0]]})], "10.1.0.0/24 via 10.0.0.9"),
    (
        "route",
        [("router", {"id": "r", "routes": [{"destination": "10.0.0.9/32", "nexthop": "x"}]})],
        "10.0.0.9/32 via x",
    ),
    ("default-group", [("security_group", {"id": "g", "name": "default"})], ""),
    ("rule-opens", [("security_group_rule", RULE | {"remote_address_group_id": "a"})], "remote_address_group_id"),
    ("rule-protocol", [("security_group_rule", RULE | {"protocol": "vrrp"})], "vrrp"),
    ("rule-protocol", [("security_group_rule", RULE | {"protocol": "6"})], "6"),
    ("rule-ports", [("security_group_rule", RULE | {"protocol": "icmp", "port_range_min": 8})], "icmp 8-None"),
    (
        "rule-ports",
        [("security_group_rule", RULE | {"protocol": "tcp", "port_range_min": 0, "port_range_max": 9})],
        "tcp 0-9",
    ),
    ("quota", [("quota", {"id": "project", "project_id": "project", "network": 3})], ""),
]


def found(target, *stream):
    examiner = Examiner(target)
    return [
        (finding.rule.id, finding.detail)
        for name, item in stream
        for finding in examiner.examine(resource(name), item)
    ]


@pytest.mark.parametrize(("rule", "stream", "detail"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)])
def test_each_rule_of_upstream_is_found(rule, stream, detail):
    assert (f"upstream-{rule}", detail) in found(Target.UPSTREAM, *stream)


def test_every_rule_has_a_case_or_is_a_notice():
    said = {f"upstream-{case[0]}" for case in CASES} | {rule.id for rule in notices(Target.UPSTREAM)}
    assert said == {rule.id for rule in rules(Target.UPSTREAM)}


@pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)
def test_what_the_migration_does_not_even_send_was_told_beforehand(of):
    """On every real answer, and on every case: refused by the target's side means said to stay behind."""
    items = json.loads((GOLDEN / f"{of.name}.json").read_text("utf-8"))
    items += [item for _, stream, _ in CASES for name, item in stream if name == of.name]
    for item in ({"id": "x"} | item for item in items):
        told = {f.rule.severity for f in Examiner(Target.UPSTREAM).examine(of, item)}
        if upstream_form.refusal(of, item) and not (of.observed or upstream_form.told_otherwise(of)):
            assert Severity.CANNOT_MOVE in told, item


def test_what_upstream_holds_is_no_gap():
    router = {"id": "r", "admin_state_up": True, "routes": ROUTES}
    stream = [
        ("network", NETWORK),
        ("subnet", SUBNET),
        ("port", PORT),
        ("router", router),
        ("security_group_rule", RULE),
    ]
    assert found(Target.UPSTREAM, *stream) == []


def test_the_bundled_alcor_keeps_everything_and_says_what_it_does_not_serve():
    for of in RESOURCES:
        for name, _ in found(Target.BUNDLED, (of.name, {"id": "x"})):
            rule = next(rule for rule in rules(Target.BUNDLED) if rule.id == name)
            assert rule.severity is Severity.MOVES
    assert found(Target.BUNDLED, ("network", NETWORK), ("subnet", SUBNET | SIX), ("port", PORT)) == []
    assert [name for name, _ in found(Target.BUNDLED, ("trunk", {"id": "t", "port_id": "p"}))] == [
        "bundled-not-served",
        "bundled-not-enacted",
    ]


def test_what_is_served_is_what_the_controller_serves():
    assert set(SERVICES) == SERVED


def test_what_is_not_enacted_is_declared():
    assert NOT_ENACTED.keys() <= {of.name for of in RESOURCES}


def test_rules_are_told_apart_and_say_all_that_is_asked():
    all_rules = [rule for target in Target for rule in rules(target)]
    assert len({rule.id for rule in all_rules}) == len(all_rules)
    for rule in all_rules:
        assert rule.title
        assert rule.consequence
        assert all(rule.ways_out)
        assert rule.source


@settings(max_examples=40)
@given(st.sampled_from([of for of in RESOURCES if of.upstream]), st.data())
def test_no_object_that_can_be_converted_is_too_much(of, data):
    examiner = Examiner(Target.UPSTREAM)
    for _ in range(2):
        assert all(f.id for f in examiner.examine(of, data.draw(objects(of))))

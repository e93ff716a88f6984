"""Neutron → Alcor → Neutron is the identity, and what is malformed is named."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_objects import json_values, objects

from alcor_model import EXTENSION, RESOURCES, delete_order, load_order, resource, to_alcor, to_neutron
from alcor_model.errors import MalformedObject, UnknownResource
from alcor_model.fields import Kind, renamed, same
from alcor_model.mapping import check

PORT = resource("port")
BASE = {"id": "p", "network_id": "n", "mac_address": "m"}


@pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)
@settings(max_examples=15)  # there are many resources
@given(data=st.data())
def test_there_and_back_is_the_identity(of, data):
    neutron = data.draw(objects(of))
    assert to_neutron(of, to_alcor(of, neutron)) == neutron


def test_derived_fields_are_left_out_and_unknown_ones_carried():
    alcor = to_alcor(PORT, {**BASE, "trunk_details": {"sub_ports": []}, "from_a_plugin": 7, "hints": None})
    assert "trunk_details" not in alcor
    assert alcor[EXTENSION] == {"from_a_plugin": 7, "hints": None}


def test_alcors_own_spelling_is_kept():
    port = to_alcor(
        resource("port"),
        {"id": "p", "network_id": "n", "mac_address": "m", "created_at": "t", "propagate_uplink_status": True},
    )
    assert port["create_at"] == "t"
    assert port["uplink_status_propagation"] is True
    router = to_alcor(resource("router"), {"id": "r", "routes": [{"destination": "d", "nexthop": "h"}]})
    assert router["routetable"]["routes"] == [{"destination": "d", "nexthop": "h"}]
    floating = to_alcor(
        resource("floatingip"), {"id": "f", "floating_network_id": "n", "floating_ip_address": "2001:db8::1"}
    )
    assert (floating["elastic_ip"], floating["elastic_ip_version"]) == ("2001:db8::1", 6)


@pytest.mark.parametrize(
    ("broken", "field", "problem"),
    [
        ({}, "id", "is missing"),
        ({"id": None}, "id", "is missing"),
        ({"id": 7}, "id", "is not an id"),
        ({"id": ["p"]}, "id", "is not an id"),
        ({"id": ""}, "id", "is not an id"),
        ({"id": "p", "mac_address": "m"}, "network_id", "is missing"),
        ({**BASE, "network_id": None}, "network_id", "is missing"),
        ({**BASE, "fixed_ips": {}}, "fixed_ips", "is an object, not a list"),
        ({**BASE, "admin_state_up": "yes"}, "admin_state_up", "is a text, not true or false"),
        ({**BASE, "revision_number": True}, "revision_number", "is true or false, not a number"),
        ({**BASE, "revision_number": 1.5}, "revision_number", "is a number with a fraction, not a number"),
        ({**BASE, "binding:profile": "{}"}, "binding:profile", "is a text, not an object"),
        ({**BASE, "name": "x" * 65536}, "name", "is 65536 characters long, more than 255"),
        ({**BASE, "fixed_ips": [{"ip_address": "::ffff:10.0.0.1"}]}, "fixed_ips", "IPv4 address written as an IPv6"),
        ({**BASE, "fixed_ips": [{"ip_address": "0:0::FFFF:a00:1"}]}, "fixed_ips", "IPv4 address written as an IPv6"),
        ({**BASE, "fixed_ips": [{"ip_address": "10.0.0.256"}]}, "fixed_ips", "is '10.0.0.256', not an address"),
        ({**BASE, "fixed_ips": [{"ip_address": 167772161}]}, "fixed_ips", "holds a number"),
        ({**BASE, "allowed_address_pairs": [{"ip_address": "::ffff:a00:0/120"}]}, "allowed_address_pairs", "IPv4"),
        ("a text", "(object)", "is a text, not an object"),
        (None, "(object)", "is null, not an object"),
    ],
)
def test_malformed_objects_are_named(broken, field, problem):
    with pytest.raises(MalformedObject) as caught:
        to_alcor(PORT, broken)
    assert caught.value.field == field
    assert problem in caught.value.message
    assert "port" in caught.value.message
    assert caught.value.next_step
    with pytest.raises(MalformedObject):
        check(PORT, broken)


SUBNET = {"id": "s", "network_id": "n", "cidr": "10.0.0.0/24", "ip_version": 4, "gateway_ip": "10.0.0.1"}
RULE = {"id": "r", "security_group_id": "g", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}


@pytest.mark.parametrize(
    ("of", "broken", "field", "problem"),
    [
        ("subnet", SUBNET | {"ip_version": 6}, "cidr", "contradicts ip_version 6"),
        ("subnet", SUBNET | {"ip_version": 5}, "ip_version", "neither 4 nor 6"),
        ("subnet", SUBNET | {"gateway_ip": "2001:db8::1"}, "gateway_ip", "contradicts ip_version 4"),
        (
            "security_group_rule",
            RULE | {"remote_ip_prefix": "::/0"},
            "remote_ip_prefix",
            "contradicts ethertype IPv4",
        ),
        ("security_group_rule", RULE | {"port_range_min": 90, "port_range_max": 80}, "port_range_max", "_min 90"),
    ],
)
def test_contradictions_are_named(of, broken, field, problem):
    with pytest.raises(MalformedObject, match=problem) as caught:
        to_alcor(resource(of), broken)
    assert (caught.value.field, caught.value.object_id) == (field, broken["id"])


@pytest.mark.parametrize(
    ("of", "sound"),
    [
        ("subnet", SUBNET),
        ("subnet", SUBNET | {"gateway_ip": None, "cidr": "2001:db8::/64", "ip_version": 6}),
        ("security_group_rule", RULE | {"remote_ip_prefix": "0.0.0.0/0", "port_range_min": 1, "port_range_max": 1}),
        ("security_group_rule", RULE | {"ethertype": None, "remote_ip_prefix": "::/0"}),
        ("security_group_rule", RULE | {"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}),
    ],
)
def test_what_does_not_contradict_itself_passes(of, sound):
    check(resource(of), sound)


@pytest.mark.parametrize(
    ("of", "broken", "field"),
    [
        ("port", "a text", "(object)"),
        ("port", {"id": "p", EXTENSION: ["x"]}, EXTENSION),
        ("router", {"id": "r", "routetable": {"rules": []}}, "routetable"),
        ("router", {"id": "r", "routetable": 7}, "routetable"),
    ],
)
def test_what_alcor_holds_otherwise_is_named_too(of, broken, field):
    with pytest.raises(MalformedObject) as caught:
        to_neutron(resource(of), broken)
    assert caught.value.field == field


@given(of=st.sampled_from(RESOURCES), rubbish=json_values)
def test_rubbish_is_malformed_and_nothing_else_happens(of, rubbish):
    for convert in (to_alcor, to_neutron, check):
        with suppress(MalformedObject):
            convert(of, rubbish)


@given(data=st.data())
def test_one_field_of_rubbish_is_carried_or_named(data):
    of = data.draw(st.sampled_from(RESOURCES))
    name = data.draw(st.sampled_from([f.neutron for f in of.fields if f.kind is not Kind.DERIVED]))
    neutron = {**data.draw(objects(of)), name: data.draw(json_values)}
    try:
        back = to_neutron(of, to_alcor(of, neutron))
    except MalformedObject as found:
        malformed = found
    else:
        malformed = None
        assert back.keys() == neutron.keys()
    if malformed:
        computed = [f.name for f in of.alcor_only]
        assert malformed.field in {name, ", ".join(computed)}
        assert malformed.object_id == (neutron["id"] if isinstance(neutron["id"], str) else "")
    alcor = {"id": "a", of.field(name).alcor or EXTENSION: data.draw(json_values)}
    with suppress(MalformedObject):
        to_neutron(of, alcor)


def test_an_object_is_not_changed_by_being_converted():
    neutron = {**BASE, "created_at": "t", "hints": {"a": 1}, "trunk_details": {}}
    before = dict(neutron)
    alcor = to_alcor(PORT, neutron)
    assert neutron == before
    held = dict(alcor)
    to_neutron(PORT, alcor)
    assert alcor == held


def test_names_may_be_exchanged_between_the_apis():
    of = msgspec.structs.replace(
        PORT, fields=(same("id", (str,)), renamed("one", "other"), renamed("other", "one")), references=()
    )
    alcor = to_alcor(of, {"id": "p", "one": "1", "other": "2"})
    assert alcor == {"id": "p", "other": "1", "one": "2"}
    assert to_neutron(of, alcor) == {"id": "p", "one": "1", "other": "2"}


def test_an_unknown_resource_is_named():
    with pytest.raises(UnknownResource, match="gadgets"):
        resource("gadgets")


def test_everything_is_loaded_after_what_it_refers_to():
    names = [of.name for of in load_order()]
    assert sorted(names) == sorted(of.name for of in RESOURCES)
    for of in RESOURCES:
        for reference in of.references:
            if reference.resource != of.name:
                assert names.index(reference.resource) < names.index(of.name)
    assert list(delete_order()) == list(reversed(load_order()))


def test_names_are_unambiguous_in_both_apis():
    for of in RESOURCES:
        for place in (lambda f: f.neutron, lambda f: f.alcor):
            named = [place(f) for f in of.fields if place(f)]
            assert len(named) == len(set(named)), of.name

"""Neutron → Alcor → Neutron is the identity, and what is malformed is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcor_model import EXTENSION, RESOURCES, delete_order, load_order, resource, to_alcor, to_neutron
from alcor_model.errors import MalformedObject, UnknownResource
from alcor_model.fields import Kind

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
addresses = st.ip_addresses().map(str)
BY_TYPE = {
    str: st.text(max_size=30),
    bool: st.booleans(),
    int: st.integers(0, 2**31),
    list: st.lists(json_values, max_size=3),
    dict: st.dictionaries(st.text(max_size=8), json_values, max_size=3),
    type(None): st.none(),
}


@st.composite
def objects(draw, of):
    """An object as Neutron's API could answer it, with some fields missing and some that nobody declared."""
    made = {"id": str(draw(st.uuids()))}
    for field in of.fields:
        if field.neutron == "id" or field.kind is Kind.DERIVED:
            continue
        required = field.types and type(None) not in field.types
        if not required and draw(st.booleans()):
            continue
        if field.neutron == "floating_ip_address":
            made[field.neutron] = draw(addresses)
        elif field.neutron in {"port_id", "fixed_ip_address"} and of.name == "floatingip":
            made[field.neutron] = draw(st.none() | st.text(min_size=1, max_size=30))
        elif field.types:
            made[field.neutron] = draw(st.one_of([BY_TYPE[t] for t in field.types]))
        else:
            made[field.neutron] = draw(json_values)
    made.update(draw(st.dictionaries(st.text("xyz:_", min_size=5, max_size=9), json_values, max_size=2)))
    return made


@pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)
@given(data=st.data())
def test_there_and_back_is_the_identity(of, data):
    neutron = data.draw(objects(of))
    assert to_neutron(of, to_alcor(of, neutron)) == neutron


def test_derived_fields_are_left_out_and_unknown_ones_carried():
    of = resource("networks")
    alcor = to_alcor(of, {"id": "n1", "subnets": ["s1"], "from_a_plugin": 7, "qos_policy_id": None})
    assert "subnets" not in alcor
    assert alcor[EXTENSION] == {"from_a_plugin": 7, "qos_policy_id": None}


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
    ("broken", "field"),
    [
        ({}, "id"),
        ({"id": 7}, "id"),
        ({"id": ""}, "id"),
        ({"id": "p", "mac_address": "m"}, "network_id"),
        ({"id": "p", "network_id": "n", "mac_address": "m", "fixed_ips": {}}, "fixed_ips"),
        ({"id": "p", "network_id": "n", "mac_address": "m", "admin_state_up": "yes"}, "admin_state_up"),
        ("a text", "(object)"),
    ],
)
def test_malformed_objects_are_named(broken, field):
    with pytest.raises(MalformedObject) as caught:
        to_alcor(resource("port"), broken)
    assert caught.value.field == field
    assert "port" in caught.value.message
    assert caught.value.next_step


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

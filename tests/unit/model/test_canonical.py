"""Two answers that mean the same have one canonical form."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcor_model import RESOURCES, canonical, differences, digest, resource
from alcor_model.canonical import Difference, left_out
from alcor_model.errors import MalformedObject
from alcor_model.fields import Shape

PORT, ROUTER = resource("port"), resource("router")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.ip_addresses().map(str),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ip_address", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)
BASE = {
    "id": "p",
    "network_id": "n",
    "mac_address": "fa:16:3e:00:00:0a",
    "fixed_ips": [
        {"subnet_id": "a", "ip_address": "10.0.0.1"},
        {"subnet_id": "b", "ip_address": "2001:db8::1"},
    ],
    "security_groups": ["g1", "g2", "g3"],
    "extra_dhcp_opts": [{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}],
    "tags": ["x", "y"],
}


@given(st.integers())
def test_the_order_of_sets_means_nothing(seed):
    shuffled = {k: random.Random(seed).sample(v, len(v)) if isinstance(v, list) else v for k, v in BASE.items()}
    assert canonical(PORT, shuffled) == canonical(PORT, BASE)
    assert digest(PORT, shuffled) == digest(PORT, BASE)


def test_the_order_of_a_gateways_addresses_means_nothing():
    """They are rows of the gateway port, which Neutron reads in whatever order its database gives them."""
    four, six = {"subnet_id": "a", "ip_address": "203.0.113.9"}, {"subnet_id": "b", "ip_address": "2001:db8::9"}
    gateway = {"network_id": "ext", "enable_snat": True, "external_fixed_ips": [four, six]}
    other = gateway | {"external_fixed_ips": [six | {"ip_address": "2001:0db8::9"}, four]}
    ours = {"external_gateway_info": gateway, "external_gateways": [gateway, {"network_id": "n2"}]}
    theirs = {"external_gateway_info": other, "external_gateways": [{"network_id": "n2"}, other]}
    assert not differences(ROUTER, ours, theirs)
    moved = gateway | {"external_fixed_ips": [four]}
    assert [d.field for d in differences(ROUTER, ours, theirs | {"external_gateway_info": moved})] == [
        "external_gateway_info"
    ]


def test_addresses_have_one_spelling():
    other = BASE | {
        "mac_address": "FA-16-3E-00-00-0A",
        "fixed_ips": [
            {"ip_address": "2001:0DB8:0:0::1", "subnet_id": "b"},
            {"ip_address": "10.0.0.1", "subnet_id": "a"},
        ],
    }
    assert not differences(PORT, BASE, other)


def test_not_set_is_one_thing():
    assert digest(PORT, BASE | {"name": "", "binding:profile": {}, "qos_policy_id": None}) == digest(PORT, BASE)


@given(st.sampled_from(["", None, [], {}]), st.sampled_from(["name", "tags", "fixed_ips", "from_a_plugin"]))
def test_not_set_is_one_thing_in_every_field(unset, name):
    assert digest(PORT, BASE | {name: unset}) == digest(PORT, {k: v for k, v in BASE.items() if k != name})


def test_what_holds_nothing_is_not_set_either():
    assert digest(PORT, BASE | {"binding:profile": {"local_link_information": [], "a": {"b": None}}}) == digest(
        PORT, BASE
    )
    assert digest(PORT, BASE | {"binding:profile": {"trusted": False}}) != digest(PORT, BASE)


def test_false_and_zero_are_values():
    assert digest(PORT, BASE | {"admin_state_up": False}) != digest(PORT, BASE)
    assert digest(PORT, BASE | {"revision_number": 0}) != digest(PORT, BASE)


def test_the_order_of_name_servers_is_a_value():
    subnet = {"id": "s", "network_id": "n", "cidr": "10.0.0.0/24", "ip_version": 4}
    of = resource("subnet")
    assert digest(of, subnet | {"dns_nameservers": ["1.1.1.1", "9.9.9.9"]}) != digest(
        of, subnet | {"dns_nameservers": ["9.9.9.9", "1.1.1.1"]}
    )


def test_derived_fields_are_not_compared():
    of = resource("network")
    assert not differences(of, {"id": "n", "subnets": ["a"]}, {"id": "n", "subnets": ["b"]})


def test_a_difference_names_its_field_and_both_values():
    (found,) = differences(PORT, BASE, BASE | {"name": "café"})
    assert (found.field, found.ours, found.theirs) == ("name", None, "café")
    assert "name" in str(found)
    assert str(found) == "name: not set ≠ 'café'"


def test_a_difference_of_lists_and_objects_tells_only_what_differs():
    subnet = resource("subnet")
    (servers,) = differences(subnet, {"dns_nameservers": ["1", "2", "2"]}, {"dns_nameservers": ["2", "3"]})
    assert str(servers) == "dns_nameservers: only ours: '1', '2', only theirs: '3'"
    (order,) = differences(subnet, {"dns_nameservers": ["1", "2"]}, {"dns_nameservers": ["2", "1"]})
    assert str(order).endswith("(in another order)")
    (nested,) = differences(
        PORT, {"binding:profile": {"a": {"b": 1}, "c": 1}}, {"binding:profile": {"a": {"b": 2}, "c": 1}}
    )
    assert str(nested) == "binding:profile: a: b: 1 ≠ 2"
    long = Difference("name", "x" * 65536, None)
    assert len(str(long)) < 300


def test_times_have_one_spelling():
    times = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00", "2026-01-01 00:00:00.000000")
    assert len({digest(PORT, BASE | {"created_at": time}) for time in times}) == 1
    assert len({digest(PORT, BASE | {"name": time}) for time in times}) == 3


def test_a_time_is_declared_as_one():
    for of in RESOURCES:
        for field in of.fields:
            if field.neutron.endswith(("created_at", "updated_at")):
                assert field.shape is Shape.TIME, f"{of.name}.{field.neutron}"


def test_an_ipv4_address_written_as_ipv6_is_that_address():
    other = [{"subnet_id": "a", "ip_address": "::ffff:10.0.0.1"}, BASE["fixed_ips"][1]]
    assert not differences(PORT, BASE, BASE | {"fixed_ips": other})


def test_a_number_is_not_a_truth():
    assert digest(PORT, BASE | {"x": True}) != digest(PORT, BASE | {"x": 1})
    assert differences(PORT, BASE | {"x": True}, BASE | {"x": 1})


def test_what_is_left_out_has_a_reason():
    for of in RESOURCES:
        for name, reason in left_out(of).items():
            assert reason, f"{of.name}.{name}"
            assert not differences(of, {name: "a"}, {name: "b"})


@given(
    st.sampled_from(RESOURCES),
    st.dictionaries(st.text(max_size=9), json_values, max_size=4),
    st.booleans(),
    st.data(),
)
def test_any_object_has_a_canonical_form_that_is_its_own(of, found, given_, data):
    declared = data.draw(st.sampled_from(of.fields)).neutron
    found[declared] = data.draw(json_values)
    form = canonical(of, found, given=given_)
    assert canonical(of, form, given=given_) == form
    assert digest(of, form, given=given_) == digest(of, found, given=given_)
    assert not differences(of, found, form, given=given_)


@pytest.mark.parametrize("form", [canonical, digest])
def test_what_has_no_form_is_malformed(form):
    endless = []
    for _ in range(3000):
        endless = [endless]
    with pytest.raises(MalformedObject, match=r"port p: field 'binding:profile' has no form"):
        form(PORT, BASE | {"binding:profile": {"a": endless}})
    with pytest.raises(MalformedObject, match=r"port p: field 'tags' has no form"):
        form(PORT, BASE | {"tags": ["half a \ud800", "pair"]})
    with pytest.raises(MalformedObject, match=r"port p: field '\(object\)' has no form"):
        digest(PORT, BASE | {"name": "half a \ud800"})

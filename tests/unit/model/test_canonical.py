"""Two answers that mean the same have one canonical form."""

import random

from hypothesis import given
from hypothesis import strategies as st

from alcor_model import canonical, differences, digest, resource

PORT = resource("port")
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

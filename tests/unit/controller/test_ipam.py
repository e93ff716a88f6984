from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcor_sdn.controller.services import ipam


@st.composite
def prefixes(draw):
    if draw(st.booleans()):
        return str(
            ipaddress.ip_network((draw(st.integers(2**24, 2**32 - 2**24)), draw(st.integers(8, 32))), strict=False)
        )
    return str(ipaddress.ip_network((draw(st.integers(2**120, 2**127)), draw(st.integers(48, 128))), strict=False))


@given(prefixes(), st.data())
def test_default_pools_hold_every_host_but_the_gateway(cidr, data):
    network = ipaddress.ip_network(cidr)
    first, last = ipam.usable(network)
    number = data.draw(st.integers(first, last) | st.none())
    gateway = None if number is None else str(type(network.network_address)(number))
    pools = ipam.ranges(ipam.default_pools(cidr, gateway))
    assert sum(end - start + 1 for start, end in pools) == last - first + 1 - (gateway is not None)
    for start, end in pools:
        assert first <= start <= end <= last
        assert number is None or not start <= number <= end


# RFC 4291, appendix A
@pytest.mark.parametrize(
    ("mac", "address"),
    [("fa:16:3e:00:00:01", "fd00::f816:3eff:fe00:1"), ("34:56:78:9a:bc:de", "fd00::3656:78ff:fe9a:bcde")],
)
def test_addresses_made_from_macs(mac, address):
    assert ipam.eui64("fd00::/64", mac) == address


@pytest.mark.parametrize(
    ("cidr", "address", "owner", "good"),
    [
        ("10.0.0.0/24", "10.0.0.1", "", True),
        ("10.0.0.0/24", "10.0.0.0", "", False),
        ("10.0.0.0/24", "10.0.0.255", "", False),
        ("10.0.0.0/24", "10.0.1.1", "", False),
        ("fd00::/64", "fd00::", "", True),
        ("fd00::/64", "fd00::", "compute:nova", False),
        ("fd00::/64", "fd00::", "network:router_interface", True),
        ("10.0.0.0/24", "fd00::1", "", False),
    ],
)
def test_addresses_that_ports_can_have(cidr, address, owner, good):
    assert ipam.host_of(cidr, address, owner) is good

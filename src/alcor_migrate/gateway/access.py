"""What is told about a single request: which resource it is about, and its line in the access log."""

from __future__ import annotations

import re

# The collections of the Neutron API v2.0 and its extensions (api-ref), as they stand in a path. Only these become
# labels: a client must not be able to make up new ones.
COLLECTIONS = {
    name: name.decode()
    for name in b"""
    address-groups address-scopes agents auto-allocated-topology availability_zones bgp-peers bgp-speakers
    bgpvpn default-security-group-rules extensions flavors floatingip_pools floatingips fwaas local_ips log
    metering ndp_proxies network-ip-availabilities network_segment_ranges networks ports qos quotas
    rbac-policies routers security-group-rules security-groups segments service-providers service_profiles sfc
    subnetpools subnets taas trunks vpn
    """.split()
}
_FIRST = re.compile(rb"/v2\.0/([a-z_-]+)")
_SECRET = re.compile(
    r"((?:^|[?&])[^=&]*(?:token|pass|secret|key|auth|credential|signature)[^=&]*=)[^&]*", re.IGNORECASE
)


def resource_of(target: bytes) -> str:
    """The collection that a request is about, or `other`."""
    found = _FIRST.match(target)
    return COLLECTIONS.get(found[1], "other") if found is not None else "other"


def without_secrets(target: bytes) -> str:
    """The target as it may be logged: values in the query that look secret are left out."""
    path, mark, query = target.decode("latin-1").partition("?")
    return path + mark + _SECRET.sub(r"\1***", query)

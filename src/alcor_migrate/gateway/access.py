"""What is told about a single request: its resource, its place in the figures, its line in the access log."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from alcor_migrate.gateway.stats import BOUNDS

if TYPE_CHECKING:
    from alcor_migrate.gateway.stats import Stats

# The collections of the Neutron API v2.0 and its extensions (api-ref), as they stand in a path. Only these become
# labels: a client must not be able to make up new ones.
COLLECTIONS: Final = {
    name: name.decode()
    for name in b"""
    address-groups address-scopes agents auto-allocated-topology availability_zones bgp-peers bgp-speakers
    bgpvpn default-security-group-rules extensions flavors floatingip_pools floatingips fwaas local_ips log
    metering ndp_proxies network-ip-availabilities network_segment_ranges networks ports qos quotas
    rbac-policies routers security-group-rules security-groups segments service-providers service_profiles sfc
    subnetpools subnets taas trunks vpn
    """.split()
}
_METHODS: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
_FIRST: Final = re.compile(rb"/v2\.0/([a-z_-]+)").match
_BOUNDS: Final = BOUNDS
_SECRET = re.compile(
    r"((?:^|[?&])[^=&]*(?:token|pass|secret|key|auth|credential|signature)[^=&]*=)[^&]*", re.IGNORECASE
)


def resource_of(target: bytes) -> str:
    """The collection that a request is about, or `other`."""
    found = _FIRST(target)
    return COLLECTIONS.get(found[1], "other") if found is not None else "other"


def count(stats: Stats, route: str, method: bytes, resource: str, status: int, seconds: float) -> None:
    """Counts one request."""
    # a client must not be able to make up new keys
    key = (route, method if method in _METHODS else b"other", resource, status)
    counted = stats.counted
    counted[key] = counted.get(key, 0) + 1
    bucket = 0
    while bucket < len(_BOUNDS) and seconds > _BOUNDS[bucket]:
        bucket += 1
    stats.latency[bucket] += 1
    stats.latency_total += seconds


def without_secrets(target: bytes) -> str:
    """The target as it may be logged: values in the query that look secret are left out."""
    path, mark, query = target.decode("latin-1").partition("?")
    return path + mark + _SECRET.sub(r"\1***", query)

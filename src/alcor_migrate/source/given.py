"""What Neutron can be told of the resources that come back to it, and how: derived from the declarations.

A field is given unless Neutron computes or derives it. The exceptions are those of Neutron's own definitions
(`allow_post`, `allow_put`; neutron-lib of release 29), with which a test compares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.side import COMES_BACK
from alcor_model import Resource, resource

if TYPE_CHECKING:
    from alcor_model.fields import Json

IDENTITY = frozenset({"id", "project_id", "created_at"})
_ELSEWHERE = {"tenant_id", "tags", "routes"}
"""Said already by `project_id`, or by requests of their own."""
AFTERWARDS = {"port": frozenset({"data_plane_status"}), "subnet": frozenset({"leak_routes"})}
"""What Neutron takes on PUT only (no `allow_post`)."""
_FIXED = {
    "network": {"availability_zone_hints", "qinq", "vlan_transparent"},
    "subnet": {"cidr", "ip_version", "ipv6_address_mode", "ipv6_ra_mode", "network_id", "subnetpool_id"},
    "router": {"availability_zone_hints", "evpn_vni", "flavor_id"},
    "port": {"device_profile", "hardware_offload_type", "network_id"},
    "floatingip": {"distributed", "dns_domain", "dns_name", "floating_ip_address", "floating_network_id"},
}
"""What Neutron takes on POST only (no `allow_put`), beside the identity. A rule cannot be changed at all."""

_NULL_ON_POST = {"gateway_ip"}
_NULL_ON_PUT = {
    "fixed_ip_address",
    "gateway_ip",
    "hints",
    "numa_affinity_policy",
    "port_id",
    "qos_policy_id",
    "segment_id",
}
_NEVER_EMPTIED = {"allocation_pools", "data_plane_status"}
"""Without pools a subnet has no addresses to give: a null here is something that Alcor does not know. A null for the
other one Neutron 29 answers with 500."""
_SENT_WHEN_EMPTY = {
    *("admin_state_up", "dns_domain", "dns_name", "dns_publish_fixed_ip", "enable_dhcp", "is_default", "shared"),
    *("port_security_enabled", "propagate_uplink_status", "router:external", "stateful", "device_id", "device_owner"),
    *("name", "description", "allowed_address_pairs", "allocation_pools", "dns_nameservers", "extra_dhcp_opts"),
    *("fixed_ips", "host_routes", "security_groups", "service_types", "port_range_min", "port_range_max"),
    *("ha", "distributed", "provider:segmentation_id", "mtu"),
}
"""Where empty or false is a value, and not what Neutron does by itself."""


def creation(of: Resource, new: Json) -> Json:
    """The values of a POST that makes this object; what is unset is left to Neutron."""
    names = IDENTITY | ON_POST[of.name]
    body = {
        name: value
        for name, value in new.items()
        if name in names
        and (value is not None or name in _NULL_ON_POST)
        and (value or name in _NULL_ON_POST or name in _SENT_WHEN_EMPTY)
    }
    if of.name == "floatingip":
        body = {name: value for name, value in body.items() if value != ""}
    return body


def settable(of: Resource, values: Json) -> Json:
    """The values as a PUT takes them: Neutron refuses most nulls, fails at some, and has empty values instead."""
    body: Json = {}
    for name, value in values.items():
        field = of.field(name)
        types = field.types if field else ()
        if name in _NEVER_EMPTIED and not value:
            continue
        if value is not None or name in _NULL_ON_PUT or name == "external_gateway_info":
            body[name] = value
        elif str in types:
            body[name] = ""
        elif list in types:
            body[name] = []
        elif dict in types:
            body[name] = {}
    return body


def _given(of: Resource) -> frozenset[str]:
    return frozenset(f.neutron for f in of.fields if f.compared and not f.computed) - _ELSEWHERE - IDENTITY


def _on_put(of: Resource) -> frozenset[str]:
    return frozenset() if of.name == "security_group_rule" else _given(of) - _FIXED.get(of.name, set())


_RESOURCES = [resource(name) for name in sorted(COMES_BACK)]
ON_POST = {of.name: _given(of) - AFTERWARDS.get(of.name, frozenset()) for of in _RESOURCES}
"""By resource: what a creation says beside the identity."""
ON_PUT = {of.name: _on_put(of) for of in _RESOURCES}
"""By resource: what a change says."""

"""One declaration per resource: where it lives in both APIs, what its fields become, what it refers to.

Sources: OpenStack Network API v2.0 reference; Alcor's `web` and manager modules at its last commit.
A field that a declaration does not name is carried in the extension: nothing is dropped in silence.
"""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from alcor_model.errors import UnknownResource
from alcor_model.fields import (
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    Field,
    Json,
    Shape,
    computed,
    converted,
    derived,
    extension,
    renamed,
    same,
)

EXTENSION = "neutron:attributes"
"""The namespaced key of an Alcor object that keeps what Alcor's model has no place for."""


class Reference(msgspec.Struct, frozen=True):
    """A field (dotted; a list is walked) that holds the id of another resource."""

    path: str
    resource: str


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """How one resource is called in both APIs, and how its fields map."""

    name: str
    """Singular, as in Neutron's member key: `security_group_rule`."""
    collection: str
    """The path segment in Neutron's API: `security-group-rules`."""
    plural: str
    """The key of a list in Neutron's API: `security_group_rules`."""
    alcor_collection: str
    """The path segment in Alcor's native API: `vpcs`."""
    alcor_member: str
    """The key of one object in Alcor's native API: `network`."""
    alcor_plural: str
    """The key of a list in Alcor's native API: `vpcs`."""
    fields: tuple[Field, ...]
    references: tuple[Reference, ...] = ()
    parents: tuple[Reference, ...] = ()
    """Objects that Neutron changes (revision_number, updated_at) together with one of these."""

    def field(self, neutron_name: str) -> Field | None:
        """The declaration of a field, or None when it is not declared."""
        return next((f for f in self.fields if f.neutron == neutron_name), None)


def _routes_to_table(routes: Any) -> Any:
    if routes is None:
        return None
    return {"route_table_type": "neutron_router", "routes": list(routes)}


def _table_to_routes(table: Any) -> Any:
    return None if table is None else list(table["routes"])


def _none_to_text(value: Any) -> Any:
    return "" if value is None else value


def _text_to_none(value: Any) -> Any:
    return None if value == "" else value


_OWNER = (same("id", (str,)), same("project_id"), same("tenant_id"))
_NAMED = (*_OWNER, same("name"), same("description"))
_REVISION = computed(same("revision_number", NUMBER))
_TIMES = (computed(same("created_at")), computed(same("updated_at")))
_TAGS = same("tags", LIST, Shape.SET)

NETWORK = Resource(
    name="network",
    collection="networks",
    plural="networks",
    alcor_collection="vpcs",
    alcor_member="network",
    alcor_plural="vpcs",
    fields=(
        *_NAMED,
        same("admin_state_up", FLAG),
        computed(same("status")),
        same("mtu", NUMBER),
        same("shared", FLAG),
        same("is_default", FLAG),
        computed(same("vlan_transparent", FLAG)),
        same("port_security_enabled", FLAG),
        same("router:external", FLAG),
        same("provider:network_type"),
        same("provider:physical_network"),
        same("provider:segmentation_id", NUMBER),
        same("segments", LIST),
        same("dns_domain"),
        same("availability_zone_hints", LIST, Shape.SET),
        computed(extension("availability_zones", LIST, Shape.SET)),
        extension("qos_policy_id"),
        computed(extension("ipv4_address_scope")),
        computed(extension("ipv6_address_scope")),
        computed(extension("l2_adjacency", FLAG)),
        _TAGS,
        _REVISION,
        *_TIMES,
        derived("subnets", "the subnets of the network say it themselves (network_id)"),
    ),
)

SUBNET = Resource(
    name="subnet",
    collection="subnets",
    plural="subnets",
    alcor_collection="subnets",
    alcor_member="subnet",
    alcor_plural="subnets",
    fields=(
        *_NAMED,
        same("network_id", (str,)),
        same("cidr", (str,), Shape.ADDRESS),
        same("ip_version", (int,)),
        same("gateway_ip", shape=Shape.ADDRESS),
        same("allocation_pools", LIST, Shape.SET),
        same("enable_dhcp", FLAG),
        same("dns_nameservers", LIST),
        same("host_routes", LIST, Shape.SET),
        same("ipv6_address_mode"),
        same("ipv6_ra_mode"),
        same("segment_id"),
        same("service_types", LIST, Shape.SET),
        same("subnetpool_id"),
        same("dns_publish_fixed_ip", FLAG),
        computed(extension("router:external", FLAG)),
        _TAGS,
        _REVISION,
        *_TIMES,
    ),
    references=(Reference("network_id", "network"),),
    parents=(Reference("network_id", "network"),),
)

SECURITY_GROUP = Resource(
    name="security_group",
    collection="security-groups",
    plural="security_groups",
    alcor_collection="security-groups",
    alcor_member="security_group",
    alcor_plural="security_groups",
    fields=(
        *_NAMED,
        computed(renamed("created_at", "create_at")),
        computed(renamed("updated_at", "update_at")),
        extension("stateful", FLAG),
        computed(extension("shared", FLAG)),
        computed(extension("revision_number", NUMBER)),
        extension("tags", LIST, Shape.SET),
        derived("security_group_rules", "the rules are objects of their own (security_group_id)"),
    ),
)

SECURITY_GROUP_RULE = Resource(
    name="security_group_rule",
    collection="security-group-rules",
    plural="security_group_rules",
    alcor_collection="security-group-rules",
    alcor_member="security_group_rule",
    alcor_plural="security_group_rules",
    fields=(
        *_OWNER,
        same("description"),
        same("security_group_id", (str,)),
        same("direction", (str,)),
        same("ethertype"),
        same("protocol"),
        same("port_range_min", NUMBER),
        same("port_range_max", NUMBER),
        same("remote_ip_prefix", shape=Shape.ADDRESS),
        same("remote_group_id"),
        extension("remote_address_group_id"),
        computed(extension("normalized_cidr", shape=Shape.ADDRESS)),
        computed(extension("belongs_to_default_sg", FLAG)),
        computed(extension("revision_number", NUMBER)),
        computed(extension("created_at")),
        computed(extension("updated_at")),
    ),
    references=(
        Reference("security_group_id", "security_group"),
        Reference("remote_group_id", "security_group"),
    ),
    parents=(Reference("security_group_id", "security_group"),),
)

ROUTER = Resource(
    name="router",
    collection="routers",
    plural="routers",
    alcor_collection="routers",
    alcor_member="router",
    alcor_plural="routers",
    fields=(
        *_NAMED,
        same("admin_state_up", FLAG),
        computed(same("status")),
        same("external_gateway_info", OBJECT),
        converted("routes", "routetable", _routes_to_table, _table_to_routes, LIST, Shape.SET),
        same("distributed", FLAG),
        same("ha", FLAG),
        same("flavor_id"),
        computed(same("service_type_id")),
        same("availability_zone_hints", LIST, Shape.SET),
        computed(same("availability_zones", LIST, Shape.SET)),
        computed(extension("external_gateways", LIST, Shape.SET)),
        extension("enable_ndp_proxy", FLAG),
        computed(extension("conntrack_helpers", LIST, Shape.SET)),
        _TAGS,
        _REVISION,
        computed(extension("created_at")),
        computed(extension("updated_at")),
    ),
    references=(Reference("external_gateway_info.network_id", "network"),),
)

PORT = Resource(
    name="port",
    collection="ports",
    plural="ports",
    alcor_collection="ports",
    alcor_member="port",
    alcor_plural="ports",
    fields=(
        *_NAMED,
        same("network_id", (str,)),
        same("mac_address", (str,), Shape.MAC),
        same("fixed_ips", LIST, Shape.ADDRESS_SET),
        same("admin_state_up", FLAG),
        computed(same("status")),
        same("device_id"),
        same("device_owner"),
        same("binding:host_id"),
        same("binding:vnic_type"),
        computed(same("binding:vif_type")),
        computed(same("binding:vif_details", OBJECT)),
        same("binding:profile", OBJECT),
        same("allowed_address_pairs", LIST, Shape.ADDRESS_SET),
        same("extra_dhcp_opts", LIST, Shape.SET),
        same("port_security_enabled", FLAG),
        same("security_groups", LIST, Shape.SET),
        same("dns_name"),
        same("dns_domain"),
        computed(extension("dns_assignment", LIST, Shape.SET)),
        same("qos_policy_id"),
        computed(same("qos_network_policy_id")),
        computed(same("ip_allocation")),
        computed(same("resource_request", OBJECT)),
        renamed("propagate_uplink_status", "uplink_status_propagation", FLAG),
        _TAGS,
        _REVISION,
        computed(renamed("created_at", "create_at")),
        computed(renamed("updated_at", "update_at")),
        extension("data_plane_status"),
        extension("numa_affinity_policy"),
        extension("device_profile"),
        extension("hints"),
        extension("trusted"),
        extension("hardware_offload_type"),
        derived("trunk_details", "the trunk names its parent and subports itself"),
    ),
    references=(
        Reference("network_id", "network"),
        Reference("fixed_ips.subnet_id", "subnet"),
        Reference("security_groups", "security_group"),
    ),
)

FLOATING_IP = Resource(
    name="floatingip",
    collection="floatingips",
    plural="floatingips",
    alcor_collection="elasticips",
    alcor_member="elasticip",
    alcor_plural="elasticips",
    fields=(
        *_OWNER,
        same("description"),
        renamed("floating_ip_address", "elastic_ip", shape=Shape.ADDRESS),
        converted("fixed_ip_address", "private_ip", _none_to_text, _text_to_none, shape=Shape.ADDRESS),
        converted("port_id", "port_id", _none_to_text, _text_to_none),
        same("dns_name"),
        same("dns_domain"),
        extension("floating_network_id", (str,)),
        computed(extension("router_id")),
        computed(extension("status")),
        extension("qos_policy_id"),
        computed(extension("qos_network_policy_id")),
        extension("tags", LIST, Shape.SET),
        computed(extension("revision_number", NUMBER)),
        computed(extension("created_at")),
        computed(extension("updated_at")),
        derived("port_details", "read from the port that port_id names"),
        derived("port_forwardings", "the port forwardings are objects of their own"),
    ),
    references=(
        Reference("floating_network_id", "network"),
        Reference("port_id", "port"),
        Reference("router_id", "router"),
    ),
)

RESOURCES: tuple[Resource, ...] = (
    NETWORK,
    SUBNET,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    ROUTER,
    PORT,
    FLOATING_IP,
)
"""Every declared resource; `order.load_order` says in which order they are loaded."""

_BY_NAME = {name: r for r in RESOURCES for name in (r.name, r.collection, r.plural)}


def resource(name: str) -> Resource:
    """The declaration for a name, a Neutron path segment or a Neutron list key.

    Raises UnknownResource.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownResource(name) from None


def alcor_constants(of: Resource, neutron: Json) -> Json:
    """Fields of Alcor's form that follow from others and have no counterpart in Neutron's."""
    if of is FLOATING_IP and neutron.get("floating_ip_address"):
        address = ipaddress.ip_address(neutron["floating_ip_address"])
        return {"elastic_ip_version": address.version, "state": "activated"}
    if of is ROUTER:
        return {"owner": neutron["id"]}
    return {}

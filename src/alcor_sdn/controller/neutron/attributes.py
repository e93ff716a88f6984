"""The attributes of each resource of the Neutron API: who may write them, their defaults and their rules.

One table per resource; `of_create` and `of_update` turn a request's body into values by it. Source: Network
API v2.0 reference and the answers of Neutron 29 with its usual extensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from alcor_sdn.controller.neutron import values as v
from alcor_sdn.controller.neutron.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_model.fields import Json


class _Marker:
    """A value that says that there is none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name

    def __bool__(self) -> bool:
        return False


REQUIRED = _Marker("REQUIRED")
"""The default of an attribute that a creation must name."""
UNSET = _Marker("UNSET")
"""The value of an attribute that the caller leaves to the controller."""


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One attribute: `create` and `update` say whether a body may name it."""

    name: str
    create: bool = False
    update: bool = False
    default: Any = REQUIRED
    convert: Callable[[Any], Any] | None = None
    check: Callable[[Any], str | None] | None = None
    filter: bool = False
    filter_convert: Callable[[Any], Any] | None = None
    sort: bool = False
    visible: bool = True


def _a(name: str, flags: str, default: Any = REQUIRED, **more: Any) -> Attribute:
    """An attribute; flags: c(reate), u(pdate), f(ilter), s(ort key), h(idden)."""
    return Attribute(
        name=name,
        create="c" in flags,
        update="u" in flags,
        filter="f" in flags,
        sort="s" in flags,
        visible="h" not in flags,
        default=default,
        **more,
    )


def _flag(name: str, flags: str, default: Any) -> Attribute:
    return _a(name, flags, default, convert=v.boolean, filter_convert=v.boolean)


_ID = _a("id", "fs")
_PROJECT = (_a("tenant_id", "cfs", check=v.text(255)), _a("project_id", "cfs", UNSET, check=v.text(255)))
_NAME = _a("name", "cufs", "", check=v.text(255))
_DESCRIPTION = _a("description", "cuf", "", check=v.text(255))
_STAMPS = (_a("revision_number", "f"), _a("created_at", ""), _a("updated_at", ""))
_TAG_FILTERS = tuple(_a(name, "fh") for name in ("tags-any", "not-tags", "not-tags-any"))
_TAGS = (_a("tags", "f"), *_TAG_FILTERS)
_QOS = _a("qos_policy_id", "cu", None, check=v.or_none(v.identifier))
_IPV6_MODES = ["dhcpv6-stateful", "dhcpv6-stateless", "slaac", None]

NETWORK = (
    _ID,
    _NAME,
    _a("subnets", ""),
    _flag("admin_state_up", "cufs", default=True),
    _a("status", "fs"),
    *_PROJECT,
    _flag("shared", "cuf", default=False),
    _a("ipv4_address_scope", ""),
    _a("ipv6_address_scope", ""),
    _flag("router:external", "cuf", default=False),
    _a("l2_adjacency", ""),
    _a("segments", "cu", UNSET, check=v.network_segments),
    _a("mtu", "cufs", 0, convert=v.integer, check=v.not_negative, filter_convert=v.integer),
    _a("availability_zones", ""),
    _a("availability_zone_hints", "cs", [], check=v.zone_hints),
    _flag("ha", "ch", default=False),
    _a("port_security_enabled", "cu", default=True, convert=v.boolean),
    _a("provider:network_type", "cuf", UNSET, check=v.text(32)),
    _a("provider:physical_network", "cuf", UNSET, check=v.text(64)),
    _a("provider:segmentation_id", "cuf", UNSET, convert=v.integer, filter_convert=v.integer),
    _QOS,
    _flag("is_default", "cuf", default=False),
    _a("dns_domain", "cu", "", convert=v.lower_case, check=v.dns_domain),
    _DESCRIPTION,
    *_STAMPS,
    *_TAGS,
)

SUBNET = (
    _ID,
    _NAME,
    _a("ip_version", "cfs", convert=v.integer, check=v.one_of([4, 6]), filter_convert=v.integer),
    _a("network_id", "cfs", check=v.identifier),
    _a("subnetpool_id", "cfs", UNSET, check=v.or_none(v.identifier)),
    _a("prefixlen", "ch", UNSET, convert=v.integer, check=v.not_negative),
    _a("cidr", "cfs", UNSET, convert=v.cidr_form, check=v.or_none(v.subnet)),
    _a("gateway_ip", "cufs", UNSET, convert=v.ip_form, check=v.or_none(v.ip)),
    _a("allocation_pools", "cu", UNSET, convert=v.pools_form, check=v.pools),
    _a("dns_nameservers", "cu", UNSET, convert=v.empty_list, check=v.nameservers),
    _a("host_routes", "cu", UNSET, convert=v.empty_list, check=v.routes),
    *_PROJECT,
    _flag("enable_dhcp", "cufs", default=True),
    _a("ipv6_ra_mode", "cfs", UNSET, check=v.one_of(_IPV6_MODES)),
    _a("ipv6_address_mode", "cfs", UNSET, check=v.one_of(_IPV6_MODES)),
    _a("shared", "fh", filter_convert=v.boolean),
    _a("router:external", "f", filter_convert=v.boolean),
    _a("service_types", "cu", UNSET, check=v.service_types),
    _flag("use_default_subnetpool", "ch", default=False),
    _flag("dns_publish_fixed_ip", "cu", default=False),
    _DESCRIPTION,
    _a("segment_id", "cufs", None, check=v.or_none(v.identifier)),
    *_STAMPS,
    *_TAGS,
)

_VNIC_TYPES = [
    "normal",
    "direct",
    "macvtap",
    "baremetal",
    "direct-physical",
    "virtio-forwarder",
    "smart-nic",
    "vdpa",
    "accelerator-direct",
    "accelerator-direct-physical",
    "remote-managed",
]

PORT = (
    _ID,
    _NAME,
    _a("network_id", "cfs", check=v.identifier),
    _flag("admin_state_up", "cufs", default=True),
    _a("mac_address", "cufs", UNSET, check=v.or_none(v.mac)),
    _a("fixed_ips", "cuf", UNSET, check=v.fixed_ips),
    _a("device_id", "cufs", "", check=v.text(255)),
    _a("device_owner", "cufs", "", check=v.text(255)),
    *_PROJECT,
    _a("status", "fs"),
    _a("allowed_address_pairs", "cu", UNSET, convert=v.empty_list, check=v.address_pairs),
    _a("data_plane_status", "u", None, check=v.one_of([None, "ACTIVE", "DOWN"])),
    _a("extra_dhcp_opts", "cu", None, check=v.dhcp_options),
    _a("ip_allocation", "fs"),
    _a("device_profile", "c", None, check=v.or_none(v.text(255))),
    _a("hardware_offload_type", "c", UNSET, check=v.one_of(("switchdev",))),
    _a("hints", "cu", None, check=v.mapping_or_none),
    _a(
        "numa_affinity_policy",
        "cu",
        None,
        check=v.one_of(("required", "preferred", "legacy", "socket", None)),
    ),
    _a("resource_request", ""),
    _a("binding:vif_type", ""),
    _a("binding:vif_details", ""),
    _a("binding:vnic_type", "cu", "normal", check=v.one_of(_VNIC_TYPES)),
    _a("binding:host_id", "cuf", UNSET),
    _a("binding:profile", "cu", UNSET, check=v.mapping_or_none),
    _a("port_security_enabled", "cu", UNSET, convert=v.boolean),
    _QOS,
    _a("qos_network_policy_id", ""),
    _a("trunk_details", ""),
    _flag("propagate_uplink_status", "cu", default=True),
    _a("dns_name", "cu", "", convert=v.lower_case, check=v.dns_name),
    _a("dns_assignment", ""),
    _a("dns_domain", "cu", "", convert=v.lower_case, check=v.dns_domain),
    _a("trusted", "cu", UNSET, convert=v.boolean),
    _DESCRIPTION,
    _a("security_groups", "cuf", UNSET, convert=v.empty_list, check=v.identifiers),
    *_STAMPS,
    _a("tags", "cf", [], check=v.unique_texts(255)),
    *_TAG_FILTERS,
)

SECURITY_GROUP = (
    _ID,
    _a("name", "cufs", "", check=v.group_name),
    *_PROJECT,
    _a("security_group_rules", ""),
    _flag("stateful", "cuf", default=True),
    _a("shared", "f", filter_convert=v.boolean),
    _DESCRIPTION,
    *_STAMPS,
    *_TAGS,
)

SECURITY_GROUP_RULE = (
    _ID,
    _a("security_group_id", "cfs", check=v.text(36)),
    _a("remote_group_id", "cfs", None),
    _a("direction", "cfs", check=v.one_of(["ingress", "egress"])),
    _a("protocol", "cfs", None, convert=v.protocol),
    _a("port_range_min", "cfs", None, convert=v.port_number, filter_convert=v.integer),
    _a("port_range_max", "cfs", None, convert=v.port_number, filter_convert=v.integer),
    _a("ethertype", "cfs", "IPv4", convert=v.ethertype),
    _a("remote_ip_prefix", "cfs", None, convert=v.remote_prefix),
    *_PROJECT,
    _a("normalized_cidr", "fs"),
    _a("remote_address_group_id", "cfs", None),
    _a("belongs_to_default_sg", "f", filter_convert=v.boolean),
    _DESCRIPTION,
    *_STAMPS,
)

ROUTER = (
    _ID,
    _NAME,
    _flag("admin_state_up", "cufs", default=True),
    _a("status", "s"),
    *_PROJECT,
    _a("external_gateway_info", "cu", None, check=v.gateway),
    _a("ha", "cu", UNSET, convert=v.boolean_or_none),
    _a("enable_ndp_proxy", "cuf", UNSET, convert=v.boolean_or_none, filter_convert=v.boolean),
    _a("flavor_id", "cs", UNSET),
    _a("availability_zones", ""),
    _a("availability_zone_hints", "c", [], check=v.zone_hints),
    _a("distributed", "cu", UNSET, convert=v.boolean_or_none),
    _a("conntrack_helpers", ""),
    _a("routes", "u", UNSET, convert=v.empty_list, check=v.routes),
    _DESCRIPTION,
    *_STAMPS,
    *_TAGS,
)

FLOATING_IP = (
    _ID,
    _a("floating_ip_address", "cfs", None, check=v.or_none(v.ip)),
    _a("subnet_id", "ch", None, check=v.or_none(v.identifier)),
    _a("floating_network_id", "cfs", check=v.identifier),
    _a("router_id", "cufs", None, check=v.or_none(v.identifier)),
    _a("port_id", "cuf", None, check=v.or_none(v.identifier)),
    _a("fixed_ip_address", "cufs", None, check=v.or_none(v.ip)),
    *_PROJECT,
    _a("status", "fs"),
    _QOS,
    _a("dns_name", "c", "", convert=v.lower_case, check=v.dns_name),
    _a("dns_domain", "c", "", convert=v.lower_case, check=v.dns_domain),
    _a("port_details", ""),
    _a("port_forwardings", ""),
    _DESCRIPTION,
    *_STAMPS,
    *_TAGS,
)

ATTRIBUTES: dict[str, dict[str, Attribute]] = {
    resource: {a.name: a for a in table}
    for resource, table in {
        "network": NETWORK,
        "subnet": SUBNET,
        "port": PORT,
        "security_group": SECURITY_GROUP,
        "security_group_rule": SECURITY_GROUP_RULE,
        "router": ROUTER,
        "floatingip": FLOATING_IP,
    }.items()
}
"""Resource -> attribute name -> its declaration."""


def of_create(resource: str, body: Json, project_id: str, *, admin: bool) -> Json:
    """The values of an object to create: the body's, checked and converted, and the defaults.

    UNSET stands where the controller decides. Raises ApiError.
    """
    given = dict(body)
    _own_project(given, project_id, admin=admin)
    given.setdefault("project_id", project_id)
    given["tenant_id"] = given["project_id"]
    table = ATTRIBUTES[resource]
    _known(table, given)
    for name, attribute in table.items():
        if attribute.create:
            if name not in given and attribute.default is REQUIRED:
                raise bad_request(f"Failed to parse request. Required attribute '{name}' not specified")
        elif name in given:
            raise bad_request(f"Attribute '{name}' not allowed in POST")
    return {
        name: _value(attribute, given[name]) if name in given else _copy(attribute.default)
        for name, attribute in table.items()
        if attribute.create
    }


def of_service(resource: str, neutron: Json) -> Json:
    """The values for a service from an object that need not come from a user: its id too, no rule about who.

    Raises ApiError.
    """
    given = {**neutron, "tenant_id": neutron["project_id"]}
    table = ATTRIBUTES[resource]
    values = {
        name: _value(attribute, given[name]) if given.get(name) is not None else _copy(attribute.default)
        for name, attribute in ((name, _with_any_id(attribute)) for name, attribute in table.items())
        if attribute.create
    }
    missing = [name for name, value in values.items() if value is REQUIRED]
    if missing:
        raise bad_request(f"Failed to parse request. Required attribute '{missing[0]}' not specified")
    return {**values, "id": given.get("id")}


def of_update(resource: str, body: Json, project_id: str, *, admin: bool) -> Json:
    """The changes of an update, checked and converted. Raises ApiError."""
    given = dict(body)
    _own_project(given, project_id, admin=admin)
    table = ATTRIBUTES[resource]
    _known(table, given)
    for name in given:
        if not table[name].update:
            raise bad_request(f"Cannot update read-only attribute {name}")
    return {name: _value(table[name], value) for name, value in given.items()}


def _own_project(given: Json, project_id: str, *, admin: bool) -> None:
    """Make `project_id` and `tenant_id` agree; only administrators may name another project."""
    if "tenant_id" in given and "project_id" not in given:
        given["project_id"] = given["tenant_id"]
    elif "project_id" in given and "tenant_id" not in given:
        given["tenant_id"] = given["project_id"]
    if given.get("project_id") != given.get("tenant_id"):
        raise bad_request("'project_id' and 'tenant_id' do not match")
    if "project_id" in given and given["project_id"] != project_id and not admin:
        raise bad_request(
            "Specifying 'project_id' other than the authenticated project in request is not allowed for the "
            "current user."
        )


def _known(table: dict[str, Attribute], given: Json) -> None:
    unknown = [name for name in given if name not in table]
    if unknown:
        raise bad_request(f"Unrecognized attribute(s) '{', '.join(unknown)}'")


def _value(attribute: Attribute, value: Any) -> Any:
    if attribute.convert is not None:
        value = attribute.convert(value)
    if attribute.check is not None:
        refused = attribute.check(value)
        if refused:
            raise bad_request(f"Invalid input for {attribute.name}. Reason: {refused}.")
    return value


def _with_any_id(attribute: Attribute) -> Attribute:
    """The attribute as Alcor knows it, whose ids are any texts."""
    return msgspec.structs.replace(attribute, check=None) if attribute.check is v.identifier else attribute


def _copy(default: Any) -> Any:
    return list(default) if isinstance(default, list) else default

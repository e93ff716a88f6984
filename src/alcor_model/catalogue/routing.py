"""Routers and what hangs on them: floating IPs, port forwardings, conntrack helpers, NDP proxies, local IPs."""

from __future__ import annotations

import ipaddress
from typing import Any

from alcor_model.catalogue.common import (
    EXTENSION_REVISION,
    EXTENSION_TAGS,
    EXTENSION_TIMES,
    NAMED,
    OWNER,
    REVISION,
    STANDARD,
    TAGS,
    asked,
)
from alcor_model.catalogue.declaration import AlcorField, Nested, Reference, Resource, bundled_only
from alcor_model.fields import (
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    Json,
    Shape,
    computed,
    converted,
    derived,
    extension,
    renamed,
    same,
)


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


def _elastic_ip(neutron: Json) -> Json:
    address = neutron.get("floating_ip_address")
    return {"elastic_ip_version": ipaddress.ip_address(address).version, "state": "activated"} if address else {}


ROUTER = Resource(
    name="router",
    collection="routers",
    plural="routers",
    alcor_collection="routers",
    alcor_member="router",
    alcor_plural="routers",
    alias="router",
    fields=(
        *NAMED,
        same("admin_state_up", FLAG),
        computed(same("status"), "what the agents report"),
        same("external_gateway_info", OBJECT, Shape.GATEWAYS),
        converted("routes", "routetable", _routes_to_table, _table_to_routes, LIST, Shape.SET),
        same("distributed", FLAG),
        same("ha", FLAG),
        same("flavor_id"),
        computed(same("service_type_id"), "the provider that the flavor chose"),
        same("availability_zone_hints", LIST, Shape.SET),
        computed(same("availability_zones", LIST, Shape.SET), "where agents serve it"),
        extension("enable_ndp_proxy", FLAG),
        extension("enable_default_route_bfd", FLAG),
        extension("enable_default_route_ecmp", FLAG),
        extension("evpn_vni", NUMBER),
        TAGS,
        REVISION,
        *EXTENSION_TIMES,
        computed(
            extension("external_gateways", LIST, Shape.GATEWAYS), "all gateways; external_gateway_info is the first"
        ),
        derived("conntrack_helpers", "the helpers are objects of their own (router_id)"),
        derived("enable_snat", "repeats what external_gateway_info says"),
        derived("qos_policy_id", "repeats what external_gateway_info says"),
        derived("qos_network_policy_id", "the external network's policy"),
    ),
    references=(
        Reference("external_gateway_info.network_id", "network"),
        Reference("external_gateway_info.external_fixed_ips.subnet_id", "subnet"),
        Reference("external_gateway_info.qos_policy_id", "policy"),
        Reference("external_gateways.network_id", "network"),
        Reference("external_gateways.external_fixed_ips.subnet_id", "subnet"),
        Reference("flavor_id", "flavor"),
    ),
    alcor_only=(
        AlcorField("owner", (str,), "the router's own id, as upstream fills it in"),
        AlcorField("gateway_ports", (list,), "left out: Alcor's own list of the interfaces"),
    ),
    constants=lambda neutron: {"owner": neutron["id"]},
)

FLOATING_IP = Resource(
    name="floatingip",
    collection="floatingips",
    plural="floatingips",
    alcor_collection="elasticips",
    alcor_member="elasticip",
    alcor_plural="elasticips",
    alias="router",
    fields=(
        *OWNER,
        same("description"),
        renamed("floating_ip_address", "elastic_ip", shape=Shape.ADDRESS),
        converted("fixed_ip_address", "private_ip", _none_to_text, _text_to_none, shape=Shape.ADDRESS),
        converted("port_id", "port_id", _none_to_text, _text_to_none),
        same("dns_name"),
        same("dns_domain"),
        extension("floating_network_id", (str,)),
        computed(extension("router_id"), "the router between the port's subnet and the floating network"),
        computed(extension("status"), "what the agents report"),
        extension("qos_policy_id"),
        computed(extension("qos_network_policy_id"), "the floating network's policy"),
        extension("distributed", FLAG),
        EXTENSION_TAGS,
        EXTENSION_REVISION,
        *EXTENSION_TIMES,
        derived("port_details", "read from the port that port_id names"),
        derived("port_forwardings", "the port forwardings are objects of their own (floatingip_id)"),
        asked("subnet_id"),
    ),
    references=(
        Reference("floating_network_id", "network"),
        Reference("port_id", "port"),
        Reference("router_id", "router"),
        Reference("qos_policy_id", "policy"),
    ),
    alcor_only=(
        AlcorField("name", (str,), "left out: floating IPs have no name"),
        AlcorField("elastic_ip_version", (int,), "the version of the address"),
        AlcorField("state", (str,), "`activated`, the one state that upstream uses"),
    ),
    constants=_elastic_ip,
)

PORT_FORWARDING = bundled_only(
    "port_forwarding",
    "port_forwardings",
    "port_forwardings",
    (
        same("id", (str,)),
        same("floatingip_id", (str,)),
        same("description"),
        same("protocol"),
        same("external_port", NUMBER),
        same("external_port_range"),
        same("internal_port", NUMBER),
        same("internal_port_range"),
        same("internal_ip_address", shape=Shape.ADDRESS),
        same("internal_port_id"),
        asked("project_id"),
        asked("tenant_id"),
    ),
    alias="floating-ip-port-forwarding",
    nested=Nested("floatingip", "floatingip_id", hint="port_forwardings"),
    references=(Reference("floatingip_id", "floatingip"), Reference("internal_port_id", "port")),
    parents=(Reference("floatingip_id", "floatingip"),),
)

CONNTRACK_HELPER = bundled_only(
    "conntrack_helper",
    "conntrack_helpers",
    "conntrack_helpers",
    (
        same("id", (str,)),
        same("router_id", (str,)),
        same("helper"),
        same("protocol"),
        same("port", NUMBER),
        asked("project_id"),
        asked("tenant_id"),
    ),
    alias="l3-conntrack-helper",
    nested=Nested("router", "router_id", hint="conntrack_helpers"),
    references=(Reference("router_id", "router"),),
    parents=(Reference("router_id", "router"),),
)

NDP_PROXY = bundled_only(
    "ndp_proxy",
    "ndp_proxies",
    "ndp_proxies",
    (
        *NAMED,
        same("router_id", (str,)),
        same("port_id", (str,)),
        same("ip_address", shape=Shape.ADDRESS),
        *STANDARD,
    ),
    alias="l3-ndp-proxy",
    references=(Reference("router_id", "router"), Reference("port_id", "port")),
)

LOCAL_IP = bundled_only(
    "local_ip",
    "local_ips",
    "local_ips",
    (
        *NAMED,
        same("network_id"),
        same("local_port_id"),
        same("local_ip_address", shape=Shape.ADDRESS),
        same("ip_mode"),
        *STANDARD,
    ),
    alias="local_ip",
    references=(Reference("network_id", "network"), Reference("local_port_id", "port")),
)

LOCAL_IP_ASSOCIATION = bundled_only(
    "port_association",
    "port_associations",
    "port_associations",
    (
        same("id", (str,)),
        same("local_ip_id", (str,)),
        same("fixed_port_id", (str,)),
        same("fixed_ip", shape=Shape.ADDRESS),
        computed(same("local_ip_address", shape=Shape.ADDRESS), "read from the local IP"),
        computed(same("host"), "where the port is bound"),
        asked("project_id"),
        asked("tenant_id"),
    ),
    alias="local_ip",
    alcor_collection="local-ip-associations",
    nested=Nested("local_ip", "local_ip_id"),
    identity=("local_ip_id", "fixed_port_id"),
    references=(Reference("local_ip_id", "local_ip"), Reference("fixed_port_id", "port")),
)

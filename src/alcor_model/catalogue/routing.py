"""Routers and floating IPs."""

from __future__ import annotations

import ipaddress
from typing import Any

from alcor_model.catalogue.common import NAMED, OWNER, REVISION, TAGS
from alcor_model.catalogue.resource import AlcorField, Reference, Resource
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
    fields=(
        *NAMED,
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
        TAGS,
        REVISION,
        computed(extension("created_at")),
        computed(extension("updated_at")),
    ),
    references=(Reference("external_gateway_info.network_id", "network"),),
    alcor_only=(AlcorField("owner", (str,), "the router's own id, as upstream fills it in"),),
    constants=lambda neutron: {"owner": neutron["id"]},
)

FLOATING_IP = Resource(
    name="floatingip",
    collection="floatingips",
    plural="floatingips",
    alcor_collection="elasticips",
    alcor_member="elasticip",
    alcor_plural="elasticips",
    fields=(
        *OWNER,
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
    alcor_only=(
        AlcorField("elastic_ip_version", (int,), "the version of the address"),
        AlcorField("state", (str,), "`activated`, the one state that upstream uses"),
    ),
    constants=_elastic_ip,
)

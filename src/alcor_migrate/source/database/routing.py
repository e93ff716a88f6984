"""Routers and floating IPs in Neutron's tables (l3_db and what extends it)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.source.database.rules import (
    STANDARD,
    TAGS,
    Bridge,
    Facts,
    Part,
    Row,
    Rule,
    flag,
    listed,
    owner,
    standard,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_model.fields import Json


def _router(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    has = facts.has
    gateway = _gateway(row, parts, facts)
    found: Json = {
        "id": row["id"],
        "name": row["name"],
        **owner(row),
        "admin_state_up": flag(row["admin_state_up"]),
        "status": row["status"],
        "external_gateway_info": gateway,
        **standard(row, parts, facts),
    }
    for field, (alias, column) in _FLAGS.items():
        if has(alias):
            found[field] = bool(row[column])
    if has("extraroute"):
        found["routes"] = [{"destination": r["destination"], "nexthop": r["nexthop"]} for r in parts["routes"]]
    if has("router_availability_zone"):
        found["availability_zone_hints"] = listed(row["extra.availability_zone_hints"])
        found["availability_zones"] = sorted({a["availability_zone"] for a in parts["agents"]}, key=str)
    if has("l3-flavors"):
        found["flavor_id"] = row["flavor_id"]
    if has("expose-l3-conntrack-helper"):
        found["conntrack_helpers"] = [
            {"protocol": h["protocol"], "port": h["port"], "helper": h["helper"]} for h in parts["helpers"]
        ]
    if has("l3-ext-ndp-proxy"):
        found["enable_ndp_proxy"] = gateway is not None and bool(row["ndp.enable_ndp_proxy"])
    if has("external-gateway-multihoming"):
        found["external_gateways"] = _gateways(row, parts)
    return found


_FLAGS = {
    "distributed": ("dvr", "extra.distributed"),
    "ha": ("l3-ha", "extra.ha"),
    "enable_default_route_ecmp": ("enable-default-route-ecmp", "extra.enable_default_route_ecmp"),
    "enable_default_route_bfd": ("enable-default-route-bfd", "extra.enable_default_route_bfd"),
}


def _gateway(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json | None:
    if not row["gw_port_id"]:
        return None
    found: Json = {"network_id": row["gateway.network_id"], "external_fixed_ips": _addresses(parts["addresses"])}
    if facts.has("ext-gw-mode"):
        found["enable_snat"] = flag(row["enable_snat"])
    if facts.has("qos-gateway-ip") and (row["qos.policy_id"] or parts["network_qos"]):
        found["qos_policy_id"] = row["qos.policy_id"]
    return found


def _gateways(row: Row, parts: Mapping[str, list[Row]]) -> list[Json]:
    """Every gateway port of the router, that of external_gateway_info first."""
    ports = sorted(parts["gateways"], key=lambda port: port["id"] != row["gw_port_id"])
    return [
        {
            "network_id": port["network_id"],
            "external_fixed_ips": _addresses(ip for ip in parts["gateway_addresses"] if ip["port_id"] == port["id"]),
        }
        for port in ports
    ]


def _addresses(rows: object) -> list[Json]:
    return [{"subnet_id": ip["subnet_id"], "ip_address": ip["ip_address"]} for ip in rows]  # type: ignore[attr-defined]


_GATEWAYS = Bridge("routerports", "router_id", "port_id", (("port_type", "network:router_gateway"),))

ROUTER = Rule(
    resource="router",
    table="routers",
    columns=(
        "id",
        "project_id",
        "name",
        "status",
        "admin_state_up",
        "gw_port_id",
        "enable_snat",
        "flavor_id",
        "standard_attr_id",
    ),
    build=_router,
    parts=(
        STANDARD,
        TAGS,
        Part(
            name="extra",
            table="router_extra_attributes",
            key="router_id",
            columns=(
                "distributed",
                "ha",
                "availability_zone_hints",
                "enable_default_route_ecmp?",
                "enable_default_route_bfd?",
            ),
            one=True,
        ),
        Part(name="ndp", table="router_ndp_proxy_state", key="router_id", columns=("enable_ndp_proxy",), one=True),
        Part(name="gateway", table="ports", key="id", link="gw_port_id", columns=("network_id",), one=True),
        Part(
            name="addresses",
            table="ipallocations",
            key="port_id",
            link="gw_port_id",
            columns=("subnet_id", "ip_address"),
        ),
        Part(name="qos", table="qos_router_gw_policy_bindings", key="router_id", columns=("policy_id",), one=True),
        Part(
            name="network_qos",
            table="qos_network_policy_bindings",
            key="network_id",
            link="gw_port_id",
            columns=("policy_id",),
            bridge=Bridge("ports", "id", "network_id"),
        ),
        Part(name="routes", table="routerroutes", key="router_id", columns=("destination", "nexthop")),
        Part(
            name="agents",
            table="agents",
            key="id",
            columns=("availability_zone",),
            bridge=Bridge("routerl3agentbindings", "router_id", "l3_agent_id"),
        ),
        Part(name="helpers", table="conntrack_helpers", key="router_id", columns=("protocol", "port", "helper")),
        Part(name="gateways", table="ports", key="id", columns=("id", "network_id"), bridge=_GATEWAYS),
        Part(
            name="gateway_addresses",
            table="ipallocations",
            key="port_id",
            columns=("port_id", "subnet_id", "ip_address"),
            bridge=_GATEWAYS,
        ),
    ),
)


def _floating_ip(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    found = {
        "id": row["id"],
        **owner(row),
        "floating_ip_address": row["floating_ip_address"],
        "floating_network_id": row["floating_network_id"],
        "router_id": row["router_id"],
        "port_id": row["fixed_port_id"],
        "fixed_ip_address": row["fixed_ip_address"],
        "status": row["status"],
        **standard(row, parts, facts),
    }
    if facts.has("dns-integration"):
        found["dns_name"] = row["dns.dns_name"] or ""
        found["dns_domain"] = row["dns.dns_domain"] or ""
    if facts.has("qos-fip"):
        found["qos_policy_id"] = row["qos.policy_id"]
    if facts.has("qos-fip-network-policy"):
        found["qos_network_policy_id"] = row["network_qos.policy_id"]
    return found


FLOATING_IP = Rule(
    resource="floatingip",
    table="floatingips",
    columns=(
        "id",
        "project_id",
        "floating_ip_address",
        "floating_network_id",
        "router_id",
        "fixed_port_id",
        "fixed_ip_address",
        "status",
        "standard_attr_id",
    ),
    build=_floating_ip,
    found_by={"port_id": "fixed_port_id"},
    parts=(
        STANDARD,
        TAGS,
        Part(name="dns", table="floatingipdnses", key="floatingip_id", columns=("dns_name", "dns_domain"), one=True),
        Part(name="qos", table="qos_fip_policy_bindings", key="fip_id", columns=("policy_id",), one=True),
        Part(
            name="network_qos",
            table="qos_network_policy_bindings",
            key="network_id",
            link="floating_network_id",
            columns=("policy_id",),
            one=True,
        ),
    ),
)

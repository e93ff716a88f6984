"""Networks and subnets in Neutron's tables (models_v2, segments_db, external_net_db, address_scope_db)."""

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
    default_true,
    flag,
    listed,
    owner,
    rbac,
    shared,
    standard,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_model.fields import Json


def _network(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:  # noqa: C901  # an if an extension
    has = facts.has
    found: Json = {
        "id": row["id"],
        "name": row["name"],
        **owner(row),
        "admin_state_up": flag(row["admin_state_up"]),
        "mtu": row["mtu"],
        "status": row["status"],
        "shared": shared(parts["rbac"], facts),
        **standard(row, parts, facts),
    }
    external = row["external.network_id"] is not None
    if has("external-net"):
        found["router:external"] = external
    if has("auto-allocated-topology") and external:
        found["is_default"] = flag(row["external.is_default"])
    if has("availability_zone"):
        found["availability_zone_hints"] = listed(row["availability_zone_hints"])
    if has("network_availability_zone"):
        found["availability_zones"] = sorted({a["availability_zone"] for a in parts["agents"]}, key=str)
    if has("address-scope"):
        scopes = {pool["ip_version"]: pool["address_scope_id"] for pool in parts["pools"]}
        found["ipv4_address_scope"], found["ipv6_address_scope"] = scopes.get(4), scopes.get(6)
    if has("port-security"):
        found["port_security_enabled"] = default_true(row["security.port_security_enabled"])
    if has("qos"):
        found["qos_policy_id"] = row["qos.policy_id"]
    if has("dns-integration"):
        found["dns_domain"] = row["dns.dns_domain"] or ""
    if has("l2_adjacency"):
        found["l2_adjacency"] = not any(subnet["segment_id"] for subnet in parts["subnets"])
    if has("vlan-transparent"):
        found["vlan_transparent"] = flag(row["vlan_transparent"])
    if has("qinq"):
        found["qinq"] = flag(row["qinq"])
    if has("provider"):
        found |= _provider(parts["segments"])
    return found


def _provider(segments: list[Row]) -> Json:
    """One segment's attributes on the network itself, several in a list."""
    places = [
        {
            "provider:network_type": s["network_type"],
            "provider:physical_network": s["physical_network"],
            "provider:segmentation_id": s["segmentation_id"],
        }
        for s in sorted(segments, key=lambda s: s["segment_index"])
        if not s["is_dynamic"]
    ]
    if len(places) == 1:
        return places[0]
    if places:
        return {"segments": places}
    return dict.fromkeys(("provider:network_type", "provider:physical_network", "provider:segmentation_id"))


NETWORK = Rule(
    resource="network",
    table="networks",
    columns=(
        "id",
        "project_id",
        "name",
        "status",
        "admin_state_up",
        "mtu",
        "vlan_transparent?",
        "qinq?",
        "availability_zone_hints",
        "standard_attr_id",
    ),
    build=_network,
    parts=(
        STANDARD,
        TAGS,
        rbac("networkrbacs"),
        Part(
            name="external",
            table="externalnetworks",
            key="network_id",
            columns=("network_id", "is_default"),
            one=True,
        ),
        Part(
            name="security",
            table="networksecuritybindings",
            key="network_id",
            columns=("port_security_enabled",),
            one=True,
        ),
        Part(name="qos", table="qos_network_policy_bindings", key="network_id", columns=("policy_id",), one=True),
        Part(name="dns", table="networkdnsdomains", key="network_id", columns=("dns_domain",), one=True),
        Part(
            name="segments",
            table="networksegments",
            key="network_id",
            columns=("network_type", "physical_network", "segmentation_id", "segment_index", "is_dynamic"),
        ),
        Part(name="subnets", table="subnets", key="network_id", columns=("segment_id",)),
        Part(
            name="pools",
            table="subnetpools",
            key="id",
            columns=("ip_version", "address_scope_id"),
            bridge=Bridge("subnets", "network_id", "subnetpool_id"),
        ),
        Part(
            name="agents",
            table="agents",
            key="id",
            columns=("availability_zone",),
            bridge=Bridge("networkdhcpagentbindings", "network_id", "dhcp_agent_id"),
        ),
    ),
)


def _subnet(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    has = facts.has
    found: Json = {
        "id": row["id"],
        "name": row["name"],
        **owner(row),
        "network_id": row["network_id"],
        "ip_version": row["ip_version"],
        "subnetpool_id": row["subnetpool_id"],
        "enable_dhcp": flag(row["enable_dhcp"]),
        "ipv6_ra_mode": row["ipv6_ra_mode"],
        "ipv6_address_mode": row["ipv6_address_mode"],
        "gateway_ip": row["gateway_ip"],
        "cidr": row["cidr"],
        "allocation_pools": [{"start": pool["first_ip"], "end": pool["last_ip"]} for pool in parts["pools"]],
        "host_routes": [{"destination": r["destination"], "nexthop": r["nexthop"]} for r in parts["routes"]],
        "dns_nameservers": [n["address"] for n in sorted(parts["nameservers"], key=lambda n: n["order"])],
        **standard(row, parts, facts),
    }
    if has("subnet-external-network"):
        found["router:external"] = row["external.network_id"] is not None
    if has("subnet-service-types"):
        found["service_types"] = [kind["service_type"] for kind in parts["service_types"]]
    if has("subnet-dns-publish-fixed-ip"):
        found["dns_publish_fixed_ip"] = bool(row["publish.dns_publish_fixed_ip"])
    if has("segment"):
        found["segment_id"] = row["segment_id"]
    return found


SUBNET = Rule(
    resource="subnet",
    table="subnets",
    columns=(
        "id",
        "project_id",
        "name",
        "network_id",
        "ip_version",
        "cidr",
        "gateway_ip",
        "enable_dhcp",
        "ipv6_ra_mode",
        "ipv6_address_mode",
        "subnetpool_id",
        "segment_id",
        "standard_attr_id",
    ),
    build=_subnet,
    parts=(
        STANDARD,
        TAGS,
        Part(name="pools", table="ipallocationpools", key="subnet_id", columns=("first_ip", "last_ip")),
        Part(name="routes", table="subnetroutes", key="subnet_id", columns=("destination", "nexthop")),
        Part(name="nameservers", table="dnsnameservers", key="subnet_id", columns=("address", "order")),
        Part(name="service_types", table="subnet_service_types", key="subnet_id", columns=("service_type",)),
        Part(
            name="publish",
            table="subnet_dns_publish_fixed_ips",
            key="subnet_id",
            columns=("dns_publish_fixed_ip",),
            one=True,
        ),
        Part(
            name="external",
            table="externalnetworks",
            key="network_id",
            link="network_id",
            columns=("network_id",),
            one=True,
        ),
    ),
)

"""Ports in Neutron's tables (models_v2, ML2's bindings, and the extension drivers of ML2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.source.database.rules import (
    STANDARD,
    TAGS,
    AskApiError,
    Bridge,
    Facts,
    Part,
    Row,
    Rule,
    decoded,
    default_true,
    flag,
    standard,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_model.fields import Json

_DISTRIBUTED = "network:router_interface_distributed"
_DEFAULT_DOMAIN = "openstacklocal."
"""Neutron's default of dns_domain, with which ports have no name of their own (neutron_lib.constants)."""


def _port(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:  # noqa: C901  # an if an extension
    has = facts.has
    project = row["project_id"]
    addresses = [{"subnet_id": ip["subnet_id"], "ip_address": ip["ip_address"]} for ip in parts["addresses"]]
    found: Json = {
        "id": row["id"],
        "name": row["name"],
        "project_id": project,
        "tenant_id": project,
        "network_id": row["network_id"],
        "mac_address": row["mac_address"],
        "admin_state_up": flag(row["admin_state_up"]),
        "status": row["status"],
        "device_id": row["device_id"],
        "device_owner": row["device_owner"],
        "fixed_ips": addresses,
        **standard(row, parts, facts),
    }
    if has("allowed-address-pairs"):
        found["allowed_address_pairs"] = [
            {"mac_address": pair["mac_address"], "ip_address": pair["ip_address"]} for pair in parts["pairs"]
        ]
    if has("extra_dhcp_opt"):
        found["extra_dhcp_opts"] = [
            {"opt_name": o["opt_name"], "opt_value": o["opt_value"], "ip_version": o["ip_version"]}
            for o in parts["dhcp"]
        ]
    if has("security-group"):
        found["security_groups"] = [group["security_group_id"] for group in parts["groups"]]
    if has("port-security"):
        found["port_security_enabled"] = default_true(row["security.port_security_enabled"])
    if has("binding") and row["binding.port_id"] is not None:
        found |= _binding(row, parts)
    _quality(found, row, parts, facts)
    _names(found, row, facts)
    for field, (alias, column) in _EXTENSIONS.items():
        if has(alias):
            found[field] = row[column]
    if has("uplink-status-propagation"):
        found["propagate_uplink_status"] = default_true(row["uplink.propagate_uplink_status"])
    if has("port-hints"):
        found["hints"] = decoded(row["hints.hints"])
    if has("port-trusted-vif"):
        found["trusted"] = flag(row["trusted.trusted"])
        if found["trusted"] is not None and "binding:profile" in found:
            found["binding:profile"] = {**found["binding:profile"], "trusted": found["trusted"]}
    if has("ip_allocation"):
        found["ip_allocation"] = row["ip_allocation"] or "immediate"
    return found


_EXTENSIONS = {
    "data_plane_status": ("data-plane-status", "plane.data_plane_status"),
    "numa_affinity_policy": ("port-numa-affinity-policy", "numa.numa_affinity_policy"),
    "device_profile": ("port-device-profile", "device.device_profile"),
    "hardware_offload_type": ("port-hardware-offload-type", "offload.hardware_offload_type"),
}
"""Fields of one column: the extension that brings them, and where they lie."""


def _binding(row: Row, parts: Mapping[str, list[Row]]) -> Json:
    """The active binding; a distributed port shows none of it."""
    found: Json = {
        "binding:vnic_type": row["binding.vnic_type"],
        "binding:profile": decoded(row["binding.profile"]) or {},
    }
    if row["device_owner"] == _DISTRIBUTED:
        found |= {"binding:host_id": "", "binding:vif_type": "distributed", "binding:vif_details": {}}
    else:
        found |= {
            "binding:host_id": row["binding.host"],
            "binding:vif_type": row["binding.vif_type"],
            "binding:vif_details": decoded(row["binding.vif_details"]) or {},
        }
    if levels := {str(level["level"]): level["driver"] for level in parts["levels"]}:
        found["binding:vif_details"] = {**found["binding:vif_details"], "bound_drivers": levels}
    return found


def _quality(found: Json, row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> None:
    """QoS. What a port asks of Placement is computed in Neutron's code, with ids made of hashes."""
    if facts.has("qos"):
        found["qos_policy_id"] = row["qos.policy_id"]
    if facts.has("qos-port-network-policy"):
        found["qos_network_policy_id"] = row["network_qos.policy_id"]
    if facts.has("port-resource-request"):
        own = row["qos.policy_id"] is not None
        if parts["bandwidth" if own else "network_bandwidth"] or parts["packets" if own else "network_packets"]:
            raise AskApiError(row["id"])
        found["resource_request"] = None


def _names(found: Json, row: Row, facts: Facts) -> None:
    """What the internal DNS knows of the port (ML2's driver dns_integration)."""
    if facts.has("dns-integration"):
        found["dns_name"] = row["dns.dns_name"] or ""
        if facts.dns_domain is None and found["fixed_ips"]:
            raise AskApiError(row["id"])
        name, domain = "", facts.dns_domain or ""
        if domain and domain != _DEFAULT_DOMAIN and row["dns.port_id"] is not None:
            name = row["dns.dns_name"] or ""
            domain = row["dns.current_dns_domain"] or domain
        found["dns_assignment"] = [_assignment(ip["ip_address"], name, domain) for ip in found["fixed_ips"]]
    if facts.has("dns-domain-ports"):
        found["dns_domain"] = row["dns.dns_domain"] or ""


def _assignment(address: str, name: str, domain: str) -> Json:
    hostname = name or "host-" + address.replace(".", "-").replace(":", "-")
    qualified = hostname.endswith(".") if name else not domain
    return {
        "ip_address": address,
        "hostname": hostname,
        "fqdn": hostname if qualified else f"{hostname}.{domain}",
    }


def _one(name: str, table: str, *columns: str) -> Part:
    return Part(name=name, table=table, key="port_id", columns=columns, one=True)


def _many(name: str, table: str, *columns: str) -> Part:
    return Part(name=name, table=table, key="port_id", columns=columns)


def _minimum(name: str, table: str, column: str, *, of_network: bool) -> Part:
    """Rules of the port's policy that ask something of Placement."""
    holder = "network" if of_network else "port"
    return Part(
        name=name,
        table=table,
        key="qos_policy_id",
        link="network_id" if of_network else "id",
        columns=("id", column, "direction"),
        bridge=Bridge(f"qos_{holder}_policy_bindings", f"{holder}_id", "policy_id"),
    )


_BANDWIDTH, _PACKETS = "qos_minimum_bandwidth_rules", "qos_minimum_packet_rate_rules"

PORT = Rule(
    resource="port",
    table="ports",
    columns=(
        "id",
        "project_id",
        "name",
        "network_id",
        "mac_address",
        "admin_state_up",
        "status",
        "device_id",
        "device_owner",
        "ip_allocation",
        "standard_attr_id",
    ),
    build=_port,
    parts=(
        STANDARD,
        TAGS,
        _many("addresses", "ipallocations", "subnet_id", "ip_address"),
        _many("groups", "securitygroupportbindings", "security_group_id"),
        _many("pairs", "allowedaddresspairs", "mac_address", "ip_address"),
        _many("dhcp", "extradhcpopts", "opt_name", "opt_value", "ip_version"),
        _many("levels", "ml2_port_binding_levels", "level", "driver"),
        Part(
            name="binding",
            table="ml2_port_bindings",
            key="port_id",
            columns=("port_id", "host", "vif_type", "vnic_type", "profile", "vif_details"),
            where=(("status", "ACTIVE"),),
            one=True,
        ),
        _one("security", "portsecuritybindings", "port_security_enabled"),
        _one("uplink", "portuplinkstatuspropagation", "propagate_uplink_status"),
        _one("dns", "portdnses", "port_id", "dns_name", "dns_domain", "current_dns_domain"),
        _one("plane", "portdataplanestatuses", "data_plane_status"),
        _one("numa", "portnumaaffinitypolicies", "numa_affinity_policy"),
        _one("device", "portdeviceprofiles", "device_profile"),
        _one("hints", "porthints", "hints"),
        _one("trusted", "porttrusted", "trusted"),
        _one("offload", "porthardwareoffloadtype", "hardware_offload_type"),
        _one("qos", "qos_port_policy_bindings", "policy_id"),
        Part(
            name="network_qos",
            table="qos_network_policy_bindings",
            key="network_id",
            link="network_id",
            columns=("policy_id",),
            one=True,
        ),
        _minimum("bandwidth", _BANDWIDTH, "min_kbps", of_network=False),
        _minimum("packets", _PACKETS, "min_kpps", of_network=False),
        _minimum("network_bandwidth", _BANDWIDTH, "min_kbps", of_network=True),
        _minimum("network_packets", _PACKETS, "min_kpps", of_network=True),
    ),
)

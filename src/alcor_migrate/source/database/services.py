"""Trunks and what hangs on routers and floating IPs, in Neutron's tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.source.database.rules import STANDARD, TAGS, Facts, Part, Row, Rule, flag, owner, standard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_model.fields import Json


def _trunk(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    return {
        "id": row["id"],
        "name": row["name"],
        **owner(row),
        "admin_state_up": flag(row["admin_state_up"]),
        "port_id": row["port_id"],
        "status": row["status"],
        "sub_ports": [
            {name: port[name] for name in ("port_id", "segmentation_type", "segmentation_id")}
            for port in parts["subports"]
        ],
        **standard(row, parts, facts),
    }


TRUNK = Rule(
    resource="trunk",
    table="trunks",
    columns=("id", "project_id", "name", "port_id", "admin_state_up", "status", "standard_attr_id"),
    build=_trunk,
    parts=(
        STANDARD,
        TAGS,
        Part(
            name="subports",
            table="subports",
            key="trunk_id",
            columns=("port_id", "segmentation_type", "segmentation_id"),
        ),
    ),
)


def _forwarding(row: Row, _parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    found: Json = {
        "id": row["id"],
        "floatingip_id": row["floatingip_id"],
        "protocol": row["protocol"],
        "internal_port_id": row["internal_neutron_port_id"],
        "internal_ip_address": row["internal_ip_address"],
    }
    for side in ("internal", "external"):
        first, last = row[f"{side}_port_start"], row[f"{side}_port_end"]
        if first == last:
            found[f"{side}_port"] = first
        if facts.has("floating-ip-port-forwarding-port-ranges"):
            found[f"{side}_port_range"] = f"{first}:{last}"
    if facts.has("floating-ip-port-forwarding-description"):
        found["description"] = row["standard.description"]
    return found


PORT_FORWARDING = Rule(
    resource="port_forwarding",
    table="portforwardings",
    columns=(
        "id",
        "floatingip_id",
        "protocol",
        "internal_neutron_port_id",
        "internal_ip_address",
        "internal_port_start",
        "internal_port_end",
        "external_port_start",
        "external_port_end",
        "standard_attr_id",
    ),
    build=_forwarding,
    found_by={"internal_port_id": "internal_neutron_port_id"},
    parts=(STANDARD,),
)


def _helper(row: Row, _parts: Mapping[str, list[Row]], _facts: Facts) -> Json:
    return dict(row)


CONNTRACK_HELPER = Rule(
    resource="conntrack_helper",
    table="conntrack_helpers",
    columns=("id", "router_id", "protocol", "port", "helper"),
    build=_helper,
)


def _label(row: Row, _parts: Mapping[str, list[Row]], _facts: Facts) -> Json:
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        **owner(row),
        "shared": flag(row["shared"]),
    }


METERING_LABEL = Rule(
    resource="metering_label",
    table="meteringlabels",
    columns=("id", "project_id", "name", "description", "shared"),
    build=_label,
)

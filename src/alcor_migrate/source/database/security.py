"""Security groups and their rules in Neutron's tables (securitygroups_db)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from alcor_migrate.source.database.rules import (
    STANDARD,
    TAGS,
    Facts,
    Part,
    Row,
    Rule,
    flag,
    owner,
    rbac,
    shared,
    standard,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_model.fields import Json


def _group(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    found = {"id": row["id"], "name": row["name"], **owner(row), **standard(row, parts, facts)}
    if facts.has("stateful-security-group"):
        found["stateful"] = flag(row["stateful"])
    if facts.has("rbac-security-groups"):
        found["shared"] = shared(parts["rbac"], facts)
    return found


SECURITY_GROUP = Rule(
    resource="security_group",
    table="securitygroups",
    columns=("id", "project_id", "name", "stateful?", "standard_attr_id"),
    build=_group,
    parts=(STANDARD, TAGS, rbac("securitygrouprbacs")),
)


def _rule(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    found = {
        "id": row["id"],
        **owner(row),
        "security_group_id": row["security_group_id"],
        "direction": row["direction"],
        "ethertype": row["ethertype"],
        "protocol": row["protocol"],
        "port_range_min": row["port_range_min"],
        "port_range_max": row["port_range_max"],
        "remote_ip_prefix": row["remote_ip_prefix"],
        "remote_group_id": row["remote_group_id"],
        **standard(row, parts, facts),
    }
    del found["tags"]  # only inside their group they show them
    if facts.has("security-groups-remote-address-group"):
        found["remote_address_group_id"] = row["remote_address_group_id"]
    if facts.has("security-groups-normalized-cidr"):
        prefix = row["remote_ip_prefix"]
        found["normalized_cidr"] = str(ipaddress.ip_network(prefix, strict=False)) if prefix else None
    if facts.has("security-groups-rules-belongs-to-default-sg"):
        found["belongs_to_default_sg"] = row["default.security_group_id"] is not None
    return found


SECURITY_GROUP_RULE = Rule(
    resource="security_group_rule",
    table="securitygrouprules",
    columns=(
        "id",
        "project_id",
        "security_group_id",
        "direction",
        "ethertype",
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_ip_prefix",
        "remote_group_id",
        "remote_address_group_id?",
        "standard_attr_id",
    ),
    build=_rule,
    parts=(
        STANDARD,
        TAGS,
        Part(
            name="default",
            table="default_security_group",
            key="security_group_id",
            link="security_group_id",
            columns=("security_group_id",),
            one=True,
        ),
    ),
)

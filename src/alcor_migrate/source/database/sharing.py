"""Subnet pools, address scopes, address groups and segments in Neutron's tables."""

from __future__ import annotations

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


def _pool(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    return {
        "id": row["id"],
        "name": row["name"],
        **owner(row),
        # Neutron answers these three as texts.
        **{name: str(row[name]) for name in ("default_prefixlen", "min_prefixlen", "max_prefixlen")},
        "is_default": flag(row["is_default"]),
        "shared": shared(parts["rbac"], facts),
        "prefixes": [prefix["cidr"] for prefix in parts["prefixes"]],
        "ip_version": row["ip_version"],
        "default_quota": row["default_quota"],
        "address_scope_id": row["address_scope_id"],
        **standard(row, parts, facts),
    }


SUBNET_POOL = Rule(
    resource="subnetpool",
    table="subnetpools",
    columns=(
        "id",
        "project_id",
        "name",
        "ip_version",
        "default_prefixlen",
        "min_prefixlen",
        "max_prefixlen",
        "default_quota",
        "address_scope_id",
        "is_default",
        "standard_attr_id",
    ),
    build=_pool,
    parts=(
        STANDARD,
        TAGS,
        rbac("subnetpoolrbacs"),
        Part(name="prefixes", table="subnetpoolprefixes", key="subnetpool_id", columns=("cidr",)),
    ),
)


def _scope(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    return {
        "id": row["id"],
        "name": row["name"],
        **owner(row),
        "ip_version": row["ip_version"],
        "shared": shared(parts["rbac"], facts),
    }


ADDRESS_SCOPE = Rule(
    resource="address_scope",
    table="address_scopes",
    columns=("id", "project_id", "name", "ip_version"),
    build=_scope,
    parts=(rbac("addressscoperbacs"),),
)


def _group(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    found = {
        "id": row["id"],
        "name": row["name"],
        **owner(row),
        "addresses": [one["address"] for one in parts["addresses"]],
        **standard(row, parts, facts),
    }
    found.pop("tags", None)
    return found


ADDRESS_GROUP = Rule(
    resource="address_group",
    table="address_groups",
    columns=("id", "project_id", "name", "standard_attr_id"),
    build=_group,
    parts=(
        STANDARD,
        TAGS,
        Part(name="addresses", table="address_associations", key="address_group_id", columns=("address",)),
    ),
)


def _segment(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    found = {name: row[name] for name in _SEGMENT} | standard(row, parts, facts)
    found.pop("tags", None)
    return found


_SEGMENT = ("id", "network_id", "name", "network_type", "physical_network", "segmentation_id")

SEGMENT = Rule(
    resource="segment",
    table="networksegments",
    columns=(*_SEGMENT, "standard_attr_id"),
    build=_segment,
    parts=(STANDARD, TAGS),
)

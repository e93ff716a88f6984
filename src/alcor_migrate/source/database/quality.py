"""QoS policies and their rules in Neutron's tables (objects/qos)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from alcor_migrate.source.database.rules import STANDARD, TAGS, Facts, Part, Row, Rule, owner, rbac, shared, standard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_model.fields import Json


def _policy(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    return {
        "id": row["id"],
        "name": row["name"],
        **owner(row),
        "shared": shared(parts["rbac"], facts),
        "is_default": row["default.qos_policy_id"] is not None,
        **standard(row, parts, facts),
    }


POLICY = Rule(
    resource="policy",
    table="qos_policies",
    columns=("id", "project_id", "name", "standard_attr_id"),
    build=_policy,
    parts=(
        STANDARD,
        TAGS,
        rbac("qospolicyrbacs"),
        Part(name="default", table="qos_policies_default", key="qos_policy_id", columns=("qos_policy_id",), one=True),
    ),
)


def _rule(columns: tuple[str, ...], row: Row, _parts: Mapping[str, list[Row]], _facts: Facts) -> Json:
    return {name: row[name] for name in columns}


def _rules(kind: str, *settings: str) -> Rule:
    columns = ("id", "qos_policy_id", *settings)
    return Rule(resource=f"{kind}_rule", table=f"qos_{kind}_rules", columns=columns, build=partial(_rule, columns))


QOS_RULES = (
    _rules("bandwidth_limit", "max_kbps", "max_burst_kbps", "direction"),
    _rules("dscp_marking", "dscp_mark"),
    _rules("minimum_bandwidth", "min_kbps", "direction"),
    _rules("minimum_packet_rate", "min_kpps", "direction"),
    _rules("packet_rate_limit", "max_kpps", "max_burst_kpps", "direction"),
)

"""QoS policies and the rules of every type that they hold."""

from __future__ import annotations

from alcor_model.catalogue.common import NAMED, STANDARD, TAGS
from alcor_model.catalogue.declaration import Nested, Reference, Resource, bundled_only
from alcor_model.fields import FLAG, NUMBER, Field, derived, same

QOS_POLICY = bundled_only(
    "policy",
    "qos/policies",
    "policies",
    (
        *NAMED,
        same("shared", FLAG),
        same("is_default", FLAG),
        TAGS,
        *STANDARD,
        derived("rules", "the rules are objects of their own (qos_policy_id)"),
    ),
    alias="qos",
)


def _rule(kind: str, *fields: Field, alias: str) -> Resource:
    name = f"{kind}_rule"
    return bundled_only(
        name,
        f"{name}s",
        f"{name}s",
        (
            same("id", (str,)),
            same("qos_policy_id", (str,)),
            *fields,
            derived("type", "said by the collection that the rule is in"),
        ),
        alias=alias,
        alcor_collection=f"qos-{kind.replace('_', '-')}-rules",
        nested=Nested("policy", "qos_policy_id", hint="rules"),
        references=(Reference("qos_policy_id", "policy"),),
        parents=(Reference("qos_policy_id", "policy"),),
    )


BANDWIDTH_LIMIT_RULE = _rule(
    "bandwidth_limit",
    same("max_kbps", NUMBER),
    same("max_burst_kbps", NUMBER),
    same("direction"),
    alias="qos",
)
DSCP_MARKING_RULE = _rule("dscp_marking", same("dscp_mark", NUMBER), alias="qos")
MINIMUM_BANDWIDTH_RULE = _rule("minimum_bandwidth", same("min_kbps", NUMBER), same("direction"), alias="qos")
MINIMUM_PACKET_RATE_RULE = _rule(
    "minimum_packet_rate", same("min_kpps", NUMBER), same("direction"), alias="qos-pps-minimum"
)
PACKET_RATE_LIMIT_RULE = _rule(
    "packet_rate_limit",
    same("max_kpps", NUMBER),
    same("max_burst_kpps", NUMBER),
    same("direction"),
    alias="qos-pps",
)

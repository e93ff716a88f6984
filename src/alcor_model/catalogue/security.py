"""Security groups, their rules, the rules of new groups, and address groups."""

from __future__ import annotations

from alcor_model.catalogue.common import (
    EXTENSION_REVISION,
    EXTENSION_TAGS,
    EXTENSION_TIMES,
    NAMED,
    OWNER,
    RENAMED_TIMES,
    STANDARD,
    asked,
)
from alcor_model.catalogue.declaration import AlcorField, Reference, Resource, bundled_only
from alcor_model.fields import FLAG, LIST, NUMBER, Shape, computed, derived, extension, lost_upstream, same

SECURITY_GROUP = Resource(
    name="security_group",
    collection="security-groups",
    plural="security_groups",
    alcor_collection="security-groups",
    alcor_member="security_group",
    alcor_plural="security_groups",
    alias="security-group",
    fields=(
        *NAMED,
        *(lost_upstream(field, "upstream writes its own, in local time") for field in RENAMED_TIMES),
        extension("stateful", FLAG),
        computed(extension("shared", FLAG), "whether an RBAC policy shares it with the one who asks"),
        EXTENSION_REVISION,
        EXTENSION_TAGS,
        derived("security_group_rules", "the rules are objects of their own (security_group_id)"),
    ),
)

SECURITY_GROUP_RULE = Resource(
    name="security_group_rule",
    collection="security-group-rules",
    plural="security_group_rules",
    alcor_collection="security-group-rules",
    alcor_member="security_group_rule",
    alcor_plural="security_group_rules",
    alias="security-group",
    fields=(
        *OWNER,
        same("description"),
        same("security_group_id", (str,)),
        same("direction", (str,)),
        same("ethertype"),
        same("protocol"),
        same("port_range_min", NUMBER),
        same("port_range_max", NUMBER),
        same("remote_ip_prefix", shape=Shape.ADDRESS),
        same("remote_group_id"),
        extension("remote_address_group_id"),
        computed(extension("normalized_cidr", shape=Shape.ADDRESS), "the network that remote_ip_prefix lies in"),
        computed(extension("belongs_to_default_sg", FLAG), "whether its group is the project's `default`"),
        EXTENSION_REVISION,
        *EXTENSION_TIMES,
    ),
    references=(
        Reference("security_group_id", "security_group"),
        Reference("remote_group_id", "security_group"),
        Reference("remote_address_group_id", "address_group"),
    ),
    parents=(Reference("security_group_id", "security_group"),),
    alcor_only=(AlcorField("name", (str,), "left out: rules have no name"),),
)

DEFAULT_SECURITY_GROUP_RULE = bundled_only(
    "default_security_group_rule",
    "default-security-group-rules",
    "default_security_group_rules",
    (
        same("id", (str,)),
        same("description"),
        same("direction"),
        same("ethertype"),
        same("protocol"),
        same("port_range_min", NUMBER),
        same("port_range_max", NUMBER),
        same("remote_ip_prefix", shape=Shape.ADDRESS),
        same("remote_group_id"),  # an id, or PARENT for the group that the rule is made in
        same("remote_address_group_id"),
        same("used_in_default_sg", FLAG),
        same("used_in_non_default_sg", FLAG),
        asked("project_id"),
        asked("tenant_id"),
    ),
    alias="security-groups-default-rules",
    references=(Reference("remote_address_group_id", "address_group"),),
)

DEFAULT_STATEFULNESS = bundled_only(
    "security_groups_default_statefulness",
    "security-groups-default-statefulness",
    "security_groups_default_statefulness",
    (*OWNER, same("stateful", FLAG)),
    alias="security-groups-default-statefulness",
)

ADDRESS_GROUP = bundled_only(
    "address_group",
    "address-groups",
    "address_groups",
    (
        *NAMED,
        same("addresses", LIST, Shape.ADDRESS_SET),
        *STANDARD,
        derived("shared", "not shown; RBAC policies say it"),
    ),
    alias="address-group",
)

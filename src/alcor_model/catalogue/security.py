"""Security groups and their rules."""

from __future__ import annotations

from alcor_model.catalogue.common import NAMED, OWNER
from alcor_model.catalogue.resource import Reference, Resource
from alcor_model.fields import FLAG, LIST, NUMBER, Shape, computed, derived, extension, renamed, same

SECURITY_GROUP = Resource(
    name="security_group",
    collection="security-groups",
    plural="security_groups",
    alcor_collection="security-groups",
    alcor_member="security_group",
    alcor_plural="security_groups",
    fields=(
        *NAMED,
        computed(renamed("created_at", "create_at")),
        computed(renamed("updated_at", "update_at")),
        extension("stateful", FLAG),
        computed(extension("shared", FLAG)),
        computed(extension("revision_number", NUMBER)),
        extension("tags", LIST, Shape.SET),
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
        computed(extension("normalized_cidr", shape=Shape.ADDRESS)),
        computed(extension("belongs_to_default_sg", FLAG)),
        computed(extension("revision_number", NUMBER)),
        computed(extension("created_at")),
        computed(extension("updated_at")),
    ),
    references=(
        Reference("security_group_id", "security_group"),
        Reference("remote_group_id", "security_group"),
    ),
    parents=(Reference("security_group_id", "security_group"),),
)

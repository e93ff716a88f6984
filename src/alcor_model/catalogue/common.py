"""Fields that many resources share."""

from __future__ import annotations

from alcor_model.fields import LIST, NUMBER, Shape, computed, same

OWNER = (same("id", (str,)), same("project_id"), same("tenant_id"))
"""Identity and owner; `tenant_id` is the owner's old name, which Neutron still repeats."""
NAMED = (*OWNER, same("name"), same("description"))
"""The same with a name and a description."""
REVISION = computed(same("revision_number", NUMBER), "counts Neutron's own changes")
TIMES = (
    computed(same("created_at"), "Neutron's clock at the creation"),
    computed(same("updated_at"), "Neutron's clock at the last change"),
)
TAGS = same("tags", LIST, Shape.SET)

"""Fields that many resources share."""

from __future__ import annotations

from alcor_model.fields import LIST, NUMBER, Field, Shape, computed, derived, extension, lost_upstream, renamed, same

REVISION_REASON = "counts Neutron's own changes"
CREATED_REASON = "Neutron's clock at the creation"
UPDATED_REASON = "Neutron's clock at the last change"

OWNER = (same("id", (str,)), same("project_id"), same("tenant_id"))
"""Identity and owner; `tenant_id` is the owner's old name, which Neutron still repeats."""
NAMED = (*OWNER, same("name"), same("description"))
"""The same with a name and a description."""
REVISION = computed(same("revision_number", NUMBER), REVISION_REASON)
TIMES = (
    computed(same("created_at", shape=Shape.TIME), CREATED_REASON),
    computed(same("updated_at", shape=Shape.TIME), UPDATED_REASON),
)
TAGS = same("tags", LIST, Shape.SET)
STANDARD = (REVISION, *TIMES)
"""What Neutron notes of every object with standard attributes."""

OVERWRITTEN_TIMES = tuple(lost_upstream(field, "upstream writes its own, in another form") for field in TIMES)
"""Times under Neutron's names that upstream does not take."""
RENAMED_TIMES = (
    computed(renamed("created_at", "create_at", shape=Shape.TIME), CREATED_REASON),
    computed(renamed("updated_at", "update_at", shape=Shape.TIME), UPDATED_REASON),
)
EXTENSION_REVISION = computed(extension("revision_number", (int, type(None))), REVISION_REASON)
EXTENSION_TIMES = (
    computed(extension("created_at", (str, type(None)), Shape.TIME), CREATED_REASON),
    computed(extension("updated_at", (str, type(None)), Shape.TIME), UPDATED_REASON),
)
EXTENSION_TAGS = extension("tags", LIST, Shape.SET)


def asked(name: str) -> Field:
    """A field that only a request has; it decides about the object and is in no answer."""
    return derived(name, "only a request has it; what it led to is in other fields")

"""Who may use what belongs to another project."""

from __future__ import annotations

from alcor_model.catalogue.common import OWNER
from alcor_model.catalogue.declaration import Reference, bundled_only
from alcor_model.fields import same

SHARED = {
    "network": "network",
    "qos_policy": "policy",
    "security_group": "security_group",
    "address_scope": "address_scope",
    "subnetpool": "subnetpool",
    "address_group": "address_group",
}
"""What an RBAC policy can share: its `object_type`, and the resource that it means."""

_OBJECTS = tuple(Reference("object_id", name, when=("object_type", (kind,))) for kind, name in SHARED.items())

RBAC_POLICY = bundled_only(
    "rbac_policy",
    "rbac-policies",
    "rbac_policies",
    (*OWNER, same("object_type"), same("object_id"), same("action"), same("target_tenant")),
    alias="rbac-policies",
    references=_OBJECTS,
    parents=_OBJECTS,
)

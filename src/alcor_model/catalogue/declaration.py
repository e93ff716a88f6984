"""What a declaration of the catalogue says about one resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from alcor_model.fields import Field, Json, Target

if TYPE_CHECKING:
    from collections.abc import Callable

EXTENSION = "neutron:attributes"
"""The namespaced key of an Alcor object that keeps what Alcor's model has no place for."""


class Reference(msgspec.Struct, frozen=True):
    """A field (dotted; a list is walked) that holds the id of another resource.

    With `when` it does only for objects in which that field has one of those values: what an RBAC policy's
    `object_id` names is said by its `object_type`.
    """

    path: str
    resource: str
    when: tuple[str, tuple[str, ...]] | None = None

    def ids(self, neutron: Json) -> list[str]:
        """The ids that an object in Neutron's form names here; unset ones and other types are left out."""
        if self.when is not None and neutron.get(self.when[0]) not in self.when[1]:
            return []
        found: list[Any] = [neutron]
        for step in self.path.split("."):
            values = [item.get(step) for item in found if isinstance(item, dict)]
            found = [inner for value in values for inner in (value if isinstance(value, list) else [value])]
        return [value for value in found if isinstance(value, str) and value]


class Nested(msgspec.Struct, frozen=True):
    """A resource that Neutron only lists below one of another resource: `floatingips/{id}/port_forwardings`.

    In the form that our sides exchange, such an object carries the id of what it is below in `field`, whether
    Neutron's own answer has it or not.
    """

    resource: str
    """The name of the resource that it is below."""
    field: str
    """Where the id of that one is kept: `floatingip_id`."""
    hint: str = ""
    """A field of that one that is empty when there is nothing below it, which saves asking; `""` without one."""


class AlcorField(msgspec.Struct, frozen=True):
    """A field that only Alcor has, and what becomes of it."""

    name: str
    types: tuple[type, ...]
    reason: str
    """How it is filled in, or why it is left out."""


class Resource(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How one resource is called in both APIs, and how its fields map."""

    name: str
    """Singular, as in Neutron's member key: `security_group_rule`."""
    collection: str
    """The path below `/v2.0/` in Neutron's API: `security-group-rules`, `qos/policies`; of a nested resource only
    its own last part: `port_forwardings`."""
    plural: str
    """The key of a list in Neutron's API: `security_group_rules`."""
    alcor_collection: str
    """The path segment in Alcor's native API: `vpcs`."""
    alcor_member: str
    """The key of one object in Alcor's native API: `network`."""
    alcor_plural: str
    """The key of a list in Alcor's native API: `vpcs`."""
    fields: tuple[Field, ...]
    references: tuple[Reference, ...] = ()
    parents: tuple[Reference, ...] = ()
    """Objects that Neutron changes (revision_number, updated_at) together with one of these."""
    alias: str = ""
    """The API extension that brings the resource; empty when every Neutron has it."""
    nested: Nested | None = None
    """Set when Neutron lists it only below another resource."""
    identity: tuple[str, ...] = ("id",)
    """The fields that name one object. Where Neutron's answers have no `id`, our sides put these, joined by `/`,
    into `id`: the quota of a project is known by `project_id`."""
    observed: bool = False
    """Whether Neutron finds it out (agents, availability zones) rather than being told: it is carried and compared
    loosely, and nobody can create it on the way back."""
    listed: bool = True
    """Whether it can be listed at all without writing."""
    upstream: bool = True
    """Whether upstream Alcor has a place for it; what has none is a gap there, and the bundled Alcor keeps it as it
    is, under Neutron's own names."""
    alcor_only: tuple[AlcorField, ...] = ()
    """Fields of Alcor's form without a counterpart in Neutron's."""
    constants: Callable[[Json], Json] | None = None
    """Gives those of `alcor_only` that follow from Neutron's object."""

    def field(self, neutron_name: str) -> Field | None:
        """The declaration of a field, or None when it is not declared."""
        return next((f for f in self.fields if f.neutron == neutron_name), None)

    @property
    def tags_collection(self) -> str:
        """The path below `/v2.0/` under which Neutron takes tags: of QoS policies it is `policies`."""
        return self.collection.rsplit("/", 1)[-1]

    def fits(self, field: Field, target: Target) -> bool:
        """Whether a target keeps a field: the bundled Alcor keeps all, upstream only what its own model names."""
        return target is Target.BUNDLED or (self.upstream and bool(field.alcor) and not field.upstream_loses)


def bundled_only(
    name: str,
    collection: str,
    plural: str,
    fields: tuple[Field, ...],
    *,
    alias: str,
    alcor_collection: str = "",
    references: tuple[Reference, ...] = (),
    parents: tuple[Reference, ...] = (),
    nested: Nested | None = None,
    identity: tuple[str, ...] = ("id",),
    observed: bool = False,
    listed: bool = True,
) -> Resource:
    """A resource that Alcor's model has no place for: the bundled Alcor keeps it under Neutron's own names.

    Its collection in Alcor's native API is Neutron's, with `-` for `/` and `_`.
    """
    return Resource(
        name=name,
        collection=collection,
        plural=plural,
        alcor_collection=alcor_collection or collection.replace("/", "-").replace("_", "-"),
        alcor_member=name,
        alcor_plural=plural,
        fields=fields,
        alias=alias,
        references=references,
        parents=parents,
        nested=nested,
        identity=identity,
        observed=observed,
        listed=listed,
        upstream=False,
    )

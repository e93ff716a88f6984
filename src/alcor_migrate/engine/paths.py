"""Which object of Neutron's API a request's path names: a pure reading of the declarations."""

from __future__ import annotations

import msgspec

from alcor_model import RESOURCES, Resource, resource


class Named(msgspec.Struct, frozen=True):
    """What a path names. `/v2.0/floatingips/F/port_forwardings/P`: the floating IP F, below it P."""

    of: Resource
    id: str = ""
    """Empty for a whole collection."""
    below: Resource | None = None
    """A resource that lies below the object."""
    below_id: str = ""
    action: tuple[str, ...] = ()
    """What follows that is no resource: `tags`, `add_router_interface`, `bindings`."""


class Undeclared(msgspec.Struct, frozen=True):
    """A path of a resource that nobody declared."""

    collection: str


def named(path: str) -> Named | Undeclared | None:
    """What a path names; None where it is no object's."""
    segments = [s for s in path.partition("?")[0].split("/") if s]
    if segments and segments[0] == "v2.0":
        segments = segments[1:]
    if not segments:
        return None
    segments[-1] = segments[-1].removesuffix(".json")
    for length in (2, 1):
        of = _LISTED.get("/".join(segments[:length]))
        if of is None:
            continue
        object_id, *rest = segments[length:] or [""]
        if of.nested:  # by an alias: the rule of a QoS policy without the policy
            return Named(resource(of.nested.resource), "", of, object_id, tuple(rest))
        below = _BELOW.get((of.name, rest[0].replace("-", "_"))) if rest else None
        if below:
            return Named(of, object_id, below, rest[1] if rest[1:] else "", tuple(rest[2:]))
        return Named(of, object_id, action=tuple(rest))
    return Undeclared(segments[0])


def _spellings(of: Resource) -> set[str]:
    """Where a resource is found. Tags have their own spelling: `policies/{id}/tags`, `security_groups/{id}/tags`."""
    if of.nested:
        return {f"qos/alias-{of.collection.replace('_', '-')}"} if of.nested.resource == "policy" else set()
    return {of.collection, of.plural, of.plural.replace("_", "-")}


_LISTED = {spelling: of for of in RESOURCES for spelling in _spellings(of)}
_BELOW = {(of.nested.resource, of.collection.replace("-", "_")): of for of in RESOURCES if of.nested}

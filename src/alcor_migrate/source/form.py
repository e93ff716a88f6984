"""The form in which the source's sides give an object, beside what Neutron itself answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alcor_model import Resource
    from alcor_model.fields import Json


def identified(of: Resource, found: Json, parent_id: str | None = None) -> Json:
    """An answer of Neutron with the id of what it lies below, and with an `id` where Neutron gives it none.

    What should have an id and has none gets an empty one: whoever converts it names it as malformed and goes on.
    """
    if not isinstance(found, dict):
        return {"id": ""}
    if of.nested and parent_id is not None and of.nested.field not in found:
        found = {**found, of.nested.field: parent_id}
    if of.identity != ("id",):
        found = {**found, "id": "/".join(str(found.get(name) or "") for name in of.identity)}
    return found if isinstance(found.get("id"), str) else {**found, "id": ""}

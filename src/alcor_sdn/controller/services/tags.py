"""Tags of an object: distinct texts, in no order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session


def replace(session: Session, of: Resource, found: Json, tags: list[str]) -> Json:
    """Give an object exactly these tags."""
    wanted = list(dict.fromkeys(tags))
    if set(wanted) == set(found.get("tags") or []):
        return found
    return session.touch(of, {**found, "tags": wanted})

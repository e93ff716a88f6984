"""Converts one object between Neutron's form and Alcor's, by the declarations of the catalogue.

Neutron → Alcor → Neutron is the identity for every field that is not derived: what the object had is there
again with the same value, and what it did not have does not appear.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from alcor_model.catalogue import EXTENSION, Resource
from alcor_model.errors import MalformedObject
from alcor_model.fields import Field, Json, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def _forward(of: Resource) -> Mapping[str, Field]:
    return {f.neutron: f for f in of.fields}


@cache
def _backward(of: Resource) -> Mapping[str, Field]:
    return {f.alcor: f for f in of.fields if f.alcor}


def to_alcor(of: Resource, neutron: Json) -> Json:
    """Alcor's form of an object that Neutron answered.

    Derived fields are left out; fields without a place in Alcor go into the extension.
    Raises MalformedObject, naming the object and the field.
    """
    check(of, neutron)
    declared = _forward(of)
    alcor: Json = {}
    extra: Json = {}
    for name, value in neutron.items():
        field = declared.get(name)
        if field is None or field.kind is Kind.EXTENSION:
            extra[name] = value
        elif field.kind is not Kind.DERIVED:
            alcor[field.alcor] = field.forward(value) if field.forward else value
    if of.constants is not None:
        alcor.update(of.constants(neutron))
    if extra:
        alcor[EXTENSION] = extra
    return alcor


def to_neutron(of: Resource, alcor: Json) -> Json:
    """Neutron's form of an object that Alcor holds, without its derived fields.

    Fields that only Alcor has are left out. Raises MalformedObject.
    """
    if not isinstance(alcor, dict):
        raise MalformedObject(of.name, "", "(object)", f"is {_type(alcor)}, not an object")
    declared = _backward(of)
    neutron: Json = {}
    for name, value in alcor.items():
        field = declared.get(name)
        if field is not None:
            neutron[field.neutron] = field.backward(value) if field.backward else value
    neutron.update(alcor.get(EXTENSION) or {})
    return neutron


def check(of: Resource, neutron: Any) -> None:
    """Raise MalformedObject unless the object is what Neutron's API promises for its declared fields."""
    if not isinstance(neutron, dict):
        raise MalformedObject(of.name, "", "(object)", f"is {_type(neutron)}, not an object")
    object_id = neutron.get("id")
    if not isinstance(object_id, str) or not object_id:
        raise MalformedObject(of.name, "", "id", "is missing" if object_id is None else "is not an id")
    for field in of.fields:
        if not field.types:
            continue
        value = neutron.get(field.neutron)
        if value is None:
            if type(None) not in field.types:
                raise MalformedObject(of.name, object_id, field.neutron, "is missing")
        elif type(value) not in field.types:
            wanted = " or ".join(_NAMES[t] for t in field.types if t is not type(None))
            raise MalformedObject(of.name, object_id, field.neutron, f"is {_type(value)}, not {wanted}")


_NAMES = {str: "a text", bool: "true or false", int: "a number", list: "a list", dict: "an object"}


def _type(value: Any) -> str:
    return _NAMES.get(type(value), "null" if value is None else f"a {type(value).__name__}")

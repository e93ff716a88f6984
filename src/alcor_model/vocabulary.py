"""Neutron's and Alcor's resources as types, made from the declarations of the catalogue.

    Port = neutron_type(resource("port"))
    port = read(Port, answer["port"])
    port.binding_host_id, port.mac_address
    write(port) == answer["port"]

An attribute is called as in JSON, with `_` for what no identifier can have; what an object does not have is UNSET.
Fields that nobody declared are kept in `undeclared`. msgspec can decode and encode these types and make JSON schemas
of them; it refuses undeclared fields then, rather than dropping them. For objects that stay dicts, `mapping.check`
goes by the same declarations and is faster.
"""

from __future__ import annotations

import keyword
import operator
import re
from functools import cache, reduce
from typing import Any, ClassVar, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

from alcor_model.catalogue import EXTENSION, Resource
from alcor_model.errors import MalformedObject
from alcor_model.fields import Field, Json, Kind
from alcor_model.mapping import check


class Typed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One object of a vocabulary."""

    OF: ClassVar[Resource]
    """The declaration it is made from."""
    API: ClassVar[str]
    """`neutron` or `alcor`: whose form it is."""

    undeclared: dict[str, Any] | UnsetType = UNSET
    """Fields that nobody declared."""


class Extension(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What Alcor's model has no place for, in `neutron:attributes`."""

    undeclared: dict[str, Any] | UnsetType = UNSET


S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=Typed)


@cache
def neutron_type(of: Resource) -> type[Typed]:
    """The type of a resource's objects in Neutron's API, with every declared field, derived ones too."""
    return _typed(of, "neutron", [(f.neutron, _of_types(f.types), _required(f)) for f in of.fields])


@cache
def alcor_type(of: Resource) -> type[Typed]:
    """The type of a resource's objects in Alcor's API; what it keeps for Neutron is in `neutron_attributes`.

    Nothing but the id must be there, since Alcor's own objects lack what only Neutron asks for. A field that is held
    in another form than Neutron's may be anything.
    """
    places: list[tuple[str, Any, bool]] = [
        (
            f.alcor,
            _of_types(() if f.kind is Kind.CONVERTED else (*f.types, type(None)) if f.types else ()),
            f.alcor == "id",
        )
        for f in of.fields
        if f.alcor
    ]
    places += [(only.name, _of_types((*only.types, type(None))), False) for only in of.alcor_only]
    kept = [f for f in of.fields if f.kind is Kind.EXTENSION]
    extension = _struct(f"{_name(of)}Extension", Extension, [(f.neutron, _of_types(f.types), False) for f in kept])
    return _typed(of, "alcor", [*places, (EXTENSION, extension, False)])


def read(kind: type[T], found: Any) -> T:
    """An object of a vocabulary from the JSON object that its API answered.

    Raises MalformedObject, naming the object and the field.
    """
    of = kind.OF
    if kind.API == "neutron":
        check(of, found)
    elif not isinstance(found, dict):
        raise MalformedObject(of.name, "", "(object)", f"is {type(found).__name__}, not an object")
    try:
        return msgspec.convert(_gathered(kind, found), kind)
    except msgspec.ValidationError as error:
        object_id = found.get("id")
        problem, _, path = str(error).partition(" - at `$")
        field = ".".join(re.findall(r"[^.\[\]`]+", path)) or _MISSING.sub(r"\1", problem)
        raise MalformedObject(
            of.name, object_id if isinstance(object_id, str) else "", field, f": {problem}"
        ) from error


def write(typed: msgspec.Struct) -> Json:
    """The JSON object of an object of a vocabulary."""
    found: Json = {}
    for attribute, name in zip(typed.__struct_fields__, typed.__struct_encode_fields__, strict=True):
        value = getattr(typed, attribute)
        if value is UNSET:
            continue
        if attribute == "undeclared":
            found.update(value)
        else:
            found[name] = write(value) if isinstance(value, Extension) else value
    return found


def attribute(name: str) -> str:
    """What a JSON name is called as an attribute: `binding_host_id` for `binding:host_id`."""
    identifier = re.sub(r"\W", "_", name)
    return identifier + "_" if keyword.iskeyword(identifier) else identifier


_MISSING = re.compile(r"^.*`(.*)`.*$")
_CONTAINERS: dict[type, Any] = {list: list[Any], dict: dict[str, Any]}


def _typed(of: Resource, api: str, fields: list[tuple[str, Any, bool]]) -> type[Typed]:
    kind = _struct(f"{api.title()}{_name(of)}", Typed, fields)
    kind.OF, kind.API = of, api
    kind.__doc__ = f"{of.name} as {api.title()}'s API has it."
    return kind


def _struct(name: str, base: type[S], fields: list[tuple[str, Any, bool]]) -> type[S]:
    """A type with fields of (name in JSON, type, whether it must be there)."""
    definitions = [
        (attribute(field), kind) if required else (attribute(field), kind if kind is Any else kind | UnsetType, UNSET)
        for field, kind, required in fields
    ]
    renamed = {attribute(field): field for field, _, _ in fields}
    made = msgspec.defstruct(name, definitions, bases=(base,), rename=renamed, module=__name__, kw_only=True)
    return cast("type[S]", made)


def _name(of: Resource) -> str:
    return of.name.title().replace("_", "")


def _required(field: Field) -> bool:
    return bool(field.types) and type(None) not in field.types


def _of_types(types: tuple[type, ...]) -> Any:
    return reduce(operator.or_, [_CONTAINERS.get(each, each) for each in types]) if types else Any


def _gathered(kind: type[msgspec.Struct], found: Json) -> Json:
    """The object with what nobody declared put together, also in what Alcor keeps for Neutron."""
    declared = set(kind.__struct_encode_fields__) - {"undeclared"}
    gathered = {name: value for name, value in found.items() if name in declared}
    if len(gathered) < len(found):
        gathered["undeclared"] = {name: value for name, value in found.items() if name not in declared}
    extension = gathered.get(EXTENSION)
    if isinstance(extension, dict):
        inner = next(f.type for f in msgspec.structs.fields(kind) if f.encode_name == EXTENSION)
        gathered[EXTENSION] = _gathered(inner.__args__[0], extension)
    return gathered

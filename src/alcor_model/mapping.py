"""Converts one object between Neutron's form and Alcor's, by the declarations of the catalogue.

Neutron → Alcor → Neutron is the identity for every field that is not derived: what the object had is there
again with the same value, and what it did not have does not appear.

All objects of a resource that have the same names and the same types of values are converted alike. What follows
from names and types is worked out once, as a plan, and kept; an object then costs a few calls.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from alcor_model.catalogue import EXTENSION, Resource
from alcor_model.contradictions import CONTRADICTIONS
from alcor_model.errors import MalformedObject
from alcor_model.fields import Json, Kind, Shape
from alcor_model.spelling import address_problem

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = {"name": 255, "description": 1024}
"""Characters in a text at most. Neutron's database columns: 255 for names and most descriptions, 1024 for some."""

PLANS = 4096
"""How many plans are kept. A cloud has a few for each resource; foreign objects must not fill the memory."""


def to_alcor(of: Resource, neutron: Json) -> Json:
    """Alcor's form of an object that Neutron answered.

    Derived fields are left out; fields without a place in Alcor go into the extension.
    Raises MalformedObject, naming the object and the field.
    """
    plan = _checked(of, neutron)
    alcor = neutron.copy()
    for name in plan.taken_out:
        del alcor[name]
    for before, after, convert in plan.moves:
        value = neutron[before]
        alcor[after] = value if convert is None else _converted(of, neutron, before, convert, value)
    if of.constants is not None:
        computed = ", ".join(field.name for field in of.alcor_only)
        alcor.update(_converted(of, neutron, computed, of.constants, neutron))
    if plan.extra:
        alcor[EXTENSION] = {name: neutron[name] for name in plan.extra}
    return alcor


def to_neutron(of: Resource, alcor: Json) -> Json:
    """Neutron's form of an object that Alcor holds, without its derived fields.

    Fields that only Alcor has are left out. The object may be a part of one; `check` says whether the result is what
    Neutron's API promises. Raises MalformedObject where it cannot be converted.
    """
    if type(alcor) is not dict:
        raise MalformedObject(of.name, "", "(object)", f"is {_type(alcor)}, not an object")
    plan = _backward(of, tuple(alcor))
    neutron = alcor.copy()
    for name in plan.taken_out:
        del neutron[name]
    for before, after, convert in plan.moves:
        value = alcor[before]
        neutron[after] = value if convert is None else _converted(of, alcor, before, convert, value)
    extra = alcor.get(EXTENSION)
    if extra:
        if type(extra) is not dict:
            raise MalformedObject(of.name, _id(alcor), EXTENSION, f"is {_type(extra)}, not an object")
        neutron.update(extra)
    return neutron


def check(of: Resource, neutron: Any) -> None:
    """Raise MalformedObject unless the object is what Neutron's API promises for its declared fields.

    It has an id, what must be there is there, everything is of its type, texts are no longer than Neutron's own, and
    addresses are addresses, IPv4 ones not written as IPv6; and it does not contradict itself.
    """
    _checked(of, neutron)


Move = tuple[str, str, "Callable[[Any], Any] | None"]
"""A field's name before and after, and the function that gives its value after where that is another one."""


class _Forward(msgspec.Struct, frozen=True):
    """How objects of one resource with the same names and types of values become Alcor's."""

    names: tuple[str, ...]
    types: tuple[type, ...]
    taken_out: tuple[str, ...]
    """What does not stay under its name: derived, for the extension, or moved."""
    extra: tuple[str, ...]
    """What goes into the extension."""
    moves: tuple[Move, ...]
    """What changes its name or form."""
    limits: tuple[tuple[str, int], ...]
    """Texts that have a longest length."""
    addresses: tuple[str, ...]
    address_lists: tuple[str, ...]


class _Backward(msgspec.Struct, frozen=True):
    """How objects of one resource with the same names become Neutron's."""

    taken_out: tuple[str, ...]
    """What only Alcor has, or is moved."""
    moves: tuple[Move, ...]


_latest: dict[Resource, _Forward] = {}
"""The plan of each resource's latest object: the next is mostly like it, and comparing is faster than looking up."""


def _checked(of: Resource, neutron: Any) -> _Forward:
    """The plan for an object, which is what Neutron's API promises. Raises MalformedObject."""
    if type(neutron) is not dict:
        raise MalformedObject(of.name, "", "(object)", f"is {_type(neutron)}, not an object")
    if neutron.get("id") == "":
        raise MalformedObject(of.name, "", "id", "is not an id")
    names, types = tuple(neutron), tuple(map(type, neutron.values()))
    plan = _latest.get(of)
    if plan is None or plan.types != types or plan.names != names:
        found = _forward(of, names, types)
        if isinstance(found, tuple):
            raise MalformedObject(of.name, _id(neutron), *found)
        plan = _latest[of] = found
    _check_values(of, neutron, plan)
    return plan


def _check_values(of: Resource, neutron: Json, plan: _Forward) -> None:
    """Look at what names and types do not say."""
    for name, longest in plan.limits:
        if len(neutron[name]) > longest:
            problem = f"is {len(neutron[name])} characters long, more than {longest}"
            raise MalformedObject(of.name, _id(neutron), name, problem)
    for name in plan.addresses:
        if problem := address_problem(neutron[name]):
            raise MalformedObject(of.name, neutron["id"], name, problem)
    for name in plan.address_lists:
        for item in neutron[name]:  # an address, or an object with an `ip_address`
            text = item.get("ip_address") if type(item) is dict else item
            problem = address_problem(text) if type(text) is str else "" if text is None else f"holds {_type(text)}"
            if problem:
                raise MalformedObject(of.name, neutron["id"], name, problem)
    if of.name in CONTRADICTIONS and (found := CONTRADICTIONS[of.name](neutron)):
        raise MalformedObject(of.name, neutron["id"], *found)


@lru_cache(maxsize=PLANS)
def _forward(of: Resource, names: tuple[Any, ...], types: tuple[type, ...]) -> _Forward | tuple[str, str]:
    """The plan for objects with these names and types of values, or the field that they have wrong and how."""
    type_of = dict(zip(names, types, strict=True))
    if problem := _type_problem(of, type_of):
        return problem
    declared = {f.neutron: f for f in of.fields}
    present = [f for f in of.fields if f.neutron in type_of]
    derived = {f.neutron for f in present if f.kind is Kind.DERIVED}
    extra = tuple(n for n in names if n not in declared or declared[n].kind is Kind.EXTENSION)
    moves = tuple((f.neutron, f.alcor, f.forward) for f in present if f.alcor and (f.forward or f.alcor != f.neutron))
    return _Forward(
        names=names,
        types=types,
        taken_out=tuple(derived.union(extra, (before for before, _, _ in moves))),
        extra=extra,
        moves=moves,
        limits=tuple((n, longest) for n, longest in LONGEST.items() if type_of.get(n) is str),
        addresses=tuple(f.neutron for f in present if f.shape is Shape.ADDRESS and type_of[f.neutron] is str),
        address_lists=tuple(
            f.neutron for f in present if f.shape is Shape.ADDRESS_SET and type_of[f.neutron] is list
        ),
    )


@lru_cache(maxsize=PLANS)
def _backward(of: Resource, names: tuple[Any, ...]) -> _Backward:
    """The plan for objects with these names."""
    present = [f for f in of.fields if f.alcor and f.alcor in names]
    moves = tuple((f.alcor, f.neutron, f.backward) for f in present if f.backward or f.alcor != f.neutron)
    stay = {f.alcor for f in present} - {before for before, _, _ in moves}
    return _Backward(taken_out=tuple(n for n in names if n not in stay), moves=moves)


def _type_problem(of: Resource, type_of: dict[Any, type]) -> tuple[str, str] | None:
    """The first field that is missing or of a wrong type, and what is wrong with it."""
    for name in type_of:
        if type(name) is not str:
            return str(name), f"has a name that is {_NAMES.get(type(name), 'no text')}"
    if type_of.get("id") is not str:
        return "id", "is missing" if type_of.get("id", type(None)) is type(None) else "is not an id"
    for field in of.fields:
        found = type_of.get(field.neutron, type(None))
        if not field.types or found in field.types:
            continue
        if found is type(None):
            return field.neutron, "is missing"
        wanted = " or ".join(_NAMES[t] for t in field.types if t is not type(None))
        return field.neutron, f"is {_NAMES.get(found, f'a {found.__name__}')}, not {wanted}"
    return None


def _converted(of: Resource, given: Json, field: str, function: Callable[[Any], Any], value: Any) -> Any:
    try:
        return function(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise MalformedObject(of.name, _id(given), field, f"cannot be converted: {error}") from error


def _id(given: Json) -> str:
    """The object's id as far as it can be told."""
    found = given.get("id")
    return found[:100] if isinstance(found, str) else ""


_NAMES = {
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number with a fraction",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def _type(value: Any) -> str:
    return _NAMES.get(type(value), f"a {type(value).__name__}")

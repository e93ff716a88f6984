"""One normal form per object, so that two systems' answers can be compared.

Not set is one thing (`null`, `""`, `[]`, `{}` and absent are the same), lists that mean sets are sorted, and
addresses, networks, MACs and times are spelled one way. What is derived or changes by itself is not part of it;
`left_out` names those fields and says why.

Objects of a resource that have the same names are brought into their form alike: the order of the fields and what is
done to each is worked out once and kept.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from alcor_model import spelling
from alcor_model.errors import MalformedObject
from alcor_model.fields import Field, Json, Shape

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_model.catalogue import Resource

_encode = msgspec.json.Encoder(order="sorted").encode


class Difference(msgspec.Struct, frozen=True):
    """One field in which two objects differ, both values in canonical form; None is not set."""

    field: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.field}: {_contrast(self.ours, self.theirs)}"


def canonical(of: Resource, neutron: Json, *, given: bool = False) -> Json:
    """The normal form of an object in Neutron's form: sorted keys, nothing unset, nothing derived.

    With `given` only what a client can give is left: not what Neutron fills in by itself (states, times, revision
    numbers), and not what nobody declared. That is what Neutron can be brought to hold.
    Raises MalformedObject for what has no form: text that is no Unicode, nesting without end.
    """
    result: Json = {}
    name = "(object)"
    try:
        for name, normal in _plan(of, tuple(neutron), given):
            value = neutron[name]
            if normal is not None and value is not None:
                value = normal(value)
            if value or value == 0:  # which False is, too
                result[name] = value
    except (RecursionError, UnicodeEncodeError) as error:
        raise _formless(of, neutron, name, error) from error
    return result


def digest(of: Resource, neutron: Json, *, given: bool = False) -> bytes:
    """16 bytes that are equal exactly when the canonical forms are (BLAKE2b). Raises as `canonical` does."""
    return hashlib.blake2b(_written(of, neutron, canonical(of, neutron, given=given)), digest_size=16).digest()


def differences(of: Resource, ours: Json, theirs: Json, *, given: bool = False) -> list[Difference]:
    """The fields in which two objects differ, by name; empty when they are equal. Raises as `canonical` does."""
    left, right = canonical(of, ours, given=given), canonical(of, theirs, given=given)
    return [
        Difference(name, left.get(name), right.get(name))
        for name in sorted(left.keys() | right.keys())
        # Not the values themselves: 1 is not true, though Python says so.
        if _written(of, ours, left.get(name)) != _written(of, theirs, right.get(name))
    ]


def left_out(of: Resource) -> dict[str, str]:
    """The fields that are never compared, and why."""
    return {f.neutron: f.reason for f in of.fields if not f.compared}


def _written(of: Resource, neutron: Json, form: Any) -> bytes:
    """A canonical form, or one value of it, as JSON that is equal exactly when it is."""
    try:
        return _encode(form)
    except (RecursionError, UnicodeEncodeError) as error:
        raise _formless(of, neutron, "(object)", error) from error


def _formless(of: Resource, neutron: Json, field: str, error: Exception) -> MalformedObject:
    object_id = neutron.get("id")
    return MalformedObject(of.name, object_id if isinstance(object_id, str) else "", field, f"has no form: {error}")


@lru_cache(maxsize=4096)
def _plan(of: Resource, names: tuple[str, ...], given: bool) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:  # noqa: FBT001 - a key of the cache
    """The names that are compared, in order, and what brings their values into normal form."""
    declared = {f.neutron: f for f in of.fields}
    plan: list[tuple[str, Callable[[Any], Any] | None]] = []
    for name in sorted(names):
        field = declared.get(name)
        if field is None and not given:
            plan.append((name, _plain))
        elif field is not None and field.compared and not (given and field.computed):
            plan.append((name, _normal_form(field)))
    return tuple(plan)


def _normal_form(field: Field) -> Callable[[Any], Any] | None:
    if field.shape is Shape.PLAIN and field.types and not {list, dict} & set(field.types):
        return None
    return _BY_SHAPE[field.shape]


def _plain(value: Any) -> Any:
    """The value without unset members."""
    if type(value) is dict:
        members = {name: _plain(inner) for name, inner in value.items() if inner is not None}
        return {name: inner for name, inner in members.items() if inner or inner == 0}
    if type(value) is list:
        return [_plain(item) for item in value]
    return value


def _set(value: Any) -> Any:
    if type(value) is not list:
        return _plain(value)
    return _sorted([_plain(item) for item in value])


def _address_set(value: Any) -> Any:
    if type(value) is not list:
        return _plain(value)
    return _sorted([_plain(_spelled(item)) for item in value])


def _gateways(value: Any) -> Any:
    if type(value) is list:
        return _sorted([_gateways(item) for item in value])
    if type(value) is dict and "external_fixed_ips" in value:
        value = {**value, "external_fixed_ips": _address_set(value["external_fixed_ips"])}
    return _plain(value)


def _sorted(items: list[Any]) -> list[Any]:
    return sorted(items, key=_encode) if len(items) > 1 else items


def _spelled(item: Any) -> Any:
    """An address, or an object with addresses in it, in one spelling."""
    if type(item) is str:
        return spelling.address(item)
    if type(item) is not dict:
        return item
    spelled = item.copy()
    for name, spell in _SPELLED:
        if type(spelled.get(name)) is str:
            spelled[name] = spell(spelled[name])
    return spelled


_SPELLED = (("ip_address", spelling.address), ("mac_address", spelling.mac))


def _text(spell: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: spell(value) if type(value) is str else _plain(value)


_BY_SHAPE: dict[Shape, Callable[[Any], Any]] = {
    Shape.PLAIN: _plain,
    Shape.SET: _set,
    Shape.ADDRESS: _text(spelling.address),
    Shape.ADDRESS_SET: _address_set,
    Shape.GATEWAYS: _gateways,
    Shape.MAC: _text(spelling.mac),
    Shape.TIME: _text(spelling.moment),
}


def _contrast(ours: Any, theirs: Any) -> str:
    """Two values that differ, in a line: of lists and objects only what is not in both."""
    if isinstance(ours, list) and isinstance(theirs, list):
        only_ours, only_theirs = _without(ours, theirs), _without(theirs, ours)
        if not only_ours and not only_theirs:
            return f"{_shown(ours)} ≠ {_shown(theirs)} (in another order)"
        both = [text for text in (_only("ours", only_ours), _only("theirs", only_theirs)) if text]
        return ", ".join(both)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = [n for n in sorted(ours.keys() | theirs.keys()) if ours.get(n) != theirs.get(n)]
        return "; ".join(f"{name}: {_contrast(ours.get(name), theirs.get(name))}" for name in names)
    return f"{_shown(ours)} ≠ {_shown(theirs)}"


def _without(items: list[Any], others: list[Any]) -> list[Any]:
    """The items that the others do not have, each as often as it is there too often."""
    rest = list(others)
    missing = []
    for item in items:
        if item in rest:
            rest.remove(item)
        else:
            missing.append(item)
    return missing


def _only(whose: str, items: list[Any]) -> str:
    return f"only {whose}: {', '.join(map(_shown, items))}" if items else ""


def _shown(value: Any) -> str:
    text = "not set" if value is None else repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({len(text)} characters)"


LONGEST_SHOWN = 200
"""Characters of one value in a difference that is told to a person."""

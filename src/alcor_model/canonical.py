"""One normal form per object, so that two systems' answers can be compared.

Not set is one thing (`null`, `""`, `[]`, `{}` and absent are the same), lists that mean sets are sorted, and
addresses, networks and MACs are spelled one way. Derived fields are not part of it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from alcor_model.fields import Json, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_model.catalogue import Resource

_encode = msgspec.json.Encoder(order="sorted").encode


class Difference(msgspec.Struct, frozen=True):
    """One field in which two objects differ, both values in canonical form."""

    field: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        return f"{self.field}: {self.ours!r} ≠ {self.theirs!r}"


def canonical(of: Resource, neutron: Json, *, given: bool = False) -> Json:
    """The normal form of an object in Neutron's form: sorted keys, nothing unset, nothing derived.

    With `given` only what a client can give is left: not what Neutron fills in by itself (states, times, revision
    numbers), and not what nobody declared. That is what Neutron can be brought to hold.
    """
    shapes = _shapes(of)
    left_out = _left_out(of)
    kept = _given(of) if given else None
    result: Json = {}
    for name in sorted(neutron):
        if name in left_out or (kept is not None and name not in kept):
            continue
        value = _normal(neutron[name], shapes.get(name, Shape.PLAIN))
        if value is not None:
            result[name] = value
    return result


def digest(of: Resource, neutron: Json, *, given: bool = False) -> bytes:
    """16 bytes that are equal exactly when the canonical forms are (BLAKE2b)."""
    return hashlib.blake2b(_encode(canonical(of, neutron, given=given)), digest_size=16).digest()


def differences(of: Resource, ours: Json, theirs: Json, *, given: bool = False) -> list[Difference]:
    """The fields in which two objects differ, by name; empty when they are equal."""
    left, right = canonical(of, ours, given=given), canonical(of, theirs, given=given)
    return [
        Difference(name, left.get(name), right.get(name))
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    ]


@cache
def _shapes(of: Resource) -> Mapping[str, Shape]:
    return {f.neutron: f.shape for f in of.fields}


@cache
def _given(of: Resource) -> frozenset[str]:
    return frozenset(f.neutron for f in of.fields if not f.computed)


@cache
def _left_out(of: Resource) -> frozenset[str]:
    return frozenset(f.neutron for f in of.fields if not f.compared)


def _normal(value: Any, shape: Shape) -> Any:
    if value is None or value in ("", [], {}):
        return None
    match shape:
        case Shape.SET if isinstance(value, list):
            return sorted((_plain(item) for item in value), key=_encode)
        case Shape.ADDRESS_SET if isinstance(value, list):
            return sorted((_plain(_addresses(item)) for item in value), key=_encode)
        case Shape.ADDRESS if isinstance(value, str):
            return _address(value)
        case Shape.MAC if isinstance(value, str):
            return _mac(value)
        case _:
            return _plain(value)


def _plain(value: Any) -> Any:
    """The value without unset members."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None and v not in ("", [], {})}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _addresses(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    spelled = dict(item)
    if isinstance(spelled.get("ip_address"), str):
        spelled["ip_address"] = _address(spelled["ip_address"])
    if isinstance(spelled.get("mac_address"), str):
        spelled["mac_address"] = _mac(spelled["mac_address"])
    return spelled


def _address(text: str) -> str:
    try:
        if "/" in text:
            return str(ipaddress.ip_network(text, strict=False))
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _mac(text: str) -> str:
    return text.lower().replace("-", ":")

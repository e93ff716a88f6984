"""What a declaration is made of: how one field of Neutron's form stands in Alcor's.

Neutron's names are those of the Network API v2.0 reference; Alcor's are the JSON names of its `web` module,
misspellings included, because its clients rely on them.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
"""A JSON object as it travels."""


class Kind(Enum):
    """What becomes of a field on its way to Alcor."""

    SAME = "same"
    """Same name, same meaning, value kept."""
    RENAMED = "renamed"
    """Another name, same value."""
    CONVERTED = "converted"
    """Another name and another form of the same value."""
    EXTENSION = "extension"
    """Alcor has no place for it: kept whole in the namespaced extension."""
    DERIVED = "derived"
    """Computed from other objects, or told otherwise, by whoever answers; never stored, never compared."""


class Shape(Enum):
    """How a value is compared: the order of a list, the spelling of an address."""

    PLAIN = "plain"
    SET = "set"
    """A list whose order means nothing."""
    ADDRESS = "address"
    """One IP address or CIDR."""
    ADDRESS_SET = "address set"
    """A list of addresses or CIDRs, or of objects with `ip_address` and `mac_address`; its order means nothing."""
    GATEWAYS = "gateways"
    """A router's gateway, or a list of them; no order means anything, also not that of `external_fixed_ips`."""
    MAC = "mac"
    TIME = "time"
    """A moment: `2026-11-22T20:30:00Z`, `2026-11-22 20:30:00` and the like, in UTC."""


class Target(Enum):
    """Which Alcor the objects go to."""

    BUNDLED = "bundled"
    """This project's, which keeps everything."""
    UPSTREAM = "upstream"
    """The archived Java code, which keeps what its model names, with its defects."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field of a resource.

    `reason` says why a field is derived or not compared, or what computes it.
    `forward` and `backward` are inverse functions, and only a CONVERTED field has them.
    """

    neutron: str
    kind: Kind
    alcor: str = ""
    types: tuple[type, ...] = ()
    shape: Shape = Shape.PLAIN
    compared: bool = True
    computed: bool = False
    """Neutron fills it in by itself, so nobody can give it on the way back."""
    reason: str = ""
    secret: bool = False
    """A password or key: carried and compared, never shown."""
    upstream_loses: str = ""
    """Why upstream Alcor does not keep what its model names, which makes the field a gap; empty when it does."""
    forward: Callable[[Any], Any] | None = None
    backward: Callable[[Any], Any] | None = None


TEXT = (str, type(None))
FLAG = (bool, type(None))
NUMBER = (int, type(None))
LIST = (list, type(None))
OBJECT = (dict, type(None))


def same(name: str, types: tuple[type, ...] = TEXT, shape: Shape = Shape.PLAIN) -> Field:
    """A field that Alcor knows under the same name."""
    return Field(neutron=name, alcor=name, kind=Kind.SAME, types=types, shape=shape)


def lost_upstream(field: Field, reason: str) -> Field:
    """The same field, marked as one that upstream Alcor names but does not keep, or changes, for a reason."""
    return msgspec.structs.replace(field, upstream_loses=reason)


def renamed(neutron: str, alcor: str, types: tuple[type, ...] = TEXT, shape: Shape = Shape.PLAIN) -> Field:
    """A field that Alcor knows under another name."""
    return Field(neutron=neutron, alcor=alcor, kind=Kind.RENAMED, types=types, shape=shape)


def converted(
    neutron: str,
    alcor: str,
    forward: Callable[[Any], Any],
    backward: Callable[[Any], Any],
    types: tuple[type, ...] = TEXT,
    shape: Shape = Shape.PLAIN,
) -> Field:
    """A field that Alcor holds in another form."""
    return Field(
        neutron=neutron,
        alcor=alcor,
        kind=Kind.CONVERTED,
        types=types,
        shape=shape,
        forward=forward,
        backward=backward,
    )


def extension(name: str, types: tuple[type, ...] = (), shape: Shape = Shape.PLAIN) -> Field:
    """A field that Alcor has no place for.

    Undeclared fields go the same way; declaring one gives it a type, a shape and a line in the documentation.
    In a resource that Alcor has no place for at all, the fields are `same`: the whole resource is an extension.
    """
    return Field(neutron=name, kind=Kind.EXTENSION, types=types, shape=shape)


def derived(name: str, reason: str) -> Field:
    """A field that is computed from other objects."""
    return Field(neutron=name, kind=Kind.DERIVED, compared=False, reason=reason)


def computed(field: Field, reason: str) -> Field:
    """The same field, marked as one that Neutron fills in by itself, and from what."""
    return msgspec.structs.replace(field, computed=True, reason=reason)


def volatile(field: Field, reason: str) -> Field:
    """The same field, marked as one that changes by itself: it is carried, and never compared."""
    return msgspec.structs.replace(field, computed=True, compared=False, reason=reason)


def secret(field: Field) -> Field:
    """The same field, marked as one whose value is never shown in a log, a report or a difference."""
    return msgspec.structs.replace(field, secret=True)

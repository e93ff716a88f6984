"""What source and target look like to the engine: two sides that are read and applied to in one form.

Objects are always in Neutron's form; a side that keeps another form converts at its own rim. Forward (Neutron
to Alcor) and reverse (Alcor to Neutron) are then the same engine with the sides exchanged.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import msgspec

from alcor_model import digest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
    from contextlib import AbstractAsyncContextManager

    from alcor_model import Resource
    from alcor_model.fields import Json


class Key(NamedTuple):
    """The identity of one object, by its resource's name."""

    resource: str
    id: str

    def __str__(self) -> str:
        return f"{self.resource} {self.id}"


COMES_BACK = frozenset({"network", "subnet", "security_group", "security_group_rule", "router", "port", "floatingip"})
"""The resources that Alcor's Neutron API serves, so that they can change there and come back with a reverse. Of all
others Alcor only keeps what the source gave it, and Neutron keeps its own."""


class Query(NamedTuple):
    """All objects of a resource whose field (of Neutron's form) has a value."""

    resource: str
    field: str
    value: str
    held: bool = False
    """Whether only the passive side is asked which ones: the active one no longer knows."""


class Change(msgspec.Struct, frozen=True):
    """One object on the active side (`new`) and on the passive side (`old`); None where it is absent."""

    of: Resource
    id: str
    old: Json | None
    new: Json | None
    given: bool = False
    """Whether only what a client can give is compared, because the passive side fills in the rest by itself."""

    @property
    def differs(self) -> bool:
        """Whether the two sides hold the object differently.

        What nobody can have changed on Alcor is never brought back to Neutron: there it is as it is.
        """
        if self.given and self.of.name not in COMES_BACK:
            return False
        if self.old is None or self.new is None:
            return self.old is not self.new
        new = offered(self.new, self.old) if self.given else self.new
        return digest(self.of, self.old, given=self.given) != digest(self.of, new, given=self.given)

    @property
    def key(self) -> Key:
        """The identity of the object."""
        return Key(self.of.name, self.id)


def offered(new: Json, old: Json) -> Json:
    """The values of an object without those that are unset or false and have no name in Neutron's own `old`.

    A Neutron shows, and takes, only what its extensions offer (`enable_ndp_proxy`); Alcor always shows them all.
    """
    return {name: value for name, value in new.items() if value or name in old}


class Rejection(msgspec.Struct, frozen=True):
    """A change that a side would not take, and why."""

    key: Key
    reason: str


class Fingerprint(NamedTuple):
    """What a side says of some objects without listing them."""

    objects: int
    """How many they are."""
    mark: str
    """Changes whenever one of them may have changed."""


class Side(Protocol):
    """One of the two systems.

    Every method raises CloudUnreachable or CloudRefused when the system cannot answer at all.
    """

    name: str
    """`source` or `target`."""
    keeps_everything: bool
    """Whether it holds objects exactly as given, also their times and revision numbers."""

    def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything there is of a resource, in pages; an object is given once."""
        ...

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids; those that do not exist are not in the answer."""
        ...

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field has one of these values."""
        ...

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Make this side hold what the changes say; idempotent. Answers what it would not take."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def comes_to(passive: Side, of: Resource) -> bool:
    """Whether this side, while it is the passive one, is to hold what the active one holds of a resource."""
    return passive.keeps_everything or of.name in COMES_BACK


@runtime_checkable
class Fingerprinted(Protocol):
    """A side that can say cheaply whether anything has changed."""

    async def fingerprints(self, of: Resource, length: int) -> dict[str, Fingerprint] | None:
        """By the first `length` characters of the ids: what stands behind these objects.

        None when this side has no cheaper way than to list them.
        """
        ...

    def bucket(self, of: Resource, prefix: str, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """The objects whose ids begin so, in pages."""
        ...


@runtime_checkable
class Steady(Protocol):
    """A side that can hold still."""

    def steady(self) -> AbstractAsyncContextManager[bool]:
        """Everything listed inside the block is as it was when the block began; says whether that is so."""
        ...


@runtime_checkable
class TwoWays(Protocol):
    """A side that can be read in two ways, of which the quick one relies on what we know of its inside."""

    @property
    def quick(self) -> Side:
        """The same side, read quickly."""
        ...

    async def prove_quick(self) -> set[Key]:
        """Compare what was read quickly of late with the other way; answers what lastingly differs.

        Resources of these are not read quickly any more.
        """
        ...


def quick(side: Side) -> Side:
    """The side as it is read the fastest."""
    return side.quick if isinstance(side, TwoWays) else side


async def prove_quick(side: Side) -> set[Key]:
    """What the side lastingly told wrong when it was read quickly."""
    return await side.prove_quick() if isinstance(side, TwoWays) else set()


async def fingerprints(side: Side, of: Resource, length: int) -> dict[str, Fingerprint] | None:
    """The fingerprints of a side, or None when it has none."""
    return await side.fingerprints(of, length) if isinstance(side, Fingerprinted) else None


@asynccontextmanager
async def steady(side: Side) -> AsyncIterator[bool]:
    """Have a side hold still, if it can; says whether it does."""
    if isinstance(side, Steady):
        async with side.steady() as still:
            yield still
    else:
        yield False


async def listed(side: Side, of: Resource, page_size: int, prefix: str = "") -> AsyncGenerator[Sequence[Json], None]:
    """Everything there is of a resource, or what begins so, in pages."""
    if not prefix:
        pages = side.pages(of, page_size)
    elif isinstance(side, Fingerprinted):
        pages = side.bucket(of, prefix, page_size)
    else:
        raise TypeError(f"{side.name} cannot list by the beginning of the id")
    async for page in pages:
        yield page

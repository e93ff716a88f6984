"""The order in which resources are loaded and deleted, computed from what they refer to."""

from __future__ import annotations

from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from alcor_model.catalogue import RESOURCES, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable


@cache
def load_order() -> tuple[Resource, ...]:
    """Every resource after all those that it refers to."""
    return ordered(RESOURCES)


@cache
def delete_order() -> tuple[Resource, ...]:
    """Every resource before all those that it refers to."""
    return tuple(reversed(load_order()))


def ordered(resources: Iterable[Resource]) -> tuple[Resource, ...]:
    """The resources so that each comes after those of them that it refers to, or is below; always the same order.

    A reference to its own kind says nothing about the order of resources and is left out (none is declared today).
    Two that refer to each other have no order, and a declaration is wrong: raises ValueError, naming the round. Only
    the reference of the one that is made last is declared then: a floating IP names its port, and that the
    `device_id` of its own port names the floating IP is not a reference.
    """
    known = {of.name: of for of in sorted(resources, key=lambda of: of.name)}
    graph = {name: needs(of) & known.keys() for name, of in known.items()}
    try:
        names = tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        msg = f"these resources refer to each other in a round: {' → '.join(error.args[1])}"
        raise ValueError(msg) from None
    return tuple(known[name] for name in names)


def needs(of: Resource) -> frozenset[str]:
    """The names of the resources that must be there before one of this resource can be."""
    below = {of.nested.resource} if of.nested else set()
    return frozenset({r.resource for r in of.references} | below) - {of.name}

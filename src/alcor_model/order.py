"""The order in which resources are loaded and deleted, computed from what they refer to."""

from __future__ import annotations

from functools import cache
from graphlib import TopologicalSorter

from alcor_model.catalogue import RESOURCES, Resource, resource


@cache
def load_order() -> tuple[Resource, ...]:
    """Every resource after all those that it refers to."""
    graph = {
        of.name: {r.resource for r in of.references if r.resource != of.name}
        for of in sorted(RESOURCES, key=lambda of: of.name)
    }
    return tuple(resource(name) for name in TopologicalSorter(graph).static_order())


@cache
def delete_order() -> tuple[Resource, ...]:
    """Every resource before all those that it refers to."""
    return tuple(reversed(load_order()))

"""One declaration per resource: where it lives in both APIs, what its fields become, what it refers to.

A module for each family of resources; `resource` says what a declaration is made of. To add a resource: declare it
in its family, put it into `RESOURCES`, run `make docs`.

Sources: OpenStack Network API v2.0 reference; Alcor's `web` and manager modules at its last commit.
A field that a declaration does not name is carried in the extension: nothing is dropped in silence.
"""

from __future__ import annotations

from alcor_model.catalogue.networks import NETWORK, PORT, SUBNET
from alcor_model.catalogue.resource import EXTENSION, AlcorField, Nested, Reference, Resource
from alcor_model.catalogue.routing import FLOATING_IP, ROUTER
from alcor_model.catalogue.security import SECURITY_GROUP, SECURITY_GROUP_RULE
from alcor_model.errors import UnknownResource

RESOURCES: tuple[Resource, ...] = (
    NETWORK,
    SUBNET,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    ROUTER,
    PORT,
    FLOATING_IP,
)
"""Every declared resource; `order.load_order` says in which order they are loaded."""

_BY_NAME = {name: r for r in RESOURCES for name in (r.name, r.collection, r.plural)}


def resource(name: str) -> Resource:
    """The declaration for a name, a Neutron path segment or a Neutron list key.

    Raises UnknownResource.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownResource(name) from None


__all__ = [
    "EXTENSION",
    "FLOATING_IP",
    "NETWORK",
    "PORT",
    "RESOURCES",
    "ROUTER",
    "SECURITY_GROUP",
    "SECURITY_GROUP_RULE",
    "SUBNET",
    "AlcorField",
    "Nested",
    "Reference",
    "Resource",
    "resource",
]

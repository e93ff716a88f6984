"""The vocabulary that copy, replay, verify and the bundled Alcor's Neutron API share.

* `catalogue`: one declaration per resource, both directions of the mapping side by side.
* `mapping`: converts an object from Neutron's form to Alcor's and back, by those declarations.
* `contradictions`: what an object says that cannot be true together.
* `canonical`: one normal form per object, its digest, and a readable difference of two objects.
* `spelling`: one spelling for addresses, MACs and times.
* `vocabulary`: both APIs' objects as msgspec types, made from the declarations.
* `goalstate`: what agents are told, in Alcor's protocol; the only part that needs protobuf.
* `order`: dependency order, computed from the declared references.

Pure: no I/O, no clock, nothing of the other packages.
"""

from alcor_model.canonical import Difference, canonical, differences, digest
from alcor_model.catalogue import EXTENSION, RESOURCES, Resource, resource
from alcor_model.mapping import to_alcor, to_neutron
from alcor_model.order import delete_order, load_order

__all__ = [
    "EXTENSION",
    "RESOURCES",
    "Difference",
    "Resource",
    "canonical",
    "delete_order",
    "differences",
    "digest",
    "load_order",
    "resource",
    "to_alcor",
    "to_neutron",
]

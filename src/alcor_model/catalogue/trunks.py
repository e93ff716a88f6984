"""Trunks: ports that carry others, each under a VLAN of its own."""

from __future__ import annotations

from alcor_model.catalogue.common import NAMED, STANDARD, TAGS
from alcor_model.catalogue.declaration import Reference, bundled_only
from alcor_model.fields import FLAG, LIST, Shape, computed, same

TRUNK = bundled_only(
    "trunk",
    "trunks",
    "trunks",
    (
        *NAMED,
        same("port_id", (str,)),
        same("sub_ports", LIST, Shape.SET),
        same("admin_state_up", FLAG),
        computed(same("status"), "what the agents report"),
        TAGS,
        *STANDARD,
    ),
    alias="trunk",
    references=(Reference("port_id", "port"), Reference("sub_ports.port_id", "port")),
)

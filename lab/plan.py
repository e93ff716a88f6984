"""What is to be made in a lab, as data: objects that point at each other, and what is done when they are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOURCES: tuple[str, ...] = (
    "policy",
    "bandwidth_limit_rule",
    "dscp_marking_rule",
    "minimum_bandwidth_rule",
    "address_scope",
    "subnetpool",
    "address_group",
    "service_profile",
    "flavor",
    "metering_label",
    "metering_label_rule",
    "network_segment_range",
    "default_security_group_rule",
    "network",
    "segment",
    "subnet",
    "security_group",
    "security_group_rule",
    "port",
    "router",
    "floatingip",
    "trunk",
    "conntrack_helper",
    "port_forwarding",
    "local_ip",
    "port_association",
    "rbac_policy",
    "log",
    "ikepolicy",
    "ipsecpolicy",
    "endpoint_group",
    "vpnservice",
    "ipsec_site_connection",
    "bgp_peer",
    "bgp_speaker",
)
"""In the order in which they are made."""
TAGGED = frozenset(
    {"network", "subnet", "port", "router", "security_group", "floatingip", "policy", "subnetpool", "trunk"}
)


@dataclass(frozen=True)
class Ref:
    """Stands in a body for the id of something planned."""

    resource: str
    key: str


@dataclass(frozen=True)
class Owner:
    """Stands in a body or a path for the id of a project."""

    project: str


@dataclass(frozen=True)
class Action:
    """A request of the administrator that makes nothing new; `path` is joined from texts and stand-ins for ids."""

    method: Literal["POST", "PUT"]
    path: tuple[str | Ref | Owner, ...]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Planned:
    """One object to be made: `body` is the request's, with a `Ref` where an id belongs.

    `below`: what it is made below, where Neutron's API wants that.

    `project` None: the administrator's own. `by_admin`: made by the administrator in the project's name, for
    what only they may set (hosts, provider attributes), as Nova and operators do.
    """

    resource: str
    key: str
    project: str | None
    body: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    by_admin: bool = False
    below: Ref | None = None

    @property
    def maker(self) -> str | None:
        """Whose user makes it: the project's, or None for the administrator."""
        return None if self.by_admin else self.project

    @property
    def ref(self) -> Ref:
        """What others put into their bodies to point here."""
        return Ref(self.resource, self.key)


@dataclass
class Plan:
    """All that is to be made. Interfaces are subnets or ports by the key of their router; routes likewise."""

    seed: int
    objects: list[Planned] = field(default_factory=list)
    interfaces: dict[str, list[Ref]] = field(default_factory=dict)
    routes: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    """What is done when everything is made."""

    def of(self, resource: str) -> list[Planned]:
        """The planned objects of one kind, in order."""
        return [planned for planned in self.objects if planned.resource == resource]

    @property
    def steps(self) -> int:
        """How many things `build_topology` reports progress on."""
        joined = sum(map(len, self.interfaces.values()))
        return len(self.objects) + joined + len(self.routes) + len(self.actions)

    @property
    def trunked(self) -> set[Ref]:
        """The ports that are part of a trunk: Neutron lets nobody change their device."""
        return {
            ref
            for planned in self.of("trunk")
            for ref in (planned.body["port_id"], *(subport["port_id"] for subport in planned.body["sub_ports"]))
        }

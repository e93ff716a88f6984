"""What clients remember of their acknowledged writes, and how that is compared with what an API shows. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

State = Literal["live", "deleted", "unknown"]

PATHS = {
    "network": "/networks",
    "subnet": "/subnets",
    "port": "/ports",
    "router": "/routers",
    "security_group": "/security-groups",
    "security_group_rule": "/security-group-rules",
    "floatingip": "/floatingips",
    "interface": "/ports",  # of a router: what add_router_interface makes is a port
}
"""Kinds of objects in a record to the API's collections."""

# Fields that a client did not send and that must never change (promise 4: identity is kept).
IDENTITY = {
    "network": ("id", "project_id", "created_at"),
    "subnet": ("id", "project_id", "network_id", "cidr", "gateway_ip", "allocation_pools", "created_at"),
    "port": ("id", "project_id", "network_id", "mac_address", "fixed_ips", "created_at"),
    "router": ("id", "project_id", "created_at"),
    "security_group": ("id", "project_id", "created_at"),
    "security_group_rule": ("id", "project_id", "security_group_id", "created_at"),
    "floatingip": ("id", "project_id", "floating_network_id", "floating_ip_address", "created_at"),
    "interface": ("id", "network_id", "device_id", "device_owner", "mac_address", "fixed_ips"),
}

IN_ORDER = (
    "dns_nameservers",
)  # resolvers are asked in this order; in all other lists of the API order means nothing


def envelope(kind: str) -> str:
    """The key around one object of this kind in the API's bodies."""
    return "port" if kind == "interface" else kind


def collection(kind: str) -> str:
    """The key around a list of this kind in the API's bodies."""
    return f"{envelope(kind)}s"


def normal(name: str, value: Any) -> Any:
    """Bring a field's value into a form in which equal means the same."""
    match value:
        case dict():
            return {key: normal(key, part) for key, part in value.items()}
        case list() if name not in IN_ORDER:
            return sorted((normal("", part) for part in value), key=lambda part: json.dumps(part, sort_keys=True))
    return value


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return what differs, as field to (expected, found); fields that nobody expects are not looked at."""
    return {
        name: (value, found.get(name))
        for name, value in expected.items()
        if normal(name, value) != normal(name, found.get(name))
    }


@dataclass
class Owned:
    """One object that a client has written: what must be true of it now.

    `needs`: ids of objects that cannot be deleted before it. State "unknown": the last write to it got no answer, so
    it may be in either state, and the client leaves it alone from then on.
    """

    kind: str
    id: str
    expected: dict[str, Any]
    needs: frozenset[str] = frozenset()
    state: State = "live"
    borrowed: bool = False
    """Not made by the client and not its to delete: a port of the topology that it alone updates."""

    @property
    def path(self) -> str:
        """Its place in the API."""
        return f"{PATHS[self.kind]}/{self.id}"

    def acknowledge(self, answer: Mapping[str, Any], sent: Collection[str]) -> None:
        """Take over what an answer says about the fields that were sent, and about identity."""
        names = {*sent, *IDENTITY[self.kind], *self.expected}
        self.expected = {name: answer[name] for name in sorted(names) if name in answer}


@dataclass
class Record:
    """All objects of one client, by id, the deleted ones too."""

    objects: dict[str, Owned] = field(default_factory=dict)

    def add(self, owned: Owned) -> Owned:
        """Remember an object."""
        self.objects[owned.id] = owned
        return owned

    def live(self, *kinds: str) -> list[Owned]:
        """The objects of these kinds that exist for sure."""
        return [owned for owned in self.objects.values() if owned.state == "live" and owned.kind in kinds]

    def needed(self, owned: Owned) -> bool:
        """Whether something that exists, or may, stands on it."""
        return any(owned.id in other.needs and other.state != "deleted" for other in self.objects.values())

    def delete(self, owned: Owned) -> None:
        """Remember that it is gone, and what the API takes with it: rules of a group, floating IPs of a port."""
        owned.state = "deleted"
        for other in self.objects.values():
            if other.kind == "security_group_rule" and other.expected.get("security_group_id") == owned.id:
                other.state = "deleted"
            if other.kind == "floatingip" and other.state == "live" and other.expected.get("port_id") == owned.id:
                other.expected |= {"port_id": None}
                other.expected.pop("fixed_ip_address", None)


@dataclass(frozen=True)
class Loss:
    """An acknowledged write that the active side does not show."""

    client: str
    kind: str
    id: str
    problem: Literal["missing", "resurrected", "different"]
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """For "different": field to (acknowledged, found)."""


@dataclass(frozen=True)
class CheckResult:
    """The comparison of all records with one side."""

    objects: int
    """How many objects were compared, those that must be gone among them."""
    unknown: int
    """How many were left out because their last write got no answer."""
    writes_lost: list[Loss]


def compare(records: Mapping[str, Record], found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> CheckResult:
    """Compare what clients remember with what an API lists (`found`: kind to id to object)."""
    owned = [(client, thing) for client, record in records.items() for thing in record.objects.values()]
    known = [(client, thing) for client, thing in owned if thing.state != "unknown"]
    lost = [loss for client, thing in known for loss in _losses(client, thing, found[thing.kind])]
    return CheckResult(len(known), len(owned) - len(known), lost)


def _losses(client: str, owned: Owned, found: Mapping[str, Mapping[str, Any]]) -> Iterator[Loss]:
    present = found.get(owned.id)
    if owned.state == "deleted":
        if present is not None:
            yield Loss(client, owned.kind, owned.id, "resurrected")
    elif present is None:
        yield Loss(client, owned.kind, owned.id, "missing")
    elif different := differences(owned.expected, present):
        yield Loss(client, owned.kind, owned.id, "different", different)

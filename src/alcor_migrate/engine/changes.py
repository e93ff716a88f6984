"""What a write may have changed: pure decisions on a journal entry and on the objects it led to.

Replay applies the resulting state, not the request. So of each entry only one thing is asked: which objects
have to be read again? The answer's body names the obvious ones. The rest follows from what changed: an object
that appeared, disappeared or is different now has consequences for others (`consequences`), and those are
read again too, until nothing new turns up.
"""

from __future__ import annotations

from typing import Any

import msgspec

from alcor_migrate.side import Change, Key, Query
from alcor_model import RESOURCES, Resource

_SERVER_ERROR = 500
_SUCCESS = range(200, 300)
_AUTOMATIC_ADDRESSES = {"slaac", "dhcpv6-stateless"}
"""IPv6 modes in which Neutron gives every port of the network an address of a new subnet by itself."""

_COLLECTIONS = {of.collection: of for of in RESOURCES}


class Touched(msgspec.Struct, frozen=True):
    """What an entry of the journal asks to be read again."""

    keys: frozenset[Key] = frozenset()
    queries: frozenset[Query] = frozenset()
    resources: frozenset[str] = frozenset()
    """Resources that must be compared as a whole, because nobody knows what the write did."""


def touched(method: str, path: str, status: int, request: Any, answer: Any, project: str | None) -> Touched:
    """What one write may have changed.

    `status` 0 means that its outcome is unknown. `request` and `answer` are decoded bodies or None;
    `project` is the caller's.
    """
    segments = [s for s in path.partition("?")[0].split("/") if s]
    if segments and segments[0] == "v2.0":
        segments = segments[1:]
    collection, object_id, *rest = [*segments, "", ""][: max(2, len(segments))]
    of = _COLLECTIONS.get(collection.removesuffix(".json"))
    if of is None:
        return Touched()
    if method == "GET":
        # Only the listing of security groups gets here: it makes the `default` group of a project.
        return Touched(queries=frozenset(_default_group(project)))
    failed = status not in _SUCCESS
    if failed and 0 < status < _SERVER_ERROR:
        return Touched()
    object_id = object_id.removesuffix(".json")
    if failed and not object_id:
        return Touched(resources=frozenset({of.name}))
    answered = _objects(of, answer)
    keys = {Key(of.name, o["id"]) for o in answered if "id" in o}
    queries: set[Query] = set()
    if object_id:
        keys.add(Key(of.name, object_id))
        for body in (request, answer):  # add_router_interface, remove_router_interface
            if rest and isinstance(body, dict) and isinstance(body.get("port_id"), str):
                keys.add(Key("port", body["port_id"]))
    else:
        queries = {query for o in answered if "id" in o for query in _owned(of, o["id"])}
    for found in answered:
        keys |= _parents(of, found)
    return Touched(frozenset(keys), frozenset(queries))


def consequences(change: Change) -> Touched:
    """Which other objects a change of this one may have changed with it."""
    if not change.differs:
        return Touched()
    of, old, new = change.of, change.old, change.new
    keys: set[Key] = set()
    for held in (old, new):
        if held is not None:
            keys |= _parents(of, held) | _neighbours(of, held)
    if new is None:
        return Touched(frozenset(keys), frozenset({*_owned(of, change.id), *_cascade(of, change.id)}))
    if old is None:
        queries = {*_owned(of, change.id), *_default_group(new.get("project_id")), *_given_addresses(of, new)}
    else:
        queries = {query for field, query in _repeated(of, change.id) if old.get(field) != new.get(field)}
    return Touched(frozenset(keys), frozenset(queries))


def _objects(of: Resource, answer: Any) -> list[dict[str, Any]]:
    if not isinstance(answer, dict):
        return []
    one = answer.get(of.name)
    many = answer.get(of.plural)
    return [o for o in ([one] if one else many or []) if isinstance(o, dict)]


def _default_group(project: str | None) -> list[Query]:
    return [Query("security_group", "project_id", project)] if project else []


def _owned(of: Resource, object_id: str) -> list[Query]:
    """Objects that Neutron makes, changes and deletes together with their owner."""
    match of.name:
        case "router" | "floatingip":
            return [Query("port", "device_id", object_id)]
        case "security_group":
            return [Query("security_group_rule", "security_group_id", object_id)]
        case _:
            return []


def _cascade(of: Resource, object_id: str) -> list[Query]:
    """Objects that vanish, or are let go, when this one is deleted."""
    match of.name:
        case "network":
            return [Query("subnet", "network_id", object_id), Query("port", "network_id", object_id)]
        case "port":
            return [Query("floatingip", "port_id", object_id)]
        case "security_group":
            return [Query("security_group_rule", "remote_group_id", object_id)]
        case _:
            return []


def _repeated(of: Resource, object_id: str) -> list[tuple[str, Query]]:
    """(field, objects that change with it)."""
    match of.name:
        case "network":  # subnets repeat whether their network is external
            return [("router:external", Query("subnet", "network_id", object_id))]
        case "router":  # the gateway's port comes and goes with it
            return [("external_gateway_info", Query("port", "device_id", object_id))]
        case _:
            return []


def _given_addresses(of: Resource, new: dict[str, Any]) -> list[Query]:
    """Ports to which Neutron gives an address of a new subnet by itself."""
    automatic = of.name == "subnet" and new.get("ipv6_address_mode") in _AUTOMATIC_ADDRESSES
    return [Query("port", "network_id", new["network_id"])] if automatic else []


def _parents(of: Resource, held: dict[str, Any]) -> set[Key]:
    return {Key(p.resource, held[p.path]) for p in of.parents if held.get(p.path)}


def _neighbours(of: Resource, held: dict[str, Any]) -> set[Key]:
    """Single objects that are changed by this one, beside its parents."""
    keys: set[Key] = set()
    device = held.get("device_id")
    match of.name:
        case "floatingip":
            keys |= {Key("port", held["port_id"])} if held.get("port_id") else set()
            keys |= {Key("router", held["router_id"])} if held.get("router_id") else set()
        case "port" if device and str(held.get("device_owner", "")).startswith("network:router"):
            keys.add(Key("router", device))
        case "port" if device and held.get("device_owner") == "network:floatingip":
            keys.add(Key("floatingip", device))
        case _:
            pass
    return keys

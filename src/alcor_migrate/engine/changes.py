"""What a write may have changed: pure decisions on a journal entry and on the objects it led to.

Replay applies the resulting state, not the request. So of each entry only one thing is asked: which objects
have to be read again? The path and the answer's body name the obvious ones. The rest follows from what changed:
an object that appeared, disappeared or is different now has consequences for others (`consequences`), and those are
read again too, until nothing new turns up.

Most of it is derived from the declarations: what lies below what, what refers to what, what is changed together
with what. Only what Neutron does beyond them is written down here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from alcor_migrate.engine.paths import Named, Undeclared, named
from alcor_migrate.side import Change, Key, Query
from alcor_model import RESOURCES, Resource

_SERVER_ERROR = 500
_SUCCESS = range(200, 300)
_AUTOMATIC_ADDRESSES = {"slaac", "dhcpv6-stateless"}
"""IPv6 modes in which Neutron gives every port of the network an address of a new subnet by itself."""
_TOPOLOGY = "auto_allocated_topology"


class Touched(msgspec.Struct, frozen=True):
    """What an entry of the journal asks to be read again."""

    keys: frozenset[Key] = frozenset()
    queries: frozenset[Query] = frozenset()
    resources: frozenset[str] = frozenset()
    """Resources that must be compared as a whole, because nobody knows what the write did."""
    undeclared: frozenset[str] = frozenset()
    """Collections that nobody declared: what was written there stays behind."""


def touched(method: str, path: str, status: int, request: Any, answer: Any, project: str | None) -> Touched:
    """What one write may have changed.

    `status` 0 means that its outcome is unknown. `request` and `answer` are decoded bodies or None;
    `project` is the caller's.
    """
    at = named(path)
    failed = status not in _SUCCESS
    if at is None or (failed and 0 < status < _SERVER_ERROR):
        return Touched()
    if isinstance(at, Undeclared):
        return Touched(undeclared=frozenset({at.collection}))
    of = at.of
    if of.name == _TOPOLOGY:
        return Touched(queries=_topology(project if at.id in {"", "null"} else at.id))
    if method == "GET":
        # Else only the listing of security groups gets here: it makes the `default` group of a project.
        return Touched(queries=frozenset(_default_group(project)))
    if at.below:
        return _below(at, at.below)
    if failed and not at.id:
        return Touched(resources=frozenset({of.name}))
    wanted = _named(at, request, answer)
    if failed and at.action:
        # No answer names what an action made: the port of a router's interface.
        return msgspec.structs.replace(wanted, queries=wanted.queries.union(_made_with(of, {"id": at.id})))
    return wanted


def _named(at: Named, request: Any, answer: Any) -> Touched:
    """What path, request and answer name."""
    of = at.of
    answered = _objects(of, answer)
    keys = {Key(of.name, o["id"]) for o in answered if "id" in o}
    queries: set[Query] = set()
    if at.id:
        keys.add(Key(of.name, at.id))
        if at.action:
            keys |= _scheduled(at)
            for body in (request, answer):
                keys |= _in_body(body)
                queries |= _onboarded(at, body)
    for found in answered:
        keys |= _parents(of, found)
        if not at.id and "id" in found:
            # It is new: what follows from that is read together with it, and not only when it was seen to be new.
            follows = consequences(Change(of, found["id"], None, found))
            keys |= follows.keys
            queries |= follows.queries
    # The networks of its subnets repeat the scope of a pool.
    scoped = of.name == "subnetpool" and "address_scope_id" in str(request)
    return Touched(frozenset(keys), frozenset(queries), frozenset({"network"}) if scoped else frozenset())


def consequences(change: Change) -> Touched:
    """Which other objects a change of this one may have changed with it."""
    if not change.differs:
        return Touched()
    of, old, new = change.of, change.old, change.new
    keys = _neighbours(of, old, new)
    for held in (old, new):
        if held is not None:
            keys |= _parents(of, held)
    if new is None:
        return Touched(frozenset(keys), frozenset(_gone_with(of, change.id)), _LISTING[of.name])
    if old is None:
        queries = {*_made_with(of, new), *_default_group(new.get("project_id")), *_given_addresses(of, new)}
    else:
        queries = {query for field, query in _repeated(of, change.id) if old.get(field) != new.get(field)}
    return Touched(frozenset(keys), frozenset(queries))


def lookups() -> set[tuple[str, str]]:
    """Every (resource, field) by which objects may be asked for: a side must be able to look these up."""
    asked = {*_topology("p"), *_default_group("p"), *_given_addresses(_BY_NAME["subnet"], _SLAAC)}
    asked |= {*_onboarded(Named(_BY_NAME["subnetpool"], "s", action=(_ONBOARD,)), {"network_id": "n"})}
    for of in RESOURCES:
        asked |= {*_made_with(of, {"id": "x", "shared": True}), *_gone_with(of, "x")}
        asked |= {query for _, query in _repeated(of, "x")}
        asked |= {Query(of.name, of.nested.field, "x")} if of.nested else set()
    return {(query.resource, query.field) for query in asked}


_BY_NAME = {of.name: of for of in RESOURCES}
_SLAAC = {"network_id": "n", "ipv6_address_mode": "slaac"}


def _below(at: Named, below: Resource) -> Touched:
    """What lies below an object is asked for through it: nobody else knows it."""
    assert below.nested is not None  # noqa: S101  # it would not be below anything
    if not at.id:
        return Touched(keys=frozenset({Key(below.name, at.below_id)}))
    return Touched(
        keys=frozenset({Key(at.of.name, at.id)}), queries=frozenset({Query(below.name, below.nested.field, at.id)})
    )


def _objects(of: Resource, answer: Any) -> list[dict[str, Any]]:
    if not isinstance(answer, dict):
        return []
    one, many = answer.get(of.name), answer.get(of.plural)
    found = [one] if isinstance(one, dict) else many if isinstance(many, list) else []
    return [o for o in found if isinstance(o, dict)]


_IN_BODIES = {"port_id": "port", "router_id": "router"}
_SCHEDULERS = {
    "dhcp-networks": ("network", "network_id"),
    "l3-routers": ("router", "router_id"),
    "bgp-drinstances": ("bgp_speaker", "bgp_speaker_id"),
}
"""What an agent is told to serve (`agents/{id}/dhcp-networks`): its availability zones change with that."""
_ONBOARD = "onboard_network_subnets"


def _in_body(body: Any) -> set[Key]:
    """The objects that the body of an action names: an interface's port, the subports of a trunk."""
    if not isinstance(body, dict):
        return set()
    named_here = [body, *(p for p in body.get("sub_ports") or () if isinstance(p, dict))]
    keys = {Key(name, str(o[field])) for o in named_here for field, name in _IN_BODIES.items() if o.get(field)}
    return keys | {Key(name, str(body[field])) for name, field in _SCHEDULERS.values() if body.get(field)}


def _scheduled(at: Named) -> set[Key]:
    match at.action:
        case (what, object_id) if what in _SCHEDULERS:
            return {Key(_SCHEDULERS[what][0], object_id)}
        case _:
            return set()


def _onboarded(at: Named, body: Any) -> set[Query]:
    """The subnets of a network that a pool took over."""
    if at.action != (_ONBOARD,) or not isinstance(body, dict) or not body.get("network_id"):
        return set()
    return {Query("subnet", "network_id", str(body["network_id"]))}


def _topology(project: str | None) -> frozenset[Query]:
    """What a GET of `auto-allocated-topology` makes, and a DELETE takes away."""
    if not project:
        return frozenset()
    return frozenset(Query(name, "project_id", project) for name in ("network", "subnet", "router", "port"))


def _default_group(project: str | None) -> list[Query]:
    return [Query("security_group", "project_id", project)] if project else []


_MADE_WITH = {
    "network": [("segment", "network_id"), ("subnet", "network_id")],  # that of HA routers has one from its start
    "router": [("port", "device_id")],
    "floatingip": [("port", "device_id")],
    "local_ip": [("port", "device_id")],
    "security_group": [("security_group_rule", "security_group_id")],
}
"""What Neutron makes together with an object, and where that names it."""
_SHARING = ("shared", "router:external")
"""Fields that stand for an RBAC policy with everybody, which Neutron makes and deletes with them."""
_SHARED = frozenset(p.resource for p in _BY_NAME["rbac_policy"].parents)


def _made_with(of: Resource, new: dict[str, Any]) -> list[Query]:
    found = [Query(name, field, new["id"]) for name, field in _MADE_WITH.get(of.name, [])]
    if of.name in _SHARED and any(new.get(field) for field in _SHARING):
        found.append(Query("rbac_policy", "object_id", new["id"]))
    return found


_LET_GO = {
    "network": [("subnet", "network_id"), ("port", "network_id")],
    "router": [("port", "device_id")],
    "floatingip": [("port", "device_id")],
    "local_ip": [("port", "device_id")],
    "port": [("floatingip", "port_id")],
    "security_group": [("security_group_rule", "security_group_id"), ("security_group_rule", "remote_group_id")],
}
"""What vanishes, or is let go, together with an object, among the resources that are always there."""
_EVERYWHERE = frozenset(
    {"network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule"}
)


def _gone_with(of: Resource, object_id: str) -> list[Query]:
    """Where the passive side still holds something that refers to an object that is gone."""
    return [Query(name, field, object_id, held=True) for name, field in _REFERRING[of.name]]


def _referring(of: Resource) -> list[tuple[str, str]]:
    """(resource, field) of everything that names an object of this resource by a field of its own."""
    found = dict.fromkeys(_LET_GO.get(of.name, []))
    for other in RESOURCES:
        if other.name not in _EVERYWHERE:
            for reference in (*other.parents, *other.references):
                field = other.field(reference.path)
                single = "." not in reference.path and not (field and list in field.types)
                if reference.resource == of.name and single and reference.path != "id":
                    found[other.name, reference.path] = None
    return list(found)


_REFERRING = {of.name: _referring(of) for of in RESOURCES}


def _listing(of: Resource) -> frozenset[str]:
    """The resources of which an object may name many of this one, in a list: no side can be asked which ones do."""
    return frozenset(
        other.name
        for other in RESOURCES
        if other.name not in _EVERYWHERE
        for reference in other.references
        if reference.resource == of.name and (field := other.field(reference.path)) and list in field.types
    )


_LISTING = {of.name: _listing(of) for of in RESOURCES}
"""They are few, and compared as a whole when one that they may name is gone: a speaker's peers and networks."""


def _repeated(of: Resource, object_id: str) -> list[tuple[str, Query]]:
    """(field, objects that change with it)."""
    found: list[tuple[str, Query]] = []
    if of.name in _SHARED:
        found += [(field, Query("rbac_policy", "object_id", object_id)) for field in _SHARING]
    match of.name:
        case "network":
            # Subnets repeat whether their network is external, ports and floating IPs its QoS policy.
            found.append(("router:external", Query("subnet", "network_id", object_id)))
            found.append(("qos_policy_id", Query("port", "network_id", object_id)))
            found.append(("qos_policy_id", Query("floatingip", "floating_network_id", object_id)))
            found.append(("segments", Query("segment", "network_id", object_id)))
        case "router":  # the gateways' ports come and go with them
            found.append(("external_gateway_info", Query("port", "device_id", object_id)))
            found.append(("external_gateways", Query("port", "device_id", object_id)))
        case _:
            pass
    return found


def _given_addresses(of: Resource, new: dict[str, Any]) -> list[Query]:
    """Ports to which Neutron gives an address of a new subnet by itself."""
    automatic = of.name == "subnet" and new.get("ipv6_address_mode") in _AUTOMATIC_ADDRESSES
    return [Query("port", "network_id", new["network_id"])] if automatic else []


def _parents(of: Resource, held: dict[str, Any]) -> set[Key]:
    return {Key(parent.resource, object_id) for parent in of.parents for object_id in parent.ids(held)}


def _neighbours(of: Resource, old: dict[str, Any] | None, new: dict[str, Any] | None) -> set[Key]:
    """Single objects that are changed by this one, beside its parents."""
    if of.name not in _EVERYWHERE:
        # They are few. Whatever one begins or ceases to refer to may show it: subports get an owner, for example.
        return _referred(of, old) ^ _referred(of, new)
    keys: set[Key] = set()
    if of.name == "port" and old is None and new and new.get("network_id"):
        # With its first port a network is given to DHCP agents, and shows their availability zones.
        keys.add(Key("network", new["network_id"]))
    for held in (old or {}, new or {}):
        device = held.get("device_id")
        owner = str(held.get("device_owner", ""))
        match of.name:
            case "floatingip":
                keys |= {Key("port", held["port_id"])} if held.get("port_id") else set()
                keys |= {Key("router", held["router_id"])} if held.get("router_id") else set()
            case "port" if device and owner == "network:router_ha_interface":
                # The first such router of a project brings a network of its own.
                keys |= {Key("router", device), Key("network", held["network_id"])}
            case "port" if device and owner.startswith("network:router"):
                keys.add(Key("router", device))
            case "port" if device and owner == "network:floatingip":
                keys.add(Key("floatingip", device))
            case _:
                pass
    return keys


def _referred(of: Resource, held: dict[str, Any] | None) -> set[Key]:
    return {Key(r.resource, object_id) for r in of.references for object_id in r.ids(held or {})}

"""Who may do what: Neutron's default rules for the resources that are served.

A rule is a predicate over the session and the object that would be there afterwards. An action has a rule of
its own, and so have some attributes when a request names them. Source: Neutron's policy reference, release 29.
One rule differs: `binding:profile` may be written by administrators too, not only by services, because
operators' deployments allow it (docs/controller.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alcor_model.catalogue import NETWORK, SECURITY_GROUP
from alcor_sdn.controller.neutron.attributes import ATTRIBUTES, UNSET
from alcor_sdn.controller.neutron.errors import fail, fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

    Rule = Callable[[Session, Json], bool]


def _network(session: Session, target: Json) -> Json:
    return session.get(NETWORK, target.get("network_id")) or {}


def _member(session: Session) -> bool:
    return "member" in session.caller.roles


def admin(session: Session, _target: Json) -> bool:
    """The administrator."""
    return session.caller.admin


def _service(session: Session, _target: Json) -> bool:
    return session.caller.service


def _owner(session: Session, target: Json) -> bool:
    return _member(session) and target.get("project_id") == session.caller.project_id


def _network_owner(session: Session, target: Json) -> bool:
    return _member(session) and _network(session, target).get("project_id") == session.caller.project_id


def _network_shared(session: Session, target: Json) -> bool:
    return bool(_network(session, target).get("shared"))


def _group_owner(session: Session, target: Json) -> bool:
    group = session.get(SECURITY_GROUP, target.get("security_group_id")) or {}
    return _member(session) and group.get("project_id") == session.caller.project_id


def _no_network_device(_session: Session, target: Json) -> bool:
    return not str(target.get("device_owner") or "").startswith("network:")


def _no_instance(_session: Session, target: Json) -> bool:
    owner = str(target.get("device_owner") or "")
    return not owner.startswith(("compute:", "baremetal:", "manila:"))


def _data_plane(session: Session, _target: Json) -> bool:
    return "data_plane_integrator" in session.caller.roles


def _any(*rules: Rule) -> Rule:
    return lambda session, target: any(rule(session, target) for rule in rules)


def _all(*rules: Rule) -> Rule:
    return lambda session, target: all(rule(session, target) for rule in rules)


_ADMIN_OR_OWNER = _any(admin, _owner)
_ADMIN_OR_NETWORK_OWNER = _any(admin, _network_owner)
_ADMIN_SERVICE_OR_NETWORK_OWNER = _any(admin, _service, _network_owner)
_ADMIN_OR_SERVICE = _any(admin, _service)

RULES: dict[str, Rule] = {
    "create_network": _ADMIN_OR_OWNER,
    "update_network": _ADMIN_OR_OWNER,
    "delete_network": _ADMIN_OR_OWNER,
    "create_subnet": _ADMIN_OR_NETWORK_OWNER,
    "update_subnet": _any(admin, _owner, _network_owner),
    "delete_subnet": _any(admin, _owner, _network_owner),
    "create_port": _any(admin, _service, _network_owner, _network_shared),
    "update_port": _any(admin, _service, _owner),
    "delete_port": _any(admin, _service, _all(_no_instance, _any(_network_owner, _owner))),
    "create_security_group": _ADMIN_OR_OWNER,
    "update_security_group": _ADMIN_OR_OWNER,
    "delete_security_group": _ADMIN_OR_OWNER,
    "create_security_group_rule": _any(admin, _group_owner),
    "update_security_group_rule": _any(admin, _group_owner),
    "delete_security_group_rule": _any(admin, _group_owner),
    "create_router": _ADMIN_OR_OWNER,
    "update_router": _ADMIN_OR_OWNER,
    "delete_router": _ADMIN_OR_OWNER,
    "add_router_interface": _ADMIN_OR_OWNER,
    "remove_router_interface": _ADMIN_OR_OWNER,
    "add_extraroutes": _ADMIN_OR_OWNER,
    "remove_extraroutes": _ADMIN_OR_OWNER,
    "create_floatingip": _ADMIN_OR_OWNER,
    "update_floatingip": _ADMIN_OR_OWNER,
    "delete_floatingip": _ADMIN_OR_OWNER,
}
"""The rule of each action."""

_NETWORK_ADMIN = (
    "shared",
    "router:external",
    "is_default",
    "segments",
    "provider:network_type",
    "provider:physical_network",
    "provider:segmentation_id",
)

ATTRIBUTE_RULES: dict[str, Rule] = {
    **{f"{verb}_network:{name}": admin for verb in ("create", "update") for name in _NETWORK_ADMIN},
    "create_port:device_owner": _any(_no_network_device, _ADMIN_SERVICE_OR_NETWORK_OWNER),
    "create_port:mac_address": _ADMIN_SERVICE_OR_NETWORK_OWNER,
    "create_port:fixed_ips": _any(_ADMIN_SERVICE_OR_NETWORK_OWNER, _network_shared),
    "create_port:fixed_ips:ip_address": _ADMIN_SERVICE_OR_NETWORK_OWNER,
    "create_port:fixed_ips:subnet_id": _any(_ADMIN_SERVICE_OR_NETWORK_OWNER, _network_shared),
    "create_port:port_security_enabled": _ADMIN_SERVICE_OR_NETWORK_OWNER,
    "create_port:binding:host_id": _ADMIN_OR_SERVICE,
    "create_port:binding:profile": _ADMIN_OR_SERVICE,
    "create_port:allowed_address_pairs": _ADMIN_SERVICE_OR_NETWORK_OWNER,
    "create_port:hints": admin,
    "create_port:trusted": admin,
    "update_port:device_owner": _any(_no_network_device, _ADMIN_SERVICE_OR_NETWORK_OWNER),
    "update_port:mac_address": _ADMIN_OR_SERVICE,
    "update_port:fixed_ips": _ADMIN_SERVICE_OR_NETWORK_OWNER,
    "update_port:fixed_ips:ip_address": _ADMIN_SERVICE_OR_NETWORK_OWNER,
    "update_port:fixed_ips:subnet_id": _any(_ADMIN_SERVICE_OR_NETWORK_OWNER, _network_shared),
    "update_port:port_security_enabled": _ADMIN_SERVICE_OR_NETWORK_OWNER,
    "update_port:binding:host_id": _ADMIN_OR_SERVICE,
    "update_port:binding:profile": _ADMIN_OR_SERVICE,
    "update_port:allowed_address_pairs": _ADMIN_SERVICE_OR_NETWORK_OWNER,
    "update_port:data_plane_status": _any(admin, _data_plane),
    "update_port:hints": admin,
    "update_port:trusted": admin,
    "create_router:distributed": admin,
    "create_router:ha": admin,
    "create_router:external_gateway_info:enable_snat": admin,
    "create_router:external_gateway_info:external_fixed_ips": admin,
    "update_router:distributed": admin,
    "update_router:ha": admin,
    "update_router:external_gateway_info:enable_snat": admin,
    "update_router:external_gateway_info:external_fixed_ips": admin,
    "create_floatingip:floating_ip_address": admin,
}
"""The rule of each attribute that has one, when a request sets it. All others follow their action's rule."""

HIDDEN: dict[str, frozenset[str]] = {
    "network": frozenset(
        {"segments", "provider:network_type", "provider:physical_network", "provider:segmentation_id"}
    ),
    "subnet": frozenset({"segment_id"}),
    "port": frozenset(
        {
            "binding:vif_type",
            "binding:vif_details",
            "binding:host_id",
            "binding:profile",
            "resource_request",
            "hints",
            "trusted",
        }
    ),
    "router": frozenset({"distributed", "ha"}),
}
"""What only administrators see of an object."""

_SEEN_BY_SERVICES = frozenset({"binding:vif_type", "binding:vif_details", "binding:host_id", "binding:profile"})


def hidden(session: Session, of: Resource) -> frozenset[str]:
    """The attributes that the caller does not see."""
    if session.caller.admin:
        return frozenset()
    names = HIDDEN.get(of.name, frozenset())
    return names - _SEEN_BY_SERVICES if session.caller.service else names


def may_create(session: Session, of: Resource, values: Json) -> None:
    """Refuse a creation that the caller may not ask for. Raises PolicyNotAuthorized."""
    table = ATTRIBUTES[of.name]
    named = [n for n in table if n in values and values[n] is not UNSET and values[n] != table[n].default]
    _enforce(session, f"create_{of.name}", values, values, named)


def may_update(session: Session, of: Resource, found: Json, changes: Json) -> None:
    """Refuse an update that the caller may not ask for. Raises PolicyNotAuthorized, HTTPNotFound."""
    target = {**found, **changes}
    _enforce(session, f"update_{of.name}", target, changes, [n for n in ATTRIBUTES[of.name] if n in changes])


def may(session: Session, action: str, of: Resource, found: Json) -> None:
    """Refuse an action on an object. Raises PolicyNotAuthorized, or HTTPNotFound if it may not be seen."""
    if not RULES[action](session, found):
        if not session.may_see(of, found):
            raise fault("HTTPNotFound")
        fail("PolicyNotAuthorized", rule=f"rule:{action}")


def may_tag(session: Session, of: Resource, found: Json, method: str) -> None:
    """Refuse to show or change the tags of an object. Raises PolicyNotAuthorized."""
    reading = method == "GET"
    if not (session.may_see(of, found) if reading else RULES[f"update_{of.name}"](session, found)):
        verb = {"GET": "get", "POST": "create", "DELETE": "delete"}.get(method, "update")
        fail("PolicyNotAuthorized", rule=f"rule:{verb}_{of.name}:tags")


def _enforce(session: Session, action: str, target: Json, given: Json, named: Iterable[str]) -> None:
    """Check an action and its attributes; a refusal names all rules that were asked, nested as Neutron does."""
    text = f"rule:{action}"
    allowed = RULES[action](session, target)
    for name in named:
        rules = _attribute_rules(action, name, given[name])
        if rules:
            own = _joined(rules)
            text = f"({text} and {own if len(rules) == 1 else f'({own})'})"
            allowed = allowed and all(
                ATTRIBUTE_RULES[rule](session, target) for rule in _flat(rules) if rule in ATTRIBUTE_RULES
            )
    if not allowed:
        fail("PolicyNotAuthorized", rule=text)


def _attribute_rules(action: str, name: str, value: Any) -> list[Any]:
    """The rules that a named attribute asks: its own, then those of the parts of its value."""
    if name not in _ENFORCED.get(action.partition("_")[2], ()):
        return []
    rule = f"{action}:{name}"
    if name == "external_gateway_info" and isinstance(value, dict):
        return [rule, [f"{rule}:{part}" for part in _GATEWAY_PARTS if part in value]]
    if name == "hints" and value:
        return [rule, [f"{rule}:{part}" for part in value]]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [rule, [f"{rule}:{part}" for item in value for part in item]]
    return [rule]


def _joined(rules: list[Any]) -> str:
    texts = [f"({_joined(rule)})" if isinstance(rule, list) else f"rule:{rule}" for rule in rules]
    return " and ".join(texts)


def _flat(rules: list[Any]) -> Iterator[str]:
    for rule in rules:
        if isinstance(rule, list):
            yield from _flat(rule)
        else:
            yield rule


_GATEWAY_PARTS = ("network_id", "external_fixed_ips", "enable_snat", "qos_policy_id")

_ENFORCED = {
    "network": frozenset({*_NETWORK_ADMIN, "mtu", "port_security_enabled", "qos_policy_id"}),
    "port": frozenset(
        {
            "mac_address",
            "fixed_ips",
            "device_id",
            "device_owner",
            "allowed_address_pairs",
            "data_plane_status",
            "hardware_offload_type",
            "hints",
            "binding:vnic_type",
            "binding:host_id",
            "binding:profile",
            "port_security_enabled",
            "qos_policy_id",
            "trusted",
        }
    ),
    "router": frozenset({"external_gateway_info", "ha", "flavor_id", "distributed"}),
    "floatingip": frozenset({"floating_ip_address", "qos_policy_id"}),
}
"""The attributes that a refusal names, because Neutron asks its policy about each of them."""

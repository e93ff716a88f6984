"""Objects as the Neutron API shows them: with what is derived from others, without what the caller may not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_model.catalogue import (
    CONNTRACK_HELPER,
    FLOATING_IP,
    NETWORK,
    PORT,
    PORT_FORWARDING,
    ROUTER,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    SUBNET,
)
from alcor_sdn.controller.neutron import policy
from alcor_sdn.controller.services import routers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

_CHUNK = 500
"""At most so many ids in one look-up."""

_PORT_DETAILS = (
    "name",
    "network_id",
    "mac_address",
    "admin_state_up",
    "status",
    "device_id",
    "device_owner",
)

_FORWARDED = ("id", "protocol", "internal_ip_address", "internal_port_id", "internal_port", "external_port")
_HELPED = ("protocol", "port", "helper")
"""What is shown of a forwarding inside its floating IP, and of a helper inside its router."""


def listed(session: Session, of: Resource, found: list[Json], fields: Sequence[str] = ()) -> list[Json]:
    """The objects as a list shows them: Neutron does not say of a group's rules there whose they are."""
    whole = shown(session, of, found, fields)
    if of is SECURITY_GROUP:
        for group in whole:
            for rule in group.get("security_group_rules", ()):
                rule["belongs_to_default_sg"] = None
    return whole


def shown(session: Session, of: Resource, found: list[Json], fields: Sequence[str] = ()) -> list[Json]:
    """The objects with their derived fields; only the named fields, if any are named."""
    if of is NETWORK:
        whole = _networks(session, found)
    elif of is SECURITY_GROUP:
        whole = _security_groups(session, found)
    elif of is FLOATING_IP:
        whole = _floating_ips(session, found)
    elif of is ROUTER:
        whole = _routers(session, found)
    else:
        whole = found
    away = policy.hidden(session, of)
    return [
        {name: value for name, value in one.items() if name not in away and (not fields or name in fields)}
        for one in whole
    ]


def _networks(session: Session, found: list[Json]) -> list[Json]:
    subnets = _grouped(session, SUBNET, "network_id", found)
    return [{**network, "subnets": [s["id"] for s in _by_age(subnets.get(network["id"], ()))]} for network in found]


def _security_groups(session: Session, found: list[Json]) -> list[Json]:
    rules = _grouped(session, SECURITY_GROUP_RULE, "security_group_id", found)
    return [
        {
            **group,
            "security_group_rules": [{**rule, "tags": []} for rule in _by_age(rules.get(group["id"], ()))],
        }
        for group in found
    ]


def _floating_ips(session: Session, found: list[Json]) -> list[Json]:
    ids = sorted({one["port_id"] for one in found if one.get("port_id")})
    ports = {port["id"]: port for some in _chunks(ids) for port in session.find(PORT, id=some)}
    forwardings = _grouped(session, PORT_FORWARDING, "floatingip_id", found)
    return [
        {
            **one,
            "port_details": _details(ports.get(one.get("port_id") or "")),
            "port_forwardings": _parts(_FORWARDED, forwardings.get(one["id"], ())),
        }
        for one in found
    ]


def _routers(session: Session, found: list[Json]) -> list[Json]:
    """Routers with the helpers that were loaded with them; this API makes none."""
    helpers = _grouped(session, CONNTRACK_HELPER, "router_id", found)
    return [{**one, "conntrack_helpers": _parts(_HELPED, helpers.get(one["id"], ()))} for one in found]


def _parts(names: Sequence[str], found: Iterable[Json]) -> list[Json]:
    return [{name: one[name] for name in names if name in one} for one in found]


def _details(port: Json | None) -> Json | None:
    return None if port is None else {name: port.get(name) for name in _PORT_DETAILS}


def _grouped(session: Session, of: Resource, column: str, owners: list[Json]) -> dict[str, list[Json]]:
    grouped: dict[str, list[Json]] = {}
    for some in _chunks([owner["id"] for owner in owners]):
        for one in session.find(of, **{column: some}):
            grouped.setdefault(one[column], []).append(one)
    return grouped


def _chunks(ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def _by_age(found: Iterable[Json]) -> list[Json]:
    return sorted(found, key=lambda one: (one.get("created_at") or "", one["id"]))


def created(session: Session, of: Resource, one: Json) -> Json:
    """A new object as the answer to its creation shows it, before it was given to any zone."""
    if of is NETWORK:
        one = {"is_default": False, **one, "availability_zones": []}
    elif of is ROUTER:
        one = {**one, "availability_zones": []}
    return shown(session, of, [one])[0]


def unfiltered_router(session: Session, router: Json) -> Json:
    """A router as the answers to `add_extraroutes` and `remove_extraroutes` show it: with all that Neutron knows."""
    gateway = router.get("external_gateway_info") or {}
    return {
        **_routers(session, [router])[0],
        "enable_snat": gateway.get("enable_snat", True),
        "gw_port_id": routers.gateway_port_id(session, router),
        "ha_vr_id": 0,
        "enable_default_route_bfd": False,
        "enable_default_route_ecmp": False,
    }

"""Routers: gateways, interfaces and extra routes."""

from __future__ import annotations

import ipaddress
import uuid
from itertools import combinations
from typing import TYPE_CHECKING

from alcor_model.catalogue import FLOATING_IP, NETWORK, PORT, ROUTER, SUBNET
from alcor_sdn.controller.neutron import values as v
from alcor_sdn.controller.neutron.attributes import UNSET
from alcor_sdn.controller.neutron.errors import fail, fault
from alcor_sdn.controller.services import ipam, ports

if TYPE_CHECKING:
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

GATEWAY = "network:router_gateway"
INTERFACE = "network:router_interface"
_V4, _V6 = 4, 6
_MAX_ROUTES = 30


def create(session: Session, values: Json) -> Json:
    """A new router, with its gateway if one is asked for."""
    if values["flavor_id"] is not UNSET and values["flavor_id"] is not None:
        fail("FlavorNotFound", id=values["flavor_id"])
    router = {
        "id": values.get("id") or str(uuid.uuid4()),
        "name": values["name"],
        "project_id": values["project_id"],
        "admin_state_up": values["admin_state_up"],
        "status": "ACTIVE",
        "external_gateway_info": None,
        "description": values["description"],
        "availability_zones": [],
        "availability_zone_hints": values["availability_zone_hints"],
        "distributed": bool(values["distributed"]),
        "ha": bool(values["ha"]),
        "routes": [],
        "flavor_id": None,
        "conntrack_helpers": [],
        "enable_ndp_proxy": bool(values["enable_ndp_proxy"]),
        "tags": [],
    }
    session.add(ROUTER, router, revision=1)
    if values["external_gateway_info"]:
        router = dict(router)
        steps = _set_gateway(session, router, values["external_gateway_info"])
        router["availability_zones"] = [session.settings.availability_zone]
        session.touch(ROUTER, router, steps=min(steps, 1))
    return router


def update(session: Session, router: Json, changes: Json) -> Json:
    """A changed router."""
    changed = dict(router)
    steps = 0
    if "external_gateway_info" in changes:
        steps += _set_gateway(session, changed, changes["external_gateway_info"] or None)
    if "routes" in changes:
        changed["routes"] = _checked_routes(session, router, changes["routes"])
    for name in ("distributed", "ha", "enable_ndp_proxy"):
        if changes.get(name) is not None:
            changed[name] = changes[name]
    for name in ("name", "description", "admin_state_up"):
        if name in changes:
            changed[name] = changes[name]
    beside = {"external_gateway_info": router.get("external_gateway_info")}
    if {**changed, **beside} != {**router, **beside}:
        steps += 1
    if changed.get("admin_state_up") and changes and not changed.get("availability_zones"):
        changed["availability_zones"] = [session.settings.availability_zone]
    return router if changed == router else session.touch(ROUTER, changed, steps=steps)


def delete(session: Session, router: Json) -> None:
    """Remove a router without interfaces. Raises RouterInUse."""
    attached = list(session.find(PORT, device_id=router["id"]))
    inside = [port["id"] for port in attached if port.get("device_owner") == INTERFACE]
    if inside:
        fail("RouterInUse", id=router["id"], reason="has ports still attached: " + ", ".join(inside))
    _free_of_floating_ips(session, router)
    for port in attached:
        ports.remove(session, port)
    session.remove(ROUTER, router["id"])


def add_interface(session: Session, router: Json, body: Json) -> Json:
    """Attach a router to a subnet, or a port to a router; says which port it became."""
    by_port, _ = _which(body, removing=False)
    before = {port["id"] for port in _interfaces(session, router)}
    if by_port:
        port, subnets = _attach_port(session, router, body["port_id"])
    else:
        port, subnets = _attach_subnet(session, router, body["subnet_id"])
    if port["id"] not in before:
        zones = router.get("availability_zones") or [session.settings.availability_zone]
        session.touch(ROUTER, {**router, "availability_zones": zones})
    return _interface(router, port, subnets[-1]["id"], subnets)


def remove_interface(session: Session, router: Json, body: Json) -> Json:
    """Detach a router from a subnet."""
    by_port, _ = _which(body, removing=True)
    attached = _interfaces(session, router)
    if by_port:
        port = next((p for p in attached if p["id"] == body["port_id"]), None)
        if port is None:
            raise fault("RouterInterfaceNotFound", router=router["id"], port=body["port_id"])
        ids = [ip["subnet_id"] for ip in port["fixed_ips"]]
        wanted = body.get("subnet_id")
        if wanted and wanted not in ids:
            fail("SubnetMismatchForPort", port=port["id"], subnet=wanted)
        subnets = session.many(SUBNET, ids)
        for subnet in subnets:
            _not_needed(session, router, subnet)
        ports.remove(session, port)
        session.touch(ROUTER, dict(router))
        return _interface(router, port, subnets[0]["id"], subnets)
    subnet = session.visible(SUBNET, body["subnet_id"])
    here = [p for p in attached if p["network_id"] == subnet["network_id"]]
    if here:
        _not_needed(session, router, subnet)
    for port in here:
        ids = [ip["subnet_id"] for ip in port["fixed_ips"]]
        if subnet["id"] in ids and len(ids) > 1:
            left = [ip for ip in port["fixed_ips"] if ip["subnet_id"] != subnet["id"]]
            session.touch(PORT, ports.with_names(session, {**port, "fixed_ips": left}))
        elif subnet["id"] in ids:
            ports.remove(session, port)
            session.touch(ROUTER, dict(router))
        else:
            continue
        return _interface(router, port, subnet["id"], [subnet])
    raise fault("RouterInterfaceNotFoundForSubnet", router=router["id"], subnet=subnet["id"])


def add_routes(session: Session, router: Json, routes: list[Json]) -> Json:
    """A router with more extra routes; those that are there stay once."""
    merged = list(router.get("routes") or [])
    merged += [route for route in routes if route not in merged]
    return update(session, router, {"routes": merged})


def remove_routes(session: Session, router: Json, routes: list[Json]) -> Json:
    """A router with fewer extra routes; those that are not there do not matter."""
    left = [route for route in router.get("routes") or [] if route not in routes]
    return update(session, router, {"routes": left})


# Gateways


def _gateway_port(session: Session, router: Json) -> Json | None:
    found = session.find(PORT, device_id=router["id"])
    return next((port for port in found if port.get("device_owner") == GATEWAY), None)


def gateway_port_id(session: Session, router: Json) -> str | None:
    """The port that leads a router outside."""
    port = _gateway_port(session, router)
    return None if port is None else str(port["id"])


def _set_gateway(session: Session, router: Json, wanted: Json | None) -> int:
    """Lead a router to an external network, elsewhere in it, or nowhere; says how many revisions that counts."""
    current = _gateway_port(session, router)
    if wanted is None:
        if current is None:
            return 0
        _free_of_floating_ips(session, router, current["network_id"])
        ports.remove(session, current)
        router["external_gateway_info"] = None
        return 1
    addresses = wanted.get("external_fixed_ips") or []
    _check_external(session, router, wanted, addresses)
    steps = 0
    if current is None or current["network_id"] != wanted["network_id"]:
        current = _new_gateway_port(session, router, current, wanted["network_id"], addresses)
        steps += 1
    elif addresses and _differ(current["fixed_ips"], addresses):
        new = ipam.for_changed_port(session, current, addresses, current["mac_address"])
        current = session.touch(PORT, ports.with_names(session, {**current, "fixed_ips": new}))
    before = router.get("external_gateway_info") or {"enable_snat": True}
    snat = v.boolean(wanted.get("enable_snat", True))
    router["external_gateway_info"] = {
        "network_id": wanted["network_id"],
        "external_fixed_ips": [
            {"subnet_id": ip["subnet_id"], "ip_address": ip["ip_address"]} for ip in current["fixed_ips"]
        ],
        "enable_snat": snat,
    }
    return steps + (snat != before.get("enable_snat"))


def _new_gateway_port(
    session: Session, router: Json, old: Json | None, network_id: str, addresses: list[Json]
) -> Json:
    if old is not None:
        _free_of_floating_ips(session, router, old["network_id"])
        ports.remove(session, old)
    _check_subnets(session, router, ipam.subnets_of(session, network_id))
    return ports.service_port(
        session,
        network_id=network_id,
        project_id="",
        device_id=router["id"],
        device_owner=GATEWAY,
        **({"fixed_ips": addresses} if addresses else {}),
    )


def _check_external(session: Session, router: Json, wanted: Json, addresses: list[Json]) -> None:
    network = session.visible(NETWORK, wanted["network_id"])
    if not network.get("router:external"):
        raise _refused(f"Network {network['id']} is not an external network")
    subnets = ipam.subnets_of(session, network["id"])
    for address in addresses:
        if address.get("ip_address") and any(s.get("gateway_ip") == address["ip_address"] for s in subnets):
            raise _refused(f"External IP {address['ip_address']} is the same as the gateway IP")
    if router.get("routes"):
        cidrs, taken = _reach(session, router, without_gateway=True)
        _check_nexthops(router["routes"], cidrs + [s["cidr"] for s in subnets], taken)


def _differ(current: list[Json], wanted: list[Json]) -> bool:
    for name in ("subnet_id", "ip_address"):
        if {ip[name] for ip in current} != {ip[name] for ip in wanted if ip.get(name)}:
            return True
    return False


def _free_of_floating_ips(session: Session, router: Json, network_id: str | None = None) -> None:
    using = list(session.find(FLOATING_IP, router_id=router["id"]))
    if using:
        network = network_id or (router.get("external_gateway_info") or {}).get("network_id")
        fail("RouterExternalGatewayInUseByFloatingIp", router=router["id"], network=network)


# Interfaces


def _interfaces(session: Session, router: Json) -> list[Json]:
    return [p for p in session.find(PORT, device_id=router["id"]) if p.get("device_owner") == INTERFACE]


def _which(body: Json, *, removing: bool) -> tuple[bool, bool]:
    by_port, by_subnet = "port_id" in body, "subnet_id" in body
    if not (by_port or by_subnet):
        raise _refused("Either subnet_id or port_id must be specified")
    for name in ("port_id", "subnet_id"):
        refused = v.identifier(body[name]) if name in body else None
        if refused:
            raise _refused(refused)
    if by_port and by_subnet and not removing:
        raise _refused("Cannot specify both subnet-id and port-id")
    return by_port, by_subnet


def _attach_port(session: Session, router: Json, port_id: str) -> tuple[Json, list[Json]]:
    port = session.visible(PORT, port_id)
    if port.get("device_id"):
        fail("PortInUse", id=port["id"], network=port["network_id"], device=port["device_id"])
    if not port.get("fixed_ips"):
        raise _refused("Router port must have at least one fixed IP")
    subnets = [session.there(SUBNET, ip["subnet_id"]) for ip in port["fixed_ips"]]
    for subnet in subnets:
        _takes_our_advertisements(subnet)
    if any(s["ip_version"] == _V6 for s in subnets):
        _one_ipv6_port(session, router, port)
    _check_subnets(session, router, subnets)
    if len([s for s in subnets if s["ip_version"] == _V4]) > 1:
        raise _refused("Cannot have multiple IPv4 subnets on router port")
    changes = {"device_id": router["id"], "device_owner": INTERFACE}
    return session.touch(PORT, {**port, **changes}), subnets


def _attach_subnet(session: Session, router: Json, subnet_id: str) -> tuple[Json, list[Json]]:
    subnet = session.visible(SUBNET, subnet_id)
    if not subnet.get("gateway_ip"):
        raise _refused("Subnet for router interface must have a gateway IP")
    if subnet.get("project_id") != session.caller.project_id and not session.caller.admin:
        raise _refused(
            f"Cannot add interface to router because subnet {subnet_id} is not owned by project making the request"
        )
    _takes_our_advertisements(subnet)
    _check_subnets(session, router, [subnet])
    address = {"ip_address": subnet["gateway_ip"], "subnet_id": subnet["id"]}
    if subnet["ip_version"] == _V6:
        for port in _interfaces(session, router):
            same = port["network_id"] == subnet["network_id"]
            if same and any(ipaddress.ip_address(ip["ip_address"]).version == _V6 for ip in port["fixed_ips"]):
                wanted = [*port["fixed_ips"], address]
                new = ipam.for_changed_port(session, port, wanted, port["mac_address"])
                return session.touch(PORT, ports.with_names(session, {**port, "fixed_ips": new})), [subnet]
    port = ports.service_port(
        session,
        network_id=subnet["network_id"],
        project_id=router.get("project_id") or "",
        fixed_ips=[address],
        device_id=router["id"],
        device_owner=INTERFACE,
    )
    return port, [subnet]


def _takes_our_advertisements(subnet: Json) -> None:
    foreign = subnet.get("ipv6_ra_mode") is None and subnet.get("ipv6_address_mode") is not None
    if subnet["ip_version"] == _V6 and foreign:
        raise _refused(
            f"IPv6 subnet {subnet['id']} configured to receive RAs from an external router cannot be added to "
            "Neutron Router."
        )


def _one_ipv6_port(session: Session, router: Json, port: Json) -> None:
    for other in _interfaces(session, router):
        has_ipv6 = any(ipaddress.ip_address(ip["ip_address"]).version == _V6 for ip in other.get("fixed_ips") or [])
        if other["id"] != port["id"] and other["network_id"] == port["network_id"] and has_ipv6:
            raise _refused(
                f"Router already contains IPv6 port {other['id']} belonging to network id "
                f"{other['network_id']}. Only one IPv6 port from the same network subnet can be connected to a "
                "router."
            )


def _check_subnets(session: Session, router: Json, new: list[Json]) -> None:
    """Refuse subnets that the router is already on, or that overlap with those it is on."""
    new_ids = {s["id"] for s in new}
    present: set[str] = set()
    for port in session.find(PORT, device_id=router["id"]):
        for ip in port["fixed_ips"]:
            if ip["subnet_id"] in new_ids:
                raise _refused(f"Router already has a port on subnet {ip['subnet_id']}")
            present.add(ip["subnet_id"])
        if port.get("device_owner") == GATEWAY:
            present.update(s["id"] for s in ipam.subnets_of(session, port["network_id"]))
    here = session.many(SUBNET, present)
    for old in here:
        for subnet in new:
            _apart(old, subnet)
    for one, other in combinations(new, 2):
        _apart(one, other)


def _apart(old: Json, new: Json) -> None:
    one, other = ipam.network_of(old["cidr"]), ipam.network_of(new["cidr"])
    if one.version == other.version and one.overlaps(other):
        raise _refused(
            f"Cidr {new['cidr']} of subnet {new['id']} overlaps with cidr {old['cidr']} of subnet {old['id']}"
        )


def _not_needed(session: Session, router: Json, subnet: Json) -> None:
    """Refuse to detach a subnet that floating IPs or extra routes go through."""
    network = ipam.network_of(subnet["cidr"])
    for floating in session.find(FLOATING_IP, router_id=router["id"]):
        port = session.get(PORT, floating.get("port_id"))
        if port is None:
            continue
        if any(
            ip["subnet_id"] == subnet["id"] and ip["ip_address"] == floating["fixed_ip_address"]
            for ip in port["fixed_ips"]
        ):
            fail("RouterInterfaceInUseByFloatingIP", router=router["id"], subnet=subnet["id"])
    for route in router.get("routes") or []:
        if ipaddress.ip_address(route["nexthop"]) in network:
            fail("RouterInterfaceInUseByRoute", router=router["id"], subnet=subnet["id"])


def _interface(router: Json, port: Json, subnet_id: str, subnets: list[Json]) -> Json:
    return {
        "id": router["id"],
        "project_id": port.get("project_id"),
        "port_id": port["id"],
        "network_id": port["network_id"],
        "subnet_id": subnet_id,
        "subnet_ids": [subnet["id"] for subnet in subnets],
    }


# Routes


def _checked_routes(session: Session, router: Json, routes: list[Json]) -> list[Json]:
    if len(routes) > _MAX_ROUTES:
        fail("OverQuota", overs="['router_route']")
    cidrs, taken = _reach(session, router)
    _check_nexthops(routes, cidrs, taken)
    return routes


def _reach(session: Session, router: Json, *, without_gateway: bool = False) -> tuple[list[str], set[str]]:
    """The prefixes that a router is on, and its own addresses there."""
    cidrs: list[str] = []
    taken: set[str] = set()
    for port in session.find(PORT, device_id=router["id"]):
        if without_gateway and port.get("device_owner") == GATEWAY:
            continue
        for ip in port["fixed_ips"]:
            cidrs.append(session.there(SUBNET, ip["subnet_id"])["cidr"])
            taken.add(ip["ip_address"])
    return cidrs, taken


def _check_nexthops(routes: list[Json], cidrs: list[str], taken: set[str]) -> None:
    networks = [ipam.network_of(cidr) for cidr in cidrs]
    for route in routes:
        if not any(ipaddress.ip_address(route["nexthop"]) in network for network in networks):
            fail("InvalidRoutes", routes=routes, reason="the nexthop is not connected with router")
        if route["nexthop"] in taken:
            fail("InvalidRoutes", routes=routes, reason="the nexthop is used by router")


def _refused(reason: str) -> Exception:
    return fault("BadRequest", resource="router", reason=reason)

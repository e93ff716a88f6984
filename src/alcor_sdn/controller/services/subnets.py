"""Subnets: their pools, gateways and what hosts are told."""

from __future__ import annotations

import ipaddress
import uuid
from typing import TYPE_CHECKING

from alcor_model.catalogue import NETWORK, PORT, SUBNET
from alcor_sdn.controller.neutron.attributes import UNSET
from alcor_sdn.controller.neutron.errors import fail, fault, invalid
from alcor_sdn.controller.services import ipam, ports

if TYPE_CHECKING:
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

_V4, _V6 = 4, 6
_MAX_NAMESERVERS, _MAX_ROUTES = 5, 20
_DHCP_PREFIX = {_V4: 30, _V6: 126}
_EUI64_PREFIX = 64
_MODES = ("ipv6_ra_mode", "ipv6_address_mode")
_AUTOMATIC_PORTS = frozenset({"network:dhcp", "network:distributed", "network:floatingip_agent_gateway"})


def create(session: Session, values: Json) -> Json:
    """A new subnet; ports of the network get their automatic addresses in it."""
    network = session.visible(NETWORK, values["network_id"])
    cidr = _cidr(values)
    wished: Json = {name: None if value is UNSET else value for name, value in values.items()}
    _check_family(wished, cidr)
    _check_service(wished, cidr, enabled_before=False)
    if wished["gateway_ip"]:
        _check_gateway(wished["ip_version"], cidr, wished["gateway_ip"])
    _check_lists("new subnet", wished["ip_version"], wished)
    if wished["ip_version"] == _V6:
        _check_modes(wished, cidr)
    if wished["ip_version"] == _V6 and 0 < (network.get("mtu") or 0) < 1280:  # noqa: PLR2004 (RFC 8200)
        fail("NetworkMTUSubnetConflict", id=network["id"], mtu=1280)
    gateway = _first_address(cidr) if values["gateway_ip"] is UNSET else wished["gateway_ip"]
    pools = _pools(cidr, gateway, wished["allocation_pools"])
    _check_overlap(session, network, cidr)
    subnet = {
        "id": values.get("id") or str(uuid.uuid4()),
        "name": wished["name"],
        "project_id": wished["project_id"],
        "network_id": network["id"],
        "ip_version": wished["ip_version"],
        "subnetpool_id": None,
        "enable_dhcp": wished["enable_dhcp"],
        "ipv6_ra_mode": wished["ipv6_ra_mode"],
        "ipv6_address_mode": wished["ipv6_address_mode"],
        "gateway_ip": gateway,
        "cidr": cidr,
        "allocation_pools": pools,
        "host_routes": wished["host_routes"] or [],
        "dns_nameservers": wished["dns_nameservers"] or [],
        "description": wished["description"],
        "router:external": bool(network.get("router:external")),
        "service_types": wished["service_types"] or [],
        "dns_publish_fixed_ip": wished["dns_publish_fixed_ip"],
        "segment_id": wished["segment_id"],
        "tags": [],
    }
    session.add(SUBNET, subnet, revision=0)
    zones = network.get("availability_zones") or [session.settings.availability_zone]
    session.touch(NETWORK, {**network, "availability_zones": zones})
    if ipam.automatic(subnet):
        _address_existing_ports(session, subnet)
    return subnet


def update(session: Session, subnet: Json, changes: Json) -> Json:
    """A changed subnet."""
    cidr = subnet["cidr"]
    wished = {**subnet, **changes}
    if changes.get("enable_dhcp"):
        _check_service(wished, cidr, enabled_before=bool(subnet.get("enable_dhcp")))
    if "gateway_ip" in changes:
        _check_new_gateway(session, subnet, changes["gateway_ip"])
    _check_lists(subnet["id"], subnet["ip_version"], changes)
    if changes.get("enable_dhcp") is False and any(subnet.get(mode) for mode in _MODES):
        raise invalid("Cannot disable enable_dhcp with ipv6 attributes set")
    if changes.get("allocation_pools") is not None:
        _check_pools(cidr, changes["allocation_pools"])
        wished["allocation_pools"] = _sorted_pools(changes["allocation_pools"])
    moved = wished.get("gateway_ip") != subnet.get("gateway_ip")
    if wished.get("gateway_ip") and (moved or "allocation_pools" in changes):
        _check_gateway_outside(wished["gateway_ip"], wished.get("allocation_pools") or [])
    if wished == subnet:
        return subnet
    # Neutron counts only changes of the subnet's own row; what lies in other tables moves the time alone.
    beside = {"dns_nameservers", "host_routes", "allocation_pools"}
    counted = any(wished[name] != subnet.get(name) for name in changes if name not in beside)
    if counted:
        _touch_network(session, subnet)
    return session.touch(SUBNET, wished, steps=1 if counted else 0)


def delete(session: Session, subnet: Json) -> None:
    """Remove a subnet. Raises SubnetInUse while ports need it."""
    holders = session.many(PORT, session.rows.ports_on_subnet([subnet["id"]]))
    in_use = fault("SubnetInUse", id=subnet["id"], reason="One or more ports have an IP allocation from this subnet")
    if any(port.get("device_owner") in ipam.ROUTER_INTERFACE_OWNERS for port in holders):
        raise in_use
    if not ipam.automatic(subnet) and any(p.get("device_owner") not in _AUTOMATIC_PORTS for p in holders):
        raise in_use
    for port in holders:
        left = [ip for ip in port.get("fixed_ips") or [] if ip["subnet_id"] != subnet["id"]]
        session.touch(PORT, ports.with_names(session, {**port, "fixed_ips": left}))
    session.remove(SUBNET, subnet["id"])
    _touch_network(session, subnet)


def _touch_network(session: Session, subnet: Json) -> None:
    """A network's revision counts the changes of its subnets too."""
    network = session.get(NETWORK, subnet["network_id"])
    if network is not None:
        session.touch(NETWORK, dict(network))


def _cidr(values: Json) -> str:
    given = values["cidr"] is not UNSET and values["cidr"] is not None
    if given and values["prefixlen"] is not UNSET:
        raise fault("BadRequest", resource="subnets", reason="cidr and prefixlen must not be supplied together")
    if values["use_default_subnetpool"]:
        version = ipam.network_of(values["cidr"]).version if given else values["ip_version"]
        raise fault("BadRequest", resource="subnets", reason=f"No default subnetpool found for IPv{version}")
    if values["subnetpool_id"] is not UNSET and values["subnetpool_id"] is not None:
        fail("SubnetPoolNotFound", id=values["subnetpool_id"])
    if not given:
        raise fault(
            "BadRequest",
            resource="subnets",
            reason="a subnetpool must be specified in the absence of a cidr",
        )
    return str(ipam.network_of(values["cidr"]))


def _check_family(wished: Json, cidr: str) -> None:
    version = wished["ip_version"]
    network = ipam.network_of(cidr)
    if network.version != version:
        raise invalid(f"cidr '{cidr}' does not match the ip_version '{version}'")
    if version == _V6 and int(network.network_address) == 0:
        raise invalid("IPv6 subnet '::' is not supported")
    if network.prefixlen == 0:
        raise invalid("0 is not allowed as CIDR prefix length")
    if version == _V4:
        for mode in _MODES:
            if wished[mode]:
                raise invalid(f"{mode} is not valid when ip_version is 4")


def _check_service(wished: Json, cidr: str, *, enabled_before: bool) -> None:
    """Refuse DHCP where it cannot work."""
    if not wished["enable_dhcp"] or enabled_before:
        return
    network = ipam.network_of(cidr)
    if network.prefixlen > _DHCP_PREFIX[network.version]:
        raise invalid("Subnet has a prefix length that is incompatible with DHCP service enabled")
    if network.is_multicast:
        raise invalid("Multicast IP subnet is not supported if enable_dhcp is True")
    if network.is_loopback:
        raise invalid("Loopback IP subnet is not supported if enable_dhcp is True")
    if network.version == _V4 and int(network.network_address) == 0:
        raise invalid("First IP '0.0.0.0' of network is not supported if enable_dhcp is True.".removesuffix("."))


def _check_gateway(version: int, cidr: str, gateway: str) -> None:
    address, network = ipaddress.ip_address(gateway), ipam.network_of(cidr)
    if address.version != version:
        raise invalid(f"gateway_ip '{gateway}' does not match the ip_version '{version}'")
    if version == _V4 and address in {network.network_address, network.broadcast_address}:
        raise invalid("Gateway is not valid on subnet")


def _check_new_gateway(session: Session, subnet: Json, gateway: str | None) -> None:
    if gateway:
        _check_gateway(subnet["ip_version"], subnet["cidr"], gateway)
    current = subnet.get("gateway_ip")
    if current and gateway != current:
        holder = session.get(PORT, session.rows.holders(subnet["id"], [current]).get(current))
        if holder and holder.get("device_owner") in ipam.ROUTER_INTERFACE_OWNERS:
            fail("GatewayIpInUse", address=current, port=holder["id"])


def _check_lists(name: str, version: int, wished: Json) -> None:
    nameservers, routes = wished.get("dns_nameservers") or [], wished.get("host_routes") or []
    if len(nameservers) > _MAX_NAMESERVERS:
        fail("DNSNameServersExhausted", id=name, limit=_MAX_NAMESERVERS)
    for host in nameservers:
        if ipaddress.ip_address(host).version != version:
            raise invalid(f"dns_nameserver '{host}' does not match the ip_version '{version}'")
    if len(routes) > _MAX_ROUTES:
        fail("HostRoutesExhausted", id=name, limit=_MAX_ROUTES)
    for route in routes:
        if ipaddress.ip_address(route["nexthop"]).version != version:
            raise invalid(f"nexthop '{route['nexthop']}' does not match the ip_version '{version}'")
        if ipam.network_of(route["destination"]).version != version:
            raise invalid(f"destination '{route['destination']}' does not match the ip_version '{version}'")


def _check_modes(wished: Json, cidr: str) -> None:
    ra, address = wished["ipv6_ra_mode"], wished["ipv6_address_mode"]
    if (ra or address) and not wished["enable_dhcp"]:
        raise invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
    if ra and address and ra != address:
        raise invalid(
            f"ipv6_ra_mode set to '{ra}' with ipv6_address_mode set to '{address}' is not valid. "
            "If both attributes are set, they must be the same value"
        )
    if ipam.automatic(wished) and ipam.network_of(cidr).prefixlen != _EUI64_PREFIX:
        raise invalid(
            f"Invalid CIDR {cidr} for IPv6 address mode. OpenStack uses the EUI-64 address format, which "
            "requires the prefix to be /64"
        )


def _check_overlap(session: Session, network: Json, cidr: str) -> None:
    new = ipam.network_of(cidr)
    for other in session.find(SUBNET, network_id=network["id"]):
        if other["ip_version"] == new.version and ipam.network_of(other["cidr"]).overlaps(new):
            raise invalid(
                f"Requested subnet with cidr: {cidr} for network: {network['id']} overlaps with another subnet"
            )


def _first_address(cidr: str) -> str:
    """The gateway of a subnet that names none: the first address, for IPv6 the router anycast one (RFC 4291)."""
    network = ipam.network_of(cidr)
    first = int(network.network_address) + (1 if network.version == _V4 else 0)
    return str(type(network.network_address)(first))


def _pools(cidr: str, gateway: str | None, wanted: list[Json] | None) -> list[Json]:
    if wanted is None:
        return ipam.default_pools(cidr, gateway)
    _check_pools(cidr, wanted)
    if gateway:
        _check_gateway_outside(gateway, wanted)
    return _sorted_pools(wanted)


def _sorted_pools(pools: list[Json]) -> list[Json]:
    return [{"start": pool["start"], "end": pool["end"]} for pool in pools]


def _check_pools(cidr: str, pools: list[Json]) -> None:
    network = ipam.network_of(cidr)
    first, last = ipam.usable(network)
    for pool in pools:
        start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        if start.version != end.version or int(start) > int(end):
            fail("InvalidAllocationPool", pool=pool)
        if start.version != network.version:
            fail("InvalidAllocationPool", pool=_shown(pool))
        if int(start) < first or int(end) > last:
            fail("OutOfBoundsAllocationPool", pool=_shown(pool), cidr=cidr)
    numbers = ipam.ranges(pools)
    for position, (start_1, end_1) in enumerate(numbers):
        for later, (start_2, end_2) in enumerate(numbers[position + 1 :], position + 1):
            if start_1 <= end_2 and start_2 <= end_1:
                fail(
                    "OverlappingAllocationPools",
                    one=_shown(pools[position]),
                    other=_shown(pools[later]),
                    cidr=cidr,
                )


def _check_gateway_outside(gateway: str, pools: list[Json]) -> None:
    number = int(ipaddress.ip_address(gateway))
    for pool, (start, end) in zip(pools, ipam.ranges(pools), strict=True):
        if start <= number <= end:
            fail("GatewayConflictWithAllocationPools", address=gateway, pool=_shown(pool))


def _shown(pool: Json) -> str:
    return f"{pool['start']}-{pool['end']}"


def _address_existing_ports(session: Session, subnet: Json) -> None:
    """Give the ports that are there their automatic address in a new subnet."""
    for port in list(session.find(PORT, network_id=subnet["network_id"])):
        owner = port.get("device_owner") or ""
        if owner in ipam.ROUTER_OWNERS or owner == "network:floatingip":
            continue
        address = {
            "subnet_id": subnet["id"],
            "ip_address": ipam.eui64(subnet["cidr"], port["mac_address"]),
        }
        changed = {**port, "fixed_ips": [*(port.get("fixed_ips") or []), address]}
        session.touch(PORT, ports.with_names(session, changed))

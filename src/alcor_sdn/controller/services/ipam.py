"""Addresses: which are free in a subnet, and which a port gets.

Neutron's rules: an address that is asked for must lie in the subnet and be free, but need not lie in a pool; a
port that asks for nothing gets one IPv4 and one IPv6 address from the pools of its network's subnets, and one
EUI-64 address of every subnet whose hosts configure themselves (RFC 4862, RFC 4291 appendix A).
"""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING, Any

from alcor_model.catalogue import SUBNET
from alcor_sdn.controller.neutron.errors import fail, fault, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Pool = tuple[int, int]
"""The first and the last address of a pool, as numbers."""

_V4, _V6 = 4, 6
_AUTO_MODES = frozenset({"slaac", "dhcpv6-stateless"})
_GUESSES = 12
_LARGE_POOL = 4096

ROUTER_INTERFACE_OWNERS = frozenset(
    {
        "network:router_interface",
        "network:router_interface_distributed",
        "network:ha_router_replicated_interface",
        "network:router_centralized_snat",
    }
)
ROUTER_OWNERS = ROUTER_INTERFACE_OWNERS | {"network:router_gateway"}


def network_of(cidr: str) -> Network:
    """The prefix of a CIDR."""
    return ipaddress.ip_network(cidr, strict=False)


def automatic(subnet: Json) -> bool:
    """Whether hosts of the subnet make their own addresses."""
    return subnet.get("ipv6_address_mode") in _AUTO_MODES or subnet.get("ipv6_ra_mode") in _AUTO_MODES


def eui64(cidr: str, mac: str) -> str:
    """The address that a host with this MAC makes for itself in a prefix (RFC 4291 appendix A)."""
    octets = bytes.fromhex(mac.replace(":", "").replace("-", ""))
    interface = bytes([octets[0] ^ 0x02]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return str(network_of(cidr)[0] + int.from_bytes(interface, "big"))


def usable(network: Network) -> Pool:
    """The host addresses of a prefix: all, without network and broadcast address where there are such."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if first == last:
        return first, last
    if network.version == _V6:
        return first + 1, last
    return (first + 1, last - 1) if network.prefixlen <= 30 else (first, last)  # noqa: PLR2004 (RFC 3021)


def default_pools(cidr: str, gateway: str | None) -> list[Json]:
    """The pools of a subnet that names none: all host addresses but the gateway's."""
    network = network_of(cidr)
    first, last = usable(network)
    make = type(network.network_address)
    if gateway is None:
        return [_pool(make, first, last)]
    middle = int(ipaddress.ip_address(gateway))
    if not first <= middle <= last:
        return [_pool(make, first, last)]
    halves = ((first, middle - 1), (middle + 1, last))
    return [_pool(make, start, end) for start, end in halves if start <= end]


def _pool(make: Any, start: int, end: int) -> Json:
    return {"start": str(make(start)), "end": str(make(end))}


def ranges(pools: Iterable[Json]) -> list[Pool]:
    """Pools as numbers."""
    return [(int(ipaddress.ip_address(p["start"])), int(ipaddress.ip_address(p["end"]))) for p in pools]


def host_of(cidr: str, address: str, owner: str = "") -> bool:
    """Whether an address can be a port's in a subnet."""
    network, ip = network_of(cidr), ipaddress.ip_address(address)
    if ip.version != network.version or ip not in network:
        return False
    if network.version == _V4:
        return ip not in {network.network_address, network.broadcast_address}
    return ip != network.network_address or owner == "" or owner in ROUTER_OWNERS


def subnets_of(session: Session, network_id: str) -> list[Json]:
    """The subnets of a network, oldest first."""
    found = session.find(SUBNET, network_id=network_id)
    return sorted(found, key=lambda subnet: (subnet.get("created_at") or "", subnet["id"]))


def for_new_port(session: Session, network_id: str, mac: str, owner: str, wanted: list[Json] | None) -> list[Json]:
    """The addresses of a new port; `wanted` is None when the caller leaves them to the controller."""
    subnets = subnets_of(session, network_id)
    chosen: list[Json] = []
    if wanted is None:
        for version in (_V4, _V6):
            candidates = [s for s in subnets if s["ip_version"] == version and not automatic(s) and _serves(s, owner)]
            if candidates:
                chosen.append(_first_free(session, network_id, candidates, owner))
    else:
        chosen = _chosen(session, network_id, subnets, mac, owner, wanted)
    return chosen + _automatic_ones(subnets, mac, owner, {ip["subnet_id"] for ip in chosen})


def for_changed_port(session: Session, port: Json, wanted: list[Json], mac: str) -> list[Json]:
    """The addresses of a port whose `fixed_ips` are set anew: those it may keep, and new ones."""
    subnets = subnets_of(session, port["network_id"])
    automatic_ids = {s["id"] for s in subnets if automatic(s)}
    old = list(port.get("fixed_ips") or [])
    kept: list[Json] = []
    new: list[Json] = []
    dropped = {item["subnet_id"] for item in wanted if item.get("delete_subnet")}
    wanted = [item for item in wanted if item.get("subnet_id") not in dropped]
    for item in wanted:
        if "ip_address" in item:
            same = next((ip for ip in old if ip["ip_address"] == item["ip_address"]), None)
            (kept if same else new).append(same or item)
            if same:
                old.remove(same)
    for item in wanted:
        if "ip_address" not in item:
            same = next((ip for ip in reversed(old) if ip["subnet_id"] == item.get("subnet_id")), None)
            (kept if same else new).append(same or item)
            if same:
                old.remove(same)
    owner = port.get("device_owner") or ""
    if owner not in ROUTER_INTERFACE_OWNERS:
        kept += [ip for ip in old if ip["subnet_id"] in automatic_ids and ip["subnet_id"] not in dropped]
    added = _chosen(session, port["network_id"], subnets, mac, owner, new, holder=port["id"])
    return kept + added


def _serves(subnet: Json, owner: str) -> bool:
    """Whether a subnet hands out addresses to ports of this owner (its service types)."""
    types = subnet.get("service_types") or []
    return not types or owner in types


def _chosen(
    session: Session,
    network_id: str,
    subnets: Sequence[Json],
    mac: str,
    owner: str,
    wanted: list[Json],
    holder: str = "",
) -> list[Json]:
    """What a list of wishes comes to: each wish is an address, a subnet, or both."""
    chosen: list[Json] = []
    for item in sorted(wanted, key=lambda item: "ip_address" not in item):
        subnet = _subnet_for(session, network_id, subnets, item, owner)
        if "ip_address" in item:
            address = str(ipaddress.ip_address(item["ip_address"]))
            self_made = automatic(subnet) and owner not in ROUTER_INTERFACE_OWNERS
            if self_made and address != eui64(subnet["cidr"], mac):
                fail("AllocationOnAutoAddressSubnet", address=address, subnet=subnet["id"])
            taken = session.rows.holders(subnet["id"], [address]).get(address)
            if (taken and taken != holder) or any(ip["ip_address"] == address for ip in chosen):
                fail("IpAddressAlreadyAllocated", address=address, subnet=subnet["id"])
            chosen.append({"subnet_id": subnet["id"], "ip_address": address})
        elif automatic(subnet) and owner not in ROUTER_INTERFACE_OWNERS:
            address = eui64(subnet["cidr"], mac)
            if all(ip["ip_address"] != address for ip in chosen):
                chosen.append({"subnet_id": subnet["id"], "ip_address": address})
        else:
            taken_here = {ip["ip_address"] for ip in chosen}
            chosen.append(_first_free(session, network_id, [subnet], owner, taken_here))
    return chosen


def _subnet_for(session: Session, network_id: str, subnets: Sequence[Json], item: Json, owner: str) -> Json:
    if not subnets:
        raise invalid("IP allocation requires subnets for network")
    if "subnet_id" in item:
        subnet = next((s for s in subnets if s["id"] == item["subnet_id"]), None)
        if subnet is None:
            session.visible(SUBNET, item["subnet_id"])
            raise invalid(
                f"Failed to create port on network {network_id}, because fixed_ips included invalid subnet "
                f"{item['subnet_id']}"
            )
        if "ip_address" in item and not host_of(subnet["cidr"], item["ip_address"], owner):
            fail("InvalidIpForSubnet", address=item["ip_address"])
        return subnet
    if "ip_address" not in item:
        raise invalid("IP allocation requires subnet_id or ip_address")
    for subnet in subnets:
        if host_of(subnet["cidr"], item["ip_address"], owner):
            return subnet
    raise fault("InvalidIpForNetwork", address=item["ip_address"])


def _automatic_ones(subnets: Sequence[Json], mac: str, owner: str, have: set[str]) -> list[Json]:
    if owner in ROUTER_INTERFACE_OWNERS:
        return []
    return [
        {"subnet_id": s["id"], "ip_address": eui64(s["cidr"], mac)}
        for s in subnets
        if automatic(s) and s["id"] not in have
    ]


def _first_free(
    session: Session,
    network_id: str,
    subnets: Sequence[Json],
    owner: str,
    also_taken: set[str] | None = None,
) -> Json:
    for subnet in subnets:
        address = free_address(session, subnet, also_taken or set(), lowest=owner == "network:dhcp")
        if address is not None:
            return {"subnet_id": subnet["id"], "ip_address": address}
    raise fault("IpAddressGenerationFailure", network=network_id)


def free_address(session: Session, subnet: Json, also_taken: set[str], *, lowest: bool = False) -> str | None:
    """A free address of a subnet's pools: by luck while that works, else by looking at all that are taken."""
    pools = ranges(subnet.get("allocation_pools") or [])
    make = ipaddress.IPv4Address if subnet["ip_version"] == _V4 else ipaddress.IPv6Address
    size = sum(end - start + 1 for start, end in pools)
    if size > _LARGE_POOL and not lowest:
        guesses = [str(make(_nth(pools, secrets.randbelow(size)))) for _ in range(_GUESSES)]
        taken = session.rows.holders(subnet["id"], guesses).keys() | also_taken
        for guess in guesses:
            if guess not in taken:
                return guess
    everything = session.rows.taken(subnet["id"]).keys() | also_taken
    numbers = (number for start, end in pools for number in range(start, end + 1))
    free = (address for number in numbers if (address := str(make(number))) not in everything)
    if lowest or size > _LARGE_POOL:
        return next(free, None)
    left = list(free)
    return secrets.choice(left) if left else None


def _nth(pools: Sequence[Pool], position: int) -> int:
    for start, end in pools:
        if position <= end - start:
            return start + position
        position -= end - start + 1
    raise IndexError(position)

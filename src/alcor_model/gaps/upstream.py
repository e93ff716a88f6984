"""Which rules of upstream Alcor an object falls under; pure.

Upstream's limits are those of its services' code at its last commit.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TYPE_CHECKING, Any

from alcor_model.gaps import rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json

    Found = Iterator[tuple[rules.Rule, str]]

NETWORK_TYPES = frozenset({"vxlan", "vlan", "gre", "flat"})
ALLOCATED_TYPES = frozenset({"vxlan", "vlan", "gre"})
PREFIXES = range(16, 29)
VNIC_TYPES = frozenset({"normal", "macvtap", "direct", "baremetal"})
PROTOCOLS = frozenset({"tcp", "udp", "icmp"})
"""By these names; a number is taken and breaks the ports of the group."""
DEVICE_NAME = 11
"""Characters of a port's id in its device's name."""
DHCP_PORT = "network:dhcp"
INTERFACE = frozenset({"network:router_interface", "network:router_interface_distributed"})
"""Owners of ports that become an attachment of the subnet's own gateway port: upstream takes no other."""
MADE_FOR_ROUTERS = frozenset(
    {
        "network:router_gateway",
        "network:router_ha_interface",
        "network:router_centralized_snat",
        "network:ha_router_replicated_interface",
        "network:floatingip",
        "network:floatingip_agent_gateway",
    }
)
"""Owners of ports that upstream has no use for: it keeps gateways and floating IPs as text."""
WITHOUT_EFFECT: Mapping[str, Mapping[str, Any]] = {
    "network": {
        "shared": False,
        "router:external": False,
        "vlan_transparent": False,
        "is_default": False,
        "port_security_enabled": True,
        "dns_domain": "",
        "availability_zone_hints": [],
    },
    "subnet": {
        "dns_nameservers": [],
        "ipv6_address_mode": "",
        "ipv6_ra_mode": "",
        "segment_id": "",
        "service_types": [],
        "subnetpool_id": "",
        "dns_publish_fixed_ip": False,
    },
    "port": {
        "port_security_enabled": True,
        "extra_dhcp_opts": [],
        "dns_name": "",
        "dns_domain": "",
        "qos_policy_id": "",
        "mac_learning_enabled": False,
    },
    "router": {
        "external_gateway_info": {},
        "distributed": False,
        "ha": False,
        "flavor_id": "",
        "availability_zone_hints": [],
    },
}
"""Fields that upstream stores without acting on them, and the value that means nothing."""


class Checks:
    """Takes objects in load order, because some rules are about several of them together."""

    def __init__(self) -> None:
        self._gateways: dict[str, str] = {}
        self._macs: set[str] = set()
        self._devices: set[tuple[str, str]] = set()
        self._router_network: dict[str, str] = {}
        self._subnet_router: dict[str, str] = {}
        self._by_name: dict[str, Callable[[Json], Found]] = {
            "network": _network,
            "subnet": self._subnet,
            "port": self._port,
            "router": _router,
            "security_group": _group,
            "security_group_rule": _rule,
            "quota": lambda _: iter([(rules.QUOTA, "")]),
            "network_segment_range": lambda _: iter([(rules.NO_PLACE, "its gateway routes no such request")]),
        }

    def of(self, resource: Resource, neutron: Json) -> Found:
        """The rules that an object falls under, each with what about it."""
        idle = WITHOUT_EFFECT.get(resource.name, {})
        told = [name for name, nothing in idle.items() if _says(neutron.get(name), nothing)]
        if told:
            yield rules.WITHOUT_EFFECT, ", ".join(told)
        if check := self._by_name.get(resource.name):
            yield from check(neutron)

    def _subnet(self, subnet: Json) -> Found:
        gateway = subnet.get("gateway_ip")
        self._gateways[subnet["id"]] = gateway or ""
        if not subnet.get("name"):
            yield rules.NAMELESS_SUBNET, ""
        if subnet["ip_version"] != 4:  # noqa: PLR2004  # the version of IP
            yield rules.IPV6, subnet["cidr"]
            return
        if (network := _network_of(subnet["cidr"])) is None:
            return
        if network.prefixlen not in PREFIXES:
            yield rules.PREFIX, subnet["cidr"]
        if not gateway:
            yield rules.NO_GATEWAY, ""
        elif (address := _address(gateway)) is not None and address not in network:
            yield rules.GATEWAY_OUTSIDE, gateway
        if _narrower(network, gateway, subnet.get("allocation_pools")):
            yield rules.WITHOUT_EFFECT, "allocation_pools"

    def _port(self, port: Json) -> Found:
        owner = port.get("device_owner") or ""
        addresses = [ip for ip in port.get("fixed_ips") or [] if isinstance(ip, dict)]
        if owner in INTERFACE:
            yield from self._interface(port, addresses)
            return
        if owner in MADE_FOR_ROUTERS:
            yield rules.ROUTER_PORT, owner
            return
        if owner == DHCP_PORT:
            yield rules.DHCP_PORT, ""
        if not addresses:
            yield rules.NO_ADDRESS, ""
        if six := [text for ip in addresses if ":" in (text := str(ip.get("ip_address") or ""))]:
            yield rules.IPV6, ", ".join(six)
        kind = port.get("binding:vnic_type") or "normal"
        if kind not in VNIC_TYPES:
            yield rules.VNIC_TYPE, kind
        yield from self._once(port)

    def _once(self, port: Json) -> Found:
        mac = port["mac_address"].lower()
        if mac in self._macs:
            yield rules.SAME_MAC, mac
        self._macs.add(mac)
        if not (host := port.get("binding:host_id")):
            return
        device = (host, port["id"][:DEVICE_NAME])
        if device in self._devices:
            yield rules.SAME_DEVICE_NAME, device[1]
        self._devices.add(device)

    def _interface(self, port: Json, addresses: list[Json]) -> Found:
        yield rules.INTERFACE, ""
        router = port.get("device_id") or ""
        if self._router_network.setdefault(router, port["network_id"]) != port["network_id"]:
            yield rules.ROUTER_SPREAD, f"router {router}"
        for ip in addresses:
            subnet, address = str(ip.get("subnet_id")), str(ip.get("ip_address"))
            if self._subnet_router.setdefault(subnet, router) != router:
                yield rules.SUBNET_TWICE, f"subnet {subnet}"
            if self._gateways.get(subnet, address) != address:
                yield rules.INTERFACE_ADDRESS, address


def _says(value: Any, nothing: Any) -> bool:
    return value is not None and value != nothing and (bool(value) or nothing is True)


def _network(network: Json) -> Found:
    kind = network.get("provider:network_type")
    if kind not in NETWORK_TYPES:
        yield rules.NETWORK_TYPE, kind or ("several segments" if network.get("segments") else "not known")
    elif kind in ALLOCATED_TYPES:
        yield rules.VNI, f"{kind} {network.get('provider:segmentation_id')}"
    elif network.get("provider:segmentation_id") is None:
        yield rules.FLAT_WITHOUT_ID, ""


def refused_routes(router: Json) -> Iterator[Json]:
    """The routes of a router that upstream refuses: after it has stored them."""
    destinations: Counter[str] = Counter()
    for route in router.get("routes") or []:
        if not isinstance(route, dict) or (destination := _network_of(route.get("destination"))) is None:
            continue
        destinations[str(destination)] += 1
        fits = destination.version == 4 and destination.prefixlen in {0, *PREFIXES}  # noqa: PLR2004  # of IP
        if not fits or destinations[str(destination)] > 1:
            yield route


def _router(router: Json) -> Found:
    for route in refused_routes(router):
        yield rules.ROUTE, f"{_network_of(route.get('destination'))} via {route.get('nexthop')}"


def _group(group: Json) -> Found:
    if group.get("name") == "default":
        yield rules.DEFAULT_GROUP, ""


def _rule(rule: Json) -> Found:
    if rule.get("remote_address_group_id"):
        yield rules.RULE_OPENS, "remote_address_group_id"
    if not rule.get("protocol"):
        return
    protocol = rule["protocol"]
    first, last = rule.get("port_range_min"), rule.get("port_range_max")
    if protocol not in PROTOCOLS:
        yield rules.RULE_PROTOCOL, protocol
    elif (first is None) != (last is None) or (protocol != "icmp" and first == 0):
        yield rules.RULE_PORTS, f"{protocol} {first}-{last}"


def _narrower(network: Any, gateway: str | None, pools: Any) -> bool:
    """Whether the pools leave out addresses that Neutron would have put into them by itself."""
    inside = 0
    for pool in pools or []:
        if not isinstance(pool, dict):
            return False  # contradictory, which is not upstream's doing
        first, last = _address(pool.get("start")), _address(pool.get("end"))
        if first is None or last is None:
            return False
        inside += int(last) - int(first) + 1
    behind = _address(gateway)
    whole = max(network.num_addresses - 2, 1) - (1 if behind is not None and behind in network else 0)
    return bool(inside < whole)


def _network_of(text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None

"""Puts goal states together from Alcor's objects, and names what the protocol has no word for.

    states = GoalStates()
    states.add_vpc(hosts, network)
    states.add_subnet(hosts, subnet, network, gateway_mac)
    states.add_port(host, port, subnets)
    states.message, states.gaps

Objects are in Alcor's form and checked; hosts are named by their `local_ip`, as the keys of `host_resources` are.
Values and keys are those that upstream's controller sends and its agent relies on, save where that leaves out what it
knows: a VPC's tunnel id and a subnet's name servers are filled in here. Revision numbers are at least 1, since
upstream's agent stops on 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from alcor_model.catalogue import EXTENSION
from alcor_model.goalstate.common_pb2 import (
    EtherType,
    NetworkType,
    OperationType,
    Protocol,
    ResourceType,
    UpdateType,
)
from alcor_model.goalstate.goalstate_pb2 import GoalStateV2
from alcor_model.goalstate.neighbor_pb2 import NeighborType
from alcor_model.goalstate.router_pb2 import DestinationType, RouterConfiguration
from alcor_model.goalstate.securitygroup_pb2 import SecurityGroupConfiguration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alcor_model.fields import Json

FORMAT_VERSION = 102
"""The version of GoalStateV2."""
DVR_MAC = "fe:16:11:00:00:00"
"""What every router is called on every host; upstream's agent refuses a second one."""
STATIC_PRIORITY = 100
"""The priority of a route that somebody gave."""


class Gap(msgspec.Struct, frozen=True):
    """Something of an object that its goal state cannot say."""

    resource: str
    object_id: str
    field: str
    problem: str

    def __str__(self) -> str:
        return f"{self.resource} {self.object_id}: {self.field} {self.problem}"


class GoalStates:
    """What hosts must look like, put together object by object; the same object may be added for more hosts."""

    def __init__(self) -> None:
        self.message = GoalStateV2(format_version=FORMAT_VERSION)
        self._gaps: dict[Gap, None] = {}
        self._told: set[tuple[str, int, str]] = set()

    @property
    def gaps(self) -> list[Gap]:
        """What could not be said, each once, in the order in which it was met."""
        return list(self._gaps)

    def add_vpc(
        self, hosts: Iterable[str], network: Json, operation: OperationType.ValueType = OperationType.INFO
    ) -> None:
        """A network that ports of the hosts are in."""
        self._for(hosts, ResourceType.VPC, network["id"])
        self._note_fields("network", network)
        state = self.message.vpc_states[network["id"]]
        state.operation_type = operation
        made = state.configuration
        made.revision_number, made.id = _revision(network), network["id"]
        made.project_id, made.name = _text(network, "project_id"), _text(network, "name")
        made.cidr = _text(network, "cidr")
        made.tunnel_id = network.get("provider:segmentation_id") or 0

    def add_subnet(
        self,
        hosts: Iterable[str],
        subnet: Json,
        network: Json,
        gateway_mac: str = "",
        operation: OperationType.ValueType = OperationType.INFO,
    ) -> None:
        """A subnet that ports of the hosts are in; left out, as a gap, when its kind of network has no word."""
        kind = _text(network, "provider:network_type").lower()
        if kind not in _NETWORK_TYPES:
            self._gap("network", network, "provider:network_type", f"is {kind!r}, which reads as VXLAN: not sent")
            return
        self._for(hosts, ResourceType.SUBNET, subnet["id"])
        self._note_fields("subnet", subnet)
        state = self.message.subnet_states[subnet["id"]]
        state.operation_type = operation
        made = state.configuration
        made.revision_number, made.id, made.vpc_id = _revision(subnet), subnet["id"], subnet["network_id"]
        made.network_type = _NETWORK_TYPES[kind]
        made.name, made.cidr = _text(subnet, "name"), subnet["cidr"]
        made.tunnel_id = network.get("provider:segmentation_id") or 0
        if subnet.get("gateway_ip"):
            made.gateway.ip_address, made.gateway.mac_address = subnet["gateway_ip"], gateway_mac
        made.dhcp_enable = bool(subnet.get("enable_dhcp"))
        made.availability_zone = _text(subnet, "availability_zone")
        del made.dns_entry_list[:]
        for server in subnet.get("dns_nameservers") or ():
            made.dns_entry_list.add(entry=server)

    def add_port(
        self,
        host: str,
        port: Json,
        subnets: Iterable[Json] = (),
        operation: OperationType.ValueType = OperationType.CREATE,
    ) -> None:
        """A port that a host wires, and what its DHCP responder answers in those of the subnets that have DHCP."""
        self._for([host], ResourceType.PORT, port["id"])
        self._note_fields("port", port)
        state = self.message.port_states[port["id"]]
        state.Clear()
        state.operation_type = operation
        made = state.configuration
        made.revision_number, made.id, made.update_type = _revision(port), port["id"], UpdateType.FULL
        made.vpc_id, made.name, made.mac_address = port["network_id"], _text(port, "name"), port["mac_address"]
        made.device_id, made.device_owner = _text(port, "device_id"), _text(port, "device_owner")
        made.admin_state_up = bool(port.get("admin_state_up"))
        made.host_info.ip_address = host
        for ip in port.get("fixed_ips") or ():
            made.fixed_ips.add(subnet_id=ip["subnet_id"], ip_address=ip["ip_address"])
        for pair in port.get("allowed_address_pairs") or ():
            made.allow_address_pairs.add(ip_address=pair["ip_address"], mac_address=_text(pair, "mac_address"))
        for group in port.get("security_groups") or ():
            made.security_group_ids.add(id=group)
        for subnet in subnets:
            if subnet.get("enable_dhcp"):
                self._add_dhcp(host, port, subnet["id"], operation)

    def _add_dhcp(self, host: str, port: Json, subnet_id: str, operation: OperationType.ValueType) -> None:
        addresses = [ip["ip_address"] for ip in port.get("fixed_ips") or () if ip["subnet_id"] == subnet_id]
        if not addresses:
            return
        key = f"{port['id']}/{subnet_id}"
        self._for([host], ResourceType.DHCP, key)
        state = self.message.dhcp_states[key]
        state.operation_type = operation
        made = state.configuration
        made.revision_number, made.id, made.subnet_id = _revision(port), key, subnet_id
        made.mac_address, made.port_host_name = port["mac_address"], _text(port, "dns_name")
        made.ipv4_address = next((address for address in addresses if ":" not in address), "")
        made.ipv6_address = next((address for address in addresses if ":" in address), "")

    def add_neighbor(
        self,
        hosts: Iterable[str],
        port: Json,
        node: Json,
        tunnel_id: int,
        kind: NeighborType.ValueType = NeighborType.L2,
        operation: OperationType.ValueType = OperationType.CREATE,
    ) -> None:
        """Where a port lives, for the hosts that have ports in its subnet (L2) or behind its router (L3)."""
        if not node.get("data-path-ip"):
            self._gaps[Gap("node", node["node_id"], "data-path-ip", "is not known: its ports are told to nobody")] = (
                None
            )
            return
        key = f"{NeighborType.Name(kind)}/{port['id']}"
        self._for(hosts, ResourceType.NEIGHBOR, key)
        state = self.message.neighbor_states[key]
        state.Clear()
        state.operation_type = operation
        made = state.configuration
        made.revision_number, made.id, made.vpc_id = _revision(port), port["id"], port["network_id"]
        made.name, made.mac_address = _text(port, "name"), port["mac_address"]
        made.host_ip_address, made.host_mac_address = node["data-path-ip"], _text(node, "mac_address")
        for ip in port.get("fixed_ips") or ():
            made.fixed_ips.add(
                neighbor_type=kind, subnet_id=ip["subnet_id"], ip_address=ip["ip_address"], tunnel_id=tunnel_id
            )
        for pair in port.get("allowed_address_pairs") or ():
            made.allow_address_pairs.add(ip_address=pair["ip_address"], mac_address=_text(pair, "mac_address"))

    def add_security_group(
        self,
        hosts: Iterable[str],
        group: Json,
        rules: Iterable[Json],
        operation: OperationType.ValueType = OperationType.CREATE,
    ) -> None:
        """A group with its rules. A rule that would read as another one is left out, as a gap: it opens nothing."""
        self._for(hosts, ResourceType.SECURITYGROUP, group["id"])
        self._note_fields("security_group", group)
        state = self.message.security_group_states[group["id"]]
        state.Clear()
        state.operation_type = operation
        made = state.configuration
        made.revision_number, made.id, made.name = _revision(group), group["id"], _text(group, "name")
        for rule in rules:
            if problem := _rule_problem(rule):
                self._gap("security_group_rule", rule, *problem)
                continue
            made.security_group_rules.add(
                operation_type=operation,
                security_group_id=group["id"],
                id=rule["id"],
                direction=SecurityGroupConfiguration.Direction.Value(rule["direction"].upper()),
                ethertype=_ETHERTYPES[_text(rule, "ethertype") or "IPv4"],
                protocol=_PROTOCOLS[_text(rule, "protocol").lower()],
                port_range_min=rule.get("port_range_min") or 0,
                port_range_max=rule.get("port_range_max") or 0,
                remote_ip_prefix=_text(rule, "remote_ip_prefix"),
                remote_group_id=_text(rule, "remote_group_id"),
            )

    def add_router(
        self,
        hosts: Iterable[str],
        router: Json,
        subnets: Iterable[Json],
        operation: OperationType.ValueType = OperationType.INFO,
    ) -> None:
        """A router with a table for each subnet that is attached to it: the subnet's routes, then the router's."""
        self._for(hosts, ResourceType.ROUTER, router["id"])
        self._note_fields("router", router)
        state = self.message.router_states[router["id"]]
        state.Clear()
        state.operation_type = operation
        made = state.configuration
        made.revision_number, made.id, made.host_dvr_mac_address = _revision(router), router["id"], DVR_MAC
        of_router = (router.get("routetable") or {}).get("routes") or ()
        for subnet in subnets:
            table = made.subnet_routing_tables.add(subnet_id=subnet["id"])
            for route in (*(subnet.get("host_routes") or ()), *of_router):
                table.routing_rules.append(_routing_rule(subnet["id"], route, operation))

    def _for(self, hosts: Iterable[str], kind: ResourceType.ValueType, object_id: str) -> None:
        """Say that hosts get an object, once."""
        for host in hosts:
            if (host, kind, object_id) not in self._told:
                self._told.add((host, kind, object_id))
                self.message.host_resources[host].resources.add(type=kind, id=object_id)

    def _note_fields(self, resource: str, alcor: Json) -> None:
        """Name the fields of an object that say something and that the protocol has no place for."""
        for field, (matters, problem) in NO_WORD[resource].items():
            value = alcor.get(field, (alcor.get(EXTENSION) or {}).get(field))
            if matters(value):
                self._gap(resource, alcor, field, problem)

    def _gap(self, resource: str, alcor: Json, field: str, problem: str) -> None:
        self._gaps[Gap(resource, alcor["id"], field, problem)] = None


NO_WORD: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "network": {
        "mtu": (lambda mtu: mtu not in {None, "", 1450}, "is not told; agents take 1450"),
        "qos_policy_id": (bool, "is not told"),
    },
    "subnet": {
        "ipv6_ra_mode": (bool, "is not told"),
        "ipv6_address_mode": (bool, "is not told"),
    },
    "port": {
        "port_security_enabled": (
            lambda enabled: enabled is False,
            "is not told; the host filters all the same",
        ),
        "extra_dhcp_opts": (bool, "are not told"),
        "qos_policy_id": (bool, "is not told"),
        "binding:vnic_type": (
            lambda kind: kind not in {None, "", "normal"},
            "is not told; a host wires it as normal",
        ),
    },
    "security_group": {
        "stateful": (lambda stateful: stateful is False, "is not told; a host tracks connections all the same"),
    },
    "router": {
        "external_gateway_info": (bool, "is not told: there is no word for SNAT, nor for floating IPs"),
        "enable_ndp_proxy": (bool, "is not told"),
    },
}
"""Fields that the protocol has no place for: when they matter, and what follows. Rules are looked at one by one."""


def _rule_problem(rule: Json) -> tuple[str, str] | None:
    """The field of a rule that has no word, and what follows."""
    protocol = _text(rule, "protocol").lower()
    if protocol not in _PROTOCOLS:
        named = repr(protocol) if protocol else "any"
        return "protocol", f"is {named}, which reads as TCP: the rule is not sent"
    if _PROTOCOLS[protocol] == Protocol.ICMP and rule.get("port_range_min") == 0:
        return "port_range_min", "is 0, which reads as every ICMP type: the rule is not sent"
    if rule.get("port_range_max") == 0:
        return "port_range_max", "is 0, which reads as not set: the rule is not sent"
    for field, words in (("ethertype", (*_ETHERTYPES, "")), ("direction", ("ingress", "egress"))):
        if _text(rule, field) not in words:
            return field, f"is {rule[field]!r}, for which there is no word: the rule is not sent"
    if (rule.get(EXTENSION) or {}).get("remote_address_group_id"):
        return "remote_address_group_id", "is not told, so everybody would be meant: the rule is not sent"
    return None


def _routing_rule(subnet_id: str, route: Json, operation: OperationType.ValueType) -> RouterConfiguration.RoutingRule:
    """A route of a subnet's table; Neutron's have no ids, so one is made of what tells them apart."""
    return RouterConfiguration.RoutingRule(
        operation_type=operation,
        id=f"{subnet_id}/{route['destination']}/{route['nexthop']}",
        destination=route["destination"],
        next_hop_ip=route["nexthop"],
        priority=STATIC_PRIORITY,
        routing_rule_extra_info=RouterConfiguration.RoutingRuleExtraInfo(destination_type=DestinationType.INTERNET),
    )


def _revision(alcor: Json) -> int:
    number = alcor.get("revision_number") or (alcor.get(EXTENSION) or {}).get("revision_number")
    return number if type(number) is int and number > 0 else 1


def _text(alcor: Json, name: str) -> str:
    """A text, where not set is the empty one."""
    return alcor.get(name) or ""


_NETWORK_TYPES = {
    "vxlan": NetworkType.VXLAN,
    "vlan": NetworkType.VLAN,
    "gre": NetworkType.GRE,
    "geneve": NetworkType.GENEVE,
}
_ETHERTYPES = {"IPv4": EtherType.IPV4, "IPv6": EtherType.IPV6}
_PROTOCOLS = {
    "tcp": Protocol.TCP,
    "6": Protocol.TCP,
    "udp": Protocol.UDP,
    "17": Protocol.UDP,
    "icmp": Protocol.ICMP,
    "1": Protocol.ICMP,
    "icmpv6": Protocol.ICMP,
    "ipv6-icmp": Protocol.ICMP,
    "58": Protocol.ICMP,
}
"""Neutron's spellings; ICMP of IPv6 is told by the rule's ethertype."""

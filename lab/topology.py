"""A realistic cloud's networking, planned from a seed and made through the real API.

The plan is pure: what is to be made, who owns it, who makes it, and which of its fields point at other
planned things (`Ref`). `build_topology` carries it out with openstacksdk and a few threads, as fast as
Neutron lets it (10 to 15 ports a second with two workers).
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, TypeVar

from alcor_model import resource as declared
from lab.errors import LabError
from lab.further import further
from lab.neutron import HOSTS, PHYSICAL_NETWORK, PUBLIC_NETWORK
from lab.plan import RESOURCES, TAGGED, Action, Owner, Plan, Planned, Ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lab.cloud import Lab

__all__ = ["Plan", "Planned", "Ref", "Topology", "build_topology", "plan_topology"]

T = TypeVar("T")

IN_BULK = ("network", "subnet", "security_group_rule", "port")  # Neutron answers 400 to bulks of the others
CHUNK = 10  # ports of one bulk; it is one transaction, and others wait for it
CLIENTS = 4
PORTS_PER_NETWORK = 12
NETWORKS_PER_ROUTER = 3
FIRST_HOST = 20  # in a subnet, the first address that a port is given; below are routers and the odd device

# Only characters of the Basic Multilingual Plane: Neutron's MySQL schema is three-byte UTF-8.
DESCRIPTIONS = (
    "",
    "",
    "Grüße aus Köln: das Schaufenster",
    "分析クラスター",
    "данные и отчёты",
    "café naïve, œuvre № 7",
    "שרת בדיקות",
    "plain, with 'quotes', \"double\" ones and a \\",
    "δίκτυο δοκιμών",
)
ROLES = ("frontend", "backend", "cache", "database", "queue", "batch", "storage", "monitoring", "build", "archive")
TAGS = ("prod", "staging", "team:blue", "team:grün", "pci", "temporary")


@dataclass(frozen=True)
class Topology:
    """What was made: the ids by planned key, and how long it took."""

    plan: Plan
    ids: Mapping[Ref, str]
    counts: Mapping[str, int]
    seconds: float


@dataclass
class _Segment:
    """A planned tenant network with what its ports need to know."""

    network: Planned
    v4: Planned
    v6: Planned | None
    routed: bool = False
    _hosts: Iterator[int] = field(default_factory=lambda: iter(range(FIRST_HOST, 65536)))

    def next_address(self) -> str:
        return str(IPv4Network(self.v4.body["cidr"])[next(self._hosts)])


class Planner:
    """Draws the plan; everything random comes from one generator."""

    def __init__(self, projects: Sequence[str], seed: int) -> None:
        self.projects = projects
        self.random = random.Random(seed)
        self.plan = Plan(seed)
        self.planned: Counter[str] = Counter()
        self.reachable: dict[str, list[Planned]] = {}
        """By project: ports that floating IPs can reach."""
        self.external = self.provider()
        self.warehouse()
        self.shared = self.shared_network()

    def add(
        self,
        resource: str,
        key: str,
        project: str | None,
        body: dict[str, Any],
        *,
        by_admin: bool = False,
        below: Ref | None = None,
    ) -> Planned:
        """Plan one object; every third of a kind is tagged, where it can be."""
        if any(field.neutron == "description" for field in declared(resource).fields):
            body = {"description": self.random.choice(DESCRIPTIONS)} | body
        tags: tuple[str, ...] = ()
        self.planned[resource] += 1
        if resource in TAGGED and self.planned[resource] % 3 == 1:
            tags = tuple(sorted(self.random.sample(TAGS, self.random.randint(1, 3))))
        planned = Planned(resource, key, project, body, tags, by_admin or project is None, below)
        self.plan.objects.append(planned)
        return planned

    # What the operator made

    def provider(self) -> Planned:
        """Plan the external network, with room for floating IPs in a pool of its own."""
        network = {"name": "internet", "router:external": True}
        network |= {"provider:network_type": "flat", "provider:physical_network": PUBLIC_NETWORK}
        external = self.add("network", "external", None, network)
        pools = [{"start": "198.18.0.16", "end": "198.18.7.250"}, {"start": "198.18.8.16", "end": "198.18.15.250"}]
        subnet = {"name": "internet-v4", "network_id": external.ref, "ip_version": 4, "cidr": "198.18.0.0/20"}
        subnet |= {"gateway_ip": "198.18.0.1", "enable_dhcp": False, "allocation_pools": pools}
        self.add("subnet", "external-v4", None, subnet)
        return external

    def warehouse(self) -> None:
        """Plan a VLAN network that the operator made for the first project."""
        network: dict[str, Any] = {"name": "warehouse", "provider:network_type": "vlan"}
        network |= {"provider:physical_network": PHYSICAL_NETWORK}
        network |= {"provider:segmentation_id": self.random.randint(100, 1999)}
        vlan = self.add("network", "vlan", self.projects[0], network, by_admin=True)
        subnet = {"name": "warehouse-v4", "network_id": vlan.ref, "ip_version": 4, "cidr": "10.200.0.0/24"}
        self.add("subnet", "vlan-v4", self.projects[0], subnet | {"gateway_ip": None}, by_admin=True)

    def shared_network(self) -> _Segment:
        """Plan the flat network that all projects may use."""
        network = {"name": "shared-services", "shared": True}
        network |= {"provider:network_type": "flat", "provider:physical_network": PHYSICAL_NETWORK}
        shared = self.add("network", "shared", None, network)
        subnet = {"name": "shared-services-v4", "network_id": shared.ref, "ip_version": 4, "cidr": "10.100.0.0/16"}
        resolvers = {"dns_nameservers": ["9.9.9.9", "149.112.112.112"]}
        return _Segment(shared, self.add("subnet", "shared-v4", None, subnet | resolvers), None)

    # What a tenant made

    def tenant(self, number: int, ports: int) -> None:
        """Plan one project: networks, routers between them and to the outside, rules, ports, floating IPs."""
        project = self.projects[number]
        size = max(4, round(ports / PORTS_PER_NETWORK))
        segments = [self.segment(project, number, index) for index in range(size)]
        groups = self.groups(project)
        self.routers(project, number, segments)
        made = []
        for index in range(ports):
            segment = self.shared if index % 20 == 19 else segments[index % size]  # noqa: PLR2004  # one of twenty
            made.append((self.port(project, index, segment, groups), segment))
        self.floating_ips(project, made)
        self.reachable[project] = [port for port, segment in made if segment.routed]

    def segment(self, project: str, number: int, index: int) -> _Segment:
        """Plan one VXLAN network with its subnets."""
        name = ROLES[index % len(ROLES)] + (f"-{index // len(ROLES)}" if index >= len(ROLES) else "")
        key = f"{project}/{name}"
        more: dict[str, Any] = {}
        if index == 1:
            more["mtu"] = 1400
        if index == 2:  # noqa: PLR2004  # the third of each project is parked
            more["admin_state_up"] = False
        network = self.add("network", key, project, {"name": name} | more)

        # The second project was set up from the first one's handbook: same networks, same addresses.
        cidr = IPv4Network((int(IPv4Address("10.8.0.0")) + max(0, number - 1) * 2**18 + index * 2**10, 22))
        subnet: dict[str, Any] = {"name": f"{name}-v4", "network_id": network.ref, "ip_version": 4, "cidr": str(cidr)}
        match index % 4:
            case 0:
                subnet["dns_nameservers"] = ["1.1.1.1", "8.8.8.8"]
                subnet["host_routes"] = [{"destination": "192.0.2.0/24", "nexthop": str(cidr[5])}]
            case 1:
                halves = [(cidr[2], cidr[300]), (cidr[400], cidr[1000])]
                subnet["allocation_pools"] = [{"start": str(first), "end": str(last)} for first, last in halves]
            case 2:
                subnet["gateway_ip"] = None
                subnet["enable_dhcp"] = False
        v4 = self.add("subnet", f"{key}-v4", project, subnet)
        v6 = None
        if index % 4 in (0, 1):
            mode = "slaac" if index % 4 == 0 else "dhcpv6-stateful"
            cidr6 = IPv6Network((f"fd00:{number + 1:x}:{index + 1:x}::", 64))
            subnet = {"name": f"{name}-v6", "network_id": network.ref, "ip_version": 6, "cidr": str(cidr6)}
            subnet |= {"ipv6_ra_mode": mode, "ipv6_address_mode": mode}
            v6 = self.add("subnet", f"{key}-v6", project, subnet)
        return _Segment(network, v4, v6)

    def groups(self, project: str) -> list[Planned]:
        """Plan security groups of the usual three layers, with all the forms that rules take."""
        public, inner, admin, stateless = (
            self.add("security_group", f"{project}/{name}", project, {"name": name, "stateful": name != "telemetry"})
            for name in ("public", "inner", "admin", "telemetry")
        )
        one = _port_range
        rules: list[tuple[Planned, dict[str, Any]]] = [
            (public, {"protocol": "tcp", **one(80)}),
            (public, {"protocol": "tcp", **one(443), "remote_ip_prefix": "0.0.0.0/0"}),
            (public, {"protocol": "tcp", **one(443), "ethertype": "IPv6", "remote_ip_prefix": "::/0"}),
            (public, {"protocol": "icmp", **one(8, 0)}),  # echo request: type and code
            (public, {"protocol": "icmp", "port_range_min": 3}),  # destination unreachable: type only
            (public, {"protocol": "ipv6-icmp", "port_range_min": 128, "ethertype": "IPv6"}),
            (inner, {"protocol": "tcp", **one(8000, 8100), "remote_group_id": public.ref}),
            (inner, {"protocol": "udp", **one(1, 65535), "remote_group_id": inner.ref}),
            (inner, {"ethertype": "IPv6", "remote_group_id": inner.ref}),
            (inner, {"protocol": "112", "remote_ip_prefix": "10.0.0.0/8"}),  # VRRP, by number
            (inner, {"protocol": "sctp", **one(3868)}),
            (admin, {"protocol": "tcp", **one(22), "remote_ip_prefix": "192.0.2.7/32"}),
            (
                admin,
                {"protocol": "47", "direction": "egress", "remote_ip_prefix": "203.0.113.0/24"},
            ),  # GRE, by number
            (admin, {"protocol": "udp", **one(500, 4500), "ethertype": "IPv6"}),
            (stateless, {"protocol": "udp", **one(8125, 8126)}),
        ]
        for index, (group, rule) in enumerate(rules):
            body = {"direction": "ingress", "ethertype": "IPv4", "security_group_id": group.ref} | rule
            self.add("security_group_rule", f"{group.key}/{index}", project, body)
        return [public, inner, admin, stateless]

    def routers(self, project: str, number: int, segments: list[_Segment]) -> None:
        """Plan a router for each few networks; the last network stays alone, and two share one by a port."""
        for index, chunk in enumerate(_chunks(segments[:-1], NETWORKS_PER_ROUTER)):
            key = f"{project}/edge-{index}"
            router: dict[str, Any] = {"name": f"edge-{index}", "admin_state_up": index % 5 != 4}  # noqa: PLR2004
            if (number + index) % 3 != 1:
                router["external_gateway_info"] = {"network_id": self.external.ref}
            self.add("router", key, project, router)
            interfaces: list[Ref] = []
            for segment in chunk:
                subnets = [subnet for subnet in (segment.v4, segment.v6) if subnet]
                interfaces += [s.ref for s in subnets if s.body.get("gateway_ip", "") is not None]
                if segment.v4.body.get("gateway_ip", "") is None:  # has no gateway: the router gets a port in it
                    interfaces.append(self.router_port(project, segment).ref)
                segment.routed = "external_gateway_info" in router
            self.plan.interfaces[key] = interfaces
            first = IPv4Network(chunk[0].v4.body["cidr"])
            self.plan.routes[key] = [
                {"destination": f"192.168.{number * 32 + route}.0/24", "nexthop": str(first[6 + route])}
                for route in range(self.random.randint(1, 3))
            ]

    def router_port(self, project: str, segment: _Segment) -> Planned:
        """Plan the port by which a router joins a network that names no gateway."""
        address = str(IPv4Network(segment.v4.body["cidr"])[4])
        fixed_ips = [{"subnet_id": segment.v4.ref, "ip_address": address}]
        port = {"name": "to-the-router", "network_id": segment.network.ref, "fixed_ips": fixed_ips}
        return self.add("port", f"{segment.network.key}/router", project, port)

    def port(self, project: str, index: int, segment: _Segment, groups: list[Planned]) -> Planned:
        """Plan one port; three of four belong to a server that runs on a host."""
        body: dict[str, Any] = {
            "name": f"{segment.network.body['name']}-{index:03}",
            "network_id": segment.network.ref,
            "fixed_ips": [{"subnet_id": segment.v4.ref, "ip_address": segment.next_address()}],
        }
        if segment.v6 and segment.v6.body["ipv6_address_mode"] != "slaac":  # slaac's addresses come by themselves
            body["fixed_ips"].append({"subnet_id": segment.v6.ref})
        body |= self.port_variant(index, body["fixed_ips"][0]["ip_address"], groups)
        bound = index % 4 != 3  # noqa: PLR2004
        if bound:
            body["device_owner"] = "compute:nova"
            body["device_id"] = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
            body["binding:host_id"] = HOSTS[index // 4 % len(HOSTS)]
        return self.add("port", f"{project}/{index}", project, body, by_admin=bound or segment is self.shared)

    def port_variant(self, index: int, address: str, groups: list[Planned]) -> dict[str, Any]:
        """Choose what is special about a port; by its number, so that a plan of a few dozen holds everything."""
        public, inner, admin, telemetry = (group.ref for group in groups)
        neighbour = {"ip_address": str(IPv4Network((address, 22), strict=False)[15])}
        vrrp = {"ip_address": "10.250.0.0/24", "mac_address": "00:00:5e:00:01:07"}
        mac = "fa:16:3e:" + ":".join(f"{self.random.getrandbits(8):02x}" for _ in range(3))
        options = (("bootfile-name", "pxelinux.0", 4), ("tftp-server", "192.0.2.5", 4), ("domain-search", "a.b", 6))
        keys = ("opt_name", "opt_value", "ip_version")
        variants: list[dict[str, Any]] = [
            {"security_groups": [public]},
            {"security_groups": [inner]},
            {"security_groups": [inner], "allowed_address_pairs": [neighbour]},
            {"admin_state_up": False},
            {"security_groups": [public]},
            {"extra_dhcp_opts": [dict(zip(keys, option, strict=True)) for option in options]},
            {"port_security_enabled": False, "security_groups": []},
            {"security_groups": []},
            {"security_groups": [public, admin]},
            {"security_groups": [inner], "mac_address": mac},
            {"security_groups": [telemetry], "allowed_address_pairs": [vrrp]},
            {"dns_name": f"host-{index}"},
            {},  # with the project's default group
        ]
        return variants[index % len(variants)]

    def floating_ips(self, project: str, ports: list[tuple[Planned, _Segment]]) -> None:
        """Plan floating IPs: for one of six reachable ports, and a few more in stock."""
        reachable = [port for port, segment in ports if segment.routed]
        chosen = reachable[::6]
        for index, port in enumerate(chosen):
            floating: dict[str, Any] = {"floating_network_id": self.external.ref, "port_id": port.ref}
            self.add("floatingip", f"{project}/{index}", project, floating)
        for index in range(1 + len(chosen) // 2):
            self.add("floatingip", f"{project}/free-{index}", project, {"floating_network_id": self.external.ref})


def _port_range(first: int, last: int | None = None) -> dict[str, int]:
    return {"port_range_min": first, "port_range_max": first if last is None else last}


def _chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def plan_topology(projects: Sequence[str], ports: int = 200, seed: int = 1) -> Plan:
    """Plan the networking of these projects (two or more) with about `ports` ports of servers.

    Of each project the first two networks and a few dozen ports suffice to hold every special form. Routers,
    gateways and floating IPs come with ports of their own on top.
    """
    planner = Planner(projects, seed)
    share = [ports // len(projects)] * len(projects)
    share[0] += ports % len(projects)
    for number, count in enumerate(share):
        planner.tenant(number, count)
    further(planner)
    return planner.plan


class _Builder:
    """Carries a plan out."""

    def __init__(self, lab: Lab, plan: Plan, progress: Callable[[int, int, str], None], *, direct: bool) -> None:
        self._plan = plan
        self._progress = progress
        self._ids: dict[Ref, str] = {}
        self._done = 0
        self._lock = threading.Lock()
        self._projects = {project.name: project.id for project in lab.projects}
        self._connections = {
            name: lab.connection(name or "lab-admin", direct=direct) for name in (None, *self._projects)
        }

    def build(self) -> dict[Ref, str]:
        """Make everything, kind after kind; raises LabError at the first refusal."""
        try:
            with ThreadPoolExecutor(CLIENTS, thread_name_prefix="topology") as pool:
                for resource in RESOURCES:
                    for _ in pool.map(self._make, self._batches(resource)):
                        pass
                    if resource == "router":
                        for _ in pool.map(self._join, self._plan.interfaces):
                            pass
                tagged = [planned for planned in self._plan.objects if planned.tags and planned.resource != "port"]
                for _ in pool.map(self._tag, tagged):
                    pass
                for _ in pool.map(self._act, self._plan.actions):
                    pass
        finally:
            for connection in self._connections.values():
                connection.close()
        return self._ids

    def _batches(self, resource: str) -> list[list[Planned]]:
        """Group what goes into one request: same maker, rules of one group; one by one where there is no bulk."""
        alike: dict[Any, list[Planned]] = {}
        for planned in self._plan.of(resource):
            group = planned.body.get("security_group_id")
            alike.setdefault((planned.maker, group), []).append(planned)
        size = CHUNK if resource in IN_BULK else 1
        return [list(chunk) for made in alike.values() for chunk in _chunks(made, size)]

    def _make(self, batch: list[Planned]) -> None:
        """Make the objects of one batch with one request."""
        first = batch[0]
        bodies = [self._body(planned) for planned in batch]
        of = declared(first.resource)
        path = f"/{of.collection}"
        if first.below:
            path = f"/{declared(first.below.resource).collection}/{self._ids[first.below]}{path}"
        maker = first.maker
        if first.resource in IN_BULK:
            made = self._call(maker, "POST", path, {of.plural: bodies})[of.plural]
        else:
            made = [self._call(maker, "POST", path, {of.name: bodies[0]})[of.name]]
        with self._lock:
            # What only joins two objects has no id of its own, and nobody points to it.
            self._ids |= {planned.ref: found.get("id", "") for planned, found in zip(batch, made, strict=True)}
        self._advance(len(batch), of.collection)

    def _body(self, planned: Planned) -> dict[str, Any]:
        body: dict[str, Any] = self._resolve(planned.body)
        if planned.by_admin and planned.project:
            body["project_id"] = self._projects[planned.project]
        if planned.tags and planned.resource == "port":
            body["tags"] = list(planned.tags)  # the one resource that takes them with its POST
        return body

    def _resolve(self, value: Any) -> Any:
        """Put ids where the plan has references."""
        match value:
            case Ref():
                return self._ids[value]
            case Owner():
                return self._projects[value.project]
            case dict():
                return {name: self._resolve(part) for name, part in value.items()}
            case list():
                return [self._resolve(part) for part in value]
        return value

    def _join(self, router: str) -> None:
        """Give a router its interfaces, then the routes that need them."""
        project = next(planned.project for planned in self._plan.of("router") if planned.key == router)
        path = f"/routers/{self._ids[Ref('router', router)]}"
        for interface in self._plan.interfaces[router]:
            body = {f"{interface.resource}_id": self._ids[interface]}
            self._call(project, "PUT", f"{path}/add_router_interface", body)
            self._advance(1, "router interfaces")
        self._call(project, "PUT", path, {"router": {"routes": self._plan.routes[router]}})
        self._advance(1, "routes")

    def _tag(self, planned: Planned) -> None:
        maker = planned.maker
        path = f"/{declared(planned.resource).plural.replace('_', '-')}/{self._ids[planned.ref]}/tags"
        self._call(maker, "PUT", path, {"tags": list(planned.tags)})

    def _act(self, action: Action) -> None:
        path = "".join(part if isinstance(part, str) else str(self._resolve(part)) for part in action.path)
        self._call(None, action.method, path, self._resolve(action.body))
        self._advance(1, "settings")

    def _call(self, maker: str | None, method: str, path: str, body: dict[str, Any]) -> Any:
        answer = self._connections[maker].network.request(path, method, json=body)
        if not answer.ok:
            msg = f"{method} {path} as {maker or 'admin'} is answered {answer.status_code}: {answer.text[:500]}"
            raise LabError(msg)
        return answer.json()

    def _advance(self, steps: int, doing: str) -> None:
        with self._lock:
            self._done += steps
            self._progress(self._done, self._plan.steps, doing.strip("/"))


def build_topology(
    lab: Lab,
    ports: int = 200,
    seed: int = 1,
    progress: Callable[[int, int, str], None] = lambda *_: None,
    *,
    direct: bool = True,
) -> Topology:
    """Plan a topology for the lab's projects and make it; raises LabError at the first refusal.

    `progress` is called with steps done, steps in all, and what is being made (from any thread, one at a
    time). `direct`: past the address in the catalogue, straight to Neutron.
    """
    begun = time.monotonic()
    plan = plan_topology([project.name for project in lab.projects], ports, seed)
    ids = _Builder(lab, plan, progress, direct=direct).build()
    counts: Counter[str] = Counter(planned.resource for planned in plan.objects)
    return Topology(plan, ids, dict(counts), time.monotonic() - begun)

"""Users at work: concurrent openstacksdk clients that write, read back what they wrote, and remember all of it.

Each client is a thread with a connection of its own, a user of one project, and the only one to touch its objects. So
whatever it does not find as it left it was lost by somebody else.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1.session import TCPKeepAliveAdapter
from openstack import exceptions as sdk_exceptions

from lab.errors import LabError
from lab.record import PATHS, CheckResult, Owned, Record, collection, compare, differences, envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.cloud import Lab, Project
    from lab.topology import Topology

LIMITS = {
    "network": 4,
    "subnet": 6,
    "port": 12,
    "security_group": 4,
    "security_group_rule": 10,
    "router": 2,
    "floatingip": 3,
    "interface": 4,
}
"""A client deletes before it has more of a kind."""

BORROWED = 4  # ports of the topology that one client updates
LIST_AFTER = 0.15  # share of writes after which the client also looks into the list
EXCERPT = 400  # characters of a body that a failure shows
AFTER_NO_ANSWER = 0.1  # seconds that a client waits before it goes on
STOP_PATIENCE = 120  # seconds; a client ends after the operation it is in
OK, CREATED, NO_CONTENT, BAD_REQUEST, NOT_FOUND, CONFLICT, SERVER_ERROR = 200, 201, 204, 400, 404, 409, 500

WORDS = ("blau", "größer", "наблюдение", "倉庫", "plain", "naïve", "œuvre", "two words")


class Sample(NamedTuple):
    """One request of a client, as it went over the wire."""

    start: float
    """Seconds since the epoch."""
    seconds: float
    method: str
    path: str
    status: int
    """0: no answer."""


@dataclass(frozen=True)
class Failure:
    """An answer that a client did not have coming, or none at all."""

    client: str
    at: float
    """Seconds since the epoch."""
    method: str
    path: str
    status: int
    """0: no answer."""
    body: str
    request_id: str = ""


@dataclass(frozen=True)
class Violation:
    """A write was acknowledged, and a read right after it did not show it."""

    client: str
    at: float
    path: str
    problem: str


@dataclass(frozen=True)
class Snapshot:
    """The numbers of this moment; latencies in milliseconds, of the last `window` seconds."""

    seconds: float
    requests: int
    writes_acknowledged: int
    requests_failed: int
    provoked: int
    violations: int
    objects: int
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    max_ms: float


@dataclass
class WorkloadResult:
    """What the clients did and saw."""

    seconds: float
    requests: int
    writes_acknowledged: int
    provoked: int
    """Requests that were meant to be refused, and were."""
    unknown: int
    """Writes without an answer: their outcome is not known."""
    failures: list[Failure]
    violations: list[Violation]
    samples: list[Sample]
    """Every request in the order of its start."""

    @property
    def requests_failed(self) -> int:
        """How many requests got an answer that the client did not have coming."""
        return len(self.failures)


class _Refused(Exception):
    """A request failed and was recorded; the operation ends here."""


class _Unanswered(_Refused):
    """The outcome is not known: no answer, or a server error."""


class _Recording(TCPKeepAliveAdapter):
    """Writes down each request of a client's session that goes to the network API."""

    def __init__(self, identity: str, samples: list[Sample]) -> None:
        self._identity = identity
        self._samples = samples
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send it, and time it to the last byte of the answer."""
        if str(request.url).startswith(self._identity):
            answer: requests.Response = super().send(request, *args, **kwargs)
            return answer
        start, clock, status = time.time(), time.perf_counter(), 0
        try:
            answer = super().send(request, *args, **kwargs)
            _ = answer.content
            status = answer.status_code
        finally:
            seconds = time.perf_counter() - clock
            self._samples.append(Sample(start, seconds, str(request.method), str(request.path_url), status))
        return answer


@dataclass
class _Tally:
    """What one client counts."""

    samples: list[Sample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    acknowledged: int = 0
    provoked: int = 0
    unknown: int = 0


class _Client:
    """One user at work, until `ended` is set."""

    def __init__(
        self,
        name: str,
        project: Project,
        connection: Any,
        seed: int,
        *,
        identity: str,
        borrowed: Sequence[str],
        pause: float,
        ended: threading.Event,
    ) -> None:
        self.name = name
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.project = project
        self.record = Record()
        self.tally = _Tally()
        self.crash: BaseException | None = None
        self._connection = connection
        self._random = random.Random(seed)
        self._borrowed = borrowed
        self.pause = pause
        self._ended = ended
        self._number = seed % 64
        self._count = 0
        self._external: str | None = None
        session: requests.Session = connection.session.session
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Recording(identity, self.tally.samples))
        self._operations: dict[Callable[[], None], int] = {
            self._create_port: 16,
            self._create_network: 4,
            self._create_subnet: 6,
            self._create_group: 3,
            self._create_rule: 6,
            self._create_router: 3,
            self._create_floating_ip: 3,
            self._create_two_ports: 2,
            self._add_interface: 5,
            self._remove_interface: 2,
            self._set_routes: 3,
            self._associate: 4,
            self._update: 18,
            self._tag: 5,
            self._delete_something: 8,
            self._read: 22,
            self._list: 10,
            self._list_with_the_sdk: 4,
            self._provoke: 4,
        }

    def _run(self) -> None:
        """Work without pause (or at the pace that was asked for) until told to end."""
        try:
            for beginning in (self._look_around, self._settle_in):
                with suppress(_Refused):
                    beginning()
            begun = time.monotonic()
            while not self._ended.is_set():
                operation = self._random.choices(list(self._operations), list(self._operations.values()))[0]
                with suppress(_Refused):
                    operation()
                # What is late is made up for, but no more than one pause; the pace may change while we wait.
                while (left := begun + self.pause - time.monotonic()) > 0 and not self._ended.wait(min(left, 0.5)):
                    pass
                begun = max(begun + self.pause, time.monotonic() - self.pause)
        except BaseException as error:  # noqa: BLE001  # told by Workload.stop: a dead client must not look like a quiet one
            self.crash = error
        finally:
            self._connection.close()

    # Requests

    def _request(self, method: str, path: str, body: Any = None, *, expect: int) -> Any:
        """Send one request and return the answer's body; records and raises _Refused for any other answer."""
        at = time.time()
        try:
            answer = self._connection.network.request(
                path, method, json=body, raise_exc=False, connect_retries=0, status_code_retries=0
            )
        except (keystone_exceptions.ClientException, sdk_exceptions.SDKException, requests.RequestException) as error:
            self.tally.failures.append(Failure(self.name, at, method, path, 0, f"{type(error).__name__}: {error}"))
            self._ended.wait(AFTER_NO_ANSWER)
            raise _Unanswered from error
        if answer.status_code != expect:
            request_id = answer.headers.get("x-openstack-request-id", "")
            excerpt = answer.text[:EXCERPT]
            self.tally.failures.append(Failure(self.name, at, method, path, answer.status_code, excerpt, request_id))
            raise (_Unanswered if answer.status_code >= SERVER_ERROR else _Refused)
        if method in ("POST", "PUT", "DELETE") and expect < BAD_REQUEST:
            self.tally.acknowledged += 1
        elif expect >= BAD_REQUEST:
            self.tally.provoked += 1
        return answer.json() if answer.content else None

    def _write(self, owned: Owned, method: str, path: str, body: Any = None, *, expect: int) -> Any:
        """Send a write to an object; without an answer, the object is left alone from then on."""
        try:
            return self._request(method, path, body, expect=expect)
        except _Unanswered:
            owned.state = "unknown"
            self.tally.unknown += 1
            raise

    def _create(self, kind: str, body: dict[str, Any], *needs: Owned) -> Owned:
        """Create an object, remember it, and read it back."""
        try:
            answer = self._request("POST", PATHS[kind], {envelope(kind): body}, expect=CREATED)
        except _Unanswered:
            self.tally.unknown += 1  # of an object whose id nobody told; `needs` it may, so they stay
            for need in needs:
                need.state = "unknown"
            raise
        owned = self._remember(kind, answer[envelope(kind)], body, *needs)
        self._read_back(owned)
        return owned

    def _remember(self, kind: str, answer: Mapping[str, Any], sent: Mapping[str, Any], *needs: Owned) -> Owned:
        owned = Owned(kind, answer["id"], {}, frozenset(need.id for need in needs))
        owned.acknowledge(answer, sent)
        self._check_answer(owned, sent, answer)
        return self.record.add(owned)

    def _change(self, owned: Owned, body: dict[str, Any]) -> None:
        """Update an object and read it back."""
        kind = envelope(owned.kind)
        answer = self._write(owned, "PUT", owned.path, {kind: body}, expect=OK)[kind]
        owned.acknowledge(answer, body)
        self._check_answer(owned, body, answer)
        self._read_back(owned)

    def _delete(self, owned: Owned) -> None:
        """Delete an object and see that it is gone."""
        self._write(owned, "DELETE", owned.path, expect=NO_CONTENT)
        self.record.delete(owned)
        self._see_gone(owned)

    # Read-your-writes

    def _check_answer(self, owned: Owned, sent: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """See that an answer says what was asked for, where the API does not complete what it is given."""
        plain = {name: value for name, value in sent.items() if isinstance(value, str | bool | int) or value is None}
        if wrong := differences(plain, answer):
            self._violate(owned.path, f"the answer has (asked for, answered): {wrong}")

    def _read_back(self, owned: Owned) -> None:
        kind = envelope(owned.kind)
        found = self._request("GET", owned.path, expect=OK)[kind]
        if wrong := differences(owned.expected, found):
            self._violate(owned.path, f"the read has (acknowledged, found): {wrong}")
        if self._random.random() < LIST_AFTER and owned.id not in self._listed(owned.kind):
            self._violate(owned.path, "the list does not contain it")

    def _see_gone(self, owned: Owned) -> None:
        self._request("GET", owned.path, expect=NOT_FOUND)
        if self._random.random() < LIST_AFTER and owned.id in self._listed(owned.kind):
            self._violate(owned.path, "the list still contains it after its deletion")

    def _violate(self, path: str, problem: str) -> None:
        self.tally.violations.append(Violation(self.name, time.time(), path, problem))

    def _listed(self, kind: str) -> set[str]:
        query = f"{PATHS[kind]}?fields=id"
        return {found["id"] for found in self._request("GET", query, expect=OK)[collection(kind)]}

    # What a client does

    def _look_around(self) -> None:
        """Find the external network, and the ports of the topology that this client updates."""
        networks = self._request("GET", "/networks?router:external=true", expect=OK)["networks"]
        self._external = networks[0]["id"] if networks else None
        for port_id in self._borrowed:
            port = self._request("GET", f"/ports/{port_id}", expect=OK)["port"]
            owned = Owned("port", port_id, {}, borrowed=True)
            owned.acknowledge(port, ("name", "description", "security_groups", "allowed_address_pairs"))
            self.record.add(owned)

    def _settle_in(self) -> None:
        """Make one of each kind, so that there is something to work with."""
        for create in (
            self._create_network,
            self._create_subnet,
            self._create_group,
            self._create_port,
            self._create_router,
            self._add_interface,
        ):
            create()

    def _named(self, **body: Any) -> dict[str, Any]:
        """Return a body with a name that nobody else has, and mostly a description."""
        self._count += 1
        words = self._random.choice(WORDS)
        return {"name": f"{self.name}-{self._count}", "description": words} | body

    def _pick(self, *kinds: str, own: bool = True) -> Owned:
        """Choose an object of ours; ends the operation where there is none."""
        found = [owned for owned in self.record.live(*kinds) if not (own and owned.borrowed)]
        if not found:
            raise _Refused
        return self._random.choice(found)

    def _room(self, kind: str) -> None:
        """Make room for one more of a kind."""
        mine = [owned for owned in self.record.live(kind) if not owned.borrowed]
        if len(mine) < LIMITS[kind]:
            return
        removable = [owned for owned in mine if not self.record.needed(owned)]
        if not removable:
            raise _Refused
        self._remove(self._random.choice(removable))

    def _remove(self, owned: Owned) -> None:
        """Delete one of ours, whatever its kind takes."""
        if owned.kind == "interface":
            self._detach(owned)
        else:
            self._delete(owned)

    def _create_network(self) -> None:
        self._room("network")
        self._create("network", self._named())

    def _create_subnet(self) -> None:
        self._room("subnet")
        network = self._pick("network")
        body = self._named(network_id=network.id, ip_version=4)
        if self._count % 4 == 0:
            cidr6 = f"fd00:77:{self._number:x}:{self._count & 0xFFFF:x}::/64"
            body |= {"ip_version": 6, "cidr": cidr6}
            body |= {"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"}
        else:
            first = int(IPv4Address("10.64.0.0")) + (self._count % 2**14) * 2**8
            body["cidr"] = f"{IPv4Address(first)}/24"
        self._create("subnet", body, network)

    def _port_body(self) -> tuple[dict[str, Any], list[Owned]]:
        subnet = self._pick("subnet")
        network = self.record.objects[subnet.expected["network_id"]]
        body = self._named(network_id=network.id, fixed_ips=[{"subnet_id": subnet.id}])
        needs = [subnet, network]
        groups = self.record.live("security_group")
        if groups and self._random.random() < 0.6:  # noqa: PLR2004  # the others get the project's default group
            group = self._random.choice(groups)
            body["security_groups"] = [group.id]
            needs.append(group)
        if self._random.random() < 0.2:  # noqa: PLR2004
            body["allowed_address_pairs"] = [{"ip_address": "10.255.1.0/24"}]
        return body, needs

    def _create_port(self) -> None:
        self._room("port")
        body, needs = self._port_body()
        self._create("port", body, *needs)

    def _create_two_ports(self) -> None:
        self._room("port")
        wanted = [self._port_body() for _ in range(2)]
        everything = [need for _, needs in wanted for need in needs]
        bulk = {"ports": [body for body, _ in wanted]}
        try:
            made = self._request("POST", "/ports", bulk, expect=CREATED)["ports"]
        except _Unanswered:
            self.tally.unknown += 1
            for need in everything:
                need.state = "unknown"
            raise
        for (body, needs), answer in zip(wanted, made, strict=True):
            self._read_back(self._remember("port", answer, body, *needs))

    def _create_group(self) -> None:
        self._room("security_group")
        self._create("security_group", self._named())

    def _create_rule(self) -> None:
        self._room("security_group_rule")
        group = self._pick("security_group")
        self._count += 1
        low = 1024 + self._count % 60000  # the same rule twice would be refused
        body: dict[str, Any] = {"security_group_id": group.id, "direction": "ingress", "ethertype": "IPv4"}
        body |= {"protocol": self._random.choice(("tcp", "udp")), "port_range_min": low, "port_range_max": low + 3}
        if self._random.random() < 0.3:  # noqa: PLR2004
            body["remote_group_id"] = group.id
        else:
            body["remote_ip_prefix"] = "10.0.0.0/8"
        self._create("security_group_rule", body)

    def _create_router(self) -> None:
        self._room("router")
        body = self._named()
        if self._external:
            body["external_gateway_info"] = {"network_id": self._external}
        self._create("router", body)

    def _create_floating_ip(self) -> None:
        if not self._external:
            raise _Refused
        self._room("floatingip")
        self._count += 1
        body = {"floating_network_id": self._external, "description": f"{self.name}-{self._count}"}
        self._create("floatingip", body)

    def _add_interface(self) -> None:
        self._room("interface")
        router = self._pick("router")
        joined = {need for interface in self.record.live("interface") for need in interface.needs}
        apart = [subnet for subnet in self.record.live("subnet") if subnet.id not in joined]
        if not apart:
            raise _Refused
        subnet = self._random.choice(apart)
        body = {"subnet_id": subnet.id}
        try:
            answer = self._write(router, "PUT", f"{router.path}/add_router_interface", body, expect=OK)
        except _Unanswered:
            subnet.state = "unknown"
            raise
        network = self.record.objects[subnet.expected["network_id"]]
        interface = Owned("interface", answer["port_id"], {"device_id": router.id, "network_id": network.id})
        interface.needs = frozenset({router.id, subnet.id, network.id})
        self.record.add(interface)
        seen = self._request("GET", interface.path, expect=OK)["port"]
        if wrong := differences(interface.expected, seen):
            self._violate(interface.path, f"the new interface has (acknowledged, found): {wrong}")
        interface.acknowledge(seen, ("device_id", "network_id"))

    def _remove_interface(self) -> None:
        self._detach(self._pick("interface"))

    def _detach(self, interface: Owned) -> None:
        """Take a router out of a subnet, unless a floating IP goes through it; its routes go first."""
        router = self.record.objects[interface.expected["device_id"]]
        if router.state != "live" or any(fip.expected.get("port_id") for fip in self.record.live("floatingip")):
            raise _Refused
        if router.expected.get("routes"):
            self._change(router, {"routes": []})
        body = {"subnet_id": self._subnet_of(interface).id}
        try:
            self._write(router, "PUT", f"{router.path}/remove_router_interface", body, expect=OK)
        except _Unanswered:
            interface.state = "unknown"
            raise
        self.record.delete(interface)
        self._see_gone(interface)

    def _subnet_of(self, interface: Owned) -> Owned:
        """The subnet that a router is in by it; its own addresses are not known when the read after it failed."""
        needs = (self.record.objects[need] for need in interface.needs)
        return next(need for need in needs if need.kind == "subnet")

    def _set_routes(self) -> None:
        interface = self._pick("interface")
        router = self.record.objects[interface.expected["device_id"]]
        subnet = self._subnet_of(interface)
        if router.state != "live" or subnet.expected["ip_version"] != 4:  # noqa: PLR2004
            raise _Refused
        hop = IPv4Network(subnet.expected["cidr"])[250]
        self._count += 1
        routes = [{"destination": f"192.168.{(self._count + n) % 256}.0/24", "nexthop": str(hop)} for n in range(2)]
        self._change(router, {"routes": routes})

    def _associate(self) -> None:
        """Point a floating IP at a port that a router with a gateway reaches, or at nothing."""
        floating = self._pick("floatingip")
        if floating.expected.get("port_id"):
            self._change(floating, {"port_id": None})
            return
        routed = {
            subnet.id
            for interface in self.record.live("interface")
            if self.record.objects[interface.expected["device_id"]].expected.get("external_gateway_info")
            and (subnet := self._subnet_of(interface)).expected["ip_version"] == 4  # noqa: PLR2004
        }
        taken = {other.expected.get("port_id") for other in self.record.live("floatingip")}
        reached = [
            port
            for port in self.record.live("port")
            if not port.borrowed and port.id not in taken and port.expected["fixed_ips"][0]["subnet_id"] in routed
        ]
        if not reached:
            raise _Refused
        self._change(floating, {"port_id": self._random.choice(reached).id})

    def _update(self) -> None:
        """Change some fields of anything that is ours or lent to us."""
        owned = self._pick("network", "subnet", "port", "router", "security_group", "floatingip", own=False)
        body = self._named()
        self._count += 1
        match owned.kind:
            case "floatingip":
                del body["name"]
            case "network":
                body["admin_state_up"] = self._random.random() < 0.8  # noqa: PLR2004
            case "subnet" if owned.expected["ip_version"] == 4:  # noqa: PLR2004
                body["dns_nameservers"] = [f"192.0.2.{self._count % 250 + 1}", "9.9.9.9"]
                body["host_routes"] = [{"destination": f"198.51.100.{self._count % 256}/32", "nexthop": "10.64.0.9"}]
            case "port" if not owned.borrowed and self._random.random() < 0.5:  # noqa: PLR2004
                pairs = [{"ip_address": f"10.255.{self._count % 256}.0/24"}]
                body |= {"allowed_address_pairs": pairs, "admin_state_up": self._random.random() < 0.8}  # noqa: PLR2004
        self._change(owned, body)

    def _tag(self) -> None:
        """Replace an object's tags; the answer names only them."""
        owned = self._pick("network", "subnet", "port", "router", "security_group", "floatingip")
        self._count += 1
        tags = [f"tag-{self._count % 7}", self._random.choice(WORDS)]
        self._write(owned, "PUT", f"{owned.path}/tags", {"tags": tags}, expect=OK)
        owned.expected["tags"] = tags
        self._read_back(owned)

    def _delete_something(self) -> None:
        """Delete anything of ours on which nothing stands."""
        mine = [owned for owned in self.record.live(*LIMITS) if not owned.borrowed]
        removable = [owned for owned in mine if not self.record.needed(owned)]
        if not removable:
            raise _Refused
        self._remove(self._random.choice(removable))

    def _read(self) -> None:
        self._read_back(self._pick(*PATHS, own=False))

    def _list(self) -> None:
        """List one kind and compare all of ours in it."""
        kind = self._random.choice(list(LIMITS))
        found = {item["id"]: item for item in self._request("GET", PATHS[kind], expect=OK)[collection(kind)]}
        for owned in self.record.live(kind):
            if owned.id not in found:
                self._violate(owned.path, "the list does not contain it")
            elif wrong := differences(owned.expected, found[owned.id]):
                self._violate(owned.path, f"the list has (acknowledged, found): {wrong}")

    def _list_with_the_sdk(self) -> None:
        """List and read with openstacksdk's own classes, as most programs do."""
        port = self._pick("port", own=False)
        at = time.time()
        try:
            network = self._connection.network
            ids = {found.id for found in network.ports(network_id=port.expected["network_id"])}
            name = network.get_port(port.id).name
        except (keystone_exceptions.ClientException, sdk_exceptions.SDKException, requests.RequestException) as error:
            status = getattr(error, "status_code", None) or 0
            self.tally.failures.append(Failure(self.name, at, "GET", port.path, status, str(error)[:EXCERPT]))
            raise _Refused from error
        if port.id not in ids or name != port.expected["name"]:
            self._violate(port.path, f"openstacksdk lists {sorted(ids)} and reads the name {name!r}")

    def _provoke(self) -> None:
        """Ask for what must be refused, and see that it is."""
        nobody = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        match self._random.randrange(4):
            case 0:
                self._request("GET", f"/ports/{nobody}", expect=NOT_FOUND)
            case 1:
                self._request("DELETE", f"/networks/{nobody}", expect=NOT_FOUND)
            case 2:
                subnet = self._pick("subnet")
                body = {name: subnet.expected[name] for name in ("network_id", "ip_version", "cidr")}
                self._request("POST", "/subnets", {"subnet": body}, expect=BAD_REQUEST)
            case 3:
                port = self._pick("port")
                self._request("DELETE", f"/networks/{port.expected['network_id']}", expect=CONFLICT)


class Workload:
    """Concurrent users of a lab's projects; `start`, `snapshot` now and then, `stop`, and then `check`.

    `clients`: threads, spread over the projects. `rate`: operations per second of all together (each is one to five
    requests), None for no pause at all. `topology`: lends each client a few of its project's ports to update.
    `direct`: past the address in the catalogue, straight to Neutron.
    """

    def __init__(
        self,
        lab: Lab,
        clients: int = 6,
        seed: int = 1,
        rate: float | None = None,
        *,
        topology: Topology | None = None,
        direct: bool = False,
    ) -> None:
        self._lab = lab
        self._ended = threading.Event()
        self._begun = 0.0
        self._clients = [
            self._client(number, clients, seed, rate, topology, direct=direct) for number in range(clients)
        ]

    def _client(
        self, number: int, clients: int, seed: int, rate: float | None, topology: Topology | None, *, direct: bool
    ) -> _Client:
        projects = self._lab.projects
        project = projects[number % len(projects)]
        ports = []
        if topology:
            joined = {ref for interfaces in topology.plan.interfaces.values() for ref in interfaces}
            joined |= topology.plan.trunked
            planned = [port for port in topology.plan.of("port") if port.project == project.name]
            ports = [topology.ids[port.ref] for port in planned if port.ref not in joined]
        rank, together = number // len(projects), -(-(clients - number % len(projects)) // len(projects))
        return _Client(
            f"{project.user}-{number}",
            project,
            self._lab.connection(project.name, direct=direct),
            seed * 1000 + number,
            identity=self._lab.keystone_url,
            borrowed=ports[rank::together][:BORROWED],
            pause=clients / rate if rate else 0.0,
            ended=self._ended,
        )

    def start(self) -> None:
        """Let the clients begin."""
        self._begun = time.time()
        for client in self._clients:
            client.thread.start()

    def pace(self, rate: float | None) -> None:
        """Go on at another pace: operations per second of all together, None for no pause at all."""
        for client in self._clients:
            client.pause = len(self._clients) / rate if rate else 0.0

    def snapshot(self, window: float = 5.0) -> Snapshot:
        """Return the numbers so far; cheap enough for every second."""
        now = time.time()
        recent: list[float] = []
        for client in self._clients:
            for sample in reversed(client.tally.samples):
                if sample.start < now - window:
                    break
                recent.append(sample.seconds * 1000)
        recent.sort()
        tallies = [client.tally for client in self._clients]
        return Snapshot(
            seconds=now - self._begun,
            requests=sum(len(tally.samples) for tally in tallies),
            writes_acknowledged=sum(tally.acknowledged for tally in tallies),
            requests_failed=sum(len(tally.failures) for tally in tallies),
            provoked=sum(tally.provoked for tally in tallies),
            violations=sum(len(tally.violations) for tally in tallies),
            objects=sum(len(list(client.record.objects)) for client in self._clients),
            requests_per_second=len(recent) / min(window, max(now - self._begun, 0.001)),
            p50_ms=_quantile(recent, 0.50),
            p95_ms=_quantile(recent, 0.95),
            max_ms=recent[-1] if recent else 0.0,
        )

    def stop(self) -> WorkloadResult:
        """End the clients after the operation each is in; raises LabError when one died or does not end."""
        self._ended.set()
        deadline = time.monotonic() + STOP_PATIENCE
        for client in self._clients:
            client.thread.join(max(0.0, deadline - time.monotonic()))
            if client.thread.is_alive():
                msg = f"client {client.name} waits for an answer since more than {STOP_PATIENCE} s"
                raise LabError(msg)
            if client.crash:
                msg = f"client {client.name} died of {type(client.crash).__name__}: {client.crash}"
                raise LabError(msg) from client.crash
        tallies = [client.tally for client in self._clients]
        return WorkloadResult(
            seconds=time.time() - self._begun,
            requests=sum(len(tally.samples) for tally in tallies),
            writes_acknowledged=sum(tally.acknowledged for tally in tallies),
            provoked=sum(tally.provoked for tally in tallies),
            unknown=sum(tally.unknown for tally in tallies),
            failures=sorted((f for tally in tallies for f in tally.failures), key=lambda failure: failure.at),
            violations=[violation for tally in tallies for violation in tally.violations],
            samples=sorted(sample for tally in tallies for sample in tally.samples),
        )

    @property
    def records(self) -> dict[str, Record]:
        """What each client remembers, by its name; complete after `stop`."""
        return {client.name: client.record for client in self._clients}

    def check(self, cloud: str = "lab-admin", *, direct: bool = False) -> CheckResult:
        """Read all of the side that answers now, and compare it with every record; after `stop`."""
        connection = self._lab.connection(cloud, direct=direct)
        try:
            found = {}
            for kind, path in PATHS.items():
                answer = connection.network.get(path)
                if answer.status_code != OK:
                    msg = f"GET {path} as {cloud} is answered {answer.status_code}: {answer.text[:EXCERPT]}"
                    raise LabError(msg)
                found[kind] = {item["id"]: item for item in answer.json()[collection(kind)]}
        finally:
            connection.close()
        return compare(self.records, found)


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))] if ascending else 0.0

"""Upstream Alcor as a side: the archived Java code, through its gateway or an ingress with the same paths.

It lives with that code's defects instead of tripping over them: an object is looked for before it is posted (a second
POST of a port destroys the first), VNIs are forced by a PUT after the POST, subnets are made one after another and
ports in batches of one project and host, and what failed half-way is taken away again, also when it was us who died
half-way: what is being created is noted on disk. What upstream cannot hold is refused before anything is sent.

A router's interfaces are no ports of their own there: they are the `interfaces` of the router, an attachment of each
subnet's own gateway port.

Lists are neither paged nor scoped there, and lists of routers are wrong, so routers are read one by one.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog

from alcor_migrate.errors import CloudError, CloudRefused
from alcor_migrate.side import Change, Key, Rejection
from alcor_migrate.target import upstream_form as form
from alcor_migrate.target.nodes import node
from alcor_model import Resource, delete_order, digest, load_order, resource
from alcor_model.errors import MalformedObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence

    from alcor_migrate.cloud import Cloud
    from alcor_migrate.http import JsonClient
    from alcor_migrate.target.begun import Begun
    from alcor_model.fields import Json

log = structlog.get_logger(__name__)

_BAD = 400
_MISSING = {404, 412}
_NOT_OURS = {401, 403, 502, 503, 504}
"""These say nothing of the object that was sent."""
_VALUES_PER_READ = 100
_PORTS_PER_BATCH = 100
_AT_ONCE = 4
_IN_FLIGHT = 10.0
"""Seconds for which a creation that was cut off, and is not to be seen, may still come to be."""
_LOOK = 0.2


class _RefusedError(Exception):
    """Upstream would not take one object."""


class UpstreamSide:
    """Upstream Alcor at the address of `client`, which must wait longer than the 300 s of a dead agent."""

    name = "target"
    keeps_everything = False

    def __init__(self, client: JsonClient, cloud: Cloud, begun: Begun, in_flight: float = _IN_FLIGHT) -> None:
        self._client = client
        self._cloud = cloud
        self._begun = begun
        self._in_flight = in_flight
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._cleaning = asyncio.Lock()

    async def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything there is of a resource that came from Neutron, as much as upstream keeps of it."""
        await self._clean_up()
        found = await self._listed(of, []) if of.name in form.HELD else []
        for start in range(0, len(found), page_size):
            yield found[start : start + page_size]

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids; those that do not exist are not in the answer."""
        return await self.find(of, "id", ids)

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field (a text) has one of these values."""
        wanted = sorted(set(values))
        if of.name not in form.HELD:
            return {}
        if of.name == "agent":
            return {o["id"]: o for o in await self._hosts() if o.get(field) in wanted}
        found: dict[str, Json] = {}
        for start in range(0, len(wanted), _VALUES_PER_READ):
            some = wanted[start : start + _VALUES_PER_READ]
            answer = await self._listed(of, [(field, value) for value in some])
            # An object without the field counts as a match there.
            found.update({o["id"]: o for o in answer if o.get(field) in some})
        return found

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Delete what is gone, then make and change what is there, each in dependency order."""
        await self._clean_up()
        rejected: dict[Key, str] = {}
        for of in delete_order():
            gone = [c for c in changes if c.of is of and c.new is None and c.old is not None]
            await _all(self._one(c, self._delete(c), rejected) for c in gone)
        for of in load_order():
            there = [c for c in changes if c.of is of and c.new is not None]
            if of.name == "agent":
                await _all(self._one(c, self._node(c.new or {}), rejected) for c in there)
                continue
            fit: list[Change] = []
            for change in there:
                try:
                    reason = form.refusal(of, change.new or {})
                    form.body(of, change.new or {})
                except MalformedObject as error:
                    reason = error.message
                if reason:
                    rejected[change.key] = reason
                else:
                    fit.append(change)
            await self._put_all(of, fit, rejected)
        return [Rejection(key, reason) for key, reason in rejected.items()]

    async def counts(self) -> dict[str, int]:
        """How many objects of each resource there are that upstream did not make by itself, by its name."""
        return {name: len(await self._listed(resource(name), [])) for name in sorted(form.HELD)}

    async def answers(self) -> bool:
        """Whether it answers."""
        try:
            await self._client.get(await self._path(resource("network")), [("id", "none")])
        except CloudError:
            return False
        return True

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    # Reading

    async def _listed(self, of: Resource, params: list[tuple[str, str]]) -> list[Json]:
        if of.name == "agent":
            return await self._hosts()
        answer = await self._client.get(await self._path(of), params)
        found = answer.get(of.alcor_plural, answer.get(of.plural)) or []
        if of.name == "router":  # the list mixes up what belongs to which, and has no routes
            found = [one for r in found if (one := await self._show(of, r.get("project_id") or "", r["id"]))]
        own = await self._upstreams_own(of)
        held = [
            {**form.kept(of, form.held(of, o)), "id": o["id"]}
            for o in found
            if o["id"] not in own and o.get("security_group_id", "") not in own
        ]
        if of.name == "router":
            attached = await self._attached()
            held = [router | {"interfaces": attached.get(router["id"], [])} for router in held]
        return held

    async def _hosts(self) -> list[Json]:
        """The nodes that were made of Neutron's agents."""
        answer = await self._client.get("/nodes")
        return sorted(
            (agent for info in answer["nodeInfos"] or [] if (agent := form.host_of(info))), key=lambda a: str(a["id"])
        )

    async def _attached(self) -> dict[str, list[Json]]:
        """The interfaces of every router."""
        subnets = await self._client.get(await self._path(resource("subnet")))
        attached: dict[str, list[Json]] = {}
        for subnet in sorted(subnets["subnets"] or [], key=lambda s: str(s["id"])):
            if router := subnet.get("attached_router_id"):
                interface = {"subnet_id": subnet["id"], "ip_address": subnet.get("gateway_ip")}
                attached.setdefault(router, []).append(interface)
        return attached

    async def _upstreams_own(self, of: Resource) -> set[str]:
        """What upstream makes by itself: gateway ports, and default groups with their rules."""
        if of.name == "port":
            subnets = await self._client.get(await self._path(resource("subnet")))
            return {s["gatewayPortId"] for s in subnets["subnets"] if s.get("gatewayPortId")}
        if of.name in {"security_group", "security_group_rule"}:
            groups = await self._client.get(await self._path(resource("security_group")), [("name", "default")])
            return {g["id"] for g in groups["security_groups"] if g.get("name") == "default"}
        return set()

    async def _show(self, of: Resource, project: str, object_id: str) -> Json | None:
        """One object as upstream holds it. What is missing is a null (200), a 404 or a 412, by resource."""
        path = f"{await self._path(of, project)}/{object_id}"
        status, answer = await self._client.request("GET", path)
        if status in _MISSING:
            return None
        self._raise_unless_ours(status, "GET", path, answer)
        if status >= _BAD:
            raise CloudRefused(f"Alcor (GET {path})", status, str(answer))
        found = (answer or {}).get(of.alcor_member)
        return found if found and found.get("id") else None

    # Writing

    async def _one(self, change: Change, work: Any, rejected: dict[Key, str]) -> None:
        async with self._slots:
            try:
                await work
            except (_RefusedError, MalformedObject) as error:
                rejected[change.key] = str(error)

    async def _put_all(self, of: Resource, changes: list[Change], rejected: dict[Key, str]) -> None:
        match of.name:
            case "port":
                await self._put_ports(changes, rejected)
            case "subnet":  # of one network one after another: their overlap is checked against a list that lags
                by_network: dict[str, list[Change]] = {}
                for change in changes:
                    by_network.setdefault((change.new or {})["network_id"], []).append(change)
                await _all(self._in_turn(group, rejected) for group in by_network.values())
            case "floatingip":  # they share one range
                await self._in_turn(changes, rejected)
            case _:
                await _all(self._one(c, self._put(of, c.new or {}), rejected) for c in changes)

    async def _in_turn(self, changes: list[Change], rejected: dict[Key, str]) -> None:
        for change in changes:
            await self._one(change, self._put(change.of, change.new or {}), rejected)

    async def _put(self, of: Resource, new: Json) -> None:
        """Make or change one object. It is looked for first: no POST may be sent twice."""
        project = str(new.get("project_id") or "")
        there = await self._show(of, project, new["id"])
        if there and of.name == "subnet" and not there.get("gatewayPortId"):  # somebody's creation ended half-way
            await self._make_room(of, project, new["id"])
            there = None
        if there is None:
            await self._create(of, project, new)
        elif self._differs(of, there, new):
            await self._update(of, project, new, there)
        if of.name == "router":
            await self._wire(project, new)

    def _differs(self, of: Resource, there: Json, new: Json) -> bool:
        ours, theirs = form.kept(of, new), form.kept(of, form.held(of, there))
        ours.pop("routes", None), theirs.pop("routes", None)
        return digest(of, ours, given=True) != digest(of, theirs, given=True)

    async def _create(self, of: Resource, project: str, new: Json) -> None:
        """Create one object; refused, it leaves nothing."""
        if of.name == "floatingip":
            await self._range(new["floating_ip_address"])
        refused: _RefusedError | None = None
        async with self._begun.creating(of.name, project, [new["id"]]) as left:
            # Of a subnet it is expected that something stays of a first attempt, and a second may do better.
            for _ in range(2 if of.name == "subnet" else 1):
                try:
                    await self._make(of, project, new)
                except _RefusedError as error:
                    refused = error
                    if not await self._take_away(of, project, new["id"]):
                        left.add(Key(of.name, new["id"]))
                        break
                else:
                    return
        if refused:
            raise refused

    async def _make(self, of: Resource, project: str, new: Json) -> None:
        await self._send("POST", await self._path(of, project), {of.alcor_member: form.body(of, new)})
        match of.name:
            case "network":
                await self._force_vni(project, new)
            case "security_group":
                await self._without_rules(project, new["id"])

    async def _force_vni(self, project: str, new: Json) -> None:
        """Upstream draws a random VNI and takes the right one by PUT; a network with a wrong one must not stay."""
        of = resource("network")
        made = await self._show(of, project, new["id"])
        wanted = new.get("provider:segmentation_id")
        if made is None or wanted is None or made.get("provider:segmentation_id") == wanted:
            return
        await self._update(of, project, new, made)

    async def _without_rules(self, project: str, group_id: str) -> None:
        """Take away the two rules that upstream gives a new group: the right ones follow with their ids."""
        made = await self._show(resource("security_group"), project, group_id) or {}
        path = await self._path(resource("security_group_rule"), project)
        for rule in made.get("security_group_rules") or []:
            await self._send("DELETE", f"{path}/{rule['id']}", gone_is_fine=True)

    async def _update(self, of: Resource, project: str, new: Json, there: Json) -> None:
        path = f"{await self._path(of, project)}/{new['id']}"
        sent = {k: v for k, v in form.body(of, new).items() if k != "id"}
        match of.name:
            case "security_group":
                sent = {k: sent[k] for k in ("name", "description") if k in sent}
            case "security_group_rule":  # there is no PUT
                await self._send("DELETE", path, gone_is_fine=True)
                await self._create(of, project, new)
                return
            case "floatingip":
                await self._associate(path, new, there)
                return
        await self._send("PUT", path, {of.alcor_member: sent})

    async def _associate(self, path: str, new: Json, there: Json) -> None:
        """Another port is refused while the old one is there, and the same one twice, too."""
        old, wanted = there.get("port_id") or "", new.get("port_id") or ""
        if old and old != wanted:
            await self._send("PUT", path, {"elasticip": {"port_id": "", "private_ip": ""}})
        if wanted and old != wanted:
            address = new.get("fixed_ip_address") or ""
            await self._send("PUT", path, {"elasticip": {"port_id": wanted, "private_ip": address}})

    async def _range(self, address: str) -> None:
        """Addresses come from the first range of their version, so there is one, and it grows with what is asked."""
        range_id = "neutron-6" if ":" in address else "neutron-4"
        path = f"/elasticip-ranges/{range_id}"
        status, answer = await self._client.request("GET", path)
        self._raise_unless_ours(status, "GET", path, answer)
        single = {"start": address, "end": address}
        found = {"id": range_id, "name": range_id, "ip_version": 6 if ":" in address else 4}
        if status in _MISSING:
            sent = {"elasticip-range": found | {"allocation_ranges": [single]}}
            await self._send("POST", "/elasticip-ranges", sent)
            return
        ranges = answer["elasticip-range"]["allocation_ranges"]
        if single not in ranges:
            await self._send("PUT", path, {"elasticip-range": found | {"allocation_ranges": [*ranges, single]}})

    async def _routes(self, project: str, new: Json) -> None:
        of = resource("router")
        there = await self._show(of, project, new["id"]) or {}
        path = f"{await self._path(of, project)}/{new['id']}"
        have = form.held(of, there).get("routes") or [] if there else []
        wanted = [{"destination": r["destination"], "nexthop": r["nexthop"]} for r in new.get("routes") or []]
        if have != wanted and there.get("gateway_ports") == []:
            raise _RefusedError("its interfaces are all gone, and a route would reach every subnet that there is")
        for verb, some in (
            ("remove_extraroutes", [r for r in have if r not in wanted]),
            ("add_extraroutes", [r for r in wanted if r not in have]),
        ):
            if some:
                await self._send("PUT", f"{path}/{verb}", {"newRoutesWebRequest": {"routes": some}})

    # Ports

    async def _put_ports(self, changes: list[Change], rejected: dict[Key, str]) -> None:
        by_id = {c.id: c for c in changes}
        there = await self.read(resource("port"), by_id)
        missing = []
        for change in changes:
            if change.id in there:
                await self._one(change, self._change_port(change.new or {}, there[change.id]), rejected)
            else:
                missing.append(change.new or {})
        for batch in form.batches(missing, _PORTS_PER_BATCH):
            await self._create_ports(batch, by_id, rejected)

    async def _create_ports(self, batch: list[Json], by_id: dict[str, Change], rejected: dict[Key, str]) -> None:
        """All at once; when that fails, one by one, after what it left behind is gone."""
        of = resource("port")
        project = batch[0]["project_id"]
        left: set[Key] = set()
        try:
            async with self._begun.creating(of.name, project, [port["id"] for port in batch]) as left:
                sent = {"ports": [form.body(of, port) for port in batch]}
                try:
                    await self._send("POST", f"{await self._path(of, project)}/bulk", sent)
                except _RefusedError:
                    gone = [await self._take_away(of, project, port["id"]) for port in batch]
                    left |= {Key(of.name, port["id"]) for port, away in zip(batch, gone, strict=True) if not away}
                    raise
        except _RefusedError as error:
            log.info("batch_refused", ports=len(batch), reason=str(error))
            rejected |= dict.fromkeys(left, str(error))  # a second POST would make it worse
            for port in batch:
                if Key(of.name, port["id"]) not in left:
                    await self._one(by_id[port["id"]], self._create(of, project, port), rejected)

    async def _change_port(self, new: Json, there: Json) -> None:
        of = resource("port")
        if digest(of, form.kept(of, new), given=True) == digest(of, there, given=True):
            return
        project = new["project_id"]
        if new["mac_address"].lower() != str(there.get("mac_address")).lower():
            await self._make_room(of, project, new["id"])  # a PUT with another MAC always fails
            await self._create(of, project, new)
            return
        await self._update(of, project, new, there)

    # Interfaces

    async def _wire(self, project: str, new: Json) -> None:
        """Bring a router to its interfaces and routes: routes come after the first and go before the last of them."""
        have = (await self._attached()).get(new["id"], [])
        wanted = new.get("interfaces", have)
        for interface in wanted:
            if interface not in have:
                await self._attach(project, new["id"], interface)
        await self._routes(project, new)
        for interface in have:
            if interface["subnet_id"] not in {one["subnet_id"] for one in wanted}:
                await self._detach(project, new["id"], interface["subnet_id"])

    async def _attach(self, project: str, router_id: str, interface: Json) -> None:
        """Upstream attaches the subnet's own gateway port, and nothing else."""
        subnet = await self._show(resource("subnet"), project, interface["subnet_id"])
        if subnet is None:
            raise _RefusedError(f"the subnet {interface['subnet_id']} of an interface is not there")
        if subnet.get("gateway_ip") != interface["ip_address"]:
            raise _RefusedError(
                f"its interface {interface['ip_address']} is not the gateway of its subnet {interface['subnet_id']}, "
                "and upstream attaches nothing else"
            )
        path = f"{await self._path(resource('router'), project)}/{router_id}"
        await self._send("PUT", f"{path}/add_router_interface", {"subnet_id": interface["subnet_id"]})

    async def _detach(self, project: str, router_id: str, subnet_id: str) -> None:
        """From the router that it is attached to: upstream would detach it from whatever router is named."""
        path = f"{await self._path(resource('router'), project)}/{router_id}"
        await self._send("PUT", f"{path}/remove_router_interface", {"subnet_id": subnet_id})

    # Deleting, and the rest

    async def _delete(self, change: Change) -> None:
        of, old = change.of, change.old or {}
        project = str(old.get("project_id") or "")
        if of.name == "agent":
            await self._without_node(change.id)
            return
        if of.name not in form.HELD or (there := await self._show(of, project, change.id)) is None:
            return
        if of.name == "subnet" and (router := there.get("attached_router_id")):
            await self._detach(project, router, change.id)
        if of.name == "router":
            for interface in (await self._attached()).get(change.id, []):
                await self._detach(project, change.id, interface["subnet_id"])
        path = f"{await self._path(of, project)}/{change.id}"
        if of.name == "floatingip" and there.get("port_id"):
            await self._send("PUT", path, {"elasticip": {"port_id": "", "private_ip": ""}})
        await self._send("DELETE", path, gone_is_fine=True)

    async def _clean_up(self) -> None:
        """Take away what we began to create and have not seen the end of: nobody can tell how much of it is there."""
        async with self._cleaning:
            for creation in await self._begun.left():
                of = resource(creation.resource)
                log.warning("creation_cut_off", object=str(creation.key))
                until = time.monotonic() + min(self._in_flight, creation.at + self._in_flight - time.time())
                while time.monotonic() < until:
                    if await self._show(of, creation.project, creation.id):
                        break
                    await asyncio.sleep(_LOOK)
                if await self._take_away(of, creation.project, creation.id):
                    await self._begun.over([creation.key])

    async def _make_room(self, of: Resource, project: str, object_id: str) -> None:
        if not await self._take_away(of, project, object_id):
            raise _RefusedError("what is there under its id has to be made anew, and cannot be deleted")

    async def _take_away(self, of: Resource, project: str, object_id: str) -> bool:
        """Remove what a failed request may have left; answers whether nothing is there any more.

        A ghost of a port goes only at the second attempt.
        """
        path = f"{await self._path(of, project)}/{object_id}"
        for _ in range(2):
            if await self._show(of, project, object_id) is None:
                return True
            status, answer = await self._client.request("DELETE", path)
            self._raise_unless_ours(status, "DELETE", path, answer)
        if await self._show(of, project, object_id) is None:
            return True
        log.warning("left_behind", object=f"{of.name} {object_id}")
        return False

    async def _node(self, agent: Json) -> None:
        if not (wanted := node(agent)):
            return
        path = f"/nodes/{wanted['node_id']}"
        there = (await self._client.get(path) or {}).get("host_info")
        if not there:
            await self._send("POST", "/nodes", {"host_info": wanted})
        elif any(there.get(name) != wanted[name] for name in ("node_name", "local_ip", "mac_address")):
            await self._send("PUT", path, {"host_info": wanted})

    async def _without_node(self, node_id: str) -> None:
        if (await self._client.get(f"/nodes/{node_id}") or {}).get("host_info"):  # else a DELETE fails
            await self._send("DELETE", f"/nodes/{node_id}")

    async def _path(self, of: Resource, project: str = "") -> str:
        return f"/project/{project or await self._cloud.project_id()}/{of.alcor_collection}"

    async def _send(self, method: str, path: str, sent: Json | None = None, *, gone_is_fine: bool = False) -> Any:
        status, answer = await self._client.request(method, path, sent)
        if status < _BAD or (gone_is_fine and status in _MISSING):
            return answer
        self._raise_unless_ours(status, method, path, answer)
        raise _RefusedError(CloudRefused(f"Alcor ({method} {path})", status, _message(answer)).message)

    def _raise_unless_ours(self, status: int, method: str, path: str, answer: Any) -> None:
        if status in _NOT_OURS and not (status == 403 and "security-groups" in path):  # noqa: PLR2004  # in use
            raise CloudRefused(f"Alcor ({method} {path})", status, _message(answer))


def _message(answer: Any) -> str:
    return str(answer.get("message") or answer.get("msg") or "") if isinstance(answer, dict) else str(answer or "")


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do them at once and wait for each of them, also when one fails: none may go on beside a second attempt."""
    for ended in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended

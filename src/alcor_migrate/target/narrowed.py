"""Source and target as the engine sees them when the target is upstream Alcor.

The engine compares two sides and levels them. So that it can do that with a target that holds less, the source shows
no more of itself than that target can hold: without fields that get lost there, without objects that are set aside,
and with a router's interfaces as part of the router, which is what they are there. What nobody accepted to lose is
shown, and rejected: that closes the gates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.side import Key, Rejection, listed, steady
from alcor_migrate.target import upstream_form as form
from alcor_migrate.target.narrowing import Judgement, Told, below, examined, judge
from alcor_model import resource
from alcor_model.fields import Target
from alcor_model.gaps import Examiner, rules
from alcor_model.gaps.upstream import INTERFACE, refused_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from alcor_migrate.side import Change, Side
    from alcor_migrate.target import Target as TargetSide
    from alcor_migrate.target.narrowing import Accepted
    from alcor_model import Resource
    from alcor_model.fields import Json

_AMONG_MANY = {"upstream-same-mac": "mac_address", "upstream-same-device-name": "binding:host_id"}
"""Rules about several ports, and the field by which the others are found. Asked only where they were answered: else
upstream refuses what it does not take."""
_ONE_ROUTER = "upstream-subnet-routers"
assert {*_AMONG_MANY, _ONE_ROUTER} <= {rule.id for rule in rules(Target.UPSTREAM)}  # noqa: S101  # renamed there, too


class NarrowedSource:
    """Neutron, with no more of it than upstream Alcor holds."""

    name = "source"
    keeps_everything = True

    def __init__(
        self, source: Side, told: Told, accepted: Callable[[], Accepted], own_project: Callable[[], Awaitable[str]]
    ) -> None:
        """`accepted` says which gaps are, as of now; `own_project` is where objects without a project go."""
        self._source = source
        self._told = told
        self._accepted = accepted
        self._own_project = own_project

    async def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything upstream is to hold of a resource, in pages; none is empty."""
        if form.told_otherwise(of):
            return
        before, seen = self._told.of(of.name), set()
        async for page in listed(self._source, of, page_size):
            seen |= {o["id"] for o in page}
            if shown := await self._shown(of, page):
                yield list(shown.values())
        self._forget(key for key in before if key.id not in seen)

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """Those of the objects with these ids that upstream is to hold."""
        if form.told_otherwise(of):
            return {}
        wanted = list(ids)
        found = await self._source.read(of, wanted)
        self._forget(Key(of.name, i) for i in wanted if i not in found)
        return await self._shown(of, list(found.values()))

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """Those of the objects whose field has one of these values that upstream is to hold."""
        if form.told_otherwise(of):
            return {}
        return await self._shown(of, list((await self._source.find(of, field, values)).values()))

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Nothing comes back from upstream: its API is never put before users."""
        return [Rejection(change.key, "upstream Alcor is never the active side") for change in changes]

    def steady(self) -> AbstractAsyncContextManager[bool]:
        """Have the source hold still, if it can."""
        return steady(self._source)

    async def close(self) -> None:
        """Let go of connections."""
        await self._source.close()

    # -- what is shown -------------------------------------------------------------------------------------------

    async def _shown(self, of: Resource, objects: Sequence[Json]) -> dict[str, Json]:
        if of.name == "agent":
            return {o["id"]: seen for o in objects if (seen := form.host(o))}
        if of.name == "router":
            return await self._routers(objects)
        objects = [o for o in objects if o.get("device_owner") not in INTERFACE]  # shown as a part of their router
        judged = await self._judged(of, objects)
        return {o["id"]: await self._kept(of, o) for o in objects if not judged[o["id"]].aside}

    async def _kept(self, of: Resource, found: Json) -> Json:
        kept = form.kept(of, found) | {"id": found["id"]}
        if not kept.get("project_id"):
            kept["project_id"] = await self._own_project()
        return kept

    async def _judged(self, of: Resource, objects: Sequence[Json]) -> dict[str, Judgement]:
        """What becomes of each object, and of what it stands on; remembered."""
        accepted = self._accepted()
        others = await self._among(of, objects, accepted)
        above = await self._above(of, objects)
        judged = {}
        for found, findings, wrong in examined(of, objects, others):
            judgement = Judgement(open=wrong) if wrong else judge(findings, accepted)
            parents = [(key, above[key]) for key in form.stands_on(of, found) if key in above]
            judged[found["id"]] = below(judgement, parents)
            self._told.keep(Key(of.name, found["id"]), judged[found["id"]])
        return judged

    async def _among(self, of: Resource, objects: Sequence[Json], accepted: Accepted) -> list[Json]:
        """The ports that may have something in common with these."""
        others: dict[str, Json] = {}
        for rule, field in _AMONG_MANY.items() if of.name == "port" else ():
            values = {str(value) for o in objects if (value := o.get(field))}
            if rule in accepted and values:
                others |= await self._source.find(of, field, sorted(values))
        return [o for o in others.values() if o.get("device_owner") not in INTERFACE]

    async def _above(self, of: Resource, objects: Sequence[Json]) -> dict[Key, Judgement]:
        """What becomes of all that these objects stand on."""
        wanted: dict[str, set[str]] = {}
        for key in (key for o in objects for key in form.stands_on(of, o)):
            wanted.setdefault(key.resource, set()).add(key.id)
        above: dict[Key, Judgement] = {}
        for name, ids in wanted.items():
            found = await self._source.read(resource(name), sorted(ids))
            judged = await self._judged(resource(name), list(found.values()))
            above |= {Key(name, object_id): judgement for object_id, judgement in judged.items()}
        return above

    async def _routers(self, routers: Sequence[Json]) -> dict[str, Json]:
        """Routers with their interfaces, less those that are set aside."""
        if not routers:
            return {}
        judged = await self._judged(resource("router"), routers)
        interfaces = await self._interfaces([r["id"] for r in routers])
        shown = {}
        for router in routers:
            key, judgement = Key("router", router["id"]), judged[router["id"]]
            kept = await self._kept(resource("router"), router)
            refused = list(refused_routes(router))
            kept["routes"] = [route for route in router.get("routes") or [] if route not in refused]
            attached = []
            for port, of_port in interfaces.get(router["id"], []):
                if of_port.open:
                    judgement = Judgement(open=f"its interface {port['id']} is open: {of_port.open}")
                elif not of_port.aside:
                    attached += [
                        {"subnet_id": fixed["subnet_id"], "ip_address": fixed["ip_address"]}
                        for fixed in port["fixed_ips"]
                    ]
            kept["interfaces"] = sorted(attached, key=lambda one: one["subnet_id"])
            self._told.keep(key, judgement)
            shown[router["id"]] = kept
        return shown

    async def _interfaces(self, routers: Sequence[str]) -> dict[str, list[tuple[Json, Judgement]]]:
        """Each router's interfaces with what becomes of them; remembered."""
        of, accepted = resource("port"), self._accepted()
        ports = [
            port
            for port in (await self._source.find(of, "device_id", routers)).values()
            if port.get("device_owner") in INTERFACE
        ]
        others: Sequence[Json] = []
        if _ONE_ROUTER in accepted:
            others = list((await self._source.find(of, "device_owner", sorted(INTERFACE))).values())
        above = await self._above(of, ports)
        examiner = Examiner(Target.UPSTREAM)
        subnets = {str(fixed["subnet_id"]) for port in (*ports, *others) for fixed in port.get("fixed_ips") or []}
        found = await self._source.read(resource("subnet"), sorted(subnets))
        for _ in examined(resource("subnet"), list(found.values()), examiner=examiner):
            pass  # it takes note of their gateways
        by_router: dict[str, list[tuple[Json, Judgement]]] = {}
        for port, findings, wrong in examined(of, ports, others, examiner):
            judgement = Judgement(open=wrong) if wrong else judge(findings, accepted)
            judgement = below(judgement, [(k, above[k]) for k in form.stands_on(of, port) if k in above])
            if not judgement.open:  # that is told of its router, which is what is not moved
                self._told.keep(Key("port", port["id"]), judgement)
            by_router.setdefault(port["device_id"], []).append((port, judgement))
        return by_router

    def _forget(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._told.keep(key, Judgement())


class NarrowedTarget:
    """Upstream Alcor, which is given nothing that nobody accepted to be given with losses."""

    name = "target"
    keeps_everything = True
    """Of what the narrowed source shows."""

    def __init__(self, upstream: TargetSide, told: Told) -> None:
        self._upstream = upstream
        self._told = told

    def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything there is of a resource that came from Neutron, in pages."""
        return self._upstream.pages(of, page_size)

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids; those that do not exist are not in the answer."""
        return await self._upstream.read(of, ids)

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field has one of these values."""
        return await self._upstream.find(of, field, values)

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Apply what is not open; answers what is, and what upstream would not take."""
        still = self._told.open
        unanswered = {c.key: still[c.key] for c in changes if c.new is not None and c.key in still}
        rejected = await self._upstream.apply([c for c in changes if c.key not in unanswered])
        return [*rejected, *(Rejection(key, reason) for key, reason in unanswered.items())]

    async def counts(self) -> Mapping[str, int]:
        """How many objects of each resource there are that upstream did not make by itself, by its name."""
        return await self._upstream.counts()

    async def answers(self) -> bool:
        """Whether it answers."""
        return await self._upstream.answers()

    async def close(self) -> None:
        """Let go of connections."""
        await self._upstream.close()

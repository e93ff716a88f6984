"""A side of the simulation: serves users, as Neutron does, and the engine, as a `Side`."""

import asyncio
from copy import deepcopy

from alcor_migrate.errors import CloudUnreachable
from alcor_migrate.side import Key
from alcor_model import resource

PROJECT = "p1"


class Dead(Exception):
    """The connection broke, and nobody knows what the request did."""


class SimulatedCloud:
    """Holds objects in Neutron's form. What it does takes time, and two answers may come out of order."""

    def __init__(self, name, world):
        self.name = name
        self.keeps_everything = name == "target"
        self.objects = {}
        self.down = False
        self.slowness = 1.0
        self.cuts_an_answer = False
        """Whether the next connection breaks after the write was done."""
        self.serving = set()
        self._world = world
        self._number = 0

    async def _delay(self, most=0.05):
        await asyncio.sleep(self._world.random.random() * most * self.slowness)

    # -- for users -------------------------------------------------------------------------------------------

    async def serve(self, method, path, body=None):
        """(status, answer). Raises Dead when the connection breaks, before or after the write was done.

        What was begun is finished, also when nobody listens any more.
        """
        task = asyncio.ensure_future(self._serve(method, path, body))
        self.serving.add(task)
        task.add_done_callback(self._served)
        return await asyncio.shield(task)

    def _served(self, task):
        self.serving.discard(task)
        if not task.cancelled():
            task.exception()

    async def _serve(self, method, path, body):
        await self._delay()
        if self.down:
            raise Dead
        answered = self._do(method, path.strip("/").split("/")[1:], body or {})
        await self._delay()
        if self.down or (self.cuts_an_answer and method != "GET"):
            self.cuts_an_answer = False
            raise Dead
        return answered

    def _do(self, method, segments, body):
        of = resource(segments[0])
        if method == "POST" and len(segments) == 1:
            many = body.get(of.plural)
            wanted = many or [body[of.name]]
            if any("network_id" in o and Key("network", o["network_id"]) not in self.objects for o in wanted):
                return 404, {}
            made = [self._create(of, o) for o in wanted]
            return 201, deepcopy({of.plural: made} if many else {of.name: made[0]})
        if method == "GET" and len(segments) == 1:
            if of.name == "security_group":
                self._default_group()
            return 200, {of.plural: list(deepcopy(self._of(of.name)).values())}
        held = self.objects.get(Key(of.name, segments[1]))
        if held is None:
            return 404, {}
        if method == "GET":
            return 200, {of.name: deepcopy(held)}
        if method == "PUT":
            if segments[2:]:
                return self._interface(segments[2], held, body)
            held |= body[of.name]
            self._touch(held)
            return 200, {of.name: deepcopy(held)}
        return self._delete(of, held)

    def _create(self, of, fields):
        if of.name in {"network", "port"}:
            self._default_group()
        self._number += 1
        made = {"id": f"{self.name}-{self._number:06}", "project_id": PROJECT, "revision_number": 0, **fields}
        self.objects[Key(of.name, made["id"])] = made
        self._touch(made)
        if of.name == "security_group":
            for direction in ("egress", "ingress"):
                rule = {"security_group_id": made["id"], "direction": direction}
                self._create(resource("security_group_rule"), rule)
        if of.name == "security_group_rule":
            self._touch(self.objects[Key("security_group", made["security_group_id"])])
        return made

    def _touch(self, held):
        held["revision_number"] += 1
        held["updated_at"] = f"{self._world.clock.time():.0f}"

    def _default_group(self):
        groups = self._of("security_group").values()
        if not any(g["name"] == "default" and g["project_id"] == PROJECT for g in groups):
            self._create(resource("security_group"), {"name": "default"})

    def _interface(self, verb, router, body):
        if verb == "add_router_interface":
            fields = {"network_id": "n", "device_id": router["id"], "device_owner": "network:router_interface"}
            port = self._create(resource("port"), fields)
            self._touch(router)
            return 200, {"id": router["id"], "port_id": port["id"]}
        port = self.objects.pop(Key("port", body["port_id"]), None)
        if port is None:
            return 404, {}
        self._touch(router)
        return 200, {"id": router["id"], "port_id": port["id"]}

    def _delete(self, of, held):
        in_use = [o for o in self._of("port").values() if held["id"] in {o.get("device_id"), o["network_id"]}]
        if any(o.get("device_owner") != "network:dhcp" for o in in_use):
            return 409, {}
        below = [Key("port", o["id"]) for o in in_use]
        for name, field in (("subnet", "network_id"), ("security_group_rule", "security_group_id")):
            below += [Key(name, i) for i, o in self._of(name).items() if o[field] == held["id"]]
        for key in [*below, Key(of.name, held["id"])]:
            del self.objects[key]
        return 204, None

    # -- for the engine --------------------------------------------------------------------------------------

    def _of(self, name):
        return {k.id: o for k, o in self.objects.items() if k.resource == name}

    async def _answer(self, choose):
        await self._delay()
        if self.down:
            raise CloudUnreachable(f"{self.name} does not answer")
        chosen = deepcopy(choose())
        await self._delay()
        return chosen

    async def pages(self, of, page_size):
        marker = ""
        while True:
            page = await self._answer(
                lambda: [o for i, o in sorted(self._of(of.name).items()) if i > marker][:page_size]  # noqa: B023
            )
            if page:
                yield page
            if len(page) < page_size:
                return
            marker = page[-1]["id"]

    async def read(self, of, ids):
        wanted = list(ids)
        return await self._answer(lambda: {i: o for i, o in self._of(of.name).items() if i in wanted})

    async def find(self, of, field, values):
        wanted = set(values)
        return await self._answer(lambda: {i: o for i, o in self._of(of.name).items() if o.get(field) in wanted})

    async def apply(self, changes):
        """One after the other, so it may fail in between; as Neutron does it, filling in what it computes."""
        await self._delay()
        for change in changes:
            if self.down:
                raise CloudUnreachable(f"{self.name} does not answer")
            self._apply(change)
            await self._delay(0.01)
        await self._delay()
        return []

    def _apply(self, change):
        if change.new is None:
            self.objects.pop(change.key, None)
        elif self.keeps_everything:
            self.objects[change.key] = deepcopy(change.new)
        else:
            held = self.objects.setdefault(change.key, {"revision_number": 0})
            held |= {k: v for k, v in change.new.items() if k not in {"revision_number", "updated_at"}}
            self._touch(held)

    async def close(self):
        pass

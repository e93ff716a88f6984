"""Users, and what they may expect of their acknowledged writes."""

from alcor_migrate.side import Key
from alcor_model import resource
from tests.simulation.cloud import Dead


class Write:
    """One write of a user to one object: `name` is what it set (None: deleted it)."""

    def __init__(self, name, at):
        self.name = name
        self.began = at
        self.ended = None
        """When it was acknowledged; None while it was not."""


class Users:
    """Write through the gateway, and keep their own record, which knows nothing of the migration."""

    def __init__(self, world):
        self.broken = []
        """Promises that were not kept, in words."""
        self.acknowledged = 0
        self._world = world
        self._writes = {}
        self._below = {}
        self._number = 0

    def known(self, *resources):
        """The ids of what was created, deleted or not."""
        return [key for key in self._writes if key.resource in resources]

    def meet(self, of, held):
        """From now on this object is expected to be there."""
        key, write = Key(of.name, held["id"]), Write(held["name"], 0.0)
        write.ended = self._now()
        self._writes[key] = [write]
        if (above := held.get("network_id")) and of.name == "subnet":
            network = Key("network", above)
            self._below.setdefault(network, []).append(key)
            # Its network may have been deleted, with it, before its own answer was here.
            self._writes[key] += [w for w in self._writes.get(network, []) if w.name is None]

    async def create(self, name, many=1, **fields):
        """Create objects of a resource, then read one of them back."""
        of = resource(name)
        wanted = [{"name": self._token(), **fields} for _ in range(many)]
        body = {of.name: wanted[0]} if many == 1 else {of.plural: wanted}
        status, answer = await self._ask("POST", f"/v2.0/{of.collection}", body)
        if status != 201:
            return
        made = [answer[of.name]] if many == 1 else answer[of.plural]
        for held in made:
            self.meet(of, held)
        await self._read_back(of, Key(of.name, made[0]["id"]))

    async def rename(self, key):
        """Change an object."""
        of, write = resource(key.resource), Write(self._token(), self._now())
        self._writes[key].append(write)
        status, _ = await self._ask("PUT", f"/v2.0/{of.collection}/{key.id}", {of.name: {"name": write.name}})
        self._note(key, write, status)
        if write.ended is not None:
            await self._read_back_name(of, key)

    async def delete(self, key):
        """Delete an object, and with it what Neutron deletes with it."""
        of, write = resource(key.resource), Write(None, self._now())
        for one in [key, *self._below.get(key, [])]:
            self._writes[one].append(write)
        status, _ = await self._ask("DELETE", f"/v2.0/{of.collection}/{key.id}")
        self._note(key, write, status)
        if status in {404, 409}:
            for one in self._below.get(key, []):
                self._writes[one] = [w for w in self._writes[one] if w is not write]
        if write.ended is not None:
            status, answer = await self._ask("GET", f"/v2.0/{of.collection}/{key.id}")
            if status == 200:
                self.broken.append(f"{key} was deleted, then read: {answer}")

    async def plug(self, key):
        """Plug a network into a router; the port that appears is not named in a list of ports."""
        status, answer = await self._ask("PUT", f"/v2.0/routers/{key.id}/add_router_interface", {"subnet_id": "s"})
        if status == 200:
            write = Write(None, 0.0)
            write.name, write.ended = "", self._now()
            self._writes[Key("port", answer["port_id"])] = [write]

    async def list_groups(self):
        """A read that may write."""
        await self._ask("GET", "/v2.0/security-groups")

    async def _read_back(self, of, key):
        status, answer = await self._ask("GET", f"/v2.0/{of.collection}/{key.id}")
        if len(self._writes[key]) == 1 and status != 200 and status is not None:
            self.broken.append(f"{key} was acknowledged, then read: {status} {answer}")

    async def _read_back_name(self, of, key):
        """What was acknowledged before is read, or what somebody else has written since."""
        writes, now = self._writes[key], self._now()
        before = _possible(writes)
        status, answer = await self._ask("GET", f"/v2.0/{of.collection}/{key.id}")
        possible = before | {w.name for w in writes if w.began >= now}
        if status == 200 and answer[of.name].get("name", "") not in possible:
            self.broken.append(f"{key} was renamed, then read: {answer}, not one of {possible}")

    async def _ask(self, method, path, body=None):
        try:
            answered = await self._world.engine.gateway.request(method, path, body)
        except Dead:
            return None, None
        if answered[0] < 300 and method != "GET":
            self.acknowledged += 1
        return answered

    def _note(self, key, write, status):
        if status is not None and status < 300:
            write.ended = self._now()
        elif status in {404, 409}:
            self._writes[key].remove(write)

    def judge(self, side):
        """What was acknowledged and is not there, and what was deleted and is."""
        for key, writes in self._writes.items():
            held = side.objects.get(key)
            if any(w.name is None and w.ended is not None for w in writes):
                if held is not None:
                    self.broken.append(f"{key} was deleted and is there again")
            elif held is None:
                if all(w.name is not None for w in writes):
                    self.broken.append(f"{key} was acknowledged and is lost")
            elif held.get("name", "") not in (possible := _possible(writes)):
                self.broken.append(f"{key} is named {held.get('name')!r}, not one of {possible}")

    def _token(self):
        self._number += 1
        return f"name-{self._number}"

    def _now(self):
        return self._world.clock.monotonic()


def _possible(writes):
    """The names that an object may have: of every write that no acknowledged one came wholly after."""
    done = [w for w in writes if w.ended is not None]
    return {
        w.name
        for w in writes
        if w.ended is None or not any(later.began > w.ended for later in done if later is not w)
    }

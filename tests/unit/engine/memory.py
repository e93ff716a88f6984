"""A side in memory, and a journal that is written as the gateway writes it."""

import json
import time
from copy import deepcopy

from alcor_migrate.errors import CloudUnreachable
from alcor_migrate.journal import Intent, Outcome
from alcor_migrate.side import Key, Rejection


class MemorySide:
    """Holds objects in Neutron's form. `refuses` are ids it will not take; `down` makes it unreachable."""

    def __init__(self, name):
        self.name = name
        self.objects = {}
        self.keeps_everything = True
        self.refuses = set()
        self.down = False
        self.applied = []
        self.after_page = None

    def put(self, resource, **fields):
        self.objects[Key(resource, fields["id"])] = fields
        return fields

    def drop(self, resource, object_id):
        del self.objects[Key(resource, object_id)]

    def _of(self, resource):
        if self.down:
            raise CloudUnreachable(f"{self.name} does not answer")
        return {k.id: deepcopy(v) for k, v in self.objects.items() if k.resource == resource}

    async def pages(self, of, page_size):
        marker = ""
        while True:
            page = [o for i, o in sorted(self._of(of.name).items()) if i > marker][:page_size]
            if page:
                if self.after_page:
                    await self.after_page(of, page)
                yield page
            if len(page) < page_size:
                return
            marker = page[-1]["id"]

    async def read(self, of, ids):
        held = self._of(of.name)
        return {i: held[i] for i in ids if i in held}

    async def find(self, of, field, values):
        return {i: o for i, o in self._of(of.name).items() if o.get(field) in set(values)}

    async def apply(self, changes):
        if self.down:
            raise CloudUnreachable(f"{self.name} does not answer")
        rejected = []
        for change in changes:
            if change.id in self.refuses:
                rejected.append(Rejection(change.key, "it is refused"))
            elif change.new is None:
                self.objects.pop(change.key, None)
            else:
                self.objects[change.key] = deepcopy(change.new)
            self.applied.append(change.key)
        return rejected

    async def close(self):
        pass


class Writes:
    """Journals writes the way the gateway does."""

    def __init__(self, journal):
        self.journal = journal

    async def begin(self, method, path, side="source"):
        """The number of a write that is in flight from now on."""
        intent = Intent(method=method, path=path, request_id="req-1", started_at=time.time(), side=side)
        return await self.journal.intent(intent)

    async def record(self, method, path, answer=None, status=None, side="source", **outcome):
        seq = await self.begin(method, path, side)
        body = json.dumps(answer).encode() if answer is not None else b""
        if status is None:
            status = {"POST": 201, "DELETE": 204}.get(method, 200)
        return await self.journal.outcome(seq, Outcome(status=status, body=body, finished_at=time.time(), **outcome))

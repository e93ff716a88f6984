"""The bundled Alcor as a side: batch creations over its native API, exact listings back.

Native batches (`POST …/bulk`) give all parameters, are atomic and idempotent by id, and have no side effects,
so applying the same change twice is harmless. Conversion to and from Alcor's form happens here only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.errors import CloudError, CloudRefused
from alcor_migrate.side import Change, Fingerprint, Key, Rejection
from alcor_migrate.target.nodes import node
from alcor_model import RESOURCES, Resource, delete_order, load_order, to_alcor, to_neutron
from alcor_model.errors import MalformedObject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from alcor_migrate.cloud import Cloud
    from alcor_migrate.http import JsonClient
    from alcor_model.fields import Json

_VALUES_PER_READ = 100
_OBJECTS_PER_BATCH = 1000
_BAD = 400
_NOT_FOUND = 404
_SERVER_ERROR = 500


class AlcorSide:
    """Alcor at the address of `client`, used with the project of our administrator."""

    name = "target"
    keeps_everything = True

    def __init__(self, client: JsonClient, cloud: Cloud) -> None:
        self._client = client
        self._cloud = cloud

    async def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything there is of a resource, in pages, ordered by id."""
        path = await self._path(of)
        marker: list[tuple[str, str]] = []
        while True:
            page = await self._page(of, path, [("limit", str(page_size)), *marker])
            if page:
                yield page
            if len(page) < page_size:
                return
            marker = [("marker", page[-1]["id"])]

    async def bucket(self, of: Resource, prefix: str, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """The objects whose ids begin so, in pages; ids sort behind what they begin with."""
        path, marker = await self._path(of), prefix
        while True:
            page = await self._page(of, path, [("limit", str(page_size)), ("marker", marker)])
            inside = [o for o in page if o["id"].startswith(prefix)]
            if inside:
                yield inside
            if len(inside) < page_size:
                return
            marker = page[-1]["id"]

    async def fingerprints(self, of: Resource, length: int) -> dict[str, Fingerprint]:
        """By the first characters of the ids: number and hashes of what is stored, computed where it is stored."""
        answer = await self._client.get(f"{await self._path(of)}/digests", [("length", str(length))])
        return {bucket: Fingerprint(*found) for bucket, found in answer["digests"].items()}

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids; those that do not exist are not in the answer."""
        return await self.find(of, "id", ids)

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field (of Neutron's form) has one of these values; the controller must look it up."""
        path = await self._path(of)
        wanted = list(values)
        found: dict[str, Json] = {}
        for start in range(0, len(wanted), _VALUES_PER_READ):
            some = wanted[start : start + _VALUES_PER_READ]
            found.update({o["id"]: o for o in await self._page(of, path, [(field, value) for value in some])})
        return found

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Delete what is gone, then batch-create what is there, each in dependency order."""
        rejected: list[Rejection] = []
        gone: dict[str, list[str]] = {}
        there: dict[str, list[Json]] = {}
        for change in changes:
            if change.new is None:
                if change.old is not None:
                    gone.setdefault(change.of.name, []).append(change.id)
                continue
            try:
                there.setdefault(change.of.name, []).append(to_alcor(change.of, change.new))
            except MalformedObject as error:
                rejected.append(Rejection(change.key, error.message))
        await self._register(changes)
        for of in delete_order():
            ids = gone.get(of.name, [])
            for start in range(0, len(ids), _OBJECTS_PER_BATCH):
                await self._delete(of, ids[start : start + _OBJECTS_PER_BATCH])
        for of in load_order():
            objects = there.get(of.name, [])
            for start in range(0, len(objects), _OBJECTS_PER_BATCH):
                rejected += await self._create(of, objects[start : start + _OBJECTS_PER_BATCH])
        return rejected

    async def _register(self, changes: Sequence[Change]) -> None:
        """Keep the nodes level with the agents that tell of them."""
        agents = [c for c in changes if c.of.name == "agent"]
        there = [found for c in agents if c.new is not None and (found := node(c.new))]
        if there:
            status, answer = await self._client.request("POST", "/nodes/bulk", {"host_infos": there})
            if status >= _BAD:
                raise CloudRefused("Alcor (POST /nodes/bulk)", status, str(answer))
        for change in agents:
            if change.new is None and node(change.old or {}):
                status, answer = await self._client.request("DELETE", f"/nodes/{change.id}")
                if status >= _BAD and status != _NOT_FOUND:
                    raise CloudRefused(f"Alcor (DELETE /nodes/{change.id})", status, str(answer))

    async def counts(self) -> dict[str, int]:
        """How many objects of each resource the target holds, by the resource's name."""
        answer = await self._client.get("/alcor/v1/status")
        held = answer["resources"]
        return {of.name: int(held.get(of.alcor_plural, 0)) for of in RESOURCES}

    async def answers(self) -> bool:
        """Whether it answers."""
        try:
            await self.counts()
        except CloudError:
            return False
        return True

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _path(self, of: Resource) -> str:
        return f"/project/{await self._cloud.project_id()}/{of.alcor_collection}"

    async def _page(self, of: Resource, path: str, params: list[tuple[str, str]]) -> list[Json]:
        answer = await self._client.get(path, [("render", "exact"), *params])
        return [to_neutron(of, o) for o in answer[of.alcor_plural]]

    async def _create(self, of: Resource, objects: list[Json]) -> list[Rejection]:
        """Create a batch; when it is refused, halve it until the object that is to blame stands alone."""
        path = f"{await self._path(of)}/bulk"
        status, body = await self._client.request("POST", path, {of.alcor_plural: objects})
        if status < _BAD:
            return []
        refused = CloudRefused(f"Alcor (POST {path})", status, str(body))
        if status >= _SERVER_ERROR or status in {401, 403}:
            raise refused
        if len(objects) == 1:
            return [Rejection(Key(of.name, objects[0]["id"]), refused.message)]
        middle = len(objects) // 2
        return await self._create(of, objects[:middle]) + await self._create(of, objects[middle:])

    async def _delete(self, of: Resource, ids: list[str]) -> None:
        path = f"{await self._path(of)}/bulk"
        status, body = await self._client.request("DELETE", path, {"ids": ids})
        if status >= _BAD:
            raise CloudRefused(f"Alcor (DELETE {path})", status, str(body or ""))

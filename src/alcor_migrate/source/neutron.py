"""Neutron's API as a side.

Every declared resource is read that this Neutron offers (its extension is loaded); what is only listed below
another resource is read through that one (`nested`).

Reading never writes: an unfiltered list of security groups makes Neutron create the `default` group of the
caller's own project, so where ours has none the lists are filtered by the projects that there are (`scopes`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alcor_migrate.errors import CloudRefused
from alcor_migrate.source.form import identified
from alcor_migrate.source.nested import Below
from alcor_migrate.source.scopes import Scopes
from alcor_migrate.source.writer import NeutronWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from alcor_migrate.cloud import Cloud
    from alcor_migrate.http import JsonClient, Params
    from alcor_migrate.side import Change, Rejection
    from alcor_model import Resource
    from alcor_model.fields import Json

_VALUES_PER_READ = 100
_BAD_REQUEST = 400
_NOT_FOUND = 404
_UNPAGED = {"rbac_policy", "bgp_peer", "bgp_speaker", "endpoint_group"}
"""Listing these in the order of their ids is refused (400), and by themselves they come in several orders."""


class NeutronSide:
    """Neutron at the address of `client`, with an administrator's rights."""

    name = "source"
    keeps_everything = False

    def __init__(self, client: JsonClient, cloud: Cloud) -> None:
        self._client = client
        self._writer = NeutronWriter(client)
        self._scopes = Scopes(client, cloud)
        self._below = Below(client, self._walk)
        self._loaded: set[str] | None = None

    async def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything there is of a resource, in pages, each object once; nothing where it is not offered.

        Nothing is read ahead: each page is asked for when it is waited for, and not before.
        """
        if not await self.offers(of):
            return
        async for page in self._below.pages(of, page_size) if of.nested else self._walk(of, page_size):
            yield page

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids; those that do not exist are not in the answer."""
        return await self.find(of, "id", ids)

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field has one of these values."""
        wanted = set(values)
        if not wanted or not await self.offers(of):
            return {}
        if of.nested:
            return await self._below.find(of, field, wanted)
        # An id that we have joined ourselves is nothing that Neutron could be asked for.
        ours = field == "id" and of.identity != ("id",)
        found = None if ours else await self._filtered(of, field, sorted(wanted))
        if found is None:
            found = [o async for page in self._walk(of, _VALUES_PER_READ) for o in page]
        return {o["id"]: o for o in found if o.get(field) in wanted}

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Make Neutron hold what the changes say; needs the id extension for what is to be created."""
        return await self._writer.apply(changes)

    async def extensions(self) -> set[str]:
        """The aliases of the API extensions that this Neutron has loaded."""
        answer = await self._client.get("/v2.0/extensions")
        self._loaded = {e["alias"] for e in answer["extensions"]}
        return self._loaded

    async def offers(self, of: Resource) -> bool:
        """Whether this Neutron has the resource, and can be asked for it without writing."""
        if not of.listed:
            return False
        return not of.alias or of.alias in (self._loaded or await self.extensions())

    async def estimate(self, projects: Iterable[str]) -> dict[str, int]:
        """About how many objects there are, by list key, counted by the projects' quotas; {} when they say nothing.

        Objects without a project, such as routers' gateway ports, are not counted.
        """
        totals: dict[str, int] = {}
        for project in projects:
            try:
                answer = await self._client.get(f"/v2.0/quotas/{project}/details.json")
            except CloudRefused:
                return {}
            for name, detail in answer["quota"].items():
                totals[f"{name}s"] = totals.get(f"{name}s", 0) + int(detail["used"])
        return totals

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def _walk(self, of: Resource, size: int, fields: Sequence[str] = ()) -> AsyncIterator[list[Json]]:
        """The pages of a resource that is listed by itself; with `fields` only those.

        A marker that is deleted between two pages makes Neutron answer 404, or start again from the beginning:
        the object before it then serves as the way back in, and what was given already is not given again.
        """
        only = [("fields", name) for name in fields]
        if of.name in _UNPAGED or of.identity != ("id",):
            found = await self._list(of, only)
            for start in range(0, len(found), size):
                yield found[start : start + size]
            return
        given: set[str] = set()
        for scope in await self._scopes.of(of):
            markers: list[str] = []
            while True:
                marker = markers[-1] if markers else None
                page = await self._page(of, [*scope, *only], size, marker)
                ids = [o["id"] for o in page or () if o["id"]]
                if page is None or (marker and ids and ids[0] <= marker):
                    markers.pop()
                    continue
                fresh = [o for o in page if o["id"] not in given]
                if fresh:
                    self._scopes.meet(fresh)
                    yield fresh
                if len(page) < size or not ids:
                    break
                given.update(ids)
                markers = ids

    async def _page(self, of: Resource, scope: Params, size: int, marker: str | None) -> list[Json] | None:
        params = [*scope, ("limit", str(size)), ("sort_key", "id"), ("sort_dir", "asc")]
        if marker:
            params.append(("marker", marker))
        try:
            return await self._list(of, params)
        except CloudRefused as error:
            if error.status == _NOT_FOUND and marker:
                return None
            raise

    async def _filtered(self, of: Resource, field: str, values: Sequence[str]) -> list[Json] | None:
        """What Neutron lists by a filter; None when this Neutron cannot filter by the field."""
        scopes = await self._scopes.of(of)
        chunks = [values[i : i + _VALUES_PER_READ] for i in range(0, len(values), _VALUES_PER_READ)]
        asked = [[*scope, *((field, value) for value in chunk)] for chunk in chunks for scope in scopes]
        try:
            answers = await asyncio.gather(*(self._list(of, params) for params in asked))
        except CloudRefused as error:
            if error.status == _BAD_REQUEST and "filter" in error.body:
                return None
            raise
        found = [o for answer in answers for o in answer]
        self._scopes.meet(found)
        return found

    async def _list(self, of: Resource, params: Params) -> list[Json]:
        answer = await self._client.get(f"/v2.0/{of.collection}", params)
        return [identified(of, o) for o in answer[of.plural]]

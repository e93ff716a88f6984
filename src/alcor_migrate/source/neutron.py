"""Neutron's API as a side.

Reading never writes: an unfiltered list of security groups makes Neutron create the `default` group of the
caller's own project, so where ours has none the lists are filtered by the projects that there are.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alcor_migrate.errors import CloudRefused
from alcor_migrate.source.writer import NeutronWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from alcor_migrate.cloud import Cloud
    from alcor_migrate.http import JsonClient
    from alcor_migrate.side import Change, Rejection
    from alcor_model import Resource
    from alcor_model.fields import Json

Params = list[tuple[str, str]]

_VALUES_PER_READ = 100
_PROJECTS_PER_READ = 80
_NOT_FOUND = 404
_LISTING_WRITES = {"security_group", "security_group_rule"}
"""Listing these creates the `default` group of a project (neutron/db/securitygroups_db.py, release 29)."""


class NeutronSide:
    """Neutron at the address of `client`, with an administrator's rights."""

    name = "source"
    keeps_everything = False

    def __init__(self, client: JsonClient, cloud: Cloud) -> None:
        self._client = client
        self._cloud = cloud
        self._writer = NeutronWriter(client)
        self._projects_met: set[str] = set()
        self._listing_is_harmless = False

    async def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything there is of a resource, in pages, each object once.

        A marker that is deleted between two pages makes Neutron answer 404, or start again from the beginning:
        the object before it then serves as the way back in, and what was given already is not given again.
        """
        given: set[str] = set()
        for scope in await self._scopes(of):
            markers: list[str] = []
            while True:
                marker = markers[-1] if markers else None
                page = await self._page(of, scope, page_size, marker)
                if page is None or (marker and page and page[0]["id"] <= marker):
                    markers.pop()
                    continue
                fresh = [o for o in page if o["id"] not in given]
                if fresh:
                    self._meet(fresh)
                    yield fresh
                if len(page) < page_size:
                    break
                given.update(o["id"] for o in fresh)
                markers = [o["id"] for o in page]

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids; those that do not exist are not in the answer."""
        return await self.find(of, "id", ids)

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field has one of these values."""
        wanted = list(values)
        chunks = [wanted[i : i + _VALUES_PER_READ] for i in range(0, len(wanted), _VALUES_PER_READ)]
        answers = await asyncio.gather(*(self._get(of, [(field, v) for v in chunk]) for chunk in chunks))
        return {o["id"]: o for answer in answers for o in answer}

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Make Neutron hold what the changes say; needs the id extension for what is to be created."""
        return await self._writer.apply(changes)

    async def extensions(self) -> set[str]:
        """The aliases of the API extensions that this Neutron has loaded."""
        answer = await self._client.get("/v2.0/extensions")
        return {e["alias"] for e in answer["extensions"]}

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

    async def _page(self, of: Resource, scope: Params, size: int, marker: str | None) -> list[Json] | None:
        params = [*scope, ("limit", str(size)), ("sort_key", "id"), ("sort_dir", "asc")]
        if marker:
            params.append(("marker", marker))
        try:
            answer = await self._client.get(f"/v2.0/{of.collection}", params)
        except CloudRefused as error:
            if error.status == _NOT_FOUND and marker:
                return None
            raise
        page: list[Json] = answer[of.plural]
        return page

    async def _get(self, of: Resource, params: Params) -> list[Json]:
        found: list[Json] = []
        for scope in await self._scopes(of):
            answer = await self._client.get(f"/v2.0/{of.collection}", [*scope, *params])
            found += answer[of.plural]
        self._meet(found)
        return found

    def _meet(self, objects: Iterable[Json]) -> None:
        self._projects_met.update(p for o in objects if (p := o.get("project_id")))

    async def _scopes(self, of: Resource) -> list[Params]:
        """The filters under which a resource is listed, so that listing it writes nothing."""
        if of.name not in _LISTING_WRITES or self._listing_is_harmless:
            return [[]]
        if await self._owns_groups(await self._cloud.project_id()):
            self._listing_is_harmless = True
            return [[]]
        await self._meet_network_owners()
        candidates = sorted(self._projects_met | (await self._cloud.projects()).keys())
        # Neutron makes the missing group of the first project that the filter names: let it have one already.
        first = None
        for project in candidates:
            if await self._owns_groups(project):
                first = project
                break
        if first is None:
            return []
        others = [p for p in candidates if p != first]
        chunks = [others[i : i + _PROJECTS_PER_READ] for i in range(0, len(others), _PROJECTS_PER_READ)] or [[]]
        return [[("project_id", p) for p in [first, *chunk]] for chunk in chunks]

    async def _meet_network_owners(self) -> None:
        answer = await self._client.get("/v2.0/networks", [("fields", "project_id")])
        self._meet(answer["networks"])

    async def _owns_groups(self, project: str) -> bool:
        """Whether a project has security groups, counted by its quota, which reads without writing."""
        answer = await self._client.get(f"/v2.0/quotas/{project}/details.json")
        return int(answer["quota"]["security_group"]["used"]) > 0

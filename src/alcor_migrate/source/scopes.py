"""How security groups are listed without making any.

An unfiltered list of security groups, or of their rules, makes Neutron create the `default` group of the caller's own
project (neutron/db/securitygroups_db.py, release 29); a filter by projects that of the first project it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alcor_migrate.cloud import Cloud
    from alcor_migrate.http import JsonClient, Params
    from alcor_model import Resource
    from alcor_model.fields import Json

_PROJECTS_PER_READ = 80
_LISTING_WRITES = {"security_group", "security_group_rule"}


class Scopes:
    """The filters under which resources are listed; remembers which projects there are."""

    def __init__(self, client: JsonClient, cloud: Cloud) -> None:
        self._client = client
        self._cloud = cloud
        self._projects_met: set[str] = set()
        self._harmless = False

    def meet(self, objects: Iterable[Json]) -> None:
        """Remember the projects of objects."""
        self._projects_met.update(p for o in objects if (p := o.get("project_id")))

    async def of(self, of: Resource) -> list[Params]:
        """The filters under which a resource is listed, so that listing it writes nothing."""
        if of.name not in _LISTING_WRITES or self._harmless:
            return [[]]
        if await self._owns_groups(await self._cloud.project_id()):
            self._harmless = True
            return [[]]
        answer = await self._client.get("/v2.0/networks", [("fields", "project_id")])
        self.meet(answer["networks"])
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

    async def _owns_groups(self, project: str) -> bool:
        """Whether a project has security groups, counted by its quota, which reads without writing."""
        answer = await self._client.get(f"/v2.0/quotas/{project}/details.json")
        return int(answer["quota"]["security_group"]["used"]) > 0

"""What a migration is connected to: the cloud, its two sides, and the gateway. Tests put others in their place."""

from __future__ import annotations

import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from alcor_migrate.assess import gate as assess_gate
from alcor_migrate.assess.accepted import AcceptedGaps
from alcor_migrate.cloud import Cloud
from alcor_migrate.engine.shadow import HttpAsker
from alcor_migrate.errors import TargetNotEmpty
from alcor_migrate.gateway import configured, open_gateway
from alcor_migrate.http import JsonClient
from alcor_migrate.side import listed
from alcor_migrate.source import NeutronSide, open_source
from alcor_migrate.target import AlcorSide
from alcor_migrate.target.begun import Begun
from alcor_migrate.target.narrowed import NarrowedSource, NarrowedTarget
from alcor_migrate.target.narrowing import Told
from alcor_migrate.target.upstream import UpstreamSide
from alcor_model import resource

if TYPE_CHECKING:
    from alcor_migrate.engine.shadow import Asker
    from alcor_migrate.gateway import ApiGateway, Route
    from alcor_migrate.journal import Journal
    from alcor_migrate.settings import Settings
    from alcor_migrate.side import Side
    from alcor_migrate.target import Target

ID_EXTENSION = "alcor-ids"
"""The alias of the Neutron API extension that lets ids be given, without which nothing created can be given back."""


_UPSTREAM_PATIENCE = 330.0
"""Seconds for one answer of upstream's: it waits 300 for the agent of a host that is dead."""


class Surroundings:
    """The real ones, as the configuration names them. Nothing is asked before it is needed."""

    def __init__(self, settings: Settings) -> None:
        """Read clouds.yaml. Raises CloudNotFound."""
        self._settings = settings
        self._cloud = Cloud(settings.source.cloud)
        self._client = JsonClient("Neutron", settings.source.url, self._cloud)
        self._neutron = NeutronSide(self._client, self._cloud)
        self._source = open_source(self._neutron, self._cloud, settings.source)
        self._told = Told()
        self._shown: Side = self._source
        self._target: Target
        if settings.target.kind == "upstream":
            accepted = AcceptedGaps(Path(settings.answers))
            self._shown = NarrowedSource(self._source, self._told, accepted, self._cloud.project_id)
            client = JsonClient("Alcor", settings.target.url, self._cloud, patience=_UPSTREAM_PATIENCE)
            begun = Begun(Path(settings.state_dir) / "upstream-begun.json")
            self._target = NarrowedTarget(UpstreamSide(client, self._cloud, begun), self._told)
        else:
            self._target = AlcorSide(JsonClient("Alcor", settings.target.url, self._cloud), self._cloud)

    @property
    def source(self) -> Side:
        """Neutron: its API, read in bulk through its database where that is configured; as the target can hold it."""
        return self._shown

    @property
    def target(self) -> Side:
        """Alcor."""
        return self._target

    @property
    def set_aside(self) -> dict[str, int]:
        """How many objects are not given to the target, because that was accepted, by rule."""
        return self._told.counts()

    async def check(self) -> bool:
        """Ask each side a question, so that a wrong address is told before anything begins.

        Answers whether Neutron can be given ids. Raises CloudError; TargetNotEmpty when something is there already;
        GateClosed when `assess` finds what has to be answered, and is not.
        """
        assess_gate.refuse_to_guess(self._settings)
        await self._cloud.token()
        given = await self.ids_can_be_given()
        async with aclosing(listed(self._source, resource("network"), 1)) as pages:
            await anext(pages, None)
        if not isinstance(self._source, NeutronSide):
            await self._source.prove()
        held = {name: count for name, count in (await self._target.counts()).items() if count}
        if held:
            what = ", ".join(f"{count} {name}" for name, count in held.items())
            raise TargetNotEmpty(f"the target at {self._settings.target.url} is not empty: it holds {what}")
        await assess_gate.check(self._settings, self._cloud)
        return given

    async def ids_can_be_given(self) -> bool:
        """Whether Neutron has loaded the extension of ids. Raises CloudError."""
        return ID_EXTENSION in await self._neutron.extensions()

    async def target_answers(self) -> bool:
        """Whether Alcor answers."""
        return await self._target.answers()

    async def probe(self) -> float:
        """Ask Neutron for one network's id, always the same small question; answers how long that took."""
        began = time.monotonic()
        await self._client.request("GET", "/v2.0/networks", params=[("limit", "1"), ("fields", "id")])
        return time.monotonic() - began

    async def estimate(self) -> dict[str, int]:
        """About how many objects there are on the source, by list key; {} when nobody can say."""
        return await self._source.estimate(await self._cloud.projects())

    def gateway(self, journal: Journal, route: Route) -> ApiGateway:
        """The gateway, not started yet."""
        return open_gateway(
            configured(self._settings),
            journal,
            self._cloud.identify,
            route,
        )

    async def move_catalogue(self) -> list[str]:
        """Let the catalogue's endpoints of the network service point to the target; answers those that were moved."""
        moved = []
        for endpoint in await self._cloud.network_endpoints():
            await self._cloud.move_endpoint(endpoint["id"], self._settings.target.urls[0])
            moved.append(f"{endpoint['interface']} {endpoint['url']}")
        return moved

    def asker(self) -> Asker:
        """Asks either side as a user does."""
        return HttpAsker({"source": self._settings.source.urls[0], "target": self._settings.target.urls[0]})

    async def agents(self) -> list[dict[str, object]]:
        """Neutron's agents, as it lists them. Raises CloudError."""
        answer = await self._client.get("/v2.0/agents")
        agents: list[dict[str, object]] = answer["agents"]
        return agents

    async def close(self) -> None:
        """Let go of connections."""
        await self._source.close()
        await self._target.close()

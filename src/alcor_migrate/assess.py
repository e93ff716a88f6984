"""What there is in a cloud, what will move, and what cannot: told before anything is changed.

Reads the source and asks the target whether it is empty; writes to neither.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from alcor_migrate.cloud import Cloud
from alcor_migrate.engine.conductor import ID_EXTENSION
from alcor_migrate.errors import CloudRefused
from alcor_migrate.http import JsonClient
from alcor_migrate.source import NeutronSide
from alcor_migrate.target import AlcorSide
from alcor_model import load_order, to_alcor
from alcor_model.errors import MalformedObject

if TYPE_CHECKING:
    from alcor_migrate.settings import Settings

_UNMAPPED = {
    "subnetpools": "subnet pools",
    "address-scopes": "address scopes",
    "address-groups": "address groups",
    "trunks": "trunks",
    "qos/policies": "QoS policies",
    "metering/metering-labels": "metering labels",
    "flavors": "router flavors",
    "network_segment_ranges": "network segment ranges",
    "local_ips": "local IPs",
    "ndp_proxies": "NDP proxies",
}
"""Resources of Neutron that are not mapped yet, by their collection, in plain words."""

_NOT_FOUND = 404


class Count(msgspec.Struct, frozen=True):
    """How many objects of a resource a project has."""

    project: str
    resource: str
    objects: int


class Gap(msgspec.Struct, frozen=True):
    """Something of the source that will not be on the target. `blocks` says that a step is refused because of it."""

    rule: str
    what: str
    objects: int
    consequence: str
    way_out: str
    blocks: str = ""


class Assessment(msgspec.Struct, frozen=True):
    """The answer of `assess`; durations are seconds."""

    cloud: str
    objects: int
    counts: list[Count]
    gaps: list[Gap]
    malformed: list[str]
    target_objects: int
    read_seconds: float
    copy_seconds: float
    """Estimated: about twice what reading took, because each page is also loaded."""
    extensions: int

    @property
    def blocked(self) -> bool:
        """Whether the run would be refused."""
        return self.target_objects > 0

    @property
    def needs_answers(self) -> bool:
        """Whether something will not move."""
        return bool(self.gaps) or bool(self.malformed)


async def assess(settings: Settings) -> Assessment:
    """Read everything once. Raises CloudError."""
    cloud = Cloud(settings.source.cloud)
    client = JsonClient("Neutron", settings.source.url, cloud)
    source = NeutronSide(client, cloud)
    target = AlcorSide(JsonClient("Alcor", settings.target.url, cloud), cloud)
    try:
        await cloud.token()
        extensions = await source.extensions()
        held = sum((await target.counts()).values())
        names = await cloud.projects()
        counts: dict[tuple[str, str], int] = {}
        malformed: list[str] = []
        started = time.monotonic()
        for of in load_order():
            async for page in source.pages(of, settings.engine.page_size):
                for found in page:
                    project = str(found.get("project_id") or "")
                    key = (names.get(project, project or "(no project)"), of.plural)
                    counts[key] = counts.get(key, 0) + 1
                    try:
                        to_alcor(of, found)
                    except MalformedObject as error:
                        malformed.append(error.message)
        seconds = time.monotonic() - started
        gaps = [gap for gap in [await _unmapped(client, c) for c in _UNMAPPED] if gap]
        gaps += await _sharing(client)
        if ID_EXTENSION not in extensions:
            gaps.append(
                Gap(
                    "no-way-back",
                    f"Neutron has not loaded the extension {ID_EXTENSION}",
                    0,
                    "after a cutover the traffic cannot be brought back with what was created since",
                    "load it (docs/neutron-extension.md), or accept that cutover is one way",
                    blocks="reverse",
                )
            )
    finally:
        await source.close()
        await target.close()
    return Assessment(
        settings.source.cloud,
        sum(counts.values()),
        [Count(project, resource, n) for (project, resource), n in sorted(counts.items())],
        gaps,
        malformed,
        held,
        seconds,
        2 * seconds,
        len(extensions),
    )


async def _unmapped(client: JsonClient, collection: str) -> Gap | None:
    try:
        answer = await client.get(f"/v2.0/{collection}")
    except CloudRefused as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    objects = next((v for v in answer.values() if isinstance(v, list)), [])
    # Neutron makes segment ranges of its own configuration; they are not the users' objects.
    objects = [o for o in objects if not o.get("default")] if collection == "network_segment_ranges" else objects
    if not objects:
        return None
    what = _UNMAPPED[collection]
    return Gap(
        f"not-mapped:{collection}",
        what,
        len(objects),
        f"{what} stay behind; what refers to them keeps its attribute, without effect",
        "delete them, or wait for a version that maps them",
    )


async def _sharing(client: JsonClient) -> list[Gap]:
    """RBAC policies that share with single projects; sharing with everybody is the network's own `shared`."""
    answer = await client.get("/v2.0/rbac-policies")
    policies = [p for p in answer["rbac_policies"] if p.get("target_project", p.get("target_tenant")) != "*"]
    if not policies:
        return []
    return [
        Gap(
            "not-mapped:rbac-policies",
            "RBAC policies for single projects",
            len(policies),
            "those projects no longer see what was shared with them",
            "share with everybody, or wait for a version that maps them",
        )
    ]

"""Reads a cloud for `assess`, once and with GET only, and has the findings decided.

Neutron is read through `NeutronSide`, so listing makes no default security groups; collections whose GET writes
(auto-allocated topologies) are never asked for. The bundled target, when its address is known, is asked for counts.
"""

from __future__ import annotations

import resource as limits
import time
from typing import TYPE_CHECKING, Any

import msgspec

from alcor_migrate.assess import answers as answers_file
from alcor_migrate.assess import decide, extensions, hosts, model
from alcor_migrate.assess.census import Census, Dangling
from alcor_migrate.assess.document import (
    Answers,
    Assessment,
    Estimate,
    Extension,
    IdExtension,
    Subject,
)
from alcor_migrate.assess.groups import Groups
from alcor_migrate.assess.rules import rules
from alcor_migrate.errors import CloudRefused
from alcor_migrate.http import JsonClient
from alcor_migrate.source import NeutronSide
from alcor_migrate.target import AlcorSide
from alcor_model import load_order
from alcor_model.fields import Target
from alcor_model.gaps import Examiner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from alcor_migrate.cloud import Cloud
    from alcor_model import Resource
    from alcor_model.fields import Json

ID_EXTENSION = "alcor-ids"
ID_EXTENSION_SINCE = "2026-11-23"
"""The date of the first version that takes times of creation; see `alcor_neutron_ids`."""

_BYTES_PER_OBJECT = 500
"""What a comparison keeps of each object of one resource: id and digest on both sides; measured about 390."""
_PAGES_IN_FLIGHT = 4
_FORBIDDEN, _NOT_FOUND = 403, 404


class Question(msgspec.Struct, frozen=True):
    """What is to be assessed."""

    cloud: Cloud
    """The source's cloud."""
    source_url: str
    """Neutron's address."""
    target: Target
    """Which Alcor."""
    target_url: str = ""
    """The bundled Alcor's address; it is not asked without one."""
    answers: Path | None = None
    """Where the answers are kept."""
    page_size: int = 500
    """Objects in one page."""


async def assess(question: Question) -> Assessment:
    """Read everything once, and judge it with the answers that there are. Raises CloudError, AnswersError."""
    file = read_answers(question)
    return (await read(question)).judge(file)


def read_answers(question: Question) -> answers_file.AnswersFile | None:
    """The answers that count for this question, checked; None without any. Raises AnswersError."""
    if question.answers is None:
        return None
    file = answers_file.read(question.answers)
    if file is not None:
        known = rules(question.target)
        answers_file.check(file, question.answers, question.cloud.name, question.target.value, known)
    return file


async def read(question: Question) -> Reading:
    """Read everything once. Raises CloudError."""
    reading = Reading(question)
    try:
        await reading.everything()
    finally:
        await reading.close()
    return reading


class Reading:
    """What was read of one cloud, which can be judged with this or that answer."""

    def __init__(self, question: Question) -> None:
        self._question = question
        cloud = question.cloud
        self._client = JsonClient("Neutron", question.source_url, cloud)
        self._source = NeutronSide(self._client, cloud)
        self._target = (
            AlcorSide(JsonClient("Alcor", question.target_url, cloud), cloud)
            if question.target_url and question.target is Target.BUNDLED
            else None
        )
        self._at = 0.0
        self._census = Census({})
        self._hosts = hosts.HostCensus()
        self._examiner = Examiner(question.target)
        self._groups = Groups()
        self._findings: list[tuple[str, Subject | None]] = []
        self._extensions: list[Json] = []
        self._counted: dict[str, int] = {}
        self._bytes = 0
        self._largest_page = 0
        self._seconds = 0.0

    async def close(self) -> None:
        """Let go of connections."""
        await self._source.close()
        if self._target is not None:
            await self._target.close()

    async def everything(self) -> None:
        """Read what there is, in load order."""
        cloud = self._question.cloud
        self._at = time.time()
        await cloud.token()
        self._extensions = (await self._client.get("/v2.0/extensions"))["extensions"]
        aliases = {str(e["alias"]) for e in self._extensions}
        await self._ask_the_target()
        self._census = Census(await cloud.projects())
        started = time.monotonic()
        for of in load_order():
            if of.listed and (not of.alias or of.alias in aliases):
                await self._read(of)
        self._seconds = time.monotonic() - started
        for alias in sorted(aliases):
            await self._read_unmapped(alias)
        for suspect in self._census.dangling():
            if await self._is_dangling(suspect):
                detail = f"{suspect.field}: {suspect.resource} {suspect.missing} does not exist"
                self._findings.append(("dangling", msgspec.structs.replace(suspect.subject, detail=detail)))

    async def _ask_the_target(self) -> None:
        self._findings += [(name, None) for name in model.notices(self._question.target)]
        if self._question.target is Target.UPSTREAM:
            self._findings.append(("target-not-for-users", None))
        if self._target is not None:
            held = {name: count for name, count in (await self._target.counts()).items() if count}
            for name, count in held.items():
                self._findings.append(("target-not-empty", Subject(name, name, detail=f"{count} objects")))

    async def _read(self, of: Resource) -> None:
        try:
            async for page in self._source.pages(of, self._question.page_size):
                size = len(msgspec.json.encode(page))
                self._bytes += size
                self._largest_page = max(self._largest_page, size)
                for found in page:
                    self._take(of, found)
        except CloudRefused as error:
            if error.status not in {_FORBIDDEN, _NOT_FOUND} or not of.alias:
                raise
            if error.status == _FORBIDDEN:
                self._findings.append(("not-readable", Subject("collection", of.collection, detail=error.message)))

    def _take(self, of: Resource, found: Json) -> None:
        if not self._census.take(of, found):
            return
        if of.name == "agent":
            self._hosts.agent(found)
        elif of.name == "port":
            self._hosts.port(found)
        elif of.name == "router":
            self._hosts.router(found)
        self._groups.take(of, found)
        try:
            for each in self._examiner.examine(of, found):
                self._findings.append((each.rule.id, self._census.subject(of, found, each.detail)))
        except (KeyError, TypeError, ValueError) as error:
            # Deep inside a list the model lets things pass that it cannot judge: told, not dropped.
            detail = f"cannot be judged for this target: {type(error).__name__}: {error}"
            self._findings.append(("contradictory", self._census.subject(of, found, detail)))

    async def _read_unmapped(self, alias: str) -> None:
        for collection in extensions.unmapped(alias):
            try:
                answer = await self._client.get(f"/v2.0/{collection}")
            except CloudRefused as error:
                if error.status == _FORBIDDEN:
                    self._findings.append(("not-readable", Subject("collection", collection, detail=error.message)))
                elif error.status != _NOT_FOUND:
                    raise
                continue
            found = _objects(answer)
            self._counted[alias] = self._counted.get(alias, 0) + len(found)
            for each in found:
                project = self._census.project(str(each.get("project_id") or ""))
                name, key = str(each.get("name") or ""), str(each.get("id") or each)
                self._findings.append(("extension-not-mapped", Subject(collection, key, name, project)))

    async def _is_dangling(self, suspect: Dangling) -> bool:
        """Look again: the one may have been made, the other one deleted or changed, while we read."""
        declared = {of.name: of for of in load_order()}
        of = declared[suspect.subject.resource]
        if await self._source.read(declared[suspect.resource], [suspect.missing]):
            return False
        now = (await self._source.read(of, [suspect.subject.id])).get(suspect.subject.id)
        return now is not None and any(
            suspect.missing in r.ids(now) for r in of.references if r.path == suspect.field
        )

    # -- the judgement -------------------------------------------------------------------------------------------

    def judge(self, file: answers_file.AnswersFile | None) -> Assessment:
        """What it amounts to. Raises AnswersError."""
        question, census = self._question, self._census
        given = file.answers if file else []
        all_hosts = self._hosts.hosts()
        id_extension = _id_extension(self._extensions)
        findings = [*self._findings, *census.findings, *hosts.findings(all_hosts)]
        findings += _about_extensions(self._extensions, id_extension)
        found = decide.gaps(rules(question.target), findings, given)
        return Assessment(
            cloud=question.cloud.name,
            source=question.source_url,
            target=question.target.value,
            at=self._at,
            verdict=decide.verdict(found),
            objects=census.objects.total(),
            tallies=decide.tallies(self._movable(), found),
            counts=census.counts(),
            gaps=found,
            hosts=all_hosts,
            routers=self._hosts.routers(),
            extensions=[self._extension(e) for e in sorted(self._extensions, key=lambda e: str(e["alias"]))],
            groups=self._groups.together(census.project),
            id_extension=id_extension,
            estimate=self._estimate(),
            answers=Answers(str(question.answers) if file else "", decide.unneeded(found, given)),
        )

    def _movable(self) -> dict[str, int]:
        """How many objects there are of what the target is given: upstream is told nothing of agents and zones."""
        given = {of.name for of in load_order() if of.upstream or not of.observed}
        bundled = self._question.target is Target.BUNDLED
        return {name: count for name, count in self._census.objects.items() if bundled or name in given}

    def _extension(self, found: Json) -> Extension:
        alias = str(found["alias"])
        objects = self._counted.get(alias, 0)
        objects += sum(self._census.objects[of.name] for of in load_order() if of.alias == alias)
        return Extension(alias, str(found.get("name") or ""), extensions.state(alias, objects), objects)

    def _estimate(self) -> Estimate:
        objects = self._census.objects
        rate = objects.total() / self._seconds if self._seconds else 0.0
        largest = max(objects.values(), default=0)
        ours = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss * 1024
        memory = ours + largest * _BYTES_PER_OBJECT + _PAGES_IN_FLIGHT * self._largest_page
        return Estimate(
            read_seconds=self._seconds,
            objects_per_second=rate,
            bytes=self._bytes,
            copy_seconds=2 * self._seconds,
            verify_seconds=self._seconds,
            memory_bytes=memory,
            basis=(
                "Time: as fast as reading was now, through the API and one page after the other; loading a page is "
                "taken to last as long as reading it, comparing to last as long as reading one side. "
                "Memory: what this process needed, and half a kilobyte for each object of the largest resource."
            ),
        )


def _objects(answer: Any) -> list[Json]:
    lists: Iterable[Any] = answer.values() if isinstance(answer, dict) else []
    return [o for objects in lists if isinstance(objects, list) for o in objects if isinstance(o, dict)]


def _id_extension(found: Sequence[Json]) -> IdExtension:
    mine = next((e for e in found if e["alias"] == ID_EXTENSION), None)
    if mine is None:
        return IdExtension(loaded=False, updated="", sufficient=False)
    updated = str(mine.get("updated") or "")
    return IdExtension(loaded=True, updated=updated, sufficient=updated[:10] >= ID_EXTENSION_SINCE)


def _about_extensions(found: Sequence[Json], ids: IdExtension) -> list[tuple[str, Subject | None]]:
    made: list[tuple[str, Subject | None]] = []
    if not ids.loaded:
        made.append(("id-extension-missing", None))
    elif not ids.sufficient:
        detail = f"it is of {ids.updated[:10] or 'an unknown date'}, and {ID_EXTENSION_SINCE} or later is needed"
        made.append(("id-extension-old", Subject("extension", ID_EXTENSION, detail=detail)))
    for each in found:
        if extensions.state(str(each["alias"]), 0) == "unknown":
            subject = Subject("extension", str(each["alias"]), str(each.get("name") or ""))
            made.append(("extension-unknown", subject))
    return made

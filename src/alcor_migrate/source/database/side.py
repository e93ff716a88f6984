"""Neutron by its database: listings from one snapshot, single objects by a glance, everything else through its API.

Copy, sweep and verify read everything, and that is what the database does a hundred times faster. Replay reads single
objects while Neutron is busy with its users, and the database does not wait in their queue. What verify and sweep
suspect is still asked of the API, and before each sweep it is also asked about objects that replay was told of: so
whatever a rule here gets wrong shows as a difference and is healed, instead of being compared with itself.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from alcor_migrate.errors import SourceDatabaseError
from alcor_migrate.side import Key
from alcor_migrate.source.database.catalogue import RULES
from alcor_migrate.source.database.rules import Facts
from alcor_migrate.source.database.snapshot import GLANCES, Database
from alcor_model import differences, digest, resource

if TYPE_CHECKING:
    from asyncio import Future as AsyncFuture
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence

    from alcor_migrate.side import Change, Fingerprint, Rejection, Side
    from alcor_migrate.source.database.snapshot import Snapshot
    from alcor_migrate.source.neutron import NeutronSide
    from alcor_model import Resource
    from alcor_model.fields import Json

log = structlog.get_logger(__name__)

T = TypeVar("T")

_SAMPLE = 200
_LOOKS = 3
_PAUSE = 0.5
_VALUES_AT_ONCE = 500
_REMEMBERED = 200
"""Of so many objects of a resource it is remembered at most, until the next proof, that they were read quickly."""


class Reader:
    """Snapshots of the database, read in a thread of their own. Raises SourceDatabaseError."""

    def __init__(self, url: str, facts: Facts) -> None:
        offered = [rule for rule in RULES if (resource(rule.resource).alias or "") in {"", *facts.extensions}]
        self._database = Database(url, offered)
        self.facts = facts
        self._steady: View | None = None
        self._glances = ThreadPoolExecutor(GLANCES, thread_name_prefix="source-database-glance")

    @property
    def may_learn(self) -> bool:
        """Whether a fact was not to be had when this was opened, and nobody relies on what it says now."""
        unknown = self.facts.dns_domain is None and self.facts.has("dns-integration")
        return unknown and self._steady is None

    @property
    def resources(self) -> frozenset[str]:
        """The names of the resources that can be read here: Neutron has loaded what serves them."""
        return frozenset(self._database.rules)

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[None]:
        """Everything that is read inside the block is read from one snapshot, taken now."""
        async with self._view() as view:
            self._steady = view
            try:
                yield
            finally:
                self._steady = None

    @asynccontextmanager
    async def view(self) -> AsyncIterator[View]:
        """The snapshot of the block around, or a new one."""
        if self._steady is not None:
            yield self._steady
        else:
            async with self._view() as view:
                yield view

    def finds(self, name: str, field: str) -> bool:
        """Whether `these` can be asked for objects of a resource by a field."""
        return name in self._database.rules and self._database.every(name).finds(field)

    async def these(self, name: str, field: str, values: Sequence[str]) -> tuple[list[Json], list[str]]:
        """The objects with one of these values in a field, as they are now; the ids of what only the API tells."""
        return await asyncio.get_running_loop().run_in_executor(self._glances, self._glance, name, field, values)

    def close(self) -> None:
        """Let go of the database; what is being asked is still answered."""
        self._glances.shutdown(wait=False)
        self._database.close()

    def _glance(self, name: str, field: str, values: Sequence[str]) -> tuple[list[Json], list[str]]:
        snapshot = self._database.glance(self.facts)
        try:
            objects, asked = [], []
            for start in range(0, len(values), _VALUES_AT_ONCE):
                told, unknown = snapshot.these(name, field, values[start : start + _VALUES_AT_ONCE])
                objects += told
                asked += unknown
            return objects, asked
        finally:
            snapshot.close()

    @asynccontextmanager
    async def _view(self) -> AsyncIterator[View]:
        thread = ThreadPoolExecutor(1, thread_name_prefix="source-database")
        opening = thread.submit(self._database.snapshot, self.facts)
        try:
            yield View(await asyncio.wrap_future(opening), thread)
        finally:
            # What is still being asked ends first; nobody waits for that, the event loop of the gateway least of all.
            thread.submit(_close, opening)
            thread.shutdown(wait=False)


class View:
    """A snapshot for the event loop: one question at a time, each in the snapshot's thread."""

    def __init__(self, snapshot: Snapshot, thread: ThreadPoolExecutor) -> None:
        self._snapshot = snapshot
        self._thread = thread

    async def pages(self, name: str, size: int, prefix: str = "") -> AsyncIterator[tuple[list[Json], list[str]]]:
        """The objects of a resource in pages, and the ids of those that only the API can tell.

        The next page is being read while the last one is used.
        """
        after: str | None = ""
        following: AsyncFuture[Any] | None = self._ask(self._snapshot.page, name, "", size, prefix)
        try:
            while following is not None:
                objects, asked, after = await following
                following = self._ask(self._snapshot.page, name, after, size, prefix) if after is not None else None
                if objects or asked:
                    yield objects, asked
        finally:
            if following is not None:
                following.add_done_callback(lambda unused: unused.cancelled() or unused.exception())
                following.cancel()

    async def count(self, name: str) -> int:
        """How many objects there are."""
        return await self._ask(self._snapshot.count, name)

    async def fingerprints(self, name: str, length: int) -> dict[str, Fingerprint]:
        """A fingerprint of the rows behind the objects, by the first characters of their ids."""
        return await self._ask(self._snapshot.fingerprints, name, length)

    def _ask(self, question: Callable[..., T], *arguments: Any) -> AsyncFuture[T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, question, *arguments)


def _close(opening: Future[Snapshot]) -> None:
    """Give a snapshot up, if there is one."""
    if not opening.cancelled() and opening.exception() is None:
        try:
            opening.result().close()
        except SourceDatabaseError as error:
            log.info("source_database_was_gone", reason=error.message)


class DatabaseSide:
    """The source, where its database can be read beside its API."""

    name = "source"
    keeps_everything = False

    def __init__(self, api: NeutronSide, url: str, project_id: Callable[[], Any]) -> None:
        self._api = api
        self._url = url
        self._project_id = project_id
        self._reader: Reader | None = None
        self._opening = asyncio.Lock()
        self._doubted: set[str] = set()
        self._told: dict[str, set[str]] = {}
        self.quick: Side = Quick(self)
        """The same side, of which single objects are read from the database, too."""

    # -- bulk: from the database ---------------------------------------------------------------------------------

    async def pages(self, of: Resource, page_size: int) -> AsyncGenerator[Sequence[Json], None]:
        """Everything there is of a resource, ordered by id, as it was at one moment."""
        async for page in self.bucket(of, "", page_size):
            yield page

    async def bucket(self, of: Resource, prefix: str, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """The objects whose ids begin so."""
        reader = await self._reads(of)
        if reader is None:
            async for page in self._api.pages(of, page_size):
                yield [o for o in page if o["id"].startswith(prefix)] if prefix else page
            return
        async with reader.view() as view:
            async for objects, asked in view.pages(of.name, page_size, prefix):
                told = await self._api.read(of, asked) if asked else {}
                yield [*objects, *told.values()]

    async def fingerprints(self, of: Resource, length: int) -> dict[str, Fingerprint] | None:
        """What changes when any row behind a bucket of objects does; None for what only the API can tell."""
        reader = await self._reads(of)
        if reader is None:
            return None
        async with reader.view() as view:
            return await view.fingerprints(of.name, length)

    @asynccontextmanager
    async def steady(self) -> AsyncIterator[bool]:
        """Everything that is listed inside the block is as it was when the block began."""
        async with (await self._open()).steady():
            yield True

    async def estimate(self, projects: Iterable[str]) -> dict[str, int]:
        """How many objects there are, by list key."""
        reader = await self._open()
        found = await self._api.estimate(projects)
        async with reader.view() as view:
            return found | {resource(name).plural: await view.count(name) for name in sorted(reader.resources)}

    async def prove(self, sample: int = _SAMPLE) -> None:
        """Compare the first objects of every resource with what the API says of them.

        Raises SourceDatabaseError when they lastingly differ: then this Neutron is not one that we know.
        """
        reader = await self._open()
        for name in sorted(reader.resources):
            suspects: set[str] = set()
            for look in range(_LOOKS):
                suspects, problem = await self._differing(resource(name), suspects, sample)
                if not suspects:
                    break
                await asyncio.sleep(_PAUSE * look)
            else:
                raise SourceDatabaseError(
                    f"Neutron's database does not say what its API says of {name} {min(suspects)}: {problem}",
                    "This release or plugin of Neutron is not known here; leave `source.database` out.",
                )

    async def _differing(self, of: Resource, among: set[str], sample: int) -> tuple[set[str], str]:
        """Which of the first objects differ between database and API, and in what the first one does."""
        ours: dict[str, Json] = {}
        async with aclosing(self.pages(of, sample)) as pages:
            if page := await anext(pages, None):
                ours = {o["id"]: o for o in page if not among or o["id"] in among}
        wrong = disagreements(of, ours, await self._api.read(of, sorted(ours)))
        return set(wrong), wrong[min(wrong)] if wrong else ""

    # -- single objects: from the database where time matters ------------------------------------------------------

    async def glance(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field has one of these values; from the API where the database cannot be asked so."""
        # What is not known yet is learned by the next listing; a glance has no time for that.
        wanted, reader = sorted(set(values)), self._reader or await self._open()
        if not self._trusts(reader, of) or not reader.finds(of.name, field):
            return await self._api.find(of, field, wanted)
        objects, asked = await reader.these(of.name, field, wanted) if wanted else ([], [])
        told = self._told.setdefault(of.name, set())
        told.update(o["id"] for o in objects[: _REMEMBERED - len(told)])
        return await self._completed(of, objects, asked)

    async def prove_quick(self) -> set[Key]:
        """Compare what was read quickly of late with what the API says; answers what lastingly differs.

        A resource of these is read through the API from then on, as if its tables were not known.
        """
        wrong: set[Key] = set()
        reader = await self._open()
        told, self._told = self._told, {}
        for name, ids in told.items():
            of, suspects, problem = resource(name), ids, ""
            for look in range(_LOOKS):
                await asyncio.sleep(_PAUSE * look)
                ours, theirs = await asyncio.gather(
                    reader.these(name, "id", sorted(suspects)), self._api.read(of, suspects)
                )
                found = disagreements(of, await self._completed(of, *ours), theirs)
                suspects, problem = set(found), min(found.items())[1] if found else ""
                if not suspects:
                    break
            if suspects:
                log.error("source_database_is_wrong", resource=name, id=min(suspects), problem=problem)
                self._doubted.add(name)
                wrong |= {Key(name, i) for i in suspects}
        return wrong

    async def _completed(self, of: Resource, objects: Sequence[Json], asked: Sequence[str]) -> dict[str, Json]:
        """What the database told, and by the API what only that can tell; by id."""
        return {o["id"]: o for o in objects} | (await self._api.read(of, asked) if asked else {})

    # -- single objects, and everything that is not reading: through the API ---------------------------------------

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids, from the API."""
        return await self._api.read(of, ids)

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field has one of these values, from the API."""
        return await self._api.find(of, field, values)

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Make Neutron hold what the changes say, through its API."""
        return await self._api.apply(changes)

    async def extensions(self) -> set[str]:
        """The aliases of the API extensions that this Neutron has loaded."""
        return await self._api.extensions()

    async def close(self) -> None:
        """Let go of connections."""
        if self._reader is not None:
            self._reader.close()
        await self._api.close()

    async def _open(self) -> Reader:
        async with self._opening:
            if self._reader is None or self._reader.may_learn:
                facts = Facts(
                    frozenset(await self._api.extensions()),
                    await self._project_id(),
                    await self._dns_domain(),
                )
                if self._reader is None or self._reader.facts != facts:
                    known, self._reader = self._reader, await asyncio.to_thread(Reader, self._url, facts)
                    if known is not None:
                        known.close()
            return self._reader

    async def _reads(self, of: Resource) -> Reader | None:
        """What reads a resource from the database; None where only the API can be asked for it."""
        reader = await self._open()
        return reader if self._trusts(reader, of) else None

    def _trusts(self, reader: Reader, of: Resource) -> bool:
        return of.name in reader.resources and of.name not in self._doubted

    async def _dns_domain(self) -> str | None:
        """Neutron's option, which only the names that it gives to addresses show; None where there are none yet."""
        found = None
        async for page in self._api.pages(resource("port"), _SAMPLE):
            for port in page:
                for given in port.get("dns_assignment") or ():
                    if not port.get("dns_name"):
                        found = str(given["fqdn"]).removeprefix(given["hostname"]).removeprefix(".")
            break
        return found


class Quick:
    """A source with a database, as replay reads it: what the database can tell at once, it tells."""

    name = "source"
    keeps_everything = False

    def __init__(self, side: DatabaseSide) -> None:
        self._side = side

    def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything there is of a resource."""
        return self._side.pages(of, page_size)

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids."""
        return await self._side.glance(of, "id", ids)

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field has one of these values."""
        return await self._side.glance(of, field, values)

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Make Neutron hold what the changes say."""
        return await self._side.apply(changes)

    async def close(self) -> None:
        """Nothing of its own is open."""


def disagreements(of: Resource, ours: dict[str, Json], theirs: dict[str, Json]) -> dict[str, str]:
    """The objects of which the database does not say what the API says: in what they differ, by id."""
    found = {}
    for object_id in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(object_id), theirs.get(object_id)
        if one is None or other is None:
            found[object_id] = f"the {'database' if one is None else 'API'} does not have it"
        elif digest(of, one) != digest(of, other):
            found[object_id] = "; ".join(str(d) for d in differences(of, one, other))[:500]
    return found

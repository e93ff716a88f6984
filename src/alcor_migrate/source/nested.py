"""Objects that Neutron only lists below another one: rules of a QoS policy, port forwardings of a floating IP.

Each of those above costs a question, so it is only asked of the ones whose hint (a field of theirs) says that there
is something below them. Where an object was seen is remembered, so that it can be read again by its id alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alcor_migrate.errors import CloudRefused
from alcor_migrate.source.form import identified
from alcor_model import resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from alcor_migrate.http import JsonClient
    from alcor_model import Resource
    from alcor_model.catalogue import Nested
    from alcor_model.fields import Json

_NOT_FOUND = 404
_AT_ONCE = 8
"""Questions under way at once."""
_PAGE = 500


class Below:
    """Reads what lies below other resources; `walk` lists those, only with the named fields."""

    def __init__(
        self, client: JsonClient, walk: Callable[[Resource, int, Sequence[str]], AsyncIterator[list[Json]]]
    ) -> None:
        self._client = client
        self._walk = walk
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._seen_below: dict[tuple[str, str], str] = {}

    async def pages(self, of: Resource, page_size: int) -> AsyncIterator[list[Json]]:
        """Everything there is of a resource: what lies below one page of those above at a time."""
        nested = _nesting(of)
        fields = ["id", nested.hint] if nested.hint else ["id"]
        async for page in self._walk(resource(nested.resource), page_size, fields):
            found = await self._below(of, [o["id"] for o in page if not nested.hint or o.get(nested.hint)])
            if found:
                yield found

    async def find(self, of: Resource, field: str, values: set[str]) -> dict[str, Json]:
        """The objects whose field has one of these values."""
        nested = _nesting(of)
        if field == nested.field:
            found = await self._below(of, values)
        elif field == "id":
            found = await self._by_id(of, values)
        else:
            found = [o async for page in self.pages(of, _PAGE) for o in page]
        return {o["id"]: o for o in found if o.get(field) in values}

    async def _by_id(self, of: Resource, ids: set[str]) -> list[Json]:
        nested = _nesting(of)
        if nested.field == of.identity[0]:
            return await self._below(of, {object_id.partition("/")[0] for object_id in ids})
        above = {self._seen_below.get((of.name, object_id)) for object_id in ids}
        if None in above:
            return [o async for page in self.pages(of, _PAGE) for o in page]
        return await self._below(of, {parent for parent in above if parent})

    async def _below(self, of: Resource, parents: Iterable[str]) -> list[Json]:
        answers = await asyncio.gather(*(self._ask(of, parent) for parent in sorted(set(parents))))
        return [o for answer in answers for o in answer]

    async def _ask(self, of: Resource, parent_id: str) -> list[Json]:
        above = resource(_nesting(of).resource)
        async with self._slots:
            try:
                answer = await self._client.get(f"/v2.0/{above.collection}/{parent_id}/{of.collection}")
            except CloudRefused as error:
                if error.status == _NOT_FOUND:  # deleted meanwhile, and what was below it too
                    return []
                raise
        found = [identified(of, o, parent_id) for o in answer[of.plural]]
        self._seen_below.update({(of.name, o["id"]): parent_id for o in found})
        return found


def _nesting(of: Resource) -> Nested:
    assert of.nested is not None  # noqa: S101  # only what is nested gets here
    return of.nested

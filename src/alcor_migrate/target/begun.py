"""What was begun on a target and not seen to its end, on disk, so that a crash in between can be cleaned up after."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from alcor_migrate.errors import StateNotWritten
from alcor_migrate.side import Key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path


class Creation(msgspec.Struct, frozen=True):
    """An object whose creation was sent."""

    resource: str
    id: str
    project: str
    """In whose path it was sent."""
    at: float
    """When, in unix seconds."""

    @property
    def key(self) -> Key:
        """The identity of the object."""
        return Key(self.resource, self.id)


class Begun:
    """The creations under way, in a small file that is replaced in one step and is on disk before each begins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._creations: dict[Key, Creation] | None = None
        self._under_way: set[Key] = set()

    async def left(self) -> list[Creation]:
        """Those that ended, and nobody saw how. Raises StateNotWritten when the file cannot be read."""
        async with self._lock:
            return [c for key, c in (await self._held()).items() if key not in self._under_way]

    @asynccontextmanager
    async def creating(self, resource: str, project: str, ids: Sequence[str]) -> AsyncIterator[set[Key]]:
        """Inside, these objects are being created. When it is left by an exception they stay noted.

        So do those that are put into the set that it gives.
        """
        now = time.time()
        made = {Key(resource, object_id): Creation(resource, object_id, project, now) for object_id in ids}
        left: set[Key] = set()
        async with self._lock:
            (await self._held()).update(made)
            self._under_way |= made.keys()
            await self._write()
        try:
            yield left
            await self.over(made.keys() - left)
        finally:
            self._under_way -= made.keys()

    async def over(self, keys: Iterable[Key]) -> None:
        """These are as they should be, or gone."""
        async with self._lock:
            held = await self._held()
            for key in keys:
                held.pop(key, None)
            await self._write()

    async def _held(self) -> dict[Key, Creation]:
        if self._creations is None:
            try:
                text = await asyncio.to_thread(self._path.read_bytes)
            except FileNotFoundError:
                text = b"[]"
            except OSError as error:
                raise StateNotWritten(f"{self._path} cannot be read: {error}") from error
            found = msgspec.json.decode(text, type=list[Creation])
            self._creations = {creation.key: creation for creation in found}
        return self._creations

    async def _write(self) -> None:
        content = msgspec.json.encode(list((self._creations or {}).values()))
        try:
            await asyncio.to_thread(self._replace, content)
        except OSError as error:
            raise StateNotWritten(f"{self._path} cannot be written: {error}") from error

    def _replace(self, content: bytes) -> None:
        made = self._path.with_suffix(".new")
        with made.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        made.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

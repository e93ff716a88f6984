"""The tasks that a migration keeps running, by name, and what became of those that died."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

log = structlog.get_logger(__name__)


class Crew:
    """Begins tasks and remembers why one stopped. `died` is told of that."""

    def __init__(self, died: Callable[[str, str], None]) -> None:
        self.stopped: dict[str, str] = {}
        """Why a task died, by its name; it is forgotten when the task is begun again."""
        self._died = died
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def begin(self, name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run it as a task of this name."""
        self.stopped.pop(name, None)
        task = self._tasks[name] = asyncio.create_task(work)
        task.add_done_callback(lambda ended: self._ended(name, ended))
        return task

    async def stop(self, *, but: str = "") -> None:
        """End all of them where they are, but one."""
        tasks = [task for name, task in self._tasks.items() if name != but]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def drop(self, name: str) -> None:
        """End one of them, if it is there."""
        if task := self._tasks.get(name):
            task.cancel()
            await asyncio.wait({task})

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and (error := task.exception()):
            reason = self.stopped[name] = f"{type(error).__name__}: {error}"
            log.error("engine_task_failed", task=name, exc_info=error)
            self._died(name, reason)

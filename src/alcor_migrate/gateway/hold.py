"""Writes that wait, in the order of their arrival."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Hold:
    """The waiting room of one hold, bounded in number and bytes.

    `enter` takes a callback; `release` calls all of them, oldest first, in one go, so that nothing that arrives
    later can overtake. It does not know time limits: who holds sets the alarm.
    """

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self.longest = 0.0
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self._waiting: deque[tuple[Callable[[], object], float]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, callback: Callable[[], object], size: int) -> bool:
        """Lets a write of this size wait. False: it waits too, and now the room is full."""
        self._waiting.append((callback, time.monotonic()))
        self._bytes += size
        return len(self._waiting) < self._max_requests and self._bytes < self._max_bytes

    def release(self) -> None:
        """Lets all go on."""
        waiting, self._waiting = self._waiting, deque()
        self._bytes = 0
        now = time.monotonic()
        if waiting:
            self.longest = now - waiting[0][1]
        for callback, _ in waiting:
            callback()

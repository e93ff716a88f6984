"""Writes that wait, and how they go on: each project's in the order of their arrival."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_migrate.gateway.stats import Stats


class Turn:
    """A write that waits until `go` is called, and then has its turn until it leaves the room."""

    __slots__ = ("arrived", "go", "lane", "over", "size", "token", "waits")

    def __init__(self, go: Callable[[], object], size: int, token: str, arrived: float | None = None) -> None:
        """Of a body of `size` bytes, with a token by which its project may be found out.

        `arrived` is of the machine's monotonic clock, so that it can be compared with that of other processes.
        """
        self.go = go
        self.size = size
        self.token = token
        self.lane: object = token or self
        """Who is known by nothing waits for nobody."""
        self.arrived = time.monotonic() if arrived is None else arrived
        self.waits = False
        self.over = False


class Room:
    """The waiting room of a gateway, bounded in number and bytes. It knows no time limits: its owner sets alarms.

    While it is closed everybody waits. When it opens, writes go on in lanes, one for each project: the next of a lane
    goes when the one before it has left, and what arrives meanwhile takes its place at the end of its lane. Lanes are
    at work beside each other. `open_wide` ends that: all go at once, in the order of their arrival.

    `flowing` is called when nobody waits or has a turn any more.
    """

    def __init__(self, max_requests: int, max_bytes: int, stats: Stats, flowing: Callable[[], None]) -> None:
        self.closed = False
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._stats = stats
        self._flowing = flowing
        self._bytes = 0
        self._waiting: list[Turn] = []
        """Of a closed room."""
        self._lanes: dict[object, deque[Turn]] = {}
        """Of an open one; the first of each has its turn."""
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return self._stats.held_now

    def asks_for(self, token: str) -> bool:
        """Whether nobody was asked yet whose token this is."""
        if not token or token in self._names:
            return False
        self._names[token] = token
        return True

    def name(self, token: str, project: str) -> None:
        """Writes with this token are of this project."""
        self._names[token] = project

    def close(self) -> None:
        """From now on everybody waits. Who has waited already is let go first, so that nobody is held twice."""
        if self._lanes:
            self.open_wide()
        self.closed = True

    def enter(self, turn: Turn) -> bool:
        """Lets a write wait for its turn, which may be at once. False: it waits, and now the room is full."""
        turn.waits = True
        self._bytes += turn.size
        self._stats.held_now += 1
        if self.closed:
            self._waiting.append(turn)
            return self._stats.held_now < self._max_requests and self._bytes < self._max_bytes
        self._queue(turn)
        return True

    def open(self) -> None:
        """Lets all go on, lane by lane."""
        self.closed = False
        waiting, self._waiting = sorted(self._waiting, key=_arrived), []
        if waiting:
            longest = (time.monotonic() - waiting[0].arrived) * 1e3
            self._stats.longest_hold_ms = max(self._stats.longest_hold_ms, longest)
        for turn in waiting:
            if not turn.over:
                self._queue(turn)
        self._look()

    def open_wide(self) -> None:
        """Lets all that still wait go at once."""
        waiting = [turn for lane in self._lanes.values() for turn in lane if turn.waits]
        self._lanes.clear()
        for turn in sorted(waiting, key=_arrived):
            self._go(turn)
        self._look()

    def leave(self, turn: Turn) -> None:
        """Its turn is over, or it does not want one any more."""
        turn.over = True
        if turn.waits:
            self._stop_waiting(turn)
        lane = self._lanes.get(turn.lane)
        if lane is None or lane[0] is not turn:
            return
        while lane and lane[0].over:
            lane.popleft()
        if lane:
            self._go(lane[0])
        else:
            del self._lanes[turn.lane]
            self._look()

    def _queue(self, turn: Turn) -> None:
        turn.lane = self._names.get(turn.token, turn.lane)
        lane = self._lanes.setdefault(turn.lane, deque())
        lane.append(turn)
        if lane[0] is turn:
            self._go(turn)

    def _go(self, turn: Turn) -> None:
        self._stop_waiting(turn)
        turn.go()

    def _stop_waiting(self, turn: Turn) -> None:
        turn.waits = False
        self._bytes -= turn.size
        self._stats.held_now -= 1

    def _look(self) -> None:
        if not self.closed and not self._lanes:
            self._names.clear()
            self._flowing()


def _arrived(turn: Turn) -> float:
    return turn.arrived

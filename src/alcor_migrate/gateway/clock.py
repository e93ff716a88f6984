"""Deadlines that cost nothing to set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_migrate.gateway.settings import GatewaySettings

NEVER: Final = float("inf")


class Clock:
    """What time it is, and when what begins now is overdue; renewed by every sweep, so behind by less than one.

    Connections copy one of its times instead of setting a timer. None of them is ever too early.
    """

    __slots__ = ("_settings", "answer", "body", "head", "idle", "interval", "now", "time")

    def __init__(self, settings: GatewaySettings, time: Callable[[], float]) -> None:
        self._settings = settings
        self.time = time
        """The exact time: that of the event loop."""
        shortest = min(settings.head_timeout, settings.body_timeout, settings.idle_timeout, settings.answer_timeout)
        self.interval = min(1.0, shortest / 4)
        self.now = self.head = self.body = self.idle = self.answer = time()
        self.renew(self.now)

    def renew(self, now: float) -> None:
        """A sweep begins."""
        settings = self._settings
        self.now = now
        later = now + self.interval
        self.head = later + settings.head_timeout
        self.body = later + settings.body_timeout
        self.idle = later + settings.idle_timeout
        self.answer = later + settings.answer_timeout

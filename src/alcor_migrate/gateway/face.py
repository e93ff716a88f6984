"""What the engine asks of a gateway, and what a gateway asks of a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alcor_migrate.gateway.metrics import Family
    from alcor_migrate.gateway.routes import Route
    from alcor_migrate.gateway.stats import Stats
    from alcor_migrate.journal import Intent, JournalStats, Outcome


class ApiGateway(Protocol):
    """A gateway as the engine sees it: in this process (`Gateway`), or in several (`GatewayPool`)."""

    incomplete: bool
    """Whether a write has passed without a record."""
    misses: int
    """Grows whenever one does."""

    on_read: Callable[[bytes, str], None] | None
    """Told of a share of answered GETs: target and token."""
    permit: Callable[[Callable[[str], None], int], None]
    """Tells so many reads, at once or later, that they may go to the passive side (an empty text), or why not."""
    figures: Callable[[], Iterable[Family]]
    """Further figures to be served with those of the gateway."""

    @property
    def route(self) -> Route:
        """What happens to writes from now on."""

    @property
    def epoch(self) -> int:
        """Counts the changes of the route."""

    @property
    def reads(self) -> str:
        """The side that serves reads: `source` or `target`."""

    @property
    def ahead(self) -> bool:
        """Whether that is not the side that writes go to."""

    @property
    def doubts(self) -> int:
        """Answered writes whose outcome may not be in the journal yet."""

    @property
    def stats(self) -> Stats:
        """What happened since the start, of all processes together."""

    @property
    def in_flight_writes(self) -> int:
        """Writes that were let through and whose outcome is not recorded yet."""

    @property
    def address(self) -> str:
        """Where it listens."""

    @property
    def url(self) -> str:
        """The address as a URL."""

    async def start(self) -> None:
        """Listen. Raises GatewayError, ConfigError."""

    async def stop(self) -> None:
        """Finish what is under way, then close."""

    async def switch(self, route: Route) -> int:
        """Change the route; the answer is the new epoch, and nothing goes by the old route any more."""

    async def switch_reads(self, side: str) -> int:
        """Let reads go to a side, and writes stay where they are; the answer is the new epoch."""

    async def hold(self, max_hold: float | None = None) -> int:
        """Let writes wait, for a bounded time; the answer is the new epoch."""

    def claim(self, epoch: int) -> None:
        """From now on this hold only ends by `release`. Raises GatewayError when it is over."""

    async def release(self, route: Route, *, epoch: int | None = None) -> int:
        """Let the held writes go on by this route. Raises GatewayError when the hold is over."""

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109  (the answer says whether it passed)
        """Whether, within this time, the last write of an earlier epoch had its outcome recorded."""

    def mark_complete(self) -> None:
        """A full sweep has found everything that had passed without a record."""


class Recorder(Protocol):
    """The part of the journal that a gateway writes."""

    stats: JournalStats

    async def intent(self, intent: Intent) -> int:
        """Keep a write that is about to be forwarded; returns its number once that is durable."""

    async def outcome(self, seq: int, outcome: Outcome) -> int:
        """Keep what became of it."""

    async def read_that_wrote(self, intent: Intent, outcome: Outcome) -> int:
        """Keep a read that may have changed something."""

    async def mark(self, kind: str, token: str) -> int:
        """Put a mark into the order."""

"""The API servers of one side: which of them gets the next request, and where it goes when one fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from alcor_migrate.gateway.health import Condition, Health, check
from alcor_migrate.gateway.upstream import Lost, Upstream

if TYPE_CHECKING:
    import ssl

    from alcor_migrate.gateway.clock import Clock
    from alcor_migrate.gateway.settings import Address, GatewaySettings
    from alcor_migrate.gateway.stats import ServerStats
    from alcor_migrate.gateway.upstream import Attempt, Sender

log = structlog.get_logger(__name__)


class Balancer:
    """One side's servers. A request goes to the one that has the fewest, in turn where several have as few.

    One that is down gets no new request, and those that it has go on. A server that takes no connection is passed
    over for the next one, for writes too, because nothing was sent. When none is up, those that take no connection
    are asked all the same: being down is an opinion, a refused connection is a fact, and costs nothing.

    A side of one server is not watched, and always asked.
    """

    def __init__(
        self,
        side: str,
        addresses: list[Address],
        settings: GatewaySettings,
        clock: Clock,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.side = side
        self._checks = settings.checks
        self._servers = [
            Upstream(address, settings, clock, tls, refused=self._refused, failed=self._failed)
            for address in addresses
        ]
        self._only = self._servers[0] if len(self._servers) == 1 else None
        self._health = {server: Health(settings.checks) for server in self._servers}
        self._up = list(self._servers)
        """In the order of their turns."""
        self._watchers: list[asyncio.Task[None]] = []
        self._closed = False

    @property
    def stats(self) -> dict[tuple[str, str], ServerStats]:
        """The figures of each server, which it keeps up to date."""
        return {(self.side, server.name): server.stats for server in self._servers}

    def acquire(self, sender: Sender, *, max_idle: float | None = None, tried: tuple[Upstream, ...] = ()) -> bool:
        """Finds the sender a connection (see `Upstream.acquire`); False when no server is left to be asked."""
        server = self._only if self._only is not None and not tried else self._pick(tried)
        if server is None or self._closed:
            return False
        server.acquire(sender, max_idle=max_idle, tried=tried)
        return True

    def _pick(self, tried: tuple[Upstream, ...]) -> Upstream | None:
        among = [server for server in self._up if server not in tried]
        if not among:
            health = self._health
            among = [
                server
                for server in self._servers
                if server not in tried and health[server].condition is Condition.UNREACHABLE
            ]
            return among[0] if among else None
        server = min(among, key=_busy)
        self._up.remove(server)
        self._up.append(server)
        return server

    @property
    def busy(self) -> int:
        """Requests that its servers have."""
        return sum(server.busy for server in self._servers)

    def withdraw(self, sender: Sender) -> None:
        """The sender wants no connection any more."""
        for server in self._servers:
            server.withdraw(sender)

    # -- what servers tell ---------------------------------------------------------------------------------------

    def _refused(self, server: Upstream, attempt: Attempt) -> None:
        """No connection could be had, and nothing was sent."""
        tried = (*attempt.tried, server)
        if not self.acquire(attempt.sender, max_idle=attempt.max_idle, tried=tried):
            attempt.sender.answer_lost(Lost.REFUSED)

    def _failed(self, server: Upstream, why: Lost) -> None:
        if self._only is not None or self._closed:
            return
        if why is Lost.REFUSED:
            self._found(server, Condition.UNREACHABLE)
        elif len(self._up) > 1:
            # requests may fail for reasons of their own: only checks take the last one out
            self._found(server, Condition.SILENT)

    # -- checks --------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Begins to check the servers, where there are several."""
        if self._only is None:
            loop = asyncio.get_running_loop()
            self._watchers = [loop.create_task(self._watch(server)) for server in self._servers]

    async def _watch(self, server: Upstream) -> None:
        while True:
            self._found(server, await check(server, self._checks))
            await asyncio.sleep(self._checks.interval)

    def _found(self, server: Upstream, condition: Condition) -> None:
        health = self._health[server]
        was_up = health.up
        changed = health.well() if condition is Condition.UP else health.bad(condition)
        if not changed:
            return
        if health.up:
            self._up.append(server)
        elif was_up:
            self._up.remove(server)
        server.stats.up = int(health.up)
        (log.info if health.up else log.warning)(
            "upstream_up" if health.up else "upstream_down",
            side=self.side,
            upstream=server.name,
            condition=condition.value,
            left=len(self._up),
        )
        if not health.up:
            server.close_idle()
            if self._up and condition is not Condition.UNWELL:
                server.move_away()

    # -- life ----------------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Ends what is overdue."""
        for server in self._servers:
            server.sweep(now)

    async def close(self) -> None:
        """Ends every connection; senders hear that theirs is lost."""
        self._closed = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for server in self._servers:
            await server.close()


def _busy(server: Upstream) -> int:
    return server.busy

"""Whether an API server is well: what a check or a failure changes about that (pure), and how a check is made."""

from __future__ import annotations

import asyncio
import enum
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alcor_migrate.gateway.upstream import Upstream
    from alcor_migrate.settings import HealthChecks

_STATUS = re.compile(rb"HTTP/1\.[01] ([23])\d\d ")
_MAX_LINE = 1024


class Condition(enum.Enum):
    """What is known of a server."""

    UP = "up"
    UNREACHABLE = "unreachable"
    """It takes no connections; asking it costs nothing, and nothing is sent."""
    SILENT = "silent"
    """It takes connections and does not answer, or breaks off."""
    UNWELL = "unwell"
    """It answers, and says that it wants no requests."""


class Health:
    """The condition of one server, from the checks and failures it was told of; touches nothing.

    A server is down after `fall` failed checks or broken requests in a row, and at once when it takes no
    connection; it is up again after `rise` good checks in a row. Each method answers whether the condition changed.
    """

    def __init__(self, checks: HealthChecks) -> None:
        self.condition = Condition.UP
        self._checks = checks
        self._bad = 0
        self._good = 0

    @property
    def up(self) -> bool:
        """Whether it gets requests."""
        return self.condition is Condition.UP

    def well(self) -> bool:
        """A check was good."""
        self._bad = 0
        self._good += 1
        return self._good >= self._checks.rise and self._become(Condition.UP)

    def bad(self, condition: Condition) -> bool:
        """A check or a request has shown this."""
        self._good = 0
        self._bad += 1
        enough = condition is Condition.UNREACHABLE or self._bad >= self._checks.fall or not self.up
        return enough and self._become(condition)

    def _become(self, condition: Condition) -> bool:
        changed, self.condition = self.condition is not condition, condition
        return changed


async def check(server: Upstream, checks: HealthChecks) -> Condition:
    """Asks the server for the path of the checks, on a connection of its own; 2xx and 3xx are good answers."""
    address = server.address
    connected = False
    try:
        async with asyncio.timeout(checks.timeout):
            reader, writer = await asyncio.open_connection(
                address.host,
                address.port,
                limit=_MAX_LINE,
                ssl=server.tls,
                server_hostname=address.host if server.tls else None,
            )
            connected = True
            try:
                request = f"GET {checks.path} HTTP/1.1\r\nHost: {server.name}\r\nConnection: close\r\n\r\n"
                writer.write(request.encode())
                line = await reader.readuntil(b"\n")
            finally:
                writer.transport.abort()
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return Condition.SILENT
    except OSError:
        return Condition.SILENT if connected else Condition.UNREACHABLE
    return Condition.UP if _STATUS.match(line) else Condition.UNWELL

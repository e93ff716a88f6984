"""What the gateway costs in front of the lab's real Neutron, and how many writes that accepts."""

from __future__ import annotations

import http.client
import itertools
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

READ, WRITE = "GET", "PUT"


class Api:
    """A client with one connection that it keeps, as keystoneauth does."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        self._fields = {"X-Auth-Token": token, "Accept": "application/json", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's body. Raises RuntimeError when it is not 2xx."""
        data = None if body is None else json.dumps(body)
        self._connection.request(method, f"/v2.0{path}", data, self._fields)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            msg = f"{method} {path} was answered {answer.status}: {content[:200]!r}"
            raise RuntimeError(msg)
        return json.loads(content) if content else None

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()


class Added(NamedTuple):
    """Medians, milliseconds."""

    direct: float
    through: float

    @property
    def cost(self) -> float:
        """What the gateway adds to the median."""
        return self.through - self.direct


def added(direct: Api, through: Api, samples: int) -> dict[str, Added]:
    """Latency of one read and one write, asked directly and through the gateway in turn.

    Each goes first half of the time, so that whatever else happens falls on both.
    """
    network = direct.ask("POST", "/networks", {"network": {"name": "bench"}})["network"]["id"]
    count = itertools.count()

    def read(api: Api) -> None:
        api.ask("GET", f"/networks/{network}")

    def write(api: Api) -> None:
        api.ask("PUT", f"/networks/{network}", {"network": {"description": f"change {next(count)}"}})

    found = {}
    for name, call in ((READ, read), (WRITE, write)):
        taken: dict[Api, list[float]] = {direct: [], through: []}
        for number in range(-10, samples):
            for api in (direct, through) if number % 2 else (through, direct):
                seconds = _timed(call, api)
                if number >= 0:
                    taken[api].append(seconds * 1e3)
        found[name] = Added(statistics.median(taken[direct]), statistics.median(taken[through]))
    direct.ask("DELETE", f"/networks/{network}")
    return found


def _timed(call: Callable[[Api], None], api: Api) -> float:
    started = time.perf_counter()
    call(api)
    return time.perf_counter() - started


def accepted(url: str, token: str, clients: int, seconds: float) -> float:
    """Ports that this many clients, each creating one after the other, get created in a second."""
    with closing(Api(url, token)) as api:
        network = api.ask("POST", "/networks", {"network": {"name": "bench-rate"}})["network"]["id"]
        end = time.perf_counter() + seconds

        def create(_: int) -> list[str]:
            made = []
            with closing(Api(url, token)) as mine:
                while time.perf_counter() < end:
                    made.append(mine.ask("POST", "/ports", {"port": {"network_id": network}})["port"]["id"])
            return made

        started = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            made = [port for ports in pool.map(create, range(clients)) for port in ports]
        rate = len(made) / (time.perf_counter() - started)
        for port in made:
            api.ask("DELETE", f"/ports/{port}")
        api.ask("DELETE", f"/networks/{network}")
    return rate

"""Writes that come at a steady rate, whatever the answers take (an open loop).

    python -m benchmarks.steady PORT PER_SECOND SECONDS

A client that waits for an answer before it asks again asks less while the server is slow, and so does not see how
slow it is. Here each write has its time, the n-th n / PER_SECOND after the start. It is sent then, or as soon as one
of the connections is free, and what it took is counted from its time on. The rate is that of the answers.
Prints one line of JSON, see `Steady`. wrk cannot do this. A process of its own, because it must not be held up.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import deque
from typing import NamedTuple

import uvloop

CONNECTIONS = 64
_BODY = b'{"port": {"network_id": "' + b"n" * 36 + b'", "name": "bench"}}'
_REQUEST = (
    b"POST /v2.0/ports?limit=14 HTTP/1.1\r\nHost: api\r\nX-Auth-Token: gAAAAAB" + b"x" * 176 + b"\r\n"
    b"User-Agent: openstacksdk/4.22.0 keystoneauth1/5.18.1 python-requests/2.34.2\r\nAccept: application/json\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
_PATIENCE = 10.0  # seconds that the last answers get


class Steady(NamedTuple):
    """What came of it. Times are milliseconds, from the time at which a write should have been sent."""

    rate: float
    p50: float
    p99: float
    longest: float
    errors: int
    """Writes with another answer than 201, or none."""


class _Connection(asyncio.Protocol):
    """One of the clients."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._due = 0.0
        self._answer = b""
        self._length = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, due: float) -> None:
        """Sends a write whose time has come."""
        self._due = due
        self._transport.write(_REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        answer = self._answer = self._answer + data
        if not self._length and (end := answer.find(b"\r\n\r\n")) >= 0:
            at = answer.lower().index(b"content-length:") + 15
            self._length = end + 4 + int(answer[at : answer.index(b"\r", at)])
        if self._length and len(answer) >= self._length:
            self._answer, self._length = b"", 0
            self._load.answered(self, self._due, created=answer.startswith(b"HTTP/1.1 201"))


class _Load:
    """The writes, and the connections that are free for the next one."""

    def __init__(self, per_second: float, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._per_second = per_second
        self._count = int(per_second * seconds)
        self._begun = 0
        self._waiting: deque[float] = deque()
        self._free: list[_Connection] = []
        self._created: list[float] = []
        self._refused = 0
        self._last = 0.0
        self._over = asyncio.Event()

    async def run(self, port: int) -> Steady:
        """Offers them all, and waits for the last answer."""
        for _ in range(CONNECTIONS):
            _, connection = await self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", port)
            self._free.append(connection)
        self._start = time.perf_counter()
        self._tick()
        try:
            async with asyncio.timeout(self._count / self._per_second + _PATIENCE):
                await self._over.wait()
        except TimeoutError:
            pass  # what has no answer is counted as an error
        took = sorted(self._created)
        middle, *_ = statistics.quantiles(took, n=2)
        return Steady(
            rate=len(took) / (self._last - self._start),
            p50=middle * 1e3,
            p99=statistics.quantiles(took, n=100)[98] * 1e3,
            longest=took[-1] * 1e3,
            errors=self._count - len(took),
        )

    def _tick(self) -> None:
        """Sends what is due."""
        now = time.perf_counter()
        due = min(self._count, int((now - self._start) * self._per_second) + 1)
        for number in range(self._begun, due):
            self._waiting.append(self._start + number / self._per_second)
        self._begun = due
        while self._waiting and self._free:
            self._free.pop().send(self._waiting.popleft())
        if self._begun < self._count:
            self._loop.call_later(0.001, self._tick)

    def answered(self, connection: _Connection, due: float, *, created: bool) -> None:
        """One has its answer; the connection takes the next one that waits."""
        self._last = time.perf_counter()
        if created:
            self._created.append(self._last - due)
        else:
            self._refused += 1
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._free.append(connection)
            if len(self._created) + self._refused == self._count:
                self._over.set()


def offered(port: int, per_second: float, seconds: float) -> Steady:
    """Offers writes to a port of this machine from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.steady", str(port), str(per_second), str(seconds)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return Steady(*json.loads(ran.stdout))


async def _main(port: int, per_second: float, seconds: float) -> None:
    print(json.dumps(await _Load(per_second, seconds).run(port)))


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))

"""The gateway's figures for Prometheus, in its text format 0.0.4, on an address of their own."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import accumulate
from typing import TYPE_CHECKING

from alcor_migrate.errors import GatewayError
from alcor_migrate.gateway.settings import listen_address
from alcor_migrate.gateway.stats import BOUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alcor_migrate.gateway.face import ApiGateway
    from alcor_migrate.journal import JournalStats

Family = tuple[str, str, str, "Iterable[tuple[str, float]]"]
"""Name (without `alcor_`), kind, meaning and samples; of a sample what follows the name (suffix, labels), and the
value."""

_PATIENCE = 5.0


def exposition(gateway: ApiGateway, journal: JournalStats) -> str:
    """All figures as of now; those of several workers are as old as their last heartbeat."""
    return "".join(
        f"# HELP alcor_{name} {meaning}\n# TYPE alcor_{name} {kind}\n"
        + "".join(f"alcor_{name}{rest} {value!r}\n" for rest, value in samples)
        for name, kind, meaning, samples in (*_families(gateway, journal), *gateway.figures())
    )


def _families(gateway: ApiGateway, journal: JournalStats) -> Iterator[Family]:
    stats = gateway.stats
    counter, gauge = "counter", "gauge"
    requests = [
        (f'{{route="{route}",method="{method.decode()}",resource="{resource}",status="{status}"}}', n)
        for (route, method, resource, status), n in sorted(stats.counted.items())
    ]
    yield "gateway_requests_total", counter, "Requests; status 0 where the answer was cut.", requests
    buckets = zip([*map(str, BOUNDS), "+Inf"], accumulate(stats.latency), strict=True)
    times: list[tuple[str, float]] = [(f'_bucket{{le="{bound}"}}', n) for bound, n in buckets]
    times += [("_sum", stats.latency_total), ("_count", sum(stats.latency))]
    yield "gateway_request_seconds", "histogram", "Time to the whole answer, without the time held.", times
    servers = [(f'{{side="{side}",server="{name}"}}', each) for (side, name), each in sorted(stats.servers.items())]
    share: list[tuple[str, float]] = [(which, each.up / each.processes) for which, each in servers if each.processes]
    sent: list[tuple[str, float]] = [(which, each.requests) for which, each in servers]
    failed: list[tuple[str, float]] = [(which, each.failures) for which, each in servers]
    yield "gateway_upstream_up", gauge, "Share of the gateway's processes that send requests to this server.", share
    yield "gateway_upstream_requests_total", counter, "Requests sent to this server.", sent
    yield "gateway_upstream_failures_total", counter, "Connections and requests that failed.", failed
    back: list[tuple[str, float]] = [(f'{{why="{why}"}}', n) for why, n in sorted(stats.fell_back.items())]
    yield "gateway_reads_fell_back_total", counter, "Reads that the active side was asked for instead.", back
    for name, kind, meaning, value in (
        ("gateway_in_flight_writes", gauge, "Writes whose outcome is not recorded yet.", gateway.in_flight_writes),
        ("gateway_held_writes", gauge, "Writes that wait now.", stats.held_now),
        ("gateway_epoch", gauge, "Counts the switches of the route.", gateway.epoch),
        ("gateway_incomplete", gauge, "1 when a write has passed without a record.", int(gateway.incomplete)),
        ("gateway_connections_total", counter, "Connections of clients.", stats.connections),
        ("gateway_refused_total", counter, "Requests that were no acceptable HTTP.", stats.refused_total),
        ("gateway_reads_ahead_total", counter, "Reads that the passive side answered.", stats.reads_ahead),
        ("gateway_captured_total", counter, "Writes recorded before they were forwarded.", stats.captured_total),
        ("gateway_not_captured_total", counter, "Writes passed without a record.", stats.not_captured_total),
        ("gateway_unknown_total", counter, "Writes whose answer was never seen.", stats.unknown_total),
        ("gateway_held_total", counter, "Writes that had to wait.", stats.held_total),
        ("gateway_holds_expired_total", counter, "Holds that gave up.", stats.holds_expired),
        ("journal_commits_total", counter, "Commits of the journal.", journal.commits),
        ("journal_entries_total", counter, "Entries in these commits.", journal.entries),
        ("journal_failures_total", counter, "Commits that failed.", journal.failures),
        ("journal_commit_seconds_total", counter, "Time spent in commits.", journal.commit_time_total),
        ("journal_commit_seconds_max", gauge, "The longest commit.", journal.longest_commit),
    ):
        yield name, kind, meaning, [("", value)]


async def close_server(server: asyncio.Server | None) -> None:
    """Ends it, if there is one."""
    if server is not None:
        server.close()
        await server.wait_closed()


async def serve_metrics(listen: str, gateway: ApiGateway, journal: JournalStats) -> asyncio.Server:
    """Answer GET /metrics at an address. Raises GatewayError when it cannot be had, ConfigError when it is none."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                found = head.startswith((b"GET /metrics ", b"GET /metrics?"))
                body = exposition(gateway, journal).encode() if found else b"The figures are at /metrics.\n"
                status = b"200 OK" if found else b"404 Not Found"
                kind = b"text/plain; version=0.0.4; charset=utf-8"
                lines = b"HTTP/1.1 %b\r\nContent-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                writer.write(lines % (status, kind, len(body)) + body)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    address = listen_address(listen)
    try:
        return await asyncio.start_server(answer, address.host, address.port)
    except OSError as error:
        msg = f"the metrics cannot be served on {listen}: {error.strerror or error}"
        raise GatewayError(msg, "Free the address, or choose another one as `metrics_listen`.") from error

"""Counters of the gateway; durations are seconds unless the name says otherwise."""

from __future__ import annotations

import msgspec

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency histogram's buckets; one more bucket holds what took longer."""

LATE, CLOSED, REFUSED, LOST, UNHEARD = "late", "closed", "refused", "lost", "unheard"
"""Why a read that could go ahead was asked of the active side: the passive one did not have everything in time; it
must not be asked at all now; it answered with anything but success; it gave no answer; and of a worker: its master
said nothing."""


class ServerStats(msgspec.Struct, kw_only=True):
    """One API server, as seen by one process or several."""

    requests: int = 0
    """Sent to it."""
    failures: int = 0
    """Connections that could not be had, and requests without a whole answer."""
    up: int = 1
    """Processes that send requests to it."""
    processes: int = 1
    """Processes that know it."""


class Stats(msgspec.Struct, kw_only=True):
    """What happened since the gateway was made."""

    counted: dict[tuple[str, bytes, str, int], int] = {}
    """Requests by route, method, resource and status; status 0 where the client was gone or the answer was cut."""
    latency: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    """Requests by the time to their whole answer, without the time held; see BOUNDS."""
    latency_total: float = 0.0
    connections: int = 0
    servers: dict[tuple[str, str], ServerStats] = {}
    """By side and address."""
    epoch: int = 0
    captured_total: int = 0
    unknown_total: int = 0
    not_sent_total: int = 0
    not_captured_total: int = 0
    """Writes passed on without a record because the journal was stalled and the policy is fail_open."""
    answered_late_total: int = 0
    """Writes answered before their outcome was durable because the journal stalled after they were sent."""
    retried_reads_total: int = 0
    reads_ahead: int = 0
    """Reads that the passive side answered."""
    fell_back: dict[str, int] = {}
    """Reads that the active side was asked for instead, by why."""
    refused_total: int = 0
    held_now: int = 0
    held_total: int = 0
    longest_hold_ms: float = 0.0
    holds_expired: int = 0

    @property
    def requests(self) -> dict[tuple[str, str, int], int]:
        """Requests by route, method and status; status 0 where the client was gone or the answer was cut."""
        found: dict[tuple[str, str, int], int] = {}
        for (route, method, _, status), n in self.counted.items():
            key = (route, method.decode(), status)
            found[key] = found.get(key, 0) + n
        return found


def added(one: Stats, other: Stats) -> Stats:
    """Both together."""
    total = Stats(counted=dict(one.counted), latency=[a + b for a, b in zip(one.latency, other.latency, strict=True)])
    for key, n in other.counted.items():
        total.counted[key] = total.counted.get(key, 0) + n
    for stats in (one, other):
        for why, n in stats.fell_back.items():
            total.fell_back[why] = total.fell_back.get(why, 0) + n
        for server, mine in stats.servers.items():
            both = total.servers.setdefault(server, ServerStats(up=0, processes=0))
            for field in mine.__struct_fields__:
                setattr(both, field, getattr(both, field) + getattr(mine, field))
    for name in _SUMS:
        setattr(total, name, getattr(one, name) + getattr(other, name))
    total.epoch = max(one.epoch, other.epoch)
    total.longest_hold_ms = max(one.longest_hold_ms, other.longest_hold_ms)
    return total


_SUMS = [
    field.name
    for field in msgspec.structs.fields(Stats)
    if field.type in (int, float) and field.name not in {"epoch", "longest_hold_ms"}
]

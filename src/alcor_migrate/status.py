"""What a running migration says about itself: `status --json`, the control socket and the live screen.

A stable interface: fields are added, never renamed. Times are unix seconds, durations seconds unless the name
ends in `_ms`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from alcor_migrate.engine.copy import CopyProgress  # noqa: TC001  # msgspec reads the annotations at run time
from alcor_migrate.engine.cutover import Attempt  # noqa: TC001
from alcor_migrate.engine.gates import Gate  # noqa: TC001
from alcor_migrate.engine.state import Transition  # noqa: TC001
from alcor_migrate.engine.verify import Verification  # noqa: TC001

VERSION = 1


class GatewayStatus(msgspec.Struct, kw_only=True):
    """The gateway now, and since it started."""

    listen: str
    route: str
    epoch: int
    policy: str
    incomplete: bool
    in_flight_writes: int
    held: int
    longest_hold_ms: float
    requests: dict[str, int]
    """By `route method status`."""
    captured: int


class JournalStatus(msgspec.Struct, kw_only=True):
    """The journal now."""

    position: int
    entries: int
    unknown: int
    stalled: bool
    bytes: int


class ReplayStatus(msgspec.Struct, kw_only=True):
    """Replay now; `lag` is the age of the oldest entry that is not applied."""

    applied: int
    lag: float
    worst_lag: float
    entries: int
    changes: int
    trouble: str
    poison: dict[str, str]


class SweepStatus(msgspec.Struct, kw_only=True):
    """What sweeps found that had passed the gateway by."""

    last_at: float | None
    sweeps: int
    found: int


class Status(msgspec.Struct, kw_only=True):
    """Everything an operator asks about a running migration."""

    version: int
    cloud: str
    state: str
    since: float
    active: str
    ready: bool
    activity: str
    """What the engine is doing right now, in words."""
    gateway: GatewayStatus
    journal: JournalStatus
    copy: CopyProgress
    replay: ReplayStatus
    sweep: SweepStatus
    verification: Verification | None
    verification_is: str
    gates: list[Gate]
    attempts: list[Attempt]
    transitions: list[Transition]
    started_at: float


def to_json(status: Status) -> dict[str, Any]:
    """The status as JSON's own types, with the numbers that are computed from others."""
    document: dict[str, Any] = msgspec.to_builtins(status)
    document["copy"] |= {"copied": status.copy.copied, "rate": status.copy.rate, "eta": status.copy.eta}
    return document

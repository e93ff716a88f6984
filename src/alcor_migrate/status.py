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
    """Where clients connect."""
    route: str
    """`pass`, `capture`, `hold` or `target`."""
    epoch: int
    """Counts the switches of the route."""
    policy: str
    """`fail_closed` or `fail_open`."""
    incomplete: bool
    """Whether a write has passed without a record."""
    in_flight_writes: int
    """Writes whose outcome is not recorded yet."""
    held: int
    """Writes that wait now."""
    longest_hold_ms: float
    """The longest that a write has waited since the start."""
    requests: dict[str, int]
    """By `route method status`."""
    captured: int
    """Writes recorded since the start."""


class JournalStatus(msgspec.Struct, kw_only=True):
    """The journal now."""

    position: int
    """The last durable event."""
    entries: int
    """Outcomes that it holds."""
    unknown: int
    """Outcomes that nobody knows and that were not settled."""
    stalled: bool
    """Whether the last write to it failed."""
    bytes: int
    """Its size on disk."""


class ReplayStatus(msgspec.Struct, kw_only=True):
    """Replay now; `lag` is the age of the oldest entry that is not applied."""

    applied: int
    """The position up to which everything is applied."""
    lag: float
    """Age of the oldest entry that is not applied."""
    worst_lag: float
    """The highest lag since the start."""
    entries: int
    """Entries applied since the start."""
    changes: int
    """Objects that were changed on the passive side since the start."""
    trouble: str
    """Why nothing can be applied now; empty when all is well."""
    poison: dict[str, str]
    """Objects that the passive side would not take, with its reason."""


class SweepStatus(msgspec.Struct, kw_only=True):
    """What sweeps found that had passed the gateway by."""

    last_at: float | None
    """When the last one ended."""
    sweeps: int
    """How many there were since the start."""
    found: int
    """Objects that had passed the gateway by."""


class Status(msgspec.Struct, kw_only=True):
    """Everything an operator asks about a running migration."""

    version: int
    """Of this document."""
    cloud: str
    """The source's name in clouds.yaml."""
    state: str
    """Where the state machine is; see `transitions`."""
    since: float
    """When it got there."""
    active: str
    """Which side users' requests go to: `source` or `target`."""
    ready: bool
    """Whether cutover (or, after it, reverse) would be let through now."""
    activity: str
    """What the engine is doing right now, in words."""
    gateway: GatewayStatus
    """See below."""
    journal: JournalStatus
    """See below."""
    copy: CopyProgress
    """How far the bulk transfer is."""
    replay: ReplayStatus
    """See below."""
    sweep: SweepStatus
    """See below."""
    verification: Verification | None
    """What the last verify found, in this direction."""
    verification_is: str
    """`never`, `fresh` or `stale`."""
    gates: list[Gate]
    """Each gate of the next handover, open or closed, with its reason."""
    attempts: list[Attempt]
    """Every try of a handover."""
    transitions: list[Transition]
    """The audit log: who, when, what, why."""
    started_at: float
    """When this process started."""


def to_json(status: Status) -> dict[str, Any]:
    """The status as JSON's own types, with the numbers that are computed from others."""
    document: dict[str, Any] = msgspec.to_builtins(status)
    document["copy"] |= {"copied": status.copy.copied, "rate": status.copy.rate, "eta": status.copy.eta}
    return document

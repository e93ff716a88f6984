"""What a running migration says about itself: `status --json`, the control socket and the live screen.

A stable interface: fields are added, never renamed. Times are unix seconds, durations seconds unless the name
ends in `_ms`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from alcor_migrate import compiled
from alcor_migrate.engine.attention import Concern  # noqa: TC001  # msgspec reads the annotations at run time
from alcor_migrate.engine.copy import CopyProgress  # noqa: TC001
from alcor_migrate.engine.cutover import Attempt  # noqa: TC001
from alcor_migrate.engine.freshness import Freshness  # noqa: TC001
from alcor_migrate.engine.gates import Gate  # noqa: TC001
from alcor_migrate.engine.reads import ReadsStatus  # noqa: TC001
from alcor_migrate.engine.shadow import ShadowStatus  # noqa: TC001
from alcor_migrate.engine.state import State, Transition
from alcor_migrate.engine.verify import Verification  # noqa: TC001

if TYPE_CHECKING:
    from alcor_migrate.engine.conductor import Migration

VERSION = 1


class ServerStatus(msgspec.Struct, kw_only=True):
    """One API server behind the gateway."""

    side: str
    """`source` or `target`."""
    address: str
    """Its host and port."""
    up: bool
    """Whether every process of the gateway sends requests to it."""
    requests: int
    """Requests sent to it since the start."""
    failures: int
    """Connections that it did not take, and requests without a whole answer."""


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
    servers: list[ServerStatus]
    """The API servers behind it."""
    compiled: bool
    """Whether its hot path runs compiled (`make compile`)."""


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
    undeclared: dict[str, int]
    """Writes since the start to collections that nobody declared, by collection: what they made stays behind."""


class SweepStatus(msgspec.Struct, kw_only=True):
    """What sweeps found that had passed the gateway by."""

    last_at: float | None
    """When the last one ended."""
    sweeps: int
    """How many there were since the start."""
    found: int
    """Objects that had passed the gateway by."""
    found_by: dict[str, int] = {}
    """The same by who wrote them, as far as can be told: `agents` over RPC, `reads` that write, `others`."""


class ThrottleStatus(msgspec.Struct, kw_only=True):
    """Whether copy, verify and sweep may read on."""

    reason: str
    """Why they have to wait now; empty when they may go on."""
    waiting: bool
    """Whether one of them does wait now."""
    waited: float
    """How long they have waited since the start."""
    source_latency: float
    """What the source's last probe took; 0 before the first."""
    source_latency_target: float
    """Above this they wait; 0 is never."""


class SteeringStatus(msgspec.Struct, kw_only=True):
    """The operator's settings as they are now (`alcor-migrate control`)."""

    chunk_size: int
    """Objects in a page of copy, verify and sweep."""
    max_hold: float
    """The bound of the next handover's hold."""
    max_lag: float
    """The lag above which cutover and reverse are refused."""
    throttled: str
    """Who has throttled copy, verify and sweep; empty when nobody has."""
    postponed: str
    """Who has postponed the cutover; empty when nobody has."""
    waits: str
    """The cutover that was asked for and waits, and for what; empty when there is none."""


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
    standing: str
    """The same as `state`; while that is `needs_attention`, the state beneath it."""
    attention: list[Concern]
    """What needs attention, oldest first."""
    active: str
    """Which side users' writes go to, and their reads unless `reads.side` says otherwise: `source` or `target`."""
    ready: bool
    """Whether cutover (or, after it, reverse) would be let through now."""
    activity: str
    """What the engine is doing right now, in words."""
    gateway: GatewayStatus
    """See below."""
    reads: ReadsStatus
    """See below."""
    journal: JournalStatus
    """See below."""
    copy: CopyProgress
    """How far the bulk transfer is."""
    replay: ReplayStatus
    """See below."""
    sweep: SweepStatus
    """See below."""
    throttle: ThrottleStatus
    """See below."""
    steering: SteeringStatus
    """See below."""
    shadow: ShadowStatus
    """See below."""
    verification: Verification | None
    """What the last verify found, in this direction."""
    verification_is: str
    """`never`, `fresh` or `stale`."""
    freshness: list[Freshness]
    """The same for each resource."""
    set_aside: dict[str, int]
    """Objects that are not given to the target, because their gap was accepted, by rule; upstream Alcor only."""
    gates: list[Gate]
    """Each gate of the next handover, open or closed, with its reason."""
    attempts: list[Attempt]
    """Every try of a handover."""
    aborts: dict[str, int]
    """How many of them failed, by `why`."""
    transitions: list[Transition]
    """The changes of the state: who, when, what, why. `alcor-migrate audit` has everything else that was done."""
    started_at: float
    """When this process started."""


async def gather(migration: Migration) -> Status:
    """Everything an operator asks, as of now."""
    store, gateway, journal, replay = migration.store, migration.gateway, migration.journal, migration.replay
    upkeep, steering, throttle = migration.upkeep, migration.steering, migration.throttle
    counts = await migration.journal_counts()
    history = store.transitions()
    verdicts = await migration.gates("source" if replay.active == "target" else "target", quick=True)
    # A reverse verifies by itself, so that it can be had at once.
    needed = [g for g in verdicts if store.state is not State.SWITCHED or g.name != "verification"]
    failed = [attempt.why for attempt in migration.attempts if not attempt.succeeded]
    return Status(
        version=VERSION,
        cloud=migration.settings.source.cloud,
        state=store.state.value,
        since=history[-1].at if history else migration.started_at,
        standing=store.standing.value,
        attention=migration.concerns,
        active=replay.active,
        ready=store.state in {State.READY, State.REVERSED, State.SWITCHED} and all(g.open for g in needed),
        activity=migration.activity,
        gateway=GatewayStatus(
            compiled=compiled.in_use(),
            listen=migration.settings.gateway.listen,
            route=gateway.route.value,
            epoch=gateway.epoch,
            policy=migration.settings.gateway.policy,
            incomplete=upkeep.incomplete,
            in_flight_writes=gateway.in_flight_writes,
            held=gateway.stats.held_now,
            longest_hold_ms=gateway.stats.longest_hold_ms,
            requests={" ".join(map(str, key)): n for key, n in gateway.stats.requests.items()},
            captured=gateway.stats.captured_total,
            servers=[
                ServerStatus(
                    side=side,
                    address=address,
                    up=server.up == server.processes,
                    requests=server.requests,
                    failures=server.failures,
                )
                for (side, address), server in sorted(gateway.stats.servers.items())
            ],
        ),
        reads=migration.reads.status,
        journal=JournalStatus(
            position=journal.position,
            entries=counts.outcomes,
            unknown=counts.unknown,
            stalled=journal.stalled,
            bytes=journal.size,
        ),
        copy=migration.copy,
        replay=ReplayStatus(
            applied=replay.applied,
            lag=replay.lag,
            worst_lag=replay.worst_lag,
            entries=replay.entries,
            changes=replay.changes,
            trouble=replay.trouble,
            poison={str(k): v for k, v in replay.poison.items()},
            undeclared=dict(replay.undeclared),
        ),
        sweep=upkeep.swept,
        throttle=ThrottleStatus(
            reason=throttle.reason,
            waiting=throttle.holds_back,
            waited=throttle.waited,
            source_latency=throttle.latency,
            source_latency_target=steering.source_latency,
        ),
        steering=SteeringStatus(
            chunk_size=steering.chunk_size,
            max_hold=steering.max_hold,
            max_lag=steering.max_lag,
            throttled=steering.throttled,
            postponed=steering.postponed,
            waits=migration.postponement.waits,
        ),
        shadow=migration.shadow.status,
        verification=upkeep.verification,
        verification_is=upkeep.freshness,
        freshness=upkeep.freshness_by_resource,
        set_aside=migration.around.set_aside,
        gates=verdicts,
        attempts=migration.attempts,
        aborts={why: failed.count(why) for why in sorted(set(failed))},
        transitions=history,
        started_at=migration.started_at,
    )


def to_json(status: Status) -> dict[str, Any]:
    """The status as JSON's own types, with the numbers that are computed from others."""
    document: dict[str, Any] = msgspec.to_builtins(status)
    document["copy"] |= {"copied": status.copy.copied, "rate": status.copy.rate, "eta": status.copy.eta}
    return document

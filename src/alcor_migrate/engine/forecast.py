"""What a handover would do now, and how long each step would take: measured, without doing any of it.

Only two things are written: a mark that replay passes, as copy's watermarks are, and a line of the audit log. Both
are what a handover writes too, so how long they take is measured by writing them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from alcor_migrate.engine.compare import look
from alcor_migrate.engine.gates import Gate  # noqa: TC001  # msgspec reads the annotations at run time
from alcor_model import resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alcor_migrate.engine.machinery import Machinery

_RECENT_EVENTS = 400
_PATIENCE = 10.0
_LAST_LOOK = 200


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a handover; times are milliseconds."""

    what: str
    """What would be done."""
    expected_ms: float | None
    """How long it would take; None when there is nothing to tell it by."""
    worst_ms: float | None
    """The longest that was seen lately."""
    basis: str
    """What was measured to say so."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a cutover or a reverse would do now."""

    to: str
    """The side that the traffic would go to."""
    gates: list[Gate]
    """Each gate, open or closed."""
    steps: list[Step]
    """In their order; the first holds the writes, the last lets them go."""
    hold_ms: float
    """How long writes would be held, all steps together."""
    max_hold_ms: float
    """The bound."""

    reads_only: bool = False
    """Whether only reads would be switched; then nothing is held."""

    @property
    def fits(self) -> bool:
        """Whether it is expected to fit into the bound."""
        return self.hold_ms <= self.max_hold_ms


async def forecast(parts: Machinery, to: str, max_hold: float, gates: list[Gate], actor: str) -> Forecast:
    """Measure every step. `max_hold` is in seconds. Raises CloudError when a side cannot be read."""
    steps = [
        Step(what="hold new writes in the gateway", expected_ms=0.0, worst_ms=0.0, basis="the route is a variable"),
        await _drain(parts),
        await _replay(parts),
        await _last_look(parts),
        _record(parts, to, actor),
        _flip(parts),
    ]
    held = sum(step.expected_ms or 0.0 for step in steps)
    return Forecast(to=to, gates=gates, steps=steps, hold_ms=round(held, 1), max_hold_ms=max_hold * 1000)


async def forecast_reads(parts: Machinery, to: str, max_hold: float, gates: list[Gate], actor: str) -> Forecast:
    """The same for a switch of the reads alone. Raises JournalError."""
    flying = parts.gateway.in_flight_writes
    waiting = await _replay(parts)
    steps = [
        _record(parts, to, actor),
        Step(
            what="let every process of the gateway follow; reads are asked where writes go until then",
            expected_ms=0.0,
            worst_ms=parts.settings.gateway.reads_patience * 1000,
            basis="the route is a variable; a worker that does not confirm is replaced",
        ),
        Step(
            what=f"wait for the writes in flight ({flying} now) to be recorded; no one else waits for them",
            expected_ms=0.0 if not flying else None,
            worst_ms=None,
            basis="they were counted just now",
        ),
        msgspec.structs.replace(
            waiting, what="from then on a read that follows a write waits until replay has passed it"
        ),
    ]
    return Forecast(to=to, gates=gates, steps=steps, hold_ms=0.0, max_hold_ms=max_hold * 1000, reads_only=True)


async def _drain(parts: Machinery) -> Step:
    flying = parts.gateway.in_flight_writes
    after = max(0, parts.journal.position - _RECENT_EVENTS)
    events = await parts.journal.read(after=after, limit=_RECENT_EVENTS)
    took = [
        (e.outcome.finished_at - e.intent.started_at) * 1000
        for e in events
        if e.intent is not None and e.outcome is not None and e.intent.side == parts.replay.active
    ]
    what = f"wait for the writes in flight ({flying} now) to be answered and recorded"
    if not took:
        nothing = 0.0 if not flying else None
        return Step(what=what, expected_ms=nothing, worst_ms=None, basis="no write was seen lately")
    expected, worst = drain_times(took)
    return Step(what=what, expected_ms=expected, worst_ms=worst, basis=f"how long the last {len(took)} writes took")


def drain_times(took: Sequence[float]) -> tuple[float, float]:
    """(expected, worst) wait for what is in flight, from how long writes took: half of them, and the longest."""
    return round(median(took), 1), round(max(took), 1)


async def _replay(parts: Machinery) -> Step:
    began = time.monotonic()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await parts.replay.reach(await parts.journal.mark("forecast", uuid.uuid4().hex))
    took = _ms(began)
    return Step(
        what="take the journal's position and replay up to it, until the attempt's own token is confirmed",
        expected_ms=took,
        worst_ms=max(took, round(parts.replay.lag * 1000, 1)),
        basis="a mark was sent through the journal just now",
    )


async def _last_look(parts: Machinery) -> Step:
    recent = parts.replay.recent()[:_LAST_LOOK]
    active, passive = parts.replay.sides()
    began = time.monotonic()
    by_resource: dict[str, set[str]] = {}
    for key in recent:
        by_resource.setdefault(key.resource, set()).add(key.id)
    await asyncio.gather(*(look(active, passive, resource(name), ids) for name, ids in by_resource.items()))
    took = _ms(began)
    return Step(
        what="read what changed since the look before the hold once more on both sides",
        expected_ms=took,
        worst_ms=took,
        basis=f"the {len(recent)} objects that changed in the last seconds were read just now",
    )


def _record(parts: Machinery, to: str, actor: str) -> Step:
    began = time.monotonic()
    parts.store.note("forecast", actor, f"dry run of a handover to the {to}")
    took = _ms(began)
    return Step(
        what="record the switch",
        expected_ms=took,
        worst_ms=took,
        basis="the audit log was written to just now",
    )


def _flip(parts: Machinery) -> Step:
    flips = [a.hold_ms - a.replayed_ms for a in parts.attempts if a.succeeded]
    side = "Alcor" if parts.replay.active == "source" else "Neutron"
    what = f"let reads and the held writes go to {side}"
    if not flips:
        return Step(what=what, expected_ms=None, worst_ms=None, basis="no handover was made yet")
    return Step(
        what=what,
        expected_ms=round(median(flips), 1),
        worst_ms=round(max(flips), 1),
        basis=f"recording and releasing in {len(flips)} handovers before",
    )


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)

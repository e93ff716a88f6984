"""The engine's figures for Prometheus; the gateway serves them with its own, where `gateway.metrics_listen` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.engine.bypass import Writer
from alcor_migrate.engine.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alcor_migrate.engine.conductor import Migration
    from alcor_migrate.gateway.metrics import Family


def figures(migration: Migration) -> Iterator[Family]:
    """Name, kind, meaning and samples of each, as of now."""
    replay, upkeep, throttle = migration.replay, migration.upkeep, migration.throttle
    shadow, verification = migration.shadow.status, migration.upkeep.verification
    now = migration.store.state
    states = [(f'{{state="{state.value}"}}', float(state is now)) for state in State]
    yield "migration_state", "gauge", "1 for the state that the migration is in.", states
    failed = [attempt.why for attempt in migration.attempts if not attempt.succeeded]
    aborts = [(f'{{why="{why}"}}', float(failed.count(why))) for why in sorted(set(failed))]
    yield "handover_aborts_total", "counter", "Attempts of a handover that did not switch, by reason.", aborts
    answers = [
        ('{result="equal"}', float(shadow.equal)),
        ('{result="different"}', float(shadow.different)),
        ('{result="failed"}', float(shadow.failed)),
        ('{result="dropped"}', float(shadow.dropped)),
    ]
    yield "shadow_reads_total", "counter", "Users' reads that were also asked of the target.", answers
    reads = migration.reads
    found = [(f'{{by="{writer.value}"}}', float(upkeep.swept.found_by.get(writer.value, 0))) for writer in Writer]
    yield "sweep_found_total", "counter", "Objects that had passed the gateway by, by who wrote them.", found
    for name, kind, meaning, value in (
        ("reads_ahead", "gauge", "1 while reads go to the passive side.", int(migration.gateway.ahead)),
        (
            "reads_closed",
            "gauge",
            "1 while all of them are asked of the active side all the same.",
            int(migration.gateway.ahead and bool(reads.closed)),
        ),
        ("reads_waited_total", "counter", "Reads that waited for replay.", reads.waited),
        ("reads_waited_seconds_total", "counter", "How long they waited, together.", reads.waited_seconds),
        ("migration_concerns", "gauge", "Things that need attention.", len(migration.concerns)),
        ("replay_lag_seconds", "gauge", "Age of the oldest entry that is not applied.", replay.lag),
        ("replay_entries_total", "counter", "Entries applied.", replay.entries),
        ("replay_changes_total", "counter", "Objects changed on the passive side.", replay.changes),
        ("replay_rejected_objects", "gauge", "Objects that the passive side would not take.", len(replay.poison)),
        ("copy_objects", "gauge", "Objects copied.", migration.copy.copied),
        (
            "verify_mismatches",
            "gauge",
            "Mismatches of the last verification.",
            verification.mismatches if verification else 0,
        ),
        (
            "verify_finished_seconds",
            "gauge",
            "When the last verification ended, in unix seconds; 0 before the first.",
            verification.finished_at if verification else 0,
        ),
        ("throttled", "gauge", "1 while copy, verify and sweep have to wait.", int(bool(throttle.reason))),
        ("throttle_waited_seconds_total", "counter", "Time that they have waited.", throttle.waited),
        ("source_latency_seconds", "gauge", "What the source's last probe took.", throttle.latency),
    ):
        yield name, kind, meaning, [("", float(value))]

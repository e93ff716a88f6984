"""What a person has to look at: pure decisions on the same evidence as the gates.

A gate says whether a step may be taken; a *concern* says that the run itself will not get any further, or must not,
until something outside of it changes. Each has a patience, so that what heals by itself in a moment is no concern.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_migrate.engine.gates import Evidence

REJECTED_PATIENCE = 5.0
"""Replay asks for a rejected object again for about two seconds, because what it needs may be on its way."""
STALL_PATIENCE = 2.0


class Concern(msgspec.Struct, frozen=True):
    """One thing that needs attention."""

    name: str
    """What it is about."""
    since: float
    """When it was first seen, in unix seconds."""
    reason: str
    """What was seen."""
    next_step: str
    """The way out."""


class Seen(NamedTuple):
    """A concern that may pass by itself within `patience` seconds."""

    reason: str
    next_step: str
    patience: float


def concerns(evidence: Evidence, stopped: Mapping[str, str], panic: str, away: float) -> dict[str, Seen]:
    """What there is to worry about now, by name.

    `stopped` says of each part of the engine that has died why, `panic` who stopped it (empty: nobody), `away` how
    many seconds a side may be unreachable.
    """
    resume = "Find out why in the log, then `alcor-migrate resume`."
    found: dict[str, Seen] = {}
    if panic:
        found["panic"] = Seen(panic, "When it may go on: `alcor-migrate resume`.", 0.0)
    for part, reason in stopped.items():
        found[part] = Seen(f"it stopped, because {reason}", resume, 0.0)
    if evidence.journal_stalled:
        found["journal"] = Seen(
            "it cannot be written", "Check free space and health of its disk or database.", STALL_PATIENCE
        )
    if evidence.trouble:
        found["replay"] = Seen(
            f"waits: {evidence.trouble}", "Bring that service back; replay goes on by itself.", away
        )
    if evidence.unknown:
        found["unknown writes"] = Seen(
            f"{evidence.unknown} writes have an outcome that could not be settled", resume, away
        )
    if evidence.poison:
        found["rejected objects"] = Seen(
            f"{evidence.poison} objects were not taken by the passive side",
            "`alcor-migrate status --json` names them (replay.poison); change what is wrong, then "
            "`alcor-migrate resume` offers them again.",
            REJECTED_PATIENCE,
        )
    if evidence.verification is not None and not evidence.verification.clean:
        found["verification"] = Seen(
            f"{evidence.verification.mismatches} objects lastingly differ", "`alcor-migrate verify --repair`.", 0.0
        )
    return found


class Attention:
    """Remembers since when each concern is there."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def look(self, seen: Mapping[str, Seen], now: float) -> list[Concern]:
        """The concerns that have outlasted their patience, oldest first; `now` is unix seconds."""
        self._since = {name: self._since.get(name, now) for name in seen}
        lasting = [
            Concern(name, self._since[name], what.reason, what.next_step)
            for name, what in seen.items()
            if now - self._since[name] >= what.patience
        ]
        return sorted(lasting, key=lambda concern: concern.since)

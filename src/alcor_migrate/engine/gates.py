"""What must hold before a step is taken: pure decisions, each with a reason and the evidence it looked at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from alcor_migrate.engine.verify import Verification


class Gate(msgspec.Struct, frozen=True):
    """One verdict."""

    name: str
    """What it watches."""
    open: bool
    """Whether the step may be taken as far as this gate is concerned."""
    reason: str
    """What it saw."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates of cutover and reverse look at, gathered at one instant. Times are seconds."""

    copied: bool
    lag: float
    trouble: str
    poison: int
    unknown: int
    verification: Verification | None
    journal_stalled: bool
    journal_incomplete: bool
    passive_answers: bool
    ids_can_be_kept: bool = True
    serves_users: bool = True


def gates(evidence: Evidence, *, max_lag: float, verify_max_age: float, now: float | None = None) -> list[Gate]:
    """Every gate of a cutover or a reverse, closed ones with the reason."""
    at = time.time() if now is None else now
    return [
        _gate("copy", evidence.copied, "everything is copied", "the copy is not finished"),
        _gate("passive side", evidence.passive_answers, "answers", "does not answer"),
        _gate("replay", not evidence.trouble, "works", f"waits: {evidence.trouble}"),
        _gate("lag", evidence.lag <= max_lag, f"{evidence.lag:.2f} s", f"{evidence.lag:.2f} s, above {max_lag:g} s"),
        _gate(
            "rejected objects",
            not evidence.poison,
            "none",
            f"{evidence.poison} objects were not taken by the passive side",
        ),
        _gate(
            "unknown writes",
            not evidence.unknown,
            "none",
            f"{evidence.unknown} writes have an unknown outcome that is not settled yet",
        ),
        _gate(
            "journal",
            not evidence.journal_stalled and not evidence.journal_incomplete,
            "complete",
            "it is stalled" if evidence.journal_stalled else "it is incomplete; a full sweep has to heal it",
        ),
        _verified(evidence.verification, verify_max_age, at),
        _gate(
            "api",
            evidence.serves_users,
            "is Neutron's",
            "upstream Alcor does not serve users as Neutron does: it shows every project's objects to everybody",
        ),
        _gate(
            "ids",
            evidence.ids_can_be_kept,
            "can be kept",
            "Neutron has not loaded the extension alcor-ids, so what was created since cannot be given back",
        ),
    ]


def freshness(verification: Verification | None, max_age: float, now: float) -> str:
    """`never`, `fresh` or `stale`, by the oldest comparison that it rests on.

    One that lies as far in the future, because the clock was set back since, is as stale.
    """
    if verification is None:
        return "never"
    return "fresh" if abs(now - verification.as_of) <= max_age else "stale"


def _verified(verification: Verification | None, max_age: float, now: float) -> Gate:
    name = "verification"
    if verification is None:
        return Gate(name, open=False, reason="nothing has been verified yet: run `alcor-migrate verify`")
    if not verification.clean:
        return Gate(
            name, open=False, reason=f"{verification.mismatches} mismatches: run `alcor-migrate verify --repair`"
        )
    if freshness(verification, max_age, now) == "stale":
        age = now - verification.as_of
        return Gate(name, open=False, reason=f"is {age:.0f} s old, above {max_age:g} s: run `alcor-migrate verify`")
    return Gate(name, open=True, reason=f"{verification.compared} objects equal")


def _gate(name: str, verdict: bool, well: str, otherwise: str) -> Gate:  # noqa: FBT001  # the verdict is the point
    return Gate(name, verdict, well if verdict else otherwise)

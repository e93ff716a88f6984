"""How fresh is what was verified? Of each resource: `verified`, `stale` or `never`. Pure.

A comparison is as old as its beginning: what was read first may have changed while the rest was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alcor_migrate.engine.verify import Verification, Verified

NEVER, VERIFIED, STALE = "never", "verified", "stale"


class Freshness(msgspec.Struct, frozen=True):
    """What is known of one resource, and whether that still holds."""

    resource: str
    """Its key in a list of Neutron's API."""
    state: str
    """`verified`, `stale` (something of it was written since, or it is too old) or `never`."""
    at: float | None = None
    """When its last comparison began, in unix seconds."""
    objects: int = 0
    """How many objects that was about."""
    mismatches: int = 0
    """How many of them differed."""
    written_at: float | None = None
    """When something of it was last replayed or healed, in unix seconds; None when that is not known."""


def by_resource(
    resources: Iterable[tuple[str, str]],
    verification: Verification | None,
    written: Mapping[str, float],
    max_age: float,
    now: float,
) -> list[Freshness]:
    """The freshness of each resource, given as (list key, name); `written` has the time of its last write by name."""
    found = {v.resource: v for v in verification.resources} if verification else {}
    return [_of(plural, found.get(plural), written.get(name), max_age, now) for plural, name in resources]


def _of(plural: str, verified: Verified | None, written_at: float | None, max_age: float, now: float) -> Freshness:
    if verified is None:
        return Freshness(plural, NEVER, written_at=written_at)
    stale = abs(now - verified.at) > max_age or (written_at is not None and written_at >= verified.at)
    return Freshness(
        plural, STALE if stale else VERIFIED, verified.at, verified.compared, verified.mismatches, written_at
    )

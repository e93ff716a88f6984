"""What the writer thread is told to write."""

from __future__ import annotations

import msgspec

from alcor_migrate.journal.records import OUTCOME, Intent, Mark, Outcome


class PutIntent(msgspec.Struct, frozen=True):
    """Keep this intent under this number."""

    seq: int
    intent: Intent


class PutOutcome(msgspec.Struct, frozen=True):
    """Keep the outcome of the intent of this number."""

    seq: int
    outcome: Outcome
    kind: str = OUTCOME


class PutMark(msgspec.Struct, frozen=True):
    """Keep this mark."""

    mark: Mark


class Settle(msgspec.Struct, frozen=True):
    """Give an intent without outcome an unknown one, or note how an unknown one was resolved."""

    seq: int
    writer: str
    how: str


class Prune(msgspec.Struct, frozen=True):
    """Forget what is applied and old."""

    position: int
    before: float


Entry = PutIntent | PutOutcome | PutMark | Settle | Prune

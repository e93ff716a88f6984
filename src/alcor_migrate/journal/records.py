"""What the journal is asked to keep and what it gives back. Times are unix seconds (UTC)."""

from __future__ import annotations

import msgspec

OUTCOME = "outcome"
READ_THAT_WROTE = "get-that-writes"
MARK = "mark"

INCOMPLETE = "incomplete"
"""The kind of the mark that says: writes have passed without a record before this."""

HANDOVER = "handover"
"""The kind of the mark that carries the token of one attempt of a handover."""

NOT_SENT = "not-sent"
"""`how` of an outcome when not one byte of the write reached the other side: nothing happened there."""


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A write that is about to be forwarded.

    `path` is the original request target with its query; `route` and `side` say what the gateway did with it
    (`capture` to the `source`, or `target` to the `target`).
    """

    method: str
    path: str
    request_id: str
    started_at: float
    body: bytes = b""
    route: str = "capture"
    side: str = "source"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a write.

    `status` 0 means that no answer was seen: with `how` = `not-sent` nothing was sent, with any other `how`
    the write may or may not have happened (*unknown*) and is settled by reading the side it went to.
    `truncated` says that the answer's body was too long to be kept.
    """

    status: int
    finished_at: float
    body: bytes = b""
    upstream_request_id: str = ""
    project_id: str | None = None
    user_id: str | None = None
    how: str = ""
    truncated: bool = False

    @property
    def unknown(self) -> bool:
        """Whether nobody can say from the journal alone what happened."""
        return self.status == 0 and self.how != NOT_SENT


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A point in the order of events: a watermark, a heartbeat, the token of an attempt."""

    kind: str
    token: str
    at: float


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the order. Outcomes carry their intent; marks carry neither.

    `kind` is `outcome`, `mark`, or `get-that-writes` for a read that may have created something on the side.
    """

    position: int
    kind: str
    writer: str
    seq: int | None = None
    intent: Intent | None = None
    outcome: Outcome | None = None
    mark: Mark | None = None

    @property
    def at(self) -> float:
        """When it happened."""
        if self.outcome is not None:
            return self.outcome.finished_at
        return self.mark.at if self.mark is not None else 0.0


class Unsettled(msgspec.Struct, frozen=True, kw_only=True):
    """An intent that has no outcome."""

    seq: int
    writer: str
    intent: Intent


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much the journal holds now (pruned entries are not counted)."""

    intents: int
    outcomes: int
    marks: int
    unknown: int
    unsettled: int
    by_method: dict[str, int]


class JournalStats(msgspec.Struct, kw_only=True):
    """Counters of this run; durations are seconds."""

    commits: int = 0
    entries: int = 0
    failures: int = 0
    stalls: int = 0
    last_commit: float = 0.0
    longest_commit: float = 0.0
    commit_time_total: float = 0.0
    largest_group: int = 0

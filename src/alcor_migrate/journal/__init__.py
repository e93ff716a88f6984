"""The durable, ordered record of captured writes.

Owns: the tables of intents, outcomes and marks, their order, their durability, their retention.
Never: decides what a write means, talks to a cloud, or sees a token.
"""

from alcor_migrate.journal.journal import Journal
from alcor_migrate.journal.records import (
    HANDOVER,
    INCOMPLETE,
    MARK,
    NOT_SENT,
    OUTCOME,
    READ_THAT_WROTE,
    Counts,
    Event,
    Intent,
    JournalStats,
    Mark,
    Outcome,
    Unsettled,
)

__all__ = [
    "HANDOVER",
    "INCOMPLETE",
    "MARK",
    "NOT_SENT",
    "OUTCOME",
    "READ_THAT_WROTE",
    "Counts",
    "Event",
    "Intent",
    "Journal",
    "JournalStats",
    "Mark",
    "Outcome",
    "Unsettled",
]

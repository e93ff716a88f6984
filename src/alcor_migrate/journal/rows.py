"""Records as rows of the journal's tables, and back."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from alcor_migrate.journal.masking import mask
from alcor_migrate.journal.records import MARK, Event, Intent, Mark, Outcome
from alcor_migrate.journal.schema import events, intents

if TYPE_CHECKING:
    import sqlalchemy as sa

Row = tuple[Any, ...]
"""The values of a row, in the order of its table's columns."""


@functools.cache
def insertion(table: sa.Table, rows: int) -> str:
    """SQLite's statement for so many rows of a table, their values in the order of its columns."""
    names = ", ".join(table.columns.keys())
    row = f"({', '.join('?' * len(table.columns))})"
    return f"INSERT INTO {table.name} ({names}) VALUES {', '.join([row] * rows)}"  # noqa: S608  (names of our own)


def clip(text: str, length: int) -> str:
    """What fits: SQLite keeps any length, the servers refuse what is too long, and then nothing could be kept."""
    return text[:length].replace("\0", "")


def _length(column: sa.Column[Any]) -> int:
    """How many characters fit."""
    length: int = column.type.length  # type: ignore[attr-defined]  # a string's type has one
    return length


_METHOD = _length(intents.c.method)
_REQUEST_ID = _length(intents.c.request_id)
_UPSTREAM_REQUEST_ID = _length(events.c.upstream_request_id)
_HOW = _length(events.c.how)
_TOKEN = _length(events.c.mark_token)
SETTLED = _length(events.c.settled)
"""How many characters of `how` a settled outcome has room for."""


def intent_row(writer: str, seq: int, intent: Intent) -> Row:
    """A row of `intents`; what is secret in the body is masked."""
    return (
        writer,
        seq,
        clip(intent.method, _METHOD),
        intent.path,
        mask(intent.body),
        clip(intent.request_id, _REQUEST_ID),
        intent.started_at,
        intent.route,
        intent.side,
    )


def outcome_row(position: int, kind: str, writer: str, seq: int, outcome: Outcome) -> Row:
    """A row of `events`."""
    return (
        position,
        kind,
        writer,
        seq,
        outcome.finished_at,
        outcome.status,
        mask(outcome.body),
        clip(outcome.upstream_request_id, _UPSTREAM_REQUEST_ID),
        outcome.project_id,
        outcome.user_id,
        clip(outcome.how, _HOW),
        outcome.truncated,
        None,  # settled
        None,
        None,
    )


def mark_row(position: int, writer: str, mark: Mark) -> Row:
    """A row of `events`."""
    of_outcomes = [None] * 8
    return position, MARK, writer, None, mark.at, *of_outcomes, mark.kind, clip(mark.token, _TOKEN)


def intent_of(row: Any) -> Intent:
    """The intent of a row whose columns are named `i_…`."""
    return Intent(
        method=row.i_method,
        path=row.i_path,
        body=row.i_body,
        request_id=row.i_request_id,
        started_at=row.i_started_at,
        route=row.i_route,
        side=row.i_side,
    )


def event_of(row: Any) -> Event:
    """The event of a row of `events`, with the columns of its intent named `i_…`."""
    if row.kind == MARK:
        mark = Mark(kind=row.mark_kind, token=row.mark_token, at=row.at)
        return Event(position=row.position, kind=MARK, writer=row.writer, mark=mark)
    return Event(
        position=row.position,
        kind=row.kind,
        writer=row.writer,
        seq=row.seq,
        intent=intent_of(row) if row.i_seq is not None else None,
        outcome=Outcome(
            status=row.status,
            body=row.body,
            upstream_request_id=row.upstream_request_id,
            project_id=row.project_id,
            user_id=row.user_id,
            finished_at=row.at,
            how=row.how,
            truncated=row.truncated,
        ),
    )

"""The one state machine of a migration, durable, with an append-only record of who did what, when and why.

    new ─► capturing ─► copying ─► catching_up ─► ready ─► cutting_over ─► switched ─► completed
                                                    ▲  ◄────────┘           │    ▲
                                                    │                       ▼    │
                                                 reversed ◄──────────── reversing ┘

Everything before `switched`, and `reversed`, can become `cancelled`; a reversed migration can be cut over again.

Each state that lasts can become `needs_attention`, and comes back from there to the same state. The state beneath,
the *standing*, says where the traffic goes meanwhile, and what is possible: what leads back (reverse, cancel) is,
what leads on (cutover, complete) is not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import sqlalchemy as sa

from alcor_migrate.errors import StateDirectoryBusy, StateError, StateNotWritten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_T = TypeVar("_T")


class State(Enum):
    """Where a migration stands."""

    NEW = "new"
    CAPTURING = "capturing"
    COPYING = "copying"
    CATCHING_UP = "catching_up"
    READY = "ready"
    CUTTING_OVER = "cutting_over"
    SWITCHED = "switched"
    REVERSING = "reversing"
    REVERSED = "reversed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NEEDS_ATTENTION = "needs_attention"

    @property
    def words(self) -> str:
        """As it is said to people."""
        return self.value.replace("_", " ")


_ALLOWED: dict[State, frozenset[State]] = {
    State.NEW: frozenset({State.CAPTURING}),
    State.CAPTURING: frozenset({State.COPYING, State.CANCELLED}),
    State.COPYING: frozenset({State.CATCHING_UP, State.CANCELLED}),
    State.CATCHING_UP: frozenset({State.READY, State.CANCELLED}),
    State.READY: frozenset({State.CUTTING_OVER, State.CANCELLED}),
    State.CUTTING_OVER: frozenset({State.SWITCHED, State.READY}),
    State.SWITCHED: frozenset({State.REVERSING, State.COMPLETED}),
    State.REVERSING: frozenset({State.REVERSED, State.SWITCHED}),
    State.REVERSED: frozenset({State.CUTTING_OVER, State.READY, State.CANCELLED}),
    State.COMPLETED: frozenset(),
    State.CANCELLED: frozenset(),
    State.NEEDS_ATTENTION: frozenset(),
}
_INTERRUPTIBLE = {
    State.CAPTURING,
    State.COPYING,
    State.CATCHING_UP,
    State.READY,
    State.SWITCHED,
    State.REVERSED,
}
_WAYS_BACK = frozenset({State.REVERSING, State.CANCELLED})

TRANSITION = "transition"


def may_follow(state: State, following: State, standing: State | None = None) -> bool:
    """Whether the state machine has this transition; `standing` is the state beneath `needs_attention`."""
    if following is State.NEEDS_ATTENTION:
        return state in _INTERRUPTIBLE
    if state is State.NEEDS_ATTENTION and standing is not None:
        return following is standing or following in _ALLOWED[standing] & _WAYS_BACK
    return following in _ALLOWED[state]


class Transition(msgspec.Struct, frozen=True):
    """A change of the state; `at` is unix seconds."""

    at: float
    """When."""
    actor: str
    """Who asked for it; `alcor-migrate` for steps of its own."""
    before: str
    """The state before it."""
    after: str
    """The state that was entered."""
    reason: str
    """Why."""
    evidence: dict[str, Any]
    """What was seen."""


class Entry(Transition, frozen=True, kw_only=True):
    """A line of the audit log."""

    act: str
    """`transition`; or what else was done: `command`, `hook`, `refused`, `repair`, `drain`, `forecast`,
    `reads`."""


_metadata = sa.MetaData()
_audit = sa.Table(
    "audit",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("act", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("evidence", sa.Text, nullable=False),
)
for _verb in ("UPDATE", "DELETE"):
    sa.event.listen(
        _audit,
        "after_create",
        sa.DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy has no types there
            f"CREATE TRIGGER audit_refuses_{_verb.lower()} BEFORE {_verb} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        ),
    )
_facts = sa.Table(
    "facts",
    _metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)


class StateStore:
    """Keeps the state, the audit log and a few facts in one SQLite file of the state directory.

    Holds the directory's lock while it is open, so that there is one engine for one migration.
    """

    def __init__(self, directory: Path) -> None:
        """Open, or create, the store in a directory. Raises StateDirectoryBusy, StateError."""
        self._directory = directory
        self._is_new = not directory.exists()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(
                f"the state directory {directory} cannot be used: {error.strerror}",
                "Name a directory that can be written to as state_dir in the configuration.",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateDirectoryBusy(f"another `alcor-migrate run` works in {directory}") from None
        self._engine = sa.create_engine(f"sqlite:///{directory / 'state.sqlite'}")
        sa.event.listen(self._engine, "connect", _durable)
        _metadata.create_all(self._engine)
        # The lock makes this process the only writer, so what was read once stays true.
        history = self.transitions()
        self._state = State(history[-1].after) if history else State.NEW
        self._standing = next(
            (s for t in reversed(history) if (s := State(t.after)) is not State.NEEDS_ATTENTION), State.NEW
        )

    @property
    def state(self) -> State:
        """Where the migration stands; NEW when nothing has been recorded."""
        return self._state

    @property
    def standing(self) -> State:
        """The state, or while that is NEEDS_ATTENTION the one beneath it."""
        return self._standing

    def expect(self, following: State) -> None:
        """Raise StateError unless this state can be entered now."""
        if not may_follow(self._state, following, self._standing):
            raise StateError(
                f"a migration that is {self._state.words} cannot become {following.words}",
                "See `alcor-migrate status` for what is possible now.",
            )

    def move(
        self,
        following: State,
        actor: str,
        reason: str,
        evidence: dict[str, Any] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> Transition:
        """Enter a state and record it, with facts that become true with it (see `keep`). Durable when it returns.

        Raises StateError when that is not possible; StateNotWritten, and the state is the one before.
        """
        self.expect(following)
        made = Transition(time.time(), actor, self._state.value, following.value, reason, evidence or {})
        self._append(made, TRANSITION, facts)
        self._state = following
        if following is not State.NEEDS_ATTENTION:
            self._standing = following
        return made

    def note(
        self,
        act: str,
        actor: str,
        reason: str,
        evidence: dict[str, Any] | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        """Record something that was done and that left the state as it is, with facts. Durable when it returns.

        Raises StateNotWritten.
        """
        here = self._state.value
        self._append(Transition(time.time(), actor, here, here, reason, evidence or {}), act, facts)

    def transitions(self) -> list[Transition]:
        """The changes of the state, oldest first."""
        return [
            Transition(e.at, e.actor, e.before, e.after, e.reason, e.evidence)
            for e in self._read(_audit.c.act == TRANSITION)
        ]

    def audit(self) -> list[Entry]:
        """Everything that was done, oldest first."""
        return self._read(sa.true())

    def _append(self, made: Transition, act: str, facts: dict[str, Any] | None) -> None:
        row = {
            "at": made.at,
            "actor": made.actor,
            "act": act,
            "before": made.before,
            "after": made.after,
            "reason": made.reason,
            "evidence": json.dumps(made.evidence),
        }
        with self._writing() as connection:
            connection.execute(_audit.insert().values(row))
            for name, value in (facts or {}).items():
                _remember(connection, name, value)

    def _read(self, which: sa.ColumnElement[bool]) -> list[Entry]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_audit).where(which).order_by(_audit.c.number)).all()
        return [Entry(r.at, r.actor, r.before, r.after, r.reason, json.loads(r.evidence), act=r.act) for r in rows]

    def keep(self, name: str, value: Any) -> None:
        """Remember a fact under a name; durable when it returns. Raises StateNotWritten."""
        with self._writing() as connection:
            _remember(connection, name, value)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:  # a full disk, a read-only one, one that fails
            raise StateNotWritten(f"the state directory {self._directory} cannot be written: {error.orig}") from error

    def recall(self, name: str, kind: type[_T], otherwise: _T) -> _T:
        """A remembered fact, or something else when there is none."""
        with self._engine.connect() as connection:
            value = connection.execute(sa.select(_facts.c.value).where(_facts.c.name == name)).scalar()
        return otherwise if value is None else msgspec.json.decode(value, type=kind)

    def discard(self) -> None:
        """Let go of the directory, and remove it when it did not exist before: a start that failed leaves nothing."""
        self.close()
        if self._is_new:
            shutil.rmtree(self._directory)

    def close(self) -> None:
        """Let go of the directory."""
        self._engine.dispose()
        os.close(self._lock)


def _remember(connection: sa.Connection, name: str, value: Any) -> None:
    connection.execute(sa.delete(_facts).where(_facts.c.name == name))
    connection.execute(_facts.insert().values({"name": name, "value": msgspec.json.encode(value)}))


def _durable(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")

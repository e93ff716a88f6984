"""The synchronous statements on the journal's tables (SQLAlchemy Core).

SQLite has one writer. On MariaDB and PostgreSQL every commit begins by locking one row, and continues from the
greatest position it then finds: positions of several gateways are in the order of their commits, nobody reads a
position before a smaller one, and who reopens the journal first waits for what an earlier connection left under way.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy import event as sa_event

from alcor_migrate.errors import JournalError
from alcor_migrate.journal.entries import Prune, PutIntent, PutMark, PutOutcome, Settle
from alcor_migrate.journal.records import (
    MARK,
    NOT_SENT,
    OUTCOME,
    READ_THAT_WROTE,
    Counts,
    Event,
    Intent,
    Outcome,
    Unsettled,
)
from alcor_migrate.journal.rows import (
    SETTLED,
    clip,
    event_of,
    insertion,
    intent_of,
    intent_row,
    mark_row,
    outcome_row,
)
from alcor_migrate.journal.schema import SCHEMA_VERSION, events, facts, intents, metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alcor_migrate.journal.entries import Entry
    from alcor_migrate.journal.rows import Row

log = structlog.get_logger(__name__)

# Seconds: shorter than people wait, longer than a cluster needs to elect another server.
_CONNECT_PATIENCE = 5
_SERVER_PATIENCE = 20
# After such a silence the server may have closed the connection (MariaDB's wait_timeout), so it is asked first.
_IDLE = 30.0
_MOST_ROWS = 64  # of one statement
# Bytes of SQLite's log after which it is copied into its file. Smaller: commits wait so often for the log to begin
# again that one write in a hundred meets it. Larger: longer bursts of writing that commits have to share the disk
# with, and a log that grows for longer before it is written over, which is faster.
_LONG_LOG = 32 * 1024 * 1024
# What it grows by, about: the pages that each commit writes again because they were not full, and an entry without
# its body.
_COMMIT_BYTES = 20 * 1024
_ROW_BYTES = 512


class Store:
    """One database.

    `write` and `restart_log` are for the one writer thread, `checkpoint` for a thread of its own, everything else
    for the one reader thread.
    """

    def __init__(self, url: sa.URL, writer: str, max_bytes: int | None = None) -> None:
        self.writer = writer
        self.position = 0
        self.last: dict[str, int] = {}
        """Each writer's greatest number when the database was last opened."""
        self._url = url
        self._embedded = url.get_backend_name() == "sqlite"
        self._max_body: int | None = None
        self._used_at = 0.0
        self._max_bytes = max_bytes
        self._log_bytes = 0
        self._checkpointing = threading.Lock()
        self._engine = self._make_engine()
        self._connection: sa.Connection | None = None

    # -- life ------------------------------------------------------------------------------------------------

    def _make_engine(self) -> sa.Engine:
        if not self._embedded:
            return sa.create_engine(
                self._url,
                pool_pre_ping=True,
                isolation_level="READ COMMITTED",
                connect_args=_connect_args(self._url.get_driver_name()),
            )
        engine = sa.create_engine(self._url, connect_args={"timeout": 10})
        max_bytes = self._max_bytes

        @sa_event.listens_for(engine, "connect")
        def _pragmas(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            # auto_vacuum only takes effect on a new file, before WAL is chosen
            for pragma in (
                "auto_vacuum=INCREMENTAL",
                "journal_mode=WAL",
                "synchronous=FULL",
                # only in case that `checkpoint` cannot keep up: within a commit it is seen as a stall
                "wal_autocheckpoint=25000",
            ):
                cursor.execute(f"PRAGMA {pragma}")
            if max_bytes is not None:
                page = cursor.execute("PRAGMA page_size").fetchone()[0]
                cursor.execute(f"PRAGMA max_page_count={max(1, max_bytes // page)}")
            cursor.close()

        return engine

    def open(self) -> None:
        """Makes the schema where it is missing and finds out where order goes on.

        Raises JournalError when the file belongs to another version.
        """
        if self._embedded and self._url.database:
            Path(self._url.database).touch(mode=0o600)
        with self._engine.begin() as connection:
            metadata.create_all(connection)
            version = connection.scalar(sa.select(facts.c.value).where(facts.c.name == "schema"))
            if version is None:
                connection.execute(facts.insert().values(name="schema", value=SCHEMA_VERSION))
            elif version != SCHEMA_VERSION:
                msg = f"the journal has schema {version}, this program reads schema {SCHEMA_VERSION}"
                raise JournalError(msg, "Use the release that wrote it, or a new state directory.")
            if not self._embedded:
                self._look_at_server(connection)
        self._find_ends()

    def _look_at_server(self, connection: sa.Connection) -> None:
        """Finds out how long a body may be, and warns where the server is set to forget what it has committed."""
        if self._url.get_backend_name() in ("mysql", "mariadb"):
            packet, flush = connection.exec_driver_sql(
                "SELECT @@max_allowed_packet, @@innodb_flush_log_at_trx_commit"
            ).one()
            # a statement carries a body escaped, at worst at twice its length, beside some short fields
            self._max_body = int(packet) // 2 - 64 * 1024
            durable, setting = int(flush) == 1, "innodb_flush_log_at_trx_commit"
        else:
            commit = connection.exec_driver_sql("SHOW synchronous_commit").scalar()
            fsync = connection.exec_driver_sql("SHOW fsync").scalar()
            durable, setting = commit != "off" and fsync == "on", "synchronous_commit, fsync"
        if not durable:
            log.warning("journal_server_may_forget", setting=setting, loses="the last commits when its host dies")

    def _find_ends(self) -> None:
        with self._engine.connect() as connection:
            self.position = self._last_position(connection)
            last = sa.select(intents.c.writer, sa.func.max(intents.c.seq)).group_by(intents.c.writer)
            self.last = {writer: seq for writer, seq in connection.execute(last)}  # noqa: C416  (rows are no pairs)

    def _last_position(self, connection: sa.Connection) -> int:
        """The greatest position; where others may write too, one that stays so until this transaction ends."""
        if not self._embedded:
            connection.execute(_LOCK)
        return connection.scalar(sa.select(sa.func.max(events.c.position))) or 0

    def reopen(self) -> None:
        """A fresh connection after a failed write.

        What the failed commit left in the log is read again from the file, and the log is emptied, so that
        nothing rests on pages whose flush once failed.
        """
        self.close()
        self._log_bytes = 0
        self._engine = self._make_engine()
        if self._embedded:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self._find_ends()

    @property
    def seq(self) -> int:
        """This writer's greatest number when the database was last opened."""
        return self.last.get(self.writer, 0)

    def close(self) -> None:
        """Gives the connections back."""
        with self._checkpointing:
            if self._connection is not None:
                with contextlib.suppress(sa.exc.SQLAlchemyError):
                    self._connection.close()
                self._connection = None
            self._engine.dispose()

    # -- writing (the writer thread) -------------------------------------------------------------------------

    def write(self, batch: Sequence[Entry]) -> list[int]:
        """Makes all entries durable in one transaction; the answer has a seq or a position for each.

        Raises sqlalchemy.exc.SQLAlchemyError, and then nothing of the batch is kept.
        """
        connection = self._writing()
        position = self.position
        results: list[int] = []
        intent_rows: list[Row] = []
        event_rows: list[Row] = []
        try:
            with connection.begin():
                if not self._embedded:
                    position = self._last_position(connection)
                for entry in batch:
                    match entry:
                        case PutIntent(seq, intent):
                            self._check_length(intent)
                            self._log_bytes += len(intent.body) + _ROW_BYTES
                            intent_rows.append(intent_row(self.writer, seq, intent))
                            results.append(seq)
                        case PutOutcome(seq, outcome, kind):
                            position += 1
                            self._log_bytes += len(outcome.body) + _ROW_BYTES
                            event_rows.append(outcome_row(position, kind, self.writer, seq, self._fit(outcome)))
                            results.append(position)
                        case PutMark(mark):
                            position += 1
                            event_rows.append(mark_row(position, self.writer, mark))
                            results.append(position)
                        case Settle():
                            self._flush(connection, intent_rows, event_rows)
                            settled, position = self._settle(connection, entry, position)
                            results.append(settled)
                        case Prune():
                            self._flush(connection, intent_rows, event_rows)
                            results.append(self._prune(connection, entry))
                self._flush(connection, intent_rows, event_rows)
            self._log_bytes += _COMMIT_BYTES
        except JournalError:
            raise  # rolled back, and the connection is as good as before
        except BaseException:
            # a connection whose commit failed is not asked again what it believes
            connection.invalidate()
            self._connection = None
            raise
        self.position = position
        return results

    @property
    def log_is_long(self) -> bool:
        """Whether it is time for a `checkpoint`."""
        return self._embedded and self._log_bytes > _LONG_LOG

    def checkpoint(self) -> None:
        """Copies SQLite's log into its file while commits go on (a passive checkpoint holds nobody up).

        Raises sqlalchemy.exc.SQLAlchemyError, and nothing is lost: what is not copied stays in the log.
        """
        with self._checkpointing:
            self._log_bytes = 0
            with self._engine.connect() as connection:
                connection.exec_driver_sql(_CHECKPOINT)
                # what was written during the first: the less is left, the shorter commits wait in `restart_log`
                connection.exec_driver_sql(_CHECKPOINT)

    def restart_log(self) -> None:
        """Copies the little that was written during a checkpoint, so that the next commit begins the log again.

        Without that, a log to which something is always added would only ever grow. Raises as `checkpoint`.
        """
        connection = self._writing()
        with connection.begin():
            connection.exec_driver_sql(_CHECKPOINT)

    def _writing(self) -> sa.Connection:
        """The writer's connection, looked at first where a server may have closed it meanwhile."""
        now = time.monotonic()
        if self._connection is not None and not self._embedded and now - self._used_at > _IDLE:
            self._connection.close()
            self._connection = None
        if self._connection is None:
            self._connection = self._engine.connect()
        self._used_at = now
        return self._connection

    def _check_length(self, intent: Intent) -> None:
        if self._max_body is not None and len(intent.body) > self._max_body:
            msg = f"a body of {len(intent.body)} bytes is longer than the journal's server takes ({self._max_body})"
            raise JournalError(msg, "Raise max_allowed_packet of the database server, and restart.")

    def _fit(self, outcome: Outcome) -> Outcome:
        """An outcome always has to be kept; a body that the server would not take is left out of it."""
        if self._max_body is None or len(outcome.body) <= self._max_body:
            return outcome
        return msgspec.structs.replace(outcome, body=b"", truncated=True)

    def _flush(self, connection: sa.Connection, intent_rows: list[Row], event_rows: list[Row]) -> None:
        self._insert(connection, intents, intent_rows)
        self._insert(connection, events, event_rows)
        intent_rows.clear()
        event_rows.clear()

    def _insert(self, connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
        if not self._embedded:
            if rows:
                names = table.columns.keys()
                connection.execute(table.insert(), [dict(zip(names, row, strict=True)) for row in rows])
            return
        # SQLite lets go of the interpreter at every step, and in a busy process waits long to get it back: so many
        # rows are one step, in groups of a few sizes, whose statements are prepared once
        at = 0
        while at < len(rows):
            size = min(_MOST_ROWS, 1 << ((len(rows) - at).bit_length() - 1))
            values = tuple(itertools.chain.from_iterable(rows[at : at + size]))
            connection.exec_driver_sql(insertion(table, size), values)
            at += size

    def _settle(self, connection: sa.Connection, entry: Settle, position: int) -> tuple[int, int]:
        mine = sa.and_(events.c.writer == entry.writer, events.c.seq == entry.seq)
        row = connection.execute(sa.select(events.c.position, events.c.status).where(mine)).first()
        if row is not None:
            if row.status == 0:
                connection.execute(events.update().where(mine).values(settled=clip(entry.how, SETTLED)))
            return row.position, position
        known = sa.and_(intents.c.writer == entry.writer, intents.c.seq == entry.seq)
        if connection.scalar(sa.select(sa.func.count()).select_from(intents).where(known)) == 0:
            msg = f"the journal has no intent {entry.seq} of {entry.writer}"
            raise JournalError(msg, "Read it again with unsettled(); it may have been pruned.")
        outcome = Outcome(status=0, finished_at=time.time(), how=entry.how)
        self._insert(connection, events, [outcome_row(position + 1, OUTCOME, entry.writer, entry.seq, outcome)])
        return position + 1, position + 1

    def _prune(self, connection: sa.Connection, entry: Prune) -> int:
        # The newest event and intent always stay, so that counting goes on from them.
        last_event = connection.scalar(sa.select(sa.func.max(events.c.position))) or 0
        last_intent = connection.scalar(sa.select(sa.func.max(intents.c.seq)).where(intents.c.writer == self.writer))
        old = sa.and_(
            events.c.position <= entry.position,
            events.c.position < last_event,
            events.c.at < entry.before,
            # an unknown write stays until somebody settled it
            sa.or_(
                events.c.status.is_(None),
                events.c.status != 0,
                events.c.how == NOT_SENT,
                events.c.settled.is_not(None),
            ),
        )
        matching = sa.exists().where(old, events.c.writer == intents.c.writer, events.c.seq == intents.c.seq)
        connection.execute(intents.delete().where(matching, intents.c.seq < (last_intent or 0)))
        return connection.execute(events.delete().where(old)).rowcount

    def kept(self, entry: PutOutcome) -> int | None:
        """The position of an outcome that is already there (a commit that failed late), else None."""
        with self._engine.connect() as connection:
            return connection.scalar(
                sa.select(events.c.position).where(events.c.writer == self.writer, events.c.seq == entry.seq)
            )

    # -- reading (the reader thread) -------------------------------------------------------------------------

    def read(self, after: int, limit: int) -> list[Event]:
        """Events after a position, in order."""
        query = (
            sa.select(events, *(column.label(f"i_{column.name}") for column in intents.columns))
            .select_from(
                events.outerjoin(intents, sa.and_(events.c.writer == intents.c.writer, events.c.seq == intents.c.seq))
            )
            .where(events.c.position > after)
            .order_by(events.c.position)
            .limit(limit)
        )
        with self._engine.connect() as connection:
            return [event_of(row) for row in connection.execute(query)]

    def unsettled(self, last: dict[str, int] | None) -> list[Unsettled]:
        """Intents that have no outcome, in each writer's order; with `last` only those up to its number there."""
        answered = sa.exists().where(events.c.writer == intents.c.writer, events.c.seq == intents.c.seq)
        query = (
            sa.select(*(column.label(f"i_{column.name}") for column in intents.columns))
            .where(~answered)
            .order_by(intents.c.writer, intents.c.seq)
        )
        if last is not None:
            query = query.where(
                sa.or_(
                    sa.false(),
                    *(sa.and_(intents.c.writer == writer, intents.c.seq <= seq) for writer, seq in last.items()),
                )
            )
        with self._engine.connect() as connection:
            return [
                Unsettled(seq=row.i_seq, writer=row.i_writer, intent=intent_of(row))
                for row in connection.execute(query)
            ]

    def counts(self) -> Counts:
        """Counted by the database."""
        unknown = sa.and_(events.c.status == 0, events.c.how != NOT_SENT, events.c.settled.is_(None))
        answered = sa.exists().where(events.c.writer == intents.c.writer, events.c.seq == intents.c.seq)
        with self._engine.connect() as connection:
            methods = connection.execute(sa.select(intents.c.method, sa.func.count()).group_by(intents.c.method))
            by_method = {method: count for method, count in methods}  # noqa: C416  (rows are no pairs to mypy)
            kinds = connection.execute(sa.select(events.c.kind, sa.func.count()).group_by(events.c.kind))
            by_kind = {kind: count for kind, count in kinds}  # noqa: C416  (same)
            open_ones = connection.scalar(sa.select(sa.func.count()).select_from(events).where(unknown))
            left = connection.scalar(sa.select(sa.func.count()).select_from(intents).where(~answered))
        return Counts(
            intents=sum(by_method.values()),
            outcomes=by_kind.get(OUTCOME, 0) + by_kind.get(READ_THAT_WROTE, 0),
            marks=by_kind.get(MARK, 0),
            unknown=open_ones or 0,
            unsettled=left or 0,
            by_method=by_method,
        )

    def size(self) -> int:
        """Bytes on disk (0 where the database is not a file)."""
        if not self._embedded or not self._url.database:
            return 0
        total = 0
        for suffix in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                total += Path(self._url.database + suffix).stat().st_size
        return total


_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"
_LOCK = sa.select(facts.c.value).where(facts.c.name == "schema").with_for_update()


def _connect_args(driver: str) -> dict[str, Any]:
    """How long to wait for a server, in the words of its driver."""
    if driver == "pymysql":
        patience = {"read_timeout": _SERVER_PATIENCE, "write_timeout": _SERVER_PATIENCE}
        return {"connect_timeout": _CONNECT_PATIENCE, **patience}
    if driver == "psycopg":
        milliseconds = _SERVER_PATIENCE * 1000
        # a writer that froze must not keep the others waiting behind its lock
        options = f"-c lock_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds}"
        return {"connect_timeout": _CONNECT_PATIENCE, "tcp_user_timeout": milliseconds, "options": options}
    return {}

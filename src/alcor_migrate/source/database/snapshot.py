"""Neutron's database as it was at one moment: one connection, one transaction that only reads.

Not for the event loop: every method waits for the database. One snapshot belongs to one thread at a time.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import make_url

from alcor_migrate.errors import SourceDatabaseError
from alcor_migrate.side import Fingerprint
from alcor_migrate.source.database.rules import AskApiError
from alcor_migrate.source.database.statements import Statements, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from alcor_migrate.source.database.rules import Facts, Row, Rule
    from alcor_model.fields import Json

log = structlog.get_logger(__name__)

_MYSQL = {"mysql", "mariadb"}
_LONGEST = 900
"""Seconds after which a question without an answer is given up: the sum of a large table takes its time."""
_GLANCE = 10
"""The same for a glance, behind which replay waits."""
GLANCES = 4
"""Connections that are kept open."""
_CRC32C = (10, 8)
"""The release of MariaDB that brought the function."""
_SUPPORTED = {*_MYSQL, "postgresql", "sqlite"}
_MARK = "standardattributes"
"""A table that every Neutron has."""


_decode = msgspec.json.Decoder(list[list[Any]]).decode


class Database:
    """Where the snapshots come from. Raises SourceDatabaseError when it cannot be used, and says why."""

    def __init__(self, url: str, rules: Iterable[Rule]) -> None:
        try:
            where = make_url(url)
            limits = _limits(where, _LONGEST)
            self._engine = sa.create_engine(where, poolclass=sa.pool.NullPool, connect_args=limits)
            self._kept = self._engine if where.get_backend_name() == "sqlite" else _kept_open(where)
        except (sa.exc.SQLAlchemyError, ImportError, ValueError) as error:
            # What SQLAlchemy says of an address may contain its password.
            raise SourceDatabaseError(
                f"source.database is not an address of a database that can be used here ({type(error).__name__})",
                "Write mysql+pymysql://USER:PASSWORD@HOST/neutron or postgresql+psycopg://…, and install its driver: "
                "`pip install alcor-migrate[mariadb]`, or `[postgresql]`.",
            ) from None
        self.dialect = self._engine.dialect.name
        if self.dialect not in _SUPPORTED:
            raise SourceDatabaseError(
                f"source.database cannot be read: {self.dialect} is not a database of Neutron's"
            )
        self.where = self._engine.url.render_as_string(hide_password=True)
        """Its address without the password, for messages."""
        for engine in {self._engine, self._kept}:
            sa.event.listen(engine, "connect", self._prepare)
        self.rules = {rule.resource: rule for rule in rules}
        self._every: dict[str, Statements] = {}
        self.tables = self._look()

    def snapshot(self, facts: Facts) -> Snapshot:
        """The database as it is now."""
        return Snapshot(self, facts, self._open(self._engine))

    def glance(self, facts: Facts) -> Snapshot:
        """The same for a question or two, on a connection that is kept open: at most `GLANCES` of them at once."""
        return Snapshot(self, facts, self._open(self._kept), brief=True)

    def close(self) -> None:
        """Let go of everything."""
        self._engine.dispose()
        self._kept.dispose()

    def every(self, resource: str) -> Statements:
        """What is asked for objects of which nobody has looked which of their tables are empty."""
        if resource not in self._every:
            self._every[resource] = Statements(self.rules[resource], self.tables, self.dialect, quick=self.quick)
        return self._every[resource]

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say what a failing database says in our words."""
        try:
            yield
        except sa.exc.SQLAlchemyError as error:
            cause = " ".join(str(getattr(error, "orig", None) or type(error).__name__).split())
            raise SourceDatabaseError(f"Neutron's database at {self.where} cannot be read: {cause[:300]}") from error

    def _look(self) -> Mapping[str, sa.Table]:
        """The tables that there are; those that our rules name."""
        wanted = set().union(*(tables_of(rule) for rule in self.rules.values()))
        metadata = sa.MetaData()
        with self.told(), self._engine.connect() as connection:
            self._refuse_copies(connection)
            self.quick = self._has_crc32c(connection)
            there = set(sa.inspect(connection).get_table_names())
            if _MARK not in there:
                raise SourceDatabaseError(
                    f"the database at {self.where} is not Neutron's: it has no table {_MARK}",
                    "Give the address that neutron.conf has under [database] connection.",
                )
            metadata.reflect(connection, only=sorted(wanted & there), resolve_fks=False)
        missing = {rule.table for rule in self.rules.values()} - there
        self.rules = {name: rule for name, rule in self.rules.items() if rule.table not in missing}
        for rule in self.rules.values():
            Statements(rule, metadata.tables, self.dialect)  # says what is unknown before anything begins
        log.info("source_database", at=self.where, tables=len(metadata.tables), missing=sorted(wanted - there))
        return metadata.tables

    def _refuse_copies(self, connection: sa.Connection) -> None:
        """A replica lags behind: what is read there may be older than what the journal says was written."""
        if self.dialect in _MYSQL:
            lagging = bool(connection.exec_driver_sql("SELECT @@GLOBAL.read_only").scalar())
        elif self.dialect == "postgresql":
            lagging = bool(connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar())
        else:
            lagging = connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal"
        if lagging and self.dialect == "sqlite":
            raise SourceDatabaseError(
                f"the database {self.where} is not in WAL mode: reading it would make Neutron's writes fail",
                "Leave `source.database` out; Neutron's API is read then.",
            )
        if lagging:
            raise SourceDatabaseError(
                f"the database at {self.where} is a read replica, which may lag behind what Neutron has written",
                "Give the address of the primary, or of any node of a Galera cluster.",
            )

    def _has_crc32c(self, connection: sa.Connection) -> bool:
        if self.dialect not in _MYSQL:
            return False
        version_of = str(connection.exec_driver_sql("SELECT VERSION()").scalar())
        found = re.match(r"(\d+)\.(\d+).*MariaDB", version_of)
        return found is not None and (int(found[1]), int(found[2])) >= _CRC32C

    def _open(self, engine: sa.Engine) -> sa.Connection:
        with self.told():
            connection = engine.connect()
            try:
                if self.dialect in _MYSQL:
                    connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                else:
                    # There the snapshot is taken by the first question.
                    connection.exec_driver_sql(f"SELECT 1 FROM {_MARK} LIMIT 1")  # noqa: S608  (a constant)
            except BaseException:
                connection.close()
                raise
        return connection

    def _prepare(self, connection: Any, _record: Any) -> None:
        """Make a connection one that cannot write."""
        if self.dialect == "sqlite":
            connection.isolation_level = None
            connection.create_function("alcor_hash", -1, _hash, deterministic=True)
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            return
        cursor = connection.cursor()
        try:
            if self.dialect in _MYSQL:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute("SET SESSION group_concat_max_len = 1073741824")
                cursor.execute("SHOW VARIABLES LIKE 'wsrep_on'")
                found = cursor.fetchone()
                if found and found[1] == "ON":
                    # Before it reads, this node of Galera waits until it has what others have committed.
                    cursor.execute("SET SESSION wsrep_sync_wait=1")
            else:
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.commit()
        finally:
            cursor.close()


class Snapshot:
    """The objects as they were when it was taken, until `close`."""

    def __init__(self, database: Database, facts: Facts, connection: sa.Connection, *, brief: bool = False) -> None:
        """`brief`: too few questions will be asked for it to be worth a look which tables are empty."""
        self._database = database
        self._facts = facts
        self._connection = connection
        self._brief = brief
        self._statements: dict[str, Statements] = {}
        self._is_empty: dict[str, bool] = {}

    def close(self) -> None:
        """Give it up; what the database kept for it, it may forget."""
        with self._database.told():
            if not self._brief:
                self._connection.invalidate()
            self._connection.close()

    def page(
        self, resource: str, after: str, size: int, prefix: str = ""
    ) -> tuple[list[Json], list[str], str | None]:
        """The next objects: (in the API's form, ids of those that only the API can tell, the last id or None).

        None as the last id says that there are no more.
        """
        rule, statements = self._database.rules[resource], self._of(resource)
        with self._database.told():
            count, last = self._connection.execute(statements.ids(after, prefix, size)).one()
            if not count:
                return [], [], None
            rows = self._rows(statements, statements.objects(after, last, prefix))
            # Behind `after` others may begin; what begins so comes behind its beginning.
            lists = {
                name: _grouped(self._rows(statements, statements.rows(name, max(after, prefix), last)))
                for name in statements.lists
            }
        objects, asked = self._built(rule, statements, rows, lists)
        return objects, asked, last if count == size else None

    def finds(self, resource: str, field: str) -> bool:
        """Whether `these` can be asked for objects by this field."""
        return self._of(resource).finds(field)

    def these(self, resource: str, field: str, values: Sequence[str]) -> tuple[list[Json], list[str]]:
        """The objects with one of these values in a field: (in the API's form, ids of what only the API can tell)."""
        rule, statements = self._database.rules[resource], self._of(resource)
        with self._database.told():
            rows = self._rows(statements, statements.these(field, values))
            ids = [row["id"] for row in rows]
            lists = {
                name: _grouped(self._rows(statements, statements.rows_of_these(name, ids)))
                for name in (statements.lists if ids else ())
            }
        return self._built(rule, statements, rows, lists)

    def count(self, resource: str) -> int:
        """How many objects there are."""
        with self._database.told():
            return int(self._connection.execute(self._of(resource).count()).scalar_one())

    def fingerprints(self, resource: str, length: int) -> dict[str, Fingerprint]:
        """By the first `length` characters of the id: what changes when any row behind these objects does."""
        found: dict[str, list[str]] = {}
        objects: dict[str, int] = {}
        # Other facts, or another version of our rules, make other objects of the same rows.
        facts = self._facts
        salt = f"{version('alcor-migrate')} {sorted(facts.extensions)} {facts.project_id} {facts.dns_domain}"
        with self._database.told():
            for part, query in self._of(resource).sums(length):
                for bucket, rows, total in self._connection.execute(query):
                    if not part:
                        objects[bucket] = rows
                    found.setdefault(bucket, [salt]).append(f"{part}:{rows}:{int(total)}")
        return {bucket: Fingerprint(objects.get(bucket, 0), _digest(sums)) for bucket, sums in found.items()}

    def _built(
        self, rule: Rule, statements: Statements, rows: Iterable[Row], lists: Mapping[str, Mapping[str, list[Row]]]
    ) -> tuple[list[Json], list[str]]:
        """(Objects in the API's form, ids of those that only the API can tell) of their rows."""
        none: list[Row] = []
        without = dict.fromkeys(statements.without, none)
        objects: dict[str, Json] = {}
        asked: list[str] = []
        for row in rows:
            row.update(statements.nothing)
            object_id = row["id"]
            try:
                parts = {name: rows_of.get(object_id, none) for name, rows_of in lists.items()}
                objects[object_id] = rule.build(row, parts | without, self._facts)
            except AskApiError:
                asked.append(object_id)
        return list(objects.values()), asked

    def _of(self, resource: str) -> Statements:
        if self._brief:
            return self._database.every(resource)
        if resource not in self._statements:
            rule, tables = self._database.rules[resource], self._database.tables
            empty = {name for name in tables_of(rule) & tables.keys() if self._empty(tables[name])}
            database = self._database
            self._statements[resource] = Statements(rule, tables, database.dialect, empty, quick=database.quick)
        return self._statements[resource]

    def _empty(self, table: sa.Table) -> bool:
        if table.name not in self._is_empty:
            with self._database.told():
                query = sa.select(sa.literal(1)).select_from(table).limit(1)
                self._is_empty[table.name] = self._connection.execute(query).first() is None
        return self._is_empty[table.name]

    def _rows(self, statements: Statements, query: sa.Select[Any]) -> list[Row]:
        """The rows of a query, as one JSON text where that fits through the connection, else one by one."""
        names = query.selected_columns.keys()
        count, text = self._connection.execute(statements.as_json(query)).one()
        if not count:
            return []
        rows: Sequence[Sequence[Any]]
        try:
            rows = _decode(f"[{text}]")
        except msgspec.DecodeError:
            rows = []
        if len(rows) != count:
            log.info("long_page", rows=count)  # cut off at max_allowed_packet
            rows = self._connection.execute(query).all()
        return [dict(zip(names, row, strict=True)) for row in rows]


def _limits(where: sa.URL, seconds: int) -> dict[str, Any]:
    """After how many seconds a driver gives up a question, also where the network swallows it."""
    if where.get_backend_name() in _MYSQL:
        return {"connect_timeout": 10, "read_timeout": seconds}
    if where.get_backend_name() == "postgresql":
        options = f"-c statement_timeout={seconds}s"
        return {"connect_timeout": 10, "options": options, "tcp_user_timeout": seconds * 1000}
    return {}


def _kept_open(where: sa.URL) -> sa.Engine:
    """For questions after which the next one comes soon; a connection that was lost meanwhile is made anew."""
    limits = _limits(where, _GLANCE)
    return sa.create_engine(where, pool_size=GLANCES, max_overflow=0, pool_pre_ping=True, connect_args=limits)


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["_of"], []).append(row)
    return groups


def _digest(texts: list[str]) -> str:
    return hashlib.blake2b(" ".join(texts).encode(), digest_size=12).hexdigest()


def _hash(*values: Any) -> int:
    """What MariaDB and PostgreSQL compute by themselves, for SQLite."""
    return int(hashlib.md5(repr(values).encode(), usedforsecurity=False).hexdigest()[:11], 16)

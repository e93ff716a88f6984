"""The databases below Keystone and Neutron: MariaDB where it is installed, else SQLite."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import pymysql
import sqlalchemy as sa

from lab.errors import LabError
from lab.ports import HOST

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from lab.process import Processes, Service

DatabaseKind = Literal["mariadb", "sqlite"]
NAMES = ("keystone", "neutron")
PASSWORD = "lab"


def find_program(name: str) -> str | None:
    """Find a server program, also where only root's PATH looks."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/bin")


def choose(wanted: str) -> DatabaseKind:
    """Turn "auto", "mariadb" or "sqlite" into what this machine has; raises LabError when it has not."""
    present = bool(find_program("mariadbd") and find_program("mariadb-install-db"))
    if wanted == "sqlite" or (wanted == "auto" and not present):
        return "sqlite"
    if wanted not in ("auto", "mariadb"):
        msg = f"the lab knows no database {wanted!r}"
        raise LabError(msg, "Choose auto, mariadb or sqlite.")
    if not present:
        msg = "the lab was asked for MariaDB, and mariadbd is not installed"
        raise LabError(msg, "As root: apt-get install mariadb-server-core mariadb-client-core; or use sqlite.")
    return "mariadb"


class Database(Protocol):
    """Where the services keep their tables; all in one folder that can be copied while it is stopped."""

    kind: DatabaseKind
    concurrent: bool
    """Whether more than one thread and process may use it at once."""

    def initialise(self) -> None:
        """Make an empty one, started."""

    def start(self) -> None:
        """Start it on what the folder holds."""

    def stop(self) -> None:
        """Stop it so that the folder is complete."""

    def url(self, name: str) -> str:
        """SQLAlchemy's address of the service's database."""


class Sqlite:
    """One file for each service, which has one thread: a second writer gets "database is locked"."""

    kind: DatabaseKind = "sqlite"
    concurrent = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def initialise(self) -> None:
        """Make the folder; the files come with the tables."""
        self._folder.mkdir(parents=True)

    def start(self) -> None:
        """Do nothing: there is no server."""

    def stop(self) -> None:
        """Do nothing: there is no server."""

    def url(self, name: str) -> str:
        """SQLAlchemy's address of the service's file."""
        return f"sqlite:///{self._folder / name}.sqlite"


class MariaDB:
    """A server of our own: own data, own socket, own port, none of the machine's settings."""

    kind: DatabaseKind = "mariadb"
    concurrent = True

    def __init__(self, folder: Path, port: int, processes: Processes) -> None:
        self._folder = folder
        self._port = port
        self._processes = processes
        self._service: Service | None = None
        # A path of a Unix socket holds 107 bytes, and a scratch directory may be longer; clients come over
        # TCP anyway.
        self._socket = f"mariadb-{port}.sock"
        self._user = ["--user=root"] if os.geteuid() == 0 else []

    def initialise(self) -> None:
        """Make an empty server with a database and a user for each service; starts it."""
        program = find_program("mariadb-install-db") or "mariadb-install-db"
        options = ["--no-defaults", f"--datadir={self._folder}", "--auth-root-authentication-method=normal"]
        options += ["--skip-test-db", "--skip-name-resolve", *self._user]
        self._processes.spawn("mariadb-install", [program, *options]).wait()
        self.start()
        connection = pymysql.connect(host=HOST, port=self._port, user="root")
        try:
            with connection.cursor() as cursor:
                for name in NAMES:
                    cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb3")
                    cursor.execute(f"CREATE USER {name}@'{HOST}' IDENTIFIED BY '{PASSWORD}'")
                    cursor.execute(f"GRANT ALL ON {name}.* TO {name}@'{HOST}'")
        finally:
            connection.close()

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        program = find_program("mariadbd") or "mariadbd"
        options = [
            "--no-defaults",
            *self._user,
            f"--datadir={self._folder}",
            f"--socket={self._socket}",
            f"--pid-file={self._processes.directory / 'mariadb.pid'}",
            f"--bind-address={HOST}",
            f"--port={self._port}",
            "--innodb-buffer-pool-size=256M",
            "--innodb-log-file-size=48M",
            "--innodb-flush-log-at-trx-commit=2",  # survives its own kill -9, which is all a lab does to it
            "--max-connections=400",
            "--character-set-server=utf8mb3",
            "--skip-name-resolve",
        ]
        self._service = self._processes.spawn("mariadb", [program, *options], ready=self._answers)
        self._service.wait_ready()

    def stop(self) -> None:
        """Shut the server down in order."""
        if self._service:
            self._service.stop(patience=60)

    def url(self, name: str) -> str:
        """SQLAlchemy's address of the service's database."""
        return f"mysql+pymysql://{name}:{PASSWORD}@{HOST}:{self._port}/{name}?charset=utf8"

    def _answers(self) -> bool:
        try:
            pymysql.connect(host=HOST, port=self._port, user="lab-nobody", connect_timeout=2).close()
        except pymysql.err.OperationalError as error:
            return bool(error.args[0] == 1045)  # noqa: PLR2004  # ER_ACCESS_DENIED_ERROR: it answers
        return True


def open_database(kind: DatabaseKind, folder: Path, port: int, processes: Processes) -> Database:
    """Return the database of this kind that lives in `folder`, not yet started."""
    return MariaDB(folder, port, processes) if kind == "mariadb" else Sqlite(folder)


class Rows:
    """Every row of a service's database; what was read at one moment can be put back at a later one.

    Tables are looked for once, when it is made; `with` lets the connections go.
    """

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)  # the server may be killed between
        self._tables = sa.MetaData()
        self._tables.reflect(self._engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.dispose()

    def read(self) -> dict[str, list[Any]]:
        """All rows of all tables, at one moment, each table's in an order of their own."""
        with self._engine.begin() as connection:
            return self._read(connection)

    def put_back(self, rows: dict[str, Sequence[Any]]) -> list[str]:
        """Make the tables hold what `read` has answered earlier; returns the names of those that did not."""
        with self._engine.begin() as connection:
            if connection.dialect.name == "mysql":
                connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
            now = self._read(connection)
            changed = [name for name, held in now.items() if held != rows[name]]
            for name in changed:
                table = self._tables.tables[name]
                connection.execute(sa.delete(table))
                if rows[name]:
                    connection.execute(sa.insert(table), [row._asdict() for row in rows[name]])
            if connection.dialect.name == "mysql":
                connection.exec_driver_sql("SET SESSION foreign_key_checks = 1")
        return changed

    def _read(self, connection: sa.Connection) -> dict[str, list[Any]]:
        return {
            name: sorted(connection.execute(sa.select(table)).all(), key=repr)
            for name, table in self._tables.tables.items()
        }

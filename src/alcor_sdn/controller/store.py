"""The controller's store: Alcor-form objects as JSON, with the columns that are looked up, in one database.

One thread writes. It takes whatever writes are waiting, runs each in a savepoint of its own, and commits
them together: every answered write is durable, and many writers share one `fsync`. Readers run beside it,
each on a snapshot. The indexes follow the objects in the same transaction, whoever writes them.

Unique addresses and MACs are the services' business, not the database's: while a live cloud is copied, the
new owner of an address may arrive before the old one is gone.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.engine import make_url

from alcor_model.catalogue import EXTENSION, NETWORK, RESOURCES, Resource, bundled_only
from alcor_model.fields import Kind, same
from alcor_sdn.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from alcor_model.fields import Json

log = structlog.get_logger(__name__)

T = TypeVar("T")

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

_ID = sa.String(255)
_GROUP = 64
"""At most so many waiting writes share one commit."""
_IN = 500
"""At most so many values in one IN list (SQLite's oldest limit on parameters is 999)."""
_PAGE = 1000

metadata = sa.MetaData()


def _extension(name: str) -> Callable[[Json], Any]:
    return lambda alcor: (alcor.get(EXTENSION) or {}).get(name)


def _field(name: str) -> Callable[[Json], Any]:
    return lambda alcor: alcor.get(name)


_SERVED: dict[str, dict[str, Callable[[Json], Any]]] = {
    "network": {"name": _field("name")},
    "subnet": {"name": _field("name"), "network_id": _field("network_id")},
    "security_group": {"name": _field("name")},
    "security_group_rule": {
        "security_group_id": _field("security_group_id"),
        "remote_group_id": _field("remote_group_id"),
    },
    "router": {"name": _field("name")},
    "port": {
        "name": _field("name"),
        "network_id": _field("network_id"),
        "device_id": _field("device_id"),
        "mac_address": _field("mac_address"),
    },
    "floatingip": {
        "port_id": _field("port_id"),
        "floating_ip_address": _field("elastic_ip"),
        "floating_network_id": _extension("floating_network_id"),
        "router_id": _extension("router_id"),
    },
}
"""The columns of the resources that the services look through."""


def _keys(of: Resource) -> dict[str, Callable[[Json], Any]]:
    """The columns of a resource that is only kept: the single objects that it lies below or refers to."""
    paths = [of.nested.field] if of.nested else []
    paths += [reference.path for reference in (*of.parents, *of.references)]
    keys: dict[str, Callable[[Json], Any]] = {}
    for path in paths:
        field = of.field(path)
        if "." in path or path in _EVERYWHERE or (field is not None and list in field.types):
            continue
        kept = field is not None and field.kind is not Kind.EXTENSION and field.alcor
        keys[path] = _field(kept) if kept else _extension(path)
    return keys


_EVERYWHERE = {"id", "project_id"}

NODE = bundled_only("node", "nodes", "nodes", (same("id", (str,)),), alias="")
"""A host with an agent. Neutron has no such resource; its agents tell of them."""

KEYS = {of.name: _SERVED.get(of.name) or _keys(of) for of in RESOURCES} | {
    NODE.name: {name: _field(name) for name in ("node_name", "local_ip", "mac_address", "ncm_id")}
}
"""Per resource, the columns that can be looked up beside `id` and `project_id`, and their sources."""


def _table(of: Resource) -> sa.Table:
    table = sa.Table(
        of.plural,
        metadata,
        sa.Column("id", _ID, primary_key=True),
        sa.Column("project_id", _ID, nullable=False, index=True),
        *(sa.Column(name, _ID, index=True) for name in KEYS[of.name]),
        sa.Column("body", sa.LargeBinary(2**24), nullable=False),
    )
    return table  # noqa: RET504 (reads as a declaration)


TABLES = {of.name: _table(of) for of in (*RESOURCES, NODE)}

ADDRESSES = sa.Table(
    "addresses",
    metadata,
    sa.Column("port_id", _ID, nullable=False, index=True),
    sa.Column("subnet_id", _ID, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Index("ix_addresses_subnet_address", "subnet_id", "address"),
)
"""Which port holds which address of which subnet: the `fixed_ips` of all ports."""

MEMBERSHIPS = sa.Table(
    "memberships",
    metadata,
    sa.Column("port_id", _ID, nullable=False, index=True),
    sa.Column("security_group_id", _ID, nullable=False, index=True),
)
"""Which port is in which security group."""

PLACES = sa.Table(
    "places",
    metadata,
    sa.Column("network_id", _ID, nullable=False, index=True),
    sa.Column("network_type", sa.String(32)),
    sa.Column("physical_network", sa.String(64)),
    sa.Column("segmentation_id", sa.BigInteger),
    sa.Index("ix_places_place", "network_type", "physical_network", "segmentation_id"),
)
"""Which network uses which segmentation id."""

_VERSION = 2
"""Of the tables. 1 had no table `schema`, kept the seven resources that are served, and called `places` `segments`,
which is a resource's name now."""

SCHEMA = sa.Table("schema", metadata, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
"""One row: how the tables of this database are laid out."""


class Rows:
    """The objects, seen and changed through one transaction, as long as that lasts. Not thread-safe."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    # Reading

    def get(self, of: Resource, object_id: str) -> Json | None:
        """One object in Alcor's form."""
        table = TABLES[of.name]
        row = self._connection.execute(sa.select(table.c.body).where(table.c.id == object_id)).first()
        return None if row is None else _decode(row[0])

    def raw(
        self,
        of: Resource,
        *,
        after: str = "",
        ids: Sequence[str] = (),
        where: Mapping[str, Sequence[str]] | None = None,
        limit: int | None = None,
    ) -> list[bytes]:
        """Objects as they are stored (JSON text), ordered by id, after an id; each column has one of its values."""
        table = TABLES[of.name]
        query = sa.select(table.c.body).order_by(table.c.id)
        for name, values in (where or {}).items():
            query = query.where(_any_of(table.c[name], values))
        if after:
            query = query.where(table.c.id > after)
        if not ids:
            return list(self._connection.execute(query.limit(limit)).scalars())
        found: list[bytes] = []
        for some in _batches(sorted(set(ids))):
            if limit is not None and len(found) >= limit:
                break
            found += self._connection.execute(query.where(table.c.id.in_(some))).scalars()
        return found[:limit]

    def find(
        self,
        of: Resource,
        where: dict[str, Sequence[str]] | None = None,
        *,
        after: str = "",
        before: str = "",
        backwards: bool = False,
        projects: Sequence[str] | None = None,
        owner: str | None = None,
    ) -> Iterator[Json]:
        """Objects in Alcor's form in the order of their ids; each column of `where` has one of its values.

        `owner`: only what belongs to this project, or lies in a network of this project.
        Read page by page, so that a caller that has enough need not pay for the rest.
        """
        table = TABLES[of.name]
        base = sa.select(table.c.id, table.c.body)
        base = base.order_by(table.c.id.desc() if backwards else table.c.id).limit(_PAGE)
        for name, values in (where or {}).items():
            base = base.where(_any_of(table.c[name], values))
        if projects is not None:
            base = base.where(_any_of(table.c.project_id, projects))
        if owner is not None:
            base = base.where(table.c.id.in_(_belonging(table, owner)))
        while True:
            query = base
            if after:
                query = query.where(table.c.id > after)
            if before:
                query = query.where(table.c.id < before)
            rows = self._connection.execute(query).all()
            for row in rows:
                yield _decode(row[1])
            if len(rows) < _PAGE:
                return
            if backwards:
                before = rows[-1][0]
            else:
                after = rows[-1][0]

    def count(self, of: Resource, project_id: str | None = None) -> int:
        """How many objects of a resource there are, in all or of one project."""
        table = TABLES[of.name]
        query = sa.select(sa.func.count()).select_from(table)
        if project_id is not None:
            query = query.where(table.c.project_id == project_id)
        return int(self._connection.execute(query).scalar_one())

    def digests(self, of: Resource, length: int) -> dict[str, tuple[int, str]]:
        """By the first `length` characters of the id: how many objects there are, and the sum of their hashes.

        Computed over what is stored, byte for byte; nothing is kept for it, so nothing can be out of date.
        """
        table = TABLES[of.name]
        counts: dict[str, int] = {}
        sums: dict[str, int] = {}
        query = self._connection.execution_options(yield_per=_PAGE).execute(sa.select(table.c.id, table.c.body))
        for rows in query.partitions():
            for object_id, body in rows:
                bucket = object_id[:length]
                hashed = int.from_bytes(hashlib.blake2b(body, digest_size=8, key=object_id.encode()[:64]).digest())
                counts[bucket] = counts.get(bucket, 0) + 1
                sums[bucket] = sums.get(bucket, 0) + hashed
        return {bucket: (counts[bucket], f"{sums[bucket]:x}") for bucket in counts}

    def existing(self, of: Resource, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are there."""
        table = TABLES[of.name]
        found: set[str] = set()
        for some in _batches(ids):
            found.update(self._connection.execute(sa.select(table.c.id).where(table.c.id.in_(some))).scalars())
        return found

    def holders(self, subnet_id: str, addresses: Sequence[str]) -> dict[str, str]:
        """Address -> port that holds it, for those of the given addresses that are taken."""
        taken: dict[str, str] = {}
        for some in _batches(addresses):
            query = sa.select(ADDRESSES.c.address, ADDRESSES.c.port_id).where(
                ADDRESSES.c.subnet_id == subnet_id, ADDRESSES.c.address.in_(some)
            )
            taken.update((address, port) for address, port in self._connection.execute(query))
        return taken

    def taken(self, subnet_id: str) -> dict[str, str]:
        """Address -> port, of a whole subnet."""
        query = sa.select(ADDRESSES.c.address, ADDRESSES.c.port_id).where(ADDRESSES.c.subnet_id == subnet_id)
        return {address: port for address, port in self._connection.execute(query)}  # noqa: C416 (typed rows)

    def ports_with_address(self, addresses: Sequence[str]) -> set[str]:
        """The ports that hold one of the addresses, in whatever subnet."""
        return self._column(ADDRESSES.c.port_id, ADDRESSES.c.address, addresses)

    def ports_on_subnet(self, subnet_ids: Sequence[str]) -> set[str]:
        """The ports that hold an address of one of the subnets."""
        return self._column(ADDRESSES.c.port_id, ADDRESSES.c.subnet_id, subnet_ids)

    def ports_in_group(self, group_ids: Sequence[str]) -> set[str]:
        """The ports that are in one of the security groups."""
        return self._column(MEMBERSHIPS.c.port_id, MEMBERSHIPS.c.security_group_id, group_ids)

    def segment_holder(
        self, network_type: str, physical_network: str | None, segmentation_id: int | None
    ) -> str | None:
        """The network that uses a segmentation id (None: that uses the physical network untagged)."""
        query = sa.select(PLACES.c.network_id).where(
            PLACES.c.network_type == network_type,
            PLACES.c.physical_network.is_(None)
            if physical_network is None
            else PLACES.c.physical_network == physical_network,
            PLACES.c.segmentation_id.is_(None)
            if segmentation_id is None
            else PLACES.c.segmentation_id == segmentation_id,
        )
        row = self._connection.execute(query.limit(1)).first()
        return None if row is None else row[0]

    def _column(self, wanted: sa.Column[Any], given: sa.Column[Any], values: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for some in _batches(values):
            found.update(self._connection.execute(sa.select(wanted).where(given.in_(some))).scalars())
        return found

    # Writing

    def put(self, of: Resource, objects: Sequence[Json]) -> None:
        """Store objects in Alcor's form, in place of those that have the same ids; the last of an id wins."""
        if not objects:
            return
        by_id = {alcor["id"]: alcor for alcor in objects}
        self.remove(of, list(by_id))
        keys = KEYS[of.name]
        self._connection.execute(
            TABLES[of.name].insert(),
            [
                {
                    "id": object_id,
                    "project_id": alcor.get("project_id") or "",
                    "body": _encode(alcor),
                    **{name: read(alcor) for name, read in keys.items()},
                }
                for object_id, alcor in by_id.items()
            ],
        )
        for table, rows in _index_rows(of, by_id.values()):
            if rows:
                self._connection.execute(table.insert(), rows)

    def remove(self, of: Resource, ids: Sequence[str]) -> int:
        """Remove objects; says how many were there."""
        table = TABLES[of.name]
        indexes = _INDEXES.get(of.name, ())
        removed = 0
        for some in _batches(ids):
            for index in indexes:
                self._connection.execute(index.delete().where(index.c[0].in_(some)))
            removed += self._connection.execute(table.delete().where(table.c.id.in_(some))).rowcount
        return removed


_INDEXES = {"port": (ADDRESSES, MEMBERSHIPS), "network": (PLACES,)}


def _belonging(table: sa.Table, project_id: str) -> sa.CompoundSelect[Any]:
    """The ids of what a project owns, and of what lies in its networks (a UNION, so that both use an index)."""
    networks = TABLES["network"]
    own_networks = sa.select(networks.c.id).where(networks.c.project_id == project_id)
    return sa.union(
        sa.select(table.c.id).where(table.c.project_id == project_id),
        sa.select(table.c.id).where(table.c.network_id.in_(own_networks)),
    )


def _any_of(column: sa.Column[Any], values: Sequence[str]) -> sa.ColumnElement[bool]:
    return column == values[0] if len(values) == 1 else column.in_(values)


def _index_rows(of: Resource, objects: Iterable[Json]) -> list[tuple[sa.Table, list[Json]]]:
    if of.name == "port":
        addresses: list[Json] = []
        memberships: list[Json] = []
        for port in objects:
            addresses += (
                {"port_id": port["id"], "subnet_id": ip.get("subnet_id") or "", "address": ip["ip_address"]}
                for ip in port.get("fixed_ips") or ()
                if ip.get("ip_address")
            )
            memberships += (
                {"port_id": port["id"], "security_group_id": group} for group in port.get("security_groups") or ()
            )
        return [(ADDRESSES, addresses), (MEMBERSHIPS, memberships)]
    if of.name == "network":
        return [(PLACES, [row for network in objects for row in _places(network)])]
    return []


def _places(network: Json) -> list[Json]:
    places = network.get("segments") or ([network] if network.get("provider:network_type") is not None else [])
    return [
        {
            "network_id": network["id"],
            "network_type": place.get("provider:network_type"),
            "physical_network": place.get("provider:physical_network"),
            "segmentation_id": place.get("provider:segmentation_id"),
        }
        for place in places
    ]


class _Job(msgspec.Struct):
    run: Callable[[Rows], Any]
    done: Future[Any]


class Store:
    """Opens the database and owns its one writing thread.

    Raises StoreError when the database cannot be opened.
    """

    def __init__(self, url: str, *, readers: int = 4) -> None:
        try:
            self._engine = _engine(url)
            _prepare(self._engine)
        except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
            raise StoreError(
                f"the database {make_url_safe(url)} cannot be opened: {_cause(error)}",
                "Check the path, its owner and the free space of its disk.",
            ) from error
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="store-writer", daemon=True)
        self._writer.start()
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="store-reader")
        self._closed = False

    async def read(self, work: Callable[[Rows], T]) -> T:
        """Run `work` on a snapshot, in a reading thread. Raises what `work` raises, and StoreError."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, functools.partial(self._read, work))

    async def write(self, work: Callable[[Rows], T]) -> T:
        """Run `work` in the writing thread, in one transaction; returns when it is durable.

        What `work` raises undoes it alone. Raises StoreError when the database fails.
        """
        done: Future[T] = Future()
        self._queue.put(_Job(work, done))
        return await asyncio.shield(asyncio.wrap_future(done))

    def close(self) -> None:
        """Finish what is queued and close the database."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        self._readers.shutdown()
        self._engine.dispose()

    def _read(self, work: Callable[[Rows], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return work(Rows(connection))
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"the store cannot be read: {_cause(error)}") from error

    def _write_all(self) -> None:
        stopping = False
        while not stopping:
            job = self._queue.get()
            jobs = [] if job is None else [job]
            stopping = job is None
            while not stopping and len(jobs) < _GROUP:
                try:
                    job = self._queue.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    stopping = True
                else:
                    jobs.append(job)
            if jobs:
                self._write_group(jobs)

    def _write_group(self, jobs: list[_Job]) -> None:
        results: list[tuple[_Job, Any]] = []
        try:
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                for job in jobs:
                    if not job.done.set_running_or_notify_cancel():
                        continue
                    try:
                        with connection.begin_nested():
                            results.append((job, job.run(Rows(connection))))
                    except sa.exc.SQLAlchemyError:
                        raise
                    except Exception as error:  # noqa: BLE001 (handed to whoever asked for this write)
                        job.done.set_exception(error)
        except sa.exc.SQLAlchemyError as error:
            log.exception("store_write_failed", writes=len(jobs))
            failure = StoreError(
                f"the store cannot be written: {_cause(error)}",
                "Check free space and health of the disk that holds the database.",
            )
            for job in jobs:
                if not job.done.done():
                    job.done.set_exception(failure)
            return
        for job, result in results:
            job.done.set_result(result)


def _batches(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """The values in lists that fit into one IN."""
    for start in range(0, len(values), _IN):
        yield values[start : start + _IN]


def make_url_safe(url: str) -> str:
    """The URL without its password, for messages."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except sa.exc.SQLAlchemyError:
        return "(not a database URL)"


def _prepare(engine: sa.Engine) -> None:
    """Make the tables, or bring those of an older controller to what is declared here.

    Raises StoreError for a database that a newer controller has written.
    """
    found = set(sa.inspect(engine).get_table_names())
    with engine.begin() as connection:
        version = _VERSION
        if SCHEMA.name in found:
            version = connection.execute(sa.select(SCHEMA.c.version)).scalar_one_or_none() or _VERSION
        elif TABLES[NETWORK.name].name in found:
            version = 1
        if version > _VERSION:
            raise StoreError(
                f"the database was written by a newer controller (its tables are of version {version}, "
                f"this one knows {_VERSION})",
                "Start the controller that wrote it, or give this one a database of its own.",
            )
        if version == 1:
            connection.execute(sa.text("DROP TABLE segments"))
        metadata.create_all(connection)
        if version == 1:
            _index_networks(Rows(connection))
        connection.execute(SCHEMA.delete())
        connection.execute(SCHEMA.insert(), [{"version": _VERSION}])


def _index_networks(rows: Rows) -> None:
    for network in rows.find(NETWORK):
        rows.put(NETWORK, [network])


def _cause(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split())


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url)
    if engine.dialect.name != "sqlite":
        return engine

    # Transactions are begun here and not by the driver, whose own idea of when to begin one breaks savepoints
    # (SQLAlchemy's documentation of the pysqlite dialect).
    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=10000")
        connection.execute("PRAGMA cache_size=-65536")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine

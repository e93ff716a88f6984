"""Neutron's database says what its API says, object by object: on MariaDB, where the real Neutron writes it, and on
PostgreSQL, into which its rows are carried over with the types that Neutron's models have there.
"""

import asyncio
import contextlib
import shutil
import tempfile
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from alcor_migrate.cloud import Cloud
from alcor_migrate.engine.changes import lookups
from alcor_migrate.engine.copy import Copy, CopyProgress
from alcor_migrate.engine.replay import Replay
from alcor_migrate.engine.verify import verify
from alcor_migrate.errors import SourceDatabaseError
from alcor_migrate.http import JsonClient
from alcor_migrate.journal import Intent, Journal, Outcome
from alcor_migrate.side import quick
from alcor_migrate.source import NeutronSide
from alcor_migrate.source.database import DatabaseSide
from alcor_migrate.source.database.side import disagreements
from alcor_model import differences, digest, resource
from lab.neutron import database_url
from lab.ports import Ports
from lab.postgresql import PostgreSQL, provide
from lab.process import Processes
from lab.topology import build_topology

pytestmark = pytest.mark.lab

PORTS = 24


@pytest.fixture(scope="module")
def url(lab):
    """Neutron's own address of its database; with something of every kind in it."""
    if lab.database != "mariadb":
        pytest.skip("MariaDB is not installed, and the lab's SQLite is not one that can be read beside Neutron")
    build_topology(lab, PORTS, seed=5)
    return database_url(lab.directory)


@pytest.fixture
async def opened(lab, monkeypatch):
    """Open the source with a database; the API is the lab's."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(lab.clouds_yaml))
    async with contextlib.AsyncExitStack() as stack:

        def open_side(address):
            cloud = Cloud("lab-admin")
            api = NeutronSide(JsonClient("Neutron", lab.neutron_url, cloud), cloud)
            side = DatabaseSide(api, address, cloud.project_id)
            stack.push_async_callback(side.close)
            return side, api

        yield open_side


async def everything(side, of, size):
    return {o["id"]: o async for page in side.pages(of, size) for o in page}


async def test_every_object_is_the_one_that_the_api_answers(url, opened):
    side, api = opened(url)
    await side.prove()
    seen = set()
    for name in sorted(side._reader.resources):
        of = resource(name)
        ours, theirs = await everything(side, of, 7), await everything(api, of, 100)
        assert ours.keys() == theirs.keys(), name
        seen |= {name} if ours else set()
        compared = {f.neutron for f in of.fields if f.compared}
        for object_id, found in ours.items():
            told = theirs[object_id]
            assert digest(of, found) == digest(of, told), [str(d) for d in differences(of, found, told)]
            assert found.keys() & compared == told.keys() & compared, (name, object_id)
    assert seen >= {"network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule"}
    assert seen >= {"segment", "subnetpool", "address_scope", "address_group", "policy", "trunk", "port_forwarding"}


async def test_a_glance_tells_what_the_api_answers_by_every_field_that_is_looked_up(url, opened):
    side, api = opened(url)
    seen = set()
    for name, field in sorted(lookups() | {(name, "id") for name in (await side._open()).resources}):
        of = resource(name)
        values = {o[field] for o in (await everything(api, of, 100)).values() if o.get(field)} | {"nobody"}
        ours, theirs = await quick(side).find(of, field, values), await api.find(of, field, values)
        assert disagreements(of, ours, theirs) == {}, (name, field)
        seen |= {(name, field)} if theirs else set()
    assert seen >= {("port", "device_id"), ("floatingip", "port_id"), ("port_forwarding", "internal_port_id")}
    assert seen >= {("security_group_rule", "remote_group_id"), ("subnet", "network_id"), ("trunk", "port_id")}
    assert await side.prove_quick() == set()


async def test_a_user_who_may_only_select_is_enough_and_nobody_can_write(url, opened):
    parts = make_url(url)
    admin = sa.create_engine(sa.URL.create("mysql+pymysql", "root", host=parts.host, port=parts.port))
    reader = parts.set(username="reader", password="read'only")
    with admin.begin() as connection:
        connection.exec_driver_sql("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'read''only'")
        connection.exec_driver_sql("GRANT SELECT ON neutron.* TO reader@'127.0.0.1'")
    try:
        side, _ = opened(reader.render_as_string(hide_password=False))
        assert await everything(side, resource("port"), 50)
        assert len(await side.fingerprints(resource("port"), 0)) == 1
        # Neutron's own user may write, and our transactions may not even then.
        mighty, _ = opened(url)
        reading = await mighty._open()
        quick = await mighty.fingerprints(resource("port"), 3)
        assert reading._database.quick
        reading._database.quick = False  # as a server without CRC32C
        thorough = await mighty.fingerprints(resource("port"), 3)
        assert {b: f.objects for b, f in quick.items()} == {b: f.objects for b, f in thorough.items()}
        snapshot = reading._database.snapshot(reading.facts)
        with pytest.raises(sa.exc.SQLAlchemyError, match="READ ONLY"):
            snapshot._connection.exec_driver_sql("UPDATE ports SET name = 'written'")
        snapshot.close()
    finally:
        with admin.begin() as connection:
            connection.exec_driver_sql("DROP USER reader@'127.0.0.1'")
        admin.dispose()


async def test_changes_that_revision_numbers_miss_change_the_fingerprint(url, opened, lab, connect):
    """Facts of Neutron: these leave revision_number as it is (subnets' resolvers, trunks' subports)."""
    side, _ = opened(url)
    network = connect(lab).network
    made = network.create_network(name="fingerprints")
    subnet = network.create_subnet(network_id=made.id, ip_version=4, cidr="192.0.2.0/24")
    parent, sub = (network.create_port(network_id=made.id, name=name) for name in ("parent", "sub"))
    trunk = network.create_trunk(port_id=parent.id)
    subports = [{"port_id": sub.id, "segmentation_type": "vlan", "segmentation_id": 7}]
    try:
        for name, object_id, change in (
            ("subnet", subnet.id, lambda: network.update_subnet(subnet, dns_nameservers=["9.9.9.9"])),
            ("trunk", trunk.id, lambda: network.add_trunk_subports(trunk, subports)),
            ("port", sub.id, lambda: network.set_tags(sub, ["tag"])),
            ("network", made.id, lambda: network.update_network(made, is_shared=True)),
        ):
            before = await side.fingerprints(resource(name), 8)
            change()
            after = await side.fingerprints(resource(name), 8)
            assert object_id[:8] in {bucket for bucket in after if after[bucket] != before[bucket]}, name
    finally:
        network.delete_trunk(trunk)
        network.delete_port(sub)
        network.delete_port(parent)
        network.delete_network(made)


class Target:
    """What was loaded, in memory."""

    name = "target"
    keeps_everything = True

    def __init__(self):
        self.objects = {}

    async def pages(self, of, page_size):
        held = [o for (name, _), o in sorted(self.objects.items()) if name == of.name]
        for start in range(0, len(held), page_size):
            yield held[start : start + page_size]

    async def read(self, of, ids):
        return {i: self.objects[of.name, i] for i in ids if (of.name, i) in self.objects}

    async def find(self, of, field, values):
        held = {i: o for (name, i), o in self.objects.items() if name == of.name}
        return {i: o for i, o in held.items() if o.get(field) in set(values)}

    async def apply(self, changes):
        for change in changes:
            if change.new is None:
                self.objects.pop((change.of.name, change.id), None)
            else:
                self.objects[change.of.name, change.id] = change.new
        return []


class Recorder:
    """Writes as the gateway does: recorded before, and after."""

    def __init__(self, journal, network):
        self._journal, self._network = journal, network

    async def write(self, method, path, body=None):
        intent = Intent(method=method, path=f"/v2.0{path}", request_id="r", started_at=time.time(), side="source")
        number = await self._journal.intent(intent)
        answer = await asyncio.to_thread(self._network.request, path, method, json=body)
        assert answer.ok, answer.text
        outcome = Outcome(status=answer.status_code, body=answer.content, finished_at=time.time())
        await self._journal.outcome(number, outcome)
        return answer.json() if answer.content else None


async def test_writes_during_a_copy_from_the_database_end_level(url, opened, lab, connect, tmp_path):
    """Users go on writing while late pages of an early snapshot arrive."""
    side, _ = opened(url)
    target = Target()
    journal = await Journal.open(tmp_path / "journal.sqlite")
    replay = Replay(journal, {"source": side, "target": target}, 0, 5, lambda _: None)
    running = asyncio.create_task(replay.run())
    network = connect(lab).network
    kept, deleted = (network.create_network(name=name) for name in ("kept", "deleted"))
    doomed = [network.create_port(network_id=kept.id, name="doomed") for _ in range(3)]
    write = Recorder(journal, network).write

    async def users():
        await write("DELETE", f"/networks/{deleted.id}")
        await write("PUT", f"/networks/{kept.id}", {"network": {"name": "renamed"}})
        made = await write("POST", "/ports", {"port": {"network_id": kept.id, "name": "new"}})
        for port in doomed:
            await write("PUT", f"/ports/{port.id}/tags", {"tags": ["last"]})
            await write("DELETE", f"/ports/{port.id}")
        await write("DELETE", f"/ports/{made['port']['id']}")
        await write("PUT", f"/networks/{kept.id}/tags", {"tags": ["after"]})

    progress = CopyProgress()
    try:
        pages = side.pages
        begun = asyncio.Event()

        async def slowly(of, page_size):
            """The snapshot is there, and its pages come only after users have written."""
            begun.set()
            await done
            async for page in pages(of, page_size):
                yield page

        side.pages = slowly
        done = asyncio.ensure_future(_after(begun, users))
        await Copy(side, journal, replay, 5, progress).run(lambda _: None)
        side.pages = pages
        await replay.reach(journal.position)
        assert target.objects["network", kept.id]["name"] == "renamed"
        assert ("network", deleted.id) not in target.objects
        assert not {key for key in target.objects if key[1] in {port.id for port in doomed}}
        assert progress.left_out >= 2 + len(doomed)
        found = await verify(journal, replay, 100)
        assert (found.mismatches, found.shown) == (0, [])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await journal.close()
        network.delete_network(kept)


async def _after(event, work):
    await event.wait()
    await work()


# -- PostgreSQL ---


@pytest.fixture(scope="module")
def empty_server():
    """A PostgreSQL server with nothing in it."""
    if reason := provide():
        pytest.skip(reason)
    ports = Ports()
    folder = Path(tempfile.mkdtemp(prefix="alcor-postgresql-"))
    folder.chmod(0o755)
    processes = Processes(folder, scratch=True, keep=False)
    try:
        server = PostgreSQL(folder / "postgresql", ports.reserve(), processes)
        server.initialise()
        yield server.url
    finally:
        processes.close()
        ports.release()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql(url, empty_server):
    """A database that holds the rows that the real Neutron has written until now."""
    _carry_over(url, empty_server)
    yield empty_server
    engine = sa.create_engine(empty_server)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    engine.dispose()


def _carry_over(old, new):
    """Copy every table, booleans as booleans, which MariaDB does not have."""
    metadata = sa.MetaData()
    source, target = sa.create_engine(old), sa.create_engine(new)
    metadata.reflect(source)
    flags = {}
    ours = sa.MetaData()
    for table in metadata.tables.values():
        columns = []
        for column in table.columns:
            kind = column.type.as_generic()
            if isinstance(column.type, sa.dialects.mysql.TINYINT):
                kind = sa.Boolean()
                flags.setdefault(table.name, []).append(column.name)
            columns.append(sa.Column(column.name, sa.String(64) if isinstance(kind, sa.Enum) else kind))
        sa.Table(table.name, ours, *columns)
    ours.create_all(target)
    with source.connect() as reading, target.begin() as writing:
        for name, table in metadata.tables.items():
            rows = [dict(row) for row in reading.execute(sa.select(table)).mappings()]
            for row in rows:
                row |= {flag: bool(row[flag]) for flag in flags.get(name, ()) if row[flag] is not None}
            if rows:
                writing.execute(sa.insert(ours.tables[name]), rows)
    source.dispose()
    target.dispose()


async def test_postgresql_gives_the_same_objects(url, postgresql, opened):
    one, _ = opened(url)
    other, _ = opened(postgresql)
    await one._open()
    await other._open()
    assert other._reader.resources == one._reader.resources
    for name in sorted(one._reader.resources):
        of = resource(name)
        ours, theirs = await everything(one, of, 50), await everything(other, of, 7)
        assert ours.keys() == theirs.keys()
        assert all(digest(of, ours[i]) == digest(of, theirs[i]) for i in ours), name


async def test_postgresql_is_only_read_and_tells_changes(postgresql, opened):
    side, _ = opened(postgresql)
    reading = await side._open()
    snapshot = reading._database.snapshot(reading.facts)
    with pytest.raises(sa.exc.SQLAlchemyError, match="read-only"):
        snapshot._connection.exec_driver_sql("UPDATE ports SET name = 'written'")
    snapshot.close()
    before = await side.fingerprints(resource("port"), 3)
    writer = sa.create_engine(postgresql)
    with writer.begin() as connection:
        changed = connection.exec_driver_sql("SELECT id FROM ports LIMIT 1").scalar_one()
        connection.exec_driver_sql("UPDATE ports SET admin_state_up = NOT admin_state_up WHERE id = %s", (changed,))
    writer.dispose()
    after = await side.fingerprints(resource("port"), 3)
    assert {bucket for bucket in after if after[bucket] != before[bucket]} == {changed[:3]}


async def test_a_server_that_is_away_is_told_without_its_password(url, opened):
    away = make_url(url).set(port=1, password="hunter2")
    side, _ = opened(away.render_as_string(hide_password=False))
    with pytest.raises(SourceDatabaseError) as refused:
        await side.prove()
    assert "hunter2" not in refused.value.message

"""Neutron's database as a source, on tables of SQLite that hold what the rules name."""

import asyncio
import sqlite3
import threading

import pytest
import sqlalchemy as sa
import structlog
from tables import EXTENSIONS, create, declared, insert, port, standard

from alcor_migrate.engine.changes import lookups
from alcor_migrate.errors import SourceDatabaseError
from alcor_migrate.side import Key, quick
from alcor_migrate.source.database import DatabaseSide, Facts, Reader
from alcor_migrate.source.database.catalogue import RULES
from alcor_migrate.source.database.snapshot import Database, Snapshot
from alcor_migrate.source.database.statements import Statements
from alcor_model import resource

FACTS = Facts(EXTENSIONS, "admin-project", "cloud.example.")
PORT, NETWORK = resource("port"), resource("network")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "neutron.sqlite"


@pytest.fixture
def neutron(path):
    connection = create(path)
    yield connection
    connection.close()


def database(path):
    return Database(f"sqlite:///{path}", RULES)


def everything(found, name, size=100, prefix=""):
    objects, after = [], ""
    while after is not None:
        page, _, after = found.page(name, after, size, prefix)
        objects += page
    return objects


@pytest.fixture
def snapshot(path):
    opened = []

    def take(facts=FACTS):
        opened.append(database(path).snapshot(facts))
        return opened[-1]

    yield take
    for one in opened:
        one.close()


def test_a_port_is_made_of_all_its_tables(neutron, snapshot):
    port(neutron, "a1", 7, name="web", device_owner="compute:nova")
    insert(neutron, "tags", standard_attr_id=7, tag="prod")
    insert(neutron, "portsecuritybindings", port_id="a1", port_security_enabled=0)
    insert(neutron, "portdnses", port_id="a1", dns_name="web", dns_domain="own.example.", current_dns_domain="")
    insert(neutron, "porttrusted", port_id="a1", trusted=1)
    insert(neutron, "ml2_port_binding_levels", port_id="a1", level=0, driver="openvswitch")
    insert(neutron, "allowedaddresspairs", port_id="a1", mac_address="m", ip_address="10.0.0.0/24")
    (found,) = everything(snapshot(), "port")
    assert found["fixed_ips"] == [{"subnet_id": "s1", "ip_address": "10.0.0.7"}]
    assert found["security_groups"] == ["g1"]
    assert found["tags"] == ["prod"]
    assert (found["created_at"], found["revision_number"]) == ("2026-01-02T03:04:05Z", 1)
    assert found["port_security_enabled"] is False
    assert found["binding:vif_details"] == {"port_filter": True, "bound_drivers": {"0": "openvswitch"}}
    assert found["binding:profile"] == {"trusted": True}
    assert found["dns_assignment"] == [{"ip_address": "10.0.0.7", "hostname": "web", "fqdn": "web.cloud.example."}]
    assert found["allowed_address_pairs"] == [{"mac_address": "m", "ip_address": "10.0.0.0/24"}]


def test_an_object_has_the_fields_of_loaded_extensions_only(neutron, snapshot):
    port(neutron, "a1", 7)
    (found,) = everything(snapshot(Facts(frozenset({"binding"}))), "port")
    assert "binding:host_id" in found
    assert not {"tags", "revision_number", "dns_name", "port_security_enabled", "qos_policy_id"} & found.keys()


def test_pages_give_each_object_once_whatever_their_size(neutron, snapshot):
    ids = [f"{n:03x}{'-x' * (n % 3)}" for n in range(0, 500, 7)]
    for number, object_id in enumerate(ids):
        port(neutron, object_id, number)
    taken = snapshot()
    for size in (1, 7, len(ids), 1000):
        found = everything(taken, "port", size)
        assert [o["id"] for o in found] == sorted(ids)
        assert all(o["fixed_ips"] and o["description"] == "" for o in found)
    assert [o["id"] for o in everything(taken, "port", 2, "01")] == [i for i in sorted(ids) if i.startswith("01")]


def test_a_network_shows_who_it_is_shared_with_from_the_administrators_point_of_view(neutron, snapshot):
    for number, target in enumerate(("*", "admin-project", "somebody", None)):
        insert(neutron, "networks", id=f"n{number}", project_id="p", name="n", standard_attr_id=number)
        standard(neutron, number)
        if target:
            insert(neutron, "networkrbacs", object_id=f"n{number}", action="access_as_shared", target_project=target)
    insert(neutron, "networkrbacs", object_id="n3", action="access_as_external", target_project="*")
    assert [n["shared"] for n in everything(snapshot(), "network")] == [True, True, False, False]


def test_what_neutron_computes_by_itself_is_left_to_the_api(neutron, snapshot):
    port(neutron, "a1", 1)
    port(neutron, "a2", 2)
    insert(neutron, "qos_port_policy_bindings", port_id="a2", policy_id="q")
    insert(neutron, "qos_minimum_bandwidth_rules", id="r", qos_policy_id="q", min_kbps=1, direction="egress")
    page, asked, _ = snapshot().page("port", "", 10)
    assert ([o["id"] for o in page], asked) == (["a1"], ["a2"])


def test_a_snapshot_does_not_see_what_comes_after_it(neutron, snapshot):
    port(neutron, "a1", 1)
    taken = snapshot()
    port(neutron, "a2", 2)
    neutron.execute("UPDATE ports SET name = 'changed'")
    neutron.commit()
    assert [(o["id"], o["name"]) for o in everything(taken, "port")] == [("a1", "")]
    assert len(everything(snapshot(), "port")) == 2


def test_it_cannot_write(neutron, snapshot):
    port(neutron, "a1", 1)
    for statement in (
        "DELETE FROM ports",
        "UPDATE ports SET name = 'x'",
        "CREATE TABLE t (c INT)",
        "DROP TABLE ports",
    ):
        with pytest.raises(Exception, match="readonly"):
            snapshot()._connection.exec_driver_sql(statement)
    assert neutron.execute("SELECT name FROM ports").fetchall() == [("",)]


def test_a_page_that_is_cut_off_on_its_way_is_read_row_by_row(neutron, snapshot, monkeypatch):
    """A server hands on no text above max_allowed_packet; what is left of it is no JSON, or too few rows."""
    for number in range(5):
        port(neutron, f"a{number}", number)
    whole = everything(snapshot(), "port")
    as_json = Statements.as_json
    for cut in (lambda text: sa.func.substr(text, 1, 40), lambda _text: sa.literal("[1]")):

        def shortened(self, query, cut=cut):
            count, text = as_json(self, query).selected_columns
            return query.with_only_columns(count, cut(text))

        monkeypatch.setattr(Statements, "as_json", shortened)
        assert everything(snapshot(), "port") == whole


# -- fingerprints ----------------------------------------------------------------------------------------------------


def _linked(neutron):
    """One object of every rule, with a row in every table that feeds it; answers (rule, id) pairs."""
    made = set()
    for rule in RULES:
        links = {part.link for part in rule.parts} - {"id"}
        _row(neutron, made, rule.table, {"id": f"abc-{rule.resource}"} | {n: f"{rule.table}.{n}" for n in links})
        for part in rule.parts:
            value = f"abc-{rule.resource}" if part.link == "id" else f"{rule.table}.{part.link}"
            fixed = dict(part.where)
            if part.bridge:
                through = f"{rule.resource}.{part.name}"
                bridge = {part.bridge.key: value, part.bridge.link: through} | dict(part.bridge.where)
                _row(neutron, made, part.bridge.table, bridge)
                value = through
            _row(neutron, made, part.table, {part.key: value} | fixed)
    neutron.commit()


def _row(neutron, made, table, fixed):
    row = {column: f"{table}.{column}" for column in declared()[table] if column not in {"created_at", "updated_at"}}
    row |= {c: "2026-01-02 03:04:05" for c in declared()[table] if c in {"created_at", "updated_at"}} | fixed
    if (key := (table, *sorted(row.items()))) not in made:
        made.add(key)
        insert(neutron, table, **row)


CHANGES = [
    (rule, part, column.rstrip("?").partition("|")[0])
    for rule in RULES
    for part in (None, *rule.parts)
    for column in (part.columns if part else rule.columns)
]


def test_every_column_that_is_read_changes_the_fingerprint(neutron, path):
    """A column that a builder sees and a fingerprint does not would be a change that verify skips."""
    _linked(neutron)
    source = database(path)

    def marks(rule):
        taken = source.snapshot(FACTS)
        try:
            return taken.fingerprints(rule.resource, 3)
        finally:
            taken.close()

    before = {rule.resource: marks(rule) for rule in RULES}
    for rule, part, column in CHANGES:
        assert before[rule.resource]["abc"].objects == 1, rule.resource
        table = part.table if part else rule.table
        value = "2027-01-01 00:00:00" if column in {"created_at", "updated_at"} else "changed"
        was = neutron.execute(f'SELECT "{column}", rowid FROM "{table}"').fetchall()  # noqa: S608
        neutron.execute(f'UPDATE "{table}" SET "{column}" = ?', [value])  # noqa: S608
        neutron.commit()
        assert marks(rule) != before[rule.resource], f"{rule.resource}: {table}.{column}"
        neutron.executemany(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', was)  # noqa: S608
        neutron.commit()


def test_rows_that_come_and_go_change_the_fingerprint_and_only_of_their_bucket(neutron, snapshot):
    for number in range(1, 9):
        port(neutron, f"{number:03x}-{number}", number)
    before = snapshot().fingerprints("port", 3)
    insert(neutron, "tags", standard_attr_id=3, tag="new")
    after = snapshot().fingerprints("port", 3)
    assert {bucket for bucket in after if after[bucket] != before[bucket]} == {"003"}
    neutron.execute("DELETE FROM tags")
    neutron.commit()
    assert snapshot().fingerprints("port", 3) == before
    neutron.execute("DELETE FROM ports WHERE id LIKE '005%'")
    neutron.commit()
    gone = snapshot().fingerprints("port", 3)
    assert {b for b in before if gone.get(b) != before[b]} == {"005"}


def test_the_same_change_of_two_objects_in_a_bucket_does_not_cancel_out(neutron, snapshot):
    port(neutron, "abc-1", 1)
    port(neutron, "abc-2", 2)
    before = snapshot().fingerprints("port", 3)
    neutron.execute("UPDATE ports SET admin_state_up = 0")
    neutron.commit()
    assert snapshot().fingerprints("port", 3) != before


def test_other_facts_make_other_fingerprints(neutron, snapshot):
    port(neutron, "abc-1", 1)
    ours = snapshot().fingerprints("port", 3)
    assert snapshot(Facts(EXTENSIONS | {"new"}, "admin-project", "cloud.example.")).fingerprints("port", 3) != ours


# -- what databases there are ----------------------------------------------------------------------------------------


def test_an_older_release_is_read_by_its_own_names(path):
    renamed = {("networkrbacs", "target_project"): "target_tenant"}
    neutron = create(path, without={"porttrusted", ("networks", "qinq")}, renamed=renamed.items())
    insert(neutron, "networks", id="n", project_id="p", name="n", standard_attr_id=1)
    insert(neutron, "networkrbacs", object_id="n", action="access_as_shared", target_tenant="*")
    port(neutron, "a1", 7)
    taken = database(path).snapshot(FACTS)
    assert everything(taken, "network")[0]["shared"] is True
    assert everything(taken, "port")[0]["trusted"] is None
    taken.close()
    neutron.close()


def test_a_table_without_a_column_that_all_releases_have_is_named(path):
    create(path, without={("ports", "mac_address")}).close()
    with pytest.raises(SourceDatabaseError, match="table ports has no column mac_address"):
        database(path)


def test_a_resource_without_its_table_is_left_to_the_api(path):
    create(path, without={"floatingips"}).close()
    assert "floatingip" not in database(path).rules


def test_another_database_is_refused(path):
    create(path, without={"standardattributes"}).close()
    with pytest.raises(SourceDatabaseError, match="is not Neutron's"):
        database(path)


def test_a_sqlite_whose_readers_stop_neutron_is_refused(path):
    sqlite3.connect(path).execute("CREATE TABLE standardattributes (id INTEGER)").connection.close()
    with pytest.raises(SourceDatabaseError, match="WAL"):
        database(path)


@pytest.mark.parametrize(
    "url",
    [
        "mysql+pymysql://neutron:hunter2@127.0.0.1:1/neutron",
        "postgresql+psycopg://neutron:hunter2@127.0.0.1:1/neutron",
        "mysql+pymysql://neutron:hunter2@[broken/neutron",
        "hunter2",
        "oracle+nothing://neutron:hunter2@somewhere/neutron",
    ],
)
def test_the_password_is_never_told(url):
    with structlog.testing.capture_logs() as logs, pytest.raises(SourceDatabaseError) as refused:
        Database(url, RULES)
    assert "hunter2" not in refused.value.message + str(refused.value.next_step) + str(logs)


# -- the side --------------------------------------------------------------------------------------------------------


class Api:
    """Neutron's API as far as the side asks it."""

    def __init__(self, objects):
        self.objects = objects
        self.asked = []
        self.found = []
        shown = {"ip_address": "10.9.9.9", "hostname": "host-10-9-9-9", "fqdn": "host-10-9-9-9.cloud.example."}
        self.ports = [{"id": "another", "dns_name": "", "dns_assignment": [shown]}]

    async def extensions(self):
        return set(EXTENSIONS)

    async def pages(self, of, _size):
        yield self.ports if of.name == "port" else []

    async def read(self, _of, ids):
        self.asked += ids
        return {i: self.objects[i] for i in ids if i in self.objects}

    async def find(self, of, field, values):
        self.found.append((of.name, field))
        return {o["id"]: o for o in self.objects.values() if o.get(field) in values}

    async def estimate(self, _projects):
        return {"ports": 5, "quotas": 3}

    async def close(self):
        pass


async def _admin():
    return "admin-project"


def side(path, api):
    return DatabaseSide(api, f"sqlite:///{path}", _admin)


async def test_it_lists_from_the_database_and_reads_from_the_api(neutron, path):
    port(neutron, "a1", 1)
    port(neutron, "a2", 2)
    insert(neutron, "qos_port_policy_bindings", port_id="a2", policy_id="q")
    insert(neutron, "qos_minimum_packet_rate_rules", id="r", qos_policy_id="q", min_kpps=1, direction="any")
    source = side(path, Api({"a2": {"id": "a2", "resource_request": {"from": "the API"}}}))
    listed = [o async for page in source.pages(PORT, 10) for o in page]
    assert [(o["id"], o["resource_request"]) for o in listed] == [("a1", None), ("a2", {"from": "the API"})]
    estimate = await source.estimate([])
    assert (estimate["ports"], estimate["trunks"], estimate["quotas"]) == (2, 0, 3)
    await source.close()


async def test_it_holds_still_inside_a_block(neutron, path):
    port(neutron, "a1", 1)
    source = side(path, Api({}))
    async with source.steady() as still:
        assert still
        before = await source.fingerprints(PORT, 3)
        port(neutron, "a2", 2)
        assert [o["id"] async for page in source.pages(PORT, 10) for o in page] == ["a1"]
        assert await source.fingerprints(PORT, 3) == before
    assert [o["id"] async for page in source.pages(PORT, 10) for o in page] == ["a1", "a2"]
    await source.close()


async def test_a_page_that_nobody_wants_lets_go_of_the_database(neutron, path):
    for number in range(5):
        port(neutron, f"a{number}", number)
    source = side(path, Api({}))
    pages = source.pages(PORT, 1)
    await anext(pages)
    await pages.aclose()
    await source.close()


async def test_it_is_proved_against_the_api(neutron, path):
    port(neutron, "a1", 1)
    (truth,) = [o async for page in side(path, Api({})).pages(PORT, 10) for o in page]
    good = side(path, Api({"a1": truth}))
    await good.prove()
    bad = side(path, Api({"a1": truth | {"new_field": "of a plugin"}}))
    with pytest.raises(SourceDatabaseError, match=r"of port a1: new_field: not set ≠ 'of a plugin'"):
        await bad.prove()
    for one in (good, bad):
        await one.close()


async def test_replay_is_told_by_the_database_and_verify_by_the_api(neutron, path):
    port(neutron, "a1", 1, device_id="vm")
    port(neutron, "a2", 2)
    insert(neutron, "qos_port_policy_bindings", port_id="a2", policy_id="q")
    insert(neutron, "qos_minimum_packet_rate_rules", id="r", qos_policy_id="q", min_kpps=1, direction="any")
    api = Api({"a1": {"id": "a1", "from": "the API"}, "a2": {"id": "a2", "from": "the API"}})
    source = side(path, api)
    told = await quick(source).read(PORT, ["a1", "a2", "gone"])
    assert told.keys() == {"a1", "a2"}
    assert told["a1"]["fixed_ips"] == [{"subnet_id": "s1", "ip_address": "10.0.0.1"}]
    assert (told["a2"], api.asked) == ({"id": "a2", "from": "the API"}, ["a2"])  # computed in Neutron's own code
    assert (await quick(source).find(PORT, "device_id", ["vm"])).keys() == {"a1"}
    assert await quick(source).read(PORT, []) == {}
    assert await source.read(PORT, ["a1"]) == {"a1": {"id": "a1", "from": "the API"}}
    await source.close()


async def test_a_glance_sees_what_was_written_just_before_it(neutron, path):
    port(neutron, "a1", 1)
    source = side(path, Api({}))
    async with source.steady():  # a snapshot that is open holds still; a glance never does
        assert (await quick(source).read(PORT, ["a1"]))["a1"]["name"] == ""
        neutron.execute("UPDATE ports SET name = 'changed'")
        neutron.commit()
        assert (await quick(source).read(PORT, ["a1"]))["a1"]["name"] == "changed"
    await source.close()


@pytest.mark.usefixtures("neutron")
async def test_what_the_database_cannot_be_asked_for_is_asked_of_the_api(path):
    api = Api({"b1": {"id": "b1", "object_id": "n1"}, "s1": {"id": "s1", "host_routes": "x"}})
    source = side(path, api)
    assert (await quick(source).find(resource("rbac_policy"), "object_id", ["n1"])).keys() == {"b1"}
    assert (await quick(source).find(resource("subnet"), "host_routes", ["x"])).keys() == {"s1"}
    assert api.found == [("rbac_policy", "object_id"), ("subnet", "host_routes")]
    await source.close()


@pytest.mark.usefixtures("neutron")
def test_every_field_that_replay_looks_up_is_a_column_where_there_are_tables(path):
    rules = database(path)
    assert {(n, f) for n, f in lookups() if n in rules.rules and not rules.every(n).finds(f)} == set()


async def test_a_resource_that_is_told_wrong_is_read_through_the_api_from_then_on(neutron, path):
    port(neutron, "a1", 1)
    insert(neutron, "networks", id="n1", project_id="p", name="n", standard_attr_id=9)
    standard(neutron, 9)
    honest = side(path, Api({}))
    truth = {o["id"]: o for of in (PORT, NETWORK) for o in (await quick(honest).read(of, ["a1", "n1"])).values()}
    api = Api(truth | {"a1": truth["a1"] | {"new_field": "of a plugin"}})
    source = side(path, api)
    assert await source.prove_quick() == set()  # nothing was told yet
    for of in (PORT, NETWORK):
        await quick(source).read(of, ["a1", "n1"])
    with structlog.testing.capture_logs() as logs:
        assert await source.prove_quick() == {Key("port", "a1")}
    (said,) = [line for line in logs if line["event"] == "source_database_is_wrong"]
    assert (said["resource"], said["problem"]) == ("port", "new_field: not set ≠ 'of a plugin'")
    assert await quick(source).find(PORT, "id", ["a1"]) == {"a1": api.objects["a1"]}
    assert await source.fingerprints(PORT, 3) is None
    assert await source.fingerprints(NETWORK, 3) is not None
    api.asked.clear()
    assert (await source.prove_quick(), api.asked) == (set(), [])  # what was proved once is not asked for again
    for one in (honest, source):
        await one.close()


async def test_a_reader_ends_with_its_snapshots(neutron, path):
    port(neutron, "a1", 1)
    reader = Reader(f"sqlite:///{path}", FACTS)
    async with reader.steady(), reader.view() as view:
        assert await view.count("port") == 1
    reader.close()


async def test_a_question_that_is_given_up_holds_nobody_back(neutron, path, monkeypatch):
    """The event loop also serves the gateway's clients: it must not wait for a slow database."""
    port(neutron, "a1", 1)
    reader = Reader(f"sqlite:///{path}", FACTS)
    answered, ended = threading.Event(), threading.Event()

    def slow(_self, _resource, _length):
        answered.wait(10)
        ended.set()

    monkeypatch.setattr(Snapshot, "fingerprints", slow)

    async def ask():
        async with reader.view() as view:
            await view.fingerprints("port", 3)

    task = asyncio.create_task(ask())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended.is_set()
    answered.set()
    await asyncio.to_thread(ended.wait, 10)
    reader.close()


async def test_what_neutron_does_not_serve_is_not_read_from_tables_that_are_left(neutron, path):
    insert(neutron, "trunks", id="t", project_id="p", name="left over", standard_attr_id=1)
    reader = Reader(f"sqlite:///{path}", Facts(EXTENSIONS - {"trunk"}))
    assert "trunk" not in reader.resources
    assert "network" in reader.resources
    reader.close()


async def test_a_cloud_without_ports_shows_its_domain_later(neutron, path):
    api = Api({})
    shown, api.ports = api.ports, []
    source = side(path, api)
    assert [page async for page in source.pages(PORT, 10)] == []
    port(neutron, "a1", 1)
    api.ports = shown
    async with source.steady():
        assert source._reader.facts.dns_domain == "cloud.example."
        port(neutron, "a2", 2)
    found = {o["id"]: o async for page in source.pages(PORT, 10) for o in page}
    assert found["a2"]["dns_assignment"][0]["fqdn"] == "host-10-0-0-2.cloud.example."
    await source.close()


def test_without_the_domain_ports_are_left_to_the_api(neutron, snapshot):
    port(neutron, "a1", 1)
    assert snapshot(Facts(EXTENSIONS)).page("port", "", 10)[1] == ["a1"]

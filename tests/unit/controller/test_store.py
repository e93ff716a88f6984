from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from alcor_model import resource
from alcor_model.catalogue import NETWORK, PORT
from alcor_sdn.controller.store import Store
from alcor_sdn.errors import StoreError


async def test_a_failing_write_undoes_itself_alone(store):
    def good(number):
        return lambda rows: rows.put(NETWORK, [{"id": f"n-{number}"}])

    def bad(rows):
        rows.put(NETWORK, [{"id": "half-done"}])
        raise ValueError("no")

    results = await asyncio.gather(
        *(store.write(bad if number == 5 else good(number)) for number in range(10)), return_exceptions=True
    )
    assert isinstance(results[5], ValueError)
    assert [r for r in results if r is not None] == [results[5]]
    assert await store.read(lambda rows: rows.count(NETWORK)) == 9
    assert await store.read(lambda rows: rows.get(NETWORK, "half-done")) is None


async def test_writes_see_those_before_them(store):
    def increment(rows):
        network = rows.get(NETWORK, "n") or {"id": "n", "mtu": 0}
        rows.put(NETWORK, [{**network, "mtu": network["mtu"] + 1}])

    await asyncio.gather(*(store.write(increment) for _ in range(200)))
    assert (await store.read(lambda rows: rows.get(NETWORK, "n")))["mtu"] == 200


async def test_what_is_written_is_there_after_reopening(settings):
    store = Store(settings.database_url)
    await store.write(lambda rows: rows.put(PORT, [{"id": "p", "network_id": "n", "mac_address": "m"}]))
    store.close()
    store = Store(settings.database_url)
    try:
        assert (await store.read(lambda rows: rows.get(PORT, "p")))["network_id"] == "n"
    finally:
        store.close()


async def test_pages_join_without_gap(store):
    ids = [f"{number:05}" for number in range(2500)]
    await store.write(lambda rows: rows.put(NETWORK, [{"id": object_id} for object_id in reversed(ids)]))
    found = await store.read(lambda rows: [n["id"] for n in rows.find(NETWORK)])
    assert found == ids
    backwards = await store.read(lambda rows: [n["id"] for n in rows.find(NETWORK, backwards=True)])
    assert backwards == ids[::-1]
    assert await store.read(lambda rows: rows.remove(NETWORK, ids)) == 2500


def test_a_database_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"no-such-folder/alcor\.db cannot be opened"):
        Store(f"sqlite:///{tmp_path}/no-such-folder/alcor.db")


V1 = """
CREATE TABLE networks (id VARCHAR(255) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255),
                       body BLOB NOT NULL);
CREATE INDEX ix_networks_name ON networks (name);
CREATE TABLE segments (network_id VARCHAR(255) NOT NULL, network_type VARCHAR(32), physical_network VARCHAR(64),
                       segmentation_id BIGINT);
CREATE INDEX ix_segments_network_id ON segments (network_id);
CREATE INDEX ix_segments_place ON segments (network_type, physical_network, segmentation_id);
INSERT INTO networks VALUES ('n', 'p', 'web', '{"id":"n","project_id":"p","name":"web",
                             "provider:network_type":"vxlan","provider:segmentation_id":7}');
INSERT INTO segments VALUES ('n', 'vxlan', NULL, 7);
"""


async def test_a_database_of_the_first_version_is_brought_to_this_one(settings):
    with closing(sqlite3.connect(settings.database)) as database:
        database.executescript(V1)
    for _ in range(2):  # the second time there is nothing left to do
        store = Store(settings.database_url)
        try:
            assert await store.read(lambda rows: rows.segment_holder("vxlan", None, 7)) == "n"
            assert (await store.read(lambda rows: rows.get(NETWORK, "n")))["name"] == "web"
            await store.write(lambda rows: rows.put(resource("segment"), [{"id": "s", "network_id": "n"}]))
            assert await store.read(lambda rows: rows.count(resource("segment"))) == 1
        finally:
            store.close()


def test_a_database_of_a_newer_controller_is_left_alone(settings):
    Store(settings.database_url).close()
    with closing(sqlite3.connect(settings.database)) as database, database:
        database.execute("UPDATE schema SET version = 99")
    with pytest.raises(StoreError, match="version 99") as refused:
        Store(settings.database_url)
    assert "the controller that wrote it" in refused.value.next_step

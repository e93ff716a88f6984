from __future__ import annotations

import asyncio

import pytest

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

"""What verify asks instead of listing: a sum over what is stored, by the beginning of the id."""


def port(object_id, **fields):
    return {"id": object_id, "name": "", "network_id": "n", "mac_address": "m", "fixed_ips": []} | fields


async def digests(native, length=3):
    status, answer = await native.get(f"/ports/digests?length={length}")
    assert status == 200
    return answer["digests"]


async def test_every_change_shows_in_its_bucket_and_nowhere_else(native):
    await native.post("/ports/bulk", {"ports": [port("abc-1"), port("abc-2"), port("def-1")]})
    before = await digests(native)
    assert {bucket: count for bucket, (count, _) in before.items()} == {"abc": 2, "def": 1}
    await native.post("/ports/bulk", {"ports": [port("abc-1", name="x"), port("abc-2", name="x")]})
    after = await digests(native)
    assert after["abc"] != before["abc"]
    assert after["def"] == before["def"]
    await native.post("/ports/bulk", {"ports": [port("abc-1"), port("abc-2")]})
    assert await digests(native) == before
    await native.delete("/ports/bulk", {"ids": ["def-1"]})
    assert await digests(native) == {"abc": before["abc"]}


async def test_contents_that_change_places_show(native):
    """Else two objects with exchanged contents would have the same sum."""
    await native.post("/ports/bulk", {"ports": [port("abc-1", name="x"), port("abc-2", name="y")]})
    before = await digests(native)
    await native.post("/ports/bulk", {"ports": [port("abc-1", name="y"), port("abc-2", name="x")]})
    assert await digests(native) != before


async def test_one_bucket_holds_everything_and_nonsense_is_refused(native):
    await native.post("/ports/bulk", {"ports": [port("abc-1"), port("def-1")]})
    assert (await digests(native, 0))[""][0] == 2
    assert (await native.get("/ports/digests?length=many"))[0] == 400
    assert (await native.get("/ports/digests"))[0] == 200


async def test_it_is_for_administrators(as_caller):
    assert (await as_caller("demo", "/project/p-demo").get("/ports/digests?length=3"))[0] == 403

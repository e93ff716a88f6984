"""Verify by buckets, and copying from a source that holds still."""

import asyncio
import time
from contextlib import asynccontextmanager
from copy import deepcopy

import msgspec
import pytest
from memory import MemorySide

from alcor_migrate.engine.compare import differing
from alcor_migrate.engine.copy import Copy, CopyProgress
from alcor_migrate.engine.replay import Replay
from alcor_migrate.engine.verify import suspected, verify
from alcor_migrate.errors import CloudUnreachable
from alcor_migrate.side import Fingerprint, Key
from alcor_model import digest, load_order, resource

PORT = resource("port")


class BucketSide(MemorySide):
    """A side with fingerprints, which counts what it is asked to list; `frozen` is what it says inside `steady`."""

    def __init__(self, name):
        super().__init__(name)
        self.read_whole = []
        self.read_buckets = []
        self.after_fingerprints = None
        self.frozen = None

    def _of(self, resource_name):
        if self.frozen is None:
            return super()._of(resource_name)
        return {k.id: deepcopy(v) for k, v in self.frozen.items() if k.resource == resource_name}

    async def pages(self, of, page_size):
        if of is PORT:
            self.read_whole.append(of.name)
        async for page in super().pages(of, page_size):
            yield page

    async def bucket(self, of, prefix, page_size):
        self.read_buckets.append(prefix)
        async for page in super().pages(of, page_size):
            if inside := [o for o in page if o["id"].startswith(prefix)]:
                yield inside

    async def fingerprints(self, of, length):
        found = {}
        for object_id, held in sorted(self._of(of.name).items()):
            objects, mark = found.get(object_id[:length], Fingerprint(0, ""))
            found[object_id[:length]] = Fingerprint(objects + 1, mark + digest(of, held).hex())
        if of is PORT and self.after_fingerprints:
            self.after_fingerprints()
        return found


class SteadySide(BucketSide):
    @asynccontextmanager
    async def steady(self):
        self.frozen = deepcopy(self.objects)
        try:
            yield True
        finally:
            self.frozen = None

    async def read(self, of, ids):
        held = MemorySide._of(self, of.name) if self.frozen is None else self._now(of)
        return {i: held[i] for i in ids if i in held}

    async def find(self, of, field, values):
        return {i: o for i, o in self._now(of).items() if o.get(field) in set(values)}

    def _now(self, of):
        """What its API says, which is not what its listings say while it holds still."""
        return {k.id: deepcopy(v) for k, v in self.objects.items() if k.resource == of.name}


class Memory:
    """Keeps what it is told as JSON, as the state's store does."""

    def __init__(self):
        self.kept = {}

    def keep(self, key, value):
        self.kept[key] = msgspec.json.encode(value)

    def recall(self, key, kind, otherwise):
        return msgspec.json.decode(self.kept[key], type=kind) if key in self.kept else otherwise


@pytest.fixture
def source():
    return BucketSide("source")


@pytest.fixture
def target():
    return BucketSide("target")


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
async def running(replay):
    task = asyncio.create_task(replay.run())
    yield replay
    task.cancel()


def fill(*sides, count=40):
    for number in range(count):
        for side in sides:
            side.put("port", id=f"{number:03x}-{number}", name="", network_id="n", mac_address="m", revision_number=1)


async def test_a_second_verify_reads_nothing_that_has_not_changed(running, journal, source, target, memory):
    fill(source, target)
    first = await verify(journal, running, 7, memory=memory)
    assert (first.compared, first.unchanged, first.mismatches) == (40, 0, 0)
    source.read_whole.clear()
    again = await verify(journal, running, 7, memory=memory)
    assert (again.compared, again.unchanged, again.mismatches) == (40, 40, 0)
    assert not source.read_whole
    assert not source.read_buckets
    ports = next(v for v in again.resources if v.resource == "ports")
    assert (ports.compared, ports.unchanged) == (40, 40)


async def test_a_sweep_knows_what_a_verify_has_seen(running, journal, source, target, memory):
    fill(source, target)
    await verify(journal, running, 7, memory=memory)
    source.read_whole.clear()
    source.objects[Key("port", "011-17")]["name"] = "written by an agent"
    assert await suspected(source, target, PORT, 7, memory) == ({"011-17"}, 40, 39)
    assert not source.read_whole


@pytest.mark.parametrize("changed", ["source", "target"])
async def test_only_changed_buckets_are_read_again(running, journal, source, target, memory, changed):
    fill(source, target)
    await verify(journal, running, 7, memory=memory)
    side = source if changed == "source" else target
    side.objects[Key("port", "011-17")]["name"] = "changed"
    side.put("port", id="099-new", name="", network_id="n", mac_address="m")
    side.drop("port", "005-5")
    found = await verify(journal, running, 7, memory=memory)
    assert set(source.read_buckets) == set(target.read_buckets) == {"005", "011", "099"}
    assert {m.id for m in found.shown} == {"005-5", "011-17", "099-new"}
    assert found.unchanged == 38
    # What was found different is not taken for equal because it stays as it is.
    assert (await verify(journal, running, 7, memory=memory)).mismatches == 3


async def test_what_moved_while_it_was_compared_is_not_taken_for_equal(running, journal, source, target, memory):
    """Else a target that goes back to what it was before would go back to a fingerprint that means equal."""
    fill(source, target)
    held = target.objects[Key("port", "003-3")]
    held["name"] = "as it was"

    def move():
        held["name"] = ""

    target.after_fingerprints = move
    assert (await verify(journal, running, 7, memory=memory)).mismatches == 0
    target.after_fingerprints = None
    held["name"] = "as it was"
    assert (await verify(journal, running, 7, memory=memory)).mismatches == 1


async def test_an_interrupted_verify_goes_on_with_the_next_resource(running, journal, source, target, memory):
    fill(source, target)
    source.put("network", id="n", name="net")
    target.put("network", id="n", name="net")
    last = load_order()[-1].plural

    def interrupt(name, _compared):
        if name == "ports":
            raise CloudUnreachable("the source is down")

    with pytest.raises(CloudUnreachable):
        await verify(journal, running, 7, interrupt, memory)
    # The resource whose end was not recorded is done again, the ones before are not.
    seen = []
    found = await verify(journal, running, 7, lambda name, _: seen.append(name), memory)
    assert seen[0] == "ports"
    assert seen[-1] == last
    assert found.compared == 41
    assert [v.resource for v in found.resources] == [of.plural for of in load_order()]


async def test_what_was_gone_on_with_is_as_old_as_its_first_comparison(running, journal, source, target, memory):
    fill(source, target)

    def interrupt(name, _compared):
        if name == "ports":
            raise CloudUnreachable("the source is down")

    with pytest.raises(CloudUnreachable):
        await verify(journal, running, 7, interrupt, memory)
    interrupted = time.time()
    found = await verify(journal, running, 7, memory=memory)
    assert found.as_of < interrupted < found.resources[-1].at
    assert found.as_of == found.resources[0].at


async def test_without_fingerprints_everything_is_compared_every_time(journal, memory):
    source, target = MemorySide("source"), MemorySide("target")
    replay = Replay(journal, {"source": source, "target": target}, 0, 2, lambda _: None)
    task = asyncio.create_task(replay.run())
    fill(source, target)
    for _ in range(2):
        found = await verify(journal, replay, 7, memory=memory)
        assert (found.compared, found.unchanged) == (40, 0)
    task.cancel()


async def test_sides_that_list_in_different_orders_are_matched():
    source, target = MemorySide("source"), MemorySide("target")
    fill(source, target, count=30)
    source.objects[Key("port", "004-4")]["name"] = "other"
    target.drop("port", "007-7")
    source.drop("port", "009-9")

    async def backwards(of, page_size):
        objects = [o for k, o in sorted(target.objects.items(), reverse=True) if k.resource == of.name]
        for start in range(0, len(objects), page_size):
            yield objects[start : start + page_size]

    target.pages = backwards
    counts = []
    found = await differing(source, target, PORT, 4, counts.append)
    assert {k.id for k in found} == {"004-4", "007-7", "009-9"}
    assert counts == [30]


@pytest.mark.parametrize(("ours", "theirs"), [(1, True), (0, False), (1, 1.0)])
async def test_what_only_python_calls_equal_differs(ours, theirs):
    source, target = MemorySide("source"), MemorySide("target")
    for side, value in ((source, ours), (target, theirs)):
        side.put("port", id="p", name="", network_id="n", mac_address="m", undeclared={"value": value})
    assert await differing(source, target, PORT, 7) == {Key("port", "p")}


async def test_a_side_that_fails_ends_the_comparison(monkeypatch):
    source, target = MemorySide("source"), MemorySide("target")
    fill(source, target, count=30)

    async def failing(_of, _page, page):
        if page[0]["id"] > "003":
            raise CloudUnreachable("gone")

    async def after(of, page):
        await failing(of, 0, page)

    monkeypatch.setattr(target, "after_page", after)
    with pytest.raises(CloudUnreachable):
        await differing(source, target, PORT, 4)


# -- copying from a source that holds still ---


async def test_what_is_written_since_the_snapshot_wins_over_its_late_pages(journal, writes, target):
    """The pages of a snapshot are all as old as its beginning: each of them is older than any write since."""
    source = SteadySide("source")
    fill(source, count=9)
    source.put("network", id="n", name="net")
    replay = Replay(journal, {"source": source, "target": target}, 0, 2, lambda _: None)
    task = asyncio.create_task(replay.run())

    async def meanwhile(of, _page):
        # Before the ports are listed, the last of them is changed and the one before is deleted.
        if of.name == "network":
            changed = source.put("port", id="008-8", name="new", network_id="n", mac_address="m", revision_number=2)
            await writes.record("PUT", "/v2.0/ports/008-8", {"port": changed})
            source.drop("port", "007-7")
            await writes.record("DELETE", "/v2.0/ports/007-7")
            await replay.reach(journal.position)
            assert target.objects[Key("port", "008-8")]["name"] == "new"

    source.after_page = meanwhile
    progress = CopyProgress()
    await Copy(source, journal, replay, 2, progress).run(lambda _: None)
    assert target.objects[Key("port", "008-8")]["name"] == "new"
    assert Key("port", "007-7") not in target.objects
    assert target.objects == source.objects
    assert progress.left_out == 3  # these two ports, and their network, which is read again with its first port
    assert not replay._chunks
    task.cancel()


async def test_a_copy_that_fails_leaves_nothing_announced(journal, target):
    source = SteadySide("source")
    fill(source, count=9)
    replay = Replay(journal, {"source": source, "target": target}, 0, 2, lambda _: None)
    task = asyncio.create_task(replay.run())

    async def fail(_of, page):
        if page[0]["id"] > "004":
            raise CloudUnreachable("the database is gone")

    source.after_page = fail
    with pytest.raises(CloudUnreachable):
        await Copy(source, journal, replay, 2, CopyProgress()).run(lambda _: None)
    assert not replay._chunks
    source.after_page = None
    await Copy(source, journal, replay, 2, CopyProgress()).run(lambda _: None)
    assert target.objects == source.objects
    task.cancel()

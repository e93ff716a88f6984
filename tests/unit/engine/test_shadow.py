"""Shadow reads: what the source says differently of itself is noise, what only the target says is a difference."""

import asyncio
import json

import pytest
from around import MemorySurroundings, migrating, until

from alcor_migrate.engine import shadow
from alcor_migrate.engine.shadow import Answer, Shadow, differences
from alcor_migrate.engine.steering import Brakes, Steering
from alcor_migrate.engine.throttle import Throttle
from alcor_migrate.errors import CloudUnreachable
from alcor_migrate.status import gather, to_json

PATH = b"/v2.0/networks?name=a"


def one(**fields):
    return Answer(200, {"network": {"id": "n1", **fields}})


def many(*objects, **more):
    return Answer(200, {"networks": list(objects), **more})


@pytest.mark.parametrize(
    ("here", "there", "fields"),
    [
        (one(name="a"), one(name="a"), set()),
        (one(name="a"), one(name="b"), {"networks.name"}),
        (one(name="a"), one(), {"networks.name"}),
        (one(name="a"), one(name="a", extra=1), {"networks.extra"}),
        (one(tags=["x", "y"]), one(tags=["y", "x"]), set()),
        (many({"id": "n1"}), many({"id": "n1"}, {"id": "n2"}), {"networks.(object)"}),
        (many({"id": "n1"}, {"id": "n2"}), many({"id": "n2"}, {"id": "n1"}), set()),
        (Answer(200, {}), Answer(500, {}), {"networks.(status)"}),
        (Answer(404, {"a": 1}), Answer(404, {"b": 2}), set()),
        (
            many(networks_links=[{"rel": "next", "href": "http://neutron:9696/v2.0/networks?marker=n1"}]),
            many(networks_links=[{"rel": "next", "href": "http://alcor:9009/v2.0/networks?marker=n1"}]),
            set(),
        ),
        (
            many(networks_links=[{"rel": "next", "href": "http://neutron:9696/v2.0/networks?marker=n1"}]),
            many(networks_links=[{"rel": "next", "href": "http://alcor:9009/v2.0/networks?marker=n2"}]),
            {"networks.(networks_links)"},
        ),
    ],
)
def test_two_answers_differ_in_these_fields(here, there, fields):
    assert set(differences("networks", here, there)) == fields


class Sides:
    """Answers by a function for each side; remembers what was asked."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.asked = []

    async def ask(self, side, target, token):
        self.asked.append((side, target, token))
        return getattr(self, side)(len(self.asked))

    async def close(self):
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(shadow, "_PAUSE", 0.01)


@pytest.fixture
async def compared(journal, replay):
    """Compare one read of these two sides; answers the status and what was asked."""
    running = asyncio.create_task(replay.run())
    tasks = [running]
    values = {"chunk_size": 2, "max_hold": 3.0, "max_lag": 2.0, "source_latency": 0.0, "brakes": Brakes()}
    throttle = Throttle(Steering(**values, save=lambda _: None), None, lambda: asyncio.sleep(0))

    async def compare(source, target):
        sides = Sides(source, target)
        made = Shadow(sides, journal, replay, throttle, 1.0)
        tasks.append(asyncio.create_task(made.run()))
        await asyncio.sleep(0)
        made.sample(PATH, "token")
        await until(lambda: made.status.asked or made.status.failed)
        return made.status, sides.asked

    yield compare
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_equal_answers_are_counted_and_asked_with_the_users_own_token(compared):
    status, asked = await compared(lambda _: one(name="a"), lambda _: one(name="a"))
    assert (status.asked, status.equal, status.different, status.noisy) == (1, 1, 0, 0)
    assert asked == [(side, PATH.decode(), "token") for side in ("source", "target", "source")]


async def test_a_field_that_the_target_lastingly_says_otherwise_is_shown(compared):
    status, asked = await compared(lambda _: one(name="a", mtu=1), lambda _: one(name="b", mtu=1))
    assert (status.equal, status.different) == (0, 1)
    assert status.fields == {"networks.name": 1}
    assert status.shown[0].path == "/v2.0/networks?name=a"
    assert "'a' and 'b'" in status.shown[0].example
    assert len(asked) == 9
    assert "token" not in json.dumps(to_builtins(status))


async def test_what_neutron_says_differently_of_itself_is_noise(compared):
    status, _ = await compared(lambda n: one(name="a", seen=n), lambda n: one(name="a", seen=n))
    assert (status.equal, status.different, status.noisy) == (1, 0, 1)
    assert status.noise == {"networks.seen": 1}


async def test_what_differs_for_a_moment_is_no_difference(compared):
    status, _ = await compared(lambda _: one(name="new"), lambda n: one(name="old" if n < 4 else "new"))
    assert (status.equal, status.different, status.noisy) == (1, 0, 1)


async def test_a_side_that_does_not_answer_is_counted_and_the_next_sample_is_compared(compared):
    def down(_):
        raise CloudUnreachable("the target does not answer")

    status, _ = await compared(lambda _: one(), down)
    assert (status.failed, status.asked) == (1, 0)


def to_builtins(status):
    return {name: repr(getattr(status, name)) for name in status.__struct_fields__}


async def test_samples_are_dropped_while_too_many_wait_and_while_it_is_throttled(tmp_path, monkeypatch):
    monkeypatch.setattr(shadow, "_WAITING", 2)
    around = MemorySurroundings()
    asking = asyncio.Event()

    async def ask(_side, _target, _token):
        asking.set()
        await asyncio.sleep(60)

    around.ask = ask
    async with migrating(tmp_path, around, shadow=1.0) as migration:
        tell = migration.gateway.on_read
        tell(PATH, "t")  # the target does not hold everything yet
        assert migration.shadow.status.dropped == 0
        await until(lambda: migration.store.state.value == "ready")
        tell(PATH, "t")
        await asking.wait()
        for _ in range(5):
            tell(PATH, "t")
        assert migration.shadow.status.dropped == 3
        migration.steering.brake("throttle", "ann")
        tell(PATH, "t")
        assert migration.shadow.status.dropped == 4
        assert to_json(await gather(migration))["shadow"]["dropped"] == 4
        figures = {name: samples for name, _, _, samples in migration.gateway.figures()}
        assert ('{result="dropped"}', 4.0) in figures["shadow_reads_total"]
        assert ('{state="ready"}', 1.0) in figures["migration_state"]

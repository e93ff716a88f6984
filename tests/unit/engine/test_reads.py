"""When reads may go ahead of the writes, what they wait for, and what the operator's verbs do to them."""

import asyncio
import contextlib
import io
import json

import pytest
from around import MemorySurroundings, migrating, until
from memory import Writes
from rich.console import Console

from alcor_migrate.cli import screens
from alcor_migrate.engine import conductor, reads
from alcor_migrate.engine.console import in_short
from alcor_migrate.engine.reads import Reads
from alcor_migrate.engine.state import State
from alcor_migrate.errors import CloudUnreachable, GateClosed, HookRefused, StateError, StateNotWritten
from alcor_migrate.gateway import Route, Stats
from alcor_migrate.status import gather, to_json


class Parts:
    """A gateway, a journal and a replay, as far as reads look at them."""

    stats = Stats()
    ahead = True
    reads = "target"
    doubts = 0
    incomplete = False
    stalled = False
    trouble = ""
    lag = 0.0
    position = 0
    applied = 0
    answers = True
    drains = True

    def __init__(self):
        self.poison = {}
        self.marks = []

    async def switch_reads(self, side):
        self.reads, self.ahead = side, side == "target"

    async def drained(self, _timeout):
        return self.drains

    async def mark(self, kind, _token):
        self.marks.append(kind)

    async def asked(self, _side):
        if self.answers is None:
            raise CloudUnreachable("away")
        return self.answers


@pytest.fixture
def parts():
    return Parts()


@pytest.fixture
async def opened(parts):
    made = Reads(parts, parts, parts, 5.0, parts.asked)
    await made.switch("target")
    assert parts.marks == ["reads"]
    return made


def asked(opened, many=1):
    told = []
    opened.permit(told.append, many)
    return told


async def test_a_read_goes_at_once_when_everything_is_applied(parts, opened):
    parts.position = parts.applied = 7
    assert asked(opened) == [""]
    assert opened.waited == 0


async def test_each_read_waits_for_the_position_of_its_own_arrival(parts, opened):
    parts.position = 3
    first = asked(opened, 5)
    parts.position = 4
    second = asked(opened)
    for applied, expected in ((2, [[], []]), (3, [[""], []]), (5, [[""], [""]])):
        parts.applied = applied
        opened.applied(applied)
        assert [first, second] == expected
    assert (opened.waited, opened.status.waited) == (6, 6)


async def test_a_read_that_waited_for_its_patience_is_late(parts):
    impatient = Reads(parts, parts, parts, 0.01, parts.asked)
    await impatient.switch("target")
    parts.position = 1
    told = asked(impatient)
    await until(lambda: told)
    assert told == ["late"]
    impatient.applied(1)
    assert told == ["late"]


@pytest.mark.parametrize(
    ("trouble", "why"),
    [
        ({"trouble": "Alcor is away"}, "Alcor is away"),
        ({"poison": {1: "no"}}, "1 objects were not taken"),
        ({"stalled": True}, "journal"),
        ({"doubts": 1}, "journal"),
        ({"incomplete": True}, "without a record"),
        ({"lag": 6.0}, "6.0 s behind"),
    ],
)
async def test_whatever_is_in_doubt_is_read_where_the_writes_go(parts, opened, trouble, why):
    parts.position = 1
    waiting = asked(opened)
    vars(parts).update(trouble)
    assert why in opened.closed
    assert asked(opened) == ["closed"]
    opened.applied(1)
    assert waiting == ["closed"]  # also when it is reached, because that is how a rejected object is passed


async def test_reads_go_ahead_once_nothing_is_under_way_by_the_rules_of_before(parts):
    parts.drains = False
    slow = Reads(parts, parts, parts, 5.0, parts.asked)
    await slow.switch("target")
    assert "under way" in slow.closed
    assert asked(slow) == ["closed"]
    parts.drains = True
    running = asyncio.create_task(slow.run())
    await until(lambda: not slow.closed)
    running.cancel()
    await slow.switch("source")
    assert slow.status.closed == ""


@pytest.mark.parametrize("answers", [False, None])
async def test_a_passive_side_that_does_not_answer_is_asked_for_nothing(parts, opened, answers, monkeypatch):
    monkeypatch.setattr(reads, "_LOOK", 0.01)
    parts.answers = answers
    running = asyncio.create_task(opened.run())
    await until(lambda: "does not answer" in opened.closed)
    parts.answers = True
    await until(lambda: not opened.closed)
    running.cancel()


# -- the operator's verbs ------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(conductor, "_ATTENTION_INTERVAL", 0.01)
    monkeypatch.setattr("alcor_migrate.engine.attention.REJECTED_PATIENCE", 0.05)
    monkeypatch.setattr(reads, "_LOOK", 0.01)


@pytest.fixture
def around():
    made = MemorySurroundings()
    made.source.put("network", id="n1", name="one")
    return made


@contextlib.asynccontextmanager
async def ready(tmp_path, around, **engine):
    async with migrating(tmp_path, around, **engine) as migration:
        await until(lambda: migration.store.standing in {State.READY, State.SWITCHED})
        yield migration


def sides(migration):
    """(of the writes, of the reads), as engine and gateway have it."""
    assert migration.replay.active == migration.gateway.active.side
    return migration.replay.active, migration.gateway.reads


async def test_reads_go_first_there_and_back(tmp_path, around):
    async with ready(tmp_path, around) as migration:
        assert (await migration.switch_reads("target", "ann")).side == "target"
        assert sides(migration) == ("source", "target")
        assert migration.store.state is State.READY
        await until(lambda: not migration.reads.closed)
        assert (await migration.cutover("ann")).succeeded
        assert sides(migration) == ("target", "target")
        await migration.switch_reads("source", "ann")
        assert sides(migration) == ("target", "source")
        with pytest.raises(StateError, match="reads still go to Neutron"):
            await migration.complete("ann", "prod")
        assert (await migration.reverse("ann")).succeeded
        assert sides(migration) == ("source", "source")
        told = [(e.actor, e.reason) for e in migration.store.audit() if e.act == "reads"]
        assert told == [("ann", "reads go to Alcor, writes stay"), ("ann", "reads go to Neutron, writes stay")]


@pytest.mark.parametrize("back", ["reads first", "all at once"])
async def test_what_was_switched_comes_back_in_halves_or_whole(tmp_path, around, back):
    async with ready(tmp_path, around) as migration:
        await migration.switch_reads("target", "ann")
        with pytest.raises(StateError, match="only reads go to Alcor"):
            await migration.reverse("ann")
        await migration.switch_reads("source", "ann")
        assert sides(migration) == ("source", "source")
        await migration.cutover("ann")
        if back == "reads first":
            await migration.switch_reads("source", "ann")
            await migration.switch_reads("target", "ann")
            await migration.switch_reads("source", "ann")
        assert (await migration.reverse("ann")).succeeded
        assert sides(migration) == ("source", "source")


async def test_started_again_reads_are_where_they_were(tmp_path, around):
    async with ready(tmp_path, around) as migration:
        await migration.switch_reads("target", "ann")
    async with ready(tmp_path, around) as migration:
        assert sides(migration) == ("source", "target")
        await until(lambda: not migration.reads.closed)
        await migration.cutover("ann")
    async with ready(tmp_path, around) as migration:
        assert sides(migration) == ("target", "target")
        await migration.switch_reads("source", "ann")
    async with ready(tmp_path, around) as migration:
        assert sides(migration) == ("target", "source")
        await migration.reverse("ann")
        assert sides(migration) == ("source", "source")


async def test_reads_go_ahead_only_through_the_gates(tmp_path, around):
    async with ready(tmp_path, around) as migration:
        around.target.put("network", id="n1", name="somebody changed this")
        await migration.upkeep.verify()
        with pytest.raises(GateClosed, match="cutover --reads is refused: verification"):
            await migration.switch_reads("target", "ann")
        assert sides(migration) == ("source", "source")
        await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        with pytest.raises(StateError, match="needs attention"):
            await migration.switch_reads("target", "ann")


async def test_while_something_needs_attention_reads_fall_back_and_can_be_taken_back(tmp_path, around):
    async with ready(tmp_path, around) as migration:
        await migration.switch_reads("target", "ann")
        with pytest.raises(StateError, match="reads go to Alcor already"):
            await migration.switch_reads("target", "ann")
        await until(lambda: not migration.reads.closed)
        await migration.stop_at_once("bob")
        assert migration.reads.closed == "bob stopped the engine"
        await migration.switch_reads("source", "ann")
        assert sides(migration) == ("source", "source")


async def test_an_object_that_is_rejected_closes_the_reads_and_one_that_is_taken_opens_them(tmp_path, around):
    async with ready(tmp_path, around) as migration:
        await migration.switch_reads("target", "ann")
        around.target.refuses = {"n1"}
        around.source.put("network", id="n1", name="other")
        changing = asyncio.create_task(migration.upkeep.sweep())
        await until(lambda: "not taken" in migration.reads.closed)
        around.target.refuses = set()
        await changing
        await until(lambda: migration.store.state is State.READY and not migration.reads.closed)


async def test_what_was_rejected_is_not_forgotten_by_a_start(tmp_path, around):
    async with ready(tmp_path, around) as migration:
        await migration.switch_reads("target", "ann")
        around.target.refuses = {"n1"}
        around.source.put("network", id="n1", name="other")
        await Writes(migration.journal).record("PUT", "/v2.0/networks/n1", {"network": {"id": "n1"}})
        await until(lambda: "not taken" in migration.reads.closed)
    async with ready(tmp_path, around) as migration:
        await until(lambda: migration.store.state is State.NEEDS_ATTENTION)
        assert migration.reads.closed
        around.target.refuses = set()
        await migration.resume("ann")
        await until(lambda: not migration.reads.closed)
    async with ready(tmp_path, around) as migration:
        assert migration.replay.poison == {}


async def test_cancel_takes_the_reads_along(tmp_path, around):
    async with ready(tmp_path, around) as migration:
        await migration.switch_reads("target", "ann")
        await migration.cancel("ann")
        assert (migration.gateway.route, sides(migration)) == (Route.PASS, ("source", "source"))
    async with migrating(tmp_path, around) as migration:
        assert sides(migration) == ("source", "source")


async def test_the_way_back_does_not_wait_for_a_disk(tmp_path, around, monkeypatch):
    async with ready(tmp_path, around) as migration:
        await migration.switch_reads("target", "ann")

        def full(*_, **__):
            raise StateNotWritten("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(migration.store, "note", full)
            with pytest.raises(StateNotWritten):
                await migration.switch_reads("source", "ann")
            assert sides(migration) == ("source", "source")
            with pytest.raises(StateNotWritten):
                await migration.switch_reads("target", "ann")
            assert sides(migration) == ("source", "source")


async def test_a_hook_may_refuse_that_reads_go_ahead_but_not_that_they_come_back(tmp_path, around):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    told = tmp_path / "told"
    for name, script in {
        "before-switching-reads": "test -e ../allowed",
        "on-switched-reads": f'echo "$ALCOR_MIGRATE_READS $ALCOR_MIGRATE_ACTIVE" >> {told}',
    }.items():
        (hooks / name).write_text(f"#!/bin/sh\ncd {hooks}\n{script}\n")
        (hooks / name).chmod(0o755)
    async with ready(tmp_path, around, hooks=str(hooks)) as migration:
        with pytest.raises(HookRefused):
            await migration.switch_reads("target", "ann")
        assert sides(migration) == ("source", "source")
        (tmp_path / "allowed").touch()
        await migration.switch_reads("target", "ann")
        (tmp_path / "allowed").unlink()
        await until(lambda: told.exists() and told.read_text() == "target source\n")
        await migration.switch_reads("source", "ann")
    assert told.read_text() == "target source\nsource source\n"


async def test_the_dry_run_and_the_status_say_it(tmp_path, around):
    async with ready(tmp_path, around) as migration:
        found = await migration.look_ahead("cutover", "ann", reads=True)
        assert (found.reads_only, found.hold_ms, found.fits) == (True, 0.0, True)
        assert any("waits until replay" in step.what and step.expected_ms is not None for step in found.steps)
        assert sides(migration) == ("source", "source")
        await migration.switch_reads("target", "ann")
        document = json.loads(json.dumps(to_json(await gather(migration))))
        assert (document["active"], document["reads"]["side"]) == ("source", "target")
        shown = io.StringIO()
        Console(file=shown, width=140).print(screens.status(document))
        assert "reads: Alcor" in shown.getvalue()
        assert "reads ahead" in shown.getvalue()
        assert "reads: target" in in_short(migration)
        figures = {name: samples for name, _, _, samples in migration.gateway.figures()}
        assert figures["reads_ahead"] == [("", 1.0)]

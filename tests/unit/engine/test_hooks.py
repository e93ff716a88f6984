"""Hooks: real executables, asked before and told after, bounded in time, never within the hold."""

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest
from around import MemorySurroundings, migrating, until

from alcor_migrate.engine import hooks
from alcor_migrate.engine.hooks import NAMES, VARIABLES, Hooks, Told
from alcor_migrate.engine.state import State
from alcor_migrate.errors import ConfigError, HookRefused

pytestmark = pytest.mark.process


@pytest.fixture
def directory(tmp_path):
    made = tmp_path / "hooks"
    made.mkdir()
    return made


def hook(directory, name, script):
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def told(name, **fields):
    return Told(name=name, state="ready", actor="ann", reason="because", **fields)


def opened(directory, ran=None, timeout=60.0):  # a hook's own
    kept = [] if ran is None else ran
    return Hooks(directory, timeout, lambda: {"ALCOR_MIGRATE_CLOUD": "prod"}, lambda _, how: kept.append(how))


async def test_a_hook_finds_everything_that_is_documented_in_its_environment(directory):
    ran = []
    hook(directory, "before-cutting-over", "env | grep ^ALCOR_MIGRATE_; echo to stderr >&2")
    await opened(directory, ran).ask(told("before-cutting-over", next_state="cutting_over", evidence={"a": 1}))
    (how,) = ran
    found = dict(line.split("=", 1) for line in how.output.splitlines() if "=" in line)
    assert found["ALCOR_MIGRATE_NEXT_STATE"] == "cutting_over"
    assert found["ALCOR_MIGRATE_CLOUD"] == "prod"
    assert json.loads(found["ALCOR_MIGRATE_EVIDENCE"]) == {"a": 1}
    assert found.keys() <= VARIABLES.keys()
    assert "to stderr" in how.output


async def test_a_hook_that_says_no_refuses_with_its_last_words(directory):
    hook(directory, "before-completed", "echo not on a Friday; exit 3")
    with pytest.raises(HookRefused, match=r"before-completed refused: it ended with code 3 .*'not on a Friday'"):
        await opened(directory).ask(told("before-completed"))


async def test_a_hook_that_takes_too_long_refuses_and_leaves_nothing_running(directory):
    ours = f"600.{os.getpid()}"  # seconds, as nobody else has them
    hook(directory, "before-completed", f"sleep {ours} & wait")
    with pytest.raises(HookRefused, match="did not end within"):
        await opened(directory, timeout=0.3).ask(told("before-completed"))
    await until(lambda: not runs(ours))


def runs(word):
    """Whether there is a process with this word in its command line."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # one that has just ended
            if word.encode() in process.read_bytes().split(b"\0"):
                return True
    return False


async def test_what_is_told_runs_in_order_and_nobody_waits(directory, tmp_path):
    for name in ("on-ready", "on-switched"):
        hook(directory, name, f"sleep 0.05; echo {name} >> {tmp_path}/said")
    told_to = opened(directory)
    told_to.tell(told("on-ready"))
    told_to.tell(told("on-switched"))
    assert not (tmp_path / "said").exists()
    await told_to.close()
    assert (tmp_path / "said").read_text().split() == ["on-ready", "on-switched"]


async def test_no_hook_runs_while_it_is_quiet(directory, tmp_path):
    hook(directory, "on-switched", f"touch {tmp_path}/ran")
    told_to = opened(directory)
    async with told_to.quiet():
        told_to.tell(told("on-switched"))
        await asyncio.sleep(0.1)
        assert not (tmp_path / "ran").exists()
    await told_to.close()
    assert (tmp_path / "ran").exists()


async def test_much_output_is_kept_at_its_end(directory):
    ran = []
    hook(directory, "before-ready", "head -c 300000 /dev/zero | tr '\\0' x; echo the end")
    await opened(directory, ran).ask(told("before-ready"))
    assert ran[0].output.endswith("the end\n")
    assert len(ran[0].output) <= 4096


async def test_a_directory_with_a_typo_or_without_a_permission_is_refused(directory, tmp_path):
    (directory / "README").write_text("not executable, so no hook")
    opened(directory)
    hook(directory, "before-cutover", "exit 0")
    with pytest.raises(ConfigError, match="before-cutover is executable and not the name of a hook") as refused:
        opened(directory)
    assert "before-cutting-over" in refused.value.next_step
    (directory / "before-cutover").unlink()
    hook(directory, "on-ready", "exit 0").chmod(0o644)
    with pytest.raises(ConfigError, match="not executable"):
        opened(directory)
    with pytest.raises(ConfigError, match="does not exist"):
        opened(tmp_path / "nowhere")


def test_there_is_no_hook_before_what_is_entered_inside_the_hold_or_is_no_choice():
    assert not {"before-switched", "before-reversed", "before-needs-attention"} & set(NAMES)
    assert {"before-cutting-over", "before-completed", "on-switched", "on-needs-attention"} <= set(NAMES)
    assert hooks.after(State.CATCHING_UP) == "on-catching-up"


async def test_a_migration_runs_them_and_a_refusal_leaves_the_state_as_it_is(directory, tmp_path):
    around = MemorySurroundings()
    hook(directory, "before-cutting-over", f"test -e {tmp_path}/yes || {{ echo wait for us; exit 1; }}")
    hook(directory, "on-switched", f'echo "$ALCOR_MIGRATE_PREVIOUS_STATE $ALCOR_MIGRATE_ACTIVE" > {tmp_path}/said')
    async with migrating(tmp_path, around, hooks=str(directory)) as migration:
        await until(lambda: migration.store.state is State.READY)
        with pytest.raises(HookRefused, match="wait for us"):
            await migration.cutover("ann")
        assert migration.store.state is State.READY
        assert not [word for word in migration.gateway.told if "hold" in word]
        (tmp_path / "yes").touch()
        assert (await migration.cutover("ann")).succeeded
        await until((tmp_path / "said").exists)
        entries = [e for e in migration.store.audit() if e.act == "hook"]
        assert [(e.actor, e.evidence["code"]) for e in entries][:2] == [("ann", 1), ("ann", 0)]
    assert (tmp_path / "said").read_text() == "cutting_over target\n"


async def test_a_hook_can_keep_a_step_of_our_own_waiting(directory, tmp_path, monkeypatch):
    monkeypatch.setattr("alcor_migrate.engine.conductor._HOOK_PAUSE", 0.02)
    hook(directory, "before-copying", f"test -e {tmp_path}/night")
    async with migrating(tmp_path, MemorySurroundings(), hooks=str(directory)) as migration:
        await until(lambda: "before-copying refused" in migration.activity)
        assert migration.store.state is State.CAPTURING
        (tmp_path / "night").touch()
        await until(lambda: migration.store.state is State.READY)

"""What is known of each resource, and when it no longer counts."""

import asyncio
import io

import msgspec
import pytest
from rich.console import Console

from alcor_migrate.cli import screens
from alcor_migrate.engine import freshness
from alcor_migrate.engine.verify import Verification, Verified, verify

NOW = 1_000_000.0
PORTS = [("ports", "port")]


def of_ports(at=NOW - 10, written=None, mismatches=0):
    verification = Verification(at, NOW, 7, mismatches, [], 5, resources=[Verified("ports", at, 7, 0, mismatches)])
    times = {} if written is None else {"port": written}
    (found,) = freshness.by_resource(PORTS, verification, times, 60, NOW)
    return found


def test_what_was_compared_and_not_written_since_is_verified():
    found = of_ports(written=NOW - 11)
    assert (found.state, found.at, found.objects, found.mismatches) == ("verified", NOW - 10, 7, 0)


@pytest.mark.parametrize("more", [{"at": NOW - 61}, {"written": NOW - 9}, {"written": NOW - 10}])
def test_what_is_too_old_or_was_written_since_is_stale(more):
    assert of_ports(**more).state == "stale"


def test_what_nobody_compared_is_never():
    (found,) = freshness.by_resource(PORTS, None, {"port": NOW - 5}, 60, NOW)
    assert (found.state, found.at, found.written_at) == ("never", None, NOW - 5)


async def test_a_replayed_write_makes_its_resource_stale_and_no_other(replay, journal, writes, source, target):
    task = asyncio.create_task(replay.run())
    for side in (source, target):
        side.put("network", id="n", name="net")
        side.put("port", id="p", name="old", network_id="n")
    verification = await verify(journal, replay, 10)
    resources = [("networks", "network"), ("ports", "port")]

    def now():
        found = freshness.by_resource(resources, verification, replay.written, 60, verification.finished_at)
        return {f.resource: f.state for f in found}

    assert now() == {"networks": "verified", "ports": "verified"}
    await writes.record("PUT", "/v2.0/ports/p", {"port": source.put("port", id="p", name="new", network_id="n")})
    await replay.reach(journal.position)
    assert now() == {"networks": "verified", "ports": "stale"}
    task.cancel()


def test_the_screen_names_what_is_stale_and_sums_up_what_is_empty():
    found = [of_ports(written=NOW - 1, mismatches=2), freshness.Freshness("trunks", "never")]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(screens.freshness(msgspec.to_builtins(found)))
    shown = console.export_text()
    assert "stale" in shown
    assert "7 compared" in shown
    assert "2 mismatches" in shown
    assert "1 without objects: never" in shown
    assert "trunks" not in shown

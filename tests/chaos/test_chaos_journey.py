"""The judge of whole journeys can find everything it looks for, a cut wire is cut, and a short campaign is well."""

import asyncio
import contextlib
import dataclasses
import json

import pytest

from lab.ports import HOST, Ports
from lab.record import PATHS, Owned, Record
from lab.workload import Failure, Violation
from tests.chaos import journey
from tests.chaos.journey_judge import Evidence, Window, judge
from tests.chaos.journey_plan import AHEAD, BACK, LEGS, WORKERS, is_there, planned
from tests.chaos.journey_wire import DEFECTS, Wire

TOKEN = "t-1"
AWAY = "reads go to Neutron, writes stay"
SAMPLE = "399"
"""A plan with reads ahead, two workers, a source read by its database, and no server that is slow to start again."""
PATIENT = "4"
"""How slow a machine may be beside ours, where a run has half a minute."""
FINDINGS = ("lost", "resurrected", "duplicated", "mismatches")


def network(name, number=1):
    return {"id": f"n{number}", "name": name, "project_id": "p"}


def side(*networks):
    return {kind: {} for kind in PATHS} | {"network": {each["id"]: each for each in networks}}


def entry(before, after, act="transition", reason="", **evidence):
    return {"act": act, "before": before, "after": after, "reason": reason, "evidence": evidence}


STORY = [
    entry("new", "capturing"),
    entry("capturing", "copying"),
    entry("copying", "needs_attention"),
    entry("needs_attention", "needs_attention", "command"),
    entry("needs_attention", "copying"),
    entry("copying", "catching_up"),
    entry("catching_up", "ready"),
    entry("ready", "cutting_over"),
    entry("cutting_over", "switched", token=TOKEN),
]


def evidence(found=None, **more):
    """A run in which all is well, but for what is given."""
    found = found or side(network("wanda-1-1"))
    record = Record()
    record.add(Owned("network", "n1", {"name": "wanda-1-1"}))
    record.add(Owned("network", "n9", {}, state="deleted"))
    status = {
        "state": "switched",
        "active": "target",
        "reads": {"side": "target"},
        "attempts": [{"token": TOKEN, "succeeded": True}],
    }
    well = Evidence({"wanda": record}, found, found, found, status=status, entries=STORY)
    well.verified = {"mismatches": 0}
    return dataclasses.replace(well, **more)


def findings(seen):
    verdict = judge(seen)
    return {name for name in FINDINGS if getattr(verdict, name)}


def failure(method, path, status, at=100.0):
    return Failure("wanda", at, method, path, status, "said"), at + 0.5


def changed(story, number, **more):
    return [*story[:number], story[number] | more, *story[number + 1 :]]


def test_a_journey_without_a_fault_is_well():
    assert findings(evidence()) == set()


def test_what_a_fault_breaks_is_no_finding():
    broken = [
        failure("GET", "/networks/n1", 0),
        failure("POST", "/networks", 503),
        failure("PUT", "/networks/n1", 409),
    ]
    assert findings(evidence(failures=broken, windows=[Window(99.0, 101.0, "neutron killed")])) == set()


@pytest.mark.parametrize(
    ("seen", "finds"),
    [
        (evidence(side()), {"lost", "mismatches"}),
        (evidence(side(network("wanda-1-0"))), {"lost", "mismatches"}),
        (evidence(side(network("wanda-1-1"), network("x", 9))), {"resurrected", "mismatches"}),
        (evidence(side(network("wanda-1-1"), network("wanda-1-1", 2))), {"duplicated"}),
        (evidence(passive=side()), {"mismatches"}),
        (evidence(passive=side(network("wanda-1-1"), network("x", 2))), {"mismatches"}),
        (evidence(through=side()), {"lost"}),
        (evidence(verified={"mismatches": 2}), {"mismatches"}),
        (evidence(violations=[Violation("wanda", 1.0, "/networks/n1", "is not there")]), {"mismatches"}),
        (evidence(failures=[failure("GET", "/networks/n1", 503)]), {"mismatches"}),
        (
            evidence(failures=[failure("GET", "/networks/n1", 404)], windows=[Window(99.0, 101.0, "x")]),
            {"mismatches"},
        ),
        (
            evidence(failures=[failure("GET", "/networks/n1", 0)], windows=[Window(50.0, 60.0, "x")]),
            {"mismatches"},
        ),
        (evidence(entries=STORY[:-1]), {"mismatches"}),
        (evidence(entries=[*STORY[:3], *STORY[4:6], *STORY[7:]]), {"mismatches"}),
        (evidence(entries=changed(STORY, -1, evidence={"token": "another"})), {"mismatches"}),
        (evidence(entries=changed(STORY, -1, evidence={})), {"mismatches"}),
        (evidence(entries=[*STORY, entry("switched", "completed"), entry("completed", "switched")]), {"mismatches"}),
        (evidence(entries=[*STORY, entry("switched", "switched", "reads", reason=AWAY)]), {"mismatches"}),
        (evidence(troubles=["migrate ended by itself"]), {"mismatches"}),
    ],
)
def test_the_judge_finds(seen, finds):
    assert findings(seen) == finds


def test_reads_that_come_back_before_the_writes_follow_are_no_finding():
    here, there = "catching_up", "ready"
    there_and_back = [
        entry(there, there, "reads", reason=f"reads go to {to}, writes stay") for to in ("Alcor", "Neutron")
    ]
    at = STORY.index(entry(here, there)) + 1
    assert findings(evidence(entries=[*STORY[:at], *there_and_back, *STORY[at:]])) == set()


def test_a_seed_is_a_plan_and_plans_have_everything():
    stores = ["sqlite", "mariadb"]
    plans = [planned(seed, stores) for seed in range(200)]
    assert plans == [planned(seed, stores) for seed in range(200)]
    assert {plan.store for plan in plans} == set(stores)
    assert {plan.workers for plan in plans} == set(WORKERS)
    assert {plan.turns_clock for plan in plans} == {True, False}
    assert {tuple(step for step in plan.steps if step in LEGS) for plan in plans} == {LEGS[:2], LEGS[:3], LEGS}
    assert {where for plan in plans for where in zip(plan.steps, plan.steps[1:], strict=False)} >= {
        ("ready", AHEAD),
        ("reversed", AHEAD),
        ("switched", AHEAD),
        (AHEAD, BACK),
        (AHEAD, "switched"),
        (AHEAD, "reversed"),
        (BACK, "switched"),
        (BACK, "reversed"),
    }
    assert all("switched" in plan.steps for plan in plans)


@pytest.mark.parametrize(
    ("step", "active", "reads", "there"),
    [
        (AHEAD, "source", "target", True),
        (AHEAD, "source", "source", False),
        (AHEAD, "target", "source", True),
        (BACK, "target", "target", True),
        (BACK, "target", "source", False),
        (BACK, "source", "source", True),
        ("ready", "source", "target", True),
        ("switched", "source", "target", False),
    ],
)
def test_a_step_is_done_when_the_status_says_so(step, active, reads, there):
    assert is_there(step, {"state": "ready", "active": active, "reads": {"side": reads}}) is there


def test_one_rule_twice_and_one_router_twice_in_a_subnet_are_duplicates():
    found = evidence().active
    rule = {"security_group_id": "g", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    port = {"name": "", "project_id": "p", "device_owner": "network:router_interface", "device_id": "r"}
    port["fixed_ips"] = [{"subnet_id": "s"}]
    for kind, each in (("security_group_rule", rule), ("interface", port)):
        assert findings(evidence(found | {kind: {"a": each, "b": each}})) == {"duplicated"}


@pytest.fixture
async def wire():
    ports = Ports()

    async def echo(reader, writer):
        with contextlib.suppress(OSError):
            while piece := await reader.read(100):
                writer.write(piece)
        writer.transport.abort()

    server = await asyncio.start_server(echo, HOST, 0)
    wire = Wire(ports.reserve(), server.sockets[0].getsockname()[1])
    await wire.open()
    yield wire
    await wire.close()
    server.close()
    ports.release()


NOTHING = "TimeoutError"


async def said(wire, expected, connection=None):
    """What comes back, an error by its name; that nothing does is only waited for where it is expected."""
    writer = None
    try:
        reader, writer = connection or await asyncio.open_connection(HOST, wire.port)
        writer.write(b"hello")
        async with asyncio.timeout(0.05 if expected == NOTHING else 60):
            return await reader.read(100)
    except OSError as error:
        return type(error).__name__
    finally:
        if writer is not None and connection is None:
            writer.transport.abort()


@pytest.mark.parametrize(
    ("defect", "new", "old"),
    [
        ("refused", "ConnectionRefusedError", "ConnectionResetError"),
        ("silent", NOTHING, NOTHING),
        ("slow", NOTHING, NOTHING),
        ("reset", b"hello", "ConnectionResetError"),
    ],
)
async def test_a_wire_is_cut_and_mended(wire, defect, new, old):
    assert defect in DEFECTS
    connection = await asyncio.open_connection(HOST, wire.port)
    assert await said(wire, b"hello", connection) == b"hello"
    wire.spoil(defect)
    assert await said(wire, old, connection) == old
    assert await said(wire, new) == new
    await wire.mend()
    assert await said(wire, b"hello") == b"hello"
    connection[1].transport.abort()


def test_the_sample_is_the_same_everywhere_and_has_reads_ahead():
    plan = planned(int(SAMPLE), ["sqlite"])
    assert plan == planned(int(SAMPLE), ["sqlite", "mariadb", "postgresql"])
    assert plan.steps == ("ready", AHEAD, "switched")
    assert (plan.workers, plan.turns_clock) == (2, False)


@pytest.mark.lab
# openstacksdk uses what it will drop itself
@pytest.mark.filterwarnings(r"ignore::PendingDeprecationWarning:openstack\..*")
@pytest.mark.timeout(900)
def test_a_short_campaign_of_journeys_is_well(tmp_path, capsys):
    result = tmp_path / "chaos" / "journey.json"
    code = journey.main(["--seed", SAMPLE, "--slowness", PATIENT, "--result", str(result)])
    printed = capsys.readouterr().out
    figures = json.loads(result.read_text())
    assert code == 0, printed
    assert figures.pop("acknowledged") > 10
    nothing = dict.fromkeys(FINDINGS, 0)
    assert figures == {"runs": 1, **nothing, "failed_seeds": []}

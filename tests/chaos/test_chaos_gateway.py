"""The judge can find everything it looks for, and a short campaign is well."""

import json

import pytest

from alcor_migrate.journal import NOT_SENT, OUTCOME, Event, Intent, Outcome, Unsettled
from tests.chaos import gateway, transparency
from tests.chaos.judge import Ledger, judge


def intent(name):
    return Intent(method="POST", path="/v2.0/ports", body=name.encode(), request_id="", started_at=0.0)


def event(position, name, status=201, how=""):
    outcome = Outcome(status=status, finished_at=0.0, how=how)
    return Event(position=position, kind=OUTCOME, writer="w", seq=position, intent=intent(name), outcome=outcome)


def verdict(ledger, executed, events, unsettled=()):
    left = [Unsettled(seq=99, writer="w", intent=intent(name)) for name in unsettled]
    found = judge(ledger, executed, events, left, lambda i: i.body.decode())
    return {name for name in ("lost", "resurrected", "duplicated", "mismatches") if getattr(found, name)}


def test_a_run_in_which_all_is_known_is_well():
    ledger = Ledger(acknowledged={"a": (0, 1), "b": (2, 3)}, refused={"r"}, uncertain={"u", "v"})
    events = [event(1, "a"), event(2, "b"), event(3, "u", 0, "connection lost"), event(4, "n", 0, NOT_SENT)]
    assert verdict(ledger, ["a", "b", "u", "v"], events, unsettled=["v"]) == set()


@pytest.mark.parametrize(
    ("ledger", "executed", "events", "finds"),
    [
        (Ledger(acknowledged={"a": (0, 1)}), ["a"], [event(1, "a", 0, "connection lost")], {"lost"}),
        (Ledger(acknowledged={"a": (0, 1)}), ["a"], [], {"lost", "mismatches"}),
        (Ledger(acknowledged={"a": (0, 1)}), [], [event(1, "a")], {"lost", "mismatches"}),
        (Ledger(refused={"a"}), ["a"], [event(1, "a")], {"resurrected"}),
        (Ledger(), ["a"], [event(1, "a", 0, NOT_SENT)], {"resurrected", "mismatches"}),
        (Ledger(uncertain={"a"}), ["a", "a"], [event(1, "a")], {"duplicated"}),
        (Ledger(uncertain={"a"}), ["a"], [event(1, "a"), event(2, "a")], {"duplicated"}),
        (Ledger(uncertain={"a"}), ["a"], [], {"mismatches"}),
        (Ledger(), ["a"], [event(2, "a")], {"mismatches"}),
        (Ledger(acknowledged={"a": (0, 1), "b": (2, 3)}), ["a", "b"], [event(1, "b"), event(2, "a")], {"mismatches"}),
    ],
)
def test_the_judge_finds(ledger, executed, events, finds):
    assert verdict(ledger, executed, events) == finds


def test_writes_under_way_at_the_same_time_may_stand_in_any_order():
    ledger = Ledger(acknowledged={"a": (0, 3), "b": (2, 4)})
    assert verdict(ledger, ["a", "b"], [event(1, "b"), event(2, "a")]) == set()


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_a_short_campaign_is_well(tmp_path, capsys):
    result = tmp_path / "chaos" / "gateway.json"
    code = gateway.main(["--runs", "5", "--result", str(result)])
    printed = capsys.readouterr().out
    figures = json.loads(result.read_text())
    assert code == 0, printed
    assert figures.pop("acknowledged") > 10
    assert figures == {
        "runs": 5,
        "lost": 0,
        "resurrected": 0,
        "duplicated": 0,
        "mismatches": 0,
        "failed_seeds": [],
    }


def test_what_tempest_prints_is_read():
    trace = """
Running
{0} tempest.api.network.test_ports.PortsTest.test_show_port[id-c9a685bd-e83f,smoke] [0.3s] ... ok
{1} tempest.api.network.test_ports.PortsTest.test_list[id-1] [1.20s] ... FAILED
Captured traceback: {1} no test ... at all
{1} setUpClass (tempest.api.network.test_x.XTest) ... SKIPPED: x is not enabled
"""
    direct = transparency.Side(through=False, results=transparency.results_of(trace))
    assert direct.results == {
        "tempest.api.network.test_ports.PortsTest.test_show_port": "ok",
        "tempest.api.network.test_ports.PortsTest.test_list": "FAILED",
        "setUpClass (tempest.api.network.test_x.XTest)": "SKIPPED",
    }
    through = transparency.Side(through=True, results=direct.results | {"new": "ok"})
    assert transparency.differences({"directly": direct, "through": through}) == ["new"]

"""What benchmarks make of what they have measured."""

import json

from benchmarks import report
from benchmarks.engine_handover import hold, rows


def test_rows_of_another_name_stay_and_those_of_the_same_are_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "DIRECTORY", tmp_path)
    report.add("engine", [report.row("copy", "s", 9.0), report.row("verify", "s", 3.0)])
    path = report.add("engine", [report.row("copy", "s", 5.0)])
    assert {found["name"]: found["ours"] for found in json.loads(path.read_text())} == {"copy": 5.0, "verify": 3.0}


def test_the_hold_is_judged_without_what_writes_in_flight_needed():
    attempts = [{"drained_ms": 1000.0, "hold_ms": 1000.0 + rest} for rest in (100.0, 140.0, 600.0)]
    told = {"wanted": 3, "rate": 50.0, "failed": 0, "lost": 0, "different": 0, "unsuccessful": 0}
    found = {row["name"]: row for row in rows([hold("cutover", attempt) for attempt in attempts], "n", **told)}
    middle, longest = (found[f"n: hold without writes in flight, {which}"] for which in ("p50", "longest"))
    assert (middle["ours"], middle["met"]) == (140.0, True)
    assert (longest["ours"], longest["met"]) == (600.0, False)
    assert found["n: what writes in flight needed, p50"]["ours"] == 1000.0


def test_too_few_handovers_a_failed_request_and_a_lost_write_miss_their_bars():
    told = {"wanted": 2, "rate": 44.0, "failed": 1, "lost": 1, "different": 1, "unsuccessful": 0}
    assert [row["met"] for row in rows([], "n", **told)] == [False, False, False, False, False, None]

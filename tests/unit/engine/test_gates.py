"""Each gate closes for its own reason, and says it."""

import msgspec
import pytest

from alcor_migrate.engine.gates import Evidence, freshness, gates
from alcor_migrate.engine.verify import Verification, Verified

NOW = 1_000_000.0
CLEAN = Verification(NOW - 20, NOW - 10, 100, 0, [], 5)
GOOD = Evidence(
    copied=True,
    lag=0.1,
    trouble="",
    poison=0,
    unknown=0,
    verification=CLEAN,
    journal_stalled=False,
    journal_incomplete=False,
    passive_answers=True,
)


def closed(**changed):
    evidence = msgspec.structs.replace(GOOD, **changed)
    return {g.name: g.reason for g in gates(evidence, max_lag=2, verify_max_age=60, now=NOW) if not g.open}


def test_all_open_when_all_is_well():
    assert closed() == {}


@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        ({"copied": False}, "copy", "not finished"),
        ({"lag": 2.5}, "lag", "2.50 s"),
        ({"trouble": "Alcor does not answer"}, "replay", "Alcor does not answer"),
        ({"poison": 3}, "rejected objects", "3 objects"),
        ({"unknown": 1}, "unknown writes", "1 writes"),
        ({"verification": None}, "verification", "alcor-migrate verify"),
        ({"verification": msgspec.structs.replace(CLEAN, mismatches=2)}, "verification", "--repair"),
        ({"verification": msgspec.structs.replace(CLEAN, started_at=NOW - 61)}, "verification", "61 s old"),
        ({"journal_stalled": True}, "journal", "stalled"),
        ({"journal_incomplete": True}, "journal", "sweep"),
        ({"passive_answers": False}, "passive side", "does not answer"),
        ({"ids_can_be_kept": False}, "ids", "alcor-ids"),
        ({"serves_users": False}, "api", "every project's objects"),
    ],
)
def test_one_gate_closes_for_one_reason(changed, name, words):
    found = closed(**changed)
    assert set(found) == {name}
    assert words in found[name]


def test_freshness_is_never_fresh_or_stale():
    assert freshness(None, 60, NOW) == "never"
    assert freshness(CLEAN, 60, NOW) == "fresh"
    assert freshness(CLEAN, 15, NOW) == "stale"  # it ended 10 s ago, and began 20 s ago
    assert freshness(CLEAN, 15, NOW - 3600) == "stale"  # the clock was set back


def test_a_verification_is_as_old_as_the_oldest_comparison_in_it():
    parts = [Verified("ports", NOW - 3, 5, 0, 0), Verified("networks", NOW - 90, 5, 0, 0)]
    resumed = msgspec.structs.replace(CLEAN, started_at=NOW - 5, resources=parts)
    assert freshness(resumed, 60, NOW) == "stale"
    assert "90 s old" in closed(verification=resumed)["verification"]

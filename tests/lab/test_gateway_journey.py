"""A cutover with a gateway of two workers, before two Neutron servers of which one is down."""

import time

import pytest

from lab import Lab
from lab.journey import Journey
from lab.ports import Ports
from lab.topology import build_topology
from lab.workload import Workload

pytestmark = pytest.mark.lab

DONE = 0


@pytest.fixture
def nowhere():
    ports = Ports()
    yield f"http://127.0.0.1:{ports.reserve()}"
    ports.release()


@pytest.mark.timeout(600)
def test_users_notice_nothing_of_workers_nor_of_a_server_that_is_down(nowhere):
    with Lab() as lab:
        topology = build_topology(lab, ports=6, seed=3)
        keys = {"gateway": {"workers": 2}, "source": {"url": [nowhere, lab.neutron_url]}}
        with Journey(lab, keys=keys) as journey:
            workload = Workload(lab, clients=4, seed=3, rate=4.0, topology=topology)
            workload.start()
            journey.wait_for("ready", timeout=300)
            time.sleep(4)
            journey.wait_until(lambda status: status["ready"], "every gate open", 120)
            cut = journey.command("cutover")
            time.sleep(4)
            status = journey.ask("status")
            result = workload.stop()
            journey.settle()
            checked = workload.check()
            verified = journey.command("verify")

    assert (cut.code, verified.code) == (DONE, DONE), (cut, verified)
    assert result.failures == []
    assert result.violations == []
    assert result.writes_acknowledged > 20
    assert checked.writes_lost == []
    assert status["active"] == "target"
    assert status["gateway"]["longest_hold_ms"] > 0
    sources = {s["address"]: s for s in status["gateway"]["servers"] if s["side"] == "source"}
    down, up = sources[nowhere.removeprefix("http://")], sources[lab.neutron_url.removeprefix("http://")]
    assert (down["up"], down["requests"], up["up"], up["failures"]) == (False, 0, True, 0)
    assert up["requests"] > 50

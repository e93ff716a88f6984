"""A gateway of two workers: before two Neutron servers of which one is down, and with reads ahead of the writes."""

import shutil
from contextlib import closing, contextmanager

import pytest

from lab import Lab
from lab.journey import Journey
from lab.ports import Ports
from lab.topology import build_topology
from lab.workload import Workload

pytestmark = pytest.mark.lab

NOT_FOUND = 404


@pytest.fixture(scope="module")
def lab():
    with Lab() as running:
        yield running


@pytest.fixture
def travel(lab):
    """Begins a migration with these keys, which has left nothing when it ends."""

    @contextmanager
    def begin(**keys):
        with Journey(lab, keys=keys) as journey:
            yield journey
        shutil.rmtree(journey.state_dir)
        for path in lab.directory.glob("alcor.sqlite*"):
            path.unlink()

    return begin


@pytest.fixture
def nowhere():
    ports = Ports()
    yield f"http://127.0.0.1:{ports.reserve()}"
    ports.release()


def some_writes(journey, workload):
    """Let users go on until some more of their writes are acknowledged."""
    goal = workload.snapshot().writes_acknowledged + 15
    journey.wait_until(lambda _: workload.snapshot().writes_acknowledged >= goal, "writes of users", 300)


@pytest.mark.timeout(900)
def test_users_notice_nothing_of_workers_nor_of_a_server_that_is_down(lab, travel, nowhere):
    topology = build_topology(lab, ports=6, seed=3)
    # Neutron may be slow to answer here, and is not down for that
    gateway = {"workers": 2, "checks": {"timeout": 60.0}}
    with travel(gateway=gateway, source={"url": [nowhere, lab.neutron_url]}) as journey:
        workload = Workload(lab, clients=4, seed=3, rate=4.0, topology=topology)
        workload.start()
        journey.wait_for("ready", timeout=300)
        some_writes(journey, workload)
        journey.hand_over("cutover")
        some_writes(journey, workload)
        status = journey.ask("status")
        result = workload.stop()
        journey.settle()
        checked = workload.check()
        journey.must("verify")

    assert result.failures == []
    assert result.violations == []
    assert checked.writes_lost == []
    assert status["active"] == "target"
    sources = {s["address"]: s for s in status["gateway"]["servers"] if s["side"] == "source"}
    down, up = sources[nowhere.removeprefix("http://")], sources[lab.neutron_url.removeprefix("http://")]
    assert (down["up"], down["requests"], up["up"], up["failures"]) == (False, 0, True, 0)
    assert up["requests"] > 0


class Reader:
    """Somebody who writes through one connection and reads through others; keeps what was not seen at once."""

    def __init__(self, lab):
        self.missed = []
        self._connections = [lab.connection("lab-admin") for _ in range(3)]

    def rounds(self, number):
        """Create, rename and delete networks and ports, each time reading what was just acknowledged."""
        writer = self._connections[0].network
        for turn in range(number):
            reader = self._connections[1 + turn % 2].network
            made = writer.post("/networks", json={"network": {"name": "new"}}).json()["network"]
            port = writer.post("/ports", json={"port": {"network_id": made["id"]}}).json()["port"]
            self._see(reader.get(f"/ports/{port['id']}").json()["port"]["network_id"] == made["id"], "port", turn)
            writer.put(f"/networks/{made['id']}", json={"network": {"name": f"turn {turn}"}})
            self._see(reader.get(f"/networks/{made['id']}").json()["network"]["name"] == f"turn {turn}", "name", turn)
            listed = reader.get("/ports", params={"network_id": made["id"]}).json()["ports"]
            self._see([one["id"] for one in listed] == [port["id"]], "list", turn)
            writer.delete(f"/ports/{port['id']}")
            self._see(reader.get(f"/ports/{port['id']}").status_code == NOT_FOUND, "deletion", turn)
            if turn % 2:
                writer.delete(f"/networks/{made['id']}")
                names = [one["id"] for one in reader.get("/networks").json()["networks"]]
                self._see(made["id"] not in names, "deletion from the list", turn)

    def _see(self, seen, what, turn):
        if not seen:
            self.missed.append((what, turn))

    def close(self):
        for connection in self._connections:
            connection.close()


def more_rounds(journey, user, seen):
    """The status, as soon as it shows of its reads what it has to: on a busy machine one round may not do it."""
    for _ in range(20):
        status = journey.ask("status")
        if seen(status["reads"]):
            return status
        user.rounds(1)
    pytest.fail(f"reads do not go ahead, or never had to wait: {status['reads']}")


@pytest.mark.timeout(600)
def test_reads_go_first_and_each_sees_what_was_written_before_it(lab, travel):
    # on a busy machine a read may wait long, and still has to be right
    patient = {"workers": 2, "reads_patience": 30.0}
    with travel(gateway=patient) as journey, closing(Reader(lab)) as user:
        journey.wait_for("ready", timeout=300)
        assert "Nothing would be held." in journey.must("cutover", "--reads", "--dry-run").out
        journey.must("cutover", "--reads")
        user.rounds(4)
        first = more_rounds(journey, user, lambda reads: reads["answered"] and reads["waited"])
        journey.ask("cutover", actor="test")
        user.rounds(1)
        both = journey.ask("status")
        journey.ask("reads", to="source", actor="test")
        user.rounds(3)
        back = more_rounds(journey, user, lambda reads: reads["answered"] > both["reads"]["answered"])
        journey.ask("reverse", actor="test")
        user.rounds(1)
        journey.must("verify")
        status = journey.ask("status")

    assert user.missed == []
    where = [(at["active"], at["reads"]["side"]) for at in (first, both, back, status)]
    assert where == [("source", "target"), ("target", "target"), ("target", "source"), ("source", "source")]
    failed = [key for key in status["gateway"]["requests"] if key.split()[-1] >= "5"]
    assert failed == []

"""What an operator can rely on, on a real cloud: cancel leaves no trace, and drain sees what agents still owe."""

import json
import shutil

import pytest
from test_assess import content

from lab import Lab, LabError
from lab.journey import Journey
from lab.topology import build_topology

pytestmark = pytest.mark.lab

NOT_DRAINED = 14


@pytest.fixture(scope="module")
def lab(broker_trouble):
    with Lab(rpc=not broker_trouble) as running:
        build_topology(running, ports=20)
        yield running


@pytest.fixture
def journey(lab):
    with Journey(lab, sweep_interval=2.0) as travelling:
        travelling.wait_for("ready")
        yield travelling
    shutil.rmtree(travelling.state_dir)
    for path in lab.directory.glob("alcor.sqlite*"):
        path.unlink()


def test_cancel_leaves_no_trace_on_the_source(lab):
    before = content(lab)
    with Journey(lab, sweep_interval=2.0) as journey:
        journey.wait_for("ready")
        journey.must("verify")
        journey.wait_until(lambda status: status["sweep"]["sweeps"] >= 2, "a second sweep", 180)
        journey.must("control", "throttle")
        journey.must("cutover", "--dry-run")
        journey.must("cancel")
        assert journey.ask("status")["gateway"]["route"] == "pass"
        assert lab.connection().network.get("/networks").status_code == 200  # through the gateway
    shutil.rmtree(journey.state_dir)
    for path in lab.directory.glob("alcor.sqlite*"):
        path.unlink()
    after = content(lab)
    changed = {table for table in before.keys() | after.keys() if before.get(table) != after.get(table)}
    assert changed == set()


@pytest.mark.usefixtures("broker")
def test_drain_waits_for_what_agents_still_owe(lab, journey):
    network = lab.connection(direct=True).network
    made = network.create_network(name="on-its-way")
    network.create_subnet(network_id=made.id, ip_version=4, cidr="198.51.100.0/24", enable_dhcp=False)
    port = network.create_port(network_id=made.id, **{"binding:host_id": "compute-1"})
    journey.must("verify", "--repair")
    refused = journey.command("drain")
    assert refused.code == 6  # nothing is to be taken over before the cutover
    journey.must("cutover")

    # What changed more than a minute ago would count as an instance that is shut off.
    network.update_port(port, description="changed just now")
    looked = journey.must("drain", "--json", accept=(NOT_DRAINED,))
    checks = {check["name"]: check for check in json.loads(looked.out)["checks"]}
    waiting = checks["ports between two states"]
    assert waiting["passed"] is False
    assert any(port.id in shown for shown in waiting["shown"]), waiting
    assert checks["agents"]["passed"], checks["agents"]
    assert checks["agents' queues"]["passed"] is None  # nobody has said where RabbitMQ is

    lab.agent("compute-1").device_up(port.id)
    looked = journey.command("drain", "--json", "--wait", "20")
    checks = {check["name"]: check for check in json.loads(looked.out)["checks"]}
    assert not any(port.id in shown for shown in checks["ports between two states"]["shown"])
    kept = [entry for entry in json.loads(journey.must("audit", "--json").out) if entry["act"] == "drain"]
    assert len(kept) == 2
    assert kept[0]["reason"].startswith("not drained: ports between two states")


def test_a_run_that_dies_is_told_with_the_end_of_its_log(lab, journey):
    assert journey.command("status").code == 0
    lab.services["migrate"].kill()
    with pytest.raises(LabError, match=r'(?s)migrate ended with code.*"event"'):
        journey.wait_for("switched", timeout=60)
    with pytest.raises(LabError, match="migrate ended with code"):
        journey.ask("status")
    assert "no migration is running" in journey.command("status").err

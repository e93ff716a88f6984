import json
import time

import pytest

from lab import Lab
from lab.topology import build_topology
from lab.workload import Workload

pytestmark = pytest.mark.lab

KINDS = {"network", "subnet", "port", "router", "security_group", "interface"}


@pytest.fixture(scope="module")
def filled():
    """A lab of their own, for these tests stop Neutron; with what it holds before anybody works in it."""
    with Lab(gateway="none") as lab:
        topology = build_topology(lab, ports=20, seed=5)
        connection = lab.connection("lab-direct")
        held = {kind: connection.network.get(f"/{kind}").json()[kind] for kind in ("ports", "routers")}
        connection.close()
        yield lab, topology, held


def wait_until(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def enough(workload):
    """Whether there is something of everything that the tests look for."""
    made = [owned for record in workload.records.values() for owned in list(record.objects.values())]
    kinds = {owned.kind for owned in made if owned.state == "live"}
    return len(made) > 30 and kinds >= {*KINDS, "security_group_rule", "floatingip"}


@pytest.fixture(scope="module")
def ran(filled):
    lab, topology, _ = filled
    workload = Workload(lab, clients=3, seed=2, topology=topology)
    workload.start()
    wait_until(lambda: enough(workload))
    during = workload.snapshot()
    result = workload.stop()
    return workload, during, result, workload.check(direct=True)


def test_the_topology_is_what_was_planned(filled):
    lab, topology, held = filled
    by_id = {port["id"]: port for port in held["ports"]}
    for planned in topology.plan.of("port"):
        port = by_id[topology.ids[planned.ref]]
        assert port["name"] == planned.body["name"]
        assert port["description"] == planned.body["description"]
        assert set(port["tags"]) == set(planned.tags)
        assert port["binding:vif_type"] == ("ovs" if "binding:host_id" in planned.body else "unbound")
    for planned in topology.plan.of("router"):
        router = next(router for router in held["routers"] if router["id"] == topology.ids[planned.ref])
        assert router["routes"] == topology.plan.routes[planned.key]
        joined = [port for port in held["ports"] if port["device_id"] == router["id"]]
        gateways = [port for port in joined if port["device_owner"] == "network:router_gateway"]
        assert len(joined) - len(gateways) == len(topology.plan.interfaces[planned.key])
        assert len(gateways) == ("external_gateway_info" in planned.body)
    seen = json.loads(lab.openstack("router", "list", "-f", "json", cloud=lab.projects[0].name))
    assert "edge-0" in [router["Name"] for router in seen]


def test_clients_work_and_lose_nothing(ran):
    workload, during, result, checked = ran
    assert result.failures == []
    assert result.violations == []
    assert result.unknown == 0
    assert 0 < during.writes_acknowledged <= result.writes_acknowledged
    assert during.p50_ms > 0
    assert len(result.samples) == result.requests > result.writes_acknowledged
    kinds = {owned.kind for record in workload.records.values() for owned in record.objects.values()}
    assert kinds >= KINDS
    assert checked.writes_lost == []
    assert checked.objects > 20  # of more than thirty, without what is not known


def test_a_write_that_somebody_undoes_is_found_lost(filled, ran, connect):
    lab, workload = filled[0], ran[0]
    network = connect(lab, "lab-direct").network
    records = workload.records.values()
    changed = next(owned for record in records for owned in record.live("security_group"))
    # Nothing stands on these; the clients may have deleted the last of one kind before they ended.
    deleted = next(owned for record in records for owned in record.live("security_group_rule", "floatingip"))
    assert network.put(changed.path, json={"security_group": {"description": "another's"}}).status_code == 200
    assert network.delete(deleted.path).status_code == 204
    lost = [(loss.id, loss.problem) for loss in workload.check(direct=True).writes_lost]
    assert sorted(lost) == sorted([(changed.id, "different"), (deleted.id, "missing")])


def test_a_neutron_that_dies_is_noticed_and_its_unanswered_writes_are_kept_apart(filled):
    lab = filled[0]
    workload = Workload(lab, clients=3, seed=9)
    workload.start()
    wait_until(lambda: workload.snapshot().writes_acknowledged > 10)
    lab.services["neutron"].kill()
    wait_until(lambda: workload.snapshot().requests_failed > 0)
    lab.services["neutron"].restart()
    before = workload.snapshot().writes_acknowledged
    wait_until(lambda: workload.snapshot().writes_acknowledged > before)
    result = workload.stop()
    assert result.requests_failed > 0
    assert {failure.status for failure in result.failures} == {0}
    assert max(sample.start for sample in result.samples if sample.status) > result.failures[-1].at
    assert workload.check().writes_lost == []

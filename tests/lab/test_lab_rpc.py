import json
import os
import select
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lab import Lab, LabError, packages, rabbitmq
from lab.process import started_at

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).resolve().parents[2]

HOLD_A_LAB = """
import json, signal
from lab import Lab
with Lab(rpc=True, gateway="none") as lab:
    print(json.dumps([str(lab.directory), [service.pid for service in lab.services.values()]]), flush=True)
    signal.pause()
"""


def family(pids):
    """The processes with all that they have started."""
    found = list(pids)
    for pid in found:
        found += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found


def wait_until_gone(pid, seconds=60):
    """A pidfd becomes readable when its process ends."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        readable, _, _ = select.select([handle], [], [], seconds)
    finally:
        os.close(handle)
    assert readable, f"process {pid} still runs"


@pytest.mark.usefixtures("broker")
def test_what_agents_say_reaches_neutron_and_nothing_is_left():
    with Lab(rpc=True, gateway="none") as lab, closing(lab.connection()) as connection:
        pids = family(service.pid for service in lab.services.values())
        names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}
        assert {"beam.smp", "epmd", "inet_gethost"} <= names
        assert set(lab.services) >= {"rabbitmq", "neutron-rpc", "neutron"}
        network = connection.network
        host = lab.agent("rack-7")
        assert list(network.agents(host="rack-7")) == []
        assert [host.report(), host.report()] == ["new", "alive"]
        (agent,) = network.agents(host="rack-7")
        assert (agent.agent_type, agent.is_alive) == ("Open vSwitch agent", True)

        made = network.create_network(name="reached-by-rpc")
        subnet = network.create_subnet(network_id=made.id, ip_version=4, cidr="192.0.2.0/24")
        port = network.create_port(network_id=made.id, **{"binding:host_id": "rack-7"})
        assert (port.status, port.binding_vif_type) == ("DOWN", "ovs")
        lab.agent("compute-1").device_up(port.id)  # not the host where it is
        assert network.get_port(port.id).status == "DOWN"
        host.device_up(port.id)
        assert network.get_port(port.id).status == "ACTIVE"
        host.device_down(port.id)
        assert network.get_port(port.id).status == "DOWN"

        serving = network.get_port(host.dhcp_port(made.id, made.project_id, [subnet.id])["id"])
        assert (serving.device_owner, serving.binding_host_id) == ("network:dhcp", "rack-7")
        assert [address["subnet_id"] for address in serving.fixed_ips] == [subnet.id]
        with pytest.raises(LabError, match=f"no DHCP port in network {made.id}"):
            host.dhcp_port(made.id, made.project_id, ["no-such-subnet"])
    for pid in pids:
        wait_until_gone(pid)
    assert not lab.directory.exists()


@pytest.mark.usefixtures("broker")
def test_nothing_outlives_the_parent_that_is_killed():
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_LAB], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with holder:
        try:
            directory, leaders = json.loads(holder.stdout.readline())
            pids = family(leaders)
            assert all(started_at(pid) for pid in pids)
        finally:
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait(60)
    for pid in pids:
        wait_until_gone(pid)
    done = subprocess.run([sys.executable, "-m", "lab", "stop", directory], cwd=REPOSITORY, check=False)
    assert done.returncode == 0
    assert not Path(directory).exists()


def test_without_rabbitmq_the_lab_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(rabbitmq, "SERVER", tmp_path / "rabbitmq-server")
    monkeypatch.setattr(packages, "find_program", lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="RabbitMQ cannot be had: rabbitmq-server not installed, since") as caught:
        Lab(rpc=True, directory=tmp_path / "lab")
    assert "python -m lab.packages --rpc" in caught.value.next_step
    assert not (tmp_path / "lab").exists()


def test_a_lab_without_rpc_has_no_agents(lab):
    assert lab.rabbitmq_url is None
    with pytest.raises(LabError, match="runs without rpc"):
        lab.agent("compute-1")


def test_installing_starts_no_service(tmp_path):
    policy = tmp_path / "policy-rc.d"
    with packages.no_services(policy):
        assert subprocess.run([policy], check=False).returncode == 101
    assert not policy.exists()


def test_installing_leaves_the_administrators_policy_alone(tmp_path):
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")
    with packages.no_services(policy):
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"

import json
import os
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab, LabError
from lab.process import started_at

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).resolve().parents[2]

HOLD_A_LAB = """
import json, signal
from pathlib import Path
from lab import Lab
with Lab() as lab:
    neutron = lab.services["neutron"].pid
    workers = Path(f"/proc/{neutron}/task/{neutron}/children").read_text().split()
    pids = [service.pid for service in lab.services.values()]
    print(json.dumps([str(lab.directory), pids + [int(pid) for pid in workers]]), flush=True)
    signal.pause()
"""


def lab_command(*args):
    command = [sys.executable, "-m", "lab", *map(str, args)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)  # ours


def test_users_see_their_own_networks_with_the_openstack_client(lab, connect):
    owner, stranger = lab.projects[0].name, lab.projects[1].name
    network = connect(lab, owner).network.create_network(name="seen-by-its-owner")
    try:
        listed = {
            cloud: [n["Name"] for n in json.loads(lab.openstack("network", "list", "-f", "json", cloud=cloud))]
            for cloud in (owner, stranger, "lab-admin", "lab-direct")
        }
        assert {cloud: network.name in names for cloud, names in listed.items()} == {
            owner: True,
            stranger: False,
            "lab-admin": True,
            "lab-direct": True,
        }
    finally:
        connect(lab, owner).network.delete_network(network)


def test_projects_have_users_of_their_own(lab):
    assert len({project.id for project in lab.projects}) >= 3
    assert len({project.user for project in lab.projects}) >= 3


def test_what_the_client_complains_about_is_told(lab):
    with pytest.raises(LabError, match="No Network found for not-there"):
        lab.openstack("network", "show", "not-there")


def test_service_user_may_check_tokens(lab, connect):
    users_token = connect(lab, lab.projects[0].name).authorize()
    credentials = lab.service_credentials
    checked = lab.openstack(
        *("--os-username", credentials.username, "--os-password", credentials.password),
        *("--os-project-name", credentials.project_name),
        *("token", "issue", "-f", "value", "-c", "id"),
    )
    answer = connect(lab).identity.get(
        "/auth/tokens", headers={"X-Auth-Token": checked.strip(), "X-Subject-Token": users_token}
    )
    assert answer.json()["token"]["project"]["id"] == lab.projects[0].id


def test_ports_bind_on_the_hosts(lab, connect):
    network = connect(lab).network
    made = network.create_network(name="binds")
    try:
        port = network.create_port(network_id=made.id, **{"binding:host_id": "compute-4"})
        assert port.binding_vif_type == "ovs"
        network.delete_port(port)
    finally:
        network.delete_network(made)


@pytest.mark.parametrize("database", ["mariadb", "sqlite"])
def test_a_lab_beside_another_survives_kill_9_of_neutron_and_leaves_nothing(lab, connect, database):
    with pytest.raises(ZeroDivisionError), Lab(database=database) as second:  # noqa: PT012  # all of it is the block
        pids = [service.pid for service in second.services.values()]
        addresses = {second.neutron_url, second.gateway_url, second.alcor_url, second.keystone_url}
        assert len(addresses | {lab.neutron_url, lab.alcor_url, lab.keystone_url}) == 7
        catalogue = second.openstack("endpoint", "list", "--service", "network", "-f", "value", "-c", "URL")
        assert set(catalogue.split()) == {second.gateway_url}
        network = connect(second, direct=True).network
        assert list(network.networks()) == []
        assert list(network.security_groups(project_id=second.projects[0].id)) != []  # made by looking
        made = network.create_network(name="survives")
        second.services["neutron"].kill()
        second.services["neutron"].restart()
        assert [n.id for n in network.networks()] == [made.id]
        assert made.id not in [n.id for n in connect(lab).network.networks()]
        raise ZeroDivisionError
    assert [pid for pid in pids if started_at(pid)] == []
    assert not second.directory.exists()


def test_nothing_is_left_running_when_the_parent_is_killed():
    """That it tidies up when it is asked to end is seen with a whole journey, in test_journey."""
    holder = subprocess.Popen(  # ours
        [sys.executable, "-c", HOLD_A_LAB],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with holder:
        try:
            directory, pids = json.loads(holder.stdout.readline())
            assert len(pids) == 5 or len(pids) == 2
            assert all(started_at(pid) for pid in pids)
        finally:
            holder.kill()
            holder.wait(60)
    for pid in pids:
        wait_until_gone(pid)
    assert lab_command("stop", directory).returncode == 0  # nobody was there to tidy up
    assert not Path(directory).exists()


def test_a_kept_lab_is_stopped_by_its_directory():
    directory = Path(re.search(r"lab stop (\S+)", lab_command("start", "--keep").stdout).group(1))
    pids = [s["pid"] for s in json.loads((directory / "lab.json").read_text())["services"].values()]
    assert all(started_at(pid) for pid in pids)
    assert "neutron" in lab_command("stop", directory).stdout
    for pid in pids:
        wait_until_gone(pid)
    assert not directory.exists()


def test_stopping_a_directory_that_is_no_lab_says_so(tmp_path):
    done = lab_command("stop", tmp_path)
    assert done.returncode != 0
    assert "is not the directory of a lab" in done.stderr
    assert tmp_path.exists()


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

"""The demo's own journey, at small size: real Keystone, Neutron, `openstack` client, gateway, engine and Alcor."""

import io
import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from lab import Lab, LabError
from lab.demo import Choices, Teller, tell
from lab.journey import Journey
from lab.process import started_at

pytestmark = pytest.mark.lab

REPOSITORY = Path(__file__).resolve().parents[2]

HOLD_A_JOURNEY = """
import json, signal
from pathlib import Path
from lab import Lab
from lab.journey import Journey
with Lab() as lab, Journey(lab) as journey:
    journey.wait_for("ready")
    neutron = lab.services["neutron"].pid
    workers = Path(f"/proc/{neutron}/task/{neutron}/children").read_text().split()
    pids = [service.pid for service in lab.services.values()]
    print(json.dumps([str(lab.directory), pids + [int(pid) for pid in workers]]), flush=True)
    signal.pause()
"""


@pytest.mark.timeout(1200)
def test_a_cloud_moves_there_and_back_and_there_again_while_its_users_go_on(tmp_path):
    told = io.StringIO()
    teller = Teller(Console(file=told, width=100, highlight=False))
    lab = Lab(tmp_path / "lab")
    try:
        document = tell(teller, lab, Choices(ports=40, clients=4, rate=4.0, work=4.0, output=tmp_path / "report"))
        pids = [service.pid for service in lab.services.values()]
    finally:
        lab.stop()
    story = told.getvalue()
    assert document["objections"] == [], document["problems"]
    assert (document["writes_lost"], document["requests_failed"], document["mismatches"]) == (0, 0, 0)
    assert document["writes_acknowledged"] > 20
    assert document["objects_compared"] > 200
    assert [h["verb"] for h in document["handovers"] if h["succeeded"]] == ["cutover", "reverse", "cutover"]
    assert document["longest_hold_ms"] <= 3000 + 5000  # it is bounded; a busy machine may notice late
    assert document["journal"]["complete"]
    assert document["completed"]

    # The same commands of a user, answered by both sides: after the cutover, and after completing, past the gateway.
    compared = [(c["command"], c["equal"]) for c in document["commands"]]
    assert len(compared) == 14
    assert [command for command, equal in compared if not equal] == []
    assert {"router show edge-0", "network show frontend"} <= {command for command, _ in compared}

    assert json.loads((tmp_path / "report" / "report.json").read_text()) == json.loads(json.dumps(document))
    assert "passed" in (tmp_path / "report" / "report.html").read_text()
    headings = re.findall(r"^(\d+) · ", story, re.MULTILINE)
    assert headings == [str(number) for number in range(1, len(document["chapters"]) + 1)]
    assert max(len(line) for line in story.splitlines() if "$" not in line) <= 100
    assert [pid for pid in pids if started_at(pid)] == []


def test_a_journey_needs_an_address_for_its_gateway(lab):
    with pytest.raises(LabError, match="users would pass the gateway by"):
        Journey(lab)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_journey_that_is_interrupted(end):
    holder = subprocess.Popen(  # ours
        [sys.executable, "-c", HOLD_A_JOURNEY], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with holder:
        try:
            directory, pids = json.loads(holder.stdout.readline())
            assert all(started_at(pid) for pid in pids)
        finally:
            holder.send_signal(end)
            holder.wait(180)
    assert [pid for pid in pids if not gone(pid)] == []
    assert not Path(directory).exists()


def gone(pid, seconds=60):
    """A pidfd becomes readable when its process ends."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], seconds)[0])
    finally:
        os.close(handle)

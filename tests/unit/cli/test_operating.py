"""What an operator types while a migration runs: the real command against stand-ins of both sides."""

import asyncio
import getpass
import json
import socket
import stat

import pytest
from test_accidents import PATIENCE, Cloud, running, wait_until

from alcor_migrate import control

pytestmark = pytest.mark.process


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    made.make_empty()
    yield made
    made.close()


def say(cloud, line):
    """As `echo LINE | nc -U console.sock`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(cloud.state / "console.sock"))
        connection.sendall(line.encode() + b"\n")
        return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def test_it_is_steered_while_it_runs_by_command_and_by_socket(cloud):
    with running(cloud):
        wait_until(lambda: cloud.status()["ready"])
        assert "throttled" in cloud.run("control", "throttle").stdout
        assert f"{getpass.getuser()} has throttled it" in cloud.run("status").stdout
        assert say(cloud, "no-throttle").startswith("not throttled")
        assert say(cloud, "max-hold=?") == "max-hold=3\n"
        assert say(cloud, "max-hold=1.5") == "max-hold=1.5\n"
        assert cloud.status()["steering"]["max_hold"] == 1.5
        wrong = cloud.run("control", "max-hold=1000")
        assert wrong.returncode == 8
        assert "out of bounds" in wrong.stderr
        assert "is not a command" in say(cloud, "dance")
        for name in ("control.sock", "console.sock"):
            assert stat.S_IMODE((cloud.state / name).stat().st_mode) == 0o600
        done = asyncio.run(control.call(str(cloud.state), "audit"))
        said = [(e["actor"], e["reason"]) for e in done if e["act"] == "command"]
        assert said == [(getpass.getuser(), word) for word in ("throttle", "no-throttle", "max-hold=1.5")]
        assert "throttle" in cloud.run("audit").stdout
    assert not (cloud.state / "console.sock").exists()


def test_panic_stops_it_and_resume_lets_it_go_on(cloud):
    with running(cloud):
        wait_until(lambda: cloud.status()["ready"])
        assert "requests go on to Neutron" in cloud.run("control", "panic").stdout
        screen = cloud.run("status").stdout
        assert "needs attention" in screen
        assert "stopped the engine" in screen
        refused = cloud.run("cutover")
        assert refused.returncode == 6
        assert "alcor-migrate resume" in refused.stderr
        assert cloud.status()["gateway"]["route"] == "capture"
    with running(cloud):
        assert cloud.status()["state"] == "needs_attention"
        assert "is ready" in cloud.run("resume").stdout
        assert cloud.status()["state"] == "ready"


def test_a_dry_run_shows_each_step_with_its_time_and_hooks_have_a_say(cloud, tmp_path):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    refusing = hooks / "before-cutting-over"
    refusing.write_text("#!/bin/sh\necho not on a Friday\nexit 1\n")
    refusing.chmod(0o755)
    cloud.configure(engine={"hooks": "hooks"})
    with running(cloud):
        wait_until(lambda: cloud.status()["ready"])
        shown = cloud.run("cutover", "--dry-run", "--max-hold", "2").stdout
        assert "take the journal's position" in shown
        assert "the bound is 2000 ms" in shown
        refused = cloud.run("cutover")
        assert refused.returncode == 7
        assert "not on a Friday" in refused.stderr
        refusing.unlink()
        made = json.loads(cloud.run("cutover", "--max-hold", "2", "--json").stdout)
        assert (made["succeeded"], made["max_hold"]) == (True, 2.0)
        cloud.neutron.answers["GET /v2.0/agents"] = (200, {"agents": [{"binary": "a", "host": "h", "alive": False}]})
        drained = cloud.run("drain")
        assert drained.returncode == 14
        assert "1 of 1 do not report" in drained.stdout


def test_a_directory_of_hooks_with_a_typo_is_refused_at_the_start(cloud, tmp_path):
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "on-cutover").write_text("#!/bin/sh\n")
    (hooks / "on-cutover").chmod(0o755)
    cloud.configure(engine={"hooks": "hooks"})
    done = cloud.run("run")
    assert done.returncode == 2
    assert "is not the name of a hook" in " ".join(done.stderr.split()) or "not the name of a hook" in done.stderr
    assert not cloud.state.exists()

import os
import select
import socket
import sys
import threading

import pytest

from lab.errors import LabError
from lab.ports import HOST, Ports
from lab.process import Processes, read_record, running, started_at, stop_recorded

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def processes(tmp_path):
    owner = Processes(tmp_path, scratch=False)
    yield owner
    owner.close()


def test_a_reserved_port_goes_to_nobody_else_but_may_be_served_again_and_again():
    ports = Ports()
    try:
        mine = {ports.reserve() for _ in range(50)}
        assert len(mine) == 50
        port = mine.pop()
        for _ in range(2):
            with socket.socket() as server:
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind((HOST, port))
                server.listen()
                with socket.create_connection((HOST, port)):
                    pass
    finally:
        ports.release()


def test_a_process_outlives_the_thread_that_asked_for_it_and_can_be_restarted(processes):
    thread = threading.Thread(target=lambda: processes.spawn("sleeper", SLEEP))
    thread.start()
    thread.join()
    sleeper = processes.services["sleeper"]
    first = sleeper.pid
    assert sleeper.alive
    sleeper.kill()
    assert sleeper.returncode == -9
    sleeper.restart()
    assert sleeper.alive
    assert sleeper.pid != first
    processes.close()
    assert not sleeper.alive


def test_its_children_end_with_it(processes):
    family = f"import os, subprocess, sys; print(subprocess.Popen({SLEEP!r}).pid, flush=True); os.wait()"
    parent = processes.spawn("parent", [sys.executable, "-c", family])
    parent.ready = lambda: parent.tail().isdigit()
    parent.wait_ready(60)
    child = int(parent.tail())
    handle = os.pidfd_open(child)
    try:
        parent.kill()
        ended, _, _ = select.select([handle], [], [], 60)  # a pidfd is readable when its process has ended
    finally:
        os.close(handle)
    assert ended
    assert started_at(child) is None


def test_what_does_not_come_up_says_why(processes):
    broken = processes.spawn(
        "broken", [sys.executable, "-c", "raise SystemExit('no such luck')"], ready=lambda: False
    )
    with pytest.raises(LabError, match=r"broken ended with code 1 before it was ready: no such luck") as caught:
        broken.wait_ready(60)
    assert "broken.log" in caught.value.next_step


def test_the_record_finds_what_still_runs_and_stops_only_that(processes, tmp_path):
    with pytest.raises(LabError, match="not the directory of a lab"):
        stop_recorded(tmp_path)
    processes.spawn("first", SLEEP)
    processes.spawn("second", SLEEP)
    processes.services["first"].kill()
    assert list(running(read_record(tmp_path))) == ["second"]
    assert stop_recorded(tmp_path) == ["second"]
    assert not processes.services["second"].alive


def test_a_closed_lab_starts_nothing(processes):
    processes.close()
    with pytest.raises(LabError, match="the lab is closed"):
        processes.spawn("late", SLEEP)

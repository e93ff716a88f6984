"""The command itself, as a process, with a Keystone that is just enough of one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.ports import Ports

pytestmark = pytest.mark.process

COMMAND = Path(sys.executable).with_name("alcor-controller")
PATIENCE = 90.0  # seconds; only what never comes takes so long


class Keystone(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        password = asked["auth"]["identity"]["password"]["user"]["password"]
        self._answer(201 if password == "right" else 401, {"token": {}}, {"X-Subject-Token": "own"})

    def do_GET(self):
        if self.headers["X-Subject-Token"] != "good":
            self._answer(404, {})
            return
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        token = {"user": {"id": "u"}, "project": {"id": "p"}, "expires_at": expires}
        self._answer(200, {"token": {**token, "roles": [{"name": "admin"}, {"name": "member"}]}})

    def _answer(self, status, body, headers=None):
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def keystone():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Keystone)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v3"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def free_port():
    """Gives ports that stay ours."""
    ports = Ports()
    yield ports.reserve
    ports.release()


def arguments(keystone, tmp_path, port, **more):
    named = {
        "listen": f"127.0.0.1:{port}",
        "database": tmp_path / "alcor.db",
        "keystone-url": keystone,
        **more,
    }
    return [COMMAND, "serve", *(str(part) for name, value in named.items() for part in (f"--{name}", value))]


@pytest.fixture
def start(keystone, tmp_path):
    running = []

    def run(port):
        environment = {**os.environ, "ALCOR_PASSWORD": "right"}
        log = (tmp_path / "log").open("a")
        process = subprocess.Popen(arguments(keystone, tmp_path, port), env=environment, stdout=log, stderr=log)
        running.append((process, log))
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return process, call(port, "GET", "/alcor/v1/status")
            except OSError:
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    yield run
    for process, log in running:
        if process.poll() is None:
            process.kill()
        process.wait()
        log.close()


def call(port, method, path, body=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-Auth-Token": "good", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 (as above)
        return json.loads(answer.read())


def test_every_answered_write_survives_a_kill(start, free_port):
    port = free_port()
    process, _ = start(port)
    answered, stop = [], threading.Event()

    def write(worker):
        number = 0
        while not stop.is_set():
            name = f"{worker}-{number}"
            try:
                call(port, "POST", "/v2.0/networks", {"network": {"name": name}})
            except OSError:
                return
            answered.append(name)
            number += 1

    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(6)]
    for writer in writers:
        writer.start()
    deadline = time.monotonic() + PATIENCE
    while len(answered) < 60:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stop.set()
    for writer in writers:
        writer.join()
    _, status = start(port)
    names = {n["name"] for n in call(port, "GET", "/v2.0/networks?fields=name")["networks"]}
    assert set(answered) <= names
    assert status["resources"]["vpcs"] == len(names)


def test_it_stops_at_sigterm(start, free_port, tmp_path):
    process, _ = start(free_port())
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE) == 0
    assert "controller_ready" in (tmp_path / "log").read_text()
    assert "right" not in (tmp_path / "log").read_text()


def refused(command, word="right"):
    environment = {**os.environ, "ALCOR_PASSWORD": word}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_keeps_it_from_starting_is_said_in_a_sentence(keystone, free_port, tmp_path):
    port = free_port()
    nowhere = f"http://127.0.0.1:{free_port()}/v3"
    assert f"Keystone at {nowhere} cannot be used" in refused(arguments(nowhere, tmp_path, port))
    assert "does not let user 'alcor' into 'service'" in refused(arguments(keystone, tmp_path, port), "wrong")
    bad = arguments(keystone, tmp_path, port, database=tmp_path / "no" / "alcor.db")
    assert "alcor.db cannot be opened" in refused(bad)
    with socket.create_server(("127.0.0.1", port)):
        assert f"127.0.0.1:{port} cannot be listened at" in refused(arguments(keystone, tmp_path, port))
    assert "is not HOST:PORT" in refused(arguments(keystone, tmp_path, "http"))
    settings = tmp_path / "settings.yaml"
    settings.write_text("listn: 127.0.0.1:1\n", encoding="utf-8")
    assert "unknown field `listn`" in refused(arguments(keystone, tmp_path, port, config=settings))

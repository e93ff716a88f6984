"""Bad input and accidents at the start: one clear sentence, an exit code, and nothing half-written.

Keystone, Neutron and Alcor are stand-ins here, because they have to be broken; the command is the real one.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alcor_migrate import control
from alcor_model import load_order
from lab.ports import Ports

pytestmark = pytest.mark.process

COMMAND = Path(sys.executable).parent / "alcor-migrate"
PATIENCE = 90.0  # seconds; only what never comes takes so long


class Service:
    """A tiny HTTP service; `answers` maps "METHOD /path" to (status, document), and can be changed at any time."""

    def __init__(self, port):
        self.answers = {}
        self.requests = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = self.path.partition("?")[0]
                service.requests.append(f"{self.command} {path}")
                status, document = service.answers.get(f"{self.command} {path}", (404, {}))
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Subject-Token", "token")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815  # the base class's names

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def close(self):
        """Answer no more; safe to call twice."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Cloud:
    def __init__(self, directory):
        self.directory = directory
        self.ports = Ports()  # also of a service that is closed: nobody else answers there
        self.keystone, self.neutron, self.alcor = (Service(self.ports.reserve()) for _ in range(3))
        token = {
            "token": {
                "expires_at": "2099-01-01T00:00:00Z",
                "issued_at": "2026-01-01T00:00:00Z",
                "methods": ["password"],
                "project": {"id": "admin-project", "name": "admin", "domain": {"id": "default", "name": "Default"}},
                "user": {"id": "u", "name": "admin", "domain": {"id": "default", "name": "Default"}},
                "roles": [{"id": "r", "name": "admin"}],
                "catalog": [],
            }
        }
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{self.keystone.url}/v3/"}]}
        self.keystone.answers = {
            "GET /v3": (200, {"version": version}),
            "GET /": (300, {"versions": {"values": [version]}}),
            "POST /v3/auth/tokens": (201, token),
            "GET /v3/projects": (200, {"projects": []}),
        }
        self.neutron.answers = {
            "GET /v2.0/extensions": (
                200,
                {"extensions": [{"alias": "alcor-ids", "updated": "2026-11-23T00:00:00-00:00"}]},
            ),
            "GET /v2.0/networks": (200, {"networks": []}),
        }
        self.alcor.answers = {"GET /alcor/v1/status": (200, {"resources": {}})}
        self.config = directory / "alcor-migrate.yaml"
        self.state = directory / "state"
        self.configure()
        (directory / "clouds.yaml").write_text(
            json.dumps(
                {
                    "clouds": {
                        "prod": {
                            "auth": {
                                "auth_url": f"{self.keystone.url}/v3",
                                "username": "admin",
                                "password": "secret",
                                "project_name": "admin",
                                "user_domain_name": "Default",
                                "project_domain_name": "Default",
                            },
                            "region_name": "RegionOne",
                        }
                    }
                }
            )
        )

    def configure(self, **changes):
        document = {
            "state_dir": "state",
            "source": {"cloud": changes.pop("cloud", "prod"), "url": self.neutron.url},
            "target": {"url": self.alcor.url},
            "gateway": {"listen": f"127.0.0.1:{self.ports.reserve()}"},
        } | changes
        self.config.write_text(json.dumps(document))

    def run(self, *verb):
        return subprocess.run(
            [COMMAND, "-c", self.config, *verb],
            env=os.environ | {"OS_CLIENT_CONFIG_FILE": str(self.directory / "clouds.yaml"), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def status(self):
        return asyncio.run(control.call(str(self.state), "status"))

    def make_empty(self):
        """Both sides answer every question of a run, and hold nothing."""
        for collection in (
            "networks",
            "subnets",
            "ports",
            "routers",
            "floatingips",
            "security-groups",
            "security-group-rules",
        ):
            self.neutron.answers[f"GET /v2.0/{collection}"] = (200, {collection.replace("-", "_"): []})
        self.neutron.answers["GET /v2.0/quotas/admin-project/details.json"] = (
            200,
            {"quota": {"security_group": {"used": 1}}},
        )
        for of in load_order():
            path = f"GET /project/admin-project/{of.alcor_collection}"
            self.alcor.answers[path] = (200, {of.alcor_plural: []})
            self.alcor.answers[f"{path}/digests"] = (200, {"digests": {}})

    def close(self):
        for service in (self.keystone, self.neutron, self.alcor):
            service.close()
        self.ports.release()


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.close()


def refused(cloud, *words, verb="run", code=None):
    """The command ends at once, says one sentence with these words and a next step, and leaves no state behind."""
    done = cloud.run(verb)
    assert done.returncode not in {0, None}
    if code:
        assert done.returncode == code
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    for word in words:
        assert word in sentence
    assert "Next: " in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert not cloud.state.exists()
    return done


@pytest.mark.parametrize("verb", ["run", "assess"])
def test_a_wrong_cloud_name(cloud, verb):
    cloud.configure(cloud="pord")
    refused(cloud, "'pord'", "prod", verb=verb, code=3)


@pytest.mark.parametrize("verb", ["run", "assess"])
def test_a_keystone_that_is_down(cloud, verb):
    cloud.keystone.close()
    refused(cloud, "Keystone", cloud.keystone.url, verb=verb, code=3)


def test_a_keystone_that_refuses_us(cloud):
    cloud.keystone.answers["POST /v3/auth/tokens"] = (401, {"error": {"message": "no such user", "code": 401}})
    refused(cloud, "Keystone", "401", code=3)


@pytest.mark.parametrize("verb", ["run", "assess"])
def test_a_neutron_that_answers_500(cloud, verb):
    cloud.neutron.answers["GET /v2.0/extensions"] = (500, {"NeutronError": {"message": "it broke"}})
    refused(cloud, "Neutron", "500", "it broke", verb=verb, code=3)


def test_a_target_that_is_not_empty(cloud):
    cloud.alcor.answers["GET /alcor/v1/status"] = (200, {"resources": {"vpcs": 3}})
    refused(cloud, "not empty", "3 network", code=3)


def test_a_target_that_is_down(cloud):
    cloud.alcor.close()
    refused(cloud, "Alcor", cloud.alcor.url, code=3)


def test_an_unknown_key_in_the_configuration(cloud):
    cloud.configure(speed="high")
    refused(cloud, "speed", code=2)


def test_an_address_that_is_taken(cloud):
    cloud.configure(gateway={"listen": cloud.neutron.url.removeprefix("http://")})
    refused(cloud, "listen", code=5)


@pytest.mark.parametrize("verb", ["status", "verify", "cutover", "reverse", "cancel"])
def test_a_verb_while_nothing_runs(cloud, verb):
    refused(cloud, "no migration is running", verb=verb, code=8)


@contextlib.contextmanager
def running(cloud):
    """`alcor-migrate run`, ended by SIGTERM as a supervisor does."""
    process = subprocess.Popen(
        [COMMAND, "-c", cloud.config, "run"],
        env=os.environ | {"OS_CLIENT_CONFIG_FILE": str(cloud.directory / "clouds.yaml")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: (cloud.state / "control.sock").exists() or process.poll() is not None)
        yield process
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors


def wait_until(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_second_run_on_the_same_state_directory(cloud):
    cloud.make_empty()
    with running(cloud):
        done = cloud.run("run")
        assert done.returncode == 6
        assert "another `alcor-migrate run`" in done.stderr
        assert "status" in done.stderr
        assert json.loads(cloud.run("status", "--json").stdout)["cloud"] == "prod"
        assert "migration of prod" in cloud.run("watch", "--once").stdout
        live = subprocess.Popen(
            [COMMAND, "-c", cloud.config, "watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert b"migration of prod" in live.stdout.readline()
        live.send_signal(signal.SIGINT)
        _, errors = live.communicate(timeout=PATIENCE)
        assert b"Traceback" not in errors
        assert live.returncode in {0, 130}


def test_a_run_goes_on_where_it_was_and_ends_for_good(cloud):
    cloud.make_empty()
    with running(cloud):
        wait_until(lambda: cloud.status()["state"] == "ready")
        refused_verb = cloud.run("reverse")
        assert refused_verb.returncode == 6
        assert "reverse is not possible while the migration is ready" in refused_verb.stderr
    with running(cloud):
        now = cloud.status()
        assert now["state"] == "ready"
        assert now["gateway"]["route"] == "capture"
        wrong = cloud.run("complete", "--confirm", "prod")
        assert wrong.returncode == 6
        assert cloud.run("cancel").returncode == 0
        now = cloud.status()
        assert (now["state"], now["gateway"]["route"]) == ("cancelled", "pass")
    with running(cloud):
        now = cloud.status()
        assert (now["state"], now["gateway"]["route"]) == ("cancelled", "pass")
    assert not [r for r in cloud.neutron.requests if not r.startswith("GET ")]


def test_a_migration_that_has_begun_starts_again_whatever_the_two_sides_do(cloud):
    cloud.make_empty()
    with running(cloud):
        wait_until(lambda: cloud.status()["ready"])
        assert cloud.run("cutover").returncode == 0
    cloud.neutron.answers.clear()
    cloud.alcor.answers.clear()
    cloud.keystone.answers.clear()
    with running(cloud):
        now = cloud.status()
        assert (now["state"], now["active"], now["gateway"]["route"]) == ("switched", "target", "target")
        done = cloud.run("reverse")
        assert done.returncode == 7
        assert "passive side" in done.stderr


def test_a_cutover_of_an_empty_cloud_and_its_completion(cloud):
    cloud.make_empty()
    endpoint = {"id": "e1", "service_id": "s1", "interface": "public", "url": "http://old"}
    cloud.keystone.answers |= {
        "GET /v3/services": (200, {"services": [{"id": "s1"}]}),
        "GET /v3/endpoints": (200, {"endpoints": [endpoint, endpoint | {"id": "other", "service_id": "s2"}]}),
        "PATCH /v3/endpoints/e1": (200, {"endpoint": endpoint}),
    }
    with running(cloud):
        wait_until(lambda: cloud.status()["ready"])
        assert "Every gate is open" in cloud.run("cutover", "--dry-run").stdout
        assert json.loads(cloud.run("cutover", "--json").stdout)["succeeded"]
        assert cloud.run("cancel").returncode == 6
        wrong = cloud.run("complete", "--confirm", "staging")
        assert wrong.returncode == 6
        assert "'staging'" in wrong.stderr
        assert cloud.run("complete", "--confirm", "prod").returncode == 0
        assert cloud.run("reverse").returncode == 6
    assert cloud.keystone.requests.count("PATCH /v3/endpoints/e1") == 1
    assert "PATCH /v3/endpoints/other" not in cloud.keystone.requests


def test_assess_writes_nothing_anywhere(cloud):
    for collection, key in (
        ("subnets", "subnets"),
        ("ports", "ports"),
        ("routers", "routers"),
        ("floatingips", "floatingips"),
        ("security-groups", "security_groups"),
        ("security-group-rules", "security_group_rules"),
        ("rbac-policies", "rbac_policies"),
    ):
        cloud.neutron.answers[f"GET /v2.0/{collection}"] = (200, {key: []})
    cloud.neutron.answers["GET /v2.0/quotas/admin-project/details.json"] = (
        200,
        {"quota": {"security_group": {"used": 1}}},
    )
    done = cloud.run("assess", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["objects"] == 0
    assert not [r for r in cloud.neutron.requests + cloud.alcor.requests if not r.startswith("GET ")]
    assert not cloud.state.exists()


def test_reading_never_makes_a_default_group(cloud):
    """Where our project has no group, lists of groups are filtered by projects that have one."""
    cloud.neutron.answers["GET /v2.0/quotas/admin-project/details.json"] = (
        200,
        {"quota": {"security_group": {"used": 0}}},
    )
    for collection in ("subnets", "ports", "routers", "floatingips", "rbac-policies"):
        cloud.neutron.answers[f"GET /v2.0/{collection}"] = (200, {collection.replace("-", "_"): []})
    done = cloud.run("assess", "--json")
    assert done.returncode == 0, done.stderr
    assert "GET /v2.0/security-groups" not in cloud.neutron.requests


def test_a_run_does_not_begin_while_something_that_assess_found_is_not_answered(cloud):
    cloud.make_empty()
    cloud.neutron.answers["GET /v2.0/extensions"] = (200, {"extensions": []})
    cloud.configure(answers="answers.yaml")
    refused(cloud, "id-extension-missing", code=7)
    done = cloud.run("assess", "--answer", "id-extension-missing=accept")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (cloud.directory / "answers.yaml").exists()
    with running(cloud):
        wait_until(lambda: cloud.status()["state"] != "new")


def test_a_run_to_upstream_is_refused_while_nobody_said_what_may_be_lost(cloud):
    cloud.make_empty()
    cloud.configure(target={"url": cloud.alcor.url, "kind": "upstream"})
    refused(cloud, "upstream", "no answers file", code=7)

"""The bundled controller answers as a real Neutron does: to the same stories, and about the same objects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from types import SimpleNamespace

import controller_scenario as stories
import pytest

from alcor_model import to_alcor
from alcor_model.catalogue import EXTENSION, FLOATING_IP, NETWORK, RESOURCES, SECURITY_GROUP
from alcor_sdn.controller.services.table import SERVICES
from lab.ports import Ports

pytestmark = pytest.mark.lab

SERVED = [of for of in RESOURCES if of.name in SERVICES]
PASSWORD = "secret"
DERIVED_OF_DATABASE = "standard_attr_id"
"""A number of Neutron's own database that its embedded rules let slip."""


def call(method, url, body=None, token=""):
    request = urllib.request.Request(  # noqa: S310 (the lab's own addresses)
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-Auth-Token": token, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (as above)
        content = answer.read()
        return (json.loads(content) if content else None), answer.headers


def sign_in(keystone, user, project):
    domain = {"name": "Default"}
    identity = {"methods": ["password"], "password": {"user": {"name": user, "password": PASSWORD, "domain": domain}}}
    auth = {"identity": identity, "scope": {"project": {"name": project, "domain": domain}}}
    return call("POST", f"{keystone}/auth/tokens", {"auth": auth})[1]["X-Subject-Token"]


@pytest.fixture(scope="module")
def users(lab):
    """Tokens of an administrator and of two users with projects that nobody has used before."""
    keystone = lab.keystone_url
    admin = sign_in(keystone, "admin", "admin")
    roles = {r["name"]: r["id"] for r in call("GET", f"{keystone}/roles", token=admin)[0]["roles"]}
    made = SimpleNamespace(tokens={"admin": admin, "nobody": "unknown"}, projects={})
    for who in ("demo", "other"):
        name = f"{who}-{uuid.uuid4().hex[:8]}"
        project = call("POST", f"{keystone}/projects", {"project": {"name": name, "domain_id": "default"}}, admin)
        user = {"name": name, "domain_id": "default", "password": PASSWORD}
        user_id = call("POST", f"{keystone}/users", {"user": user}, admin)[0]["user"]["id"]
        made.projects[who] = project[0]["project"]["id"]
        for role in ("member", "reader"):
            path = f"/projects/{made.projects[who]}/users/{user_id}/roles/{roles[role]}"
            call("PUT", keystone + path, token=admin)
        made.tokens[who] = sign_in(keystone, name, name)
    return made


@pytest.fixture
def controller(lab, tmp_path):
    """An empty controller of its own; gives its address."""
    ports = Ports()
    port = ports.reserve()
    url = f"http://127.0.0.1:{port}"
    settings = tmp_path / "controller.yaml"
    settings.write_text("vlan_ranges: {physnet1: [100, 1999]}\ndns_domain: lab.example.\n", encoding="utf-8")
    who = lab.service_credentials
    command = [Path(sys.executable).with_name("alcor-controller"), "serve", "--config", settings]
    command += ["--listen", f"127.0.0.1:{port}", "--database", tmp_path / "alcor.db"]
    command += ["--keystone-url", who.auth_url, "--username", who.username, "--project", who.project_name]
    environment = {**os.environ, "ALCOR_PASSWORD": who.password}
    log = (tmp_path / "controller.log").open("w")
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                call("GET", f"{url}/alcor/v1/status")
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (tmp_path / "controller.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=120) == 0
        log.close()
        ports.release()


@pytest.mark.parametrize("story", stories.STORIES, ids=lambda story: story.__name__)
def test_same_answers(story, lab, users, controller):
    sides = []
    for url in (lab.neutron_url, controller):
        recorder = stories.Recorder(f"{url}/v2.0", users.tokens, users.projects)
        story(recorder)
        sides.append(recorder)
    differences = stories.compare(*sides)
    assert not differences, "\n".join(differences)


@pytest.fixture
def furnished(lab, users):
    """Neutron with one of everything that the stories make; gives what to clean up."""
    do = stories.Recorder(f"{lab.neutron_url}/v2.0", users.tokens, users.projects)
    undo = stories.furnish(do)
    yield
    for who, path, body in reversed(undo):
        do(who, "DELETE" if body is None else "PUT", path, body)


def normal(neutron):
    """An object without what is no promise: the order of sets, and numbers of Neutron's database."""
    shown = json.loads(json.dumps(neutron))
    for rule in shown.get("security_group_rules", ()):
        rule.pop(DERIVED_OF_DATABASE, None)
    for name, value in shown.items():
        if isinstance(value, list):
            shown[name] = sorted(value, key=lambda item: json.dumps(item, sort_keys=True))
    return shown


@pytest.mark.usefixtures("furnished")
def test_loaded_objects_look_the_same(lab, users, controller):
    admin = users.tokens["admin"]
    for token in users.tokens["demo"], users.tokens["other"]:
        call("GET", f"{lab.neutron_url}/v2.0/security-groups", token=token)  # makes their group `default`
    for of in SERVED:
        found = call("GET", f"{lab.neutron_url}/v2.0/{of.collection}", token=admin)[0][of.plural]
        assert found, f"the lab has no {of.plural}"
        batch = {of.alcor_plural: [to_alcor(of, one) for one in found]}
        url = f"{controller}/project/admin/{of.alcor_collection}/bulk"
        assert call("POST", url, batch, admin)[0] == {"count": len(found)}
    for who in ("admin", "demo", "other"):
        for of in SERVED:
            here, there = (
                call("GET", f"{url}/v2.0/{of.collection}", token=users.tokens[who])[0][of.plural]
                for url in (lab.neutron_url, controller)
            )
            assert [normal(one) for one in there] == [normal(one) for one in here], (who, of.name)
            for one in here[:5]:
                path = f"/v2.0/{of.collection}/{one['id']}"
                here_one, there_one = (
                    call("GET", url + path, token=users.tokens[who])[0][of.name]
                    for url in (lab.neutron_url, controller)
                )
                assert normal(there_one) == normal(here_one), (who, path)


@pytest.mark.usefixtures("furnished")
def test_users_go_on_with_what_was_loaded(lab, users, controller):
    """After a load, addresses and segments that are taken are not given away, and what is used is kept."""
    admin, demo = users.tokens["admin"], users.tokens["demo"]
    loaded = {}
    for of in SERVED:
        loaded[of.name] = call("GET", f"{lab.neutron_url}/v2.0/{of.collection}", token=admin)[0][of.plural]
        batch = {of.alcor_plural: [to_alcor(of, one) for one in loaded[of.name]]}
        call("POST", f"{controller}/project/admin/{of.alcor_collection}/bulk", batch, admin)
    do = stories.Recorder(f"{controller}/v2.0", users.tokens, users.projects)
    port = next(p for p in loaded["port"] if p["name"] == "furnished-server")
    address = port["fixed_ips"][0]["ip_address"]
    wanted = {"network_id": port["network_id"], "fixed_ips": [{"ip_address": address}]}
    refused = do("demo", "POST", "/ports", {"port": wanted})
    assert refused["NeutronError"]["type"] == "IpAddressAlreadyAllocated"
    same_mac = {"network_id": port["network_id"], "mac_address": port["mac_address"]}
    assert do("demo", "POST", "/ports", {"port": same_mac})["NeutronError"]["type"] == "MacAddressInUse"
    network = next(n for n in loaded[NETWORK.name] if n["provider:network_type"] == "vxlan")
    place = {name: network[name] for name in ("provider:network_type", "provider:segmentation_id")}
    assert do("admin", "POST", "/networks", {"network": place})["NeutronError"]["type"] == "TunnelIdInUse"
    floating = next(f for f in loaded[FLOATING_IP.name] if f["port_id"])
    freed = do("demo", "PUT", f"/floatingips/{floating['id']}", {"floatingip": {"port_id": None}})
    assert freed["floatingip"]["router_id"] is None
    back = do("demo", "PUT", f"/floatingips/{floating['id']}", {"floatingip": {"port_id": floating["port_id"]}})
    assert back["floatingip"]["router_id"] == floating["router_id"]
    group = next(g for g in loaded[SECURITY_GROUP.name] if g["id"] in port["security_groups"])
    assert group["name"] == "default"
    new = do("demo", "POST", "/ports", {"port": {"network_id": port["network_id"]}})["port"]
    assert new["security_groups"] == [group["id"]]
    native, _ = call("GET", f"{controller}/project/p/ports?render=exact&id={new['id']}", token=admin)
    assert native["ports"][0][EXTENSION]["dns_assignment"]
    assert demo

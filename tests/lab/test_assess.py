"""`alcor-migrate assess` on a real cloud: what it says is so, and reading changes nothing there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.database import Rows
from lab.neutron import database_url
from lab.topology import build_topology

pytestmark = pytest.mark.lab

COMMAND = Path(sys.executable).parent / "alcor-migrate"
READY, NEEDS_ANSWERS = 0, 10


def assess(lab, folder, *options, code):
    """A first contact: no configuration file, no target's address; the address of Neutron is the catalogue's."""
    done = subprocess.run(
        [COMMAND, "assess", "--cloud", "lab-admin", *options],
        env=os.environ | {"OS_CLIENT_CONFIG_FILE": str(lab.clouds_yaml), "COLUMNS": "80"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def gaps(document):
    return {g["rule"]["name"]: g for g in document["gaps"]}


def content(lab):
    """Every row of every table of Neutron's database."""
    with Rows(database_url(lab.directory)) as rows:
        return rows.read()


@pytest.fixture(scope="module")
def tied(lab):
    """The lab's topology with some of what upstream has no place for; the id of a network that ties two projects."""
    build_topology(lab, ports=24)
    network = lab.connection().network
    web_shop, analytics = lab.projects[:2]
    shared = network.create_network(name="tied", project_id=web_shop.id)
    network.create_qos_policy(name="gold", project_id=web_shop.id)
    parent = network.create_port(name="parent", network_id=shared.id, project_id=web_shop.id)
    network.create_trunk(name="trunk", port_id=parent.id, project_id=web_shop.id)
    network.create_rbac_policy(
        object_type="network", object_id=shared.id, action="access_as_shared", target_project_id=analytics.id
    )
    return shared.id


@pytest.mark.timeout(600)
def test_a_first_contact_with_a_cloud(lab, tied, tmp_path):
    before = content(lab)
    page = tmp_path / "report.html"
    found = json.loads(assess(lab, tmp_path, "--json", "--html", str(page), code=NEEDS_ANSWERS))

    # What it counts is what Neutron lists.
    network = lab.connection().network
    tallies = {t["resource"]: t for t in found["tallies"]}
    for resource, listed in (
        ("network", network.networks()),
        ("port", network.ports()),
        ("router", network.routers()),
        ("security_group_rule", network.security_group_rules()),
        ("trunk", network.trunks()),
        ("policy", network.qos_policies()),
    ):
        assert tallies[resource]["objects"] == len(list(listed)), resource
    assert found["objects"] == sum(c["objects"] for c in found["counts"])
    assert {"web-shop", "analytics", "research"} <= {c["project"] for c in found["counts"]}

    # The bundled Alcor keeps everything, no extension of the lab's Neutron is unknown, and the way back is open.
    assert all(t["moves"] == t["objects"] for t in found["tallies"]), found["tallies"]
    asked = {"hosts-follow-neutron", "bundled-not-served", "bundled-not-enacted"}
    assert {name for name, gap in gaps(found).items() if gap["open"]} <= asked
    assert {e["state"] for e in found["extensions"]} <= {"mapped", "carried"}
    assert found["id_extension"]["sufficient"]

    # Hosts, as the agents and the bound ports say.
    hosts = {h["name"]: h for h in found["hosts"]}
    assert {"compute-1", "compute-2"} <= hosts.keys()
    first = hosts["compute-1"]
    assert (first["tunnel_types"], first["firewall"], first["l3_mode"]) == (
        ["vxlan"],
        "openvswitch or none",
        "legacy",
    )
    assert first["bridge_mappings"]
    assert sum(h["ports"] for h in hosts.values()) == len([p for p in network.ports() if p.binding_host_id])

    # Projects that share a network with each other, and not with everybody.
    tie = next(g for g in found["groups"] if tied in {t["id"] for t in g["ties"]})
    assert tie["projects"] == ["analytics", "web-shop"]
    assert found["estimate"]["copy_seconds"] > 0
    assert page.read_text().startswith("<!doctype html>")

    # Reading changed nothing, and left nothing beside the report.
    assert content(lab) == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("tied")
def test_upstream_is_judged_and_answers_are_kept(lab, tmp_path):
    found = json.loads(assess(lab, tmp_path, "--target", "upstream", "--json", code=NEEDS_ANSWERS))
    by_rule = gaps(found)
    assert "target-not-for-users" in by_rule
    stays = {t["resource"] for t in found["tallies"] if t["stays"]}
    assert {"trunk", "rbac_policy"} <= stays
    assert any(t["changes"] for t in found["tallies"])

    assert by_rule["upstream-no-place"]["objects"]

    everything = json.loads(assess(lab, tmp_path, "--json", code=NEEDS_ANSWERS))
    others = [name for name, gap in gaps(everything).items() if gap["open"] and name != "hosts-follow-neutron"]
    options = [option for name in others for option in ("--answer", f"{name}=accept-all")]
    options += ["--answer", "hosts-follow-neutron=accept", "--note", "we know"]
    screen = assess(lab, tmp_path, *options, code=READY)
    assert "we know" in screen
    text = (tmp_path / "alcor-answers.yaml").read_text()
    assert "compute-1" in text
    assert max(map(len, screen.splitlines())) <= 80

    # One host's answer is taken back by hand: that host is asked for again, and only that one.
    (tmp_path / "alcor-answers.yaml").write_text(
        "\n".join(line for line in text.splitlines() if "- compute-1" not in line) + "\n# ours\n"
    )
    again = json.loads(assess(lab, tmp_path, "--json", code=NEEDS_ANSWERS))
    assert gaps(again)["hosts-follow-neutron"]["new"] == ["compute-1"]
    assess(lab, tmp_path, "--answer", "hosts-follow-neutron=accept", code=READY)
    assert "# ours" in (tmp_path / "alcor-answers.yaml").read_text()

"""`run` towards upstream Alcor: what it cannot hold is set aside as answered, and no crash leaves half an object."""

import asyncio
import json
import os
import re
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from upstream_cloud import ASIDE
from upstream_run import ACCEPT_ALL, accept, journey

from tests.unit.target.java_alcor import JavaAlcor

HERE = Path(__file__).parent


class Served:
    """The stand-in for upstream as a server of its own, which can have its client killed at a certain write."""

    def __init__(self):
        self.java = JavaAlcor()
        self.writes = 0
        self.at = {}
        """What is to happen at a write of this number."""
        self.kill_at = None
        """(the beginning of method and path, the process): it dies at the first such write, which then ends badly."""

    async def answer(self, request):
        body = await request.json() if request.can_read_body else None
        params = list(request.query.items())
        happening = None
        if request.method != "GET":
            self.writes += 1
            happening = self.at.pop(self.writes, None)
        if happening == "refuse":
            return web.json_response({"message": "overloaded"}, status=503)
        killed = self.kill_at and re.match(self.kill_at[0], f"{request.method} {request.path}")
        if killed:
            self.kill_at[1].send_signal(signal.SIGKILL)
        status, answer = await self.java.request(request.method, request.path, body, params)
        if killed:
            self.kill_at = None
            # Upstream found out too late that it could not make them: the rows stay, and nothing is behind them.
            self.java.ghosts |= {port["id"] for port in (body or {}).get("ports", [])}
        if happening == "lose the answer":
            request.transport.abort()
        return web.json_response(answer, status=status)


@pytest.fixture
async def served():
    found = Served()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", found.answer)
    async with TestServer(application) as server:
        found.url = str(server.make_url("")).rstrip("/")
        yield found


def held(java):
    """What upstream holds, without what it draws at random."""
    drawn = {"created_at", "gatewayPortId", "gateway_ports", "security_group_rules"}
    rows = {
        collection: {
            key: {name: value for name, value in found.items() if name not in drawn}
            for key, found in rows.items()
            if not key.startswith(("gateway-", "random-"))
        }
        for collection, rows in java.rows.items()
    }
    gateways = sorted(
        p["fixed_ips"][0]["subnet_id"] for k, p in java.rows["ports"].items() if k.startswith("gateway-")
    )
    return rows | {"gateways": gateways, "nodes": java.nodes, "ghosts": java.ghosts}


def rules_of(java):
    return Counter(rule["security_group_id"] for rule in java.rows["security-group-rules"].values())


async def test_a_run_loads_what_upstream_holds_and_sets_aside_what_was_accepted(served, tmp_path):
    accept(tmp_path, ACCEPT_ALL)
    said = await journey(tmp_path, served.url)
    assert (said["mismatches"], said["poison"]) == ([], {})
    assert said["aside"] == ASIDE
    assert said["closed"] == ["api"]
    java = served.java
    assert {key: vpc["provider:segmentation_id"] for key, vpc in java.rows["vpcs"].items()} == {
        "n1": 7,
        "n2": 12,
        "n4": 44,
    }
    ports = {key for key in java.rows["ports"] if key.startswith("p")}
    assert ports == {f"p{number:02}" for number in (0, 1, 3, 4, 5, 6, 7, 11, 20)}
    assert java.rows["ports"]["p01"]["name"] == "renamed"
    assert java.rows["vpcs"]["n1"]["shared"] is True
    # Its first interface is gone, so the second is in its only network now, and is not set aside any more.
    assert not java.rows["subnets"]["s1"].get("attached_router_id")
    assert java.rows["subnets"]["s2"]["attached_router_id"] == "r1"
    assert rules_of(java) == {"g1": 2, "default-p": 2}
    bulk = [p["id"] for m, path, body in java.requests if (m, path[-5:]) == ("POST", "/bulk") for p in body["ports"]]
    assert len(bulk) > 1
    assert len(set(bulk)) == len(bulk), "a port was posted twice"


async def test_faults_of_upstream_and_of_the_wire_leave_the_same(served, tmp_path):
    accept(tmp_path, ACCEPT_ALL)
    served.java.breaks = {("POST", "s1"): 1, ("PUT", "n2"): 1}
    served.at = {4: "refuse", 9: "lose the answer", 17: "lose the answer", 23: "refuse", 29: "lose the answer"}
    said = await journey(tmp_path, served.url)
    assert not served.at
    assert (said["mismatches"], said["poison"], said["aside"]) == ([], {}, ASIDE)

    (tmp_path / "quiet").mkdir()
    accept(tmp_path / "quiet", ACCEPT_ALL)
    quiet = Served()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", quiet.answer)
    async with TestServer(application) as server:
        await journey(tmp_path / "quiet", str(server.make_url("")).rstrip("/"))
    assert held(served.java) == held(quiet.java)
    assert rules_of(served.java) == rules_of(quiet.java)


async def test_what_nobody_accepted_is_not_moved_and_closes_the_gate(served, tmp_path):
    accept(tmp_path, {rule: word for rule, word in ACCEPT_ALL.items() if rule != "upstream-route"})
    said = await journey(tmp_path, served.url)
    assert said["poison"].keys() == {"router r1"}
    assert "upstream-route" in said["poison"]["router r1"]
    assert "rejected objects" in said["closed"]
    assert said["mismatches"] == ["is missing on the passive side"]
    assert "r1" not in served.java.rows["routers"]
    # Answered while nothing runs: the next start offers it again.
    accept(tmp_path, ACCEPT_ALL)
    again = await journey(tmp_path, served.url)
    assert (again["poison"], again["mismatches"], again["closed"]) == ({}, [], ["api"])
    assert "r1" in served.java.rows["routers"]


@pytest.mark.process
async def test_killed_in_the_middle_nothing_is_left_half_made(served, tmp_path):
    accept(tmp_path, ACCEPT_ALL)
    root = HERE.parents[2]
    path = os.pathsep.join(map(str, (HERE, root, root / "src")))

    async def go():
        return await asyncio.create_subprocess_exec(
            sys.executable,
            HERE / "upstream_run.py",
            tmp_path,
            served.url,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )

    # A group with upstream's rules; a network whose segmentation id is not forced; a batch of ports; users' changes.
    for write in ("DELETE .*/security-group-rules/", "POST .*/vpcs", "POST .*/ports/bulk", "PUT .*/ports/p01"):
        process = await go()
        served.kill_at = (write, process)
        await process.communicate()
        assert process.returncode == -signal.SIGKILL
    process = await go()
    said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    found = json.loads(said.decode().splitlines()[-1])
    assert (found["mismatches"], found["poison"], found["aside"]) == ([], {}, ASIDE)

    (tmp_path / "quiet").mkdir()
    accept(tmp_path / "quiet", ACCEPT_ALL)
    interrupted = held(served.java), rules_of(served.java)
    served.java = JavaAlcor()
    await journey(tmp_path / "quiet", served.url)
    assert interrupted == (held(served.java), rules_of(served.java))

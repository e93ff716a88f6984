"""A real Neutron, and upstream Alcor (a stand-in with its defects): loaded, kept level, and not cut over to."""

import asyncio
import json
import threading

import pytest
import yaml
from aiohttp import web

from lab import Lab
from lab.journey import Journey
from tests.unit.target.java_alcor import JavaAlcor

pytestmark = pytest.mark.lab

REFUSED, NEEDS_ANSWERS = 7, 10


@pytest.fixture
def java():
    """The stand-in, served by a thread; its address is `url`."""
    found, loop, ready = JavaAlcor(), asyncio.new_event_loop(), threading.Event()

    async def answer(request):
        if request.path == "/":
            return web.Response()
        body = await request.json() if request.can_read_body else None
        status, said = await found.request(request.method, request.path, body, list(request.query.items()))
        return web.json_response(said, status=status)

    async def serve():
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.url = "http://{}:{}".format(*site._server.sockets[0].getsockname()[:2])
        ready.set()
        found.stop = asyncio.Event()
        await found.stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    yield found
    loop.call_soon_threadsafe(found.stop.set)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def lab():
    """With a gateway, and a few objects that were there before it."""
    with Lab(gateway="reserved") as running:
        yield running


def build(network):
    """Something of what upstream holds, and of what it does not."""
    made = network.create_network(name="before")
    subnet = network.create_subnet(network_id=made.id, ip_version=4, cidr="10.66.0.0/24")
    network.create_subnet(network_id=made.id, ip_version=6, cidr="2001:db8:66::/64")
    network.create_port(network_id=made.id, name="four", fixed_ips=[{"subnet_id": subnet.id}])
    network.create_qos_policy(name="gold")
    network.add_interface_to_router(network.create_router(name="edge"), subnet=subnet.id)


@pytest.mark.timeout(600)
def test_upstream_is_loaded_and_kept_level_and_users_stay(lab, java, connect):
    build(connect(lab, direct=True).network)
    journey = Journey(lab, sweep_interval=2.0)
    journey.write_configuration()
    document = yaml.safe_load(journey.config.read_text())
    document["target"] = {"url": java.url, "kind": "upstream"}
    journey.config.write_text(yaml.safe_dump(document))
    assert "no answers file" in journey.must("run", accept=(REFUSED,)).err
    journey.config.write_text(yaml.safe_dump(document | {"answers": "answers.yaml"}))

    found = json.loads(journey.must("assess", "--json", accept=(NEEDS_ANSWERS,)).out)
    asked = [gap["rule"]["name"] for gap in found["gaps"] if gap["open"]]
    journey.must("assess", *(f"--answer={rule}=accept-all" for rule in asked))
    try:
        journey.start_run()
        journey.wait_until(lambda s: s["state"] == "ready" and s["verification_is"] == "fresh", "loaded", 240)

        network = connect(lab).network  # through the gateway
        made = network.create_network(name="made by a user")
        subnet = network.create_subnet(network_id=made.id, ip_version=4, cidr="10.77.0.0/24")
        port = network.create_port(network_id=made.id, name="made by a user")
        router = network.create_router(name="made by a user")
        network.add_interface_to_router(router, subnet=subnet.id)
        journey.settle()
        journey.wait_until(lambda s: s["replay"]["poison"] == {}, "no rejected object", 240)
        journey.must("verify")
        status = journey.ask("status")
        assert status["replay"]["poison"] == {}, status["set_aside"]
        assert status["verification"]["mismatches"] == 0
        assert status["set_aside"]
        assert {f["state"] for f in status["freshness"] if f["resource"] == "networks"} == {"verified"}
        assert (
            java.rows["vpcs"][made.id]["provider:segmentation_id"]
            == network.get_network(made).provider_segmentation_id
        )
        assert java.rows["ports"][port.id]["mac_address"] == port.mac_address
        assert java.rows["subnets"][subnet.id]["attached_router_id"] == router.id
        refused = journey.must("cutover", accept=(REFUSED,))
        assert "every project's objects" in refused.err
    finally:
        journey.stop()

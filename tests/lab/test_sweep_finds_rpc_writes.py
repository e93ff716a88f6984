"""Agents write past the API, so the gateway never sees it: the sweep has to."""

from contextlib import closing

import pytest

from lab import Lab
from lab.journey import Journey

pytestmark = pytest.mark.lab

SWEEP_INTERVAL = 2.0  # seconds
PATIENCE = 30.0  # seconds for a sweep to come round and look three times at what differs


@pytest.fixture(scope="module")
def lab(broker):  # noqa: ARG001  (without it there is no such lab)
    with Lab(rpc=True) as running:
        yield running


def test_what_agents_wrote_reaches_the_target(lab):
    with closing(lab.connection(direct=True)) as connection:
        network = connection.network

        def held(port_id):
            """The port as the target has it, or None."""
            answer = connection.session.get(f"{lab.alcor_url}/v2.0/ports/{port_id}", raise_exc=False)
            return answer.json()["port"] if answer.status_code == 200 else None

        made = network.create_network(name="wired-by-agents")
        subnet = network.create_subnet(network_id=made.id, ip_version=4, cidr="198.51.100.0/24")
        port = network.create_port(network_id=made.id, **{"binding:host_id": "compute-2"})
        host = lab.agent("compute-2")
        with Journey(lab, sweep_interval=SWEEP_INTERVAL) as journey:
            before = journey.wait_for("ready")
            assert held(port.id)["status"] == "DOWN"

            host.device_up(port.id)
            serving = host.dhcp_port(made.id, made.project_id, [subnet.id])["id"]
            journey.wait_until(
                lambda _: held(port.id)["status"] == "ACTIVE" and held(serving) is not None,
                "what agents wrote in the target",
                PATIENCE,
            )
            after = journey.wait_until(
                lambda status: status["sweep"]["found"] >= 2, "a sweep that counts both", PATIENCE
            )

            assert held(serving)["device_owner"] == "network:dhcp"
            assert held(serving)["fixed_ips"] == network.get_port(serving).fixed_ips
            assert after["gateway"]["captured"] == before["gateway"]["captured"]  # nothing of it came by the API

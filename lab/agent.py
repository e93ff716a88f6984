"""A host's agents, as far as Neutron hears of them: what they say over RPC changes Neutron past its API."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

from lab.errors import LabError
from lab.neutron import SWITCH
from lab.process import INSIDE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PATIENCE = 90.0  # seconds in which an answer must come
STARTING = 60.0  # seconds for Python to start and end around it, on a busy machine


class Agent:
    """Stands in for the agents of one host; each word is a process of its own and takes a second or two.

    `host` may be one of the lab's own or a new one. All methods raise LabError when Neutron does not answer.
    """

    def __init__(self, host: str, url: str, openstack_bin: Path, env: Mapping[str, str]) -> None:
        self.host = host
        self._url = url
        self._argv: list[str | Path] = [openstack_bin / "python", "-W", "ignore", INSIDE / "agent.py"]
        self._env = env

    def report(self) -> str:
        """Report the Open vSwitch agent's state; returns Neutron's word for it: new, alive or revived.

        Neutron calls it alive for the 75 seconds that follow (agent_down_time). That holds for the lab's own hosts
        as well, which are alive for good only as long as nobody reports for them.
        """
        state = {
            "agent_type": "Open vSwitch agent",
            "binary": "neutron-openvswitch-agent",
            "host": self.host,
            "topic": "N/A",
            "start_flag": True,
            "configurations": SWITCH | {"tunneling_ip": "10.255.0.99"},
        }
        return str(self._say("report_state", agent_state={"agent_state": state}))

    def device_up(self, port_id: str) -> None:
        """Say that a port is plugged in: if it is bound to this host, its status becomes ACTIVE."""
        self._say("update_device_up", device=port_id, agent_id=f"ovs-agent-{self.host}")

    def device_down(self, port_id: str) -> None:
        """Say that a port is unplugged: if it is bound to this host, its status becomes DOWN."""
        self._say("update_device_down", device=port_id, agent_id=f"ovs-agent-{self.host}")

    def dhcp_port(self, network_id: str, project_id: str, subnet_ids: Sequence[str] = ()) -> dict[str, Any]:
        """Make the port from which this host's DHCP agent serves a network, with an address in each subnet."""
        port = {
            "name": "",
            "admin_state_up": True,
            "network_id": network_id,
            "project_id": project_id,
            "tenant_id": project_id,
            "device_id": f"dhcp-{self.host}-{network_id}",
            "fixed_ips": [{"subnet_id": subnet} for subnet in subnet_ids],
        }
        made: dict[str, Any] | None = self._say("create_dhcp_port", port={"port": port})
        if made is None:
            msg = f"neutron made no DHCP port in network {network_id}"
            raise LabError(msg, "Look whether the network still exists.")
        return made

    def answered(self) -> bool:
        """Say whether Neutron answers over RPC within a few seconds."""
        try:
            return bool(self._say("has_alive_neutron_server", patience=5.0))
        except LabError:
            return False

    def _say(self, verb: str, *, patience: float = PATIENCE, **arguments: Any) -> Any:
        argv = [*self._argv, self._url, str(patience), self.host, verb, json.dumps(arguments)]
        try:
            done = subprocess.run(
                argv,
                env=self._env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=patience + STARTING,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"saying {verb} for host {self.host} did not end in {error.timeout:.0f} s") from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()[-1:]
            raise LabError(f"neutron did not take {verb} of host {self.host}: {' '.join(said) or done.returncode}")
        return json.loads(done.stdout)

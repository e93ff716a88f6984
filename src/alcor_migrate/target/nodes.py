"""Alcor's nodes, as Neutron's agents tell of them. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alcor_model.fields import Json


def node(agent: Json) -> Json | None:
    """The node of an L2 agent's host; None for other agents.

    Neutron does not know the host's MAC, and upstream fails at nodes without one: it is made of the tunnel's address.
    """
    address = (agent.get("configurations") or {}).get("tunneling_ip")
    if agent.get("agent_type") != "Open vSwitch agent" or not address:
        return None
    packed = ipaddress.ip_address(address).packed[-4:]
    return {
        "node_id": agent["id"],
        "node_name": agent["host"],
        "local_ip": address,
        "mac_address": "02:00:" + ":".join(f"{byte:02x}" for byte in packed),
        "veth": "",
        "server_port": 50001,
        "host_dvr_mac": "fe:16:11:00:00:00",
        "data-path-ip": address,
    }

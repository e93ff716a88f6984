"""Hosts, put together from what Neutron's agents report and from the ports bound there; pure.

Sources: the agents' `configurations` as neutron-openvswitch-agent, neutron-l3-agent and neutron-dhcp-agent of
release 29 report them (`neutron/plugins/ml2/drivers/openvswitch/agent/ovs_neutron_agent.py`, `agent/l3/agent.py`).
No agent reports its firewall driver: `ovs_hybrid_plug`, which the Open vSwitch agent sets for `iptables_hybrid` and
Neutron repeats in `binding:vif_details`, is all that shows.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from alcor_migrate.assess.document import Agent, Host, Routers, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alcor_model.fields import Json

OVS_AGENT = "Open vSwitch agent"
L3_AGENT = "L3 agent"
_L2_AGENTS = {
    OVS_AGENT,
    "Linux bridge agent",
    "NIC Switch agent",
    "Macvtap agent",
    "OVN Controller agent",
    "OVN Controller Gateway agent",
    "Mellanox plugin agent",
    "HyperV agent",
}
"""The agents that wire ports; the others route, serve DHCP or answer metadata."""
_OURS = {"ovs", "vhostuser", "unbound", "binding_failed", "distributed", ""}
"""What an Open vSwitch host binds, and what is bound nowhere."""


class HostCensus:
    """Takes agents, ports and routers one by one."""

    def __init__(self) -> None:
        self._agents: dict[str, list[Json]] = {}
        self._vif_types: dict[str, Counter[str]] = {}
        self._hybrid: Counter[str] = Counter()
        self._routers = Counter[str]()

    def agent(self, found: Json) -> None:
        """An agent as `GET /v2.0/agents` answers it."""
        self._agents.setdefault(str(found.get("host") or ""), []).append(found)

    def port(self, found: Json) -> None:
        """A port."""
        host = found.get("binding:host_id")
        if not isinstance(host, str) or not host:
            return
        self._vif_types.setdefault(host, Counter())[str(found.get("binding:vif_type") or "")] += 1
        details = found.get("binding:vif_details")
        if isinstance(details, dict) and details.get("ovs_hybrid_plug") is True:
            self._hybrid[host] += 1

    def router(self, found: Json) -> None:
        """A router."""
        self._routers["all"] += 1
        self._routers["distributed"] += found.get("distributed") is True
        self._routers["ha"] += found.get("ha") is True

    def routers(self) -> Routers:
        """How the routers are made."""
        return Routers(self._routers["all"], self._routers["distributed"], self._routers["ha"])

    def hosts(self) -> list[Host]:
        """Every host that has an agent or a bound port, by name."""
        return [self._host(name) for name in sorted(self._agents.keys() | self._vif_types.keys())]

    def _host(self, name: str) -> Host:
        agents = sorted(self._agents.get(name, []), key=lambda a: str(a.get("agent_type")))
        l2 = _configurations(agents, OVS_AGENT)
        l3 = _configurations(agents, L3_AGENT)
        vif_types = self._vif_types.get(name, Counter())
        hybrid = self._hybrid[name]
        return Host(
            name=name,
            agents=[_agent(a) for a in agents],
            ports=vif_types.total(),
            vif_types=dict(sorted(vif_types.items())),
            firewall=_firewall(l2, hybrid),
            hybrid_ports=hybrid,
            tunnel_types=[str(t) for t in l2.get("tunnel_types") or []],
            tunneling_ip=str(l2.get("tunneling_ip") or ""),
            bridge_mappings={str(k): str(v) for k, v in (l2.get("bridge_mappings") or {}).items()},
            datapath=str(l2.get("datapath_type") or ""),
            l2_population=l2.get("l2_population") is True,
            distributed=l2.get("enable_distributed_routing") is True,
            l3_mode=str(l3.get("agent_mode") or ""),
        )


def _configurations(agents: list[Json], kind: str) -> dict[str, Any]:
    for agent in agents:
        if agent.get("agent_type") == kind and isinstance(agent.get("configurations"), dict):
            return dict(agent["configurations"])
    return {}


def _agent(found: Json) -> Agent:
    return Agent(
        type=str(found.get("agent_type") or ""),
        binary=str(found.get("binary") or ""),
        alive=found.get("alive") is True,
        enabled=found.get("admin_state_up") is not False,
        heartbeat=str(found.get("heartbeat_timestamp") or ""),
    )


def _firewall(l2: dict[str, Any], hybrid: int) -> str:
    if l2.get("ovs_hybrid_plug") is True or hybrid:
        return "iptables_hybrid"
    return "openvswitch or none" if l2 else ""


def findings(hosts: list[Host]) -> Iterator[tuple[str, Subject]]:
    """What rules find about hosts: (name of the rule, the host)."""
    for host in hosts:
        wiring = [a for a in host.agents if a.type in _L2_AGENTS]
        foreign = sorted({a.type for a in wiring if a.type != OVS_AGENT})
        other = sorted(set(host.vif_types) - _OURS)
        if dead := [a.binary or a.type for a in host.agents if not a.alive]:
            yield "host-agent-down", Subject("host", host.name, detail=", ".join(dead))
        if host.ports and not wiring:
            yield "host-without-agent", Subject("host", host.name, detail=f"{host.ports} ports are bound to it")
        if foreign or other:
            detail = ", ".join([*foreign, *(f"vif_type {vif}" for vif in other)])
            yield "host-not-open-vswitch", Subject("host", host.name, detail=detail)
        if host.firewall == "iptables_hybrid":
            yield "host-hybrid-firewall", Subject("host", host.name, detail=f"{host.hybrid_ports} ports")
        if host.agents:
            yield "hosts-follow-neutron", Subject("host", host.name)

"""Hosts out of agents' reports and bound ports."""

from builders import port

from alcor_migrate.assess.hosts import HostCensus, findings

OVS = {
    "tunnel_types": ["vxlan"],
    "tunneling_ip": "10.255.0.1",
    "bridge_mappings": {"physnet1": "br-phys"},
    "datapath_type": "system",
    "l2_population": True,
    "enable_distributed_routing": True,
    "ovs_hybrid_plug": False,
}


def agent(kind="Open vSwitch agent", host="c1", *, alive=True, configurations=None):
    return {
        "agent_type": kind,
        "binary": "neutron-" + kind.split()[0].lower(),
        "host": host,
        "alive": alive,
        "admin_state_up": True,
        "heartbeat_timestamp": "2026-11-22 21:00:00",
        "configurations": OVS if configurations is None else configurations,
    }


def bound(host="c1", vif="ovs", **details):
    return port(**{"binding:host_id": host, "binding:vif_type": vif, "binding:vif_details": details})


def census(*agents, ports=()):
    made = HostCensus()
    for each in agents:
        made.agent(each)
    for each in ports:
        made.port(each)
    return made.hosts()


def rules(hosts):
    return {(rule, s.id) for rule, s in findings(hosts) if rule != "hosts-follow-neutron"}


def test_a_host_is_what_its_agents_and_ports_say():
    router = agent("L3 agent", configurations={"agent_mode": "dvr_snat"})
    (host,) = census(agent(), router, ports=[bound(), bound(vif="vhostuser")])
    assert (host.name, host.ports, host.vif_types) == ("c1", 2, {"ovs": 1, "vhostuser": 1})
    assert (host.tunnel_types, host.tunneling_ip, host.bridge_mappings) == (
        ["vxlan"],
        "10.255.0.1",
        {"physnet1": "br-phys"},
    )
    assert (host.distributed, host.l3_mode, host.firewall) == (True, "dvr_snat", "openvswitch or none")
    assert host.alive
    assert not rules([host])


def test_a_silent_agent_is_told():
    hosts = census(agent(alive=False), agent("DHCP agent", configurations={}))
    assert rules(hosts) == {("host-agent-down", "c1")}
    assert not hosts[0].alive


def test_ports_on_a_host_that_nobody_wires():
    assert rules(census(agent("DHCP agent", configurations={}), ports=[bound()])) == {("host-without-agent", "c1")}
    assert rules(census(ports=[bound("c9")])) == {("host-without-agent", "c9")}


def test_another_switch_than_open_vswitch():
    hosts = census(
        agent("Linux bridge agent", configurations={}), agent(host="c2"), ports=[bound("c2", "hw_veb"), bound("c2")]
    )
    assert rules(hosts) == {("host-not-open-vswitch", "c1"), ("host-not-open-vswitch", "c2")}


def test_the_hybrid_firewall_shows_at_the_agent_or_at_its_ports():
    at_agent = census(agent(configurations=OVS | {"ovs_hybrid_plug": True}))
    at_port = census(agent(), ports=[bound(ovs_hybrid_plug=True), bound()])
    assert rules(at_agent) == rules(at_port) == {("host-hybrid-firewall", "c1")}
    assert at_port[0].hybrid_ports == 1


def test_rubbish_from_agents_is_survived():
    (host,) = census({"host": "c1", "configurations": None}, agent(configurations={"tunnel_types": None}))
    assert (host.tunnel_types, host.tunneling_ip) == ([], "")


def test_unbound_ports_are_on_no_host():
    assert census(ports=[port(), port(**{"binding:host_id": ""})]) == []


def test_routers_are_counted_by_kind():
    made = HostCensus()
    for router in ({"distributed": True, "ha": False}, {"distributed": False, "ha": True}, {}):
        made.router(router)
    found = made.routers()
    assert (found.all, found.distributed, found.ha) == (3, 1, 1)

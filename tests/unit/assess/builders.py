"""Small objects of Neutron's, and an assessment made of them without any I/O."""

from alcor_migrate.assess import decide
from alcor_migrate.assess.document import (
    Agent,
    Answers,
    Assessment,
    Count,
    Estimate,
    Extension,
    Group,
    Host,
    IdExtension,
    Routers,
    Subject,
)
from alcor_migrate.assess.rules import rules
from alcor_model.fields import Target

RULES = rules(Target.BUNDLED)


def network(key="n1", project="p1", **more):
    return {"id": key, "name": f"net {key}", "project_id": project} | more


def subnet(key="s1", project="p1", **more):
    base = {"id": key, "name": key, "project_id": project, "network_id": "n1", "cidr": "10.0.0.0/24", "ip_version": 4}
    return base | more


def port(key="q1", project="p1", **more):
    base = {
        "id": key,
        "name": key,
        "project_id": project,
        "network_id": "n1",
        "mac_address": f"fa:16:3e:00:00:{sum(key.encode()) % 256:02x}",
        "fixed_ips": [],
    }
    return base | more


def subjects(*ids, resource="port"):
    return [Subject(resource, key, f"name of {key}", "web-shop", "why") for key in ids]


def gaps(rule, *ids, answers=()):
    findings = [(rule, s) for s in subjects(*ids)] or [(rule, None)]
    return decide.gaps(RULES, findings, answers)


def assessment(found=(), **more):
    host = Host(
        name="compute-1",
        agents=[
            Agent("Open vSwitch agent", "neutron-openvswitch-agent", alive=True, enabled=True, heartbeat="2026-11-22")
        ],
        ports=3,
        vif_types={"ovs": 3},
        firewall="openvswitch or none",
        hybrid_ports=0,
        tunnel_types=["vxlan"],
        tunneling_ip="10.255.0.1",
        bridge_mappings={"physnet1": "br-phys"},
        datapath="system",
        l2_population=True,
        distributed=False,
        l3_mode="legacy",
    )
    found = list(found)
    values = {
        "cloud": "production",
        "source": "http://neutron:9696",
        "target": "bundled",
        "at": 1_790_000_000.0,
        "verdict": decide.verdict(found),
        "objects": 4,
        "tallies": decide.tallies({"network": 1, "port": 3}, found),
        "counts": [Count("p1", "web-shop", "network", 1), Count("p2", "analytics", "port", 3)],
        "gaps": found,
        "hosts": [host],
        "routers": Routers(1, 0, 1),
        "extensions": [Extension("qos", "QoS", "mapped", 2), Extension("wonder", "?", "unknown", 0)],
        "groups": [Group(["analytics", "web-shop"], subjects("n1", resource="network"))],
        "id_extension": IdExtension(loaded=True, updated="2026-11-23T00:00:00", sufficient=True),
        "estimate": Estimate(2.0, 2.0, 4000, 4.0, 2.0, 90_000_000, "As fast as reading was."),
        "answers": Answers("", []),
    }
    return Assessment(**(values | more))

"""A small Neutron with something of every gap that upstream Alcor has, and what users do to it later."""

P = {"project_id": "p", "tenant_id": "p"}
NOTHING = {"description": "", "tags": [], "revision_number": 1, "created_at": "2026-11-22T20:30:00Z"}


def network(key, kind="vxlan", number=None, **more):
    made = {"id": key, **P, **NOTHING, "name": f"net {key}", "admin_state_up": True, "shared": False, "mtu": 1450}
    made |= {"provider:network_type": kind, "provider:segmentation_id": number, "port_security_enabled": True}
    return made | {"router:external": False} | more


def subnet(key, network_id, cidr, gateway, version=4):
    made = {"id": key, **P, **NOTHING, "name": "", "network_id": network_id, "cidr": cidr, "gateway_ip": gateway}
    return made | {"ip_version": version, "enable_dhcp": True, "dns_nameservers": ["9.9.9.9"], "host_routes": []}


def port(number, *, host="", ip=None, network_id="n1", subnet_id="s1", owner="", device="", mac=None, groups=("g1",)):
    made = {"id": f"p{number:02}", **P, **NOTHING, "name": f"port {number}", "network_id": network_id}
    made |= {"mac_address": mac or f"fa:16:3e:00:00:{number:02x}", "admin_state_up": number != 3, "device_id": device}
    made |= {"fixed_ips": [{"subnet_id": subnet_id, "ip_address": ip or f"10.0.0.{10 + number}"}]}
    made |= {"security_groups": list(groups), "device_owner": owner, "binding:host_id": host, "status": "DOWN"}
    return made | {"port_security_enabled": True, "binding:vnic_type": "normal", "binding:vif_type": "unbound"}


def rule(key, protocol, first=None, last=None):
    made = {"id": key, **P, "security_group_id": "g1", "direction": "ingress", "ethertype": "IPv4", "description": ""}
    return made | {"protocol": protocol, "port_range_min": first, "port_range_max": last, "remote_ip_prefix": None}


def floating(key, address, port_id, fixed):
    made = {"id": key, **P, "floating_ip_address": address, "floating_network_id": "n1", "description": ""}
    return made | {"port_id": port_id, "fixed_ip_address": fixed}


def agent(key, host, address):
    kind = "Open vSwitch agent"
    return {"id": key, "host": host, "agent_type": kind, "configurations": {"tunneling_ip": address}, "alive": True}


def cloud():
    """Objects by the name of their resource."""
    routes = [("192.168.7.0/24", "10.0.0.9"), ("192.168.8.0/30", "10.0.0.9")]  # upstream refuses the second
    router = {"id": "r1", **P, **NOTHING, "name": "edge", "admin_state_up": True, "distributed": False, "ha": False}
    router["routes"] = [{"destination": destination, "nexthop": nexthop} for destination, nexthop in routes]
    interface = "network:router_interface"
    return {
        "agent": [agent("a1", "h1", "10.255.0.11"), agent("a2", "h2", "10.255.0.12")],
        "network": [network("n1", number=7), network("n2", "vlan", 12), network("n3", "geneve", 9)],
        "security_group": [
            {"id": "g1", **P, "name": "web", "description": ""},
            {"id": "g0", **P, "name": "default", "description": "Neutron's"},
        ],
        "security_group_rule": [rule("x1", "tcp", 22, 22), rule("x2", None), rule("x3", "112")],
        "subnet": [
            subnet("s1", "n1", "10.0.0.0/24", "10.0.0.1"),
            subnet("s2", "n2", "10.0.2.0/24", "10.0.2.1"),
            subnet("s3", "n3", "10.0.3.0/24", "10.0.3.1"),
            subnet("s6", "n1", "2001:db8::/64", "2001:db8::1", 6),
        ],
        "router": [router],
        "port": [
            *(port(number) for number in range(4)),
            *(
                port(number, host="h1" if number % 2 else "h2", device="vm", owner="compute:a")
                for number in (4, 5, 6)
            ),
            port(7, groups=()),
            port(8, mac="fa:16:3e:00:00:01"),  # p01 has it
            port(9, network_id="n3", subnet_id="s3", ip="10.0.3.9"),
            port(10, subnet_id="s6", ip="2001:db8::10"),
            port(11, owner="network:dhcp", device="dhcp-1"),
            port(12, owner="network:router_gateway", device="r1", ip="10.0.0.200"),
            port(13, owner=interface, device="r1", ip="10.0.0.1"),
            port(
                14, owner=interface, device="r1", ip="10.0.2.1", network_id="n2", subnet_id="s2"
            ),  # a second network
        ],
        "floatingip": [
            floating("f1", "203.0.113.5", "p00", "10.0.0.10"),
            floating("f2", "203.0.113.6", "p09", "10.0.3.9"),  # its port stays behind
        ],
        "trunk": [{"id": "t1", **P, "name": "trunk", "port_id": "p02", "sub_ports": [], "admin_state_up": True}],
        "quota": [{"id": "p", "project_id": "p", "network": 5}],
    }


ASIDE = {
    "upstream-ipv6": 2,  # s6, p10
    "upstream-network-type": 4,  # n3, s3, p09, f2
    "upstream-no-place": 1,  # t1
    "upstream-quota": 1,
    "upstream-router-port": 1,  # p12
    "upstream-rule-protocol": 1,  # x3
    "upstream-same-mac": 1,  # p08
}
"""How many objects are set aside in the end, by rule, when everything is accepted."""

STEPS = [
    ("PUT", "ports/p01", "port", port(1) | {"name": "renamed", "revision_number": 2}),
    ("POST", "ports", "port", port(20, host="h2", device="vm", owner="compute:a")),
    ("DELETE", "ports/p02", "port", "p02"),
    ("POST", "networks", "network", network("n4", number=44)),
    ("POST", "subnets", "subnet", subnet("s4", "n4", "10.0.4.0/24", "10.0.4.1")),
    ("PUT", "networks/n1", "network", network("n1", number=7, shared=True, revision_number=2)),
    ("PUT", "routers/r1/remove_router_interface", "port", "p13"),
]
"""What users do after the copy: method, path, resource, and the object, or the id of what is gone."""

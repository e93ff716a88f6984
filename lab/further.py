"""The rest of a cloud: what beside networks, ports and routers an operator and the first project have made.

One or two of each, because each costs a request to a real Neutron; together every kind that refers to another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.neutron import PHYSICAL_NETWORK
from lab.plan import Action, Owner, Planned, Ref

if TYPE_CHECKING:
    from lab.topology import Planner

RANGE_NETWORK = "physnet9"
"""A physical network that nothing else is on, for a segment range of a project's own."""


def further(planner: Planner) -> None:
    """Add to a plan that has its projects already."""
    owner, neighbour = planner.projects[0], planner.projects[1]
    gold = quality(planner, owner)
    _operator(planner, owner)
    trunk(planner, owner, gold)
    _shared(planner, owner, neighbour)
    _security(planner, owner)
    _edge(planner, owner)


def quality(planner: Planner, owner: str) -> Planned:
    """Plan QoS policies: one for everybody, one of a project. What lies below them belongs to nobody."""
    gold = planner.add("policy", "gold", None, {"name": "gold", "shared": True})
    rules = (
        ("bandwidth_limit_rule", "down", {"max_kbps": 100_000, "max_burst_kbps": 80_000, "direction": "ingress"}),
        ("bandwidth_limit_rule", "up", {"max_kbps": 50_000, "direction": "egress"}),
        ("dscp_marking_rule", "mark", {"dscp_mark": 26}),
    )
    for resource, key, body in rules:
        planner.add(resource, key, None, body, below=gold.ref)
    steady = planner.add("policy", f"{owner}/steady", owner, {"name": "steady"}, by_admin=True)
    least = {"min_kbps": 1000, "direction": "egress"}
    planner.add("minimum_bandwidth_rule", "least", None, least, below=steady.ref)
    return gold


def _operator(planner: Planner, owner: str) -> None:
    """Plan what only operators make."""
    profile = planner.add("service_profile", "profile", None, {"metainfo": "{'racks': 'two'}"})
    flavor = planner.add("flavor", "flavor", None, {"name": "redundant", "service_type": "L3_ROUTER_NAT"})
    bound = Action("POST", ("/flavors/", flavor.ref, "/service_profiles"), {"service_profile": {"id": profile.ref}})
    label = planner.add("metering_label", "label", owner, {"name": "to the office"}, by_admin=True)
    rule = {"metering_label_id": label.ref, "direction": "egress", "destination_ip_prefix": "203.0.113.0/24"}
    planner.add("metering_label_rule", "rule", owner, rule, by_admin=True)
    numbers = {"network_type": "vlan", "physical_network": RANGE_NETWORK, "minimum": 300, "maximum": 309}
    planner.add(
        "network_segment_range",
        "range",
        owner,
        {"name": "reserved", "shared": False, **numbers},
        by_admin=True,
    )
    rack: dict[str, Any] = {"network_id": Ref("network", "vlan"), "name": "second rack", "network_type": "vlan"}
    rack |= {"physical_network": PHYSICAL_NETWORK, "segmentation_id": 2222}
    planner.add("segment", "rack", None, rack)
    # In no group by itself, so that the groups of the others stay as they are.
    standard = {"direction": "ingress", "protocol": "tcp", "port_range_min": 9100, "port_range_max": 9100}
    standard |= {"used_in_default_sg": False, "used_in_non_default_sg": False}
    planner.add("default_security_group_rule", "exporters", None, standard)
    peer = {"name": "edge", "peer_ip": "192.0.2.1", "remote_as": 64513, "auth_type": "none"}
    speaker = planner.add("bgp_speaker", "speaker", None, {"name": "speaker", "ip_version": 4, "local_as": 64512})
    planned = planner.add("bgp_peer", "peer", None, peer)
    external = {"network_id": planner.external.ref}
    planner.plan.actions += [
        bound,
        Action("PUT", ("/quotas/", Owner(owner)), {"quota": {"network": 500, "port": 5000, "trunk": 20}}),
        Action("PUT", ("/bgp-speakers/", speaker.ref, "/add_bgp_peer"), {"bgp_peer_id": planned.ref}),
        Action("PUT", ("/bgp-speakers/", speaker.ref, "/add_gateway_network"), external),
    ]


def trunk(planner: Planner, owner: str, policy: Planned) -> None:
    """Plan a server's trunk: its parent in a shaped network cut from a pool, two subports beside it."""
    scope = planner.add("address_scope", f"{owner}/scope", owner, {"name": "routable", "ip_version": 4})
    pool = {"name": "pool", "prefixes": ["172.24.0.0/16"], "default_prefixlen": 26, "address_scope_id": scope.ref}
    cut = planner.add("subnetpool", f"{owner}/pool", owner, pool)
    shaped = {"name": "shaped", "qos_policy_id": policy.ref}
    network = planner.add("network", f"{owner}/shaped", owner, shaped, by_admin=True)
    subnet = {"name": "shaped-v4", "network_id": network.ref, "ip_version": 4, "subnetpool_id": cut.ref}
    planner.add("subnet", f"{owner}/shaped-v4", owner, subnet)
    parent, *below = (
        planner.add("port", f"{owner}/trunk/{name}", owner, {"name": name, "network_id": network.ref}, by_admin=True)
        for name in ("trunk-parent", "vlan-100", "vlan-200")
    )
    subports = [
        {"port_id": port.ref, "segmentation_type": "vlan", "segmentation_id": 100 * number}
        for number, port in enumerate(below, 1)
    ]
    body = {"name": "firewall", "port_id": parent.ref, "sub_ports": subports}
    planner.add("trunk", f"{owner}/trunk", owner, body)


def _shared(planner: Planner, owner: str, neighbour: str) -> None:
    """Plan what one project shares with a single other one."""
    shares = (
        ("network", Ref("network", f"{owner}/backend"), "access_as_shared"),
        ("qos_policy", Ref("policy", f"{owner}/steady"), "access_as_shared"),
    )
    for kind, shared, action in shares:
        body = {"object_type": kind, "object_id": shared, "action": action, "target_tenant": Owner(neighbour)}
        planner.add("rbac_policy", f"{owner}/{kind}", owner, body, by_admin=True)


def _security(planner: Planner, owner: str) -> None:
    """Plan an address group with a rule that names it, and a log of a security group."""
    offices = {"name": "offices", "addresses": ["192.0.2.0/26", "2001:db8:77::/48"]}
    group = planner.add("address_group", f"{owner}/offices", owner, offices)
    admin = Ref("security_group", f"{owner}/admin")
    rule = {"security_group_id": admin, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    rule |= {"port_range_min": 8443, "port_range_max": 8443, "remote_address_group_id": group.ref}
    planner.add("security_group_rule", f"{owner}/offices", owner, rule)
    log = {"name": "refused", "resource_type": "security_group", "resource_id": admin, "event": "DROP"}
    planner.add("log", "log", owner, log, by_admin=True)


def _edge(planner: Planner, owner: str) -> None:
    """Plan what sits on a router and a network of the project: helpers, forwardings, a local IP, a VPN."""
    router = Ref("router", f"{owner}/edge-0")
    planner.add("conntrack_helper", "tftp", None, _TFTP, below=router)
    phases = {"auth_algorithm": "sha256", "encryption_algorithm": "aes-256"}
    ike = planner.add("ikepolicy", f"{owner}/ike", owner, {"name": "ike", **phases})
    ipsec = planner.add("ipsecpolicy", f"{owner}/ipsec", owner, {"name": "ipsec", **phases})
    inside = Ref("subnet", f"{owner}/frontend-v4")
    ours = planner.add("endpoint_group", f"{owner}/ours", owner, {"type": "subnet", "endpoints": [inside]})
    far = planner.add("endpoint_group", f"{owner}/far", owner, {"type": "cidr", "endpoints": ["10.77.0.0/16"]})
    service = planner.add("vpnservice", f"{owner}/vpn", owner, {"name": "branch", "router_id": router})
    ends: dict[str, Any] = {"peer_address": "192.0.2.77", "peer_id": "192.0.2.77", "psk": "not a secret"}
    ends |= {"local_ep_group_id": ours.ref, "peer_ep_group_id": far.ref, "vpnservice_id": service.ref}
    site = {"name": "branch", "ikepolicy_id": ike.ref, "ipsecpolicy_id": ipsec.ref, **ends}
    planner.add("ipsec_site_connection", f"{owner}/site", owner, site)

    near = {"name": "resolver", "network_id": Ref("network", f"{owner}/frontend")}
    local = planner.add("local_ip", f"{owner}/near", owner, near)
    reachable = planner.reachable[owner]
    if reachable:
        with_address = {
            "fixed_port_id": reachable[0].ref,
            "fixed_ip": reachable[0].body["fixed_ips"][0]["ip_address"],
        }
        planner.add("port_association", f"{owner}/near", owner, with_address, below=local.ref)
    if len(reachable) > 1:
        # Of every six the first one has a floating IP of its own.
        port = reachable[1]
        floating = {"floating_network_id": planner.external.ref}
        shared = planner.add("floatingip", f"{owner}/forwarded", owner, floating)
        ssh = {"protocol": "tcp", "internal_port": 22, "external_port": 2222, "internal_port_id": port.ref}
        ssh |= {"internal_ip_address": port.body["fixed_ips"][0]["ip_address"]}
        planner.add("port_forwarding", f"{owner}/ssh", owner, ssh, below=shared.ref)


_TFTP = {"helper": "tftp", "protocol": "udp", "port": 69}

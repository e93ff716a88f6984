"""The services on top of networks, with unusual settings: routers, sharing, metering, logs, VPN, BGP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.maker import Maker, first_ipv4

if TYPE_CHECKING:
    from collections.abc import Mapping


def routers(
    maker: Maker,
    networks: Mapping[str, Any],
    subnets: Mapping[str, str],
    ports: Mapping[str, str],
    policies: Mapping[str, str],
) -> dict[str, str]:
    """Routers with everything that hangs on them: a flavor, helpers, proxies, floating IPs, forwardings."""
    profile = maker.make(
        "service_profile",
        description="one node",
        driver="neutron.services.l3_router.service_providers.single_node.SingleNodeDriver",
        metainfo="{'speed': 'high'}",
    )["id"]
    flavor = maker.make("flavor", name="single", description="", service_type="L3_ROUTER_NAT")["id"]
    maker.call("POST", f"flavors/{flavor}/service_profiles", {"service_profile": {"id": profile}})
    edge = maker.make(
        "router",
        name="rand",
        description="gateway without SNAT, routes, helpers",
        project_id=maker.shop,
        enable_ndp_proxy=True,
        availability_zone_hints=["nova"],
        external_gateway_info={
            "network_id": networks["public"],
            "enable_snat": False,
            "qos_policy_id": policies["gold"],
            "external_fixed_ips": [
                {"subnet_id": subnets["public"], "ip_address": "203.0.113.99"},
                {"subnet_id": subnets["public6"]},
            ],
        },
    )["id"]
    for subnet in ("plain", "plain6"):
        maker.call("PUT", f"routers/{edge}/add_router_interface", {"subnet_id": subnets[subnet]})
    maker.change(
        "router",
        edge,
        routes=[
            {"destination": "172.16.9.9/32", "nexthop": "10.10.0.78"},
            {"destination": "172.16.0.0/12", "nexthop": "10.10.0.79"},
        ],
    )
    maker.make("router", name="flavored", flavor_id=flavor, project_id=maker.analytics)
    spread = maker.make("router", name="distributed", distributed=True, project_id=maker.research)["id"]
    maker.make("router", name="highly available", ha=True, project_id=maker.analytics, admin_state_up=False)
    maker.tag("router", edge, "rand")
    maker.make("conntrack_helper", edge, helper="tftp", protocol="udp", port=69)
    maker.make("ndp_proxy", name="nachbar", description="", router_id=edge, port_id=ports["six"])

    outside = {"floating_network_id": networks["public"]}
    maker.make(
        "floatingip",
        **outside,
        floating_ip_address="203.0.113.10",
        port_id=ports["rich"],
        fixed_ip_address="10.10.0.5",
        description="zum Schaufenster",
        qos_policy_id=policies["gold"],
        project_id=maker.shop,
        dns_name="shop",
        dns_domain="example.",
    )
    free = maker.make("floatingip", **outside, project_id=maker.research)["id"]
    maker.tag("floatingip", free, "frei")
    shared = maker.make("floatingip", **outside, project_id=maker.shop)["id"]
    address = first_ipv4(maker.call("GET", f"ports/{ports['plain']}")["port"])
    to = {"internal_port_id": ports["plain"], "internal_ip_address": address}
    maker.make("port_forwarding", shared, **to, protocol="tcp", internal_port=25, external_port=2525)
    maker.make(
        "port_forwarding",
        shared,
        **to,
        protocol="udp",
        internal_port_range="5000:5010",
        external_port_range="6000:6010",
        description="a range",
    )
    return {"edge": edge, "spread": spread}


def sharing(
    maker: Maker,
    networks: Mapping[str, Any],
    pools: Mapping[str, str],
    policies: Mapping[str, str],
    groups: Mapping[str, str],
) -> None:
    """One RBAC policy of each kind."""
    for kind, shared, action in (
        ("network", networks["rich"], "access_as_shared"),
        ("network", networks["plain"], "access_as_external"),
        ("qos_policy", policies["minima"], "access_as_shared"),
        ("security_group", groups["web"], "access_as_shared"),
        ("address_scope", pools["scope"], "access_as_shared"),
        ("address_group", groups["addresses"], "access_as_shared"),
    ):
        maker.make("rbac_policy", object_type=kind, object_id=shared, action=action, target_tenant=maker.research)


def telemetry(maker: Maker, groups: Mapping[str, str], ports: Mapping[str, str]) -> None:
    """Metering and a log."""
    label = maker.make("metering_label", name="zähler", description="all traffic", shared=True)["id"]
    sides = {"metering_label_id": label}
    maker.make("metering_label_rule", **sides, direction="ingress", remote_ip_prefix="10.0.0.0/8", excluded=True)
    maker.make("metering_label_rule", **sides, direction="egress", source_ip_prefix="192.0.2.0/24")
    maker.make(
        "log",
        name="protokoll",
        description="dropped packets",
        enabled=False,
        event="DROP",
        resource_type="security_group",
        resource_id=groups["web"],
        target_id=ports["rich"],
        project_id=maker.shop,
    )


def vpn(maker: Maker, routers: Mapping[str, str], subnets: Mapping[str, str]) -> None:
    """A connection between sites with all that it needs."""
    owner = {"project_id": maker.shop}
    ike = maker.make(
        "ikepolicy",
        name="ike",
        description="",
        ike_version="v2",
        auth_algorithm="sha256",  # Neutron's default is one that its own migrations took out of the table
        pfs="group14",
        lifetime={"units": "seconds", "value": 7200},
        **owner,
    )["id"]
    ipsec = maker.make("ipsecpolicy", name="ipsec", auth_algorithm="sha512", pfs="group16", **owner)["id"]
    service = maker.make("vpnservice", name="filiale", router_id=routers["edge"], admin_state_up=False, **owner)["id"]
    ours = maker.make("endpoint_group", name="unsere", type="subnet", endpoints=[subnets["plain"]], **owner)["id"]
    theirs = maker.make(
        "endpoint_group", name="ihre", type="cidr", endpoints=["172.20.0.0/16", "172.19.0.0/24"], **owner
    )["id"]
    maker.make(
        "ipsec_site_connection",
        name="leitung",
        vpnservice_id=service,
        ikepolicy_id=ike,
        ipsecpolicy_id=ipsec,
        local_ep_group_id=ours,
        peer_ep_group_id=theirs,
        peer_address="198.51.100.200",
        peer_id="branch.example",
        psk="not a secret",
        initiator="response-only",
        mtu=1400,
        dpd={"action": "restart", "interval": 20, "timeout": 90},
        **owner,
    )


def bgp(maker: Maker, networks: Mapping[str, Any]) -> None:
    """A speaker with a peer and a network."""
    speaker = maker.make(
        "bgp_speaker", name="sprecher", local_as=64512, ip_version=4, advertise_tenant_networks=False
    )["id"]
    peer = maker.make(
        "bgp_peer", name="tor", peer_ip="192.0.2.254", remote_as=4200000001, auth_type="md5", password="not a secret"
    )["id"]
    maker.call("PUT", f"bgp-speakers/{speaker}/add_bgp_peer", {"bgp_peer_id": peer})
    maker.call("PUT", f"bgp-speakers/{speaker}/add_gateway_network", {"network_id": networks["public"]})


def auto_allocated(maker: Maker) -> Any:
    """The topology that a GET makes."""
    return maker.call("GET", f"auto-allocated-topology/{maker.research}")["auto_allocated_topology"]

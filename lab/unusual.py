"""Objects of every resource that Neutron offers, with settings that few clouds have and a mapping must not lose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab import unusual_services
from lab.maker import Maker, first_ipv4
from lab.neutron import HOSTS, PHYSICAL_NETWORK, PUBLIC_NETWORK

if TYPE_CHECKING:
    from collections.abc import Mapping


def build(maker: Maker) -> dict[str, list[Any]]:
    """Make at least one object of each resource; returns what is not listed, by resource."""
    pools = _address_space(maker)
    policies = _policies(maker)
    networks = _networks(maker, policies["gold"])
    subnets = _subnets(maker, networks, pools)
    groups = _security(maker)
    ports = _ports(maker, networks, subnets, groups, policies)
    routers = unusual_services.routers(maker, networks, subnets, ports, policies)
    unusual_services.sharing(maker, networks, pools, policies, groups)
    unusual_services.telemetry(maker, groups, ports)
    unusual_services.vpn(maker, routers, subnets)
    unusual_services.bgp(maker, networks)
    maker.call(
        "PUT", f"quotas/{maker.shop}", {"quota": {"network": 7, "floatingip": 5, "rbac_policy": -1, "trunk": 3}}
    )
    return {"auto_allocated_topology": [unusual_services.auto_allocated(maker)]}


def _address_space(maker: Maker) -> dict[str, str]:
    scopes = {
        4: maker.make("address_scope", name="Bereich Süd", ip_version=4),
        6: maker.make("address_scope", name="Bereich Süd 6", ip_version=6, shared=True),
    }
    four = maker.make(
        "subnetpool",
        name="pool-四",
        description="prefixes out of order, a quota, a scope",
        prefixes=["10.60.0.0/16", "10.32.0.0/14"],
        default_prefixlen="26",
        min_prefixlen="20",
        max_prefixlen="30",
        default_quota=4096,
        address_scope_id=scopes[4]["id"],
        project_id=maker.shop,
    )
    six = maker.make(
        "subnetpool",
        name="pool-6",
        prefixes=["2001:DB8:4:0::/48"],
        default_prefixlen=64,
        shared=True,
        address_scope_id=scopes[6]["id"],
    )
    maker.tag("subnetpool", four["id"], "zweiter", "erster")
    default = {"default_prefixlen": "24", "is_default": True, "shared": True}
    maker.make("subnetpool", name="default-4", prefixes=["10.128.0.0/12"], **default)
    maker.make(
        "subnetpool", name="default-6", prefixes=["2001:db8:9::/48"], **(default | {"default_prefixlen": "64"})
    )
    return {"four": four["id"], "six": six["id"], "scope": scopes[4]["id"]}


def _policies(maker: Maker) -> dict[str, str]:
    gold = maker.make("policy", name="gold", description="every type of rule", shared=True, project_id=maker.shop)
    maker.make("policy", name="the project's own", is_default=True, project_id=maker.research)
    below = gold["id"]
    maker.make("bandwidth_limit_rule", below, max_kbps=10_000, max_burst_kbps=8_000, direction="egress")
    maker.make("bandwidth_limit_rule", below, max_kbps=20_000, direction="ingress")
    maker.make("dscp_marking_rule", below, dscp_mark=26)
    minima = maker.make("policy", name="minima", description="")["id"]
    maker.make("minimum_bandwidth_rule", minima, min_kbps=1_000, direction="egress")
    maker.make("minimum_packet_rate_rule", minima, min_kpps=50, direction="any")
    limits = maker.make("policy", name="packets")["id"]
    maker.make("packet_rate_limit_rule", limits, max_kpps=100, max_burst_kpps=80, direction="ingress")
    maker.tag("policy", below, "a b", "Ω")
    return {"gold": below, "minima": minima, "packets": limits}


def _networks(maker: Maker, policy: str) -> dict[str, Any]:
    provider = "provider:network_type", "provider:physical_network", "provider:segmentation_id"

    def on(*values: Any) -> dict[str, Any]:
        return {name: value for name, value in zip(provider, values, strict=True) if value is not None}

    networks = {
        "plain": maker.make("network", name="", project_id=maker.shop),
        "rich": maker.make(
            "network",
            name="Netz „Nord“ 网络",
            description="every field that can be given\n\tin two lines",
            project_id=maker.shop,
            mtu=1400,
            dns_domain="nord.example.",
            port_security_enabled=False,
            availability_zone_hints=["nova"],
            qos_policy_id=policy,
            admin_state_up=False,
            **on("vxlan", None, 4001),
        ),
        "vlan": maker.make(
            "network", name="vlan", shared=True, project_id=maker.analytics, **on("vlan", PHYSICAL_NETWORK, 1234)
        ),
        "several": maker.make(
            "network", name="several segments", segments=[on("vlan", PHYSICAL_NETWORK, 1501), on("vxlan", None, 77)]
        ),
        "local": maker.make("network", name="local", **{"provider:network_type": "local"}),
        "public": maker.make(
            "network",
            name=PUBLIC_NETWORK,
            is_default=True,
            **{"router:external": True},
            **on("flat", PUBLIC_NETWORK, None),
        ),
        "routed": maker.make(
            "network", name="routed", project_id=maker.research, **on("vlan", PHYSICAL_NETWORK, 1700)
        ),
    }
    maker.tag("network", networks["rich"]["id"], "z", "a")
    ids = {name: network["id"] for name, network in networks.items()}
    segment = {"network_type": "vlan", "physical_network": PHYSICAL_NETWORK, "segmentation_id": 1701}
    maker.make("segment", network_id=ids["routed"], name="zweites", description="rack 2", **segment)
    ids["segments"] = [s["id"] for s in maker.call("GET", f"segments?network_id={ids['routed']}")["segments"]]
    maker.make(
        "network_segment_range",
        name="tenants of research",
        description="few",
        network_type="vxlan",
        minimum=9001,
        maximum=9004,
        shared=False,
        project_id=maker.research,
    )
    return ids


def _subnets(maker: Maker, networks: Mapping[str, Any], pools: Mapping[str, str]) -> dict[str, str]:
    subnets = {
        "plain": maker.make("subnet", network_id=networks["plain"], cidr="10.10.0.0/24", ip_version=4, name=""),
        "plain6": maker.make(
            "subnet",
            network_id=networks["plain"],
            subnetpool_id=pools["six"],
            ip_version=6,
            ipv6_ra_mode="slaac",
            ipv6_address_mode="slaac",
            project_id=maker.shop,
        ),
        "rich": maker.make(
            "subnet",
            name="süd",
            description="every field that can be given",
            network_id=networks["rich"],
            cidr="10.20.0.0/22",
            ip_version=4,
            gateway_ip="10.20.3.254",
            allocation_pools=[
                {"start": "10.20.2.10", "end": "10.20.2.99"},
                {"start": "10.20.0.10", "end": "10.20.0.200"},
            ],
            dns_nameservers=["9.9.9.9", "1.1.1.1"],
            host_routes=[
                {"destination": "192.168.7.0/24", "nexthop": "10.20.0.9"},
                {"destination": "0.0.0.0/0", "nexthop": "10.20.0.8"},
            ],
            service_types=["network:floatingip", "compute:nova"],
            dns_publish_fixed_ip=True,
            enable_dhcp=False,
        ),
        "narrow": maker.make(
            "subnet", network_id=networks["vlan"], cidr="10.30.0.0/30", ip_version=4, gateway_ip=None
        ),
        "pooled": maker.make(
            "subnet", network_id=networks["local"], subnetpool_id=pools["four"], prefixlen=27, ip_version=4
        ),
        "stateful6": maker.make(
            "subnet",
            network_id=networks["rich"],
            cidr="2001:DB8:0:0:5::/80",
            ip_version=6,
            ipv6_ra_mode="dhcpv6-stateful",
            ipv6_address_mode="dhcpv6-stateful",
            dns_nameservers=["2001:DB8::53"],
        ),
        "public": maker.make(
            "subnet", network_id=networks["public"], cidr="203.0.113.0/24", ip_version=4, enable_dhcp=False
        ),
        "public6": maker.make("subnet", network_id=networks["public"], subnetpool_id=pools["six"], ip_version=6),
        "rack": maker.make(
            "subnet",
            network_id=networks["several"],
            cidr="10.40.0.0/24",
            ip_version=4,
        ),
    }
    for number, segment in enumerate(networks["segments"]):
        subnets[f"routed{number}"] = maker.make(
            "subnet",
            network_id=networks["routed"],
            segment_id=segment,
            cidr=f"10.50.{number}.0/24",
            ip_version=4,
        )
    maker.tag("subnet", subnets["rich"]["id"], "süd")
    return {name: subnet["id"] for name, subnet in subnets.items()}


def _security(maker: Maker) -> dict[str, str]:
    addresses = maker.make(
        "address_group",
        name="büros",
        description="addresses and networks",
        addresses=["198.51.100.7/32", "198.51.100.64/26", "2001:db8:77::/48"],
        project_id=maker.shop,
    )["id"]
    web = maker.make("security_group", name="web", description="für alle", project_id=maker.shop)["id"]
    stateless = maker.make("security_group", name="stateless", stateful=False, project_id=maker.analytics)["id"]
    maker.tag("security_group", web, "tag")

    def rule(group: str, **fields: Any) -> None:
        maker.make("security_group_rule", security_group_id=group, **({"direction": "ingress"} | fields))

    rule(web, protocol="tcp", port_range_min=443, port_range_max=443, description="https — überall")
    rule(web, protocol="udp", port_range_min=1, port_range_max=65535, remote_group_id=stateless)
    rule(web, protocol="tcp", port_range_min=22, port_range_max=22, remote_address_group_id=addresses)
    rule(web, protocol="icmp", port_range_min=8, port_range_max=0, remote_ip_prefix="10.1.2.3/8")
    rule(web, protocol="icmp", port_range_min=3)
    rule(web, protocol="ipv6-icmp", ethertype="IPv6", remote_ip_prefix="2001:DB8:1::1/64")
    rule(web, protocol="vrrp", direction="egress")
    rule(web, protocol="132", port_range_min=7, port_range_max=9)
    rule(web, ethertype="IPv6", protocol="tcp", remote_ip_prefix="::/0")
    rule(stateless, protocol="0", direction="egress", ethertype="IPv6")
    maker.make(
        "default_security_group_rule",
        direction="ingress",
        protocol="tcp",
        port_range_min=22,
        port_range_max=22,
        remote_ip_prefix="192.0.2.0/24",
        description="ssh for everybody's groups",
        used_in_default_sg=False,
        used_in_non_default_sg=True,
    )
    return {"web": web, "stateless": stateless, "addresses": addresses}


def _ports(
    maker: Maker,
    networks: Mapping[str, Any],
    subnets: Mapping[str, str],
    groups: Mapping[str, str],
    policies: Mapping[str, str],
) -> dict[str, str]:
    ports = {
        "plain": maker.make("port", network_id=networks["plain"], name="", mac_address="fa:16:3e:00:00:01"),
        "rich": maker.make(
            "port",
            name="порт",
            description="every field that can be given",
            network_id=networks["plain"],
            project_id=maker.shop,
            mac_address="FA:16:3E:AB:CD:EF",
            fixed_ips=[
                {"subnet_id": subnets["plain"], "ip_address": "10.10.0.77"},
                {"subnet_id": subnets["plain"], "ip_address": "10.10.0.5"},
                {"subnet_id": subnets["plain6"]},
            ],
            device_id="a server",
            device_owner="compute:nova",
            security_groups=[groups["web"], groups["stateless"]][:1],
            allowed_address_pairs=[
                {"ip_address": "10.99.0.0/24", "mac_address": "fa:16:3e:11:22:33"},
                {"ip_address": "2001:DB8::7"},
            ],
            extra_dhcp_opts=[
                {"opt_name": "bootfile-name", "opt_value": "pxelinux.0", "ip_version": 4},
                {"opt_name": "dns-server", "opt_value": "2001:db8::53", "ip_version": 6},
            ],
            dns_name="rich",
            qos_policy_id=policies["minima"],
            numa_affinity_policy="required",
            device_profile="gpu",
            propagate_uplink_status=False,
            tags=["b", "a"],
            hints={"openvswitch": {"other_config": {"tx-steering": "hash"}}},
            trusted=True,
            **{
                "binding:host_id": HOSTS[0],
                "binding:vnic_type": "normal",
                "binding:profile": {"vlan": 7, "trusted": "true", "local_link_information": []},
            },
        ),
        "open": maker.make(
            "port",
            name="no security, no address",
            network_id=networks["rich"],
            port_security_enabled=False,
            fixed_ips=[],
            admin_state_up=False,
            mac_address="fa:16:3e:00:00:03",
        ),
        "failed": maker.make(
            "port",
            name="binding failed",
            network_id=networks["plain"],
            mac_address="fa:16:3e:00:00:04",
            **{"binding:host_id": "a-host-without-agents"},
        ),
        "offloaded": maker.make(
            "port",
            name="offloaded",
            network_id=networks["vlan"],
            fixed_ips=[{"ip_address": "10.30.0.2"}],
            mac_address="fa:16:3e:00:00:05",
            hardware_offload_type="switchdev",
            **{"binding:vnic_type": "direct"},
        ),
        "parent": maker.make(
            "port",
            name="parent",
            network_id=networks["plain"],
            mac_address="fa:16:3e:00:00:06",
            project_id=maker.shop,
        ),
        "deferred": maker.make(
            "port", name="waits for a host", network_id=networks["routed"], mac_address="fa:16:3e:00:00:09"
        ),
        "six": maker.make(
            "port",
            name="six",
            network_id=networks["plain"],
            project_id=maker.shop,
            mac_address="fa:16:3e:00:00:0a",
            fixed_ips=[{"subnet_id": subnets["plain"]}, {"subnet_id": subnets["plain6"]}],
        ),
    }
    for number in (1, 2):
        ports[f"sub{number}"] = maker.make(
            "port", name=f"subport {number}", network_id=networks["plain"], mac_address=f"fa:16:3e:00:01:0{number}"
        )
    ids: dict[str, str] = {name: port["id"] for name, port in ports.items()}
    maker.change("port", ids["rich"], data_plane_status="ACTIVE")
    trunk = maker.make(
        "trunk",
        name="stamm",
        description="two subports, out of order",
        port_id=ids["parent"],
        project_id=maker.shop,
        admin_state_up=False,
        sub_ports=[
            {"port_id": ids["sub2"], "segmentation_type": "vlan", "segmentation_id": 200},
            {"port_id": ids["sub1"], "segmentation_type": "vlan", "segmentation_id": 100},
        ],
    )
    maker.tag("trunk", trunk["id"], "trunk")
    near = {"local_port_id": ids["plain"], "local_ip_address": first_ipv4(ports["plain"]), "ip_mode": "passthrough"}
    local = maker.make("local_ip", name="näher", description="", **near)
    maker.make("port_association", local["id"], fixed_port_id=ids["six"], fixed_ip=first_ipv4(ports["six"]))
    return ids

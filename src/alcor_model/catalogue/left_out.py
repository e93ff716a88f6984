"""Collections of Neutron's API that no resource is declared for, and why; pure data.

A test compares with the definitions of the Neutron that the lab runs: a collection that is neither declared nor
named here fails it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPUTED: Mapping[str, str] = {
    "floatingip_pools": "the subnets of external networks, listed another way",
    "network_ip_availabilities": "counted from subnets and ports",
    "rule_types": "what the drivers offer; read from the configuration",
    "loggable_resources": "what the drivers offer; read from the configuration",
    "service_providers": "read from the configuration",
    "flavors/next_providers": "worked out from the flavor's profiles",
    "alias_bandwidth_limit_rules": "the rules of QoS policies under another path",
    "alias_dscp_marking_rules": "the rules of QoS policies under another path",
    "alias_minimum_bandwidth_rules": "the rules of QoS policies under another path",
    "alias_minimum_packet_rate_rules": "the rules of QoS policies under another path",
}
"""Nothing of their own: what they say follows from declared resources or from a configuration file."""

OF_AGENTS: Mapping[str, str] = {
    "networks/dhcp_agents": "which agents serve a network; Alcor has no such agents",
    "agents/dhcp_networks": "which networks an agent serves; Alcor has no such agents",
    "ports/bindings": "the port carries its active one; a second one exists for the seconds of a server's move",
}
"""What Neutron keeps for the work of its agents."""

OF_OTHER_PLUGINS: Mapping[str, str] = {
    "bgpvpns": "networking-bgpvpn",
    "bgpvpns/network_associations": "networking-bgpvpn",
    "bgpvpns/port_associations": "networking-bgpvpn",
    "bgpvpns/router_associations": "networking-bgpvpn",
    "firewall_groups": "neutron-fwaas",
    "firewall_policies": "neutron-fwaas",
    "firewall_rules": "neutron-fwaas",
    "flow_classifiers": "networking-sfc",
    "port_chains": "networking-sfc",
    "port_pair_groups": "networking-sfc",
    "port_pairs": "networking-sfc",
    "tap_flows": "tap-as-a-service",
    "tap_mirrors": "tap-as-a-service",
    "tap_services": "tap-as-a-service",
}
"""Collections of plugins that nobody has declared yet, by the plugin; `assess` tells when a cloud has them."""

LEFT_OUT: Mapping[str, str] = {
    **COMPUTED,
    **OF_AGENTS,
    **{name: f"of the plugin {plugin}, not declared yet" for name, plugin in OF_OTHER_PLUGINS.items()},
}
"""Every collection that is left out, with its reason."""

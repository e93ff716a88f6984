"""What Neutron's API extensions bring, so that one that nobody maps is told rather than overlooked; pure data.

Source: the definitions of neutron-lib 5.0 (`neutron_lib/api/definitions`) and those in Neutron 29 itself
(`neutron/extensions`), of which each names its alias and the resources and attributes that it adds.
"""

from __future__ import annotations

from alcor_model import RESOURCES

BRINGS: dict[str, tuple[str, ...]] = {
    "address-group": ("address-groups",),
    "address-scope": ("address-scopes",),
    "agent": ("agents",),
    "availability_zone": ("availability_zones",),
    "bgp": ("bgp-speakers", "bgp-peers"),
    "bgpvpn": ("bgpvpn/bgpvpns",),
    "flavors": ("flavors", "service_profiles"),
    "floating-ip-port-forwarding": ("port_forwardings",),
    "flow_classifier": ("sfc/flow_classifiers",),
    "fwaas_v2": ("fwaas/firewall_groups", "fwaas/firewall_policies", "fwaas/firewall_rules"),
    "l3-conntrack-helper": ("conntrack_helpers",),
    "l3-ndp-proxy": ("ndp_proxies",),
    "local_ip": ("local_ips",),
    "logging": ("log/logs",),
    "metering": ("metering/metering-labels", "metering/metering-label-rules"),
    "network-segment-range": ("network_segment_ranges",),
    "qos": ("qos/policies",),
    "quotas": ("quotas",),
    "rbac-policies": ("rbac-policies",),
    "router": ("routers", "floatingips"),
    "security-group": ("security-groups", "security-group-rules"),
    "security-groups-default-rules": ("default-security-group-rules",),
    "security-groups-default-statefulness": ("security-groups-default-statefulness",),
    "segment": ("segments",),
    "sfc": ("sfc/port_pairs", "sfc/port_pair_groups", "sfc/port_chains"),
    "subnet_allocation": ("subnetpools",),
    "subnetpool": ("subnetpools",),
    "taas": ("taas/tap_services", "taas/tap_flows"),
    "tap-mirror": ("taas/tap_mirrors",),
    "trunk": ("trunks",),
    "vpn-endpoint-groups": ("vpn/endpoint-groups",),
    "vpnaas": ("vpn/vpnservices", "vpn/ipsec-site-connections", "vpn/ikepolicies", "vpn/ipsecpolicies"),
}
"""The collections below `/v2.0/` that hold objects of users or operators, by the alias that brings them."""

CARRIED = frozenset(
    """
    aap-reject-multicast agent-resources-synced agent_sort_key allowed-address-pairs auto-allocated-topology
    availability_zone_filter bgp_4byte_asn bgp_dragent_scheduler bgpvpn-routes-control bgpvpn-vni binding
    binding-extended data-plane-status default-subnetpools dhcp_agent_scheduler dns-domain-ports dns-integration
    dns-integration-domain-keywords dvr ecmp_routes empty-string-filtering enable-default-route-bfd
    enable-default-route-ecmp expose-l3-conntrack-helper expose-port-forwarding-in-fip ext-gw-mode
    external-gateway-multihoming external-net extra_dhcp_opt extraroute extraroute-atomic filter-validation
    fip-port-details floating-ip-distributed floating-ip-port-forwarding-description
    floating-ip-port-forwarding-detail floating-ip-port-forwarding-port-ranges floatingip-autodelete-internal
    floating-ip-router-writable floatingip-pools ip-substring-filtering ip_allocation l2_adjacency
    l3-agent-scheduler-ha-chassis-priority l3-ext-ndp-proxy l3-flavors l3-ha l3-port-ip-change-not-allowed
    l3_agent_scheduler metering_source_and_destination_fields multi-provider net-mtu net-mtu-writable network port
    network-cascade-delete network-ip-availability network-ip-availability-details network_availability_zone
    network_ha ovn-bgp pagination port-device-profile port-hardware-offload-type port-hint-open-vswitch
    port-hint-ovs-tx-steering port-hints port-mac-address-regenerate port-mac-override port-numa-affinity-policy
    port-numa-affinity-policy-socket port-resource-request port-resource-request-groups port-security
    port-security-groups-filtering port-trusted-vif project-default-networks project-id provider pvlan evpn qinq
    qos-bw-limit-direction qos-bw-minimum-ingress qos-default qos-fip qos-fip-network-policy qos-gateway-ip
    qos-port-network-policy qos-pps qos-pps-minimum qos-pps-minimum-rule-alias qos-rule-type-details
    qos-rule-type-filter qos-rules-alias quota-check-limit quota-check-limit-default quota_details
    rbac-address-group rbac-address-scope rbac-bgpvpn rbac-security-groups rbac-subnetpool revision-if-match
    router-admin-state-down-before-update router-enable-snat router-service-type router_availability_zone
    security-groups-name-restrictions security-groups-normalized-cidr
    security-groups-remote-address-group security-groups-rules-belongs-to-default-sg
    security-groups-shared-filtering segments-peer-subnet-host-routes service-type sort-key-validation sorting
    standard-attr-address-group standard-attr-bgpvpn standard-attr-bgpvpn-network-association
    standard-attr-bgpvpn-port-association standard-attr-bgpvpn-router-association standard-attr-description
    standard-attr-fwaas-v2 standard-attr-revisions standard-attr-segment standard-attr-tag standard-attr-timestamp
    stateful-security-group subnet subnet-dns-publish-fixed-ip subnet-external-network subnet-segmentid-enforce
    subnet-segmentid-writable subnet-service-types subnet_onboard subnetpool-prefix-ops taas-vlan-filter
    tag-creation tag-ports-during-bulk-creation tap-mirror-both-direction trunk-details uplink-status-propagation
    uplink-status-propagation-updatable vlan-transparent vpn-aes-ccm-gcm vpn-aes-ctr vpn-flavors
    vpn-no-sha1-3des alcor-ids
    """.split()  # noqa: SIM905  # one word after the other reads better than one a line
)
"""Extensions without objects of their own: their attributes travel with the objects that have them. What a scheduler
binds to Neutron's agents ends with those agents."""

_DECLARED = frozenset(of.collection for of in RESOURCES)
_ALIASES = frozenset(of.alias for of in RESOURCES)


def unmapped(alias: str) -> tuple[str, ...]:
    """The collections of an extension that nobody declares."""
    return tuple(c for c in BRINGS.get(alias, ()) if c not in _DECLARED)


def state(alias: str, objects: int) -> str:
    """What becomes of an extension of which so many objects were found."""
    if unmapped(alias):
        return "in use, not mapped" if objects else "not in use"
    if alias in BRINGS or alias in _ALIASES:
        return "mapped"
    return "carried" if alias in CARRIED else "unknown"

"""VPN as a service (neutron-vpnaas): services, policies, endpoint groups and connections between sites."""

from __future__ import annotations

from alcor_model.catalogue.common import NAMED
from alcor_model.catalogue.declaration import Reference, bundled_only
from alcor_model.fields import FLAG, LIST, NUMBER, OBJECT, Shape, computed, same, secret

IKE_POLICY = bundled_only(
    "ikepolicy",
    "vpn/ikepolicies",
    "ikepolicies",
    (
        *NAMED,
        same("auth_algorithm"),
        same("encryption_algorithm"),
        same("phase1_negotiation_mode"),
        same("lifetime", OBJECT),
        same("ike_version"),
        same("pfs"),
    ),
    alias="vpnaas",
)

IPSEC_POLICY = bundled_only(
    "ipsecpolicy",
    "vpn/ipsecpolicies",
    "ipsecpolicies",
    (
        *NAMED,
        same("transform_protocol"),
        same("auth_algorithm"),
        same("encryption_algorithm"),
        same("encapsulation_mode"),
        same("lifetime", OBJECT),
        same("pfs"),
    ),
    alias="vpnaas",
)

ENDPOINT_GROUP = bundled_only(
    "endpoint_group",
    "vpn/endpoint-groups",
    "endpoint_groups",
    (*NAMED, same("type"), same("endpoints", LIST, Shape.SET)),
    alias="vpn-endpoint-groups",
    references=tuple(
        Reference("endpoints", kind, when=("type", (kind,))) for kind in ("subnet", "router", "network")
    ),
)

VPN_SERVICE = bundled_only(
    "vpnservice",
    "vpn/vpnservices",
    "vpnservices",
    (
        *NAMED,
        same("router_id", (str,)),
        same("subnet_id"),
        same("flavor_id"),
        same("admin_state_up", FLAG),
        computed(same("status"), "what the agents report"),
        computed(same("external_v4_ip", shape=Shape.ADDRESS), "the router's address outside"),
        computed(same("external_v6_ip", shape=Shape.ADDRESS), "the router's address outside"),
    ),
    alias="vpnaas",
    references=(Reference("router_id", "router"), Reference("subnet_id", "subnet"), Reference("flavor_id", "flavor")),
)

IPSEC_SITE_CONNECTION = bundled_only(
    "ipsec_site_connection",
    "vpn/ipsec-site-connections",
    "ipsec_site_connections",
    (
        *NAMED,
        same("vpnservice_id", (str,)),
        same("ikepolicy_id", (str,)),
        same("ipsecpolicy_id", (str,)),
        same("local_ep_group_id"),
        same("peer_ep_group_id"),
        same("local_id"),
        same("peer_address"),
        same("peer_id"),
        same("peer_cidrs", LIST, Shape.ADDRESS_SET),
        secret(same("psk")),
        same("initiator"),
        same("mtu", NUMBER),
        same("dpd", OBJECT),
        same("admin_state_up", FLAG),
        computed(same("auth_mode"), "only `psk` exists"),
        computed(same("route_mode"), "only `static` exists"),
        computed(same("status"), "what the agents report"),
    ),
    alias="vpnaas",
    references=(
        Reference("vpnservice_id", "vpnservice"),
        Reference("ikepolicy_id", "ikepolicy"),
        Reference("ipsecpolicy_id", "ipsecpolicy"),
        Reference("local_ep_group_id", "endpoint_group"),
        Reference("peer_ep_group_id", "endpoint_group"),
    ),
)

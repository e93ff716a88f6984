"""Dynamic routing (neutron-dynamic-routing): BGP speakers and their peers."""

from __future__ import annotations

from alcor_model.catalogue.common import OWNER
from alcor_model.catalogue.declaration import Reference, bundled_only
from alcor_model.fields import FLAG, LIST, NUMBER, Shape, same, secret

BGP_PEER = bundled_only(
    "bgp_peer",
    "bgp-peers",
    "bgp_peers",
    (
        *OWNER,
        same("name"),
        same("peer_ip", shape=Shape.ADDRESS),
        same("remote_as", NUMBER),
        same("auth_type"),
        secret(same("password")),
    ),
    alias="bgp",
)

BGP_SPEAKER = bundled_only(
    "bgp_speaker",
    "bgp-speakers",
    "bgp_speakers",
    (
        *OWNER,
        same("name"),
        same("local_as", NUMBER),
        same("ip_version", NUMBER),
        same("advertise_floating_ip_host_routes", FLAG),
        same("advertise_tenant_networks", FLAG),
        same("peers", LIST, Shape.SET),
        same("networks", LIST, Shape.SET),
    ),
    alias="bgp",
    references=(Reference("peers", "bgp_peer"), Reference("networks", "network")),
)

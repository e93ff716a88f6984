"""One declaration per resource: where it lives in both APIs, what its fields become, what it refers to.

A module for each family of resources; `resource` says what a declaration is made of. To add a resource: declare it
in its family, put it into `RESOURCES`, run `make docs`; docs/adding-a-resource.md goes through it.

Sources: OpenStack Network API v2.0 reference and Neutron's own definitions (neutron-lib), with which a test
compares; Alcor's `web` and manager modules at its last commit.
A field that a declaration does not name is carried in the extension: nothing is dropped in silence.
"""

from __future__ import annotations

from alcor_model.catalogue.bgp import BGP_PEER, BGP_SPEAKER
from alcor_model.catalogue.declaration import EXTENSION, AlcorField, Nested, Reference, Resource, bundled_only
from alcor_model.catalogue.networks import (
    ADDRESS_SCOPE,
    NETWORK,
    NETWORK_SEGMENT_RANGE,
    PORT,
    SEGMENT,
    SUBNET,
    SUBNET_POOL,
)
from alcor_model.catalogue.operations import (
    AGENT,
    AUTO_ALLOCATED_TOPOLOGY,
    AVAILABILITY_ZONE,
    FLAVOR,
    QUOTA,
    SERVICE_PROFILE,
)
from alcor_model.catalogue.qos import (
    BANDWIDTH_LIMIT_RULE,
    DSCP_MARKING_RULE,
    MINIMUM_BANDWIDTH_RULE,
    MINIMUM_PACKET_RATE_RULE,
    PACKET_RATE_LIMIT_RULE,
    QOS_POLICY,
)
from alcor_model.catalogue.routing import (
    CONNTRACK_HELPER,
    FLOATING_IP,
    LOCAL_IP,
    LOCAL_IP_ASSOCIATION,
    NDP_PROXY,
    PORT_FORWARDING,
    ROUTER,
)
from alcor_model.catalogue.security import (
    ADDRESS_GROUP,
    DEFAULT_SECURITY_GROUP_RULE,
    DEFAULT_STATEFULNESS,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
)
from alcor_model.catalogue.sharing import RBAC_POLICY
from alcor_model.catalogue.telemetry import LOG, METERING_LABEL, METERING_LABEL_RULE
from alcor_model.catalogue.trunks import TRUNK
from alcor_model.catalogue.vpn import ENDPOINT_GROUP, IKE_POLICY, IPSEC_POLICY, IPSEC_SITE_CONNECTION, VPN_SERVICE
from alcor_model.errors import UnknownResource

RESOURCES: tuple[Resource, ...] = (
    NETWORK,
    SEGMENT,
    NETWORK_SEGMENT_RANGE,
    ADDRESS_SCOPE,
    SUBNET_POOL,
    SUBNET,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    DEFAULT_SECURITY_GROUP_RULE,
    DEFAULT_STATEFULNESS,
    ADDRESS_GROUP,
    QOS_POLICY,
    BANDWIDTH_LIMIT_RULE,
    DSCP_MARKING_RULE,
    MINIMUM_BANDWIDTH_RULE,
    MINIMUM_PACKET_RATE_RULE,
    PACKET_RATE_LIMIT_RULE,
    ROUTER,
    PORT,
    TRUNK,
    FLOATING_IP,
    PORT_FORWARDING,
    CONNTRACK_HELPER,
    NDP_PROXY,
    LOCAL_IP,
    LOCAL_IP_ASSOCIATION,
    RBAC_POLICY,
    QUOTA,
    FLAVOR,
    SERVICE_PROFILE,
    METERING_LABEL,
    METERING_LABEL_RULE,
    LOG,
    AGENT,
    AVAILABILITY_ZONE,
    AUTO_ALLOCATED_TOPOLOGY,
    VPN_SERVICE,
    IKE_POLICY,
    IPSEC_POLICY,
    ENDPOINT_GROUP,
    IPSEC_SITE_CONNECTION,
    BGP_SPEAKER,
    BGP_PEER,
)
"""Every declared resource; `order.load_order` says in which order they are loaded."""

_BY_NAME = {name: r for r in RESOURCES for name in (r.name, r.collection, r.plural)}


def resource(name: str) -> Resource:
    """The declaration for a name, a Neutron path segment or a Neutron list key.

    Raises UnknownResource.
    """
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownResource(name) from None


__all__ = [
    "ADDRESS_GROUP",
    "ADDRESS_SCOPE",
    "AGENT",
    "AUTO_ALLOCATED_TOPOLOGY",
    "AVAILABILITY_ZONE",
    "BANDWIDTH_LIMIT_RULE",
    "BGP_PEER",
    "BGP_SPEAKER",
    "CONNTRACK_HELPER",
    "DEFAULT_SECURITY_GROUP_RULE",
    "DEFAULT_STATEFULNESS",
    "DSCP_MARKING_RULE",
    "ENDPOINT_GROUP",
    "EXTENSION",
    "FLAVOR",
    "FLOATING_IP",
    "IKE_POLICY",
    "IPSEC_POLICY",
    "IPSEC_SITE_CONNECTION",
    "LOCAL_IP",
    "LOCAL_IP_ASSOCIATION",
    "LOG",
    "METERING_LABEL",
    "METERING_LABEL_RULE",
    "MINIMUM_BANDWIDTH_RULE",
    "MINIMUM_PACKET_RATE_RULE",
    "NDP_PROXY",
    "NETWORK",
    "NETWORK_SEGMENT_RANGE",
    "PACKET_RATE_LIMIT_RULE",
    "PORT",
    "PORT_FORWARDING",
    "QOS_POLICY",
    "QUOTA",
    "RBAC_POLICY",
    "RESOURCES",
    "ROUTER",
    "SECURITY_GROUP",
    "SECURITY_GROUP_RULE",
    "SEGMENT",
    "SERVICE_PROFILE",
    "SUBNET",
    "SUBNET_POOL",
    "TRUNK",
    "VPN_SERVICE",
    "AlcorField",
    "Nested",
    "Reference",
    "Resource",
    "bundled_only",
    "resource",
]

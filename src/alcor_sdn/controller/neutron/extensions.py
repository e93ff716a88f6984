"""The API extensions that are truly served, and the small resources that clients ask for beside the main ones.

Alias, name and date of an extension are those of the Network API v2.0, because clients look for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alcor_model.fields import Json

_EXTENSIONS = (
    ("allowed-address-pairs", "Allowed Address Pairs", "2013-07-23T10:00:00-00:00"),
    ("availability_zone", "Availability Zone", "2015-01-01T10:00:00-00:00"),
    ("binding", "Port Binding", "2014-02-03T10:00:00-00:00"),
    ("data-plane-status", "Port data plane status extension", "2017-01-24T10:00:00-00:00"),
    ("dns-domain-ports", "dns_domain for ports", "2017-04-24T10:00:00-00:00"),
    ("dns-integration", "DNS Integration", "2015-08-15T18:00:00-00:00"),
    ("empty-string-filtering", "Empty String Filtering Extension", "2018-05-01T10:00:00-00:00"),
    ("ext-gw-mode", "Neutron L3 Configurable external gateway mode", "2013-03-28T10:00:00-00:00"),
    ("external-net", "Neutron external network", "2013-01-14T10:00:00-00:00"),
    ("extra_dhcp_opt", "Neutron Extra DHCP options", "2013-03-17T12:00:00-00:00"),
    ("extraroute", "Neutron Extra Route", "2013-02-01T10:00:00-00:00"),
    ("extraroute-atomic", "Atomically add/remove extra routes", "2019-07-10T00:00:00+00:00"),
    ("filter-validation", "Filter parameters validation", "2018-07-04T10:00:00-00:00"),
    ("fip-port-details", "Floating IP Port Details Extension", "2018-04-09T10:00:00-00:00"),
    ("floating-ip-router-writable", "Floating IP Router (writable)", "2026-08-05T00:00:00-00:00"),
    ("ip-substring-filtering", "IP address substring filtering", "2017-11-28T09:00:00-00:00"),
    ("ip_allocation", "IP Allocation", "2016-06-10T23:00:00-00:00"),
    ("l2_adjacency", "L2 Adjacency", "2016-04-12T16:00:00-00:00"),
    ("multi-provider", "Multi Provider Network", "2013-06-27T10:00:00-00:00"),
    ("net-mtu", "Network MTU", "2015-03-25T10:00:00-00:00"),
    ("net-mtu-writable", "Network MTU (writable)", "2017-07-12T00:00:00-00:00"),
    ("network_availability_zone", "Network Availability Zone", "2015-01-01T10:00:00-00:00"),
    ("pagination", "Pagination support", "2016-06-12T00:00:00-00:00"),
    ("port-device-profile", "Port device profile", "2020-12-17T10:00:00-00:00"),
    ("port-hardware-offload-type", "Port hardware offload", "2023-05-09T10:00:00-00:00"),
    ("port-hints", "Port hints", "2023-01-01T00:00:00-00:00"),
    ("port-mac-address-regenerate", "Neutron Port MAC address regenerate", "2018-05-03T10:00:00-00:00"),
    ("port-numa-affinity-policy", "Port NUMA affinity policy", "2020-07-08T10:00:00-00:00"),
    (
        "port-numa-affinity-policy-socket",
        'Port NUMA affinity policy "socket"',
        "2024-02-09T10:00:00-00:00",
    ),
    ("port-security", "Port Security", "2012-07-23T10:00:00-00:00"),
    ("port-security-groups-filtering", "Port filtering on security groups", "2018-01-09T09:00:00-00:00"),
    ("port-trusted-vif", "Port trusted vif", "2024-07-10T10:00:00-00:00"),
    ("project-id", "project_id field enabled", "2016-09-09T09:09:09-09:09"),
    ("provider", "Provider Network", "2012-09-07T10:00:00-00:00"),
    ("quota_details", "Quota details management support", "2017-02-10T10:00:00-00:00"),
    ("quotas", "Quota management support", "2012-07-29T10:00:00-00:00"),
    ("revision-if-match", "If-Match constraints based on revision_number", "2016-12-11T00:00:00-00:00"),
    ("router", "Neutron L3 Router", "2012-07-20T10:00:00-00:00"),
    ("router_availability_zone", "Router Availability Zone", "2015-01-01T10:00:00-00:00"),
    ("security-group", "security-group", "2012-10-05T10:00:00-00:00"),
    (
        "security-groups-normalized-cidr",
        "Normalized CIDR field for security group rules",
        "2020-07-28T10:00:00-00:00",
    ),
    (
        "security-groups-rules-belongs-to-default-sg",
        "Security group rule belongs to the project's default security group",
        "2023-05-23T10:00:00-00:00",
    ),
    (
        "security-groups-shared-filtering",
        "Security group filtering on the shared field",
        "2021-10-05T09:00:00-00:00",
    ),
    ("sorting", "Sorting support", "2016-06-12T00:00:00-00:00"),
    ("standard-attr-description", "standard-attr-description", "2016-02-10T10:00:00-00:00"),
    ("standard-attr-revisions", "Resource revision numbers", "2016-04-11T10:00:00-00:00"),
    ("standard-attr-tag", "Tag support for resources with standard attribute", "2017-01-01T00:00:00-00:00"),
    ("standard-attr-timestamp", "Resource timestamps", "2016-09-12T10:00:00-00:00"),
    ("stateful-security-group", "Stateful security group", "2019-11-26T09:00:00-00:00"),
    ("subnet-dns-publish-fixed-ip", "Subnet DNS publish fixed IP", "2019-05-24T10:00:00-00:00"),
    ("subnet-external-network", "Subnet belongs to an external network", "2024-02-05T18:00:00-00:00"),
    ("subnet-service-types", "Subnet service types", "2016-03-15T18:00:00-00:00"),
    ("tag-creation", "Tag creation extension", "2024-23-07T10:00:00-00:00"),
    ("tag-ports-during-bulk-creation", "Tag Ports During Bulk Creation", "2019-12-29T19:00:00-00:00"),
    ("uplink-status-propagation", "Uplink status propagation extension", "2018-05-31T18:00:00-00:00"),
    (
        "uplink-status-propagation-updatable",
        "Uplink status propagation updatable extension",
        "2024-09-03T18:00:00-00:00",
    ),
)

EXTENSIONS: dict[str, Json] = {
    alias: {"name": name, "alias": alias, "description": name, "updated": updated, "links": []}
    for alias, name, updated in _EXTENSIONS
}
"""Alias -> what `GET /v2.0/extensions` says of it."""

QUOTAS: dict[str, int] = {
    "network": -1,
    "subnet": -1,
    "subnetpool": -1,
    "port": -1,
    "router_route": 30,
    "router": -1,
    "floatingip": -1,
    "rbac_policy": -1,
    "security_group": -1,
    "security_group_rule": -1,
    "trunk": -1,
}
"""Every project's limits: none, but for the extra routes of one router."""


def availability_zones(zone: str) -> list[Json]:
    """The deployment's one zone, for networks and for routers."""
    return [{"state": "available", "name": zone, "resource": resource} for resource in ("router", "network")]

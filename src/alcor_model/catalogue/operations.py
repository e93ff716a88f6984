"""What operators set and look at: quotas, flavors, agents, availability zones, the topology made on demand."""

from __future__ import annotations

from alcor_model.catalogue.common import asked
from alcor_model.catalogue.declaration import Reference, Resource, bundled_only
from alcor_model.fields import FLAG, LIST, NUMBER, OBJECT, Field, Shape, computed, extension, renamed, same, volatile


def _limit(name: str, alcor: str = "") -> Field:
    return renamed(name, alcor, NUMBER) if alcor else same(name, NUMBER)


QUOTA = Resource(
    name="quota",
    collection="quotas",
    plural="quotas",
    alcor_collection="quotas",
    alcor_member="quota",
    alcor_plural="quotas",
    alias="quotas",
    identity=("project_id",),
    fields=(
        same("id", (str,)),
        same("project_id", (str,)),
        same("tenant_id"),
        _limit("network"),
        _limit("subnet"),
        _limit("port"),
        _limit("router"),
        _limit("floatingip", "floating_ip"),
        _limit("security_group"),
        _limit("security_group_rule"),
        _limit("rbac_policy"),
        _limit("subnetpool"),
        *(
            extension(name, NUMBER)
            for name in (
                "trunk",
                "router_route",
                "vpnservice",
                "ikepolicy",
                "ipsecpolicy",
                "endpoint_group",
                "ipsec_site_connection",
            )
        ),
    ),
)

SERVICE_PROFILE = bundled_only(
    "service_profile",
    "service_profiles",
    "service_profiles",
    (
        same("id", (str,)),
        same("description"),
        same("driver"),
        same("metainfo", (str, dict, type(None))),
        same("enabled", FLAG),
    ),
    alias="flavors",
)

FLAVOR = bundled_only(
    "flavor",
    "flavors",
    "flavors",
    (
        same("id", (str,)),
        same("name"),
        same("description"),
        same("service_type"),
        same("enabled", FLAG),
        same("service_profiles", LIST, Shape.SET),
    ),
    alias="flavors",
    references=(Reference("service_profiles", "service_profile"),),
)

AGENT = bundled_only(
    "agent",
    "agents",
    "agents",
    (
        same("id", (str,)),
        same("agent_type"),
        same("binary"),
        same("host"),
        same("topic"),
        same("admin_state_up", FLAG),
        same("description"),
        same("ha_chassis_priority", NUMBER),
        computed(same("availability_zone"), "the agent's configuration file"),
        volatile(same("alive", FLAG), "follows the last heartbeat"),
        volatile(same("configurations", OBJECT), "the agent's last report, with counters"),
        volatile(same("resources_synced", FLAG), "the agent's last report"),
        volatile(same("created_at", shape=Shape.TIME), "when the host's agent first reported"),
        volatile(same("started_at", shape=Shape.TIME), "when the agent was last started"),
        volatile(same("heartbeat_timestamp", shape=Shape.TIME), "moves every half minute"),
    ),
    alias="agent",
    observed=True,
)

AVAILABILITY_ZONE = bundled_only(
    "availability_zone",
    "availability_zones",
    "availability_zones",
    (
        same("id", (str,)),
        same("name", (str,)),
        same("resource", (str,)),
        volatile(same("state"), "follows the agents' last heartbeats"),
    ),
    alias="availability_zone",
    identity=("resource", "name"),
    observed=True,
)

AUTO_ALLOCATED_TOPOLOGY = bundled_only(
    "auto_allocated_topology",
    "auto-allocated-topology",
    "auto_allocated_topologies",
    (same("id", (str,)), same("project_id"), same("tenant_id"), asked("dry_run")),
    alias="auto-allocated-topology",
    references=(Reference("id", "network"),),
    listed=False,
)

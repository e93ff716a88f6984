"""Every way in which a target does not hold, serve or enact what Neutron has; pure data.

Upstream's ways are those of its last code, read and not run: each rule names in `source` the numbered defect (D…)
or the table of its model that it follows from.
"""

from __future__ import annotations

from enum import Enum

import msgspec

from alcor_model.fields import Target


class Severity(Enum):
    """What becomes of an object that a rule is about."""

    MOVES = "moves"
    """It moves as it is; what is said about it is good to know."""
    NEEDS_ANSWER = "needs answer"
    """It moves, but not as it is: the operator says whether that is acceptable."""
    CANNOT_MOVE = "cannot move"
    """It stays behind: the target refuses it, or makes something else of it."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One gap between Neutron and a target."""

    id: str
    """How answers name it."""
    target: Target
    severity: Severity
    title: str
    """What was found, in a few words."""
    consequence: str
    """What happens if it is accepted."""
    ways_out: tuple[str, ...]
    """What can be done instead; the first one is the least effort."""
    source: str
    """Where the knowledge comes from."""


BUNDLED_KEEPS = "choose the bundled Alcor, which keeps it"


def _upstream(name: str, severity: Severity, title: str, consequence: str, *ways_out: str, source: str) -> Rule:
    return Rule(
        id=f"upstream-{name}",
        target=Target.UPSTREAM,
        severity=severity,
        title=title,
        consequence=consequence,
        ways_out=(*ways_out, BUNDLED_KEEPS),
        source=source,
    )


_MOVES, _ANSWER, _STAYS = Severity.MOVES, Severity.NEEDS_ANSWER, Severity.CANNOT_MOVE

NO_PLACE = _upstream(
    "no-place",
    _STAYS,
    "resources that upstream Alcor does not know",
    "they stay behind, and what they did ends with Neutron",
    "delete them",
    source="not in its web module",
)
FIELD_LOST = _upstream(
    "field-lost",
    _ANSWER,
    "fields that upstream Alcor does not keep",
    "the objects move without these fields",
    "unset them",
    source="attribute tables of its web module",
)
WITHOUT_EFFECT = _upstream(
    "without-effect",
    _ANSWER,
    "settings that upstream Alcor stores and nobody there acts on",
    "the setting can be read back and does nothing",
    "do without it",
    source="attribute tables of its web module; D14",
)
NETWORK_TYPE = _upstream(
    "network-type",
    _STAYS,
    "networks of a type that upstream Alcor refuses, or of several segments",
    "the network and everything in it stays behind",
    "move their ports to a network of type vxlan, vlan, gre or flat",
    source="NetworkTypeEnum",
)
FLAT_WITHOUT_ID = _upstream(
    "flat-without-id",
    _STAYS,
    "flat networks, for which upstream Alcor demands a segmentation id",
    "upstream stores them and then fails, so they are taken away again; what is in them stays behind",
    "use a network of type vlan",
    source="D12",
)
VNI = _upstream(
    "vni-not-reserved",
    _ANSWER,
    "segmentation ids that upstream's allocator will not know of",
    "upstream draws another id at the creation, a second request forces the right one; the allocator never learns of "
    "it and can give it to another network later",
    "create no network on upstream Alcor afterwards without looking",
    source="D11",
)
IPV6 = _upstream(
    "ipv6",
    _STAYS,
    "IPv6, of which upstream Alcor knows nothing",
    "subnets stay behind, and so do ports that have an address in them",
    "remove the IPv6 addresses from the ports, then the subnets",
    source="D13",
)
PREFIX = _upstream(
    "prefix",
    _STAYS,
    "subnets that are larger than /16 or smaller than /28",
    "they stay behind with their ports",
    "move the ports to a subnet between /16 and /28",
    source="D13",
)
NO_GATEWAY = _upstream(
    "no-gateway",
    _STAYS,
    "subnets without a gateway",
    "they stay behind with their ports: upstream would give them one, and hosts a route to it",
    "give them a gateway",
    source="SubnetController: a gateway always exists",
)
GATEWAY_OUTSIDE = _upstream(
    "gateway-outside",
    _STAYS,
    "subnets whose gateway is not one of their own addresses",
    "upstream refuses them",
    "give the subnet a gateway within its network",
    source="SubnetServiceImp",
)
NAMELESS_SUBNET = _upstream(
    "nameless-subnet",
    _MOVES,
    "subnets without a name",
    "they are called by their ids there, because no port in a nameless one could be bound",
    "give them a name",
    source="D54",
)
NO_ADDRESS = _upstream(
    "port-without-address",
    _STAYS,
    "ports without an address",
    "upstream would give them one",
    "give them an address, or delete them",
    source="D19",
)
VNIC_TYPE = _upstream(
    "vnic-type",
    _STAYS,
    "ports of a vNIC type that upstream Alcor does not know",
    "upstream refuses them",
    "use a port of type normal, direct, macvtap or baremetal",
    source="VnicType",
)
SAME_MAC = _upstream(
    "same-mac",
    _STAYS,
    "MAC addresses that several ports have",
    "upstream knows each MAC once in the whole deployment: the second port stays behind",
    "give one of them another MAC",
    source="D16",
)
SAME_DEVICE_NAME = _upstream(
    "same-device-name",
    _STAYS,
    "ports on one host whose ids begin with the same eleven characters",
    "both would be the same device: the second stays behind",
    "recreate one of them",
    source="agent's naming of devices",
)
INTERFACE = _upstream(
    "interface-made-anew",
    _ANSWER,
    "router interfaces, which upstream Alcor makes itself",
    "the router gets an interface in the subnet with another port id and another MAC",
    source="route_manager: add_router_interface",
)
ROUTER_PORT = _upstream(
    "router-port",
    _STAYS,
    "ports that Neutron made for its own routers",
    "upstream has no such ports; what they did ends with Neutron",
    source="route_manager: no gateway port, no HA, no SNAT",
)
DHCP_PORT = _upstream(
    "dhcp-port",
    _MOVES,
    "ports of Neutron's DHCP agents",
    "upstream's hosts answer DHCP themselves: these only go on reserving their addresses",
    source="data_plane_manager",
)
ROUTER_SPREAD = _upstream(
    "router-networks",
    _STAYS,
    "routers with interfaces in several networks",
    "upstream refuses the second network: these interfaces stay behind",
    "give each network a router of its own",
    source="NeutronRouterServiceImpl (409)",
)
SUBNET_TWICE = _upstream(
    "subnet-routers",
    _STAYS,
    "subnets on several routers",
    "upstream refuses the second router: that interface stays behind",
    "remove the subnet from all routers but one",
    source="NeutronRouterServiceImpl (409)",
)
INTERFACE_ADDRESS = _upstream(
    "interface-address",
    _STAYS,
    "router interfaces at another address than the subnet's gateway",
    "upstream attaches only the gateway's address: the router has no interface in this subnet",
    "use the subnet's gateway address for the router",
    source="route_manager: interface = the subnet's gateway port",
)
ROUTE = _upstream(
    "route",
    _ANSWER,
    "routes that upstream Alcor refuses",
    "the router moves without them",
    "use one IPv4 route per destination, between /16 and /28 or 0.0.0.0/0",
    source="D34",
)
DEFAULT_GROUP = _upstream(
    "default-group",
    _ANSWER,
    "security groups named `default`",
    "they keep their ids under the name `neutron-default`; upstream gives each project a `default` of its own, with "
    "other rules, and new ports get that one",
    "name the security groups of new ports",
    source="D18",
)
RULE_OPENS = _upstream(
    "rule-opens",
    _STAYS,
    "rules whose remote side upstream Alcor cannot say",
    "without it the rule would let everybody in, so it is left out",
    "write the address group's addresses as rules of their own",
    source="SecurityGroupRule",
)
RULE_PROTOCOL = _upstream(
    "rule-protocol",
    _STAYS,
    "rules for protocols other than tcp, udp and icmp",
    "upstream would store them, and then every bound port of their group fails",
    "delete them, or open the protocol by a rule without one; write tcp for 6, udp for 17, icmp for 1",
    source="D53",
)
RULE_PORTS = _upstream(
    "rule-ports",
    _STAYS,
    "rules with an ICMP type without code, or with one end of a range of ports",
    "upstream refuses them",
    "give both ends of the range, or type and code",
    source="security_group_manager",
)
QUOTA = _upstream(
    "quota",
    _STAYS,
    "quotas, which upstream Alcor does not enforce",
    "they are not loaded, and everybody can create without limit",
    source="D35; no service asks quota_manager",
)

NOTICES = (
    _upstream(
        "times",
        _MOVES,
        "times of creation and change",
        "networks, security groups and floating IPs show the time of the migration",
        source="attribute tables of its web module",
    ),
    _upstream(
        "slow",
        _MOVES,
        "loading one by one",
        "networks, subnets, routers and floating IPs have no bulk request, subnets of a network wait for each other, "
        "and a bound port whose host's agent is silent takes five minutes",
        source="D1, D2, D52",
    ),
    _upstream(
        "rules-made",
        _MOVES,
        "rules of new security groups",
        "upstream adds two egress rules of its own to each group; the migration deletes them after it",
        source="D17",
    ),
)
"""What holds for the target as a whole, whatever the cloud has."""

NOT_SERVED = Rule(
    id="bundled-not-served",
    target=Target.BUNDLED,
    severity=_MOVES,
    title="resources that the bundled Alcor keeps, and whose Neutron API it does not serve yet",
    consequence="they are kept and come back with a reverse; after the cutover requests for them are answered 404",
    ways_out=("wait with the cutover for a version that serves them",),
    source="alcor_sdn.controller.services",
)
NOT_ENACTED = Rule(
    id="bundled-not-enacted",
    target=Target.BUNDLED,
    severity=_MOVES,
    title="settings that Alcor's agents are not told of",
    consequence="they are kept; as long as Neutron's agents run, those go on enacting them, afterwards nobody does",
    ways_out=("stay reversible and leave these hosts to Neutron's agents",),
    source="the goal-state protocol has no word for them",
)

RULES: tuple[Rule, ...] = (
    *(rule for rule in list(globals().values()) if isinstance(rule, Rule)),
    *NOTICES,
)

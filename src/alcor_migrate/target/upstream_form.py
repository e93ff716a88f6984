"""What upstream Alcor is sent and what of an object it keeps: pure decisions.

Upstream names many fields that it forces, ignores or stumbles over. Everything here follows from the code of its last
commit; where a rule looks odd, the defect that it lives with is named.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from alcor_migrate.side import Key
from alcor_migrate.target.nodes import node
from alcor_model import EXTENSION, Resource, to_alcor, to_neutron
from alcor_model.fields import Target
from alcor_model.gaps import Examiner, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alcor_model.fields import Json

HELD = frozenset(
    {"network", "security_group", "security_group_rule", "subnet", "router", "port", "floatingip", "agent"}
)
"""What upstream is given, of what it knows."""
DEFAULT_GROUP = "neutron-default"
"""What a project's group `default` is called there: under its own name it would get an id of upstream's choice."""

_BOOLEANS = ("admin_state_up", "shared", "router:external", "vlan_transparent", "is_default")
"""Of a network: what is not sent is false, also by a PUT. Neutron may not know all of them."""


def kept(of: Resource, neutron: Json) -> Json:
    """An object with no more of it than upstream keeps, so that both sides can be compared."""
    fields = _kept(of)
    return {
        name: value
        for name, value in neutron.items()
        if name in fields and not (of.name == "network" and value is False and name in _BOOLEANS)
    }


@cache
def _kept(of: Resource) -> frozenset[str]:
    names = {f.neutron for f in of.fields if of.fits(f, Target.UPSTREAM) and f.compared and not f.computed}
    names.discard("tenant_id")  # a second `project_id`, which upstream fills in
    if of.name == "network":
        names.add("provider:segmentation_id")  # which it is made to keep
    if of.name == "router":
        names.add("interfaces")  # which it has instead of ports
    return frozenset(names)


def host(agent: Json) -> Json | None:
    """What upstream is told of an agent: its host, as a node; None for agents that are no nodes."""
    if not node(agent):
        return None
    address = agent["configurations"]["tunneling_ip"]
    shown = {name: agent[name] for name in ("id", "agent_type", "host")}
    return shown | {"configurations": {"tunneling_ip": address}}


def host_of(info: Json) -> Json | None:
    """A node as the agent that it was made of; None for nodes that somebody else made."""
    agent = {
        "id": info.get("node_id"),
        "agent_type": "Open vSwitch agent",
        "host": info.get("node_name"),
        "configurations": {"tunneling_ip": info.get("local_ip")},
    }
    made = node(agent)
    return agent if made and made["mac_address"] == info.get("mac_address") else None


def stands_on(of: Resource, neutron: Json) -> list[Key]:
    """The objects without which upstream cannot hold this one."""
    match of.name:
        case "subnet":
            return [Key("network", neutron["network_id"])]
        case "port":
            subnets = {str(ip["subnet_id"]) for ip in neutron.get("fixed_ips") or [] if isinstance(ip, dict)}
            return [Key("network", neutron["network_id"]), *(Key("subnet", one) for one in sorted(subnets))]
        case "floatingip":
            return [Key("port", neutron["port_id"])] if neutron.get("port_id") else []
        case _:
            return []


def told_otherwise(of: Resource) -> bool:
    """Whether a resource is not given to upstream and nothing is lost: a network's segment, what agents report."""
    return of.name == "segment" or (of.observed and of.name != "agent")


def refusal(of: Resource, neutron: Json) -> str:
    """Why upstream could not hold the object: said before anything is sent, because it would keep half of it."""
    if of.name not in HELD:
        return "upstream has no place for it"
    try:
        findings = list(Examiner(Target.UPSTREAM).examine(of, neutron))
    except (KeyError, TypeError, ValueError) as error:
        return f"it is malformed: {type(error).__name__}: {error}"
    for found in findings:
        if found.rule.severity is Severity.CANNOT_MOVE:
            return f"{found.rule.id}: {found.rule.title}" + (f" ({found.detail})" if found.detail else "")
    return ""


def body(of: Resource, neutron: Json) -> Json:
    """An object as upstream is sent it: nothing that is unset (an explicit null is another thing), no extension."""
    if of.name == "floatingip":  # the conversion asks for what upstream does not keep
        neutron = {"floating_network_id": "", **neutron}
    alcor = {k: v for k, v in to_alcor(of, neutron).items() if k != EXTENSION and v is not None}
    for name in (f.alcor for f in of.fields if f.computed):
        alcor.pop(name, None)
    match of.name:
        case "network":
            alcor |= {name: bool(neutron.get(name)) for name in _BOOLEANS}
            alcor["port_security_enabled"] = neutron.get("port_security_enabled") is not False
        case "security_group":
            alcor["tenant_id"] = neutron["project_id"]
            alcor["name"] = (
                DEFAULT_GROUP if neutron.get("name") == "default" else neutron.get("name") or neutron["id"]
            )
        case "subnet":
            # A subnet without a name makes the ports of its hosts fail.
            alcor["name"] = neutron.get("name") or neutron["id"]
        case "port":
            alcor = _port_body(alcor)
        case "router":
            alcor.pop("routetable", None)  # said by requests of its own
    return alcor


def _port_body(alcor: Json) -> Json:
    alcor["security_groups"] = alcor.get("security_groups") or []
    alcor["port_security_enabled"] = alcor.get("port_security_enabled") is not False
    alcor.setdefault("device_id", "")
    alcor.setdefault("device_owner", "")
    alcor.pop("binding:profile", None)  # of which only links would survive
    if not alcor.get("binding:host_id"):
        alcor.pop("binding:host_id", None)  # an empty one counts as a host without a node
    return alcor


def held(of: Resource, alcor: Json) -> Json:
    """What upstream answered, in Neutron's form: `""`, `[]` and `{}` stand for null there."""
    neutron = to_neutron(of, {k: v for k, v in alcor.items() if v not in (None, "", [], {})})
    if of.name == "security_group" and neutron.get("name") == DEFAULT_GROUP:
        neutron["name"] = "default"
    if of.name in {"security_group", "subnet"} and neutron.get("name") == neutron["id"]:
        neutron["name"] = ""
    if of.name == "router":
        routes = (alcor.get("routetable") or {}).get("routes") or []
        neutron["routes"] = [{"destination": r["destination"], "nexthop": r["nexthop"]} for r in routes]
    return neutron


def batches(ports: Iterable[Json], most: int) -> list[list[Json]]:
    """Ports that can go together: of one project and one host, all with security groups or all without.

    Several hosts in one batch always fail, and so does an empty list of groups among filled ones.
    """
    alike: dict[Any, list[Json]] = defaultdict(list)
    for port in ports:
        alike[port["project_id"], port.get("binding:host_id") or "", bool(port.get("security_groups"))].append(port)
    return [group[i : i + most] for group in alike.values() for i in range(0, len(group), most)]

"""What upstream Alcor is sent and what of an object it keeps: pure decisions.

Upstream names many fields that it forces, ignores or stumbles over. Everything here follows from the code of its last
commit; where a rule looks odd, the defect that it lives with is named.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from alcor_model import EXTENSION, Resource, to_alcor, to_neutron
from alcor_model.fields import Target
from alcor_model.gaps.upstream import INTERFACE, MADE_FOR_ROUTERS, NETWORK_TYPES, PREFIXES, PROTOCOLS, VNIC_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alcor_model.fields import Json

DEFAULT_GROUP = "neutron-default"
"""What a project's group `default` is called there: under its own name it would get an id of upstream's choice."""

_BOOLEANS = ("admin_state_up", "shared", "router:external", "vlan_transparent", "is_default")
"""Of a network: what is not sent is false, also by a PUT. Neutron may not know all of them."""


def narrowed(of: Resource, neutron: Json) -> Json:
    """An object with no more of it than upstream keeps, so that both sides can be compared."""
    kept = {f.neutron for f in of.fields if of.fits(f, Target.UPSTREAM) and f.compared and not f.computed}
    kept.discard("tenant_id")  # a second `project_id`, which upstream fills in
    if of.name == "network":
        kept.add("provider:segmentation_id")  # which it is made to keep
    return {
        name: value
        for name, value in neutron.items()
        if name in kept and value not in (None, "", [], {}) and not (value is False and name in _BOOLEANS)
    }


def refusal(of: Resource, neutron: Json) -> str:
    """Why upstream could not hold the object: said before anything is sent, because it would keep half of it."""
    if not of.upstream:
        return "upstream has no place for it"
    match of.name:
        case "network":
            kind = neutron.get("provider:network_type")
            return "" if kind in NETWORK_TYPES else f"its type is {kind}, and upstream knows none such"
        case "subnet":
            return _subnet_refusal(neutron)
        case "port" if neutron.get("device_owner") not in INTERFACE | MADE_FOR_ROUTERS:
            return _port_refusal(neutron)
        case "security_group_rule":
            return _rule_refusal(neutron)
        case _:
            return ""


def _subnet_refusal(neutron: Json) -> str:
    cidr = ipaddress.ip_network(neutron["cidr"], strict=False)
    if cidr.version != 4 or cidr.prefixlen not in PREFIXES:  # noqa: PLR2004  # IPv4
        return f"upstream takes IPv4 networks from /16 to /28, and it is {cidr}"
    return "" if neutron.get("gateway_ip") else "it has no gateway, and upstream would give it one"


def _port_refusal(neutron: Json) -> str:
    if not neutron.get("fixed_ips"):
        return "it has no address, and upstream would give it one"
    if any(":" in fixed["ip_address"] for fixed in neutron["fixed_ips"]):
        return "it has an IPv6 address"
    vnic = neutron.get("binding:vnic_type") or "normal"
    return "" if vnic in VNIC_TYPES else f"its vnic_type is {vnic}, and upstream knows none such"


def _rule_refusal(neutron: Json) -> str:
    low, high = neutron.get("port_range_min"), neutron.get("port_range_max")
    if neutron.get("protocol") and neutron["protocol"] not in PROTOCOLS:
        return f"its protocol is {neutron['protocol']}, which makes every bound port of the group fail"
    if (low is None) != (high is None):
        return "only one of its two port bounds is set"
    return "it names an address group" if neutron.get("remote_address_group_id") else ""


def body(of: Resource, neutron: Json) -> Json:
    """An object as upstream is sent it: nothing that is unset (an explicit null is another thing), no extension."""
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

"""Security groups and their rules, and the group `default` that every project has."""

from __future__ import annotations

import ipaddress
import uuid
from typing import TYPE_CHECKING

from alcor_model.catalogue import PORT, SECURITY_GROUP, SECURITY_GROUP_RULE
from alcor_sdn.controller.neutron.errors import fail, not_found
from alcor_sdn.controller.neutron.values import PROTOCOLS

if TYPE_CHECKING:
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

DEFAULT = "default"

_NAME_OF = {str(number): name for name, number in PROTOCOLS.items() if name != "icmpv6"}
_IPV6_ONLY = frozenset({"ipv6-encap", "ipv6-frag", "ipv6-icmp", "icmpv6", "ipv6-nonxt", "ipv6-opts", "ipv6-route"})
_IPV6_ONLY_NUMBERS = frozenset({"41", "44", "58", "59", "60", "43"})
_WITH_PORTS = {33: "dccp", 132: "sctp", 6: "tcp", 17: "udp", 136: "udplite"}
_ICMP, _ICMPV6 = 1, 58
_ALL_PORTS = (1, 65535)


def default_of(session: Session, project_id: str) -> Json | None:
    """The project's group `default`, if it has one."""
    groups = session.find(SECURITY_GROUP, project_id=project_id, name=DEFAULT)
    return next(groups, None)


def ensure_default(session: Session, project_id: str) -> Json:
    """The project's group `default`, made if there is none."""
    found = default_of(session, project_id)
    if found is not None:
        return found
    values = {"name": DEFAULT, "description": "Default security group", "project_id": project_id, "stateful": True}
    return _new_group(session, values)


def create(session: Session, values: Json) -> Json:
    """A new group with the rules that let its members send."""
    ensure_default(session, values["project_id"])
    return _new_group(session, values)


def _new_group(session: Session, values: Json) -> Json:
    group = {
        "id": values.get("id") or str(uuid.uuid4()),
        "name": values["name"],
        "stateful": values["stateful"],
        "project_id": values["project_id"],
        "description": values["description"],
        "shared": False,
        "tags": [],
    }
    session.add(SECURITY_GROUP, group, revision=1)
    directions = ["egress"] if group["name"] != DEFAULT else ["egress", "ingress"]
    for direction in directions:
        for ethertype in ("IPv4", "IPv6"):
            rule = {
                "security_group_id": group["id"],
                "project_id": group["project_id"],
                "direction": direction,
                "ethertype": ethertype,
                "protocol": None,
                "port_range_min": None,
                "port_range_max": None,
                "remote_ip_prefix": None,
                "remote_group_id": group["id"] if direction == "ingress" else None,
                "remote_address_group_id": None,
                "description": None,
            }
            _store_rule(session, rule, group)
    return group


def update(session: Session, group: Json, changes: Json) -> Json:
    """A group under another name, description or statefulness."""
    if changes.get("stateful", group.get("stateful", True)) != group.get("stateful", True) and in_use(
        session, group["id"]
    ):
        fail("SecurityGroupInUse", id=group["id"], reason="in use")
    if group.get("name") == DEFAULT and "name" in changes:
        fail("SecurityGroupCannotUpdateDefault")
    if all(group.get(name) == value for name, value in changes.items()):
        return group
    return session.touch(SECURITY_GROUP, {**group, **changes})


def delete(session: Session, group: Json) -> None:
    """Remove a group, its rules, and the rules of others that name it."""
    if in_use(session, group["id"]):
        fail("SecurityGroupInUse", id=group["id"], reason="in use")
    if group.get("name") == DEFAULT and not session.caller.admin:
        fail("SecurityGroupCannotRemoveDefault")
    rules = [r["id"] for r in session.find(SECURITY_GROUP_RULE, security_group_id=group["id"])]
    rules += [r["id"] for r in session.find(SECURITY_GROUP_RULE, remote_group_id=group["id"])]
    for rule_id in set(rules):
        session.remove(SECURITY_GROUP_RULE, rule_id)
    session.remove(SECURITY_GROUP, group["id"])


def in_use(session: Session, group_id: str) -> bool:
    """Whether a port is in the group."""
    ports = session.rows.ports_in_group([group_id])
    return bool(session.rows.existing(PORT, sorted(ports)))


def create_rules(session: Session, batch: list[Json]) -> list[Json]:
    """New rules of one group. Raises what Neutron answers when they contradict themselves or each other."""
    if len({values["security_group_id"] for values in batch}) > 1:
        fail("SecurityGroupNotSingleGroupRules")
    if len({values["project_id"] for values in batch}) > 1:
        fail("SecurityGroupRulesNotSingleProject")
    rules = [_checked_rule(session, values) for values in batch]
    group = session.visible(SECURITY_GROUP, rules[0]["security_group_id"])
    keys: set[tuple[str, ...]] = set()
    for rule in rules:
        key = _meaning(rule)
        if key in keys:
            fail("DuplicateSecurityGroupRuleInPost")
        keys.add(key)
    for existing in session.find(SECURITY_GROUP_RULE, security_group_id=group["id"]):
        if _meaning(existing) in keys:
            fail("SecurityGroupRuleExists", id=existing["id"])
    stored = [_store_rule(session, rule, group) for rule in rules]
    session.touch(SECURITY_GROUP, dict(group))
    return stored


def update_rule(session: Session, rule: Json, changes: Json) -> Json:
    """A rule with another description; nothing else of a rule changes."""
    if all(rule.get(name) == value for name, value in changes.items()):
        return rule
    return session.touch(SECURITY_GROUP_RULE, {**rule, **changes})


def delete_rule(session: Session, rule: Json) -> None:
    """Remove a rule."""
    session.remove(SECURITY_GROUP_RULE, rule["id"])
    group = session.get(SECURITY_GROUP, rule["security_group_id"])
    if group is not None:
        session.touch(SECURITY_GROUP, dict(group))


def _store_rule(session: Session, rule: Json, group: Json) -> Json:
    prefix = rule["remote_ip_prefix"]
    rule = {
        "id": str(uuid.uuid4()),
        **rule,
        "normalized_cidr": str(ipaddress.ip_network(prefix, strict=False)) if prefix else None,
        "belongs_to_default_sg": group.get("name") == DEFAULT,
    }
    return session.add(SECURITY_GROUP_RULE, rule, revision=0)


def _checked_rule(session: Session, values: Json) -> Json:
    rule = dict(values)
    if rule["ethertype"] == "IPv6" and rule["protocol"] in {"icmp", "icmpv6"}:
        rule["protocol"] = "ipv6-icmp"
    elif rule["ethertype"] == "IPv6" and rule["protocol"] == str(_ICMP):
        rule["protocol"] = str(_ICMPV6)
    if (rule["port_range_min"], rule["port_range_max"]) == _ALL_PORTS:
        rule["port_range_min"] = rule["port_range_max"] = None
    _check_ports(rule)
    prefix = rule["remote_ip_prefix"]
    if prefix and rule["ethertype"] != f"IPv{ipaddress.ip_interface(prefix).version}":
        fail("SecurityGroupRuleParameterConflict", ethertype=rule["ethertype"], cidr=prefix)
    if rule["ethertype"] == "IPv4" and rule["protocol"] in _IPV6_ONLY | _IPV6_ONLY_NUMBERS:
        fail("SecurityGroupEthertypeConflictWithProtocol", ethertype=rule["ethertype"], protocol=rule["protocol"])
    if sum(bool(rule[name]) for name in ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")) > 1:
        fail("SecurityGroupMultipleRemoteEntites")
    if rule["remote_group_id"]:
        session.visible(SECURITY_GROUP, rule["remote_group_id"])
    if rule["remote_address_group_id"]:
        fail("AddressGroupNotFound", id=rule["remote_address_group_id"])
    if session.get(SECURITY_GROUP, rule["security_group_id"]) is None:
        raise not_found("security_group", rule["security_group_id"])
    return rule


def _check_ports(rule: Json) -> None:
    low, high = rule["port_range_min"], rule["port_range_max"]
    if low is None and high is None:
        return
    if not rule["protocol"]:
        fail("SecurityGroupProtocolRequiredWithPorts")
    number = PROTOCOLS[rule["protocol"]] if rule["protocol"] in PROTOCOLS else int(rule["protocol"])
    if number in _WITH_PORTS:
        if 0 in {low, high}:
            fail("SecurityGroupInvalidPortValue", port=0)
        if low is None or high is None or low > high:
            fail("SecurityGroupInvalidPortRange")
    elif number in {_ICMP, _ICMPV6}:
        for attribute, field, value in (("port_range_min", "type", low), ("port_range_max", "code", high)):
            if value is not None and not 0 <= value <= 255:  # noqa: PLR2004 (one octet, RFC 792)
                fail("SecurityGroupInvalidIcmpValue", field=field, attribute=attribute, value=value)
        if low is None:
            fail("SecurityGroupMissingIcmpType", value=high)
    else:
        supported = ", ".join(name.upper() for name in _WITH_PORTS.values())
        fail("SecurityGroupInvalidProtocolForPort", protocol=number, supported=supported)


def _meaning(rule: Json) -> tuple[str, ...]:
    """What two rules share when they mean the same."""
    protocol = rule.get("protocol")
    if protocol is not None:
        protocol = _NAME_OF.get(protocol, protocol)
    prefix = rule.get("remote_ip_prefix")
    return (
        rule["security_group_id"],
        rule["direction"],
        str(rule.get("ethertype")),
        str(protocol),
        str(rule.get("port_range_min")),
        str(rule.get("port_range_max")),
        str(rule.get("remote_group_id")),
        str(rule.get("remote_address_group_id")),
        "any" if prefix in {None, "0.0.0.0/0", "::/0"} else str(prefix),
    )

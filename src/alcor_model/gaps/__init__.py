"""What a target does not hold, serve or enact of what Neutron has; pure.

* `rules`: every rule as data, with its consequence and the ways out.
* `upstream`: which of upstream Alcor's rules an object falls under.
* here: an `Examiner` looks at one object after the other with the eyes of a target.

The bundled Alcor holds everything; what it does not serve or enact yet is told, and nothing needs an answer.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec

from alcor_model.canonical import canonical
from alcor_model.fields import Target
from alcor_model.gaps import rules as _rules
from alcor_model.gaps.rules import NOTICES, RULES, Rule, Severity
from alcor_model.gaps.upstream import Checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json

SERVED = frozenset(
    {"network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule"},
)
"""Resources whose Neutron API the bundled Alcor serves itself; a test compares with its controller."""

NOT_ENACTED = {
    "policy": "no limits, marks or guarantees",
    "bandwidth_limit_rule": "no limits",
    "dscp_marking_rule": "no marks",
    "minimum_bandwidth_rule": "no guarantees",
    "minimum_packet_rate_rule": "no guarantees",
    "packet_rate_limit_rule": "no limits",
    "trunk": "no subports: a server's VLANs lead nowhere",
    "port_forwarding": "no forwarding",
    "conntrack_helper": "no helper",
    "ndp_proxy": "no proxy",
    "local_ip": "no translation",
    "port_association": "no translation",
    "metering_label": "nothing is counted",
    "metering_label_rule": "nothing is counted",
    "log": "nothing is logged",
    "vpnservice": "no tunnel",
    "ipsec_site_connection": "no tunnel",
    "bgp_speaker": "nothing is advertised",
    "bgp_peer": "nothing is advertised",
    "address_group": "rules that refer to one are not sent to hosts",
}
"""Resources that the goal-state protocol has no word for, and what is missing on the hosts."""


class Finding(msgspec.Struct, frozen=True):
    """An object that a rule is about."""

    rule: Rule
    resource: str
    id: str
    detail: str = ""
    """The field, the value, or the other object that it is about."""


class Examiner:
    """Looks at the objects of a cloud, in load order, with the eyes of a target.

    Of an upstream target it keeps each MAC and each bound port's device, about 130 bytes a port; of a bundled one
    nothing.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._checks = Checks()

    def examine(self, of: Resource, neutron: Json) -> Iterator[Finding]:
        """What does not fit about an object in Neutron's form that `mapping.check` finds nothing wrong with."""
        if of.observed:
            return
        if self._target is Target.BUNDLED:
            found = _bundled(of)
        elif not of.upstream:
            found = iter([(_rules.NO_PLACE, "")])
        else:
            found = self._upstream(of, neutron)
        for rule, detail in found:
            yield Finding(rule, of.name, neutron["id"], detail)

    def _upstream(self, of: Resource, neutron: Json) -> Iterator[tuple[Rule, str]]:
        if lost := sorted(canonical(of, neutron, given=True).keys() & _lost(of)):
            yield _rules.FIELD_LOST, ", ".join(lost)
        yield from self._checks.of(of, neutron)


def rules(target: Target) -> tuple[Rule, ...]:
    """Every rule of a target; those of `notices` find no objects."""
    return tuple(rule for rule in RULES if rule.target is target)


def notices(target: Target) -> tuple[Rule, ...]:
    """What holds for a target as a whole, whatever the cloud has."""
    return tuple(rule for rule in NOTICES if rule.target is target)


def _bundled(of: Resource) -> Iterator[tuple[Rule, str]]:
    if of.name not in SERVED:
        yield _rules.NOT_SERVED, ""
    if of.name in NOT_ENACTED:
        yield _rules.NOT_ENACTED, NOT_ENACTED[of.name]


@cache
def _lost(of: Resource) -> frozenset[str]:
    """Fields that somebody gave and upstream drops; what Neutron computes itself is nobody's loss."""
    return frozenset(f.neutron for f in of.fields if not of.fits(f, Target.UPSTREAM) and not f.computed)


__all__ = ["NOT_ENACTED", "SERVED", "Examiner", "Finding", "Rule", "Severity", "notices", "rules"]

"""What an object says that cannot be true together with what else it says.

Only what the object itself shows: whether an address is one of its subnet, or an id that of anything, is for whoever
has the other objects too.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_model.fields import Json

Contradiction = tuple[str, str]
"""A field, and what is wrong with it as the end of a sentence."""


def _of_subnet(neutron: Json) -> Contradiction | None:
    version = neutron["ip_version"]
    if version not in _VERSIONS:
        return "ip_version", f"is {version}, neither 4 nor 6"
    for field in ("cidr", "gateway_ip"):
        text = neutron.get(field)
        if text and _version(text) != version:
            return field, f"is {text!r}, which contradicts ip_version {version}"
    return None


def _of_rule(neutron: Json) -> Contradiction | None:
    version, prefix = _ETHERTYPES.get(neutron.get("ethertype") or ""), neutron.get("remote_ip_prefix")
    if version and prefix and _version(prefix) != version:
        return "remote_ip_prefix", f"is {prefix!r}, which contradicts ethertype {neutron['ethertype']}"
    low, high = neutron.get("port_range_min"), neutron.get("port_range_max")
    if neutron.get("protocol") in _WITH_PORTS and low is not None and high is not None and low > high:
        return "port_range_max", f"is {high}, which contradicts port_range_min {low}"
    return None


CONTRADICTIONS: dict[str, Callable[[Json], Contradiction | None]] = {
    "subnet": _of_subnet,
    "security_group_rule": _of_rule,
    "default_security_group_rule": _of_rule,
}
"""By the name of the resource; asked about objects whose fields are of their types and whose addresses are some."""

_VERSIONS = (4, 6)
_ETHERTYPES = {"IPv4": 4, "IPv6": 6}
_WITH_PORTS = frozenset({"tcp", "udp", "sctp", "dccp", "udplite", "6", "17", "132", "33", "136"})


def _version(text: str) -> int:
    return ipaddress.ip_network(text, strict=False).version

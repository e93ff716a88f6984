"""Networks: where they lie (type, physical network, segmentation id), how large their packets are."""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any

from alcor_model.catalogue import FLOATING_IP, NETWORK, PORT, SUBNET
from alcor_sdn.controller.neutron.attributes import UNSET
from alcor_sdn.controller.neutron.errors import fail, fault, invalid
from alcor_sdn.controller.services import floating_ips, ports, security_groups

if TYPE_CHECKING:
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

_PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")
_TUNNELS = {"vxlan": 50, "geneve": 58, "gre": 42}
"""Overlay types, and how many bytes of the underlay's packet their headers take (RFC 7348, RFC 8926, RFC 2784)."""
_TUNNEL_IDS = {"vxlan": 2**24 - 1, "geneve": 2**24 - 1, "gre": 2**32 - 1}
_VLAN_IDS = (1, 4094)
_IPV4_MTU, _IPV6_MTU = 68, 1280
"""The smallest packets of IPv4 (RFC 791) and IPv6 (RFC 8200)."""
_AUTOMATIC_PORTS = frozenset({"network:dhcp", "network:distributed", "network:floatingip_agent_gateway"})
_TRIES = 32


def create(session: Session, values: Json) -> Json:
    """A new network on a segment of its own."""
    if values["project_id"]:
        security_groups.ensure_default(session, values["project_id"])
    _refuse_qos_policy(values["qos_policy_id"])
    segments = _requested_segments(values)
    placed = [_place(session, segment) for segment in segments]
    network = {
        "id": values.get("id") or str(uuid.uuid4()),
        "name": values["name"],
        "project_id": values["project_id"],
        "admin_state_up": values["admin_state_up"],
        "mtu": _mtu(session, placed[0]["provider:network_type"], values["mtu"]),
        "status": "ACTIVE",
        "shared": values["shared"],
        "port_security_enabled": values["port_security_enabled"],
        "qos_policy_id": None,
        "dns_domain": values["dns_domain"],
        "router:external": values["router:external"],
        "availability_zone_hints": values["availability_zone_hints"],
        "availability_zones": [],
        "ipv4_address_scope": None,
        "ipv6_address_scope": None,
        "description": values["description"],
        "l2_adjacency": True,
        "tags": [],
    }
    if network["router:external"]:
        network["is_default"] = values["is_default"]
    if len(placed) > 1:
        network["segments"] = placed
    else:
        network.update(placed[0])
    return session.add(NETWORK, network, revision=1)


def update(session: Session, network: Json, changes: Json) -> Json:
    """A changed network. Raises what Neutron answers when others rely on what would change."""
    changed = dict(network)
    provider = {name: changes[name] for name in _PROVIDER if name in changes}
    if provider or changes.get("segments"):
        _move(session, network, changed, provider)
    if "shared" in changes and network.get("shared") and not changes["shared"]:
        _stays_shared(session, network)
    if "router:external" in changes and changes["router:external"] != bool(network.get("router:external")):
        _change_external(session, network, changed, external=changes["router:external"])
    if "is_default" in changes and changed.get("router:external"):
        changed["is_default"] = changes["is_default"]
    if "mtu" in changes:
        _mtu_suits(session, network, changes["mtu"])
        changed["mtu"] = _mtu(session, network.get("provider:network_type"), changes["mtu"])
    if "qos_policy_id" in changes and changes["qos_policy_id"] != network.get("qos_policy_id"):
        _refuse_qos_policy(changes["qos_policy_id"])
        changed["qos_policy_id"] = None
    handled = {*_PROVIDER, "segments", "router:external", "is_default", "mtu", "qos_policy_id"}
    changed.update({name: value for name, value in changes.items() if name not in handled})
    return network if changed == network else session.touch(NETWORK, changed)


def delete(session: Session, network: Json) -> None:
    """Remove a network with its subnets and automatic ports. Raises NetworkInUse."""
    attached = list(session.find(PORT, network_id=network["id"]))
    if network.get("router:external"):
        for floating in list(session.find(FLOATING_IP, floating_network_id=network["id"])):
            if floating.get("port_id") is None:
                floating_ips.delete(session, floating)
                attached = [p for p in attached if p.get("device_id") != floating["id"]]
    in_use = [port["id"] for port in attached if port.get("device_owner") not in _AUTOMATIC_PORTS]
    if in_use:
        reason = "There are one or more ports still in use on the network, id for these ports is: "
        fail("NetworkInUse", id=network["id"], reason=reason + ",".join(in_use))
    for port in attached:
        ports.remove(session, port)
    for subnet in list(session.find(SUBNET, network_id=network["id"])):
        session.remove(SUBNET, subnet["id"])
    session.remove(NETWORK, network["id"])


def _requested_segments(values: Json) -> list[Json]:
    provider = {name: values[name] for name in _PROVIDER if values[name] is not UNSET}
    if values["segments"] is UNSET or not values["segments"]:
        return [provider]
    if provider:
        raise fault("InvalidInput", reason="Segments and provider values cannot both be set")
    segments: list[Json] = values["segments"]
    return segments


def _place(session: Session, wanted: Json) -> Json:
    """A segment for a network: what is asked for if it is free, or a free one."""
    network_type = wanted.get("provider:network_type")
    physical = wanted.get("provider:physical_network")
    number = wanted.get("provider:segmentation_id")
    if network_type is None:
        if physical is not None or number is not None:
            raise invalid("network_type required")
        network_type = session.settings.network_type
    match network_type:
        case "flat":
            number, physical = _flat(session, physical, number)
        case "local":
            if physical is not None:
                raise invalid("provider:physical_network prohibited for local provider network")
            if number is not None:
                raise invalid("provider:segmentation_id prohibited for local provider network")
        case "vlan":
            number, physical = _vlan(session, physical, number)
        case _ if network_type in _TUNNELS:
            if physical is not None:
                raise invalid(f"provider:physical_network specified for {network_type} network")
            number = _tunnel(session, network_type, number)
        case _:
            raise invalid(f"network_type value '{network_type}' not supported")
    return dict(zip(_PROVIDER, (network_type, physical, number), strict=True))


def _flat(session: Session, physical: str | None, number: int | None) -> tuple[None, str]:
    if not physical:
        raise invalid("physical_network required for flat provider network")
    if number is not None:
        raise invalid("segmentation_id prohibited for flat provider network")
    if session.rows.segment_holder("flat", physical, None):
        fail("FlatNetworkInUse", physical=physical)
    return None, physical


def _vlan(session: Session, physical: str | None, number: int | None) -> tuple[int, str]:
    known = session.settings.vlan_ranges
    if number is not None and not physical:
        raise invalid("segmentation_id requires physical_network for VLAN provider network")
    if number is None:
        for name in [physical] if physical else known:
            if name not in known:
                raise invalid(f"physical_network '{name}' unknown for VLAN provider network")
            free = _free_id(session, "vlan", name, [known[name]])
            if free is not None:
                return free, name
        raise fault("NoNetworkAvailable")
    if not _VLAN_IDS[0] <= number <= _VLAN_IDS[1]:
        raise invalid(f"segmentation_id out of range ({_VLAN_IDS[0]} through {_VLAN_IDS[1]})")
    assert physical is not None  # noqa: S101 (a number without one was refused above)
    if session.rows.segment_holder("vlan", physical, number):
        fail("VlanIdInUse", vlan=number, physical=physical)
    return number, physical


def _tunnel(session: Session, network_type: str, number: int | None) -> int:
    if number is None:
        free = _free_id(session, network_type, None, session.settings.vni_ranges)
        if free is None:
            raise fault("NoNetworkAvailable")
        return free
    if not 0 <= number <= _TUNNEL_IDS[network_type]:
        raise invalid(f"segmentation_id out of range (0 through {_TUNNEL_IDS[network_type]})")
    if session.rows.segment_holder(network_type, None, number):
        fail("TunnelIdInUse", tunnel=number)
    return number


def _free_id(session: Session, network_type: str, physical: str | None, ranges: Any) -> int | None:
    """A segmentation id that no network uses: by luck while that works, else the lowest."""
    sizes = [high - low + 1 for low, high in ranges]
    for _ in range(_TRIES):
        position = secrets.randbelow(sum(sizes))
        for (low, _high), size in zip(ranges, sizes, strict=True):
            if position < size:
                if session.rows.segment_holder(network_type, physical, low + position) is None:
                    return int(low + position)
                break
            position -= size
    return next(
        (
            number
            for low, high in ranges
            for number in range(low, high + 1)
            if session.rows.segment_holder(network_type, physical, number) is None
        ),
        None,
    )


def _mtu(session: Session, network_type: str | None, wanted: int) -> int:
    largest = session.settings.path_mtu - _TUNNELS.get(network_type or "", 0)
    if not wanted:
        return largest
    if wanted > largest:
        raise invalid(f"Requested MTU is too big, maximum is {largest}")
    return wanted


def _mtu_suits(session: Session, network: Json, mtu: int) -> None:
    if mtu >= _IPV6_MTU:
        return
    for subnet in session.find(SUBNET, network_id=network["id"]):
        needed = _IPV4_MTU if mtu < _IPV4_MTU else _IPV6_MTU
        if mtu < _IPV4_MTU or subnet["ip_version"] == 6:  # noqa: PLR2004 (IP versions)
            fail("NetworkMTUSubnetConflict", id=network["id"], mtu=needed)


def _move(session: Session, network: Json, changed: Json, provider: Json) -> None:
    same = {name: network.get(name) for name in provider}
    if provider == same:
        return
    only_number = {name for name in provider if provider[name] != same[name]} == {"provider:segmentation_id"}
    if not only_number or network.get("provider:network_type") != "vlan":
        raise invalid(
            "Plugin does not support updating the following provider network attributes: "
            + ", ".join(sorted(name for name in provider if provider[name] != same[name]))
        )
    changed.update(_place(session, {**{n: network.get(n) for n in _PROVIDER}, **provider}))


def _stays_shared(session: Session, network: Json) -> None:
    """Refuse to stop sharing a network that ports or subnets of others use."""
    own = {network.get("project_id"), "", None}
    used = (*session.find(PORT, network_id=network["id"]), *session.find(SUBNET, network_id=network["id"]))
    if any(user.get("project_id") not in own for user in used):
        fail("InvalidSharedSetting", name=network.get("name"))


def _change_external(session: Session, network: Json, changed: Json, *, external: bool) -> None:
    if not external:
        gateways = (p for p in session.find(PORT, network_id=network["id"]))
        if any(port.get("device_owner") == "network:router_gateway" for port in gateways):
            fail("ExternalNetworkInUse", id=network["id"])
    changed["router:external"] = external
    if external:
        changed.setdefault("is_default", False)
    for subnet in list(session.find(SUBNET, network_id=network["id"])):
        session.save(SUBNET, {**subnet, "router:external": external})


def _refuse_qos_policy(wanted: str | None) -> None:
    if wanted is not None:
        fail("QosPolicyNotFound", id=wanted)

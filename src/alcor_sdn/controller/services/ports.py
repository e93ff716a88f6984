"""Ports: addresses, security, binding."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from alcor_model.catalogue import FLOATING_IP, NETWORK, PORT, ROUTER, SECURITY_GROUP
from alcor_sdn.controller.neutron.attributes import UNSET
from alcor_sdn.controller.neutron.errors import fail, fault
from alcor_sdn.controller.services import ipam, macs, security_groups

if TYPE_CHECKING:
    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

_NO_DOMAIN = "openstacklocal."
_UNBOUND: Json = {"binding:vif_type": "unbound", "binding:vif_details": {}}
_BOUND: Json = {
    "binding:vif_type": "ovs",
    "binding:vif_details": {
        "connectivity": "l2",
        "port_filter": True,
        "ovs_hybrid_plug": False,
        "ovs_create_tap": True,
        "datapath_type": "system",
        "bridge_name": "br-int",
        "bound_drivers": {"0": "openvswitch"},
    },
}
"""What Nova needs to plug a virtual interface into the integration bridge of Open vSwitch."""
_FAILED: Json = {"binding:vif_type": "binding_failed", "binding:vif_details": {}}
_BINDING_STEPS = 2
"""How many revisions Neutron counts for a binding beside the change itself."""
_SERVICE_OWNERS = frozenset(
    {
        "network:router_interface",
        "network:router_gateway",
        "network:floatingip",
        "network:ha_router_replicated_interface",
    }
)
_PLAIN = (
    "name",
    "admin_state_up",
    "device_id",
    "device_owner",
    "description",
    "numa_affinity_policy",
    "hints",
    "trusted",
    "data_plane_status",
    "propagate_uplink_status",
    "dns_domain",
)


def create(session: Session, values: Json, *, status: str = "DOWN") -> Json:
    """A new port with its addresses."""
    project = values["project_id"]
    if project:
        security_groups.ensure_default(session, project)
    network = session.visible(NETWORK, values["network_id"])
    owner = values["device_owner"]
    _check_device(session, owner, values["device_id"], project)
    mac = macs.claim(session, network["id"], _given(values["mac_address"]))
    wanted = _given(values["fixed_ips"])
    security = _port_security(network, owner, values["port_security_enabled"])
    if values["qos_policy_id"] is not None:
        fail("QosPolicyNotFound", id=values["qos_policy_id"])
    port: Json = {
        "id": values.get("id") or str(uuid.uuid4()),
        "name": values["name"],
        "network_id": network["id"],
        "project_id": project,
        "mac_address": mac,
        "admin_state_up": values["admin_state_up"],
        "status": status,
        "device_id": values["device_id"],
        "device_owner": owner,
        "fixed_ips": ipam.for_new_port(session, network["id"], mac, owner, wanted),
        "allowed_address_pairs": _pairs(values["allowed_address_pairs"], mac, security=security),
        "extra_dhcp_opts": _dhcp_options([], values["extra_dhcp_opts"]),
        "security_groups": _groups(session, values["security_groups"], owner, project, security=security),
        "description": values["description"],
        "binding:vnic_type": values["binding:vnic_type"],
        "binding:profile": _given(values["binding:profile"]) or {},
        "binding:host_id": _given(values["binding:host_id"]) or "",
        "port_security_enabled": security,
        "qos_policy_id": None,
        "qos_network_policy_id": network.get("qos_policy_id"),
        "dns_name": _host_name(session, values["dns_name"]),
        "dns_domain": values["dns_domain"],
        "propagate_uplink_status": values["propagate_uplink_status"],
        "data_plane_status": None,
        "numa_affinity_policy": values["numa_affinity_policy"],
        "device_profile": values["device_profile"],
        "hints": values["hints"],
        "trusted": _given(values["trusted"]),
        "hardware_offload_type": _given(values["hardware_offload_type"]),
        "resource_request": None,
        "ip_allocation": "none" if wanted == [] else "immediate",
        "tags": values["tags"],
    }
    port.update(_binding(port))
    _show_trust(port)
    revision = 1 + (_BINDING_STEPS if port["binding:host_id"] else 0) + bool(port["tags"])
    return session.add(PORT, with_names(session, port), revision=revision)


def update(session: Session, port: Json, changes: Json) -> Json:
    """A changed port."""
    changed = {**port, **{name: changes[name] for name in _PLAIN if name in changes}}
    for name in ("device_id", "device_owner"):
        changed[name] = changed.get(name) or ""
    if "device_owner" in changes or "device_id" in changes:
        _check_device(session, changed["device_owner"], changed["device_id"], port["project_id"])
    if "mac_address" in changes:
        changed["mac_address"] = _new_mac(session, port, changed, changes["mac_address"])
    if changes.get("qos_policy_id", port.get("qos_policy_id")) != port.get("qos_policy_id"):
        if changes["qos_policy_id"] is not None:
            fail("QosPolicyNotFound", id=changes["qos_policy_id"])
        changed["qos_policy_id"] = None
    if "fixed_ips" in changes or changed["mac_address"] != port["mac_address"]:
        changed["fixed_ips"] = _new_addresses(session, port, changed, changes)
    _secure(session, port, changed, changes)
    if changes.get("extra_dhcp_opts"):
        changed["extra_dhcp_opts"] = _dhcp_options(port.get("extra_dhcp_opts") or [], changes["extra_dhcp_opts"])
    if "dns_name" in changes:
        changed["dns_name"] = _host_name(session, changes["dns_name"])
    steps = 1 + _bind(port, changed, changes)
    if "trusted" in changes or "binding:profile" in changes:
        _show_trust(changed)
    changed = with_names(session, changed)
    return port if changed == port else session.touch(PORT, changed, steps=steps)


def delete(session: Session, port: Json) -> None:
    """Remove a port that is not some service's. Raises ServicePortInUse, FipAssociated."""
    owner = port.get("device_owner")
    if owner in _SERVICE_OWNERS and session.get(
        FLOATING_IP if owner == "network:floatingip" else ROUTER, port.get("device_id")
    ):
        fail("ServicePortInUse", id=port["id"], reason=f"has device owner {owner}")
    floating = list(session.find(FLOATING_IP, port_id=port["id"]))
    caller = session.caller
    if not caller.admin and any(one["project_id"] != caller.project_id for one in floating):
        fail("FipAssociated", port=port["id"])
    remove(session, port)


def remove(session: Session, port: Json) -> None:
    """Remove a port, whatever it is for; floating IPs let go of it."""
    for floating in list(session.find(FLOATING_IP, port_id=port["id"])):
        free = {"port_id": None, "fixed_ip_address": None, "router_id": None}
        session.touch(FLOATING_IP, {**floating, **free})
    session.remove(PORT, port["id"])


def service_port(session: Session, **values: Any) -> Json:
    """A port that the controller makes for a service of its own: unset attributes have their defaults."""
    blank = {
        "name": "",
        "admin_state_up": True,
        "mac_address": UNSET,
        "fixed_ips": UNSET,
        "device_id": "",
        "device_owner": "",
        "port_security_enabled": UNSET,
        "qos_policy_id": None,
        "allowed_address_pairs": UNSET,
        "extra_dhcp_opts": None,
        "security_groups": UNSET,
        "description": "",
        "binding:vnic_type": "normal",
        "binding:profile": UNSET,
        "binding:host_id": UNSET,
        "dns_name": "",
        "dns_domain": "",
        "propagate_uplink_status": True,
        "numa_affinity_policy": None,
        "device_profile": None,
        "hints": None,
        "trusted": UNSET,
        "hardware_offload_type": UNSET,
        "tags": [],
    }
    status = values.pop("status", "DOWN")
    return create(session, {**blank, **values}, status=status)


def with_names(session: Session, port: Json) -> Json:
    """The port with what DNS would answer for its addresses."""
    domain = session.settings.dns_domain
    name = port.get("dns_name") or ""
    assignment = []
    for ip in port.get("fixed_ips") or []:
        host = name or "host-" + ip["ip_address"].replace(".", "-").replace(":", "-")
        full = host if host.endswith(".") else f"{host}.{domain}"
        assignment.append({"ip_address": ip["ip_address"], "hostname": host, "fqdn": full})
    return {**port, "dns_assignment": assignment}


def _given(value: Any) -> Any:
    return None if value is UNSET else value


def trusted_owner(owner: str | None) -> bool:
    """Whether ports of this owner are the cloud's own, without port security."""
    return bool(owner) and str(owner).startswith("network:")


def _check_device(session: Session, owner: str, device: str, project: str) -> None:
    """Keep projects from posing as interfaces of others' routers."""
    if session.caller.admin or not device or owner not in ipam.ROUTER_INTERFACE_OWNERS:
        return
    router = session.get(ROUTER, device)
    if router is not None and router["project_id"] != project:
        fail("DeviceIDNotOwnedByTenant", device=device)


def _port_security(network: Json, owner: str, wanted: Any) -> bool:
    if trusted_owner(owner):
        return False
    if wanted is not UNSET:
        return bool(wanted)
    enabled = network.get("port_security_enabled")
    return True if enabled is None else bool(enabled)


def _groups(session: Session, wanted: Any, owner: str, project: str, *, security: bool) -> list[str]:
    if not security:
        if wanted is not UNSET and wanted and not trusted_owner(owner):
            fail("PortSecurityAndIPRequiredForSecurityGroups")
        return []
    if wanted is UNSET:
        return [security_groups.ensure_default(session, project)["id"]] if project else []
    return _known_groups(session, wanted)


def _known_groups(session: Session, wanted: list[str]) -> list[str]:
    groups = {g: session.get(SECURITY_GROUP, g) for g in wanted}
    missing = [g for g, found in groups.items() if found is None or not session.may_see(SECURITY_GROUP, found)]
    if missing:
        fail("SecurityGroupNotFound", id=", ".join(missing))
    stateful = {found.get("stateful", True) for found in groups.values() if found}
    if len(stateful) > 1:
        reason = "Cannot apply both stateful and stateless security groups on the same port at the same time"
        fail("SecurityGroupConflict", reason=reason)
    return wanted


def _pairs(wanted: Any, mac: str, *, security: bool) -> list[Json]:
    if wanted is UNSET or not wanted:
        return []
    if not security:
        fail("AddressPairAndPortSecurityRequired")
    pairs = [{"mac_address": pair.get("mac_address") or mac, "ip_address": pair["ip_address"]} for pair in wanted]
    return [{**pair, "mac_address": macs.normal(pair["mac_address"])} for pair in pairs]


def _dhcp_options(old: list[Json], wanted: list[Json] | None) -> list[Json]:
    """The options after a change: same name and version replaces, a value of null removes."""
    options = {(o["opt_name"], o["ip_version"]): o for o in old}
    for option in wanted or []:
        key = (option["opt_name"], int(option.get("ip_version", 4)))
        if option["opt_value"] is None:
            options.pop(key, None)
        else:
            options[key] = {"opt_name": key[0], "opt_value": option["opt_value"], "ip_version": key[1]}
    return list(options.values())


def _host_name(session: Session, name: str) -> str:
    if session.settings.dns_domain == _NO_DOMAIN:
        return ""
    return name


def _binding(port: Json) -> Json:
    if not port.get("binding:host_id"):
        return _UNBOUND
    return _BOUND if port.get("binding:vnic_type", "normal") == "normal" else _FAILED


def _show_trust(port: Json) -> None:
    """Nova reads from the binding's profile whether a virtual function may be trusted."""
    if port.get("trusted") is not None:
        port["binding:profile"] = {**(port.get("binding:profile") or {}), "trusted": port["trusted"]}


def _bind(port: Json, changed: Json, changes: Json) -> int:
    """Bind, move or unbind a port; says how many revisions that counts beside the change itself."""
    host = port.get("binding:host_id") or ""
    if "binding:host_id" in changes:
        changed["binding:host_id"] = changes["binding:host_id"] or ""
    if "binding:profile" in changes:
        changed["binding:profile"] = changes["binding:profile"] or {}
    if "binding:vnic_type" in changes and changes["binding:vnic_type"] != port.get("binding:vnic_type"):
        if port.get("binding:vif_type") not in {"unbound", "binding_failed", None}:
            fail("PortInUse", id=port["id"], network=port["network_id"], device=port.get("device_id") or "")
        changed["binding:vnic_type"] = changes["binding:vnic_type"]
    moved = changed.get("binding:host_id", "") != host
    if moved or changed.get("binding:vnic_type") != port.get("binding:vnic_type"):
        changed.update(_binding(changed))
    if moved:
        changed["status"] = "DOWN" if port.get("status") in {"ACTIVE", "BUILD"} else port.get("status")
    return _BINDING_STEPS if moved and changed.get("binding:host_id") else 0


def _new_mac(session: Session, port: Json, changed: Json, wanted: str | None) -> str:
    mac = macs.normal(wanted) if wanted else macs.claim(session, port["network_id"], None)
    if mac == port["mac_address"]:
        return mac
    owner = changed["device_owner"]
    if trusted_owner(owner):
        fail("UnsupportedPortDeviceOwner", operation="mac address update", owner=owner, id=port["id"])
    bound = port.get("binding:vif_type") not in {"unbound", "binding_failed", None}
    if bound and port.get("binding:host_id") and owner:
        fail("PortBound", id=port["id"], vif_type=port["binding:vif_type"], old=port["mac_address"], new=mac)
    return macs.claim(session, port["network_id"], mac)


def _new_addresses(session: Session, port: Json, changed: Json, changes: Json) -> list[Json]:
    mac = changed["mac_address"]
    wanted = changes.get("fixed_ips")
    if wanted is None:
        addresses = _with_new_mac(session, port, mac)
    else:
        addresses = ipam.for_changed_port(session, {**port, **changed}, wanted, mac)
    lost = {ip["ip_address"] for ip in port.get("fixed_ips") or []} - {ip["ip_address"] for ip in addresses}
    if any(floating.get("fixed_ip_address") in lost for floating in session.find(FLOATING_IP, port_id=port["id"])):
        raise fault(
            "BadRequest",
            resource="port",
            reason=f"Cannot update the fixed_ips of the port {port['id']}, because its original fixed_ip has "
            "been associated to a floating ip",
        )
    return addresses


def _with_new_mac(session: Session, port: Json, mac: str) -> list[Json]:
    """The addresses of a port whose MAC changes: those made from the MAC change with it."""
    automatic = {s["id"]: s for s in ipam.subnets_of(session, port["network_id"]) if ipam.automatic(s)}
    return [
        {**ip, "ip_address": ipam.eui64(automatic[ip["subnet_id"]]["cidr"], mac)}
        if ip["subnet_id"] in automatic
        and ip["ip_address"] == ipam.eui64(automatic[ip["subnet_id"]]["cidr"], port["mac_address"])
        else ip
        for ip in port.get("fixed_ips") or []
    ]


def _secure(session: Session, port: Json, changed: Json, changes: Json) -> None:
    """Port security, groups and address pairs, which depend on each other."""
    if "port_security_enabled" in changes:
        changed["port_security_enabled"] = changes["port_security_enabled"]
    security = changed.get("port_security_enabled") is not False
    if "security_groups" in changes:
        if changes["security_groups"] and not security:
            fail("PortSecurityAndIPRequiredForSecurityGroups")
        if set(changes["security_groups"]) != set(port.get("security_groups") or []):
            changed["security_groups"] = _known_groups(session, changes["security_groups"])
    elif not security and port.get("security_groups"):
        fail("PortSecurityPortHasSecurityGroup")
    if "allowed_address_pairs" in changes:
        wanted = changes["allowed_address_pairs"]
        changed["allowed_address_pairs"] = _pairs(wanted, changed["mac_address"], security=security)
    elif not security and port.get("allowed_address_pairs"):
        fail("AddressPairAndPortSecurityRequired")

"""Floating IPs: an address of an external network, and the port that it leads to."""

from __future__ import annotations

import ipaddress
import uuid
from typing import TYPE_CHECKING

from alcor_model.catalogue import FLOATING_IP, NETWORK, PORT, ROUTER, SUBNET
from alcor_sdn.controller.neutron.errors import fail, fault
from alcor_sdn.controller.services import ipam, ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alcor_model.fields import Json
    from alcor_sdn.controller.services.session import Session

_V4 = 4
_FREE: Json = {"port_id": None, "fixed_ip_address": None, "router_id": None}


def create(session: Session, values: Json) -> Json:
    """A new floating IP, and the port of the external network that holds its address."""
    network = session.visible(NETWORK, values["floating_network_id"])
    if not network.get("router:external"):
        raise _refused(f"Network {network['id']} is not a valid external network")
    if all(subnet["ip_version"] != _V4 for subnet in ipam.subnets_of(session, network["id"])):
        raise _refused(f"Network {network['id']} does not contain any IPv4 subnet")
    if values["qos_policy_id"] is not None:
        fail("QosPolicyNotFound", id=values["qos_policy_id"])
    floating_id = values.get("id") or str(uuid.uuid4())
    wish = {
        name: value
        for name, value in (("subnet_id", values["subnet_id"]), ("ip_address", values["floating_ip_address"]))
        if value is not None
    }
    holder = ports.service_port(
        session,
        network_id=network["id"],
        project_id="",
        device_id=floating_id,
        device_owner="network:floatingip",
        status="N/A",
        **({"fixed_ips": [wish]} if wish else {}),
    )
    address = next((ip for ip in holder["fixed_ips"] if _version(ip["ip_address"]) == _V4), None)
    if address is None:
        fail("ExternalIpAddressExhausted", network=network["id"])
    session.touch(PORT, dict(holder))
    floating = {
        "id": floating_id,
        "project_id": values["project_id"],
        "floating_ip_address": address["ip_address"],
        "floating_network_id": network["id"],
        **_FREE,
        "status": "DOWN",
        "description": values["description"],
        "qos_policy_id": None,
        # Without an external DNS service Neutron forgets these two; nobody would publish them here either.
        "dns_domain": "",
        "dns_name": "",
        "tags": [],
    }
    wanted = {name: values[name] for name in _FREE if values[name] is not None}
    floating.update(_association(session, floating, wanted))
    return session.add(FLOATING_IP, floating, revision=0)


def update(session: Session, floating: Json, changes: Json) -> Json:
    """A floating IP that leads elsewhere, or nowhere."""
    changed = {**floating, **_association(session, floating, changes)}
    if "description" in changes:
        changed["description"] = changes["description"]
    if changes.get("qos_policy_id", floating.get("qos_policy_id")) != floating.get("qos_policy_id"):
        if changes["qos_policy_id"] is not None:
            fail("QosPolicyNotFound", id=changes["qos_policy_id"])
        changed["qos_policy_id"] = None
    return floating if changed == floating else session.touch(FLOATING_IP, changed)


def delete(session: Session, floating: Json) -> None:
    """Give the address back."""
    for port in list(session.find(PORT, device_id=floating["id"])):
        if port.get("device_owner") == "network:floatingip":
            ports.remove(session, port)
    session.remove(FLOATING_IP, floating["id"])


def _association(session: Session, floating: Json, wanted: Json) -> Json:
    """`port_id`, `fixed_ip_address` and `router_id` after a request. Raises what Neutron answers."""
    port_id = wanted.get("port_id")
    if wanted.get("fixed_ip_address") and not port_id and floating.get("port_id") is None:
        raise _refused("fixed_ip_address cannot be specified without a port_id")
    if "port_id" not in wanted:
        if floating.get("port_id") is None:
            return {}
        port_id = floating["port_id"]
    elif port_id is None:
        return _FREE
    port = session.visible(PORT, port_id)
    if port.get("project_id") != floating.get("project_id") and not session.caller.admin:
        raise _refused(
            f"Cannot process floating IP association with Port {port_id}, since that port is owned by a "
            "different project"
        )
    address = _address_of(port, wanted.get("fixed_ip_address"))
    router_id = _router_for(session, floating, port, address, wanted.get("router_id"))
    if port_id != floating.get("port_id"):
        for other in session.find(FLOATING_IP, port_id=port_id):
            same_network = other["floating_network_id"] == floating["floating_network_id"]
            if same_network and other["fixed_ip_address"] == address["ip_address"]:
                fail(
                    "FloatingIPPortAlreadyAssociated",
                    address=floating["floating_ip_address"],
                    id=floating["id"],
                    port=port_id,
                    fixed=address["ip_address"],
                    network=floating["floating_network_id"],
                )
    return {"port_id": port_id, "fixed_ip_address": address["ip_address"], "router_id": router_id}


def _address_of(port: Json, wanted: str | None) -> Json:
    """The port's IPv4 address that a floating IP leads to."""
    owner = port.get("device_owner") or ""
    if owner.startswith("network:") and owner not in {"network:local_ip", "network:routed"}:
        raise _refused("Port %(id)s is unable to be assigned a floating IP")
    if wanted:
        if _version(wanted) != _V4:
            raise _refused(f"Cannot process floating IP association with {wanted}, since that is not an IPv4 address")
        for ip in port.get("fixed_ips") or []:
            if ip["ip_address"] == wanted:
                found: Json = ip
                return found
        raise _refused(f"Port {port['id']} does not have fixed ip {wanted}")
    candidates = [ip for ip in port.get("fixed_ips") or [] if _version(ip["ip_address"]) == _V4]
    if not candidates:
        raise _refused(f"Cannot add floating IP to port {port['id']} that has no fixed IPv4 addresses")
    if len(candidates) > 1:
        raise _refused(
            f"Port {port['id']} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when "
            "assigning a floating IP"
        )
    only: Json = candidates[0]
    return only


def _router_for(session: Session, floating: Json, port: Json, address: Json, wanted: str | None) -> str:
    """The router between the port's subnet and the external network; the subnet's own gateway is preferred."""
    external = floating["floating_network_id"]
    if wanted:
        session.visible(ROUTER, wanted)
        if not any(_gateways(session, wanted, external)):
            fail("Conflict", reason=f"Router {wanted} has no external gateway on network {external}")
        return wanted
    subnet = session.there(SUBNET, address["subnet_id"])
    first = None
    for holder in session.many(PORT, session.rows.ports_on_subnet([subnet["id"]])):
        if holder.get("device_owner") not in ipam.ROUTER_INTERFACE_OWNERS:
            continue
        router_id: str = holder["device_id"]
        if any(_gateways(session, router_id, external)):
            if any(ip["ip_address"] == subnet.get("gateway_ip") for ip in holder["fixed_ips"]):
                return router_id
            first = first or router_id
    if first is None:
        raise fault("ExternalGatewayForFloatingIPNotFound", network=external, subnet=subnet["id"], port=port["id"])
    return first


def _gateways(session: Session, router_id: str, external: str) -> Iterator[bool]:
    for port in session.find(PORT, device_id=router_id):
        if port.get("device_owner") == "network:router_gateway" and port["network_id"] == external:
            yield True


def _version(address: str) -> int:
    return ipaddress.ip_address(address).version


def _refused(reason: str) -> Exception:
    return fault("BadRequest", resource="floatingip", reason=reason)

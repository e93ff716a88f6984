"""Brings Neutron to hold what Alcor holds, after a cutover: creations (ids and times kept), changes, deletions.

Needs the API extension `alcor-ids` for ids and `created_at` on POST. Neutron checks references strictly and makes
some ports by itself, so:

* changes go in stages of the dependency order; what is refused is tried once more after everything else, and
  only what is refused then is a rejection;
* the ports of routers' gateways and of floating IPs come with their owner, whose request carries their identity;
* router interfaces are ordinary ports that are then attached;
* routes go before the interfaces that they need, and come after them;
* a security group rule cannot be changed (Neutron 29 answers a PUT with 500): it is deleted and made again;
* the rules that Neutron adds to a new security group are taken away again: the right ones follow with their ids.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from typing import TYPE_CHECKING, Any

from alcor_migrate.errors import CloudRefused
from alcor_migrate.side import COMES_BACK, Change, Key, Rejection, offered
from alcor_migrate.source import given
from alcor_model import Resource, canonical, delete_order, resource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alcor_migrate.http import JsonClient
    from alcor_model.fields import Json

_NOT_FOUND = 404
_BAD = 400
_SERVER_ERROR = 500
_AT_ONCE = 4
"""Writes in flight at once; Neutron has few workers, and users may be waiting for a reverse."""

_WITHOUT_TAGS = {"security_group_rule"}

_ORDER = tuple(
    resource(name)
    for name in ("security_group", "security_group_rule", "network", "subnet", "router", "port", "floatingip")
)
"""Groups come first: the first network of a project would make Neutron create its `default` group with an id of
its own. Everything else is in dependency order."""

_INTERFACES = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
)
_WITH_OWNER = {"network:router_gateway", "network:floatingip"}
_MADE_BY_NEUTRON = _WITH_OWNER | {
    "network:router_ha_interface",
    "network:router_centralized_snat",
    "network:floatingip_agent_gateway",
}
"""Ports that come and go with something else: never created or deleted by themselves."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
"""Neutron's spelling of a time, the only one that the extension takes."""


class _RefusedError(Exception):
    """Neutron refused one request (4xx)."""


class NeutronWriter:
    """Applies changes to the Neutron at the address of `client`, as an administrator."""

    def __init__(self, client: JsonClient) -> None:
        self._client = client
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._addresses_itself: dict[str, bool] = {}

    async def apply(self, changes: Sequence[Change]) -> list[Rejection]:
        """Delete, create and change. Raises CloudError when Neutron fails; answers what it refused for good."""
        foreign = [c for c in changes if c.of.name not in COMES_BACK]
        changes = [c for c in changes if c.of.name in COMES_BACK]
        self._implied = _identities(changes)
        self._made: set[Key] = set()
        refused = await self._pass(changes)
        if refused:
            again = [c for c in changes if c.key in refused]
            refused = await self._pass(again)
        refused |= {
            c.key: f"a {c.of.name} cannot be brought back yet: Alcor only keeps what Neutron had" for c in foreign
        }
        return [Rejection(key, reason) for key, reason in refused.items()]

    async def _pass(self, changes: Sequence[Change]) -> dict[Key, str]:
        refused: dict[Key, str] = {}
        # An interface that a route needs cannot be removed.
        routers = [c for c in changes if c.of.name == "router"]
        await self._stage(routers, self._withdraw_routes, refused)
        for of in delete_order():
            await self._stage([c for c in changes if c.of is of and c.new is None], self._delete, refused)
        # Any other group of a project would make Neutron create the default one, as would its first network.
        held = [c for c in changes if c.new is not None]
        await self._stage([c for c in held if _is_default_group(c)], self._put, refused)
        for of in _ORDER:
            await self._stage([c for c in held if c.of is of and not _is_default_group(c)], self._put, refused)
        # Next hops must be reachable, so routes follow the interfaces.
        await self._stage([c for c in routers if c.new is not None], self._put_routes, refused)
        return refused

    async def _stage(self, changes: Sequence[Change], work: Any, refused: dict[Key, str]) -> None:
        async def one(change: Change) -> None:
            async with self._slots:
                try:
                    await work(change)
                except _RefusedError as error:
                    refused[change.key] = str(error)

        await asyncio.gather(*(one(change) for change in changes))

    async def _delete(self, change: Change) -> None:
        old = change.old or {}
        owner = _owner(change.of, old)
        if owner in _MADE_BY_NEUTRON:
            return
        if owner in _INTERFACES:
            path = f"/v2.0/routers/{old['device_id']}/remove_router_interface"
            await self._send("PUT", path, {"port_id": change.id}, gone_is_fine=True)
            return
        await self._send("DELETE", f"/v2.0/{change.of.collection}/{change.id}", gone_is_fine=True)

    async def _put(self, change: Change) -> None:
        of, old, new = change.of, change.old, change.new
        assert new is not None  # noqa: S101  # apply() sorts deletions out
        if old is None and _owner(of, new) in _MADE_BY_NEUTRON:
            return
        if of.name == "security_group_rule" and old is not None:
            if canonical(of, old, given=True) == canonical(of, new, given=True):
                return
            await self._delete(change)
            old = None
        if old is None:
            await self._create(of, new)
            await self._complete(of, new)
        else:
            await self._update(of, old, new)
        if of.name not in _WITHOUT_TAGS and sorted(new.get("tags") or []) != sorted((old or {}).get("tags") or []):
            await self._send("PUT", f"/v2.0/{of.collection}/{new['id']}/tags", {"tags": new.get("tags") or []})

    async def _create(self, of: Resource, new: Json) -> None:
        body = _creation(of, new)
        if of.name in {"router", "floatingip"} and new["id"] in self._implied:
            body["port_identity"] = self._implied[new["id"]]
        interface_of = None
        if _owner(of, new) in _INTERFACES:
            # Neutron binds it when it is attached; the owner is given now, so that no address is added to it.
            interface_of = body.pop("device_id")
            body.pop("binding:host_id", None)
        elif of.name == "port" and body.get("fixed_ips"):
            body["fixed_ips"] = [await self._address(fixed, new["mac_address"]) for fixed in body["fixed_ips"]]
        if (key := Key(of.name, new["id"])) not in self._made:  # else only what follows was refused
            answer = await self._send("POST", f"/v2.0/{of.collection}", {of.name: body})
            self._made.add(key)
            for rule in answer[of.name].get("security_group_rules", []):
                await self._send("DELETE", f"/v2.0/security-group-rules/{rule['id']}", gone_is_fine=True)
        if interface_of:
            await self._send("PUT", f"/v2.0/routers/{interface_of}/add_router_interface", {"port_id": new["id"]})

    async def _complete(self, of: Resource, new: Json) -> None:
        """Say what a creation could not."""
        body = {name: new[name] for name in given.AFTERWARDS.get(of.name, ()) if new.get(name)}
        if body:
            await self._send("PUT", f"/v2.0/{of.collection}/{new['id']}", {of.name: body})

    async def _address(self, fixed: Json, mac: str) -> Json:
        """A fixed IP as a POST takes it: the one that Neutron is about to make of the MAC itself must not be named.

        It would be allocated twice, says Neutron (409). In a subnet without SLAAC the same address must be named.
        """
        if not _is_eui64(fixed["ip_address"], mac):
            return fixed
        subnet_id = fixed["subnet_id"]
        if subnet_id not in self._addresses_itself:
            subnet = (await self._send("GET", f"/v2.0/subnets/{subnet_id}"))["subnet"]
            modes = {subnet["ipv6_address_mode"], subnet["ipv6_ra_mode"]}  # fixed when the subnet is made
            self._addresses_itself[subnet_id] = not modes.isdisjoint({"slaac", "dhcpv6-stateless"})
        return {"subnet_id": subnet_id} if self._addresses_itself[subnet_id] else fixed

    async def _update(self, of: Resource, old: Json, new: Json) -> None:
        before, after = canonical(of, old, given=True), canonical(of, offered(new, old), given=True)
        allowed = set(given.ON_PUT[of.name])
        owner = _owner(of, new)
        if owner in _MADE_BY_NEUTRON:
            allowed -= {"device_id", "device_owner", "fixed_ips", "mac_address", "binding:host_id"}
        if owner in _INTERFACES:
            allowed -= {"device_id", "device_owner"}
            if old.get("device_id") != new["device_id"]:
                path = f"/v2.0/routers/{new['device_id']}/add_router_interface"
                await self._send("PUT", path, {"port_id": new["id"]})
        body = given.settable(of, {k: new[k] for k in allowed if before.get(k) != after.get(k) and k in new})
        if "external_gateway_info" in body:
            body["external_gateway_info"] = _gateway(body["external_gateway_info"]) or {}
            if new["id"] in self._implied:
                body["port_identity"] = self._implied[new["id"]]
        if body:
            await self._send("PUT", f"/v2.0/{of.collection}/{new['id']}", {of.name: body})

    async def _withdraw_routes(self, change: Change) -> None:
        old, new = (change.old or {}).get("routes") or [], (change.new or {}).get("routes") or []
        kept = [route for route in old if route in new]
        if kept != old:
            path = f"/v2.0/routers/{change.id}"
            await self._send("PUT", path, {"router": {"routes": kept}}, gone_is_fine=True)

    async def _put_routes(self, change: Change) -> None:
        old, new = change.old or {}, change.new or {}
        before, after = canonical(change.of, old).get("routes"), canonical(change.of, new).get("routes")
        if before != after:
            await self._send("PUT", f"/v2.0/routers/{change.id}", {"router": {"routes": new.get("routes") or []}})

    async def _send(self, method: str, path: str, body: Json | None = None, *, gone_is_fine: bool = False) -> Any:
        status, answer = await self._client.request(method, path, body)
        if status < _BAD or (gone_is_fine and status == _NOT_FOUND):
            return answer
        refused = CloudRefused(f"Neutron ({method} {path})", status, _message(answer))
        if status >= _SERVER_ERROR or status in {401, 403}:
            raise refused
        raise _RefusedError(refused.message)


def _creation(of: Resource, new: Json) -> Json:
    """The body of a POST that makes this object."""
    body = given.creation(of, new)
    if of.name == "security_group" and body.get("name") == "default":
        del body["name"]
        body["default_group"] = True
    if "external_gateway_info" in body:
        body["external_gateway_info"] = _gateway(body["external_gateway_info"])
    return _with_time(body)


def _is_default_group(change: Change) -> bool:
    return change.of.name == "security_group" and (change.new or {}).get("name") == "default"


def _owner(of: Resource, port: Json) -> str:
    """The device owner of a port; empty for one that has none, and for everything else."""
    return str(port.get("device_owner") or "") if of.name == "port" else ""


def _is_eui64(text: str, mac: str) -> bool:
    """Whether an IPv6 address is the one that is made of this MAC (RFC 4291, appendix A)."""
    address = ipaddress.ip_address(text)
    parts = bytes.fromhex(mac.replace(":", ""))
    interface = bytes([parts[0] ^ 2, *parts[1:3], 0xFF, 0xFE, *parts[3:]])
    return address.version == 6 and address.packed[8:] == interface  # noqa: PLR2004  # IPv6


def _gateway(info: Json | None) -> Json | None:
    if not info:
        return None
    return {k: info[k] for k in ("network_id", "enable_snat", "external_fixed_ips") if info.get(k) is not None}


def _identities(changes: Sequence[Change]) -> dict[str, Json]:
    """Identity of the ports that come with their owner, by the owner's id."""
    return {
        str(c.new["device_id"]): _with_time({k: c.new.get(k) for k in ("id", "mac_address", "created_at")})
        for c in changes
        if c.of.name == "port" and c.new is not None and c.old is None and c.new.get("device_owner") in _WITH_OWNER
    }


def _with_time(body: Json) -> Json:
    """The body, without a time that the extension would refuse: an age is not worth losing the object."""
    if _TIME.fullmatch(str(body.get("created_at"))):
        return body
    return {k: v for k, v in body.items() if k != "created_at"}


def _message(answer: Any) -> str:
    if isinstance(answer, dict) and isinstance(answer.get("NeutronError"), dict):
        return str(answer["NeutronError"].get("message"))
    return "" if answer is None else str(answer)

"""The hosts that agents run on: Alcor's `/nodes`, which belong to no project.

Wrappers and statuses are upstream's; a node that its data plane could not use later is refused (400) instead of being
stored, and one that is not there is a 404 where upstream fails with 500. The API is the operator's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from alcor_sdn.controller.refusals import Refused
from alcor_sdn.controller.store import KEYS, NODE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json
    from alcor_sdn.controller.store import Store

    Handler = Callable[[web.Request, Resource], Awaitable[web.Response]]

_NEEDED = ("node_id", "node_name", "local_ip", "mac_address", "data-path-ip")
"""Without one of these upstream stores a node that breaks its lists or loses neighbours."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class NodeApi:
    """The handlers; `guarded` lets only administrators in and turns errors into answers."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_to(self, app: web.Application, guarded: Callable[[Handler, Resource], Any]) -> None:
        """Register the routes, under both of upstream's prefixes."""
        for prefix in ("", "/v4"):
            app.router.add_post(f"{prefix}/nodes/bulk", guarded(self.bulk_create, NODE))
            app.router.add_post(f"{prefix}/nodes", guarded(self.create, NODE))
            app.router.add_get(f"{prefix}/nodes", guarded(self.find, NODE))
            app.router.add_get(f"{prefix}/nodes/{{id}}", guarded(self.show, NODE))
            app.router.add_put(f"{prefix}/nodes/{{id}}", guarded(self.update, NODE))
            app.router.add_delete(f"{prefix}/nodes/{{id}}", guarded(self.delete, NODE))

    async def create(self, request: web.Request, _of: Resource) -> web.Response:
        """Register one node, or register it anew."""
        info = _checked(_member(await _body(request), "host_info"))
        await self._put([info])
        return _json({"host_info": info}, 201)

    async def bulk_create(self, request: web.Request, _of: Resource) -> web.Response:
        """Register several or none; answered with the bare list."""
        infos = (await _body(request)).get("host_infos")
        if not isinstance(infos, list):
            raise Refused(400, "the body is not an object with a list 'host_infos'")
        checked = [_checked(info) for info in infos]
        await self._put(checked)
        return _json(checked)

    async def find(self, request: web.Request, _of: Resource) -> web.Response:
        """All nodes, or those with given values of what can be looked up."""
        names = {"id": "id", "name": "node_name"} | {name: name for name in KEYS[NODE.name]}
        where = {names[name]: request.query.getall(name) for name in request.query if name in names}
        found = await self._store.read(lambda rows: [_info(node) for node in rows.find(NODE, dict(where))])
        return _json({"nodeInfos": found})

    async def show(self, request: web.Request, _of: Resource) -> web.Response:
        """One node; null when it is not there."""
        return _json({"host_info": await self._there(request)})

    async def update(self, request: web.Request, _of: Resource) -> web.Response:
        """Replace a node."""
        info = _checked(_member(await _body(request), "host_info"))
        if info["node_id"] != request.match_info["id"]:
            raise Refused(400, f"node_id is {info['node_id']!r}, and the path says {request.match_info['id']!r}")
        if await self._there(request) is None:
            raise Refused(404, f"node {info['node_id']} is not there")
        await self._put([info])
        return _json({"host_info": info})

    async def delete(self, request: web.Request, _of: Resource) -> web.Response:
        """Forget a node; what runs on it stays."""
        node_id = request.match_info["id"]
        if not await self._store.write(lambda rows: rows.remove(NODE, [node_id])):
            raise Refused(404, f"node {node_id} is not there")
        return web.Response(text=f"{{Node(Node) Id: {node_id}}}")

    async def _there(self, request: web.Request) -> Json | None:
        node_id = request.match_info["id"]
        found = await self._store.read(lambda rows: rows.get(NODE, node_id))
        return None if found is None else _info(found)

    async def _put(self, infos: list[Json]) -> None:
        await self._store.write(lambda rows: rows.put(NODE, [{"id": info["node_id"], **info} for info in infos]))


def _checked(info: Any) -> Json:
    if not isinstance(info, dict):
        raise Refused(400, "a node is not an object")
    for name in _NEEDED:
        if not isinstance(info.get(name), str) or not info[name]:
            raise Refused(400, f"node {info.get('node_id')}: {name} is missing")
    return info


def _info(node: Json) -> Json:
    return {name: value for name, value in node.items() if name != "id"}


def _member(body: Json, name: str) -> Any:
    if name not in body:
        raise Refused(400, f"the body is not an object with a member {name!r}")
    return body[name]


async def _body(request: web.Request) -> Json:
    try:
        body = _decode(await request.read())
    except msgspec.DecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(400, "the body is not an object")
    return body


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encode(body), status=status, content_type="application/json")

"""Alcor's native REST API, `/project/{project}/…`, and the controller's own status.

Wrappers, JSON names and status codes are upstream Alcor's. Batch creation is what upstream only promises:
exact, all or nothing, idempotent by id, and without any side effect, because during a live copy an object may
arrive before the one that it refers to.

A single creation, change or removal goes through the same services as the Neutron API, and what the native API
may say beyond it (ids, status, times, segmentation ids) is kept as given. A resource that the Neutron API does
not have yet is kept and given back all the same, without any effect of its own.

The native API is the operator's: it needs the role `admin`.
"""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from aiohttp import web

from alcor_model import to_alcor, to_neutron
from alcor_model.catalogue import (
    EXTENSION,
    FLOATING_IP,
    RESOURCES,
    ROUTER,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    Resource,
)
from alcor_model.errors import MalformedObject
from alcor_model.mapping import check
from alcor_sdn.controller.identity import Caller, IdentityUnavailable, InvalidToken
from alcor_sdn.controller.neutron import attributes
from alcor_sdn.controller.neutron.errors import ApiError
from alcor_sdn.controller.nodes import NodeApi
from alcor_sdn.controller.refusals import Refused
from alcor_sdn.controller.services.session import Session
from alcor_sdn.controller.services.table import SERVICES
from alcor_sdn.controller.store import TABLES
from alcor_sdn.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_model.fields import Json
    from alcor_sdn.controller.identity import Identity
    from alcor_sdn.controller.settings import Settings
    from alcor_sdn.controller.store import Rows, Store

log = structlog.get_logger(__name__)

BY_COLLECTION = {of.alcor_collection: of for of in RESOURCES}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_LARGE = 256 * 1024
"""Bodies of more bytes than this are decoded in a thread, so that other requests go on meanwhile."""


_PAGING = {"render", "limit", "marker", "id"}

_MEMBER = "/project/{project}/{collection}/{id:.+}"
"""Where Neutron's answers have no id, ours is joined with `/` from the fields that name the object."""


class NativeApi:
    """The native API's handlers."""

    def __init__(self, settings: Settings, store: Store, identity: Identity) -> None:
        self._settings = settings
        self._store = store
        self._identity = identity

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/alcor/v1/status", self.status)
        NodeApi(self._store).add_to(app, self._guarded)
        app.router.add_post("/project/{project}/{collection}/bulk", self._guarded(self.bulk_create))
        app.router.add_delete("/project/{project}/{collection}/bulk", self._guarded(self.bulk_delete))
        app.router.add_get("/project/{project}/{collection}", self._guarded(self.list))
        app.router.add_get("/project/{project}/{collection}/digests", self._guarded(self.digests))
        app.router.add_get(_MEMBER, self._guarded(self.show))
        app.router.add_post("/project/{project}/{collection}", self._guarded(self.create))
        app.router.add_put(_MEMBER, self._guarded(self.update))
        app.router.add_delete(_MEMBER, self._guarded(self.delete))

    async def status(self, _request: web.Request) -> web.Response:
        """Version and what is held; readable without a token, so that watchdogs can."""

        def counts(rows: Rows) -> dict[str, int]:
            return {of.alcor_plural: rows.count(of) for of in RESOURCES}

        try:
            held = await self._store.read(counts)
        except StoreError as error:
            return _json({"version": version("alcor-migrate"), "ready": False, "reason": str(error)}, 503)
        return _json({"version": version("alcor-migrate"), "ready": True, "resources": held})

    async def bulk_create(self, request: web.Request, of: Resource) -> web.Response:
        """Store every object exactly as it is given, or none."""
        objects = _list(await _body(request), of.alcor_plural)
        await asyncio.to_thread(_check_all, of, objects)
        await self._store.write(lambda rows: rows.put(of, objects))
        if request.query.get("echo") == "true":
            return _json({of.alcor_plural: objects}, 201)
        return _json({"count": len(objects)}, 201)

    async def bulk_delete(self, request: web.Request, of: Resource) -> web.Response:
        """Remove objects by id; those that are not there count as removed before."""
        ids = _list(await _body(request), "ids")
        if not all(isinstance(object_id, str) for object_id in ids):
            raise Refused(400, "ids: every id is a text")
        removed = await self._store.write(lambda rows: rows.remove(of, ids))
        return _json({"count": removed})

    async def list(self, request: web.Request, of: Resource) -> web.Response:
        """The objects of a resource: exact and paged (`render=exact`), or as upstream renders them."""
        query = request.query
        if query.get("render") == "exact":
            limit = _limit(query.get("limit"))
            marker, ids = query.get("marker", ""), query.getall("id", [])
            where = {name: query.getall(name) for name in query if name not in _PAGING}
            if unknown := where.keys() - TABLES[of.name].c.keys():
                raise Refused(400, f"an exact list cannot be filtered by {', '.join(sorted(unknown))}")
            bodies = await self._store.read(
                lambda rows: rows.raw(of, after=marker, ids=ids, where=where, limit=limit)
            )
            content = b'{"' + of.alcor_plural.encode() + b'":[' + b",".join(bodies) + b"]}"
            return web.Response(body=content, content_type="application/json")
        wanted = {name: query.getall(name) for name in query if name != "fields"}
        fields = query.getall("fields", [])

        def matching(rows: Rows) -> list[Json]:
            ids = wanted.get("id")
            found = (_decode(raw) for raw in rows.raw(of, ids=ids)) if ids else rows.find(of)
            return [_rendered(of, alcor, fields) for alcor in found if _matches(alcor, wanted)]

        return _json({of.alcor_plural: await self._store.read(matching)})

    async def digests(self, request: web.Request, of: Resource) -> web.Response:
        """By the first `length` characters of the id: what changes whenever a stored object does."""
        length = _digits(request.query.get("length", "0"))
        return _json({"digests": await self._store.read(lambda rows: rows.digests(of, length))})

    async def show(self, request: web.Request, of: Resource) -> web.Response:
        """One object; what is missing is answered as upstream answers it."""
        object_id = request.match_info["id"]
        alcor = await self._store.read(lambda rows: rows.get(of, object_id))
        if alcor is None:
            return self._missing(of, object_id)
        exact = request.query.get("render") == "exact"
        fields = request.query.getall("fields", [])
        return _json({of.alcor_member: alcor if exact else _rendered(of, alcor, fields)})

    async def create(self, request: web.Request, of: Resource) -> web.Response:
        """Create one object as a user's request would, with whatever of it is given."""
        caller = await self._admin(request)
        given = {**_member(await _body(request), of), "project_id": request.match_info["project"]}

        def created(rows: Rows) -> Json:
            session = Session(rows, caller, self._settings)
            if given.get("id") and rows.get(of, given["id"]) is not None:
                if of.name not in _UPSERTED:
                    status = 406 if of is FLOATING_IP else 409
                    raise Refused(status, f"{of.alcor_member} {given['id']} is there already")
                return _updated(session, of, given["id"], given)
            return _created(session, of, given)

        made = await self._store.write(created)
        return _json({of.alcor_member: made}, 200 if of is ROUTER else 201)

    async def update(self, request: web.Request, of: Resource) -> web.Response:
        """Change what is given and not null."""
        caller = await self._admin(request)
        object_id = request.match_info["id"]
        given = _member(await _body(request), of)

        def updated(rows: Rows) -> Json:
            if rows.get(of, object_id) is None:
                raise Refused(412 if of in _GROUPS else 404, f"{of.alcor_member} {object_id} is not there")
            return _updated(Session(rows, caller, self._settings), of, object_id, given)

        return _json({of.alcor_member: await self._store.write(updated)})

    async def delete(self, request: web.Request, of: Resource) -> web.Response:
        """Remove one object, unless others need it."""
        caller = await self._admin(request)
        object_id = request.match_info["id"]

        def deleted(rows: Rows) -> bool:
            session = Session(rows, caller, self._settings)
            found = session.get(of, object_id)
            if found is None:
                return False
            if of is FLOATING_IP and found.get("port_id"):
                raise Refused(406, f"elasticip {object_id} is associated with port {found['port_id']}")
            if of.name in SERVICES:
                SERVICES[of.name].delete(session, found)
            else:
                session.remove(of, object_id)
            return True

        there = await self._store.write(deleted)
        if of.name in _IDS_ANSWERED:
            return _json({"id": object_id if there else None})
        return web.Response(status=200) if there else self._missing(of, object_id)

    def _missing(self, of: Resource, object_id: str) -> web.Response:
        status = _MISSING.get(of.name, 404)
        if status == web.HTTPOk.status_code:
            return _json({of.alcor_member: None})
        raise Refused(status, f"{of.alcor_member} {object_id} is not there")

    def _guarded(self, handler: Callable[..., Any], of: Resource | None = None) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            try:
                await self._admin(request)
                answer: web.Response = await handler(request, of or _resource(request))
            except Refused as refused:
                return _error(request, refused.status, str(refused))
            except ApiError as refused:
                return _error(request, 403 if refused.kind == "SecurityGroupInUse" else refused.status, str(refused))
            except MalformedObject as malformed:
                return _error(request, 400, str(malformed))
            except InvalidToken:
                return web.Response(status=401)
            except (IdentityUnavailable, StoreError) as error:
                log.warning("native_request_failed", path=request.path, reason=str(error))
                return _error(request, 503, str(error))
            else:
                return answer

        return handle

    async def _admin(self, request: web.Request) -> Caller:
        token = request.headers.get("X-Auth-Token")
        if not token:
            raise InvalidToken("no token")
        caller = await self._identity.caller(token)
        if not caller.admin:
            raise Refused(403, "the native API needs the role admin")
        return caller


def _resource(request: web.Request) -> Resource:
    of = BY_COLLECTION.get(request.match_info["collection"])
    if of is None:
        raise Refused(404, "No message available")
    return of


_MISSING = {
    "network": 200,
    "subnet": 200,
    "router": 200,
    "port": 404,
    "floatingip": 404,
    "security_group": 412,
    "security_group_rule": 412,
}
"""The status of an object that is not there (200: its member is null)."""

_UPSERTED = frozenset({"network", "router", "security_group", "security_group_rule"})
"""Resources whose second POST with an id replaces what the first has made."""

_GROUPS = (SECURITY_GROUP, SECURITY_GROUP_RULE)

_IDS_ANSWERED = frozenset({"network", "subnet", "router", "floatingip"})
"""Resources whose DELETE answers with the id."""


def _check_all(of: Resource, objects: list[Any]) -> None:
    """Refuse a batch with an object that could not be converted to Neutron's form later."""
    for position, alcor in enumerate(objects):
        try:
            check(of, to_neutron(of, alcor))
        except MalformedObject as error:
            raise Refused(400, f"{of.alcor_plural}[{position}]: {error}") from error


def _member(body: Any, of: Resource) -> Json:
    if not isinstance(body, dict) or not isinstance(body.get(of.alcor_member), dict):
        raise Refused(400, f"the body is not an object with a member {of.alcor_member!r}")
    return {name: value for name, value in body[of.alcor_member].items() if value is not None}


def _created(session: Session, of: Resource, given: Json) -> Json:
    """A new object: what Neutron lets a creation say goes through the service, the rest is kept as given."""
    if of.name not in SERVICES:
        return _as_given(session, of, {"id": str(uuid.uuid4()), **given})
    neutron = to_neutron(of, given)
    made = SERVICES[of.name].create(session, attributes.of_service(of.name, neutron))
    served = {name for name, attribute in attributes.ATTRIBUTES[of.name].items() if attribute.create}
    return _kept(session, of, made, given, {n: v for n, v in neutron.items() if n not in served})


def _updated(session: Session, of: Resource, object_id: str, given: Json) -> Json:
    """A changed object: what Neutron lets an update say goes through the service, the rest as given."""
    if of.name not in SERVICES:
        return _as_given(session, of, {**(session.rows.get(of, object_id) or {}), **given, "id": object_id})
    found = session.there(of, object_id)
    neutron = to_neutron(of, {**given, "id": object_id})
    served = {name for name, attribute in attributes.ATTRIBUTES[of.name].items() if attribute.update}
    changes = {n: v for n, v in neutron.items() if n in served and v != found.get(n)}
    changed = SERVICES[of.name].update(session, found, changes)
    return _kept(session, of, changed, given, {n: v for n, v in neutron.items() if n not in served})


def _as_given(session: Session, of: Resource, alcor: Json) -> Json:
    check(of, to_neutron(of, alcor))
    session.rows.put(of, [alcor])
    return alcor


def _kept(session: Session, of: Resource, neutron: Json, given: Json, beside: Json) -> Json:
    """Store an object with what was given beside the service's part; answers it in Alcor's form."""
    declared = {field.alcor for field in of.fields}
    only_alcor = {n: v for n, v in given.items() if n not in declared and n != EXTENSION}
    alcor = {**to_alcor(of, {**neutron, **beside}), **only_alcor}
    session.rows.put(of, [alcor])
    return alcor


def _list(body: Any, key: str) -> list[Any]:
    if not isinstance(body, dict) or not isinstance(body.get(key), list):
        raise Refused(400, f"the body is not an object with a list {key!r}")
    found: list[Any] = body[key]
    return found


async def _body(request: web.Request) -> Any:
    content = await request.read()
    try:
        return _decode(content) if len(content) < _LARGE else await asyncio.to_thread(_decode, content)
    except msgspec.DecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error


def _digits(text: str) -> int:
    if not text.isdigit():
        raise Refused(400, f"length: {text!r} is not a number")
    return int(text)


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdigit() or int(text) == 0:
        raise Refused(400, f"limit: {text!r} is not a positive number")
    return int(text)


def _matches(alcor: Json, wanted: dict[str, list[str]]) -> bool:
    return all(name not in alcor or _text(alcor[name]) in values for name, values in wanted.items())


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _rendered(of: Resource, alcor: Json, fields: list[str]) -> Json:
    """An object as upstream's field filter writes it: nothing is null, only the named fields appear."""
    empty = _EMPTY[of.name]
    return {
        name: empty.get(name, "") if value is None else value
        for name, value in alcor.items()
        if not fields or name in fields
    }


def _emptiness(of: Resource) -> dict[str, Any]:
    empty: dict[str, Any] = {}
    for field in of.fields:
        if list in field.types:
            empty[field.alcor] = []
        elif dict in field.types:
            empty[field.alcor] = {}
    return empty


_EMPTY = {of.name: _emptiness(of) for of in RESOURCES}


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encode(body), status=status, content_type="application/json")


def _error(request: web.Request, status: int, message: str) -> web.Response:
    return _json(
        {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000"),
            "status": status,
            "error": _REASONS.get(status, ""),
            "message": message,
            "path": request.path,
        },
        status,
    )


_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    406: "Not Acceptable",
    409: "Conflict",
    412: "Precondition Failed",
    503: "Service Unavailable",
}

"""The Neutron API v2.0: from a request to a service, and back to an answer.

Bodies, statuses and errors are Neutron's, so that clients go on with the same calls after a cutover.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from aiohttp import web

from alcor_model.catalogue import (
    NETWORK,
    PORT,
    RESOURCES,
    ROUTER,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    SUBNET,
    Resource,
)
from alcor_sdn.controller.identity import Caller, IdentityUnavailable, InvalidToken
from alcor_sdn.controller.neutron import attributes, filters, policy, values, views
from alcor_sdn.controller.neutron.errors import ApiError, bad_request, fail, fault, invalid, not_found
from alcor_sdn.controller.neutron.extensions import EXTENSIONS, QUOTAS, availability_zones
from alcor_sdn.controller.services import routers, security_groups, tags
from alcor_sdn.controller.services.session import Session
from alcor_sdn.controller.services.table import SERVICES
from alcor_sdn.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_model.fields import Json
    from alcor_sdn.controller.identity import Identity
    from alcor_sdn.controller.settings import Settings
    from alcor_sdn.controller.store import Rows, Store

log = structlog.get_logger(__name__)

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

_PREFIX = "/v2.0/"
_SERVED = tuple(of for of in RESOURCES if of.name in SERVICES)
"""The resources that this API has; the store keeps more."""
_BY_COLLECTION = {of.collection: of for of in _SERVED}
_MAX_TAGS, _LONGEST_TAG = 50, 255


_ROUTER_ACTIONS = frozenset(
    {"add_router_interface", "remove_router_interface", "add_extraroutes", "remove_extraroutes"}
)
_ALWAYS_EMPTY = {"agents": "agents", "service-providers": "service_providers"}


class _Call(msgspec.Struct, frozen=True):
    """One request with a valid token."""

    request: web.Request
    caller: Caller
    method: str
    path: tuple[str, ...]
    """What follows `/v2.0/`."""


class NeutronApi:
    """The Neutron API's handlers."""

    def __init__(self, settings: Settings, store: Store, identity: Identity) -> None:
        self._settings = settings
        self._store = store
        self._identity = identity

    def add_to(self, app: web.Application) -> None:
        """Register the routes; what no other API has taken comes here."""
        app.router.add_get("/healthcheck", self.healthcheck)
        app.router.add_route("*", "/{path:.*}", self.handle)

    async def healthcheck(self, _request: web.Request) -> web.Response:
        """What a load balancer asks: 200 while the store answers."""
        try:
            await self._store.read(lambda rows: rows.get(NETWORK, "healthcheck"))
        except StoreError as error:
            return web.Response(status=503, text=str(error))
        return web.Response(text="OK")

    async def handle(self, request: web.Request) -> web.Response:
        """Answer any request as Neutron would."""
        if request.path == "/":
            return _json({"versions": [_version(request)]})
        if not request.path.startswith(_PREFIX.rstrip("/")):
            return web.Response(status=404, text="404 Not Found\n\nThe resource could not be found.\n\n   ")
        request_id = f"req-{uuid.uuid4()}"
        try:
            answer = await self._answer(request)
        except InvalidToken:
            answer = self._unauthorized()
        except ApiError as error:
            answer = _json(error.body, error.status)
        except (IdentityUnavailable, StoreError) as error:
            log.warning("request_failed", path=request.path, request_id=request_id, reason=str(error))
            answer = _json(fault("ServiceUnavailable").body, 503)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("request_failed", path=request.path, request_id=request_id)
            answer = _json(fault("HTTPInternalServerError").body, 500)
        answer.headers["x-openstack-request-id"] = request_id
        return answer

    def _unauthorized(self) -> web.Response:
        message = "The request you have made requires authentication."
        answer = _json({"error": {"code": 401, "title": "Unauthorized", "message": message}}, 401)
        answer.headers["WWW-Authenticate"] = f'Keystone uri="{self._identity.auth_uri}"'
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        token = request.headers.get("X-Auth-Token")
        if not token:
            raise InvalidToken("no token")
        caller = await self._identity.caller(token)
        if not request.path.startswith(_PREFIX):
            raise fault("HTTPNotFound")
        path = request.path.removeprefix(_PREFIX).removesuffix("/").removesuffix(".json")
        call = _Call(request, caller, request.method, tuple(path.split("/")))
        of = _BY_COLLECTION.get(call.path[0])
        if of is None:
            return await self._small_resource(call)
        match len(call.path):
            case 1:
                return await self._collection(call, of)
            case 2:
                return await self._member(call, of, call.path[1])
            case 3 if of is ROUTER and call.path[2] in _ROUTER_ACTIONS:
                return await self._router_action(call, call.path[1], call.path[2])
            case 3 | 4 if call.path[2] == "tags" and SERVICES[of.name].tagged:
                return await self._tags(call, of, call.path[1], *call.path[3:])
        raise fault("HTTPNotFound")

    # Collections and members

    async def _collection(self, call: _Call, of: Resource) -> web.Response:
        match call.method:
            case "GET":
                return await self._list(call, of)
            case "POST":
                return await self._create(call, of)
        raise fault("HTTPMethodNotAllowed")

    async def _list(self, call: _Call, of: Resource) -> web.Response:
        query = filters.parse(of, call.request.query)
        if of in {SECURITY_GROUP, SECURITY_GROUP_RULE}:
            await self._ensure_default_group(call, query)

        def listed(rows: Rows) -> tuple[list[Json], list[Json]]:
            session = self._session(rows, call)
            found = filters.run(session, of, query)
            url = str(call.request.url.with_query(None))
            return (
                views.listed(session, of, found, query.fields),
                filters.links(url, call.request.query, query, found),
            )

        shown, links = await self._store.read(listed)
        body: Json = {of.plural: shown}
        if links:
            body[f"{of.plural}_links"] = links
        return _json(body)

    async def _ensure_default_group(self, call: _Call, query: filters.Query) -> None:
        """Neutron makes a project's group `default` when somebody asks for the project's groups."""
        project = next(iter(query.filters.get("project_id", [])), call.caller.project_id)
        if not project or not (call.caller.admin or project == call.caller.project_id):
            return

        def missing(rows: Rows) -> bool:
            return security_groups.default_of(self._session(rows, call), project) is None

        if await self._store.read(missing):
            await self._store.write(lambda rows: security_groups.ensure_default(self._session(rows, call), project))

    async def _create(self, call: _Call, of: Resource) -> web.Response:
        bodies, bulk = _bodies(await _body(call), of)
        admin = call.caller.admin or call.caller.service
        batch = [attributes.of_create(of.name, body, call.caller.project_id, admin=admin) for body in bodies]

        def created(rows: Rows) -> list[Json]:
            session = self._session(rows, call)
            for one in batch:
                _reach_parents(session, of, one)
                policy.may_create(session, of, one)
            if of is SECURITY_GROUP_RULE:
                made = security_groups.create_rules(session, batch)
            else:
                made = [SERVICES[of.name].create(session, one) for one in batch]
            return [views.created(session, of, one) for one in made]

        made = await self._store.write(created)
        return _json({of.plural: made} if bulk else {of.name: made[0]}, 201)

    async def _member(self, call: _Call, of: Resource, object_id: str) -> web.Response:
        match call.method:
            case "GET":
                return await self._show(call, of, object_id)
            case "PUT":
                return await self._update(call, of, object_id)
            case "DELETE":
                return await self._delete(call, of, object_id)
        raise fault("HTTPMethodNotAllowed")

    async def _show(self, call: _Call, of: Resource, object_id: str) -> web.Response:
        fields = tuple(call.request.query.getall("fields", []))

        def shown(rows: Rows) -> Json:
            session = self._session(rows, call)
            if of is SECURITY_GROUP_RULE:
                found = session.there(of, object_id)
                if not session.may_see(of, found):
                    raise fault("HTTPNotFound")
            else:
                found = session.visible(of, object_id)
            return views.shown(session, of, [found], fields)[0]

        return _json({of.name: await self._store.read(shown)})

    async def _update(self, call: _Call, of: Resource, object_id: str) -> web.Response:
        body = await _body(call)
        if of.name not in body:
            await self._store.read(lambda rows: self._session(rows, call).visible(of, object_id))
        changes = attributes.of_update(of.name, _one(body, of), call.caller.project_id, admin=call.caller.admin)
        wanted = _wanted_revision(call)
        update = SERVICES[of.name].update

        def updated(rows: Rows) -> Json:
            session = self._session(rows, call)
            found = session.visible(of, object_id)
            policy.may_update(session, of, found, changes)
            _same_revision(found, wanted)
            changed = update(session, found, changes)
            return views.shown(session, of, [changed])[0]

        return _json({of.name: await self._store.write(updated)})

    async def _delete(self, call: _Call, of: Resource, object_id: str) -> web.Response:
        if await call.request.read():
            raise bad_request("Request body is not supported in DELETE.")
        wanted = _wanted_revision(call)

        def deleted(rows: Rows) -> None:
            session = self._session(rows, call)
            found = session.there(of, object_id) if of is SECURITY_GROUP_RULE else session.visible(of, object_id)
            policy.may(session, f"delete_{of.name}", of, found)
            _same_revision(found, wanted)
            SERVICES[of.name].delete(session, found)

        await self._store.write(deleted)
        return web.Response(status=204)

    # Actions of a router

    async def _router_action(self, call: _Call, router_id: str, action: str) -> web.Response:
        if call.method != "PUT":
            raise fault("HTTPMethodNotAllowed")
        body = await _body(call)
        if not isinstance(body, dict):
            raise bad_request("Body contains invalid data")

        def done(rows: Rows) -> Json:
            session = self._session(rows, call)
            router = session.visible(ROUTER, router_id)
            policy.may(session, action, ROUTER, router)
            match action:
                case "add_router_interface":
                    return routers.add_interface(session, router, body)
                case "remove_router_interface":
                    return routers.remove_interface(session, router, body)
            routes = _routes(body)
            change = routers.add_routes if action == "add_extraroutes" else routers.remove_routes
            return {ROUTER.name: views.unfiltered_router(session, change(session, router, routes))}

        return _json(await self._store.write(done))

    # Tags

    async def _tags(self, call: _Call, of: Resource, object_id: str, tag: str | None = None) -> web.Response:
        wanted = await _wanted_tags(call, tag)
        answers: dict[tuple[str, bool], Callable[[list[str]], web.Response]] = {
            ("GET", True): lambda have: _json({"tags": have}),
            ("PUT", True): lambda _: _json({"tags": wanted}),
            ("POST", True): lambda _: _json({"tags": wanted}),
            ("DELETE", True): lambda _: web.Response(status=204),
            ("GET", False): lambda _: web.Response(status=204),
            ("PUT", False): lambda _: _json(None, 201),
            ("DELETE", False): lambda _: web.Response(status=204),
        }
        answer = answers.get((call.method, tag is None))
        if answer is None:
            raise fault("HTTPMethodNotAllowed")

        def done(rows: Rows) -> list[str]:
            session = self._session(rows, call)
            found = session.get(of, object_id)
            if found is None:
                raise fault("TagResourceNotFound", resource=of.plural, id=object_id)
            policy.may_tag(session, of, found, call.method)
            have: list[str] = list(found.get("tags") or [])
            if tag is not None and call.method in {"GET", "DELETE"} and tag not in have:
                fail("TagNotFound", tag=tag)
            if call.method != "GET":
                after = _after(call.method, have, wanted, one=tag is not None)
                if len(set(after)) > _MAX_TAGS:
                    reason = f"The number of tags exceed the per-resource limit of {_MAX_TAGS}"
                    fail("BadRequest", resource=of.plural, reason=reason)
                tags.replace(session, of, found, after)
            return have

        run = self._store.read if call.method == "GET" else self._store.write
        return answer(await run(done))

    # Small resources

    async def _small_resource(self, call: _Call) -> web.Response:
        path = call.path
        if call.method != "GET":
            raise fault("HTTPNotFound")
        match path:
            case ("",):
                return _json({"resources": [_link(call.request, of) for of in (NETWORK, SUBNET, PORT)]})
            case ("extensions",):
                return _json({"extensions": list(EXTENSIONS.values())})
            case ("extensions", alias) if alias in EXTENSIONS:
                return _json({"extension": EXTENSIONS[alias]})
            case ("availability_zones",):
                return _json({"availability_zones": availability_zones(self._settings.availability_zone)})
            case (name,) if name in _ALWAYS_EMPTY:
                return _json({_ALWAYS_EMPTY[name]: []})
            case ("quotas", *_):
                return await self._quotas(call)
        raise fault("HTTPNotFound")

    async def _quotas(self, call: _Call) -> web.Response:
        match call.path[1:]:
            case ():
                return _json({"quotas": []})
            case ("project" | "tenant" as name,):
                return _json({name: {f"{name}_id": call.caller.project_id}})
            case (project, *rest) if rest in ([], ["default"], ["details"]):
                if not call.caller.admin and project != call.caller.project_id:
                    fail("PolicyNotAuthorized", rule="rule:get_quota")
                if rest != ["details"]:
                    return _json({"quota": QUOTAS})
                used = await self._store.read(lambda rows: _used(rows, project))
                details = {
                    name: {"limit": limit, "used": used.get(name, 0), "reserved": 0} for name, limit in QUOTAS.items()
                }
                return _json({"quota": details})
        raise fault("HTTPNotFound")

    def _session(self, rows: Rows, call: _Call) -> Session:
        return Session(rows, call.caller, self._settings)


async def _wanted_tags(call: _Call, tag: str | None) -> list[str]:
    """The tags that a request names, in its path or in its body."""
    if tag is not None:
        refused = values.text(_LONGEST_TAG)(tag)
        if refused:
            raise invalid(refused)
        return [tag]
    if call.method not in {"POST", "PUT"}:
        return []
    body = await _body(call)
    if "tags" not in body:
        raise invalid("Invalid tags body")
    refused = values.unique_texts(_LONGEST_TAG)(body["tags"])
    if refused:
        raise invalid(refused)
    named: list[str] = body["tags"]
    return named


def _after(method: str, have: list[str], wanted: list[str], *, one: bool) -> list[str]:
    """The tags of an object after a request."""
    if method == "DELETE":
        return [tag for tag in have if one and tag not in wanted]
    return [*have, *wanted] if one or method == "POST" else wanted


def _reach_parents(session: Session, of: Resource, given: Json) -> None:
    """Answer for a parent that the caller may not see as if it were not there, before any policy."""
    if of is PORT:
        session.visible(NETWORK, given["network_id"])
    elif of is SUBNET:
        session.there(NETWORK, given["network_id"])
    elif of is SECURITY_GROUP_RULE and session.get(SECURITY_GROUP, given["security_group_id"]) is None:
        raise not_found(SECURITY_GROUP.name, given["security_group_id"])


def _used(rows: Rows, project: str) -> dict[str, int]:
    return {of.name: rows.count(of, project) for of in _SERVED}


async def _body(call: _Call) -> Any:
    content = await call.request.read()
    if not content:
        return {}
    try:
        body = _decode(content)
    except msgspec.DecodeError:
        raise bad_request("Body contains invalid data") from None
    if not isinstance(body, dict):
        raise bad_request("Body contains invalid data")
    return body


def _bodies(body: Any, of: Resource) -> tuple[list[Json], bool]:
    """The objects of a creation: one, or a batch where the resource takes one."""
    if of.plural in body:
        if not SERVICES[of.name].bulk:
            raise bad_request("Bulk operation not supported")
        batch = body[of.plural]
        if not batch:
            raise bad_request("Resources required")
        if not isinstance(batch, list) or not all(isinstance(item, dict) for item in batch):
            raise bad_request("Body contains invalid data")
        return [_one(item if of.name in item else {of.name: item}, of) for item in batch], True
    return [_one(body, of)], False


def _one(body: Json, of: Resource) -> Json:
    one = body.get(of.name)
    if one is None:
        raise bad_request(f"Unable to find '{of.name}' in request body")
    if not isinstance(one, dict):
        raise bad_request(f"Object '{of.name}' contains invalid data")
    return one


def _routes(body: Json) -> list[Json]:
    given = body.get(ROUTER.name)
    routes = given.get("routes") if isinstance(given, dict) else None
    refused = values.routes(routes)
    if refused:
        raise bad_request(f"Invalid input for routes. Reason: {refused}.")
    found: list[Json] = routes or []
    return found


def _wanted_revision(call: _Call) -> str | None:
    """The revision that `If-Match: revision_number=N` insists on."""
    text = call.request.headers.get("If-Match")
    if text is None:
        return None
    name, _, number = text.partition("=")
    if name.strip() != "revision_number" or not number.strip().isdigit():
        raise bad_request(f"Unsupported If-Match: {text}")
    return number.strip()


def _same_revision(found: Json, wanted: str | None) -> None:
    current = found.get("revision_number")
    if wanted is not None and str(current) != wanted:
        fail("RevisionNumberConstraintFailed", wanted=wanted, current=current)


def _version(request: web.Request) -> Json:
    href = str(request.url.origin()) + _PREFIX
    return {"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}


def _link(request: web.Request, of: Resource) -> Json:
    href = str(request.url.origin()) + _PREFIX + of.collection
    return {"name": of.name, "collection": of.collection, "links": [{"rel": "self", "href": href}]}


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encode(body), status=status, content_type="application/json")

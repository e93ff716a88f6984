"""Who is calling: tokens validated by Keystone, believed for a while.

Source: Identity API v3, "Validate and show information for token". The controller asks with a token of its
own (the service user's), gets a new one when that expires, and asks once for many requests with one token.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import aiohttp
import msgspec
import structlog

from alcor_sdn.errors import ControllerError

if TYPE_CHECKING:
    from alcor_sdn.controller.settings import Settings

log = structlog.get_logger(__name__)

_CREATED, _OK, _UNAUTHORIZED, _NOT_FOUND = 201, 200, 401, 404
_CACHE_SIZE = 20_000
_TIMEOUT = aiohttp.ClientTimeout(total=20, connect=5)


class Caller(msgspec.Struct, frozen=True):
    """Who sends a request, as its token says."""

    user_id: str
    project_id: str
    roles: frozenset[str] = frozenset()

    @property
    def admin(self) -> bool:
        """Whether the caller administers the cloud (Neutron's `context_is_admin`)."""
        return "admin" in self.roles

    @property
    def service(self) -> bool:
        """Whether the caller is another service of the cloud (Neutron's `service_api`)."""
        return "service" in self.roles


class InvalidToken(ControllerError):
    """Keystone does not know the token, or it has expired."""


class IdentityUnavailable(ControllerError):
    """Keystone does not answer, or not as it should."""


class Identity(Protocol):
    """What the APIs need of an identity service."""

    auth_uri: str

    async def caller(self, token: str) -> Caller:
        """Who holds the token. Raises InvalidToken, IdentityUnavailable."""


class _Known(msgspec.Struct, frozen=True):
    caller: Caller
    until: float


class Keystone:
    """Validates tokens with Keystone as the service user of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.auth_uri = settings.keystone_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None
        self._own_token = ""
        self._signing_in = asyncio.Lock()
        self._known: dict[bytes, _Known] = {}
        self._asking: dict[bytes, asyncio.Task[Caller]] = {}

    async def open(self) -> None:
        """Sign in. Raises IdentityUnavailable when Keystone cannot be reached or refuses the service user."""
        self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        try:
            await self._sign_in("")
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections to Keystone."""
        if self._session is not None:
            await self._session.close()

    async def caller(self, token: str) -> Caller:
        """Who holds the token. Raises InvalidToken, IdentityUnavailable."""
        key = hashlib.sha256(token.encode()).digest()
        known = self._known.get(key)
        if known is not None:
            if known.until > time.time():
                return known.caller
            del self._known[key]
        asking = self._asking.get(key)
        if asking is None:
            asking = asyncio.ensure_future(self._validate(token, key))
            self._asking[key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        return await asyncio.shield(asking)

    async def _validate(self, token: str, key: bytes) -> Caller:
        own = self._own_token
        status, body = await self._ask(own, token)
        if status == _UNAUTHORIZED:
            await self._sign_in(own)
            status, body = await self._ask(self._own_token, token)
        if status in {_NOT_FOUND, 400}:
            raise InvalidToken("the token is not valid")
        if status != _OK:
            raise IdentityUnavailable(f"Keystone answered {status} when it was asked about a token")
        try:
            caller, expires = _read_token(body)
        except (KeyError, TypeError, ValueError) as error:
            raise IdentityUnavailable(f"Keystone's answer about a token makes no sense: {error}") from error
        if len(self._known) >= _CACHE_SIZE:
            self._forget_old()
        self._known[key] = _Known(caller, min(expires, time.time() + self._settings.token_cache_seconds))
        return caller

    def _forget_old(self) -> None:
        now = time.time()
        self._known = {key: known for key, known in self._known.items() if known.until > now}
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()

    async def _ask(self, own: str, token: str) -> tuple[int, Any]:
        headers = {"X-Auth-Token": own, "X-Subject-Token": token}
        return await self._call("GET", "/auth/tokens?nocatalog", headers=headers)

    async def _sign_in(self, failed: str) -> None:
        """Get a token of our own, unless another request has replaced the failed one meanwhile."""
        async with self._signing_in:
            if self._own_token != failed:
                return
            s = self._settings
            user = {"name": s.username, "password": s.password, "domain": {"name": s.user_domain}}
            scope = {"project": {"name": s.project, "domain": {"name": s.project_domain}}}
            auth = {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}
            status, _, token = await self._request("POST", "/auth/tokens?nocatalog", json={"auth": auth})
            if status != _CREATED or not token:
                raise IdentityUnavailable(
                    f"Keystone at {self.auth_uri} does not let user {s.username!r} into {s.project!r}: "
                    f"it answered {status}",
                    "Check keystone_url, username, password and project.",
                )
            self._own_token = token

    async def _call(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        status, body, _ = await self._request(method, path, **arguments)
        return status, body

    async def _request(self, method: str, path: str, **arguments: Any) -> tuple[int, Any, str]:
        if self._session is None:
            raise IdentityUnavailable("the connection to Keystone is not open")
        try:
            async with self._session.request(method, self.auth_uri + path, **arguments) as answer:
                content = await answer.read()
                body = msgspec.json.decode(content) if content else None
                return answer.status, body, answer.headers.get("X-Subject-Token", "")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise IdentityUnavailable(
                f"Keystone at {self.auth_uri} cannot be used: {reason}",
                "Check that the identity service is up and that its address can be reached from here.",
            ) from error


def _read_token(body: Any) -> tuple[Caller, float]:
    token = body["token"]
    caller = Caller(
        user_id=token["user"]["id"],
        project_id=(token.get("project") or {}).get("id", ""),
        roles=frozenset(role["name"].lower() for role in token.get("roles") or ()),
    )
    expires = datetime.fromisoformat(token["expires_at"])
    return caller, expires.timestamp()

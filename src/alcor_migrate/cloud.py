"""An OpenStack cloud as clouds.yaml names it: who we are there, and its Keystone.

Owns the keystoneauth session; blocking calls run in a thread. Tokens never reach a log.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from typing import Any

import openstack.config
from keystoneauth1 import exceptions as keystone_errors
from openstack import exceptions as sdk_errors

from alcor_migrate.errors import CloudNotFound, CloudRefused, CloudUnreachable
from alcor_migrate.gateway import Caller

_FORBIDDEN = 403
_CALLERS = 10_000
"""How many callers are remembered; a cloud has far fewer live tokens than this."""


class Cloud:
    """A cloud and our administrator's session in it."""

    def __init__(self, name: str) -> None:
        """Look the name up in clouds.yaml; no request is sent. Raises CloudNotFound."""
        loader = openstack.config.OpenStackConfig()
        known = sorted(loader.get_cloud_names())
        if name not in known:
            raise CloudNotFound(
                f"there is no cloud named {name!r} in clouds.yaml (it has: {', '.join(known) or 'none'})"
            )
        try:
            self._region = loader.get_one(cloud=name)
            self._session = self._region.get_session()
        except (sdk_errors.ConfigException, keystone_errors.ClientException) as error:
            raise CloudNotFound(f"the entry of cloud {name!r} in clouds.yaml cannot be used: {error}") from error
        self.name = name
        self._project_id: str | None = None
        self._callers: dict[bytes, tuple[float, Caller | None]] = {}

    async def token(self) -> str:
        """A valid token of ours. Raises CloudUnreachable or CloudRefused."""
        return str(await self._ask(self._session.get_token, "Keystone"))

    async def project_id(self) -> str:
        """The project that we work in. Raises CloudUnreachable or CloudRefused."""
        if self._project_id is None:
            self._project_id = str(await self._ask(self._session.get_project_id, "Keystone"))
        return self._project_id

    async def renew(self) -> None:
        """Forget our token, because a service refused it."""
        await asyncio.to_thread(self._session.invalidate)

    async def projects(self) -> dict[str, str]:
        """Names of all projects by id."""
        answer = await self._identity("GET", "/v3/projects")
        return {p["id"]: p["name"] for p in answer["projects"]}

    async def identify(self, token: str) -> Caller | None:
        """Whose token this is, or None when Keystone does not know it or does not answer."""
        digest = hashlib.blake2b(token.encode(), digest_size=16).digest()
        known = self._callers.get(digest)
        if known and known[0] > time.monotonic():
            return known[1]
        try:
            answer = await self._identity("GET", "/v3/auth/tokens", {"X-Subject-Token": token})
            body = answer["token"]
            caller = Caller((body.get("project") or {}).get("id"), (body.get("user") or {}).get("id"))
        except (CloudUnreachable, CloudRefused):
            caller = None
        if len(self._callers) >= _CALLERS:
            self._callers.clear()
        self._callers[digest] = (time.monotonic() + (300.0 if caller else 5.0), caller)
        return caller

    async def network_endpoints(self) -> list[dict[str, Any]]:
        """The catalogue's endpoints of the network service, as Keystone lists them."""
        services = await self._identity("GET", "/v3/services?type=network")
        ids = {s["id"] for s in services["services"]}
        endpoints = await self._identity("GET", "/v3/endpoints")
        return [e for e in endpoints["endpoints"] if e["service_id"] in ids]

    async def network_address(self) -> str:
        """The address of the network service in our catalogue. Raises CloudNotFound, CloudUnreachable."""
        url = await self._ask(lambda: self._region.get_session_endpoint("network"), "Keystone")
        if not url:
            raise CloudNotFound(
                f"the catalogue of cloud {self.name!r} names no network service",
                "Give its address with --source-url.",
            )
        return str(url).rstrip("/").removesuffix("/v2.0")

    async def move_endpoint(self, endpoint_id: str, url: str) -> None:
        """Let an endpoint of the catalogue point to another address."""
        await self._identity("PATCH", f"/v3/endpoints/{endpoint_id}", json={"endpoint": {"url": url}})

    async def _identity(
        self, method: str, path: str, headers: dict[str, str] | None = None, json: Any = None
    ) -> dict[str, Any]:
        def call() -> dict[str, Any]:
            answer = self._session.request(
                path,
                method,
                endpoint_filter={"service_type": "identity", "interface": "public"},
                headers=headers or {},
                json=json,
                raise_exc=False,
                # Catalogues name the endpoint with or without /v3; the path above always has it.
                endpoint_override=self._identity_root(),
            )
            if answer.status_code >= 400:  # noqa: PLR2004  # HTTP's own boundary
                asked = f"Keystone ({method} {path.partition('?')[0]})"
                way_out = _CREDENTIALS if answer.status_code == _FORBIDDEN else ""
                raise CloudRefused(asked, answer.status_code, answer.text, way_out)
            return dict(answer.json()) if answer.content else {}

        result: dict[str, Any] = await self._ask(call, "Keystone")
        return result

    def _identity_root(self) -> str:
        url = str(self._region.get_auth_args().get("auth_url", "")).rstrip("/")
        return url.removesuffix("/v3")

    async def _ask(self, call: Any, what: str) -> Any:
        try:
            return await asyncio.to_thread(call)
        except keystone_errors.ConnectFailure as error:
            raise CloudUnreachable(
                f"{what} of cloud {self.name!r} does not answer at {self._identity_root() or 'its address'}"
            ) from error
        except keystone_errors.HttpError as error:
            raise CloudRefused(
                f"{what} of cloud {self.name!r}", error.http_status, str(error.message), _CREDENTIALS
            ) from error
        except keystone_errors.ClientException as error:
            raise CloudUnreachable(f"{what} of cloud {self.name!r} cannot be used: {error}") from error


_CREDENTIALS = "Check the credentials of this cloud in clouds.yaml; the user must be an administrator."

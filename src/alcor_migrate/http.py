"""One small client for JSON over HTTP, used by source and target alike.

Reads are tried again a bounded number of times when the connection or the server fails, each time with a line
in the log; writes are sent once, and whoever sends them decides what a failure means.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import structlog

from alcor_migrate.errors import CloudRefused, CloudUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alcor_migrate.cloud import Cloud

log = structlog.get_logger(__name__)

Params = list[tuple[str, str]]

_TRIES = 5
_FIRST_PAUSE = 0.1
_UNAUTHORIZED = 401
_SERVER_ERROR = 500
_BAD = 400

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _NotReached(CloudUnreachable):
    """No connection could be had."""


class JsonClient:
    """Talks to one service with the cloud's token, at `url` or at one of several servers of it.

    It stays with a server until that fails: one that takes no connection is passed over for the next at once,
    for writes too, because nothing was sent; after any other failure only reads are tried again, on the next.
    """

    def __init__(
        self, service: str, url: str | list[str], cloud: Cloud, connections: int = 8, patience: float = 120.0
    ) -> None:
        """`patience`: seconds that one answer may take."""
        self.service = service
        self._urls = [one.rstrip("/") for one in ([url] if isinstance(url, str) else url)]
        self._cloud = cloud
        self._connections = connections
        self._patience = patience
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """The server that is asked now."""
        return self._urls[0]

    def _next_server(self) -> None:
        if len(self._urls) > 1:
            self._urls.append(self._urls.pop(0))
            log.warning("next_server", service=self.service, url=self.url)

    async def get(self, path: str, params: Iterable[tuple[str, str]] = ()) -> Any:
        """The body of an answer to GET. Raises CloudUnreachable, or CloudRefused for 4xx and 5xx."""
        pause = _FIRST_PAUSE
        for attempt in range(1, _TRIES + 1):
            try:
                status, body = await self.request("GET", path, params=params)
            except CloudUnreachable as error:
                if attempt == _TRIES:
                    raise
                log.warning("read_failed", service=self.service, path=path, attempt=attempt, reason=error.message)
            else:
                if status < _BAD:
                    return body
                refused = CloudRefused(f"{self.service} (GET {path})", status, _text(body))
                if status < _SERVER_ERROR or attempt == _TRIES:
                    raise refused
                log.warning("read_failed", service=self.service, path=path, attempt=attempt, status=status)
            self._next_server()
            await asyncio.sleep(pause)
            pause *= 2
        raise AssertionError  # the loop above returns or raises

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        params: Iterable[tuple[str, str]] = (),
    ) -> tuple[int, Any]:
        """Send one request; answers (status, decoded body or None). A refused token is renewed once.

        Raises CloudUnreachable when there is no answer.
        """
        status, decoded = await self._send(method, path, body, params)
        if status == _UNAUTHORIZED:
            await self._cloud.renew()
            status, decoded = await self._send(method, path, body, params)
        return status, decoded

    async def _send(self, method: str, path: str, body: Any, params: Iterable[tuple[str, str]]) -> tuple[int, Any]:
        for _ in self._urls[1:]:
            try:
                return await self._send_to_one(method, path, body, params)
            except _NotReached:
                self._next_server()
        return await self._send_to_one(method, path, body, params)

    async def _send_to_one(
        self, method: str, path: str, body: Any, params: Iterable[tuple[str, str]]
    ) -> tuple[int, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections),
                timeout=aiohttp.ClientTimeout(total=self._patience, sock_connect=5),
            )
        headers = {"X-Auth-Token": await self._cloud.token(), "Content-Type": "application/json"}
        try:
            async with self._session.request(
                method,
                self.url + path,
                params=list(params),
                data=None if body is None else _encode(body),
                headers=headers,
            ) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            # no connection was had, so nothing was sent
            unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
            kind = _NotReached if unsent else CloudUnreachable
            raise kind(f"{self.service} does not answer at {self.url}: {reason}") from error
        return answer.status, _parsed(raw)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _parsed(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return raw.decode("utf-8", "replace")


def _text(body: Any) -> str:
    if isinstance(body, dict) and isinstance(body.get("NeutronError"), dict):
        return str(body["NeutronError"].get("message", body))
    return "" if body is None else str(body)

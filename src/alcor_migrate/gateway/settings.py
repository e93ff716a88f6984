"""What an operator can choose about the gateway."""

from __future__ import annotations

import enum
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from alcor_migrate.errors import ConfigError
from alcor_migrate.settings import HealthChecks

if TYPE_CHECKING:
    from alcor_migrate.settings import Settings

_MIB = 1024 * 1024
ORPHAN_PATIENCE = 5.0
"""Seconds that a side is given to end what a process that died had sent to it."""


class Policy(enum.Enum):
    """What happens to writes when the journal cannot be written."""

    FAIL_OPEN = "fail_open"
    """They pass on without a record; the journal is incomplete from then on."""
    FAIL_CLOSED = "fail_closed"
    """They are answered 503 with Retry-After."""


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses, limits (bytes) and patience (seconds) of one gateway."""

    listen: str
    source: str | list[str]
    """The address of the source's API server, or those of several."""
    target: str | list[str] | None = None
    checks: HealthChecks = HealthChecks()
    """How the servers of a side with several are watched."""
    policy: Policy = Policy.FAIL_CLOSED
    certificate: str | None = None
    key: str | None = None
    upstream_ca: str | None = None
    max_head: int = 64 * 1024
    max_body: int = 32 * _MIB
    """Of a write that is recorded or held; others are streamed."""
    max_answer: int = 32 * _MIB
    """Of a recorded write; a longer answer is recorded as truncated and streamed after that."""
    head_timeout: float = 10.0
    body_timeout: float = 60.0
    """Longest silence within a request's body, or of a client that does not take its answer."""
    idle_timeout: float = 75.0
    connect_timeout: float = 5.0
    answer_timeout: float = 300.0
    """Longest silence of an upstream that owes an answer."""
    upstream_idle: float = 30.0
    """How long an upstream connection is kept for reads."""
    upstream_idle_for_writes: float = 2.0
    """A write only uses a connection that was in use this short a time ago, or a new one: it is never sent twice,
    so it must not meet a connection that the other end is about to close."""
    max_upstream_connections: int = 1024
    """To one server."""
    intent_patience: float = 5.0
    """How long a write waits for its intent to be durable before the journal counts as stalled for it."""
    outcome_patience: float = 5.0
    """How long an answer waits for its outcome to be durable when the journal stalls after the write was sent."""
    max_hold: float = 3.0
    max_held_requests: int = 2000
    max_held_bytes: int = 64 * _MIB
    release_patience: float = 2.0
    """How long after a hold the writes of a project go on one after the other; what waits then goes on at once."""
    reads_patience: float = 1.0
    """How long a read waits until the passive side has what it must see, while reads go there."""
    ahead_timeout: float = 5.0
    """Longest silence of the passive side before a read is asked of the active one."""
    retry_after: int = 2
    workers: int = 1
    """Processes; one is this process itself."""
    metrics_listen: str | None = None
    """Where the figures for Prometheus are served."""
    access_log: float = 0.0
    """The share of requests that get a line in the log; those that failed (status 5xx, or cut) always do."""
    shadow: float = 0.0
    """The share of answered GETs that are told to `Switch.on_read`."""
    heartbeat: float = 1.0
    """How often the master of several workers lets them know that it lives."""
    lease: float = 3.0
    """A worker that has not heard from its master for this long lets no write through; a master that has not heard
    from a worker for this long kills it."""
    confirm_timeout: float = 1.0
    """A worker that has not confirmed a switch of the route within this time is killed."""
    orphan_patience: float = ORPHAN_PATIENCE
    """The same for a worker, and for a server whose answer was lost: how long such writes count as in flight, before
    they are recorded as unknown."""
    stop_grace: float = 10.0

    @property
    def sides(self) -> dict[str, list[Address]]:
        """The servers of each side that there is. Raises ConfigError."""
        given = {"source": self.source, "target": self.target}
        return {
            side: [upstream_address(url) for url in ((urls,) if isinstance(urls, str) else urls)]
            for side, urls in given.items()
            if urls
        }


def configured(settings: Settings) -> GatewaySettings:
    """What the configuration file says about the gateway; keys of one name mean the same."""
    options = settings.gateway
    named = {name: getattr(options, name) for name in options.__struct_fields__}
    named["policy"] = Policy(options.policy)
    return GatewaySettings(source=settings.source.url, target=settings.target.url, **named)


class Address(msgspec.Struct, frozen=True):
    """Where to connect, and how."""

    host: str
    port: int
    tls: bool = False

    @property
    def authority(self) -> str:
        """The form of a Host field."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def upstream_address(url: str) -> Address:
    """Reads `http://host:port`. Raises ConfigError; a path is refused, because paths are forwarded untouched."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/") or parts.query:
        msg = f"{url!r} is not the address of an API server"
        raise ConfigError(msg, "Give it as http://host:port or https://host:port, without a path.")
    tls = parts.scheme == "https"
    return Address(parts.hostname, port or (443 if tls else 80), tls)


def listen_address(text: str) -> Address:
    """Reads `host:port` or `[v6]:port`. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004  (the last port)
        msg = f"{text!r} is not an address to listen on"
        raise ConfigError(msg, "Give it as host:port, for example 0.0.0.0:9696 or [::]:9696.")
    return Address(host.strip("[]"), int(port))


def server_context(settings: GatewaySettings) -> ssl.SSLContext | None:
    """TLS towards the clients, where a certificate is given. Raises ConfigError."""
    if settings.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as error:
        msg = f"the certificate {settings.certificate} cannot be used: {error}"
        raise ConfigError(msg) from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(settings: GatewaySettings) -> ssl.SSLContext:
    """TLS towards the upstreams. Raises ConfigError."""
    try:
        return ssl.create_default_context(cafile=settings.upstream_ca)
    except (OSError, ssl.SSLError) as error:
        msg = f"the certificates in {settings.upstream_ca} cannot be used: {error}"
        raise ConfigError(msg) from error

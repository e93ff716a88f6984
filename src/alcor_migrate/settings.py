"""The configuration file: one YAML document, every key known, every mistake named.

Addresses are `http://host:port`, times are seconds, paths are relative to the file's own directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
import yaml

from alcor_migrate.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def _several(urls: str | list[str]) -> tuple[str, ...]:
    return (urls,) if isinstance(urls, str) else tuple(urls)


_Part = TypeVar("_Part", bound=msgspec.Struct)

MAX_CHUNK = 10_000
"""The most objects in a page."""


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Neutron that is moved from."""

    cloud: str
    """An entry of clouds.yaml with an administrator's credentials; its Keystone serves both sides."""
    url: str | list[str]
    """Neutron's own address, or those of several Neutron servers on one database; the one in the catalogue is, or
    becomes, the gateway's."""
    database: str = ""
    """Neutron's database, read instead of its API for listings and by replay: `mysql+pymysql://…` or
    `postgresql+psycopg://…`, as a user who may only read. The primary, or any node of a Galera cluster."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Every address."""
        return _several(self.url)


class TargetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Alcor that is moved to."""

    url: str | list[str]
    """Its address, where it serves its native API and the Neutron API; it trusts the same Keystone. Or those of
    several servers on one store; `complete` lets the catalogue point to the first."""
    kind: Literal["bundled", "upstream"] = "bundled"
    """Which Alcor it is: this project's, or upstream's, which `run` loads and keeps level within what the answers
    file accepts, and to which there is no cutover."""

    @property
    def urls(self) -> tuple[str, ...]:
        """Every address."""
        return _several(self.url)


class HealthChecks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the gateway watches the servers of a side that has several."""

    path: str = "/"
    """What is asked for, without a token; status 2xx and 3xx are good. `/healthcheck` where Neutron's api-paste.ini
    has it lets a server be taken out before it is stopped."""
    interval: float = 2.0
    """Seconds from one check of a server to the next."""
    timeout: float = 2.0
    """Seconds in which it must answer."""
    fall: int = 3
    """So many bad checks or broken requests in a row, and it gets no more requests; a refused connection suffices."""
    rise: int = 2
    """So many good checks in a row, and it gets requests again."""


class GatewayOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the gateway listens, and what it does when the journal fails."""

    listen: str
    """Address and port for the clients, `host:port`; this is what the catalogue has to point to."""
    policy: Literal["fail_closed", "fail_open"] = "fail_closed"
    """What happens to writes while the journal cannot be written: answered 503 with Retry-After, or passed on
    without a record, which closes the gate of cutover until a sweep has healed it."""
    max_hold: float = 3.0
    """Longest time in seconds that a write waits during a cutover."""
    reads_patience: float = 1.0
    """Longest time in seconds that a read waits, while reads go to the other side than writes (`cutover --reads`),
    until that side has everything that was acknowledged before; then it is asked where the writes go."""
    workers: int = 1
    """Processes that serve clients on this port. One is the process of the migration itself; with more, it only
    leads them."""
    metrics_listen: str | None = None
    """Address and port for Prometheus, `host:port`, which reads `/metrics` there; nothing is served without it."""
    checks: HealthChecks = HealthChecks()
    access_log: float = 0.0
    """The share of requests, 0 to 1, that get a line in the log; those that failed (status 5xx, or cut) always do."""
    shadow: float = 0.0
    """The share of users' reads, 0 to 1, that are also asked of the target and compared (three more requests each,
    beside the user's own); 0 is none."""
    certificate: str | None = None
    """A file with the certificate (and its chain) for TLS towards the clients; without it they speak plain HTTP."""
    key: str | None = None
    """The file with its key, where that is another one."""
    upstream_ca: str | None = None
    """A file with the authorities that servers behind `https://` are verified with, instead of the system's."""
    max_head: int = 64 * 1024
    """Longest request line with header fields, in bytes; more is answered 431."""
    max_body: int = 32 * 1024 * 1024
    """Longest body, in bytes, of a write that is recorded or held; more is answered 413."""
    max_held_requests: int = 2000
    """So many writes may wait during a cutover; when they are more, it is given up and they go to the old side."""
    max_held_bytes: int = 64 * 1024 * 1024
    """The same for their bodies, in bytes."""
    head_timeout: float = 10.0
    """Seconds that a client may take for the head of a request; then it is answered 408."""
    body_timeout: float = 60.0
    """Seconds of silence within a request's body (408), or of a client that does not take its answer (cut)."""
    idle_timeout: float = 75.0
    """Seconds that a client's connection is kept without a request."""
    answer_timeout: float = 300.0
    """Seconds of silence of a server that owes an answer; then it is 504, and a write is unknown."""


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast the engine goes, and what the gates ask for."""

    page_size: int = 500
    """Objects in one page of copy and verify."""
    sweep_interval: float = 60.0
    """Seconds between two sweeps."""
    max_lag: float = 2.0
    """Cutover is refused while the lag in seconds is above this."""
    verify_max_age: float = 600.0
    """Cutover is refused when the last clean verify is older than this many seconds, counted from what it compared
    first: longer than one verify takes."""
    wait_for_quiet: float = 10.0
    """Longest time in seconds that a cutover waits, before it holds any write, for a moment at which none is in
    flight and everything is replayed: then the hold is short. 0 holds at once."""
    cutover_attempts: int = 10
    """How often a cutover that could not finish within the hold is tried again."""
    source_latency: float = 2.0
    """Copy, verify and sweep wait while the source needs more than this many seconds for one small request, which is
    sent once a second while they work; 0 is never."""
    throttle_flag_file: str = ""
    """They also wait while this file exists."""
    postpone_flag_file: str = ""
    """A cutover that is asked for waits while this file exists."""
    attention_after: float = 60.0
    """A side that does not answer for this many seconds needs attention."""
    hooks: str = ""
    """A directory of executables that are run at transitions; see the page on operating."""
    hook_timeout: float = 30.0
    """Seconds after which a hook is ended and counts as failed."""
    rabbitmq: str = ""
    """RabbitMQ's management API, `http://user:password@host:15672/vhost`, where Neutron's agents have their queues;
    `drain` looks there whether they are empty. Without a vhost all of them are looked at; `/` is written `%2F`."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the operator configures."""

    source: SourceSettings
    target: TargetSettings
    gateway: GatewayOptions
    state_dir: str
    """Where journal, state and control socket are kept; one directory for one migration, on a local disk."""
    journal: str = ""
    """Where the journal is kept instead of a file in `state_dir`: the URL of a database of its own on MariaDB
    (`mysql+pymysql://…`) or PostgreSQL (`postgresql+psycopg://…`)."""
    journal_keep: float = 7 * 86400.0
    """How long an applied entry is kept, in seconds."""
    journal_max_bytes: int = 8 * 1024**3
    """Bound of the journal's file, in bytes; at the bound it counts as a journal that cannot be written, and
    `gateway.policy` says what becomes of writes. Databases on a server have no bound but their own."""
    engine: EngineSettings = EngineSettings()
    answers: str = ""
    """The answers file of `assess`. With one, `run` begins only where assess finds nothing that is not answered."""


def load_settings(path: Path) -> Settings:
    """Read and check a configuration file. Raises ConfigError, naming the file and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"the configuration file {path} cannot be read: {error.strerror}",
            "Name it with --config; docs/reference/configuration.md has one to start from.",
        ) from error
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error
    _check(path, settings)
    if not 1 <= settings.engine.page_size <= MAX_CHUNK:
        raise ConfigError(f"{path}: engine.page_size is {settings.engine.page_size}, not from 1 to {MAX_CHUNK}")
    if settings.engine.hook_timeout <= 0:
        raise ConfigError(f"{path}: engine.hook_timeout is {settings.engine.hook_timeout}, it must be above 0")
    return _from(path.parent, settings)


def _from(directory: Path, settings: Settings) -> Settings:
    """Make the paths absolute; they are relative to the file's directory."""
    return msgspec.structs.replace(
        settings,
        state_dir=str((directory / settings.state_dir).resolve()),
        answers=str((directory / settings.answers).resolve()) if settings.answers else "",
        engine=_absolute(directory, settings.engine, "throttle_flag_file", "postpone_flag_file", "hooks"),
        gateway=_absolute(directory, settings.gateway, "certificate", "key", "upstream_ca"),
    )


def _absolute(directory: Path, part: _Part, *names: str) -> _Part:
    given = {name: str((directory / path).resolve()) for name in names if (path := getattr(part, name))}
    return msgspec.structs.replace(part, **given)


def _check(path: Path, settings: Settings) -> None:
    """What the types do not say. Raises ConfigError."""
    for key, urls in (("source.url", settings.source.urls), ("target.url", settings.target.urls)):
        if not urls or len(set(urls)) < len(urls):
            raise ConfigError(f"{path}: {key} has no address, or one of them twice")
        for url in urls:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ConfigError(f"{path}: {key} is {url!r}, which is not an address like http://host:port")
    _check_gateway(path, settings, settings.gateway)


def _check_gateway(path: Path, settings: Settings, gateway: GatewayOptions) -> None:
    host, _, port = gateway.listen.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"{path}: gateway.listen is {gateway.listen!r}, not host:port")
    for key in ("max_hold", "reads_patience"):
        if (seconds := getattr(gateway, key)) <= 0:
            raise ConfigError(f"{path}: gateway.{key} is {seconds}, it must be above 0")
    if settings.engine.wait_for_quiet < 0:
        raise ConfigError(f"{path}: engine.wait_for_quiet is {settings.engine.wait_for_quiet}, it cannot be below 0")
    if gateway.workers < 1:
        raise ConfigError(f"{path}: gateway.workers is {gateway.workers}, it must be at least 1")
    if settings.target.kind == "upstream" and gateway.shadow:
        raise ConfigError(
            f"{path}: gateway.shadow compares users' reads with the target's Neutron API; upstream Alcor has none"
        )
    for key in ("access_log", "shadow"):
        if not 0 <= (share := getattr(gateway, key)) <= 1:
            raise ConfigError(f"{path}: gateway.{key} is {share}, not a share from 0 to 1")

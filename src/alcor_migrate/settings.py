"""The configuration file: one YAML document, every key known, every mistake named.

Addresses are `http://host:port`, times are seconds, paths are relative to the file's own directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import msgspec
import yaml

from alcor_migrate.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Neutron that is moved from."""

    cloud: str
    """An entry of clouds.yaml with an administrator's credentials; its Keystone serves both sides."""
    url: str
    """Neutron's own address: the one in the catalogue is, or becomes, the gateway's."""


class TargetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The Alcor that is moved to."""

    url: str
    """Its address, where it serves its native API and the Neutron API; it trusts the same Keystone."""


class GatewayOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the gateway listens, and what it does when the journal fails."""

    listen: str
    """Address and port for the clients, `host:port`; this is what the catalogue has to point to."""
    policy: Literal["fail_closed", "fail_open"] = "fail_closed"
    """What happens to writes while the journal cannot be written: answered 503 with Retry-After, or passed on
    without a record, which closes the gate of cutover until a sweep has healed it."""
    max_hold: float = 3.0
    """Longest time in seconds that a write waits during a cutover."""
    workers: int = 1
    """Processes that serve clients on this port. One is the process of the migration itself; with more, it only
    leads them."""
    metrics_listen: str | None = None
    """Address and port for Prometheus, `host:port`, which reads `/metrics` there; nothing is served without it."""
    access_log: float = 0.0
    """The share of requests, 0 to 1, that get a line in the log; those that failed (status 5xx, or cut) always do."""


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How fast the engine goes, and what the gates ask for."""

    page_size: int = 500
    """Objects in one page of copy and verify."""
    sweep_interval: float = 60.0
    """Seconds between two sweeps."""
    max_lag: float = 2.0
    """Cutover is refused while the lag in seconds is above this."""
    verify_max_age: float = 600.0
    """Cutover is refused when the last clean verify is older than this many seconds."""
    cutover_attempts: int = 10
    """How often a cutover that could not finish within the hold is tried again."""


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
    engine: EngineSettings = EngineSettings()


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
    for key, url in (("source.url", settings.source.url), ("target.url", settings.target.url)):
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError(f"{path}: {key} is {url!r}, which is not an address like http://host:port")
    host, _, port = settings.gateway.listen.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"{path}: gateway.listen is {settings.gateway.listen!r}, not host:port")
    if settings.gateway.max_hold <= 0:
        raise ConfigError(f"{path}: gateway.max_hold is {settings.gateway.max_hold}, it must be above 0")
    if settings.gateway.workers < 1:
        raise ConfigError(f"{path}: gateway.workers is {settings.gateway.workers}, it must be at least 1")
    if not 0 <= settings.gateway.access_log <= 1:
        raise ConfigError(f"{path}: gateway.access_log is {settings.gateway.access_log}, not a share from 0 to 1")
    return msgspec.structs.replace(settings, state_dir=str((path.parent / settings.state_dir).resolve()))

"""The controller's settings: a YAML file, and the command line on top of it.

The file holds the names of `Settings`' fields; unknown keys are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from alcor_sdn.errors import ControllerConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that an operator decides about one controller."""

    listen: str = "127.0.0.1:9696"
    """HOST:PORT of both APIs."""
    database: str
    """A path (SQLite), or a SQLAlchemy URL."""
    keystone_url: str
    """The identity service, with `/v3`."""
    username: str = "alcor"
    password: str
    project: str = "service"
    user_domain: str = "Default"
    project_domain: str = "Default"
    token_cache_seconds: int = 300
    """How long a validated token is believed without asking Keystone again."""

    network_type: str = "vxlan"
    """The type of a network whose creator does not name one."""
    vni_ranges: tuple[tuple[int, int], ...] = ((1, 16_000_000),)
    """Segmentation ids that are handed out (an administrator may give any)."""
    vlan_ranges: dict[str, tuple[int, int]] = {}
    """Physical network -> the VLAN ids that are handed out on it."""
    path_mtu: int = 1500
    """The largest packet of the underlay; overlay networks subtract their headers."""
    dns_domain: str = "openstacklocal."
    """The domain of ports' names; with the default, ports keep no `dns_name` (as in Neutron)."""
    availability_zone: str = "nova"
    base_mac: str = "fa:16:3e"
    max_body_bytes: int = 256 * 1024 * 1024

    @property
    def address(self) -> tuple[str, int]:
        """The address to listen at. Raises ControllerConfigError."""
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 (the last TCP port)
            raise ControllerConfigError(f"listen: {self.listen!r} is not HOST:PORT")
        return host.strip("[]"), int(port)

    @property
    def database_url(self) -> str:
        """The database as a SQLAlchemy URL."""
        return self.database if "://" in self.database else f"sqlite:///{self.database}"


def load(file: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """Read the settings; an override that is None is not one.

    Raises ControllerConfigError, naming the file and the key.
    """
    values: dict[str, Any] = {}
    if file is not None:
        try:
            read = yaml.safe_load(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise ControllerConfigError(f"{file} cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise ControllerConfigError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(read, dict):
            raise ControllerConfigError(f"{file} does not hold settings (name: value lines)")
        values.update(read)
    values.update({name: value for name, value in overrides.items() if value is not None})
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise ControllerConfigError(f"the settings are wrong: {error}") from error

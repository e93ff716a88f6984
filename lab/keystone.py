"""A real Keystone: its configuration, its tables, its process, and the users of the cloud."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keystoneauth1 import session as keystone_session
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import v3

from lab.ports import HOST
from lab.process import INSIDE, answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lab.process import Processes, Service

PASSWORD = "secret"
REGION = "RegionOne"
DOMAIN = "default"

CONFIGURATION = """\
[DEFAULT]
use_stderr = true
[database]
connection = {database_url}
[token]
expiration = 86400
[fernet_tokens]
key_repository = {keys}
[credential]
key_repository = {keys}
[cache]
enabled = true
backend = dogpile.cache.memory
[oslo_messaging_notifications]
driver = noop
[identity]
# 4 is the least that bcrypt takes: the lab has nothing to protect, and its two cores other work
password_hash_rounds = 4
"""


@dataclass(frozen=True)
class Project:
    """A tenant: a project with one user of its own (roles member and reader)."""

    name: str
    id: str
    user: str
    password: str


@dataclass(frozen=True)
class Credentials:
    """A user of Keystone with a password, in the words of `[keystone_authtoken]`."""

    auth_url: str
    username: str
    password: str
    project_name: str
    user_domain_name: str = "Default"
    project_domain_name: str = "Default"
    region_name: str = REGION


def write_configuration(directory: Path, database_url: str) -> Path:
    """Write keystone.conf and fresh keys for tokens into `directory`; returns the file."""
    keys = directory / "keystone-keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    for number in ("0", "1"):  # the staged and the primary key, as `keystone-manage fernet_setup` leaves them
        key = keys / number
        key.touch(mode=0o600)
        key.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
    path = directory / "keystone.conf"
    path.write_text(CONFIGURATION.format(database_url=database_url, keys=keys), encoding="utf-8")
    return path


def initialise(processes: Processes, openstack_bin: Path, configuration: Path) -> Service:
    """Start making Keystone's tables and the cloud's administrator; `wait` on what is returned."""
    manage = f"{openstack_bin}/keystone-manage --config-file {configuration}"
    bootstrap = f"bootstrap --bootstrap-password {PASSWORD} --bootstrap-region-id {REGION}"
    steps = f"{manage} db_sync && {manage} {bootstrap}"
    return processes.spawn("keystone-initialise", ["/bin/sh", "-c", steps])


def start(processes: Processes, openstack_bin: Path, configuration: Path, port: int, threads: int) -> Service:
    """Start the API, in one process; it is ready when it answers."""
    return processes.spawn(
        "keystone",
        [
            openstack_bin / "python",
            "-W",
            "ignore",
            INSIDE / "serve.py",
            "keystone.wsgi.api",
            HOST,
            port,
            1,
            threads,
        ],
        env={"OS_KEYSTONE_CONFIG_FILES": str(configuration), "OS_KEYSTONE_CONFIG_DIR": "/"},
        ready=lambda: answers(f"http://{HOST}:{port}/v3"),
    )


def administrator(auth_url: str) -> keystone_session.Session:
    """Return a session of the cloud's administrator, `admin` in project `admin`."""
    password = v3.Password(
        auth_url=auth_url,
        username="admin",
        password=PASSWORD,
        project_name="admin",
        user_domain_id=DOMAIN,
        project_domain_id=DOMAIN,
    )
    return keystone_session.Session(auth=password)


class Directory:
    """Writes projects, users and endpoints into a running Keystone, through its API (v3)."""

    def __init__(self, auth_url: str) -> None:
        self._auth_url = auth_url
        self._api = Adapter(administrator(auth_url), endpoint_override=auth_url)
        self._roles = {role["name"]: role["id"] for role in self._get("roles")}

    def add_tenants(self, tenants: Mapping[str, str]) -> tuple[Project, ...]:
        """Create a project with a user for each (project, user) name."""
        made = []
        for project, user in tenants.items():
            project_id = self._create("project", name=project, domain_id=DOMAIN)
            self._add_user(user, project_id, ("member", "reader"))
            made.append(Project(project, project_id, user, PASSWORD))
        return tuple(made)

    def add_service_users(self, names: Iterable[str]) -> dict[str, Credentials]:
        """Create project `service` with a user for each service, who may check other users' tokens."""
        project_id = self._create("project", name="service", domain_id=DOMAIN)
        for name in names:
            self._add_user(name, project_id, ("admin", "service"))
        return {name: Credentials(self._auth_url, name, PASSWORD, "service") for name in names}

    def register(self, kind: str, url: str) -> None:
        """Put an address into the catalogue, for all three interfaces."""
        known = {service["type"]: service["id"] for service in self._get("services")}
        service_id = known.get(kind) or self._create("service", name=kind, type=kind)
        for interface in ("public", "internal", "admin"):
            self._create("endpoint", service_id=service_id, interface=interface, url=url, region_id=REGION)

    def _add_user(self, name: str, project_id: str, roles: Sequence[str]) -> None:
        user_id = self._create("user", name=name, password=PASSWORD, domain_id=DOMAIN, default_project_id=project_id)
        for role in roles:
            self._api.put(f"/projects/{project_id}/users/{user_id}/roles/{self._roles[role]}")

    def _get(self, resources: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api.get(f"/{resources}").json()[resources]
        return found

    def _create(self, resource: str, **fields: str) -> str:
        return str(self._api.post(f"/{resource}s", json={resource: fields}).json()[resource]["id"])

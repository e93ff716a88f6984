"""A running cloud: `with Lab() as lab:` is all there is to it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import openstack
import yaml

from lab import database as databases
from lab import image, keystone, neutron, rabbitmq
from lab.agent import Agent
from lab.errors import LabError
from lab.keystone import Credentials, Project
from lab.ports import HOST, Ports
from lab.process import RECORD, Processes, Service, read_record, running

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType, TracebackType

__all__ = ["Agent", "Credentials", "Lab", "Project", "Service"]

OPENSTACK_BIN = image.REPOSITORY / ".venv-cloud" / "bin"
TENANTS = {"web-shop": "wanda", "analytics": "anton", "research": "rosa"}
"""Project to user; the project's name is also the cloud's name in clouds.yaml."""

THREADS = 4
START_TIMEOUT = 180  # seconds


class Lab:
    """A real Keystone and a real Neutron API on free ports of 127.0.0.1, in a directory of their own.

    `directory`: where everything is kept (made if it is not there, kept at the end); by default a scratch
    directory that is removed at the end. `neutron_workers`: processes of Neutron's API (1 on SQLite, whatever
    is asked). `database`: "mariadb", "sqlite", or "auto" for MariaDB where it is installed. `gateway`:
    "reserved" registers a port in Keystone's catalogue as the network's address where nothing listens yet;
    "none" registers Neutron itself. `rpc`: run RabbitMQ and neutron-rpc-server too (see `agent`); as root it is
    installed where it is missing. `keep`: leave all running at the end, until `python -m lab stop
    DIRECTORY`.

    Nothing is left behind, however the block ends; with SIGKILL of this process the services die and the
    scratch directory stays.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        neutron_workers: int = 2,
        database: Literal["auto", "mariadb", "sqlite"] = "auto",
        gateway: Literal["reserved", "none"] = "reserved",
        rpc: bool = False,
        keep: bool = False,
        openstack_bin: Path = OPENSTACK_BIN,
    ) -> None:
        if rpc:
            rabbitmq.provide()
        self.database = databases.choose(database)
        self.directory = directory.resolve() if directory else Path(tempfile.mkdtemp(prefix="alcor-lab-"))
        self.directory.mkdir(parents=True, exist_ok=True)
        if (self.directory / RECORD).exists() and running(read_record(self.directory)):
            msg = f"a lab is running in {self.directory}"
            raise LabError(msg, f"`python -m lab stop {self.directory}` ends it; or take another directory.")
        self.logs = self.directory / "logs"
        self.clouds_yaml = self.directory / "clouds.yaml"
        self.keep = keep
        self.openstack_bin = openstack_bin.absolute()
        self.projects: tuple[Project, ...] = ()
        self._concurrent = self.database != "sqlite"
        self.neutron_workers = neutron_workers if self._concurrent else 1
        self._ports = Ports()
        self._processes = Processes(self.directory, scratch=directory is None, keep=keep)
        self._restore_signal: Callable[[], Any] = lambda: None
        neutron_port, self._keystone_port = self._ports.reserve(), self._ports.reserve()
        self._neutron_port = neutron_port
        self.neutron_url = f"http://{HOST}:{neutron_port}"
        """Neutron itself, without the version."""
        self.gateway_url = f"http://{HOST}:{self._ports.reserve()}" if gateway == "reserved" else self.neutron_url
        """What the catalogue says; the lab does not listen there."""
        self.alcor_url = f"http://{HOST}:{self._ports.reserve()}"
        """A free address for the bundled controller."""
        self.keystone_url = f"http://{HOST}:{self._keystone_port}/v3"
        self.service_credentials = Credentials(self.keystone_url, "alcor", keystone.PASSWORD, "service")
        """The user with which the controller checks tokens."""
        self._rabbitmq_port = self._ports.reserve() if rpc else None
        self.rabbitmq_url = rabbitmq.url(self._rabbitmq_port) if self._rabbitmq_port else None
        """The transport_url of Neutron and its agents; None without rpc."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything and return when Neutron creates networks; raises LabError, leaving nothing."""
        self._exit_on_sigterm()
        try:
            self._start()
        except BaseException:
            self._processes.abandon()
            self.stop()
            raise

    def _start(self) -> None:
        folder = self.directory / "database"
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier lab in the same directory
        threads = THREADS if self._concurrent else 1
        broker = rabbitmq.start(self._processes, self._ports, self._rabbitmq_port) if self._rabbitmq_port else None
        image.provide(self.database, self.openstack_bin, folder)
        store = databases.open_database(self.database, folder, self._ports.reserve(), self._processes)
        store.start()

        keystone_conf = keystone.write_configuration(self.directory, store.url("keystone"))
        neutron_conf = neutron.write_configuration(
            self.directory,
            self.openstack_bin,
            store.url("neutron"),
            self.keystone_url,
            self.rabbitmq_url or neutron.NOBODY,
        )
        identity = keystone.start(self._processes, self.openstack_bin, keystone_conf, self._keystone_port, threads)
        network = neutron.start(
            self._processes,
            self.openstack_bin,
            neutron_conf,
            self._neutron_port,
            self.neutron_workers,
            threads,
        )
        taker: Service | None = None
        if broker:
            broker.wait_ready(START_TIMEOUT)
            taker = neutron.start_rpc_server(
                self._processes, self.openstack_bin, neutron_conf, self.agent(neutron.HOSTS[0]).answered
            )
        identity.wait_ready(START_TIMEOUT)
        directory = keystone.Directory(self.keystone_url)
        directory.add_service_users(("neutron", "alcor"))
        directory.register("identity", self.keystone_url)
        directory.register("network", self.gateway_url)
        self.projects = directory.add_tenants(TENANTS)
        self._write_clouds_yaml()
        if taker:
            taker.wait_ready(START_TIMEOUT)
        try:
            self._prove(network)
        except LabError as error:
            if network.alive:
                raise
            # Once in some hundred starts one of its workers ends while both begin. Why is not known; its log is told.
            print(f"the lab's Neutron is started again: {error.message}", file=sys.stderr)
            network.start()
            self._prove(network)

    def _prove(self, network: Service) -> None:
        network.wait_ready(START_TIMEOUT)
        neutron.prove(network, keystone.administrator(self.keystone_url), self.neutron_url, START_TIMEOUT)

    def stop(self) -> None:
        """Stop everything and remove the scratch directory; with `keep`, do neither."""
        server = self.services.get("neutron-rpc")
        if server and not self._processes.kept:
            server.kill()  # asked kindly it takes ten seconds, and for ever once the broker is gone
        self._processes.close()
        self._ports.release()
        if self._processes.scratch and not self._processes.kept:
            shutil.rmtree(self.directory, ignore_errors=True)
        self._restore_signal()

    @property
    def services(self) -> Mapping[str, Service]:
        """The processes by name: mariadb (if used), keystone, neutron, and what `spawn` added.

        With rpc also rabbitmq, epmd (its name server) and neutron-rpc.
        """
        return self._processes.services

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
    ) -> Service:
        """Start another process that ends with the lab (or is kept with it), for instance the gateway.

        Its output goes to logs/NAME.log. `env` is added to the lab's own small environment. `wait_ready` of
        the returned handle waits until `ready` says true.
        """
        return self._processes.spawn(name, argv, env, ready)

    def connection(self, cloud: str = "lab-admin", *, direct: bool = False) -> Any:
        """Return an openstacksdk connection of an entry of clouds.yaml.

        `direct` goes to Neutron itself, past the address in the catalogue.
        """
        override: dict[str, Any] = {"network_endpoint_override": f"{self.neutron_url}/v2.0"} if direct else {}
        config = openstack.config.OpenStackConfig(
            config_files=[str(self.clouds_yaml)], vendor_files=[], secure_files=[], load_envvars=False
        )
        return openstack.connection.Connection(config=config.get_one(cloud, **override))

    def agent(self, host: str) -> Agent:
        """Return what stands in for the agents of a host; raises LabError in a lab without rpc."""
        if self.rabbitmq_url is None:
            msg = "the lab runs without rpc, so no agent can talk to Neutron"
            raise LabError(msg, "Start it with rpc=True.")
        return Agent(host, self.rabbitmq_url, self.openstack_bin, self._processes.environment())

    def openstack(self, *args: str, cloud: str = "lab-admin", timeout: float = 120) -> str:
        """Run the real `openstack` client and return what it prints; raises LabError with its complaint."""
        done = subprocess.run(
            [str(self.openstack_bin / "openstack"), "--os-cloud", cloud, *args],
            env=self._processes.environment({"OS_CLIENT_CONFIG_FILE": str(self.clouds_yaml)}),
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.strip()
            msg = f"`openstack {' '.join(args)}` as {cloud} ended with code {done.returncode}: {said}"
            raise LabError(msg)
        return done.stdout

    def _write_clouds_yaml(self) -> None:
        def cloud(user: str, project: str, **more: Any) -> dict[str, Any]:
            auth = {"auth_url": self.keystone_url, "username": user, "password": keystone.PASSWORD}
            auth |= {"project_name": project, "user_domain_name": "Default", "project_domain_name": "Default"}
            return {"auth": auth, "region_name": keystone.REGION, "identity_api_version": "3", **more}

        clouds = {
            "lab-admin": cloud("admin", "admin"),
            "lab-direct": cloud("admin", "admin", network_endpoint_override=f"{self.neutron_url}/v2.0"),
        }
        clouds |= {project.name: cloud(project.user, project.name) for project in self.projects}
        self.clouds_yaml.write_text(yaml.safe_dump({"clouds": clouds}, sort_keys=False), encoding="utf-8")

    def _exit_on_sigterm(self) -> None:
        """Turn SIGTERM into an exception while the lab runs, where nobody else handles it."""
        unhandled = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        if not unhandled or threading.current_thread() is not threading.main_thread():
            return

        def leave(number: int, _: FrameType | None) -> None:
            raise SystemExit(128 + number)

        signal.signal(signal.SIGTERM, leave)
        self._restore_signal = lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)

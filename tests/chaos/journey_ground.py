"""What the runs of a campaign stand on: one lab with wires that can be cut, and a fresh migration for each run."""

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import yaml
from keystoneauth1.adapter import Adapter

from alcor_migrate import control
from lab import Lab, LabError, keystone, neutron, packages
from lab.database import Rows
from lab.journey import START_TIMEOUT, Journey, listens, script
from lab.record import PATHS, collection
from tests.chaos.journey_wire import Wire

PORTS = 5  # of each project before the first run
PATIENT = 3 * START_TIMEOUT  # seconds for a start on a machine that is busy
DISK = 64  # megabytes
OPERATOR = "chaos"
STATUS_PATIENCE = 10.0  # seconds
PLUGINS = "router,segments,revisions,tag,timestamp"
"""Of Neutron, all that the users need: what nobody uses would have most of a run's time, in listings of nothing."""


def clock_library():
    """Debian's libfaketime, which is installed where that is possible; None: clocks are left alone."""
    packages.install({"faketime": "faketime"})
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class Ground:
    """A lab whose Neutron reaches its database by a wire, with a small cloud in it that no run touches."""

    def __init__(self, ports):
        self.lab = Lab()
        self.wires = {
            "neutron wire": Wire(ports.reserve(), _port(self.lab.neutron_url)),
            "alcor wire": Wire(ports.reserve(), _port(self.lab.alcor_url)),
        }
        self._database_ports = ports.reserve(), ports.reserve()
        self.reading = None
        """The wire by which a migration can read Neutron's database; None where the lab's cannot be read so."""

    async def open(self):
        """Start it all. Raises LabError."""
        try:
            await asyncio.to_thread(self.lab.start)
            url = neutron.database_url(self.lab.directory)
            await self._configure()
            for name in ("neutron wire", "alcor wire"):
                await self.wires[name].open()
            self._api = Adapter(
                keystone.administrator(self.lab.keystone_url), connect_retries=0, status_code_retries=0
            )
            await asyncio.to_thread(self._furnish)
            # the first listing makes the administrator's own default group
            await asyncio.to_thread(self.side, self.lab.neutron_url)
            self._rows = await asyncio.to_thread(Rows, url)
            self._furnished = await asyncio.to_thread(self._rows.read)
        except BaseException:
            await self.close()
            raise

    async def close(self):
        for wire in (*self.wires.values(), *([self.reading] if self.reading else [])):
            await wire.close()
        await asyncio.to_thread(self.lab.stop)

    async def _configure(self):
        """Have Neutron reach its database by a wire, and do no more than the users ask for."""
        path = self.lab.directory / "neutron.conf"
        text = re.sub(
            r"^service_plugins = .*", f"service_plugins = {PLUGINS}", path.read_text("utf-8"), flags=re.MULTILINE
        )
        if self.lab.database != "sqlite":
            real = int(re.search(r"^connection = mysql\S+:(\d+)/neutron", text, re.MULTILINE)[1])
            near, far = self._database_ports
            wire = self.wires["database wire"] = Wire(near, real)
            self.reading = Wire(far, real)
            await wire.open()
            await self.reading.open()
            text = text.replace(f":{real}/neutron", f":{wire.port}/neutron")
        path.write_text(text, encoding="utf-8")
        service = self.lab.services["neutron"]
        await asyncio.to_thread(service.restart, PATIENT)
        who = keystone.administrator(self.lab.keystone_url)
        await asyncio.to_thread(neutron.prove, service, who, self.lab.neutron_url)

    def _furnish(self):
        """Make what is there before the first run: an external network, and of each project a network with ports."""
        owners = [project.id for project in self.lab.projects]
        outside = {"name": "outside", "router:external": True}
        outside |= {"provider:network_type": "flat", "provider:physical_network": neutron.PUBLIC_NETWORK}
        networks = self._make("network", [{"name": f"base-{n}", "project_id": who} for n, who in enumerate(owners)])
        subnets = [
            {"network_id": network["id"], "project_id": network["project_id"], "ip_version": 4, "cidr": "10.9.0.0/24"}
            for network in networks
        ]
        outer = self._make("network", [outside])[0]
        subnets.append({"network_id": outer["id"], "ip_version": 4, "cidr": "203.0.113.0/24", "enable_dhcp": False})
        self._make("subnet", subnets)
        ports = [
            {"network_id": network["id"], "project_id": network["project_id"], "name": f"base-{number}"}
            for network in networks
            for number in range(PORTS)
        ]
        self._make("port", ports)

    def _make(self, kind, bodies):
        answer = self._api.post(f"{self.lab.neutron_url}/v2.0{PATHS[kind]}", json={collection(kind): bodies})
        return answer.json()[collection(kind)]

    async def mend(self):
        for wire in (*self.wires.values(), *([self.reading] if self.reading else [])):
            await wire.mend()

    def side(self, url):
        """Kind to id to object, as the API at an address lists them to the administrator. Raises LabError."""
        found = {}
        for kind, path in PATHS.items():
            answer = self._api.get(f"{url}/v2.0{path}", raise_exc=False)
            if answer.status_code != 200:
                msg = f"GET {url}{path} is answered {answer.status_code}: {answer.text[:300]}"
                raise LabError(msg)
            found[kind] = {each["id"]: each for each in answer.json()[collection(kind)]}
        return found

    def clear(self):
        """Take back whatever a run has done to Neutron."""
        self._rows.put_back(self._furnished)

    def quiet_logs(self):
        """Empty all logs, so that those of a run are its own."""
        for log in self.lab.logs.glob("*.log"):
            os.truncate(log, 0)


def _port(url):
    return int(url.rpartition(":")[2])


class Disk:
    """A small file system of our own that can be full; only root can have one."""

    def __init__(self, place):
        self.place = place
        self.mounted = False

    def mount(self):
        """Make it; where that is not possible it is a folder like any other."""
        self.place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "none", str(self.place)]
        self.mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self):
        with (self.place / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
            while ballast.write(b"\0" * 65536):
                pass

    def empty(self):
        (self.place / "ballast").unlink(missing_ok=True)

    def remove(self):
        if self.mounted:
            subprocess.run(["umount", str(self.place)], check=True)  # noqa: S607  (root's PATH)
            self.mounted = False
        shutil.rmtree(self.place, ignore_errors=True)


class Trial(Journey):
    """The migration of one run: everything of it is fresh, and it reaches both sides by the ground's wires."""

    def __init__(self, ground, journal, plan, clock, slowness=1.0):
        super().__init__(
            ground.lab,
            keys={
                "source": {"url": _by(ground.wires["neutron wire"])} | _reading(ground, plan),
                "target": {"url": _by(ground.wires["alcor wire"])},
                "gateway": {"workers": plan.workers, "checks": {"interval": 0.5, "timeout": 2.0 * slowness}},
                "engine": {
                    "sweep_interval": 1.5,
                    "attention_after": 8.0,
                    "wait_for_quiet": 0.0 if plan.holds_at_once else 3.0,
                },
            },
        )
        self.disk = Disk(self.lab.directory / "disk")
        self.state_dir = self.disk.place / "state"
        self.workers = plan.workers
        self._journal = journal
        self._clock = clock
        self.clock_file = self.lab.directory / "clock"

    def write_configuration(self):
        super().write_configuration()
        document = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        document |= {"state_dir": str(self.state_dir)} | ({"journal": self._journal} if self._journal else {})
        self.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def start(self):
        for old in self.lab.directory.glob("alcor.sqlite*"):
            old.unlink()
        self.disk.mount()
        self.set_clock(0)
        self.start_controller()
        self._run = self.lab.spawn(
            "migrate",
            [script("alcor-migrate"), "-c", self.config, "run"],
            env=self.environment() | self._faked(),
            ready=lambda: listens(self.lab.gateway_url),
        )
        self._run.wait_ready(PATIENT)

    @property
    def turns_clock(self):
        """Whether its clock can be set."""
        return self._clock is not None

    def _faked(self):
        if self._clock is None:
            return {}
        # the loop's own timers go by the monotonic clock, which nobody can set
        return {
            "LD_PRELOAD": str(self._clock),
            "FAKETIME_TIMESTAMP_FILE": str(self.clock_file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set_clock(self, seconds):
        """Let the migration's clock be ahead by so much from now on."""
        new = self.clock_file.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n", encoding="ascii")
        new.replace(self.clock_file)

    async def say(self, verb, patience, /, **arguments):
        """Ask the running migration. Raises AlcorError, TimeoutError."""
        async with asyncio.timeout(patience):
            return await control.call(str(self.state_dir), verb, **arguments)


def _reading(ground, plan):
    """By which address the migration reads Neutron's database, if it does."""
    if not plan.reads_database or ground.reading is None:
        return {}
    own = neutron.database_url(ground.lab.directory)
    return {"database": re.sub(r":\d+/neutron", f":{ground.reading.port}/neutron", own)}


def _by(wire):
    return f"http://127.0.0.1:{wire.port}"

"""The steps of a migration on top of a lab: what the demo tells and the tests assert.

Owns the two processes under test, the bundled controller and `alcor-migrate run`, both real and both started from
this virtual environment; asks them through the control socket and through the command line, as an operator does;
and looks at the status a few times a second for as long as it lasts.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import urlsplit

import msgspec
import yaml

from alcor_migrate import control
from alcor_migrate.errors import ControlError
from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from lab.cloud import Lab
    from lab.process import Service

SCRIPTS = Path(sys.executable).parent
CLOUD = "lab-admin"
"""The source in the configuration, and the name with which `complete` is confirmed."""
OPERATOR = "demo"

START_TIMEOUT = 120.0  # seconds
STATUS_TIMEOUT = 15.0  # seconds in which a running migration must answer
COMMAND_TIMEOUT = 600.0  # seconds; all attempts of a handover may take minutes under load
REFUSED, NOT_SWITCHED = 7, 13
"""Exit codes: a gate is closed; a handover did not fit into its hold."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the status said at one moment; `at` is unix seconds, `lag` seconds, the rest counts."""

    at: float
    state: str
    active: str
    route: str
    lag: float
    position: int
    applied: int
    copied: int
    expected: int
    captured: int
    requests: int
    """Requests that the gateway has answered."""
    in_flight: int
    held: int
    changes: int
    """Changes that replay has applied."""

    @classmethod
    def of(cls, status: dict[str, Any], at: float) -> Self:
        """Take the numbers out of a status document."""
        gateway, replay, copy = status["gateway"], status["replay"], status["copy"]
        return cls(
            at=at,
            state=status["state"],
            active=status["active"],
            route=gateway["route"],
            lag=replay["lag"],
            position=status["journal"]["position"],
            applied=replay["applied"],
            copied=copy["copied"],
            expected=sum(max(r["expected"], r["copied"]) for r in copy["resources"]),
            captured=gateway["captured"],
            requests=sum(gateway["requests"].values()),
            in_flight=gateway["in_flight_writes"],
            held=gateway["held"],
            changes=replay["changes"],
        )


class Answer(msgspec.Struct, frozen=True):
    """What a command printed and how it ended."""

    command: str
    """As one would type it in the lab's directory."""
    code: int
    out: str
    err: str


class Journey:
    """One migration in a lab, from `start` to `stop`; the lab must run, with its gateway's address reserved.

    `interval`: seconds between two looks at the status. `max_hold` and `sweep_interval` go into the
    configuration, in seconds. `keys` are more of its keys, by section. With a lab that is kept, `stop` lets both
    processes run on.
    """

    def __init__(
        self,
        lab: Lab,
        *,
        interval: float = 0.25,
        max_hold: float = 3.0,
        sweep_interval: float = 20.0,
        keys: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        if lab.gateway_url == lab.neutron_url:
            msg = "the lab's catalogue names Neutron itself, so users would pass the gateway by"
            raise LabError(msg, 'Start the lab with gateway="reserved".')
        self.lab = lab
        self.config = lab.directory / "alcor-migrate.yaml"
        self.state_dir = lab.directory / "migration"
        self.samples: list[Sample] = []
        """What the status said over time, oldest first; another thread appends."""
        self.status: dict[str, Any] = {}
        """The last status document; empty before the first one."""
        self._asked = 0.0
        """When it, or an older one, was asked for (monotonic)."""
        self._interval = interval
        self._max_hold = max_hold
        self._sweep_interval = sweep_interval
        self._keys = keys or {}
        self._controller: Service | None = None
        self._run: Service | None = None
        self._enough = threading.Event()
        self._sampler = threading.Thread(target=self._look_again_and_again, name="journey", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- the processes ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the controller and the run; returns when the gateway listens. Raises LabError, leaving nothing."""
        try:
            self.start_controller()
            self.start_run()
        except BaseException:
            self.stop()
            raise

    def start_controller(self) -> None:
        """Start the bundled Alcor, empty, at the lab's address for it, and write the configuration."""
        self.write_configuration()
        who = self.lab.service_credentials
        address = urlsplit(self.lab.alcor_url).netloc
        self._controller = self.lab.spawn(
            "controller",
            [
                *(script("alcor-controller"), "serve", "--listen", address),
                *("--database", self.lab.directory / "alcor.sqlite"),
                *("--keystone-url", self.lab.keystone_url, "--dns-domain", "lab.example."),
                *("--username", who.username, "--project", who.project_name),
                *("--user-domain", who.user_domain_name, "--project-domain", who.project_domain_name),
            ],
            env={"ALCOR_PASSWORD": who.password},
            ready=lambda: listens(self.lab.alcor_url),
        )
        self._controller.wait_ready(START_TIMEOUT)

    def start_run(self) -> None:
        """Start `alcor-migrate run` and begin to look at its status."""
        self._run = self.lab.spawn(
            "migrate",
            [script("alcor-migrate"), "-c", self.config, "run"],
            env=self.environment(),
            ready=lambda: self._answers() and listens(self.lab.gateway_url),
        )
        self._run.wait_ready(START_TIMEOUT)
        self._sampler.start()

    def stop(self) -> None:
        """Stop looking; stop the run, then the controller, unless the lab is kept."""
        self._enough.set()
        if self._sampler.is_alive():
            self._sampler.join(STATUS_TIMEOUT)
        if not self.lab.keep:
            for service in (self._run, self._controller):
                if service:
                    service.stop()

    def write_configuration(self) -> None:
        """Write what `alcor-migrate -c` reads, bound to this lab."""
        document: dict[str, Any] = {
            "source": {"cloud": CLOUD, "url": self.lab.neutron_url},
            "target": {"url": self.lab.alcor_url},
            "gateway": {"listen": urlsplit(self.lab.gateway_url).netloc, "max_hold": self._max_hold},
            "engine": {"sweep_interval": self._sweep_interval},
            "state_dir": self.state_dir.name,
        }
        for section, more in self._keys.items():
            document[section] |= more
        self.config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """What the command line needs to know of the lab."""
        return {"OS_CLIENT_CONFIG_FILE": str(self.lab.clouds_yaml), "LOGNAME": OPERATOR}

    # -- what an operator does -------------------------------------------------------------------------------------

    def ask(self, verb: str, /, **arguments: Any) -> Any:
        """Ask the running migration through its control socket. Raises AlcorError with what it answered."""
        try:
            return asyncio.run(control.call(str(self.state_dir), verb, **arguments))
        except ControlError as error:
            self.check()  # a process that has ended says more in its log
            self._fail(f"{verb} could not be asked for: {error.message}", error)

    def command(self, *args: str, width: int = 100, colour: bool = False) -> Answer:
        """Run `alcor-migrate` with these arguments and return what it prints, for a screen of that width."""
        argv = [str(script("alcor-migrate")), "-c", str(self.config), *args]
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(self.lab.directory), "LANG": "C.UTF-8"}
        env |= self.environment() | {"COLUMNS": str(width)} | ({"FORCE_COLOR": "1"} if colour else {})
        done = subprocess.run(
            argv,
            env=env,
            cwd=self.lab.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        typed = shlex.join(["alcor-migrate", *args])
        return Answer(typed, done.returncode, done.stdout, done.stderr)

    def must(self, *args: str, accept: tuple[int, ...] = (0,), width: int = 100, colour: bool = False) -> Answer:
        """Run `alcor-migrate` and raise LabError, with its complaint, when it ends with another code."""
        answer = self.command(*args, width=width, colour=colour)
        if answer.code not in accept:
            said = (answer.err.strip() or answer.out.strip())[-1500:]
            self._fail(f"`{answer.command}` ended with code {answer.code}: {said}")
        return answer

    def hand_over(self, verb: str, *args: str, tries: int = 5, timeout: float = 240.0) -> Answer:
        """Cut over or reverse as soon as every gate is open; one may close again in the moment before.

        Raises LabError when the gates stay closed for `timeout` seconds, and when the last of the `tries` fails.
        """
        for left in reversed(range(tries)):
            self.wait_until(lambda _: not self._closed(verb), "every gate open", timeout)
            answer = self.must(verb, *args, accept=(0, REFUSED, NOT_SWITCHED) if left else (0,))
            if answer.code == 0:
                break
        return answer

    def _closed(self, verb: str) -> list[str]:
        """The gates that keep a handover from beginning; reverse itself sees to a fresh verification."""
        itself = "verification" if verb == "reverse" else ""
        return [gate["name"] for gate in self.ask("gates", of=verb) if not gate["open"] and gate["name"] != itself]

    def wait_until(
        self,
        good: Callable[[dict[str, Any]], bool],
        what: str,
        timeout: float,
        tick: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Return the first status document from now on that is good; `tick` sees each one on the way.

        Raises LabError, with the end of the log, when that takes longer than `timeout` seconds, when the engine
        gives up, or when a process ends.
        """
        begun = time.monotonic()
        deadline = begun + timeout
        while True:
            self.check()
            asked, status = self._asked, self.status
            if status and asked >= begun:
                tick(status)
                if good(status):
                    return status
                if status["activity"].startswith("stopped"):
                    self._fail(f"{what} will not happen, the engine {status['activity']}")
            if time.monotonic() > deadline:
                stands = f"{status['state']}, {status['activity']}" if status else "no status yet"
                self._fail(f"{what} did not happen in {timeout:.0f} s (it is {stands})")
            time.sleep(self._interval / 2)

    def wait_for(
        self, *states: str, timeout: float = 300.0, tick: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> dict[str, Any]:
        """Return the status as soon as the migration is in one of the states; raises LabError as `wait_until`."""
        return self.wait_until(lambda status: status["state"] in states, f"{' or '.join(states)}", timeout, tick)

    def settle(self, timeout: float = 300.0) -> dict[str, Any]:
        """Wait until everything that was captured until now is applied to the passive side."""
        position = self.ask("status")["journal"]["position"]
        return self.wait_until(lambda s: s["replay"]["applied"] >= position, "replay of all writes", timeout)

    def check(self) -> None:
        """Raise LabError, with the end of its log, when one of the processes is not running any more."""
        for service in (self._controller, self._run):
            if service and not service.alive:
                msg = f"{service.name} ended with code {service.returncode}: {service.tail()}"
                raise LabError(msg, f"Read {service.log}.")

    def _fail(self, what: str, cause: BaseException | None = None) -> NoReturn:
        if self._run is None:
            raise LabError(what) from cause
        raise LabError(f"{what}\nThe end of its log:\n{self._run.tail()}", f"Read {self._run.log}.") from cause

    # -- the time series -------------------------------------------------------------------------------------------

    def _answers(self) -> bool:
        asked = time.monotonic()
        try:
            self.status = asyncio.run(control.call(str(self.state_dir), "status"))
        except ControlError:
            return False
        self._asked = asked
        return True

    def _look_again_and_again(self) -> None:
        asyncio.run(self._look())

    async def _look(self) -> None:
        while not self._enough.is_set():
            # A run that is gone is told by `check`, in the thread that can do something about it.
            asked = time.monotonic()
            with suppress(ControlError, TimeoutError):
                async with asyncio.timeout(STATUS_TIMEOUT):
                    status = await control.call(str(self.state_dir), "status")
                self.samples.append(Sample.of(status, time.time()))
                self.status = status
                self._asked = asked
            await asyncio.to_thread(self._enough.wait, self._interval)


def script(name: str) -> Path:
    """The console script of this name beside the Python that runs us; raises LabError when it is not installed."""
    path = SCRIPTS / name
    if not path.exists():
        msg = f"{name} is not installed beside {sys.executable}"
        raise LabError(msg, "Run `make setup`.")
    return path


def listens(url: str) -> bool:
    """Say whether something accepts connections at an address."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=2).close()
    except OSError:
        return False
    return True

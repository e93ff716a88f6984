"""Processes that never outlive the lab, unless it is told to keep them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

INSIDE = Path(__file__).parent / "inside"
RECORD = "lab.json"
POLL = 0.05  # seconds
STOP_PATIENCE = 10.0  # seconds between SIGTERM and SIGKILL
READY_PATIENCE = 180.0  # seconds; on a busy machine a server may need minutes
END_PATIENCE = 300.0  # seconds of a program that makes hundreds of tables
LOG_TAIL = 4000  # characters of a log that an error shows


def started_at(pid: int) -> str | None:
    """Say when a process started, in clock ticks since boot: with its pid, a name for good. None: gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def end_group(pid: int, patience: float = STOP_PATIENCE, alive: Callable[[], bool] | None = None) -> None:
    """Stop a process and its children, kindly for `patience` seconds; returns when the process is gone."""
    alive = alive or (lambda: started_at(pid) is not None)
    if patience and alive():
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while alive() and time.monotonic() < deadline:
            time.sleep(POLL / 5)
    with suppress(ProcessLookupError):  # what the leader left behind goes too
        os.killpg(pid, signal.SIGKILL)
    while alive():
        time.sleep(POLL / 5)


def answers(url: str, below: int = 500) -> bool:
    """Say whether a GET of the address is answered with a status below the given one."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status < below
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Service:
    """One process of the lab, which can be stopped, killed and started again under the same name.

    It leads a process group of its own: a Ctrl-C at the terminal reaches only the lab, and its children go
    with it.
    """

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path, owner: Processes) -> None:
        self.name = name
        self.argv = list(argv)
        self.env = dict(env)
        self.log = log
        self._owner = owner
        self._process: subprocess.Popen[bytes] | None = None
        self.ready: Callable[[], bool] = lambda: True

    @property
    def pid(self) -> int:
        """The process's id, of the last start."""
        if self._process is None:
            msg = f"{self.name} was never started"
            raise LabError(msg)
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """How the process ended; None while it runs."""
        return self._process.poll() if self._process else None

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process (it must not run); see `wait_ready`."""
        self._owner.launch(self)

    def started(self, process: subprocess.Popen[bytes]) -> None:
        """Take over the process that was started for it."""
        self._process = process

    def stop(self, patience: float = STOP_PATIENCE) -> None:
        """End it with SIGTERM, after `patience` seconds with SIGKILL."""
        if self._process is not None:
            end_group(self._process.pid, patience, lambda: self.alive)

    def kill(self) -> None:
        """End it and its children with SIGKILL, now."""
        self.stop(patience=0)

    def forget(self) -> None:
        """Let it run on without us."""
        if self._process is not None:
            self._process.returncode = self._process.poll() or 0  # or Popen warns that it still runs

    def signal(self, number: int) -> None:
        """Send a signal to the process and its children, SIGSTOP and SIGCONT for instance."""
        os.killpg(self.pid, number)

    def restart(self, timeout: float = READY_PATIENCE) -> None:
        """Stop it if it runs, start it again, wait until it answers."""
        self.stop()
        self.start()
        self.wait_ready(timeout)

    def wait_ready(self, timeout: float = READY_PATIENCE) -> None:
        """Return when `ready` says so; raises LabError with the end of the log when that does not happen."""
        deadline = time.monotonic() + timeout
        while not self.ready():
            if not self.alive:
                msg = f"{self.name} ended with code {self.returncode} before it was ready: {self.tail()}"
                raise LabError(msg, f"Read {self.log}.")
            if time.monotonic() > deadline:
                msg = f"{self.name} was not ready after {timeout:.0f} s: {self.tail()}"
                raise LabError(msg, f"Read {self.log}.")
            time.sleep(POLL)

    def wait(self, timeout: float = END_PATIENCE) -> None:
        """Return when the process has ended well; raises LabError otherwise."""
        deadline = time.monotonic() + timeout
        while self.alive and time.monotonic() < deadline:
            time.sleep(POLL)
        if self.returncode != 0:
            state = "did not end" if self.alive else f"ended with code {self.returncode}"
            msg = f"{self.name} {state}: {self.tail()}"
            raise LabError(msg, f"Read {self.log}.")

    def tail(self) -> str:
        """The last lines of its log."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL:].strip() or "(empty log)"
        except FileNotFoundError:
            return "(no log)"


class Processes:
    """All processes of one lab: `directory` gets their logs (logs/NAME.log) and their pids (lab.json).

    `scratch` says in lab.json that the directory goes when the lab goes.
    They end with `close`; when this process dies without it, the kernel kills them, unless `keep` is set.
    """

    def __init__(self, directory: Path, *, scratch: bool = True, keep: bool = False) -> None:
        self.directory = directory
        self.scratch = scratch
        self.logs = directory / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        (directory / "tmp").mkdir(exist_ok=True)
        self.services: dict[str, Service] = {}
        self.kept = keep
        self._closed = False
        self._lock = threading.Lock()
        # The kernel's death signal is bound to the thread that started the child, so one thread starts them
        # all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="lab-starter")

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a process of the lab: nothing of the caller's clouds or proxies."""
        own = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory / "tmp"),
            "LANG": "C.UTF-8",
        }
        return own | dict(extra or {})

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path | int],
        env: Mapping[str, str] | None = None,
        ready: Callable[[], bool] | None = None,
    ) -> Service:
        """Start a process under a name of its own; its output goes to logs/NAME.log."""
        service = Service(name, [str(a) for a in argv], self.environment(env), self.logs / f"{name}.log", self)
        if ready:
            service.ready = ready
        self.services[name] = service
        service.start()
        return service

    def launch(self, service: Service) -> None:
        """Start what a service describes, bound to the life of this process."""
        try:
            started = self._starter.submit(self._launch, service)
        except RuntimeError:  # shut down by `close`
            msg = f"the lab is closed, {service.name} cannot be started"
            raise LabError(msg) from None
        started.result()

    def _launch(self, service: Service) -> None:
        parent = "0" if self.kept else str(os.getpid())
        launcher = [sys.executable, "-I", "-S", str(INSIDE / "launch.py"), parent]
        with self._lock:
            if self._closed:
                msg = f"the lab is closed, {service.name} cannot be started"
                raise LabError(msg)
            with service.log.open("ab") as log:
                process = subprocess.Popen(
                    [*launcher, *service.argv],
                    env=service.env,
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            service.started(process)
            self._record(service.name, process.pid)

    def _record(self, name: str, pid: int) -> None:
        """Keep lab.json true, for `python -m lab stop`."""
        path = self.directory / RECORD
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"services": {}}
        record["scratch"] = self.scratch
        record["services"][name] = {"pid": pid, "started": started_at(pid)}
        new = path.with_suffix(".new")
        new.write_text(json.dumps(record, indent=2), encoding="utf-8")
        new.replace(path)

    def abandon(self) -> None:
        """Keep nothing after all."""
        self.kept = False

    def close(self) -> None:
        """End all of them, last started first; with `keep`, let them run on."""
        with self._lock:
            self._closed = True
        if not self.kept:
            for service in reversed(self.services.values()):
                service.stop()
        else:
            for service in self.services.values():
                service.forget()
        self._starter.shutdown()


def read_record(directory: Path) -> dict[str, Any]:
    """Return what lab.json says; raises LabError when there is none."""
    path = directory / RECORD
    if not path.exists():
        msg = f"{directory} is not the directory of a lab: it has no {RECORD}"
        raise LabError(msg, "Give the directory that `python -m lab start` printed.")
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def running(record: dict[str, Any]) -> dict[str, int]:
    """Return name and pid of those recorded processes that still run, in the order of their start."""
    return {
        name: service["pid"]
        for name, service in record["services"].items()
        if service["started"] is not None and started_at(service["pid"]) == service["started"]
    }


def stop_recorded(directory: Path) -> list[str]:
    """Stop what a kept lab left running, last started first, and remove its scratch; returns the names."""
    record = read_record(directory)
    found = running(record)
    for pid in reversed(found.values()):
        end_group(pid)
    if record["scratch"]:
        shutil.rmtree(directory)
    return list(found)

"""Executables of the operator that are run at the migration's transitions, as gh-ost does it.

`before-STATE` runs before a state is entered: it may refuse, and then the state is not entered. `on-STATE` runs
afterwards: it is told, and cannot refuse, because the transition is on disk by then. Some states have no `before-`:
`switched` and `reversed` are entered inside the hold, where no hook runs, and `needs_attention` is not a choice.

A hook is run without arguments, one at a time, with the variables of `VARIABLES` in its environment besides those
of `alcor-migrate run` itself. What it prints is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

import msgspec
import structlog

from alcor_migrate.engine.state import State
from alcor_migrate.errors import ConfigError, HookRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

log = structlog.get_logger(__name__)

_NOT_TO_BE_REFUSED = {State.NEW, State.SWITCHED, State.REVERSED, State.NEEDS_ATTENTION}
_KEPT_OUTPUT = 4096
_KILL_GRACE = 2.0

ATTEMPT_FAILED = "on-attempt-failed"
"""Told of each attempt of a handover that gave the held writes back to the old side."""

BEFORE_READS, ON_READS = "before-switching-reads", "on-switched-reads"
"""Asked before reads are sent to the passive side; told when reads were sent to a side."""


def before(state: State) -> str:
    """The hook that is asked before a state is entered."""
    return "before-" + state.value.replace("_", "-")


def after(state: State) -> str:
    """The hook that is told when a state was entered."""
    return "on-" + state.value.replace("_", "-")


NAMES = (
    *(before(state) for state in State if state not in _NOT_TO_BE_REFUSED),
    *(after(state) for state in State if state is not State.NEW),
    ATTEMPT_FAILED,
    BEFORE_READS,
    ON_READS,
)

VARIABLES = {
    "ALCOR_MIGRATE_HOOK": "the hook's name",
    "ALCOR_MIGRATE_CLOUD": "the source's name in clouds.yaml",
    "ALCOR_MIGRATE_STATE": "the state now, as in `status --json`",
    "ALCOR_MIGRATE_NEXT_STATE": "of `before-` hooks: the state that is about to be entered; else empty",
    "ALCOR_MIGRATE_PREVIOUS_STATE": "of `on-` hooks: the state that was left; else empty",
    "ALCOR_MIGRATE_ACTOR": "who asked for it; `alcor-migrate` for steps of its own",
    "ALCOR_MIGRATE_REASON": "why",
    "ALCOR_MIGRATE_EVIDENCE": "what was seen, as one JSON object",
    "ALCOR_MIGRATE_ACTIVE": "`source` or `target`: where users' writes go, and their reads unless these are ahead",
    "ALCOR_MIGRATE_READS": "`source` or `target`: where users' reads go",
    "ALCOR_MIGRATE_LAG": "the lag in seconds",
    "ALCOR_MIGRATE_STATE_DIR": "the state directory, for `echo status | nc -U $ALCOR_MIGRATE_STATE_DIR/console.sock`",
}
"""What a hook finds in its environment; the names are stable."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook was run for."""

    name: str
    state: str
    next_state: str = ""
    previous_state: str = ""
    actor: str
    reason: str
    evidence: Mapping[str, object] = {}


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a run of a hook ended."""

    hook: str
    code: int | None
    """Its exit code, negative for a signal; None when it was ended because its time was up."""
    seconds: float
    output: str
    """The end of what it printed."""

    @property
    def well(self) -> bool:
        """Whether it agreed."""
        return self.code == 0

    @property
    def how(self) -> str:
        """How it ended, in words."""
        if self.code is None:
            return f"did not end within {self.seconds:.0f} s"
        return f"ended with code {self.code}"


class Hooks:
    """Runs the hooks of one directory, one after the other.

    `facts` gives the variables that only the running migration knows; `keep` is told of each run, for the audit
    log. With no directory nothing is ever run.
    """

    def __init__(
        self,
        directory: Path | None,
        timeout: float,
        facts: Callable[[], Mapping[str, str]],
        keep: Callable[[Told, Ran], None],
    ) -> None:
        """Look at the directory. Raises ConfigError when it holds what is no hook, so that a typo is not silent."""
        self._directory = directory
        self._timeout = timeout
        self._facts = facts
        self._keep = keep
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Queue[Told] = asyncio.Queue()
        self._teller: asyncio.Task[None] | None = None
        if directory is not None:
            _check(directory)

    async def ask(self, told: Told) -> None:
        """Run a `before-` hook. Raises HookRefused when it does not agree within its time."""
        ran = await self._run(told)
        if ran is not None and not ran.well:
            said = ran.output.strip().splitlines()
            raise HookRefused(
                f"the hook {ran.hook} refused: it {ran.how}" + (f" and said {said[-1]!r}" if said else "")
            )

    def tell(self, told: Told) -> None:
        """Have an `on-` hook run soon, after those that were told before; nobody waits for it."""
        if self._path(told.name) is not None:
            self._waiting.put_nowait(told)
            if self._teller is None:
                self._teller = asyncio.create_task(self._tell_all())

    @contextlib.asynccontextmanager
    async def quiet(self) -> AsyncIterator[None]:
        """No hook runs meanwhile: what runs is waited for, what is told now runs afterwards."""
        async with self._turn:
            yield

    async def close(self) -> None:
        """Run what was told, each hook within its time."""
        await self._waiting.join()
        if self._teller is not None:
            self._teller.cancel()
            await asyncio.wait({self._teller})

    async def _tell_all(self) -> None:
        while True:
            told = await self._waiting.get()
            try:
                await self._run(told)
            finally:
                self._waiting.task_done()

    async def _run(self, told: Told) -> Ran | None:
        path = self._path(told.name)
        if path is None:
            return None
        async with self._turn:
            ran = await _run(path, self._environment(told), self._timeout)
        log.log(
            20 if ran.well else 40, "hook_ran", hook=ran.hook, code=ran.code, seconds=ran.seconds, output=ran.output
        )
        self._keep(told, ran)
        return ran

    def _path(self, name: str) -> Path | None:
        path = self._directory / name if self._directory is not None else None
        return path if path is not None and path.exists() else None

    def _environment(self, told: Told) -> dict[str, str]:
        return {
            **os.environ,
            **self._facts(),
            "ALCOR_MIGRATE_HOOK": told.name,
            "ALCOR_MIGRATE_STATE": told.state,
            "ALCOR_MIGRATE_NEXT_STATE": told.next_state,
            "ALCOR_MIGRATE_PREVIOUS_STATE": told.previous_state,
            "ALCOR_MIGRATE_ACTOR": told.actor,
            "ALCOR_MIGRATE_REASON": told.reason,
            "ALCOR_MIGRATE_EVIDENCE": msgspec.json.encode(told.evidence).decode(),
        }


def _check(directory: Path) -> None:
    if not directory.is_dir():
        raise ConfigError(f"the directory of hooks {directory} does not exist")
    for path in sorted(directory.iterdir()):
        executable = path.is_file() and os.access(path, os.X_OK)
        if executable and path.name not in NAMES:
            raise ConfigError(f"{path} is executable and not the name of a hook", f"Hooks are: {', '.join(NAMES)}.")
        if path.name in NAMES and not executable:
            raise ConfigError(f"the hook {path} is not executable", f"chmod +x {path}")


async def _run(path: Path, environment: Mapping[str, str], timeout: float) -> Ran:  # noqa: ASYNC109  # the process's
    began = time.monotonic()
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return Ran(hook=path.name, code=126, seconds=0.0, output=f"it cannot be run: {error}")
    output = bytearray()
    code: int | None = None
    try:
        async with asyncio.timeout(timeout):
            await _collect(process, output)
            code = await process.wait()
    except TimeoutError:
        pass  # no code says so
    finally:
        if code is None:
            await _end(process)
    return Ran(
        hook=path.name,
        code=code,
        seconds=round(time.monotonic() - began, 3),
        output=output.decode("utf-8", "replace"),
    )


async def _collect(process: asyncio.subprocess.Process, output: bytearray) -> None:
    """Read what it prints until it says no more, and keep the end of it."""
    stream = process.stdout
    while stream is not None and (some := await stream.read(_KEPT_OUTPUT)):
        output += some
        del output[:-_KEPT_OUTPUT]


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing of it running, nor of what it started: they are one process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KILL_GRACE):
                await process.wait()

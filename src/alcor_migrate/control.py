"""The control socket: how the command line reaches a running migration.

Two Unix sockets in the state directory, which only its owner can open. `control.sock` speaks HTTP with JSON;
answers are `{"result": …}` or `{"error": {"message", "next_step", "exit_code"}}`. `console.sock` takes one line and
answers in words, for `echo status | nc -U console.sock`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import structlog
from aiohttp import web

from alcor_migrate.errors import ControlError, MigrationError
from alcor_model.errors import AlcorError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from alcor_migrate.engine.conductor import Migration

log = structlog.get_logger(__name__)

SOCKET = "control.sock"
CONSOLE = "console.sock"

_LINE_PATIENCE = 10.0
_LONGEST_NAME = 100
"""Unix socket addresses have 108 bytes on Linux; longer directories are reached through a relative name."""


class Remote(MigrationError):
    """An error that the running migration answered with."""

    def __init__(self, message: str, next_step: str, exit_code: int) -> None:
        super().__init__(message, next_step)
        self.exit_code = exit_code


def socket_path(state_dir: str, name: str = SOCKET) -> str:
    """Where a socket of a state directory is."""
    path = Path(state_dir) / name
    if len(os.fsencode(path)) < _LONGEST_NAME:
        return str(path)
    return os.path.relpath(path)


@contextlib.asynccontextmanager
async def serving(migration: Migration) -> AsyncIterator[None]:
    """Keep the control socket of a migration open. Raises ControlError."""
    path, console = (socket_path(migration.settings.state_dir, name) for name in (SOCKET, CONSOLE))
    _unlink(path, console)
    app = web.Application()
    app.router.add_post("/{verb}", lambda request: _answer(migration, request))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    mask = os.umask(0o177)
    try:
        await web.UnixSite(runner, path).start()
        lines = await asyncio.start_unix_server(lambda r, w: _converse(migration, r, w), console)
    except OSError as error:
        await runner.cleanup()
        raise ControlError(f"the control socket {path} cannot be opened: {error}") from error
    finally:
        os.umask(mask)
    try:
        yield
    finally:
        lines.close()
        await runner.cleanup()
        _unlink(path, console)


def _unlink(*paths: str) -> None:
    # The state directory's lock is ours, so a socket that is there was left by a process that is gone.
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108  # one call at start, on a local file system


async def _converse(migration: Migration, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one line, and close; the audit log gets the name of who is at the other end, as the kernel knows it."""
    from alcor_migrate.engine.console import obey  # noqa: PLC0415  # see _status

    with contextlib.suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(_LINE_PATIENCE):
            line = (await reader.readline()).decode("utf-8", "replace")
        try:
            said = await asyncio.shield(obey(migration, line, _peer(writer)))
        except AlcorError as error:
            said = f"{error.message}\n{error.next_step}"
        writer.write(said.encode() + b"\n")
        await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _peer(writer: asyncio.StreamWriter) -> str:
    connection = writer.get_extra_info("socket")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"


async def call(state_dir: str, verb: str, /, **arguments: Any) -> Any:
    """Ask the running migration to do something. Raises ControlError, or Remote with what it answered."""
    path = socket_path(state_dir)
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path), timeout=aiohttp.ClientTimeout(total=None)
            ) as session,
            session.post(f"http://migration/{verb}", json=arguments) as answer,
        ):
            body = await answer.json()
    except (aiohttp.ClientError, OSError) as error:
        raise ControlError(f"no migration is running in {state_dir}") from error
    if "error" in body:
        raise Remote(**body["error"])
    return body["result"]


async def _answer(migration: Migration, request: web.Request) -> web.Response:
    verb = request.match_info["verb"]
    arguments = await request.json()
    work = _VERBS.get(verb, _unknown)
    try:
        # A client that goes away does not stop what it began.
        result = await asyncio.shield(work(migration, arguments))
    except AlcorError as error:
        code = getattr(error, "exit_code", 1)
        return web.json_response(
            {"error": {"message": error.message, "next_step": error.next_step, "exit_code": code}}
        )
    except Exception as error:  # the asking side must not mistake a defect for a migration that does not run
        log.exception("verb_failed", verb=verb)
        what = f"{verb} failed in a way that nobody foresaw: {type(error).__name__}: {error}"
        step = "This is a defect; the log of `alcor-migrate run` has the details."
        return web.json_response({"error": {"message": what, "next_step": step, "exit_code": 1}})
    return web.json_response({"result": result})


async def _unknown(_migration: Migration, _: dict[str, Any]) -> Any:
    raise ControlError("the running migration does not know this verb", "It is of another version: restart it.")


async def _status(migration: Migration, _: dict[str, Any]) -> Any:
    from alcor_migrate.status import gather, to_json  # noqa: PLC0415  # the asking side need not load the engine

    return to_json(await gather(migration))


async def _audit(migration: Migration, _: dict[str, Any]) -> Any:
    return msgspec.to_builtins(migration.store.audit())


async def _verify(migration: Migration, arguments: dict[str, Any]) -> Any:
    found = await migration.verify(arguments.get("actor", "?"), repair=bool(arguments.get("repair")))
    return msgspec.to_builtins(found)


async def _cutover(migration: Migration, arguments: dict[str, Any]) -> Any:
    made = await migration.cutover(
        arguments["actor"], arguments.get("max_hold"), arguments.get("postpone_flag_file") or ""
    )
    return msgspec.to_builtins(made)


async def _reads(migration: Migration, arguments: dict[str, Any]) -> Any:
    return msgspec.to_builtins(await migration.switch_reads(arguments["to"], arguments["actor"]))


async def _gates(migration: Migration, arguments: dict[str, Any]) -> Any:
    to = "target" if arguments["of"] == "cutover" else "source"
    return msgspec.to_builtins(await migration.gates(to))


async def _forecast(migration: Migration, arguments: dict[str, Any]) -> Any:
    found = await migration.look_ahead(
        arguments["of"], arguments["actor"], arguments.get("max_hold"), reads=bool(arguments.get("reads"))
    )
    document: dict[str, Any] = msgspec.to_builtins(found)
    return document | {"fits": found.fits, "state": migration.store.state.value}


async def _reverse(migration: Migration, arguments: dict[str, Any]) -> Any:
    return msgspec.to_builtins(await migration.reverse(arguments["actor"], arguments.get("max_hold")))


async def _drain(migration: Migration, arguments: dict[str, Any]) -> Any:
    found = await migration.drain(arguments["actor"], arguments.get("wait") or 0.0)
    document: dict[str, Any] = msgspec.to_builtins(found)
    return document | {"empty": found.empty, "words": found.words}


async def _complete(migration: Migration, arguments: dict[str, Any]) -> Any:
    return await migration.complete(arguments["actor"], arguments["cloud"])


async def _cancel(migration: Migration, arguments: dict[str, Any]) -> Any:
    await migration.cancel(arguments["actor"])


async def _resume(migration: Migration, arguments: dict[str, Any]) -> Any:
    await migration.resume(arguments["actor"])
    return migration.store.state.words


async def _control(migration: Migration, arguments: dict[str, Any]) -> Any:
    from alcor_migrate.engine.console import obey  # noqa: PLC0415  # as above

    return await obey(migration, arguments["command"], arguments["actor"])


_VERBS: dict[str, Callable[[Migration, dict[str, Any]], Awaitable[Any]]] = {
    "status": _status,
    "audit": _audit,
    "verify": _verify,
    "gates": _gates,
    "forecast": _forecast,
    "cutover": _cutover,
    "reads": _reads,
    "reverse": _reverse,
    "drain": _drain,
    "complete": _complete,
    "cancel": _cancel,
    "resume": _resume,
    "control": _control,
}

"""The verbs of `alcor-migrate`. Each says on one screen what it found or did; errors are one sentence and a way out.

Exit codes: 0 done (or ready), 1 to 8 by the kind of error (`alcor_migrate.errors`), 10 when `assess` found gaps,
11 when it found that a run would be refused, 12 when `verify` found mismatches, 13 when a handover did not succeed.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import msgspec
import structlog
import typer
from rich.console import Console
from rich.live import Live

from alcor_migrate import control
from alcor_migrate.cli import screens
from alcor_migrate.errors import ConfigError
from alcor_migrate.settings import Settings, load_settings
from alcor_model.errors import AlcorError

if TYPE_CHECKING:
    from collections.abc import Coroutine

NEEDS_ANSWERS, BLOCKED, MISMATCHES, NOT_SWITCHED = 10, 11, 12, 13

app = typer.Typer(
    help="Moves a live OpenStack cloud's networking from Neutron to Alcor, and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_out = Console()
_err = Console(stderr=True)
_config: list[Path] = []

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a screen.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the gates and the steps, and do nothing.")]


@app.callback()
def _global(
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="ALCOR_MIGRATE_CONFIG", help="The configuration file.")
    ] = Path("alcor-migrate.yaml"),
) -> None:
    _config[:] = [config]


@app.command()
def assess(as_json: Json = False) -> None:  # noqa: FBT002  # a flag of the command line
    """Say what there is, what will move, and what cannot. Changes nothing."""
    from alcor_migrate.assess import assess as assess_cloud  # noqa: PLC0415  # see _run

    found = _do(assess_cloud(_settings()))
    if as_json:
        _print_json(msgspec.to_builtins(found))
    else:
        _out.print(screens.assessment(found))
    if found.blocked:
        raise typer.Exit(BLOCKED)
    if found.needs_answers:
        raise typer.Exit(NEEDS_ANSWERS)


@app.command()
def run() -> None:
    """Run the gateway and the engine until stopped; started again, it goes on where it was."""
    settings = _settings()
    _log_to_stderr()
    try:
        import uvloop  # noqa: PLC0415  # there is none on some platforms

        runner: Any = uvloop.run
    except ImportError:
        runner = asyncio.run
    with contextlib.suppress(KeyboardInterrupt):
        _do(_run(settings), runner)


@app.command()
def status(as_json: Json = False) -> None:  # noqa: FBT002
    """Say where the running migration stands."""
    document = _call("status")
    if as_json:
        _print_json(document)
    else:
        _out.print(screens.status(document))


@app.command()
def watch(
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 0.5,
    once: Annotated[bool, typer.Option("--once", help="Show one screen and end.")] = False,  # noqa: FBT002
) -> None:
    """Show where the running migration stands, live, until interrupted."""
    _do(_watch(_settings().state_dir, interval, once=once))


@app.command()
def verify(
    as_json: Json = False,  # noqa: FBT002
    repair: Annotated[bool, typer.Option("--repair", help="Heal what differs, and compare again.")] = False,  # noqa: FBT002
) -> None:
    """Compare every object of both sides."""
    found = _call("verify", repair=repair)
    if as_json:
        _print_json(found)
    else:
        _out.print(screens.verification(found))
    if found["mismatches"]:
        raise typer.Exit(MISMATCHES)


@app.command()
def cutover(dry_run: DryRun = False, as_json: Json = False) -> None:  # noqa: FBT002
    """Move the API traffic to Alcor. Writes wait for a moment; none fails."""
    _hand_over("cutover", dry_run=dry_run, as_json=as_json)


@app.command()
def reverse(dry_run: DryRun = False, as_json: Json = False) -> None:  # noqa: FBT002
    """Move the API traffic back to Neutron, with everything that was written since the cutover."""
    _hand_over("reverse", dry_run=dry_run, as_json=as_json)


@app.command()
def complete(
    confirm: Annotated[
        str | None, typer.Option("--confirm", help="The name of the cloud; asked for when it is not given.")
    ] = None,
) -> None:
    """End the migration for good: the point of no return. The catalogue then points to Alcor."""
    name = confirm or typer.prompt("This cannot be undone. Type the name of the cloud to complete its migration")
    moved = _call("complete", cloud=name, actor=getpass.getuser())
    _out.print("Completed. These endpoints of the catalogue now point to Alcor:")
    for endpoint in moved:
        _out.print(f"  {endpoint}")
    _out.print("The gateway goes on passing requests for clients that still know the old address.")


@app.command()
def cancel() -> None:
    """Drop the migration. The source was never changed; the gateway goes on passing requests to it."""
    _call("cancel", actor=getpass.getuser())
    _out.print("Cancelled. Nothing was changed on the source; the gateway passes everything on to it.")


def main() -> None:
    """The entry point."""
    app()


async def _run(settings: Settings) -> None:
    # The engine takes most of a second to load; verbs that only ask a running one should not wait for it.
    from alcor_migrate.engine.conductor import Migration  # noqa: PLC0415

    migration = Migration(settings, getpass.getuser())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await migration.start()
    try:
        async with control.serving(migration):
            _err.print(
                f"The gateway listens on {settings.gateway.listen}; `alcor-migrate watch` shows how it goes. "
                "Ctrl-C stops."
            )
            await stop.wait()
    finally:
        await migration.close()


async def _watch(state_dir: str, interval: float, *, once: bool) -> None:
    document = await control.call(state_dir, "status")
    if once:
        _out.print(screens.status(document))
        return
    while not _out.is_terminal:  # a file or a pipe gets one screen below the other
        _out.print(screens.status(await control.call(state_dir, "status")))
        _out.file.flush()
        await asyncio.sleep(interval)
    with (
        Live(screens.status(document), console=_out, screen=True, auto_refresh=False) as live,
        contextlib.suppress(asyncio.CancelledError),
    ):
        while True:
            live.update(screens.status(await control.call(state_dir, "status")), refresh=True)
            await asyncio.sleep(interval)


def _hand_over(verb: str, *, dry_run: bool, as_json: bool) -> None:
    if dry_run:
        gates, now = _call("gates", of=verb), _call("status")
        if as_json:
            _print_json({"gates": gates, "state": now["state"]})
        else:
            _out.print(screens.dry_run(verb, gates, now))
        return
    attempt = _call(verb, actor=getpass.getuser())
    if as_json:
        _print_json(attempt)
    else:
        _out.print(screens.attempt(verb, attempt))
    if not attempt["succeeded"]:
        raise typer.Exit(NOT_SWITCHED)


def _settings() -> Settings:
    try:
        return load_settings(_config[0])
    except ConfigError as error:
        _complain(error)


def _call(verb: str, /, **arguments: Any) -> Any:
    return _do(control.call(_settings().state_dir, verb, **arguments))


def _do(work: Coroutine[Any, Any, Any], runner: Any = asyncio.run) -> Any:
    try:
        return runner(work)
    except AlcorError as error:
        _complain(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _complain(error: AlcorError) -> NoReturn:
    _err.print(f"[bold red]Error:[/] {screens.plain(error.message)}", soft_wrap=True)
    if error.next_step:
        _err.print(f"[bold]Next:[/] {screens.plain(error.next_step)}", soft_wrap=True)
    raise typer.Exit(getattr(error, "exit_code", 1)) from error


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def _log_to_stderr() -> None:
    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

"""The verbs of `alcor-migrate`. Each says on one screen what it found or did; errors are one sentence and a way out.

Exit codes: 0 done (or ready), 1 to 8 by the kind of error (`alcor_migrate.errors`), 10 when `assess` found gaps,
11 when it found that a run would be refused, 12 when `verify` found mismatches, 13 when a handover did not succeed,
14 when `drain` found something on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.live import Live

from alcor_migrate import control
from alcor_migrate.cli import screens
from alcor_migrate.cli.assess import assess
from alcor_migrate.cli.console import Json, complain, do, err, out, print_json
from alcor_migrate.errors import ConfigError
from alcor_migrate.pauses import spare_what_stays
from alcor_migrate.settings import Settings, load_settings

MISMATCHES, NOT_SWITCHED, NOT_DRAINED = 12, 13, 14

app = typer.Typer(
    help="Moves a live OpenStack cloud's networking from Neutron to Alcor, and back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_config: list[Path] = []

DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show the gates, and each step with the time it would take now; do nothing."),
]
Reads = Annotated[
    bool,
    typer.Option("--reads", help="Reads only: each sees what was acknowledged before it. Nothing is held."),
]
MaxHold = Annotated[
    float | None,
    typer.Option("--max-hold", min=0.1, max=60.0, help="Longest time in seconds that a write waits, for this one."),
]


@app.callback()
def _global(
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="ALCOR_MIGRATE_CONFIG", help="The configuration file.")
    ] = Path("alcor-migrate.yaml"),
) -> None:
    _config[:] = [config]


app.command()(assess)


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
        do(_run(settings), runner)


@app.command()
def status(as_json: Json = False) -> None:  # noqa: FBT002
    """Say where the running migration stands."""
    document = _call("status")
    if as_json:
        print_json(document)
    else:
        out.print(screens.status(document))


@app.command()
def watch(
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 0.5,
    once: Annotated[bool, typer.Option("--once", help="Show one screen and end.")] = False,  # noqa: FBT002
) -> None:
    """Show where the running migration stands, live, until interrupted."""
    do(_watch(_settings().state_dir, interval, once=once))


@app.command()
def verify(
    as_json: Json = False,  # noqa: FBT002
    repair: Annotated[bool, typer.Option("--repair", help="Heal what differs, and compare again.")] = False,  # noqa: FBT002
) -> None:
    """Compare every object of both sides."""
    found = _call("verify", actor=getpass.getuser(), repair=repair)
    if as_json:
        print_json(found)
    else:
        out.print(screens.verification(found))
    if found["mismatches"]:
        raise typer.Exit(MISMATCHES)


@app.command()
def cutover(
    dry_run: DryRun = False,  # noqa: FBT002
    reads: Reads = False,  # noqa: FBT002
    max_hold: MaxHold = None,
    postpone_flag_file: Annotated[
        Path | None, typer.Option("--postpone-flag-file", help="Wait while this file exists, and then do it.")
    ] = None,
    as_json: Json = False,  # noqa: FBT002
) -> None:
    """Move the API traffic to Alcor. Writes wait for a moment; none fails. With --reads, only reads move."""
    if reads:
        _switch_reads("cutover", "target", dry_run=dry_run, as_json=as_json)
        return
    flag = str(postpone_flag_file.resolve()) if postpone_flag_file else ""
    _hand_over("cutover", dry_run=dry_run, as_json=as_json, max_hold=max_hold, postpone_flag_file=flag)


@app.command()
def reverse(
    dry_run: DryRun = False,  # noqa: FBT002
    reads: Reads = False,  # noqa: FBT002
    max_hold: MaxHold = None,
    as_json: Json = False,  # noqa: FBT002
) -> None:
    """Move the API traffic back to Neutron, with all that was written since the cutover. With --reads, only reads."""
    if reads:
        _switch_reads("reverse", "source", dry_run=dry_run, as_json=as_json)
        return
    _hand_over("reverse", dry_run=dry_run, as_json=as_json, max_hold=max_hold)


@app.command()
def drain(
    wait: Annotated[float, typer.Option(min=0.0, help="Look again for at most so many seconds.")] = 0.0,
    as_json: Json = False,  # noqa: FBT002
) -> None:
    """Say whether Neutron's own pipeline is empty, so that hosts can be taken over; kept in the audit log."""
    found = _call("drain", actor=getpass.getuser(), wait=wait)
    if as_json:
        print_json(found)
    else:
        out.print(screens.drained(found))
    if not found["empty"]:
        raise typer.Exit(NOT_DRAINED)


@app.command()
def complete(
    confirm: Annotated[
        str | None, typer.Option("--confirm", help="The name of the cloud; asked for when it is not given.")
    ] = None,
) -> None:
    """End the migration for good: the point of no return. The catalogue then points to Alcor."""
    name = confirm or typer.prompt("This cannot be undone. Type the name of the cloud to complete its migration")
    moved = _call("complete", cloud=name, actor=getpass.getuser())
    out.print("Completed. These endpoints of the catalogue now point to Alcor:")
    for endpoint in moved:
        out.print(f"  {endpoint}")
    out.print("The gateway goes on passing requests for clients that still know the old address.")


@app.command()
def cancel() -> None:
    """Drop the migration. The source was never changed; the gateway goes on passing requests to it."""
    _call("cancel", actor=getpass.getuser())
    out.print("Cancelled. Nothing was changed on the source; the gateway passes everything on to it.")


@app.command()
def resume() -> None:
    """Go on after `needs attention` or `panic`: what stopped is begun again, what was rejected is offered again."""
    state = _call("resume", actor=getpass.getuser())
    out.print(f"Goes on. The migration is {state}.")


@app.command()
def audit(as_json: Json = False) -> None:  # noqa: FBT002
    """Print everything that was done, by whom, when and why; nothing is ever removed from it."""
    entries = _call("audit")
    if as_json:
        print_json(entries)
    else:
        out.print(screens.audit(entries))


@app.command(name="control")
def control_(
    command: Annotated[str, typer.Argument(help="One of the words below, in quotes.")] = "help",
) -> None:
    """Say a word to the running migration, such as `throttle`, `chunk-size=200`, `postpone` or `panic`."""
    sys.stdout.write(_call("control", command=command, actor=getpass.getuser()) + "\n")


def main() -> None:
    """The entry point."""
    app()


async def _run(settings: Settings) -> None:
    # The engine takes most of a second to load; verbs that only ask a running one should not wait for it.
    from alcor_migrate.engine.conductor import Migration  # noqa: PLC0415

    spare_what_stays()
    migration = Migration(settings, getpass.getuser())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await migration.start()
    try:
        async with control.serving(migration):
            err.print(
                f"The gateway listens on {settings.gateway.listen}; `alcor-migrate watch` shows how it goes. "
                "Ctrl-C stops."
            )
            await stop.wait()
    finally:
        await migration.close()


async def _watch(state_dir: str, interval: float, *, once: bool) -> None:
    document = await control.call(state_dir, "status")
    if once:
        out.print(screens.status(document))
        return
    while not out.is_terminal:  # a file or a pipe gets one screen below the other
        out.print(screens.status(await control.call(state_dir, "status")))
        out.file.flush()
        await asyncio.sleep(interval)
    with (
        Live(screens.status(document), console=out, screen=True, auto_refresh=False) as live,
        contextlib.suppress(asyncio.CancelledError),
    ):
        while True:
            live.update(screens.status(await control.call(state_dir, "status")), refresh=True)
            await asyncio.sleep(interval)


def _hand_over(verb: str, *, dry_run: bool, as_json: bool, max_hold: float | None, **arguments: Any) -> None:
    actor = getpass.getuser()
    if dry_run:
        found = _call("forecast", of=verb, actor=actor, max_hold=max_hold)
        if as_json:
            print_json(found)
        else:
            out.print(screens.dry_run(verb, found))
        return
    attempt = _call(verb, actor=actor, max_hold=max_hold, **arguments)
    if as_json:
        print_json(attempt)
    else:
        out.print(screens.attempt(verb, attempt))
    if not attempt["succeeded"]:
        raise typer.Exit(NOT_SWITCHED)


def _switch_reads(verb: str, to: str, *, dry_run: bool, as_json: bool) -> None:
    actor = getpass.getuser()
    if dry_run:
        document = _call("forecast", of=verb, actor=actor, reads=True)
        shown = screens.dry_run(f"{verb} --reads", document)
    else:
        document = _call("reads", to=to, actor=actor)
        shown = screens.reads_switched(document)
    if as_json:
        print_json(document)
    else:
        out.print(shown)


def _settings() -> Settings:
    try:
        return load_settings(_config[0])
    except ConfigError as error:
        complain(error)


def _call(verb: str, /, **arguments: Any) -> Any:
    return do(control.call(_settings().state_dir, verb, **arguments))


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

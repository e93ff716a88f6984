"""The command `alcor-controller`."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import Annotated

import structlog
import typer
import uvloop

from alcor_model.errors import AlcorError
from alcor_sdn.controller import settings as settings_module
from alcor_sdn.controller.server import serve as run
from alcor_sdn.errors import ControllerConfigError

_COLLECTED_AT = 50_000
"""Objects that are made and not yet let go when the collector looks for cycles (Python's default: 700)."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The bundled Alcor controller.",
)


@app.callback()
def _command() -> None:
    """Keep `serve` a word of its own: more will come beside it."""


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="A YAML file of settings.")] = None,
    listen: Annotated[str | None, typer.Option(help="HOST:PORT of both APIs.")] = None,
    database: Annotated[str | None, typer.Option(help="Path (SQLite) or SQLAlchemy URL.")] = None,
    keystone_url: Annotated[str | None, typer.Option(help="The identity service, with /v3.")] = None,
    username: Annotated[str | None, typer.Option(help="The service user.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file with its password.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="ALCOR_PASSWORD", help="Better in the environment or a file.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="The service user's project.")] = None,
    user_domain: Annotated[str | None, typer.Option(help="The service user's domain.")] = None,
    project_domain: Annotated[str | None, typer.Option(help="The domain of its project.")] = None,
    dns_domain: Annotated[str | None, typer.Option(help="The domain of ports' names.")] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Serve the native API and the Neutron API until SIGTERM."""
    _configure_logs(log_level)
    try:
        if password_file is not None:
            password = _read(password_file)
        given = {
            "listen": listen,
            "database": database,
            "keystone_url": keystone_url,
            "username": username,
            "password": password,
            "project": project,
            "user_domain": user_domain,
            "project_domain": project_domain,
            "dns_domain": dns_domain,
        }
        loaded = settings_module.load(config, given)
        _spare_the_collector()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(loaded))
    except AlcorError as error:
        typer.echo(f"alcor-controller: {error}", err=True)
        if error.next_step:
            typer.echo(error.next_step, err=True)
        raise typer.Exit(1) from error


def _spare_the_collector() -> None:
    """Have Python's garbage collector pass over the modules, which stay, and look seldom at the rest.

    That is mostly batches of objects out of JSON, which hold no cycles and go by themselves.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AT)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ControllerConfigError(f"{file} cannot be read: {error.strerror}") from error


def _configure_logs(level: str) -> None:
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
        ),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def main() -> None:
    """The console script."""
    app()

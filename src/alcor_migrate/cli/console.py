"""How the verbs speak: on a console, in JSON, and in one sentence when something is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

from alcor_migrate.cli import screens
from alcor_model.errors import AlcorError

if TYPE_CHECKING:
    from collections.abc import Coroutine

out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a screen.")]

INTERRUPTED = 130


def do(work: Coroutine[Any, Any, Any], runner: Any = asyncio.run) -> Any:
    """Run it to its end; an error of ours becomes a sentence and an exit code."""
    try:
        return runner(work)
    except AlcorError as error:
        complain(error)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def complain(error: AlcorError) -> NoReturn:
    """Say what is wrong and what to do about it, and end with the error's exit code."""
    err.print(f"[bold red]Error:[/] {screens.plain(error.message)}", soft_wrap=True)
    if error.next_step:
        err.print(f"[bold]Next:[/] {screens.plain(error.next_step)}", soft_wrap=True)
    raise typer.Exit(getattr(error, "exit_code", 1)) from error


def print_json(document: Any) -> None:
    """Print a document, indented."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

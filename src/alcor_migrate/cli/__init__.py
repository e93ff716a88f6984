"""The command line: verbs in `commands`, what they print in `screens`."""

from alcor_migrate.cli.commands import main

__all__ = ["main"]

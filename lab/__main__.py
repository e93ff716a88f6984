"""A lab by hand: `python -m lab start`, `python -m lab stop DIRECTORY`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path  # noqa: TC003  # typer reads the annotations
from typing import Annotated

import typer

from lab.cloud import Lab
from lab.errors import LabError
from lab.process import stop_recorded

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)


@app.command()
def start(
    directory: Annotated[Path | None, typer.Option(help="Where to keep it; default: a scratch directory.")] = None,
    database: Annotated[str, typer.Option(help="auto, mariadb or sqlite.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes of Neutron's API.")] = 2,
    *,
    gateway: Annotated[
        bool, typer.Option(help="Register a free port instead of Neutron's in the catalogue.")
    ] = False,
    keep: Annotated[bool, typer.Option(help="Return at once and leave it running.")] = False,
) -> None:
    """Start a cloud and say how to use it; ends with Ctrl-C unless --keep is given."""
    front = "reserved" if gateway else "none"
    with Lab(directory, neutron_workers=workers, database=database, gateway=front, keep=keep) as lab:  # type: ignore[arg-type]  # Lab says what it does not know
        print(f"export OS_CLIENT_CONFIG_FILE={lab.clouds_yaml}")
        print(f"export PATH={lab.openstack_bin}:$PATH")
        names = ", ".join(["lab-admin", "lab-direct", *(project.name for project in lab.projects)])
        print(f"# openstack --os-cloud CLOUD network list; CLOUD is one of {names}")
        print(f"# Keystone {lab.keystone_url}; Neutron {lab.neutron_url}; in the catalogue {lab.gateway_url}")
        print(f"# logs in {lab.logs}; database: {lab.database}")
        if keep:
            print(f"# to end it: python -m lab stop {lab.directory}", flush=True)
        else:
            print("# Ctrl-C ends it", flush=True)
            signal.pause()


@app.command()
def stop(directory: Annotated[Path, typer.Argument(help="The directory that `start` printed.")]) -> None:
    """Stop a lab that was kept, with all that was started in it, and remove its scratch directory."""
    stopped = stop_recorded(directory)
    print(f"stopped {', '.join(stopped) or 'nothing, it was not running'}")


def main() -> None:
    """Run the command line; errors of the lab are one sentence and the way out."""
    try:
        app()
    except LabError as error:
        sys.exit(f"{error.message}. {error.next_step}")


if __name__ == "__main__":
    main()

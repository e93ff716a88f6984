"""Runs every benchmark of this folder (or those named) in a process of its own, then prints what they wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.report import DIRECTORY

FOLDER = Path(__file__).parent
NOT_BENCHMARKS = {
    "__init__",
    "__main__",
    "engine_handover",
    "engine_live",
    "engine_step",
    "real_neutron",
    "report",
    "steady",
    "synthetic",
}


def main(names: list[str]) -> int:
    """Run and print; the exit code says whether every benchmark ran, not whether every bar was met."""
    known = sorted(p.stem for p in FOLDER.glob("*.py") if p.stem not in NOT_BENCHMARKS)
    unknown = [name for name in names if name not in known]
    if unknown:
        Console(stderr=True).print(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(known)}")
        return 2
    failed = []
    for name in names or known:
        Console().print(f"[bold]{name}[/] …")
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
    table = Table("benchmark", "figure", "ours", "peer", "ratio", "bar", "met")
    for path in sorted(DIRECTORY.glob("*.json")):
        for found in json.loads(path.read_text(encoding="utf-8")):
            table.add_row(path.stem, f"{found['name']} ({found['unit']})", *_cells(found))
    Console().print(table)
    if failed:
        Console(stderr=True).print(f"did not run: {', '.join(failed)}")
    return 1 if failed else 0


def _cells(found: dict[str, Any]) -> list[str]:
    peer = "" if found["peer"] is None else f"{found['peer']:,.4g} {found['peer_name']}"
    met = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[found["met"]]
    numbers = ["" if found[key] is None else f"{found[key]:,.4g}" for key in ("ours", "ratio", "bar")]
    return [numbers[0], peer, numbers[1], numbers[2], met]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

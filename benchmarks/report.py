"""The one form of figures: rows `{name, unit, ours, peer, peer_name, ratio, bar, met}`; null where there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parents[1] / "build" / "bench"


def row(
    name: str,
    unit: str,
    ours: float,
    *,
    peer: float | None = None,
    peer_name: str | None = None,
    bar: float | None = None,
    at_most: bool = False,
) -> dict[str, Any]:
    """One figure. `bar` is for the ratio ours / peer where there is a peer, else for ours; met above or below it."""
    ratio = ours / peer if peer else None
    judged = ours if ratio is None else ratio
    met = None if bar is None else (judged <= bar if at_most else judged >= bar)
    return {
        "name": name,
        "unit": unit,
        "ours": ours,
        "peer": peer,
        "peer_name": peer_name,
        "ratio": ratio,
        "bar": bar,
        "met": met,
    }


def write(name: str, rows: list[dict[str, Any]]) -> Path:
    """Keep the rows of one benchmark."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    path = DIRECTORY / f"{name}.json"
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return path


def add(name: str, rows: list[dict[str, Any]]) -> Path:
    """Keep the rows beside those of other names that are there from earlier."""
    path = DIRECTORY / f"{name}.json"
    fresh = {found["name"] for found in rows}
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return write(name, [found for found in before if found["name"] not in fresh] + rows)

"""The report of `assess` as one HTML file: no external resources, no script, light and dark; pure."""

from __future__ import annotations

import datetime as dt
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import jinja2

from alcor_migrate.assess import words
from alcor_migrate.assess.document import Weight

if TYPE_CHECKING:
    from alcor_migrate.assess.document import Assessment

_SHOWN = 200
_PROJECTS = 25
_HOSTS = 100


def page(found: Assessment) -> str:
    """The page. Lists are cut at a few hundred lines each; the document has them whole."""
    rows = words.projects(found)
    context: dict[str, Any] = {
        "found": found,
        "when": dt.datetime.fromtimestamp(found.at, dt.UTC),
        "verdict": words.verdict(found),
        "target": words.TARGETS[found.target],
        "still": [g for g in found.gaps if g.open],
        "settled": [g for g in found.gaps if not g.open],
        "sums": {f: sum(getattr(t, f) for t in found.tallies) for f in ("objects", "moves", "changes", "stays")},
        "projects": rows[:_PROJECTS],
        "more_projects": len(rows) - _PROJECTS,
        "widest": max((r[1] for r in rows), default=1),
        "agents": (sum(a.alive for h in found.hosts for a in h.agents), sum(len(h.agents) for h in found.hosts)),
        "shown": _SHOWN,
        "hosts_shown": _HOSTS,
    }
    return _template().render(context)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "short": words.short,
        "resource": words.spoken,
        "line": words.object_line,
        "amount": words.amount,
        "standing": words.standing,
        "duration": words.duration,
        "size": words.size,
        "ties": words.ties,
        "thousands": lambda number: f"{number:,}".replace(",", "\u202f"),
    }
    environment.globals |= {
        "estimate": words.estimate,
        "extensions": words.extensions,
        "way_back": words.way_back,
        "Weight": Weight,
    }
    text = resources.files("alcor_migrate.assess").joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(text)

"""The screen of `assess`: an `Assessment` as rich shows it, readable at 80 columns and without a terminal; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group as Stack
from rich.console import RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from alcor_migrate.assess import words
from alcor_migrate.assess.decide import BLOCKED, READY
from alcor_migrate.assess.document import Weight

if TYPE_CHECKING:
    from alcor_migrate.assess.document import Assessment, Gap, Host

_COLOURS = {READY: "green", BLOCKED: "red"}
_SHOWN, _FEW = 5, 3
_MARKS = {Weight.BLOCK: ("✘", "red"), Weight.ANSWER: ("?", "yellow"), Weight.NOTE: ("i", "blue")}
_COLUMNS = {
    "network": "nets",
    "subnet": "subnets",
    "port": "ports",
    "router": "routers",
    "floatingip": "fips",
    "security_group": "groups",
}


def screen(found: Assessment) -> RenderableType:
    """Everything on one screen, the longest lists shortened; `--json` has them whole."""
    still = [g for g in found.gaps if g.open]
    settled = [g for g in found.gaps if not g.open]
    parts: list[RenderableType] = [_headline(found), _tallies(found), _projects(found)]
    if still:
        parts.append(_heading("What needs you"))
        parts += [_gap(g, _SHOWN if len(still) <= _SHOWN else _FEW) for g in still]
    if settled:
        parts.append(_heading("What is settled, or only told"))
        parts += [_settled(g) for g in settled]
    if found.hosts:
        parts += [_heading("Hosts"), _hosts(found.hosts), f"Routers: {_routers(found)}."]
    parts += _together(found)
    parts += [
        _heading("The rest"),
        Text("Way back: " + words.way_back(found)),
        Text("API extensions: " + words.extensions(found)),
        Text(words.estimate(found)),
    ]
    if found.answers.unneeded:
        parts.append(Text("Answered, and no longer needed: " + ", ".join(found.answers.unneeded) + "."))
    parts += _next(found, still)
    return Stack(*parts)


def _heading(text: str) -> RenderableType:
    return Text("\n" + text, style="bold underline")


def _headline(found: Assessment) -> RenderableType:
    colour = _COLOURS.get(found.verdict, "yellow")
    return Panel(
        f"[bold {colour}]{found.verdict}[/]  {escape(words.verdict(found))}",
        title=f"{escape(words.short(found.cloud))} to {words.TARGETS[found.target]}",
        title_align="left",
    )


def _tallies(found: Assessment) -> RenderableType:
    table = Table(title="What becomes of what there is", title_justify="left")
    table.add_column("resource")
    for column in ("objects", "move", "change", "stay"):
        table.add_column(column, justify="right")
    for tally in found.tallies:
        table.add_row(
            words.spoken(tally.resource),
            str(tally.objects),
            f"[green]{tally.moves}[/]" if tally.moves else "",
            f"[yellow]{tally.changes}[/]" if tally.changes else "",
            f"[red]{tally.stays}[/]" if tally.stays else "",
        )
    table.add_section()
    sums = [sum(getattr(t, f) for t in found.tallies) for f in ("objects", "moves", "changes", "stays")]
    table.add_row("all", *(str(s) for s in sums))
    return table


def _projects(found: Assessment) -> RenderableType:
    rows = words.projects(found)
    table = Table(title="Whose it is", title_justify="left")
    table.add_column("project", overflow="ellipsis", no_wrap=True, max_width=24)
    table.add_column("objects", justify="right")
    for column in _COLUMNS.values():
        table.add_column(column, justify="right")
    for name, objects, numbers in rows[: 2 * _SHOWN]:
        table.add_row(escape(words.short(name, 24)), str(objects), *(str(numbers[c] or "") for c in _COLUMNS))
    if len(rows) > 2 * _SHOWN:
        table.add_row(f"… {len(rows) - 2 * _SHOWN} more", str(sum(r[1] for r in rows[2 * _SHOWN :])))
    return table


def _gap(gap: Gap, few: int) -> RenderableType:
    mark, colour = _MARKS[gap.rule.weight]
    new = set(gap.new)
    # What was accepted already need not be read again.
    shown = [s for s in gap.objects if s.id in new] or gap.objects
    lines = [
        f"[{colour}]{mark}[/] [bold]{escape(gap.rule.title)}[/]"
        + (f" ({escape(words.amount(gap))})" if gap.objects else ""),
        f"  [dim]rule[/] {gap.rule.name}   [{colour}]{escape(words.standing(gap))}[/]"
        + (f"   [dim]hinders[/] {gap.rule.hinders}" if gap.rule.hinders else ""),
    ]
    body = [f"[dim]if accepted:[/] {escape(gap.rule.consequence)}"]
    if gap.rule.weight is Weight.BLOCK:
        body = [f"[dim]what happens:[/] {escape(gap.rule.consequence)}"]
    body += [f"[dim]{'way out' if not n else '     or'}:[/] {escape(way)}" for n, way in enumerate(gap.rule.ways_out)]
    body += [f"[dim]·[/] {escape(words.object_line(s))}" for s in shown[:few]]
    if len(shown) > few:
        body.append(f"[dim]· and {len(shown) - few} more; --json lists them[/]")
    return Stack(*lines, *(Padding(line, (0, 0, 0, 4)) for line in body))


def _settled(gap: Gap) -> RenderableType:
    mark, colour = ("✔", "green") if gap.rule.weight is not Weight.NOTE else _MARKS[Weight.NOTE]
    line = f" {gap.rule.title}" + (f" ({words.amount(gap)})" if gap.objects else "")
    if gap.rule.weight is Weight.NOTE:
        line += f": {gap.rule.consequence}"
    line += f". Rule {gap.rule.name}, {words.standing(gap)}" + (f": {words.short(gap.note, 80)}" if gap.note else "")
    return Text.assemble((mark, colour), line)


def _hosts(hosts: list[Host]) -> RenderableType:
    table = Table(show_lines=False)
    table.add_column("host", overflow="fold")
    table.add_column("agents", justify="right")
    table.add_column("ports", justify="right")
    table.add_column("vif types", overflow="fold")
    table.add_column("switch", overflow="fold")
    for host in hosts[: 4 * _SHOWN]:
        alive = sum(a.alive for a in host.agents)
        colour = "green" if host.alive and host.agents else "red"
        table.add_row(
            escape(words.short(host.name, 60)),
            f"[{colour}]{alive}/{len(host.agents)}[/]",
            str(host.ports),
            escape(", ".join(f"{vif or '?'} {n}" for vif, n in host.vif_types.items())),
            escape(words.host_line(host)),
        )
    if len(hosts) > 4 * _SHOWN:
        table.add_row(f"… {len(hosts) - 4 * _SHOWN} more")
    return table


def _routers(found: Assessment) -> str:
    return f"{found.routers.all}, {found.routers.distributed} distributed, {found.routers.ha} highly available"


def _together(found: Assessment) -> list[RenderableType]:
    if not found.groups:
        return []
    parts: list[RenderableType] = [_heading("Projects that must move together")]
    for group in found.groups[:_SHOWN]:
        names = ", ".join(words.short(p, 24) for p in group.projects[: 2 * _SHOWN])
        more = len(group.projects) - 2 * _SHOWN
        parts.append(Text(f"· {names}{f' and {more} more' if more > 0 else ''}: they share {words.ties(group)}"))
    if len(found.groups) > _SHOWN:
        parts.append(Text(f"· and {len(found.groups) - _SHOWN} more groups; --json lists them"))
    return parts


def _next(found: Assessment, still: list[Gap]) -> list[RenderableType]:
    asked = [g.rule.name for g in still if g.rule.weight is Weight.ANSWER and g.answer != "resolve"]
    if not asked:
        return []
    if found.verdict == BLOCKED:
        return [Text("\nNext: resolve what blocks; answers can wait until then.", style="bold")]
    return [
        Text("\nNext: read each gap, then answer it, for example", style="bold"),
        Text(f"  alcor-migrate assess --answer {asked[0]}=accept --note 'why'"),
    ]

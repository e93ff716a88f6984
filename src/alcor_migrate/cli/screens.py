"""What the verbs print, made of the documents they got; pure."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

plain = escape
"""Text of the outside world, made harmless for rich's markup."""

_STEPS = ["capturing", "copying", "catching_up", "ready", "switched", "completed"]
_SHOWN_MISMATCHES = 10


def status(document: dict[str, Any]) -> RenderableType:
    """The screen of `status` and `watch`."""
    return Group(
        _headline(document),
        _copy(document["copy"]),
        _numbers(document),
        freshness(document["freshness"]),
        *_attention(document),
        _gates(document["gates"]),
        *_attempts(document["attempts"]),
    )


def verification(found: dict[str, Any]) -> RenderableType:
    """The screen of `verify`."""
    if not found["mismatches"]:
        return f"[green]equal:[/] {found['compared']} objects compared, 0 mismatches"
    parts = [f"[red]{found['mismatches']} mismatches[/] among {found['compared']} objects"]
    parts += [f"  {m['resource']} {m['id']}: {plain(m['problem'])}" for m in found["shown"][:_SHOWN_MISMATCHES]]
    return Group(*parts)


def attempt(verb: str, made: dict[str, Any]) -> RenderableType:
    """The screen of `cutover` and `reverse`."""
    if not made["succeeded"]:
        return (
            f"[red]{verb} did not happen:[/] {plain(made['reason'])}. "
            "Writes that waited went on to the old side; nothing is lost, and it can be tried again."
        )
    return (
        f"[green]{verb} done.[/] Writes were held for {made['hold_ms']:.0f} ms: "
        f"in flight until {made['drained_ms']:.0f} ms, replayed at {made['replayed_ms']:.0f} ms, "
        f"{made['looked_at']} recent objects were read again meanwhile."
    )


def reads_switched(made: dict[str, Any]) -> RenderableType:
    """The screen of `cutover --reads` and `reverse --reads`."""
    done = f"[green]Reads go to {_name(made['side'])}.[/] Writes stay where they are."
    return done + (
        f" Until it is otherwise they are read there too: {plain(made['closed'])}." if made["closed"] else ""
    )


def dry_run(verb: str, found: dict[str, Any]) -> RenderableType:
    """The screen of `cutover --dry-run` and `reverse --dry-run`."""
    bound = "" if found["reads_only"] else ", within the bound of the hold"
    table = Table(title=f"{verb} would{bound}:", title_justify="left")
    for column in ("", "step", "expected", "worst", "measured by"):
        table.add_column(column, justify="right" if column in {"expected", "worst"} else "left", overflow="fold")
    for number, step in enumerate(found["steps"], 1):
        table.add_row(
            str(number), plain(step["what"]), _ms(step["expected_ms"]), _ms(step["worst_ms"]), plain(step["basis"])
        )
    closed = [g for g in found["gates"] if not g["open"]]
    held = f"Writes would be held for about {found['hold_ms']:.0f} ms; the bound is {found['max_hold_ms']:.0f} ms"
    held += "." if found["fits"] else ": [red]that is too long[/], so attempts would give up and be repeated."
    return Group(
        table,
        "Nothing would be held." if found["reads_only"] else held,
        _gates(found["gates"]),
        "[red]It would be refused now.[/] A lag that is only just too high is waited for."
        if closed
        else "[green]Every gate is open.[/]",
    )


def drained(found: dict[str, Any]) -> RenderableType:
    """The screen of `drain`."""
    table = Table.grid(padding=(0, 2))
    words = {True: "[green]yes[/]", False: "[red]no[/]", None: "[yellow]not seen[/]"}
    for check in found["checks"]:
        table.add_row(words[check["passed"]], check["name"], plain("; ".join([check["reason"], *check["shown"]])))
    result = "[green]drained[/]" if found["empty"] else "[red]not drained[/]"
    return Panel(Group(table, result), title="Neutron's pipeline", title_align="left")


def audit(entries: list[dict[str, Any]]) -> RenderableType:
    """The screen of `audit`."""
    table = Table()
    for column in ("when", "who", "what", "state", "why"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        when = dt.datetime.fromtimestamp(entry["at"]).astimezone().isoformat(" ", "seconds")
        before, after = entry["before"].replace("_", " "), entry["after"].replace("_", " ")
        state = after if before == after else f"{before} > {after}"
        table.add_row(when, plain(entry["actor"]), entry["act"], state, plain(entry["reason"]))
    return table


def _ms(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f} ms"


def _headline(document: dict[str, Any]) -> RenderableType:
    state = document["state"]
    line = Text()
    for step in _STEPS:
        style = "bold green" if step == state else "dim"
        line.append(f" {step.replace('_', ' ')} ", style=style)
        line.append(">" if step != _STEPS[-1] else "", style="dim")
    if state not in _STEPS:
        line.append(f"  {state.replace('_', ' ')}", style="bold yellow")
    since = _clock(document["since"])
    active = _name(document["active"])
    if document["reads"]["side"] != document["active"]:
        active += f"[/], reads: [bold]{_name(document['reads']['side'])}"
    return Panel(
        Group(line, f"active: [bold]{active}[/]   since {since}   now: {plain(document['activity'])}"),
        title=f"migration of {plain(document['cloud'])}",
        title_align="left",
    )


def _name(side: str) -> str:
    return "Neutron" if side == "source" else "Alcor"


def _copy(copy: dict[str, Any]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for resource in copy["resources"]:
        expected = max(resource["expected"], resource["copied"], 1)
        share = 1.0 if resource["finished"] else resource["copied"] / expected
        mark = "[green]✔[/]" if resource["finished"] else " "
        table.add_row(
            resource["resource"].replace("_", " "),
            ProgressBar(total=1.0, completed=share, width=30),
            str(resource["copied"]),
            mark,
        )
    eta = copy["eta"]
    rate = f"{copy['copied']} objects, {copy['rate']:.0f}/s"
    left = "" if copy["finished_at"] or eta is None else f", about {eta:.0f} s left"
    return Panel(Group(table, rate + left), title="copy", title_align="left")


def _numbers(document: dict[str, Any]) -> RenderableType:
    gateway, journal, replay = document["gateway"], document["journal"], document["replay"]
    table = Table.grid(padding=(0, 3))
    table.add_row(
        "gateway",
        f"route [bold]{gateway['route']}[/] (epoch {gateway['epoch']})",
        f"{gateway['captured']} writes captured",
        f"{gateway['held']} held, longest {gateway['longest_hold_ms']:.0f} ms",
    )
    table.add_row(
        "journal",
        f"position {journal['position']}",
        f"{journal['unknown']} unknown",
        "[red]stalled[/]" if journal["stalled"] else f"{journal['bytes'] // 1024} kB",
    )
    table.add_row(
        "replay",
        f"lag [bold]{replay['lag'] * 1000:.0f} ms[/], worst {replay['worst_lag'] * 1000:.0f} ms",
        f"{replay['changes']} changes applied",
        f"[red]{plain(replay['trouble'])}[/]" if replay["trouble"] else f"{len(replay['poison'])} rejected",
    )
    reads = document["reads"]
    if reads["side"] != document["active"] or reads["answered"] or reads["fell_back"]:
        back = ", ".join(f"{n} {why}" for why, n in sorted(reads["fell_back"].items()))
        table.add_row(
            "reads ahead",
            f"{reads['answered']} answered, {reads['waited']} waited, longest {reads['longest_wait_ms']:.0f} ms",
            f"fell back: {back or 'none'}",
            f"[yellow]{plain(reads['closed'])}[/]" if reads["closed"] else "",
        )
    found = document["verification"]
    result = f"{found['compared']} compared, {found['mismatches']} mismatches" if found else ""
    table.add_row(
        "verify",
        document["verification_is"],
        result,
        _swept(document["sweep"]),
    )
    if document["set_aside"]:
        table.add_row(
            "set aside",
            f"{sum(document['set_aside'].values())} objects, as answered",
            ", ".join(f"{count} {rule}" for rule, count in document["set_aside"].items()),
        )
    shadow = document["shadow"]
    if shadow["share"]:
        table.add_row(
            "shadow reads",
            f"{shadow['asked']} compared",
            f"{shadow['equal']} equal, {shadow['different']} different",
            ", ".join(sorted(shadow["fields"])),
        )
    throttle = document["throttle"]
    table.add_row(
        "throttle",
        f"[yellow]{plain(throttle['reason'])}[/]" if throttle["reason"] else "none",
        f"source answers in {throttle['source_latency'] * 1000:.0f} ms",
        f"waited {throttle['waited']:.0f} s",
    )
    return Panel(table, title="now", title_align="left")


def _swept(sweep: dict[str, Any]) -> str:
    by = [f"{count} by {who}" for who, count in sweep["found_by"].items()]
    return f"sweeps: {sweep['sweeps']}, found {sweep['found']}" + (f" ({', '.join(by)})" if by else "")


def freshness(resources: list[dict[str, Any]]) -> RenderableType:
    """What of each resource is known to be equal, and since when; those without objects in one line."""
    styles = {"verified": "green", "stale": "yellow", "never": "dim"}
    table = Table.grid(padding=(0, 2))
    empty: dict[str, int] = {}
    for found in resources:
        if not found["objects"] and not found["mismatches"] and found["written_at"] is None:
            empty[found["state"]] = empty.get(found["state"], 0) + 1
            continue
        table.add_row(
            f"[{styles[found['state']]}]{found['state']}[/]",
            found["resource"].replace("_", " "),
            f"{found['objects']} compared" if found["at"] is not None else "",
            f"[red]{found['mismatches']} mismatches[/]" if found["mismatches"] else "",
            f"as of {_clock(found['at'])}" if found["at"] is not None else "",
            f"written at {_clock(found['written_at'])}"
            if found["state"] != "verified" and found["written_at"]
            else "",
        )
    rest = [f"{count} without objects: {word}" for word, count in sorted(empty.items())]
    return Panel(Group(table, *rest), title="verified", title_align="left")


def _clock(at: float) -> str:
    return dt.datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def _attention(document: dict[str, Any]) -> list[RenderableType]:
    """What needs attention, and what the operator has told it to wait for."""
    parts: list[RenderableType] = [
        f"[bold red]needs attention:[/] {plain(c['name'])}: {plain(c['reason'])}. {plain(c['next_step'])}"
        for c in document["attention"]
    ]
    steering = document["steering"]
    if steering["waits"]:
        parts.append(f"[yellow]a cutover waits:[/] {plain(steering['waits'])}")
    elif steering["postponed"]:
        parts.append(f"[yellow]cutovers are postponed[/] by {plain(steering['postponed'])}")
    return parts


def _gates(gates: list[dict[str, Any]]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for gate in gates:
        mark = "[green]open[/]" if gate["open"] else "[red]closed[/]"
        table.add_row(mark, gate["name"], plain(gate["reason"]))
    return Panel(table, title="gates", title_align="left")


def _attempts(attempts: list[dict[str, Any]]) -> list[RenderableType]:
    return [
        f"handover at {dt.datetime.fromtimestamp(a['at']).astimezone():%H:%M:%S}: "
        + (f"held {a['hold_ms']:.0f} ms" if a["succeeded"] else f"not switched: {plain(a['reason'])}")
        for a in attempts[-3:]
    ]

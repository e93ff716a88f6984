"""The report of a demo: from what was recorded to a JSON document and a self-contained page. Pure but for `write`.

`python -m lab.report DIRECTORY` draws the page again from the recording that a demo left there.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import msgspec

from lab.chart import Canvas, Scale, clock_ticks, milliseconds, round_step, seconds
from lab.journey import Sample  # noqa: TC001  # msgspec reads the annotations at run time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"
RECORDING, REPORT, PAGE = "recording.json", "report.json", "report.html"

READS = frozenset({"GET", "HEAD"})

WIDTH = 1060.0
LEFT, RIGHT = 74.0, 1034.0
MEDIAN_OVER = 3.0  # seconds
BEFORE_HOLD, AFTER_HOLD = 0.5, 0.7
"""How many seconds around a hold its picture shows."""


class Phase(msgspec.Struct, frozen=True):
    """Something with a beginning and an end, in unix seconds."""

    name: str
    began: float
    ended: float


class Request(msgspec.Struct, frozen=True, array_like=True):
    """One request of a user: when it was sent (unix seconds), how long it took, what came back.

    `status` 0: no answer came. `failed`: not the answer that was due; for what is deleted, 404 is.
    """

    at: float
    ms: float
    method: str
    status: int
    failed: bool = False

    @property
    def is_read(self) -> bool:
        """Whether it asked for nothing to be changed."""
        return self.method in READS

    @property
    def ended(self) -> float:
        """When the answer was there, in unix seconds."""
        return self.at + self.ms / 1000


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a cutover or a reverse; durations count from the start of its hold, at `at` unix seconds."""

    verb: str
    at: float
    succeeded: bool
    reason: str = ""
    drained_ms: float = 0.0
    replayed_ms: float = 0.0
    hold_ms: float = 0.0
    looked_at: int = 0
    found_late: int = 0

    @property
    def ended(self) -> float:
        """When the held writes went on, in unix seconds."""
        return self.at + self.hold_ms / 1000


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A user's command, and what it printed while one side and then the other answered, in the order of `then`."""

    command: str
    cloud: str
    then: str
    before: str
    after: str

    @property
    def equal(self) -> bool:
        """Whether the user could tell the difference."""
        return self.before == self.after


class JournalCount(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal holds at the end, counted past the program that wrote it."""

    intents: int
    outcomes: int
    accepted: int
    """Writes of users that were answered with 2xx."""
    unknown: int
    """Outcomes that nobody saw, settled by reading."""


class Recording(msgspec.Struct, kw_only=True):
    """Everything that a demo noted down; times are unix seconds."""

    began: float
    ended: float
    seed: int
    ports: int
    clients: int
    database: str
    versions: dict[str, str]
    topology: dict[str, int]
    """How many objects of each kind were made before the migration."""
    chapters: list[Phase]
    states: list[Phase]
    samples: list[Sample]
    requests: list[Request]
    handovers: list[Handover]
    commands: list[Command]
    journal: JournalCount
    copied: int
    copy_seconds: float
    worst_lag: float
    changes: int
    """Changes that replay applied to the passive side."""
    writes_acknowledged: int
    writes_lost: int
    requests_failed: int
    violations: int
    """How often a user did not read what had just been acknowledged."""
    problems: list[str] = msgspec.field(default_factory=list)
    """What was lost or failed, in words."""
    objects_compared: int
    mismatches: int
    freshness: list[dict[str, Any]] = msgspec.field(default_factory=list)
    """What was known of each resource at the end: `freshness` of the status."""
    completed: bool

    @property
    def opened(self) -> float:
        """When the gateway opened: the zero of every picture."""
        return self.states[0].began if self.states else self.began

    @property
    def switches(self) -> list[Handover]:
        """The handovers that moved the traffic, in order."""
        return [h for h in self.handovers if h.succeeded]

    def side_at(self, at: float) -> str:
        """Who answered at this moment: `neutron` or `alcor`."""
        moved = [h.verb for h in self.switches if h.ended <= at]
        return "alcor" if moved and moved[-1] == "cutover" else "neutron"

    def phases(self) -> list[Phase]:
        """The time between `opened` and the end, cut where the copy ends and where the traffic moves."""
        ready = next((s.began for s in self.states if s.name == "ready"), self.ended)
        cuts = [("copy and catch up", self.opened), ("Neutron active", ready)]
        for number, switch in enumerate(self.switches):
            again = " again" if number else ""
            cuts.append((("Alcor active" if switch.verb == "cutover" else "Neutron active") + again, switch.ended))
        ends = [began for _, began in cuts[1:]] + [self.ended]
        return [Phase(name, began, end) for (name, began), end in zip(cuts, ends, strict=True)]


# -- numbers ---------------------------------------------------------------------------------------------------------


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share of them does not exceed; `values` must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def latencies(requests: Iterable[Request]) -> dict[str, Any] | None:
    """Count, median, p95, p99 and longest in milliseconds, or None when there was nothing."""
    taken = [r.ms for r in requests]
    if not taken:
        return None
    figures = {f"p{share}": round(percentile(taken, share / 100), 1) for share in (50, 95, 99)}
    return {"count": len(taken), **figures, "max": round(max(taken), 1)}


def report(recording: Recording) -> dict[str, Any]:
    """The document of report.json. Durations are seconds unless the name ends in `_ms`."""
    phases = recording.phases()
    during = {p.name: [r for r in recording.requests if p.began <= r.at < p.ended] for p in phases}
    methods = sorted({r.method for r in recording.requests})
    document: dict[str, Any] = {
        "writes_acknowledged": recording.writes_acknowledged,
        "writes_lost": recording.writes_lost,
        "requests_failed": recording.requests_failed,
        "violations": recording.violations,
        "longest_hold_ms": max((h.hold_ms for h in recording.handovers), default=0.0),
        "objects_compared": recording.objects_compared,
        "mismatches": recording.mismatches,
        "freshness": [f for f in recording.freshness if f["objects"]],
        "packets_lost": None,
        "problems": recording.problems,
        "requests": len(recording.requests),
        "handovers": [msgspec.to_builtins(h) for h in recording.handovers],
        "worst_lag": round(recording.worst_lag, 3),
        "changes_replayed": recording.changes,
        "copy": {
            "objects": recording.copied,
            "seconds": round(recording.copy_seconds, 2),
            "objects_per_second": round(recording.copied / max(recording.copy_seconds, 0.001), 1),
        },
        "journal": msgspec.to_builtins(recording.journal)
        | {
            "complete": recording.journal.intents == recording.journal.outcomes + recording.journal.unknown
            and recording.journal.accepted == recording.writes_acknowledged
        },
        "commands": [{"command": c.command, "cloud": c.cloud, "equal": c.equal} for c in recording.commands],
        "latencies_ms": {
            name: {
                "reads": latencies(r for r in found if r.is_read),
                "writes": latencies(r for r in found if not r.is_read),
                **{method: latencies(r for r in found if r.method == method) for method in methods},
            }
            for name, found in during.items()
        },
        "phases": [_timed(p, recording.opened) for p in phases],
        "states": [_timed(p, recording.opened) for p in recording.states],
        "chapters": [_timed(p, recording.began) for p in recording.chapters],
        "completed": recording.completed,
        "seconds": round(recording.ended - recording.began, 1),
        "began": dt.datetime.fromtimestamp(recording.began, dt.UTC).isoformat(timespec="seconds"),
        "seed": recording.seed,
        "ports": recording.ports,
        "clients": recording.clients,
        "database": recording.database,
        "topology": recording.topology,
        "versions": recording.versions,
    }
    return document | {"objections": objections(document)}


def objections(document: dict[str, Any]) -> list[str]:
    """Why a demo is not a success, one sentence each; nothing when it is one."""
    found = []
    if lost := document["writes_lost"]:
        found.append(f"{lost} of {document['writes_acknowledged']} acknowledged writes are lost")
    if failed := document["requests_failed"]:
        found.append(f"{failed} of {document['requests']} requests failed")
    if violations := document["violations"]:
        found.append(f"{violations} times a user did not read what had just been acknowledged")
    if mismatches := document["mismatches"]:
        found.append(f"{mismatches} of {document['objects_compared']} objects differ between the two sides")
    if not document["writes_acknowledged"]:
        found.append("no write was acknowledged, so nothing was shown")
    if not document["objects_compared"]:
        found.append("no object was compared, so nothing was shown")
    if not any(h["succeeded"] for h in document["handovers"]):
        found.append("the traffic was never moved")
    journal = document["journal"]
    if journal["intents"] != journal["outcomes"] + journal["unknown"]:
        found.append(
            f"the journal has {journal['intents']} intents, and {journal['outcomes']} outcomes with "
            f"{journal['unknown']} unknown"
        )
    if journal["accepted"] != document["writes_acknowledged"]:
        found.append(
            f"users saw {document['writes_acknowledged']} writes accepted, and the journal has {journal['accepted']}"
        )
    differing = [c["command"] for c in document["commands"] if not c["equal"]]
    found += [f"`openstack {command}` printed something else when the other side answered" for command in differing]
    return found


def _timed(phase: Phase, zero: float) -> dict[str, Any]:
    return {
        "name": phase.name,
        "at": round(phase.began - zero, 2),
        "seconds": round(phase.ended - phase.began, 2),
    }


# -- pictures --------------------------------------------------------------------------------------------------------


def course(recording: Recording) -> Markup:
    """The whole migration on one axis of time: what stood when, who answered, requests, lag, latencies."""
    canvas = Canvas(WIDTH, 774)
    zero, length = recording.opened, max(1.0, recording.ended - recording.opened)
    time = Scale(0, length, LEFT, RIGHT)
    panels = {"strips": (6, 68), "load": (112, 204), "lag": (262, 354), "writes": (412, 542), "reads": (600, 730)}
    _strips(canvas, recording, time, *panels["strips"])
    _load(canvas, recording, time, *panels["load"])
    _lag(canvas, recording, time, *panels["lag"])
    _latency(canvas, recording, time, "Latency of writes", *panels["writes"], reads=False)
    _latency(canvas, recording, time, "Latency of reads", *panels["reads"], reads=True)
    for switch in recording.switches:
        x = time(switch.at - zero)
        for top, bottom in panels.values():
            canvas.line(x, top, x, bottom, "moment")
    labels = [(tick, seconds(tick)) for tick in clock_ticks(time.high)]
    canvas.horizontal_axis(time, 730, labels, 730)
    canvas.text(RIGHT, 766, "since the gateway opened", "note", "end")
    return canvas.svg(
        "Course of the migration: its states, who answered, requests per second, lag, and latencies, over time"
    )


def _strips(canvas: Canvas, recording: Recording, time: Scale, top: float, bottom: float) -> None:
    zero = recording.opened
    canvas.text(LEFT - 8, top + 17, "state", "tick", "end")
    for state in recording.states:
        _segment(canvas, time, state, zero, top, f"state {_STATE_CLASS.get(state.name, '')}")
    canvas.text(LEFT - 8, bottom - 9, "answers", "tick", "end")
    cuts = [zero, *(s.ended for s in recording.switches), recording.ended]
    for began, ended in pairwise(cuts):
        side = recording.side_at(began)
        segment = Phase(side.capitalize(), began, ended)
        _segment(canvas, time, segment, zero, bottom - 26, f"side {side}")


_STATE_CLASS = {"copying": "busy", "catching_up": "busy", "cutting_over": "moving", "reversing": "moving"}
_LETTER = 6.6
"""Width of a letter of a segment's label."""


def _segment(canvas: Canvas, time: Scale, phase: Phase, zero: float, y: float, kind: str) -> None:
    left, right = time(phase.began - zero), time(phase.ended - zero)
    name = phase.name.replace("_", " ")
    width = max(1.5, right - left - 2)
    canvas.rect(left, y, width, 26, kind, f"{name}: {phase.ended - phase.began:.1f} s", round_=4)
    if width > len(name) * _LETTER + 10:
        canvas.text(left + width / 2, y + 17, name, "inside", "middle")


def _heading(canvas: Canvas, title: str, top: float, legend: Sequence[tuple[str, str]]) -> None:
    canvas.text(LEFT, top - 14, title, "heading")
    x = RIGHT
    for kind, words in reversed(legend):
        x -= len(words) * _LETTER
        canvas.text(x, top - 14, words, "label")
        canvas.rect(x - 17, top - 23, 11, 11, f"key {kind}", round_=3)
        x -= 34


def _load(canvas: Canvas, recording: Recording, time: Scale, top: float, bottom: float) -> None:
    """Answers in each second, writes below, reads on top of them."""
    zero, length = recording.opened, int(time.high)
    counted = Counter((int(r.ended - zero), r.is_read) for r in recording.requests)
    writes = [counted[second, False] for second in range(length)]
    both = [counted[second, True] + w for second, w in enumerate(writes)]
    _heading(canvas, "Requests answered per second", top, [("written", "writes"), ("read", "reads")])
    rate = Scale(0, _headroom(max([1, *both])), bottom, top)
    canvas.vertical_axis(rate, LEFT, RIGHT, [(tick, f"{tick:g}") for tick in rate.ticks(3)])
    for kind, heights in (("read area", both), ("written area", writes)):
        canvas.path([(time(s + 0.5), rate(h)) for s, h in enumerate(heights)], kind, floor=bottom)
    canvas.line(LEFT, bottom, RIGHT, bottom, "axis")


def _lag(canvas: Canvas, recording: Recording, time: Scale, top: float, bottom: float) -> None:
    samples = [s for s in recording.samples if s.at >= recording.opened]
    worst = max([recording.worst_lag, *(s.lag for s in samples)], default=0.0) * 1000
    _heading(canvas, "Lag: age of the oldest write that the passive side has not got", top, [("lag", "lag")])
    lag = Scale(0, _headroom(max(worst, 10.0)), bottom, top)
    canvas.vertical_axis(lag, LEFT, RIGHT, [(tick, milliseconds(tick) if tick else "0") for tick in lag.ticks(3)])
    points = [(time(s.at - recording.opened), lag(s.lag * 1000)) for s in samples]
    canvas.path(points, "lag area", floor=bottom)
    canvas.path(points, "lag line")
    canvas.line(LEFT, bottom, RIGHT, bottom, "axis")


def _latency(
    canvas: Canvas, recording: Recording, time: Scale, title: str, top: float, bottom: float, *, reads: bool
) -> None:
    """Each request a dot, coloured by who answered; the line is the median of a few seconds."""
    zero = recording.opened
    chosen = [r for r in recording.requests if r.is_read == reads and r.at >= zero and not r.failed]
    failed = [r for r in recording.requests if r.is_read == reads and r.at >= zero and r.failed]
    legend = [("neutron", "Neutron answered"), ("alcor", "Alcor answered"), ("held", "waited in a hold")]
    _heading(canvas, title, top, (legend[:2] if reads else legend) + ([("bad", "failed")] if failed else []))
    if not chosen and not failed:
        canvas.text(LEFT + 8, top + 20, "there were none", "note")
        return
    slowest = max(r.ms for r in chosen + failed)
    scale = Scale(1, 10 ** math.ceil(math.log10(max(slowest, 11.0))), bottom, top, log=True)
    canvas.vertical_axis(scale, LEFT, RIGHT, [(tick, milliseconds(tick)) for tick in scale.ticks()])
    kinds: dict[str, list[tuple[float, float]]] = {"neutron": [], "alcor": [], "held": []}
    for request in chosen:
        kind = "held" if any(waited(request, h) for h in recording.handovers) else recording.side_at(request.at)
        kinds[kind].append((time(request.at - zero), scale(request.ms)))
    for kind, points in kinds.items():
        canvas.dots(points, kind)
    for phase in recording.phases():
        binned: dict[int, list[Request]] = {}
        for request in chosen:
            if phase.began <= request.at < phase.ended:
                binned.setdefault(int((request.at - phase.began) / MEDIAN_OVER), []).append(request)
        middles = [
            (sum(r.at for r in of) / len(of) - zero, percentile([r.ms for r in of], 0.5))
            for _, of in sorted(binned.items())
        ]
        canvas.path([(time(at), scale(ms)) for at, ms in middles], "median")
    canvas.dots([(time(r.at - zero), scale(r.ms)) for r in failed], "bad")
    canvas.line(LEFT, bottom, RIGHT, bottom, "axis")


def _headroom(highest: float) -> float:
    """A round end for an axis that has to show this value."""
    return math.ceil(highest / (step := round_step(highest / 3)) - 1e-9) * step


def hold(recording: Recording, handover: Handover) -> Markup:
    """The time around one hold: which requests were under way, which waited, who answered."""
    began, ended = handover.at - BEFORE_HOLD, handover.ended + AFTER_HOLD
    around = sorted((r for r in recording.requests if r.ended > began and r.at < ended), key=lambda r: r.at)
    rows = lanes(around)
    height, top = 24.0, 62.0
    bottom = top + height * max(1, max(rows, default=0) + 1) + 4
    canvas = Canvas(WIDTH, bottom + 40)
    time = Scale(-BEFORE_HOLD * 1000, (ended - handover.at) * 1000, LEFT, RIGHT)
    left, right = time(0), time(handover.hold_ms)
    _heading(
        canvas,
        f"{handover.verb.capitalize()}: new writes were held for {milliseconds(handover.hold_ms)}",
        28,
        [("read", "read"), ("neutron", "write to Neutron"), ("held", "write waits"), ("alcor", "write to Alcor")],
    )
    labels = [(tick, f"{tick:g} ms") for tick in time.ticks(8)]
    canvas.horizontal_axis(time, bottom, labels, top)
    canvas.rect(left, top - 14, right - left, bottom - top + 14, "window")
    for request, row in zip(around, rows, strict=True):
        _bar(canvas, recording, handover, time, request, top + row * height + 5)
    canvas.line(left, top - 14, left, bottom, "moment")
    canvas.line(right, top - 14, right, bottom, "moment")
    canvas.text(left - 6, top - 18, "hold", "note", "end")
    canvas.text(right + 6, top - 18, f"{'Alcor' if handover.verb == 'cutover' else 'Neutron'} takes over", "note")
    return canvas.svg(f"Requests around the {handover.verb}, each a bar from its sending to its answer")


def waited(request: Request, handover: Handover) -> bool:
    """Whether this request was held; what was sent before the hold is let through, and reads always are."""
    return not request.is_read and handover.at <= request.at < handover.ended < request.ended


def lanes(requests: Sequence[Request]) -> list[int]:
    """The row for each request, so that none overlaps another: as many rows as there were requests at a time.

    `requests` are in the order of their start.
    """
    free_from: list[float] = []
    rows = []
    for request in requests:
        row = next((n for n, free in enumerate(free_from) if free <= request.at), len(free_from))
        free_from[row : row + 1] = [request.ended]
        rows.append(row)
    return rows


def _bar(canvas: Canvas, recording: Recording, handover: Handover, time: Scale, request: Request, y: float) -> None:
    def x(at: float) -> float:
        return time((at - handover.at) * 1000)

    tip = f"{request.method}: {milliseconds(request.ms)}, status {request.status or 'none'}"
    waits = waited(request, handover)
    if waits:
        canvas.rect(x(request.at), y, x(handover.ended) - x(request.at), 14, "bar held", tip, round_=2)
    start = x(handover.ended) if waits else x(request.at)
    side = recording.side_at(request.ended if waits else request.at)
    kind = "bad" if request.failed else "read" if request.is_read else side
    canvas.rect(start, y, max(1.5, x(request.ended) - start), 14, f"bar {kind}", tip, round_=2)


# -- the page --------------------------------------------------------------------------------------------------------


def page(recording: Recording) -> str:
    """The whole page; it refers to nothing outside itself."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ms"] = milliseconds
    document = report(recording)
    return environment.get_template("report.html").render(
        r=document,
        when=dt.datetime.fromtimestamp(recording.began, dt.UTC),
        course=course(recording),
        holds=[(h, hold(recording, h)) for h in recording.switches],
        commands=recording.commands,
        handovers=recording.handovers,
    )


def write(recording: Recording, directory: Path) -> dict[str, Any]:
    """Write the recording, report.json and report.html into a directory; returns what report.json says."""
    directory.mkdir(parents=True, exist_ok=True)
    document = report(recording)
    (directory / RECORDING).write_bytes(msgspec.json.encode(recording))
    (directory / REPORT).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (directory / PAGE).write_text(page(recording), encoding="utf-8")
    return document


def main() -> None:
    """Draw the page again from a recording."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "build/demo")
    write(msgspec.json.decode((directory / RECORDING).read_bytes(), type=Recording), directory)
    print(directory / PAGE)


if __name__ == "__main__":
    main()

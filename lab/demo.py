"""A real cloud moves while its users go on, told as a story: `python -m lab.demo`, or `make demo`.

Ends with build/demo/report.json and report.html, and with exit code 0 only when nothing was lost, nothing failed and
nothing differs.
"""

from __future__ import annotations

import difflib
import platform
import shlex
import sqlite3
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from alcor_model.errors import AlcorError
from lab.chart import milliseconds
from lab.cloud import Lab
from lab.image import REPOSITORY
from lab.journey import CLOUD, NOT_SWITCHED, REFUSED, Journey
from lab.process import stop_recorded
from lab.report import PAGE, REPORT, Command, Handover, JournalCount, Phase, Recording, Request, objections, write
from lab.topology import Ref, Topology, build_topology
from lab.workload import Workload, WorkloadResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WIDTH = 100
OUTPUT = REPOSITORY / "build" / "demo"
CLIENTS = 6
RATE = 6.0
"""What the users do in a second, all together, each time with up to five requests. Alcor would answer far more, but
Neutron takes about ten writes a second here, and it has to stay level with Alcor for the way back to be open."""
WORK = 10.0
"""Seconds that users go on, at least, each time the traffic has been moved or is about to be."""
GAPS_FOUND = 10
"""Exit code: `assess` found what will not move."""
GATES_PATIENCE = 20.0
"""Seconds that gates may stay closed before the users slow down."""
GATES_PATIENCES = 5
SLOWEST = 1.0  # operations per second of all users
HANDOVERS_TRIED = 5
LINES = 14
"""Of a command's output, how many are shown."""
PLAIN_EVERY = 5.0
"""Seconds between two lines of progress where nothing can be drawn over."""

_SPOKEN_OF = ("network", "subnet", "port", "router", "security_group", "security_group_rule", "floatingip")
"""The kinds of objects that are counted one by one; the rest is summed up."""

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class Teller:
    """Tells the story on a terminal with bars that move, or line by line where there is none; notes the times."""

    def __init__(self, console: Console | None = None) -> None:
        found = console or Console(highlight=False)
        self.live = found.is_terminal
        self.width = min(WIDTH, found.width) if self.live else WIDTH
        self.console = Console(highlight=False, width=self.width) if console is None else found
        self.chapters: list[Phase] = []
        self._title = ""
        self._began = 0.0

    def chapter(self, title: str, *sentences: str) -> None:
        """Begin a chapter, which ends the one before."""
        self.end_chapter()
        self._title, self._began = title, time.time()
        self.console.print()
        self.console.print(Rule(f"[bold]{len(self.chapters) + 1} · {title}[/]", align="left", style="cyan"))
        self.say(f"[dim]{' '.join(sentences)}[/]")

    def end_chapter(self) -> None:
        """Note how long it took."""
        if self._title:
            self.chapters.append(Phase(self._title, self._began, time.time()))
            self._title = ""

    def say(self, words: str) -> None:
        """Say something, in rich's markup."""
        self.console.print(Padding(words, (0, 0, 0, 2)))

    def show(self, command: str, output: str, *, all_of_it: bool = False) -> None:
        """Show a command as one would type it, and what it printed."""
        self.console.print(f"\n  [bold cyan]$[/] [bold]{escape(command)}[/]", soft_wrap=True)
        lines = output.rstrip().splitlines()
        shown = lines if all_of_it else lines[:LINES]
        for line in shown:
            self.console.print(Padding(Text.from_ansi(line, no_wrap=True, overflow="crop"), (0, 0, 0, 2)))
        if len(shown) < len(lines):
            self.say(f"[dim]… and {len(lines) - len(shown)} lines more[/]")

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what is being waited for."""
        if self.live:
            with self.console.status(f"[dim]{escape(what)}[/]", spinner="dots"):
                yield
        else:
            yield

    @contextmanager
    def bar(self, what: str) -> Iterator[Callable[[int, int, str], None]]:
        """Yield a function of (done, all, doing) that moves a bar; may be called from any thread."""
        if self.live:
            columns = [
                TextColumn("  {task.description}"),
                BarColumn(38),
                TextColumn("{task.completed}/{task.total}"),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[doing]}[/]"),
            ]
            with Progress(*columns, console=self.console, transient=True) as progress:
                task = progress.add_task(what, total=1, doing="")
                yield lambda done, total, doing: progress.update(task, completed=done, total=total, doing=doing)
            return
        said, last = [time.monotonic()], [""]

        def line(done: int, total: int, doing: str) -> None:
            words = f"{what}: {done} of {total} ({doing})"
            if time.monotonic() - said[0] >= PLAIN_EVERY and words != last[0]:
                said[0], last[0] = time.monotonic(), words
                self.say(words)

        yield line

    @contextmanager
    def screen(
        self, draw: Callable[[dict[str, Any]], Group], line: Callable[[dict[str, Any]], str]
    ) -> Iterator[Callable[[dict[str, Any]], None]]:
        """Yield a function that draws a status document over the last one, or now and then says a line of it."""
        if self.live:
            with Live(console=self.console, transient=True, auto_refresh=False) as live:
                yield lambda status: live.update(draw(status), refresh=True)
            return
        said = [time.monotonic()]

        def now_and_then(status: dict[str, Any]) -> None:
            if time.monotonic() - said[0] >= PLAIN_EVERY:
                said[0] = time.monotonic()
                self.say(line(status))

        yield now_and_then


@dataclass(frozen=True)
class Choices:
    """What can be chosen about a demo; `rate` is operations per second of all users, `work` seconds."""

    ports: int = 200
    seed: int = 1
    clients: int = CLIENTS
    rate: float = RATE
    work: float = WORK
    output: Path = OUTPUT
    keep: bool = False


class Demo:
    """The story: a lab, its users, and the migration that they do not notice."""

    def __init__(self, teller: Teller, lab: Lab, choices: Choices) -> None:
        self.teller = teller
        self.lab = lab
        self.choices = choices
        self.journey = Journey(lab)
        self.began = time.time()
        self.commands: list[Command] = []
        self.problems: list[str] = []
        self.completed = False
        self._topology: Topology
        self._workload: Workload
        self._before: dict[tuple[str, ...], str] = {}
        self._made_by_hand: dict[str, str] = {}
        """Id to name of what the story itself creates as a user."""

    # -- the chapters ----------------------------------------------------------------------------------------------

    def start_the_lab(self) -> None:
        """Chapter: a real cloud."""
        self.teller.chapter(
            "A real cloud starts",
            "Keystone and Neutron as they are released, with a database, on free ports of this machine.",
            "In the catalogue the network's address is the gateway's, where nobody listens yet.",
        )
        started = time.monotonic()
        with self.teller.bar("starting") as move, every(0.5, lambda: self._tell_services(move)):
            self.lab.start()
        took = time.monotonic() - started
        self.teller.say(
            f"[green]✔[/] {', '.join(self.lab.services)} ready in {took:.0f} s; "
            f"projects {', '.join(p.name for p in self.lab.projects)}"
        )

    def _tell_services(self, move: Callable[[int, int, str], None]) -> None:
        services = list(self.lab.services.values())
        wanted = max(2 if self.lab.database == "sqlite" else 3, len(services))
        for done, service in enumerate(services):
            move(done, wanted, f"{service.name} is coming up")
            if not (service.alive and service.ready()):  # a service that listens may take seconds to answer
                return
        move(len(services), wanted, "users and projects" if services else "tables")

    def fill_it(self) -> None:
        """Chapter: the cloud before."""
        self.teller.chapter(
            "The cloud before",
            "Users and the operator have made what clouds are made of: "
            f"about {self.choices.ports} ports, seed {self.choices.seed}.",
        )
        with self.teller.bar("filling") as move:
            self._topology = build_topology(self.lab, ports=self.choices.ports, seed=self.choices.seed, progress=move)
        counts = self._topology.counts
        made = ", ".join(f"{counts[kind]} {kind.replace('_', ' ')}s" for kind in _SPOKEN_OF)
        made += f", {sum(counts.values()) - sum(counts[kind] for kind in _SPOKEN_OF)} others of "
        made += f"{len(counts) - len(_SPOKEN_OF)} kinds"
        self.teller.say(f"[green]✔[/] {made}, in {self._topology.seconds:.0f} s")

    def assess(self) -> None:
        """Chapter: look before anything is done."""
        self.teller.chapter(
            "Look first",
            "An empty Alcor starts. `assess` reads both sides and says what will move; it changes nothing.",
        )
        with self.teller.waiting("alcor-controller starts"):
            self.journey.start_controller()
        self._operate("assess", accept=(0, GAPS_FOUND))

    def open_the_gateway(self) -> None:
        """Chapter: capture."""
        self.teller.chapter(
            "The gateway opens, and the users come",
            "Every request now goes through the gateway to Neutron. Each write is recorded before Neutron sees it,",
            f"its outcome before the user does. {self.choices.clients} users work from now on, all at the same time.",
        )
        with self.teller.waiting("alcor-migrate run"):
            self.journey.start_run()
        self._workload = Workload(
            self.lab,
            clients=self.choices.clients,
            seed=self.choices.seed,
            rate=self.choices.rate,
            topology=self._topology,
        )
        self._workload.start()
        self.teller.say(f"[green]✔[/] the gateway listens on {self.lab.gateway_url}")

    def copy(self) -> None:
        """Chapter: the bulk transfer."""
        self.teller.chapter(
            "Copy",
            "Everything that exists is read from Neutron, page by page, and loaded into Alcor with its ids,",
            "addresses, segments and times. What users change meanwhile follows from the journal.",
        )
        status = self._watch("catching_up", "ready", timeout=240)
        copy = status["copy"]
        self.teller.say(
            f"[green]✔[/] {copy['copied']} objects in {copy['finished_at'] - copy['started_at']:.1f} s "
            f"({copy['rate']:.0f} a second)"
        )

    def catch_up(self) -> None:
        """Chapter: replay and verify."""
        self.teller.chapter(
            "Catch up, and compare everything",
            "Replay applies what each recorded write led to; the lag is the age of the oldest that is not applied.",
            "A sweep finds what passed the gateway by, and `verify` compares every object of both sides.",
        )
        self._watch("ready", timeout=240)
        self._let_users_work()
        self._operate("verify")
        self._ask_as_users("Neutron", "before")

    def cut_over(self) -> None:
        """Chapter: the cutover."""
        self.teller.chapter(
            "Cutover",
            "New writes wait in the gateway, the last ones finish and are replayed, and the traffic moves.",
            "No request fails; if anything is late, those that wait go on to Neutron, and it is tried again.",
        )
        self._wait_for_the_gates()
        self._operate("cutover", "--dry-run", all_of_it=True)
        self._hand_over("cutover")

    def go_on(self) -> None:
        """Chapter: the same users on the other side."""
        self.teller.chapter(
            "The same users go on",
            "The same address, the same tokens, the same commands; Alcor answers now. Neutron is kept level with it.",
        )
        self._ask_as_users("Alcor", "after")
        self._create_by_hand()
        self._let_users_work()

    def go_back(self) -> None:
        """Chapter: the way back, and forth again."""
        gates = self.journey.ask("gates", of="reverse")
        one_way = [g["reason"] for g in gates if g["name"] == "ids" and not g["open"]]
        self.teller.chapter(
            "There and back again",
            "Until `complete` there is a way back: Neutron answers again, with everything that was made since.",
        )
        if one_way:
            self.teller.say(f"[yellow]left out:[/] {escape(one_way[0])}")
            return
        self._hand_over("reverse")
        self._find_by_hand("Alcor, then Neutron")
        self._let_users_work()
        self.teller.say("And forward once more:")
        self._hand_over("cutover")
        self._find_by_hand("Neutron, then Alcor")
        self._let_users_work()

    def settle(self) -> Recording:
        """Chapter: the users stop, and everything is checked."""
        self.teller.chapter(
            "Settle accounts",
            "The users stop. Each has kept a record of every write that was acknowledged; now all are looked for.",
        )
        with self.teller.waiting("the users finish what they are doing"):
            result = self._workload.stop()
        with self.teller.waiting("the last writes are replayed"):
            self.journey.settle()
        self._operate("verify")
        verification = self.journey.ask("status")["verification"]
        self.problems += [f"{m['resource']} {m['id']}: {m['problem']}" for m in verification["shown"]]
        with self.teller.waiting("every acknowledged write is looked up"):
            checked = self._workload.check()
        lost = [
            f"lost: {loss.kind} {loss.id} of {loss.client}: {loss.problem} {loss.fields}"
            for loss in checked.writes_lost
        ]
        lost += [f"lost: network {name}" for name in self._missing_by_hand()]
        self.problems += lost
        self.problems += [f"failed: {f.method} {f.path}: {f.status} {f.body}" for f in result.failures]
        self.problems += [f"read-your-writes: {v.path}: {v.problem}" for v in result.violations]
        self.teller.say(
            f"{result.writes_acknowledged} writes were acknowledged, {checked.objects} objects looked up: "
            f"{len(lost)} lost; {result.requests} requests, {result.requests_failed} failed"
        )
        return self._record(result, len(lost), verification)

    def complete(self) -> None:
        """Chapter: the end."""
        self.teller.chapter(
            "Complete",
            "The point of no return: the catalogue now names Alcor, and the gateway has no more to do.",
        )
        self._operate("complete", "--confirm", CLOUD)
        self.completed = True
        self._ask_as_users("Alcor", "straight")

    # -- what happens within them ----------------------------------------------------------------------------------

    def _operate(self, *args: str, accept: tuple[int, ...] = (0,), all_of_it: bool = False) -> int:
        """Run a verb as an operator would, and show it; returns its exit code when that is accepted."""
        width, colour = self.teller.width - 2, self.teller.live
        with self.teller.waiting(shlex.join(["alcor-migrate", *args])):
            answer = self.journey.must(*args, accept=accept, width=width, colour=colour)
        self.teller.show(answer.command, answer.out or answer.err, all_of_it=all_of_it or args[0] == "assess")
        return answer.code

    def _watch(self, *states: str, timeout: float) -> dict[str, Any]:
        with self.teller.screen(self._draw, self._line) as tick:
            return self.journey.wait_for(*states, timeout=timeout, tick=tick)

    def _let_users_work(self) -> None:
        until = time.monotonic() + self.choices.work
        with self.teller.screen(self._draw, self._line) as tick:
            self.journey.wait_until(lambda _: time.monotonic() > until, "time", self.choices.work + 60, tick)
        self.teller.say(f"[green]✔[/] {self._users()}")

    def _wait_for_the_gates(self) -> None:
        """Wait until a handover is allowed. On a slow machine Neutron may not keep level with what Alcor takes."""
        rate = self.choices.rate
        for _ in range(GATES_PATIENCES):
            shut = self._shut_after(GATES_PATIENCE)
            if not shut:
                break
            rate = max(rate / 3, SLOWEST)
            self.teller.say(f"[yellow]not yet:[/] {', '.join(shut)}; the users slow down for a moment")
            self._workload.pace(rate)

    def _shut_after(self, seconds: float) -> list[str]:
        """Nothing, as soon as every gate is open; or after so many seconds what is still shut."""
        until = time.monotonic() + seconds
        with self.teller.screen(self._draw, self._line) as tick:
            status = self.journey.wait_until(
                lambda status: not shut(status) or time.monotonic() > until, "a look at the gates", seconds + 30, tick
            )
        return shut(status)

    def _hand_over(self, verb: str) -> None:
        """Cut over or reverse as soon as the gates allow; a gate may close again in the moment before."""
        for attempt in range(1, HANDOVERS_TRIED + 1):
            self._wait_for_the_gates()
            accept = (0, REFUSED, NOT_SWITCHED) if attempt < HANDOVERS_TRIED else (0,)
            if self._operate(verb, accept=accept) == 0:
                break
        self._workload.pace(self.choices.rate)
        last = self.journey.ask("status")["attempts"][-1]
        self.teller.say(
            f"[green]✔[/] writes were held for [bold]{milliseconds(last['hold_ms'])}[/]; users: {self._users()}"
        )

    def _questions(self) -> list[tuple[str, ...]]:
        """Commands about things that the busy users leave alone."""
        floating = self._topology.ids.get(Ref("floatingip", f"{self._owner}/0"))
        return [
            ("router", "show", "edge-0", "-c", "id", "-c", "name", "-c", "routes", "-c", "created_at"),
            ("router", "show", "edge-0"),
            ("network", "show", "frontend"),
            ("port", "list", "--network", "frontend", "-c", "ID", "-c", "MAC Address", "-c", "Fixed IP Addresses"),
            ("security", "group", "rule", "list", "inner", "--long"),
            *([("floating", "ip", "show", floating)] if floating else []),
        ]

    @property
    def _owner(self) -> str:
        return self.lab.projects[0].name

    def _ask_as_users(self, side: str, moment: str) -> None:
        """Run real commands of a user; the first time to remember what they print, then to compare."""
        questions = self._questions()
        with self.teller.waiting("openstack …"), ThreadPoolExecutor(2) as pool:
            printed = list(pool.map(lambda question: self.lab.openstack(*question, cloud=self._owner), questions))
        self.teller.show(f"openstack --os-cloud {self._owner} {shlex.join(questions[0])}", printed[0])
        if moment == "before":
            self._before = dict(zip(questions, printed, strict=True))
            self.teller.say(f"[dim]{NUMBERS[len(questions)]} answers of Neutron are kept, to be compared later[/]")
            return
        then = "Neutron, then Alcor" if moment == "after" else "Neutron, then Alcor without the gateway"
        asked = [
            Command(
                command=shlex.join(question),
                cloud=self._owner,
                then=then,
                before=self._before[question],
                after=output,
            )
            for question, output in zip(questions, printed, strict=True)
        ]
        self.commands += asked
        same = sum(c.equal for c in asked)
        mark = "[green]✔[/]" if same == len(asked) else "[red]✘[/]"
        self.teller.say(
            f"{mark} {same} of {len(asked)} commands print exactly what they printed before ({side} answers)"
        )
        for command in asked:
            if not command.equal:
                self.teller.say(f"[red]different:[/] openstack {escape(command.command)}")
                lines = difflib.unified_diff(
                    command.before.splitlines(), command.after.splitlines(), lineterm="", n=0
                )
                self.teller.say("\n".join(escape(line) for line in list(lines)[2:]))

    _LOOK = ("-c", "id", "-c", "name", "-c", "description", "-c", "mtu", "-c", "shared")

    def _create_by_hand(self) -> None:
        """Create a network as a user, while Alcor answers."""
        name = "made-after-the-cutover"
        words = ("network", "create", name, "--description", "Neutron has never been asked for this one")
        with self.teller.waiting("openstack network create …"):
            printed = self.lab.openstack(*words, *self._LOOK, cloud=self._owner)
        self.teller.show(f"openstack --os-cloud {self._owner} {shlex.join([*words, *self._LOOK])}", printed)
        self._made_by_hand[name] = printed

    def _find_by_hand(self, then: str) -> None:
        """Look at what was created by hand, and compare."""
        for name, before in self._made_by_hand.items():
            words = ("network", "show", name, *self._LOOK)
            with self.teller.waiting("openstack network show …"):
                after = self.lab.openstack(*words, cloud=self._owner)
            self.teller.show(f"openstack --os-cloud {self._owner} {shlex.join(words)}", after)
            self.commands.append(
                Command(command=shlex.join(words), cloud=self._owner, then=then, before=before, after=after)
            )

    def _missing_by_hand(self) -> list[str]:
        connection = self.lab.connection(self._owner)
        try:
            return [name for name in self._made_by_hand if not list(connection.network.networks(name=name))]
        finally:
            connection.close()

    # -- what is drawn ---------------------------------------------------------------------------------------------

    def _users(self) -> str:
        now = self._workload.snapshot()
        failed = f"[red]{now.requests_failed} failed[/]" if now.requests_failed else "0 failed"
        return (
            f"{now.requests_per_second:.0f} requests/s, {now.writes_acknowledged} writes acknowledged, {failed}, "
            f"p50 {milliseconds(now.p50_ms)}, p95 {milliseconds(now.p95_ms)}"
        )

    def _line(self, status: dict[str, Any]) -> str:
        copy, replay = status["copy"], status["replay"]
        expected = sum(max(r["expected"], r["copied"]) for r in copy["resources"])
        copied = f"copied {copy['copied']} of about {expected}, " if not copy["finished_at"] else ""
        return f"{status['activity']}: {copied}lag {milliseconds(replay['lag'] * 1000)}; users: {self._users()}"

    def _draw(self, status: dict[str, Any]) -> Group:
        copy, replay, gateway = status["copy"], status["replay"], status["gateway"]
        expected = sum(max(r["expected"], r["copied"]) for r in copy["resources"]) or 1
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        if not copy["finished_at"]:
            eta = "" if copy["eta"] is None else f", about {copy['eta']:.0f} s left"
            table.add_row("copy", ProgressBar(total=expected, completed=copy["copied"], width=40))
            table.add_row("", f"{copy['copied']} of about {expected} objects, {copy['rate']:.0f}/s{eta}")
        active = "Neutron" if status["active"] == "source" else "Alcor"
        table.add_row("traffic", f"[bold]{active}[/] answers; {gateway['captured']} writes recorded")
        table.add_row("lag", f"{milliseconds(replay['lag'] * 1000)}; {replay['changes']} changes applied")
        table.add_row("users", self._users())
        state, activity = status["state"].replace("_", " "), escape(status["activity"])
        title = state if activity == state else f"{state}: {activity}"
        return Group(Panel(table, title=title, title_align="left", border_style="dim", width=self.teller.width))

    # -- the recording ---------------------------------------------------------------------------------------------

    def _record(self, result: WorkloadResult, lost: int, verification: dict[str, Any]) -> Recording:
        status = self.journey.ask("status")
        return Recording(
            began=self.began,
            ended=time.time(),
            seed=self.choices.seed,
            ports=self.choices.ports,
            clients=self.choices.clients,
            database=self.lab.database,
            versions=versions(self.lab),
            topology=dict(self._topology.counts),
            chapters=[],
            states=states(status["transitions"], time.time()),
            samples=list(self.journey.samples),
            requests=requests(result),
            handovers=handovers(status["attempts"]),
            commands=self.commands,
            journal=count_journal(self.journey.state_dir / "journal.sqlite"),
            copied=status["copy"]["copied"],
            copy_seconds=status["copy"]["finished_at"] - status["copy"]["started_at"],
            worst_lag=status["replay"]["worst_lag"],
            changes=status["replay"]["changes"],
            writes_acknowledged=result.writes_acknowledged + len(self._made_by_hand),
            writes_lost=lost,
            requests_failed=result.requests_failed,
            violations=len(result.violations),
            problems=self.problems,
            objects_compared=verification["compared"],
            mismatches=verification["mismatches"],
            freshness=status["freshness"],
            completed=False,
        )

    def finish(self, recording: Recording) -> Recording:
        """Put in what came after the accounts were settled."""
        self.teller.end_chapter()
        recording.ended = time.time()
        recording.states = states(self.journey.ask("status")["transitions"], recording.ended)
        recording.chapters = self.teller.chapters
        recording.completed = self.completed
        return recording


# -- from what others noted to what the report wants ---------------------------------------------------------------


def shut(status: dict[str, Any]) -> list[str]:
    """The gates that keep a handover from beginning; reverse itself sees to a fresh verification."""
    itself = {"verification"} if status["state"] == "switched" else set()
    return [gate["name"] for gate in status["gates"] if not gate["open"] and gate["name"] not in itself]


def states(transitions: Sequence[dict[str, Any]], end: float) -> list[Phase]:
    """How long the migration stood in each state, from its audit log."""
    ends = [t["at"] for t in transitions[1:]] + [end]
    return [Phase(t["after"], t["at"], until) for t, until in zip(transitions, ends, strict=True)]


def handovers(attempts: Sequence[dict[str, Any]]) -> list[Handover]:
    """The attempts with their verb: after each that succeeds, the next goes the other way."""
    found: list[Handover] = []
    known = Handover.__struct_fields__
    for attempt in attempts:
        verb = "reverse" if sum(h.succeeded for h in found) % 2 else "cutover"
        found.append(Handover(verb=verb, **{name: attempt[name] for name in known if name != "verb"}))
    return found


def requests(result: WorkloadResult) -> list[Request]:
    """The users' requests, and which of them failed."""
    failures = [(f.method, f.status, f.path, f.at) for f in result.failures]

    def failed(start: float, method: str, path: str, status: int) -> bool:
        # A failure notes when it was asked for, which is a moment before it was sent.
        return any(
            (m, s) == (method, status) and path.endswith(p) and abs(start - at) < 1 for m, s, p, at in failures
        )

    return [
        Request(s.start, round(s.seconds * 1000, 2), s.method, s.status, failed(s.start, s.method, s.path, s.status))
        for s in result.samples
    ]


def count_journal(path: Path) -> JournalCount:
    """Count what the journal holds, in its file and without its program, so that one checks the other."""
    seen = "FROM journal_events WHERE kind IN ('outcome', 'get-that-writes') AND"
    unknown = "(status = 0 AND how <> 'not-sent')"
    questions = (
        "SELECT count(*) FROM journal_intents",
        f"SELECT count(*) {seen} NOT {unknown}",
        f"SELECT count(*) {seen} {unknown}",
        "SELECT count(*) FROM journal_events WHERE kind = 'outcome' AND status BETWEEN 200 AND 299",
    )
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        numbers = [int(connection.execute(q).fetchone()[0]) for q in questions]
    return JournalCount(**dict(zip(("intents", "outcomes", "unknown", "accepted"), numbers, strict=True)))


def versions(lab: Lab) -> dict[str, str]:
    """What took part, with its version."""
    found = {"alcor-migrate": metadata.version("alcor-migrate"), "Python": platform.python_version()}
    folders = [str(path) for path in lab.openstack_bin.parent.glob("lib/python*/site-packages")]
    for name in ("neutron", "keystone", "python-openstackclient", "openstacksdk"):
        for distribution in metadata.distributions(name=name, path=folders):
            found[name] = distribution.version
    return found


@contextmanager
def every(interval: float, work: Callable[[], None]) -> Iterator[None]:
    """Do something again and again in a thread of its own, until the block ends."""
    enough = threading.Event()

    def again() -> None:
        while not enough.wait(interval):
            work()

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


# -- the program ---------------------------------------------------------------------------------------------------


def tell(teller: Teller, lab: Lab, choices: Choices) -> dict[str, Any]:
    """The whole story in a lab that is not started yet; returns what report.json says. The caller stops the lab."""
    demo = Demo(teller, lab, choices)
    demo.start_the_lab()
    try:
        demo.fill_it()
        demo.assess()
        demo.open_the_gateway()
        demo.copy()
        demo.catch_up()
        demo.cut_over()
        demo.go_on()
        demo.go_back()
        recording = demo.settle()
        if not choices.keep:
            demo.complete()
        document = write(demo.finish(recording), choices.output)
    finally:
        demo.journey.stop()
    return document


def verdict(teller: Teller, document: dict[str, Any], output: Path) -> None:
    """Print the figures that count, and what is wrong with them."""
    table = Table.grid(padding=(0, 2))
    for name in ("writes_acknowledged", "writes_lost", "requests_failed", "mismatches", "objects_compared"):
        table.add_row(name.replace("_", " "), f"[bold]{document[name]}[/]")
    table.add_row("longest hold", f"[bold]{milliseconds(document['longest_hold_ms'])}[/]")
    table.add_row("the whole story", f"{document['seconds']:.0f} s")
    wrong = objections(document)
    style, title = ("red", "not passed") if wrong else ("green", "passed")
    body = Group(table, *(f"[red]✘[/] {escape(objection)}" for objection in wrong))
    teller.console.print()
    teller.console.print(Panel(body, title=f"[bold]{title}[/]", title_align="left", border_style=style))
    for problem in document["problems"][:10]:
        teller.say(f"[red]{escape(problem)}[/]")
    teller.say(f"report: {output / PAGE} and {output / REPORT}")


def leave_up(teller: Teller, lab: Lab) -> None:
    """Say how to go on by hand in a lab that is kept."""
    teller.console.print()
    teller.console.print(Rule("[bold]Everything is still up[/]", align="left", style="cyan"))
    for line in (
        f"export OS_CLIENT_CONFIG_FILE={lab.clouds_yaml}",
        f"export PATH={lab.openstack_bin}:{Path(sys.executable).parent}:$PATH",
        f"openstack --os-cloud {lab.projects[0].name} network list",
        f"alcor-migrate -c {lab.directory / 'alcor-migrate.yaml'} status",
        f"alcor-migrate -c {lab.directory / 'alcor-migrate.yaml'} reverse --dry-run",
        f"alcor-migrate -c {lab.directory / 'alcor-migrate.yaml'} complete --confirm {CLOUD}",
    ):
        teller.console.print(f"  {escape(line)}", soft_wrap=True)
    teller.console.print(f"  [bold]{sys.executable} -m lab stop {lab.directory}[/]   ends it all", soft_wrap=True)


def run(
    ports: Annotated[int, typer.Option(min=20, help="Ports of servers in the cloud.")] = 200,
    seed: Annotated[int, typer.Option(help="Of the cloud and of what its users do.")] = 1,
    clients: Annotated[int, typer.Option(min=1, help="Users that work at the same time.")] = CLIENTS,
    rate: Annotated[float, typer.Option(min=0.1, help="What they do in a second, all together.")] = RATE,
    output: Annotated[Path, typer.Option(help="Where the report goes.")] = OUTPUT,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Do not complete, and leave everything up.")] = False,
) -> None:
    """Move a real cloud from Neutron to Alcor while its users go on."""
    choices = Choices(ports=ports, seed=seed, clients=clients, rate=rate, output=output, keep=keep)
    teller = Teller()
    lab = Lab(keep=keep)
    try:
        document = tell(teller, lab, choices)
    except BaseException as error:
        lab.stop()
        if keep and lab.directory.exists():
            stop_recorded(lab.directory)
        if isinstance(error, KeyboardInterrupt):
            teller.say("[yellow]interrupted; everything is stopped[/]")
            raise typer.Exit(130) from None
        if isinstance(error, AlcorError):
            teller.console.print(f"\n[red]The story ends here:[/] {escape(error.message)}", soft_wrap=True)
            teller.console.print(escape(error.next_step or ""), soft_wrap=True)
            raise typer.Exit(1) from error
        raise
    lab.stop()
    verdict(teller, document, output)
    if keep:
        leave_up(teller, lab)
    if document["objections"]:
        raise typer.Exit(1)


def main() -> None:
    """The command line."""
    typer.run(run)


if __name__ == "__main__":
    main()

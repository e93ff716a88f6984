"""Cutovers and reverses of the real lab while its users go on: what fails, what is lost, how long writes are held.

Real Neutron, gateway, `alcor-migrate run` and its command line, as users have them. What the lab holds stays as it
is; on top of it users of the lab's projects work and remember every write that was acknowledged (`lab.workload`), and
readers fill up what is missing to the wanted number of requests per second.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from alcor_model.errors import AlcorError
from benchmarks.real_neutron import Api
from benchmarks.report import row
from lab.demo import GATES_PATIENCE, SLOWEST, shut
from lab.errors import LabError
from lab.journey import OPERATOR, Journey
from lab.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab import Lab

REQUESTS = 50.0
"""Requests per second of users and readers together."""
OPERATIONS = 5.0
"""Operations of the users in a second, each of them one to five requests, half of these writes: about what a Neutron
on two cores can take back after they were written to Alcor. Where gates stay closed, they slow down."""
CLIENTS = 6
READERS = 10
BETWEEN = 5.0
"""Seconds that users go on, at least, between two handovers."""
PATIENCE = 300.0
"""Seconds that the copy may take, and that gates may stay closed."""
SWEEPS = 60.0
"""Seconds between two sweeps, as in the settings that nobody has changed."""
TRIES = 5
MISMATCHES = 12
"""The exit code of `verify` that found some."""
P50, LONGEST = 150.0, 500.0
"""The bars, milliseconds, of the hold without what writes in flight needed."""


class Hold(NamedTuple):
    """One attempt of a handover; times are milliseconds."""

    verb: str
    in_flight: float
    """What the old side needed to finish the writes that it was at."""
    rest: float
    """All else until the waiting writes went on."""


def hold(verb: str, attempt: dict[str, Any]) -> Hold:
    """Split the hold of an attempt that succeeded."""
    return Hold(verb, attempt["drained_ms"], attempt["hold_ms"] - attempt["drained_ms"])


def rows(
    holds: Sequence[Hold],
    name: str,
    *,
    wanted: int,
    rate: float,
    failed: int,
    lost: int,
    different: int,
    unsuccessful: int,
) -> list[dict[str, Any]]:
    """The figures, in the form of all benchmarks."""
    found = [
        row(f"{name}: done", "handovers", len(holds), bar=wanted),
        row(f"{name}: load", "requests/s", rate, bar=0.9 * REQUESTS),
        row(f"{name}: failed", "requests", failed, bar=0, at_most=True),
        row(f"{name}: writes lost, or not read back", "writes", lost, bar=0, at_most=True),
        row(f"{name}: differences at the end", "objects", different, bar=0, at_most=True),
        row(f"{name}: attempts that gave the writes back to the old side", "attempts", unsuccessful),
    ]
    if holds:
        rest, in_flight = [h.rest for h in holds], [h.in_flight for h in holds]
        found += [
            row(f"{name}: hold without writes in flight, p50", "ms", statistics.median(rest), bar=P50, at_most=True),
            row(f"{name}: hold without writes in flight, longest", "ms", max(rest), bar=LONGEST, at_most=True),
            row(f"{name}: what writes in flight needed, p50", "ms", statistics.median(in_flight)),
            row(f"{name}: what writes in flight needed, longest", "ms", max(in_flight)),
        ]
    return found


class Readers:
    """Reads through the gateway, as many as the users leave of the wanted requests per second."""

    def __init__(self, url: str, token: str, workload: Workload, ports: Sequence[str]) -> None:
        self._url, self._token, self._workload = url, token, workload
        # What is asked most of a Neutron: Nova and agents ask for ports, by id and by device, dashboards for lists.
        self._paths = itertools.cycle(
            [p for port in ports for p in (f"/ports/{port}", f"/ports?device_id={port}", "/networks?limit=20")]
        )
        self._ended = threading.Event()
        self._mine = threading.local()
        self._apis: list[Api] = []
        self._thread = threading.Thread(target=self._run, name="readers", daemon=True)
        self.done = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        due, users = time.monotonic(), self._workload.snapshot().requests
        with ThreadPoolExecutor(READERS) as pool:
            while not self._ended.is_set():
                before, users = users, self._workload.snapshot().requests
                missing = max(0, round(REQUESTS) - (users - before))
                due += 1.0
                list(pool.map(self._read, itertools.islice(self._paths, missing)))
                due = max(due, time.monotonic() - 1.0)  # of what is late no more than a second is made up for
                self._ended.wait(due - time.monotonic())
        for api in self._apis:
            api.close()

    def _read(self, path: str) -> None:
        api = getattr(self._mine, "api", None)
        if api is None:
            api = self._mine.api = Api(self._url, self._token)
            self._apis.append(api)
        self.done += 1
        try:
            api.ask("GET", path)
        except (RuntimeError, OSError) as error:
            self.failures.append(str(error))


class Mover:
    """Does what an operator does, there and back; the users slow down where the passive side cannot follow them."""

    def __init__(self, journey: Journey, workload: Workload) -> None:
        self._journey = journey
        self._workload = workload
        self.holds: list[Hold] = []
        self.unsuccessful: list[str] = []
        """Why, of each attempt that did not switch."""

    def hand_over(self, verb: str) -> bool:
        """Cut over or reverse when the gates allow it; whether that was done. Raises LabError when one stays shut."""
        known = len(self._journey.ask("status")["attempts"])
        for _ in range(TRIES):
            self._wait_for_the_gates()
            try:  # as the command does, which would be waited for no longer than two minutes
                self._journey.ask(verb, actor=OPERATOR)
            except AlcorError as error:
                print(f"  {verb}: {error.message}", flush=True)
            made = self._journey.ask("status")["attempts"]
            new, known = made[known:], len(made)
            self.unsuccessful += [f"{verb}: {attempt['reason']}" for attempt in new if not attempt["succeeded"]]
            if new and new[-1]["succeeded"]:
                self._workload.pace(OPERATIONS)
                self.holds.append(hold(verb, new[-1]))
                return True
        return False

    def _wait_for_the_gates(self) -> None:
        began, rate = time.monotonic(), OPERATIONS
        while closed := shut(self._journey.ask("status")):
            waited = time.monotonic() - began
            if closed == ["verification"]:
                self.verify()
            elif waited > PATIENCE:
                msg = f"closed for more than {PATIENCE:.0f} s: {', '.join(closed)}"
                raise LabError(msg)
            elif waited > GATES_PATIENCE and rate > SLOWEST:
                rate = SLOWEST
                print(f"  {', '.join(closed)} closed for {waited:.0f} s: the users slow down", flush=True)
                self._workload.pace(rate)
            time.sleep(0.2)

    def verify(self) -> int:
        """Compare everything; answers the number of mismatches."""
        self._journey.must("verify", accept=(0, MISMATCHES))
        return int(self._journey.ask("status")["verification"]["mismatches"])


def measure(lab: Lab, count: int, cloud: str, seconds: float, keys: dict[str, Any]) -> list[dict[str, Any]]:
    """`count` cutovers, each with its reverse, under load; none begins after so many `seconds`.

    `cloud` says in the rows what is handed over; `keys` are more of the configuration.
    """
    with Journey(lab, sweep_interval=SWEEPS, keys=keys) as journey:
        journey.wait_for("ready", timeout=PATIENCE)
        return _measure(lab, journey, count, cloud, time.monotonic() + seconds)


def _measure(lab: Lab, journey: Journey, count: int, cloud: str, until: float) -> list[dict[str, Any]]:
    workload = Workload(lab, clients=CLIENTS, rate=OPERATIONS)
    mover = Mover(journey, workload)
    mover.verify()
    with closing(lab.connection()) as connection:
        token = str(connection.auth_token)
        ports = [port["id"] for port in connection.network.get("/ports?fields=id&limit=200").json()["ports"]]
    stopped = ""
    workload.start()
    began = time.monotonic()
    with Readers(lab.gateway_url, token, workload, ports) as readers:
        for verb in ("cutover", "reverse") * count:
            time.sleep(BETWEEN)
            try:
                if time.monotonic() > until or not mover.hand_over(verb):
                    break
            except LabError as error:  # what was measured until then is told all the same, and that it is too little
                stopped = error.message
                break
            last = mover.holds[-1]
            print(f"  {verb}: {last.in_flight:.0f} ms of writes in flight + {last.rest:.0f} ms", flush=True)
    took = time.monotonic() - began
    result = workload.stop()
    journey.settle()
    failed = [f"{f.method} {f.path}: {f.status} {f.body}" for f in result.failures] + readers.failures
    lost = [str(wrong) for wrong in (*workload.check().writes_lost, *result.violations)]
    different = mover.verify()
    shown = [f"{m['resource']} {m['id']}: {m['problem']}" for m in journey.ask("status")["verification"]["shown"]]
    for problem in (*failed, *lost, *shown, *mover.unsuccessful, *([stopped] if stopped else [])):
        print(f"  NOT as it should be: {problem}")
    requests = result.requests + readers.done
    print(f"  {requests} requests in {took:.0f} s, of them {result.writes_acknowledged} acknowledged writes")
    return rows(
        mover.holds,
        f"{count} cutovers and {count} reverses, {cloud}",
        wanted=2 * count,
        rate=requests / took,
        failed=len(failed),
        lost=len(lost),
        different=different,
        unsuccessful=len(mover.unsuccessful),
    )

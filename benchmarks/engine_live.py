"""The engine under live load, as users have it: real Neutron, gateway, `alcor-migrate run`, and its commands.

`lag` writes as fast as Neutron takes it and looks at how far replay is behind; `cutover` moves the traffic there and
back again and again under mixed requests.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import statistics
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.real_neutron import Api, accepted
from benchmarks.report import row
from lab.demo import NOT_SWITCHED, REFUSED, shut
from lab.errors import LabError
from lab.journey import Journey
from lab.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab import Lab

WRITERS = 8
WRITING = 30.0  # seconds
OBJECTS = 10_000
RATE = 50.0
"""Requests a second, all together."""
OPERATIONS = 4.0
"""Operations a second of the users whose writes are checked in the end; each is one to five requests, and Neutron
makes about ten objects a second. Reads of single objects fill up to `RATE`."""
READERS = 6
HANDOVERS = 40
"""Cutovers and reverses together, in turn."""
PATIENCE = 600.0  # seconds for the gates to open before each handover


def lag(lab: Lab, write_rate: float) -> list[dict[str, Any]]:
    """Lag while clients create ports through the gateway without a pause."""
    token = lab.connection("lab-admin", direct=True).auth_token
    with Journey(lab, interval=0.05) as journey:
        journey.wait_for("ready", timeout=PATIENCE)
        began = time.time()
        rate = accepted(lab.gateway_url, token, WRITERS, WRITING)
        journey.settle()
        lags = [sample.lag for sample in journey.samples if began <= sample.at]
    p99 = statistics.quantiles(lags, n=100)[98]
    print(
        f"  {rate:.1f} ports/s ({write_rate:.1f} without the gateway), {len(lags)} looks, p99 {p99:.2f} s", flush=True
    )
    name = "under all the writes that the real Neutron takes"
    peer = "without the gateway"
    return [
        row(f"ports created in a second, {name}", "1/s", rate, peer=write_rate, peer_name=peer),
        row(f"lag p99, {name}", "s", p99, bar=1.0, at_most=True),
        row(f"lag p50, {name}", "s", statistics.median(lags)),
        row(f"longest lag, {name}", "s", max(lags)),
    ]


class Readers:
    """Clients that read single networks through the gateway at a steady pace, `rate` a second all together."""

    def __init__(self, url: str, token: str, paths: Sequence[str], rate: float) -> None:
        self.took: list[float] = []
        self.failed: list[str] = []
        self._enough = threading.Event()
        self._threads = [
            threading.Thread(target=self._read, args=(url, token, paths, READERS / rate, number), daemon=True)
            for number in range(READERS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends them after the answer that each waits for."""
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _read(self, url: str, token: str, paths: Sequence[str], every: float, number: int) -> None:
        chosen = random.Random(number)  # noqa: S311  # the same paths in each run, nothing secret
        with contextlib.closing(Api(url, token)) as api:
            for due in itertools.count(time.monotonic() + every * number / READERS, every):
                if self._enough.wait(max(0.0, due - time.monotonic())):
                    return
                began = time.monotonic()
                try:
                    api.ask("GET", chosen.choice(paths))
                except (OSError, RuntimeError) as error:
                    self.failed.append(str(error))
                self.took.append(time.monotonic() - began)


def cutover(lab: Lab, handovers: int) -> list[dict[str, Any]]:
    """Cut over and reverse in turn while users read and write; then nothing may have failed or be missing."""
    connection = lab.connection("lab-admin", direct=True)
    paths = [f"/networks/{found['id']}" for found in connection.network.get("/networks?fields=id").json()["networks"]]
    made: list[dict[str, Any]] = []
    with Journey(lab) as journey:
        journey.wait_for("ready", timeout=PATIENCE)
        workload = Workload(lab, clients=4, rate=OPERATIONS)
        workload.start()
        readers = Readers(lab.gateway_url, connection.auth_token, paths, RATE - 2.5 * OPERATIONS)
        began = time.monotonic()
        try:
            for number in range(handovers):
                attempts = hand_over(journey, "reverse" if number % 2 else "cutover")
                made += attempts
                print(f"  {number + 1}: {attempts[-1]}", flush=True)
        finally:
            readers.stop()
            result = workload.stop()
        seconds = time.monotonic() - began
        journey.settle()
        checked = workload.check()
    rate = (result.requests + len(readers.took)) / seconds
    for failure in [*readers.failed[:3], *result.failures[:3], *result.violations[:3], *checked.writes_lost[:3]]:
        print(f"  NOT as it should be: {failure}")
    failed = result.requests_failed + len(readers.failed) + result.unknown
    return table(made, failed, len(checked.writes_lost) + len(result.violations), f"{handovers} handovers", rate)


def hand_over(journey: Journey, verb: str) -> list[dict[str, Any]]:
    """Do it as soon as the gates are open; answers its attempts."""
    before = len(journey.ask("status")["attempts"])
    until = time.monotonic() + PATIENCE
    while True:
        status = journey.wait_until(lambda status: set(shut(status)) <= {"verification"}, "open gates", PATIENCE)
        if shut(status):
            journey.must("verify")
        if journey.must(verb, accept=(0, REFUSED, NOT_SWITCHED)).code == 0:
            attempts: list[dict[str, Any]] = journey.ask("status")["attempts"][before:]
            return attempts
        if time.monotonic() > until:
            msg = f"{verb} was not done in {PATIENCE:.0f} s"
            raise LabError(msg)


def table(made: list[dict[str, Any]], failed: int, lost: int, count: str, rate: float) -> list[dict[str, Any]]:
    """The rows. What in-flight writes need is Neutron's own; the rest of the hold is ours."""
    switched = [attempt for attempt in made if attempt["succeeded"]]
    drained = [attempt["drained_ms"] for attempt in switched]
    ours = [attempt["hold_ms"] - attempt["drained_ms"] for attempt in switched]
    name = f"{count}, {OBJECTS:,} objects"
    return [
        row(f"{name}: requests of all users", "1/s", rate, bar=0.9 * RATE),
        row(f"{name}: requests that failed", "1", failed, bar=0, at_most=True),
        row(f"{name}: writes lost", "1", lost, bar=0, at_most=True),
        row(f"{name}: hold beyond writes in flight, p50", "ms", statistics.median(ours), bar=150, at_most=True),
        row(f"{name}: hold beyond writes in flight, longest", "ms", max(ours), bar=500, at_most=True),
        row(f"{name}: writes in flight, p50", "ms", statistics.median(drained)),
        row(f"{name}: writes in flight, longest", "ms", max(drained)),
        row(f"{name}: attempts that did not switch", "1", len(made) - len(switched)),
    ]

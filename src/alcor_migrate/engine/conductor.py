"""The whole run, top to bottom: what `alcor-migrate run` does, and what the operator's verbs do to it.

    check both sides ─► capture ─► copy ─► catch up ─► verify ─► ready … cutover ⇄ reverse … complete
                                                              └─► cancel

Reads like the runbook; every step lives in a module of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from alcor_migrate.cloud import Cloud
from alcor_migrate.engine.compare import differing
from alcor_migrate.engine.copy import Copy, CopyProgress
from alcor_migrate.engine.cutover import Attempt, Handover
from alcor_migrate.engine.gates import Evidence, Gate, freshness, gates
from alcor_migrate.engine.replay import Replay
from alcor_migrate.engine.state import State, StateStore
from alcor_migrate.engine.verify import Verification, confirmed, describe, verify
from alcor_migrate.errors import CloudError, GateClosed, StateError, TargetNotEmpty
from alcor_migrate.gateway import Route, configured, open_gateway
from alcor_migrate.http import JsonClient
from alcor_migrate.journal import Journal
from alcor_migrate.source import NeutronSide
from alcor_migrate.status import (
    VERSION,
    GatewayStatus,
    JournalStatus,
    ReplayStatus,
    Status,
    SweepStatus,
)
from alcor_migrate.target import AlcorSide
from alcor_model import load_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from alcor_migrate.settings import Settings

log = structlog.get_logger(__name__)

ID_EXTENSION = "alcor-ids"
"""The alias of the Neutron API extension that lets ids be given, without which nothing created can be given back."""

_ROUTES = {
    State.SWITCHED: Route.TARGET,
    State.REVERSING: Route.TARGET,
    State.COMPLETED: Route.TARGET,
    State.CANCELLED: Route.PASS,
}
_UNFINISHED = {State.CUTTING_OVER: State.READY, State.REVERSING: State.SWITCHED}
"""Where a handover that a crash interrupted stands: nothing was recorded, so nothing was switched."""

_ENDS = {State.COMPLETED, State.CANCELLED}

_LOGGED = 20
_SWEEP_LOOKS = 3
_LAG_PATIENCE = 10.0
_LAG_LOOK = 0.1
_RETRY_PAUSE = 2.0
_SETTLE_INTERVAL = 1.0
_KEEP_JOURNAL = 7 * 86400.0


class Migration:
    """One migration, from `start` to `close`. `operator` names who runs it, for the audit log."""

    def __init__(self, settings: Settings, operator: str) -> None:
        self.settings = settings
        self._operator = operator
        self._started_at = time.time()
        self._activity = "starting"
        self._tasks: set[asyncio.Task[None]] = set()
        self._verb = asyncio.Lock()
        self._rounds: asyncio.Task[None] | None = None
        self._saved_at = 0.0
        self._sweeps = 0
        self._swept_at: float | None = None
        self._swept_up = 0

    # -- the run -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Check everything, then open the gateway and begin. Raises MigrationError before anything is changed.

        A migration that has begun starts again whatever the two sides do: its gateway is in the path of users.
        """
        directory = Path(self.settings.state_dir)
        self._cloud = Cloud(self.settings.source.cloud)
        self._source = NeutronSide(JsonClient("Neutron", self.settings.source.url, self._cloud), self._cloud)
        self._target = AlcorSide(JsonClient("Alcor", self.settings.target.url, self._cloud), self._cloud)
        self._store = StateStore(directory)
        try:
            if self._store.state is State.NEW:
                await self._check_both_sides()
            self._settle_interrupted_handover()
            self._journal = await Journal.open(self.settings.journal or directory / "journal.sqlite")
            await self._open_gateway()
        except BaseException:
            await self._source.close()
            await self._target.close()
            self._store.discard()
            raise
        self._copy = self._store.recall("copy", CopyProgress, CopyProgress())
        self._verification = self._store.recall("verification", Verification | None, None)  # type: ignore[arg-type]
        self._attempts = self._store.recall("attempts", list[Attempt], [])
        self._replay = Replay(
            self._journal,
            {"source": self._source, "target": self._target},
            self._store.recall("applied", int, 0),
            self.settings.engine.page_size,
            self._save_applied,
        )
        if not self._store.recall("ended well", bool, otherwise=True):
            # What passed without a record while the journal was stalled died with the process that knew it.
            self._replay.incomplete = self.settings.gateway.policy == "fail_open"
        self._store.keep("ended well", value=False)
        if _ROUTES.get(self._store.state) is Route.TARGET:
            self._replay.active = "target"
        if self._store.state is State.NEW:
            self._store.move(State.CAPTURING, self._operator, "the gateway captures every write")
        self._begin(self._bring_to_ready())
        if self._store.state not in _ENDS:
            self._begin(self._settle_unknown_writes())
            self._begin(self._replay.run())

    async def close(self) -> None:
        """Stop in good order: no new requests, journal written, connections closed."""
        tasks = [*self._tasks, *([self._rounds] if self._rounds else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._gateway.stop()
        await self._journal.close()
        await self._source.close()
        await self._target.close()
        self._store.keep("applied", self._replay.applied)
        self._store.keep("ended well", value=True)
        self._store.close()

    async def _check_both_sides(self) -> None:
        """Ask each side a question, so that a wrong address is told before anything begins."""
        await self._cloud.token()
        self._store.keep("ids", ID_EXTENSION in await self._source.extensions())
        await anext(self._source.pages(load_order()[0], 1), None)
        held = {name: count for name, count in (await self._target.counts()).items() if count}
        if held:
            what = ", ".join(f"{count} {name}" for name, count in held.items())
            raise TargetNotEmpty(f"the target at {self.settings.target.url} is not empty: it holds {what}")

    def _settle_interrupted_handover(self) -> None:
        if interrupted := _UNFINISHED.get(self._store.state):
            reason = "the handover was interrupted before anything was switched"
            self._store.move(interrupted, "alcor-migrate", reason)

    async def _open_gateway(self) -> None:
        self._gateway = open_gateway(
            configured(self.settings),
            self._journal,
            self._cloud.identify,
            _ROUTES.get(self._store.state, Route.CAPTURE),
        )
        try:
            await self._gateway.start()
        except BaseException:
            await self._journal.close()
            raise

    async def _bring_to_ready(self) -> None:
        """Copy, catch up, verify, and from then on sweep."""
        await self._step(State.CAPTURING, State.COPYING, "copying", self._nothing)
        await self._step(State.COPYING, State.CATCHING_UP, "copying", self._run_copy)
        await self._step(State.CATCHING_UP, State.READY, "catching up", self._run_catch_up)
        while True:
            self._activity = "following" if self._store.state not in _ENDS else "passing requests on"
            await asyncio.sleep(self.settings.engine.sweep_interval)
            if self._store.state in _ENDS:
                await self._journal.prune(self._journal.position, _KEEP_JOURNAL)
            elif not self._verb.locked() and self._replay.lag <= self.settings.engine.max_lag:
                self._rounds = asyncio.create_task(self._look_after())
                await asyncio.wait({self._rounds})

    async def _look_after(self) -> None:
        """What is done now and then while nobody asks for anything; a verb interrupts it."""
        await self._until_it_works("sweeping", self._sweep)
        if self._freshness() != "fresh":
            await self._until_it_works("verifying", self._verify_in_words)
        await self._journal.prune(self._replay.applied, _KEEP_JOURNAL)

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One verb at a time, and nothing of our own beside it."""
        async with self._verb:
            if self._rounds is not None:
                self._rounds.cancel()
                await asyncio.wait({self._rounds})
            yield
            self._activity = "following" if self._store.state not in _ENDS else self._activity

    async def _step(
        self, before: State, after: State, activity: str, work: Callable[[], Coroutine[None, None, str]]
    ) -> None:
        if self._store.state is before:
            reason = await self._until_it_works(activity, work)
            self._store.move(after, "alcor-migrate", reason)

    async def _until_it_works(self, activity: str, work: Callable[[], Coroutine[None, None, str]]) -> str:
        """Do a step; when a side fails, say so in the status and try again until it works."""
        while True:
            self._activity = activity
            try:
                return await work()
            except CloudError as error:
                self._activity = f"{activity}: waits, because {error.message}"
                log.warning("step_waits", step=activity, reason=error.message)
                await asyncio.sleep(_RETRY_PAUSE)

    async def _nothing(self) -> str:
        return "the copy begins"

    async def _run_copy(self) -> str:
        copy = Copy(self._source, self._journal, self._replay, self.settings.engine.page_size, self._copy)
        await self._estimate()
        await copy.run(lambda progress: self._store.keep("copy", progress))
        return f"{self._copy.copied} objects copied"

    async def _estimate(self) -> None:
        expected = await self._source.estimate(await self._cloud.projects())
        for resource in self._copy.resources:
            resource.expected = expected.get(resource.resource, 0)

    async def _run_catch_up(self) -> str:
        await self._replay.reach(self._journal.position)
        await self._sweep()
        return await self._verify_in_words()

    async def _sweep(self) -> str:
        """Find what passed the gateway by, and have it replayed."""
        found = 0
        healing = self._is_incomplete() and not self._journal.stalled
        for of in load_order():
            active, passive = self._replay.sides()
            suspects = {k.id for k in await differing(active, passive, of, self.settings.engine.page_size)}
            # What is being written now differs for a moment, and is replayed anyway; the sweep looks for the rest.
            lasting = await confirmed(self._journal, self._replay, of, suspects, _SWEEP_LOOKS)
            if lasting:
                healed = await self._replay.recheck(change.key for change in lasting)
                found += len(healed)
                for change in healed[:_LOGGED]:
                    log.info("sweep_found", object=str(change.key), difference=describe(change)[:500])
        if healing:
            self._replay.incomplete = False
            self._gateway.mark_complete()
        self._sweeps += 1
        self._swept_up += found
        self._swept_at = time.time()
        return f"{found} objects had passed the gateway by"

    def _is_incomplete(self) -> bool:
        return self._replay.incomplete or self._gateway.incomplete

    async def _verify(self) -> Verification:
        self._activity = "verifying"
        found = await verify(self._journal, self._replay, self.settings.engine.page_size)
        self._verification = found
        self._store.keep("verification", found)
        self._activity = "following"
        return found

    async def _verify_in_words(self) -> str:
        found = await self._verify()
        return f"{found.compared} objects compared, {found.mismatches} mismatches"

    def _freshness(self) -> str:
        return freshness(self._verification, self.settings.engine.verify_max_age, time.time())

    async def _settle_unknown_writes(self) -> None:
        """Give writes that a crash cut off their place in the order; replay then reads what became of them."""
        for unsettled in await self._journal.unsettled():
            log.warning("unknown_write", method=unsettled.intent.method, path=unsettled.intent.path)
            await self._journal.settle(unsettled.seq, "found without an outcome at start", writer=unsettled.writer)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._activity = f"stopped, because {error}"
            log.error("engine_task_failed", exc_info=error)

    def _save_applied(self, position: int) -> None:
        # Applying an entry twice is harmless, so this need not be written for each one.
        now = time.monotonic()
        if now - self._saved_at > _SETTLE_INTERVAL:
            self._saved_at = now
            self._store.keep("applied", position)

    # -- the operator's verbs ------------------------------------------------------------------------------------

    async def verify(self, *, repair: bool = False) -> Verification:
        """Compare every object of both sides; with `repair`, have what differs replayed and compare again."""
        self._expect("verify", State.READY, State.SWITCHED, State.REVERSED)
        async with self._alone():
            found = await self._verify()
            if repair and not found.clean:
                for of in load_order():
                    active, passive = self._replay.sides()
                    await self._replay.recheck(await differing(active, passive, of, self.settings.engine.page_size))
                found = await self._verify()
            return found

    async def cutover(self, actor: str) -> Attempt:
        """Move the API traffic to the target. Raises StateError, GateClosed."""
        self._expect("cutover", State.READY, State.REVERSED)
        async with self._alone():
            await self._pass_gates("cutover", "target")
            before = self._store.state
            self._store.move(State.CUTTING_OVER, actor, "cutover was asked for")
            return await self._hand_over("target", actor, State.SWITCHED, State.READY, f"from {before.value}")

    async def reverse(self, actor: str) -> Attempt:
        """Move the API traffic back to the source. Raises StateError, GateClosed."""
        self._expect("reverse", State.SWITCHED)
        async with self._alone():
            # What would keep it waiting for long is told before everything is compared.
            await self._pass_gates("reverse", "source", without="verification")
            await self._verify()
            await self._pass_gates("reverse", "source")
            self._store.move(State.REVERSING, actor, "reverse was asked for")
            last = await self._hand_over("source", actor, State.REVERSED, State.SWITCHED, "")
            if last.succeeded:
                # Neutron has given what came back times and revision numbers of its own: take them over.
                found_before = self._swept_up
                await self._until_it_works("sweeping", self._sweep)
                self._swept_up = found_before  # nothing of that had passed the gateway by
                await self._until_it_works("verifying", self._verify_in_words)
                self._activity = "following"
            return last

    async def look_ahead(self, verb: str) -> list[Gate]:
        """The gates of `cutover` or `reverse` as they stand now; nothing is done."""
        return await self._gates("target" if verb == "cutover" else "source")

    async def complete(self, actor: str, cloud: str) -> list[str]:
        """End the migration for good: the catalogue points to the target. Answers the endpoints that were moved."""
        self._expect("complete", State.SWITCHED)
        if cloud != self.settings.source.cloud:
            raise StateError(
                f"complete was confirmed for {cloud!r}, and this is the cloud {self.settings.source.cloud!r}",
                "Complete cannot be undone; repeat it with the name of this cloud if that is what you want.",
            )
        async with self._alone():
            await self._replay.reach(self._journal.position)
            moved = []
            for endpoint in await self._cloud.network_endpoints():
                await self._cloud.move_endpoint(endpoint["id"], self.settings.target.urls[0])
                moved.append(f"{endpoint['interface']} {endpoint['url']}")
            self._store.move(
                State.COMPLETED, actor, "the operator ended the migration", {"endpoints moved from": moved}
            )
            self._end()
            return moved

    async def cancel(self, actor: str) -> None:
        """Drop the migration; the source was never changed, and the gateway passes everything on from now."""
        if self._store.state in {State.SWITCHED, State.CUTTING_OVER, State.REVERSING, State.COMPLETED}:
            raise StateError(
                "the traffic is on the target, so the migration cannot be cancelled",
                "Bring the traffic back first: `alcor-migrate reverse`.",
            )
        async with self._alone():
            await self._gateway.switch(Route.PASS)
            self._store.move(State.CANCELLED, actor, "the operator cancelled the migration")
            self._end()

    def _end(self) -> None:
        """Nothing is copied or replayed any more; the gateway goes on passing requests."""
        for task in self._tasks:
            task.cancel()
        self._activity = "passing requests on"

    async def _hand_over(self, to: str, actor: str, done: State, failed: State, reason: str) -> Attempt:
        def record(attempt: Attempt) -> None:
            self._store.keep("applied", self._replay.applied)
            self._store.move(done, actor, reason or f"the traffic goes to the {to}", msgspec.to_builtins(attempt))

        self._activity = f"handing over to the {to}"
        handover = Handover(self._gateway, self._journal, self._replay, self.settings.gateway.max_hold)
        try:
            attempts = await handover.run(to, self.settings.engine.cutover_attempts, record)
        except BaseException:
            if self._store.state in _UNFINISHED:
                self._store.move(failed, "alcor-migrate", "the handover was interrupted; nothing was switched")
            raise
        self._attempts += attempts
        self._store.keep("attempts", self._attempts)
        self._activity = "following"
        last = attempts[-1]
        if last.succeeded:
            self._verification = None  # what was found equal was the other direction
            self._store.keep("verification", None)
        else:
            self._store.move(failed, "alcor-migrate", f"not switched after {len(attempts)} attempts: {last.reason}")
        return last

    # -- what it looks like --------------------------------------------------------------------------------------

    async def status(self) -> Status:
        """Everything an operator asks."""
        counts = await self._journal.counts()
        state = self._store.state
        history = self._store.transitions()
        to = "source" if self._replay.active == "target" else "target"
        verdicts = await self._gates(to, quick=True)
        stats = self._gateway.stats
        return Status(
            version=VERSION,
            cloud=self.settings.source.cloud,
            state=state.value,
            since=history[-1].at if history else self._started_at,
            active=self._replay.active,
            # A reverse verifies by itself, so that it can be had at once.
            ready=state in {State.READY, State.REVERSED, State.SWITCHED}
            and all(g.open for g in verdicts if state is not State.SWITCHED or g.name != "verification"),
            activity=self._activity,
            gateway=GatewayStatus(
                listen=self.settings.gateway.listen,
                route=self._gateway.route.value,
                epoch=self._gateway.epoch,
                policy=self.settings.gateway.policy,
                incomplete=self._is_incomplete(),
                in_flight_writes=self._gateway.in_flight_writes,
                held=stats.held_now,
                longest_hold_ms=stats.longest_hold_ms,
                requests={" ".join(map(str, key)): n for key, n in stats.requests.items()},
                captured=stats.captured_total,
            ),
            journal=JournalStatus(
                position=self._journal.position,
                entries=counts.outcomes,
                unknown=counts.unknown,
                stalled=self._journal.stalled,
                bytes=self._journal.size,
            ),
            copy=self._copy,
            replay=ReplayStatus(
                applied=self._replay.applied,
                lag=self._replay.lag,
                worst_lag=self._replay.worst_lag,
                entries=self._replay.entries,
                changes=self._replay.changes,
                trouble=self._replay.trouble,
                poison={str(k): v for k, v in self._replay.poison.items()},
            ),
            sweep=SweepStatus(last_at=self._swept_at, sweeps=self._sweeps, found=self._swept_up),
            verification=self._verification,
            verification_is=self._freshness(),
            gates=verdicts,
            attempts=self._attempts,
            transitions=history,
            started_at=self._started_at,
        )

    async def _gates(self, to: str, *, quick: bool = False) -> list[Gate]:
        """The gates of a handover to a side; `quick` does not ask that side anything."""
        answers = True
        if not quick:
            try:
                if to == "target":
                    await self._target.counts()
                else:
                    self._store.keep("ids", ID_EXTENSION in await self._source.extensions())
            except CloudError:
                answers = False
        evidence = Evidence(
            copied=bool(self._copy.finished_at),
            lag=self._replay.lag,
            trouble=self._replay.trouble,
            poison=len(self._replay.poison),
            unknown=len(await self._journal.unsettled()),
            verification=self._verification,
            journal_stalled=self._journal.stalled,
            journal_incomplete=self._is_incomplete(),
            passive_answers=answers,
            ids_can_be_kept=to == "target" or self._store.recall("ids", bool, otherwise=False),
        )
        engine = self.settings.engine
        return gates(evidence, max_lag=engine.max_lag, verify_max_age=engine.verify_max_age)

    async def _pass_gates(self, step: str, to: str, without: str = "") -> None:
        """Raise GateClosed unless every gate is open; the lag, which goes up and down, is given a moment."""
        until = time.monotonic() + _LAG_PATIENCE
        while True:
            closed = [g for g in await self._gates(to) if not g.open and g.name != without]
            if not closed:
                return
            if [g.name for g in closed] != ["lag"] or time.monotonic() > until:
                raise GateClosed(step, [f"{gate.name}: {gate.reason}" for gate in closed])
            await asyncio.sleep(_LAG_LOOK)

    def _expect(self, verb: str, *states: State) -> None:
        state = self._store.state
        if state not in states:
            raise StateError(
                f"{verb} is not possible while the migration is {state.value.replace('_', ' ')}",
                "It is possible when it is " + " or ".join(s.value.replace("_", " ") for s in states) + ".",
            )
        if self._verb.locked():
            raise StateError(f"{verb} has to wait: the engine is {self._activity}", "Repeat it when that is done.")

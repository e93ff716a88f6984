"""The whole run, top to bottom: what `alcor-migrate run` does, and what the operator's verbs do to it.

    check both sides ─► capture ─► copy ─► catch up ─► verify ─► ready … cutover ⇄ reverse … complete
                                                              └─► cancel

Reads like the runbook; every step lives in a module of its own, and `machinery` puts them together.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import msgspec
import structlog

from alcor_migrate.engine import hooks
from alcor_migrate.engine.attention import Attention, Concern, concerns
from alcor_migrate.engine.copy import Copy
from alcor_migrate.engine.crew import Crew
from alcor_migrate.engine.cutover import Attempt, Handover
from alcor_migrate.engine.drain import Drained, drained
from alcor_migrate.engine.figures import figures
from alcor_migrate.engine.forecast import Forecast, forecast, forecast_reads
from alcor_migrate.engine.machinery import ENDS, OURSELVES, UNFINISHED, Machinery, path_of
from alcor_migrate.engine.postponement import Postponement
from alcor_migrate.engine.state import State
from alcor_migrate.errors import CloudError, GateClosed, HookRefused, JournalError, StateError, StateNotWritten
from alcor_migrate.gateway import ORPHAN_PATIENCE, Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from alcor_migrate.engine.copy import CopyProgress
    from alcor_migrate.engine.reads import ReadsStatus
    from alcor_migrate.engine.state import Transition
    from alcor_migrate.engine.verify import Verification

log = structlog.get_logger(__name__)

_LAG_PATIENCE = 10.0
_LAG_LOOK = 0.1
_RETRY_PAUSE = 2.0
_HOOK_PAUSE = 10.0
_ATTENTION_INTERVAL = 1.0
_DRAIN_LOOK = 1.0
_RESUME_PATIENCE = 30.0


class Migration(Machinery):
    """One migration, from `start` to `close`."""

    activity = "starting"
    """What the engine is doing right now, in words."""

    # -- the run -------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Check everything, then open the gateway and begin. Raises MigrationError before anything is changed."""
        await self.open()
        self.concerns: list[Concern] = []
        """What needs attention now."""
        self.postponement = Postponement(self.steering)
        self._attention = Attention()
        self._calm = asyncio.Event()
        self._crew = Crew(self._died)
        self._verb = asyncio.Lock()
        self._at_work: asyncio.Task[object] | None = None
        self._handover: Handover | None = None
        self._interrupted = ""
        self.gateway.figures = lambda: figures(self)
        self._crew.begin("attention", self._watch())
        if not self.panic:
            self._begin_work()

    async def close(self) -> None:
        """Stop in good order: no new requests, journal written, connections closed."""
        await self._crew.stop()
        await self.shut()

    def _begin_work(self) -> None:
        """Begin what is not under way; started again, it goes on where it was."""
        work = {"engine": self._bring_to_ready}
        if self.store.standing not in ENDS:
            work |= {"unknown writes": self._settle_unknown_writes, "replay": self.replay.run}
            work |= {"reads": self.reads.run}
            work |= {"shadow": self.shadow.run} if self.shadow.status.share else {}
        for name, begin in work.items():
            if name not in self._crew:
                self._crew.begin(name, begin())

    async def _bring_to_ready(self) -> None:
        """Copy, catch up, verify, and from then on sweep."""
        await self._step(State.CAPTURING, State.COPYING, "copying", self._nothing)
        await self._step(State.COPYING, State.CATCHING_UP, "copying", self._run_copy)
        await self._step(State.CATCHING_UP, State.READY, "catching up", self._run_catch_up)
        while True:
            self._idle()
            await asyncio.sleep(self.settings.engine.sweep_interval)
            if self.store.standing in ENDS:
                await self.journal.prune(self.journal.position, self.settings.journal_keep)
            elif not self._verb.locked() and self.replay.lag <= self.steering.max_lag:
                await asyncio.wait({self._crew.begin("upkeep", self._look_after())})

    async def _look_after(self) -> None:
        """What is done now and then while nobody asks for anything; a verb interrupts it."""
        await self._until_it_works("sweeping", self.upkeep.sweep)
        if self.upkeep.due:
            await self._until_it_works("verifying", self.upkeep.verify_in_words)
        await self.journal.prune(self.replay.applied, self.settings.journal_keep)

    async def _step(
        self, before: State, after: State, activity: str, work: Callable[[], Coroutine[None, None, str]]
    ) -> None:
        """Do the work of a state, then enter the next one, unless something needs attention first."""
        if self.store.standing is not before:
            return
        reason = await self._until_it_works(activity, work)

        async def agreed() -> str:
            await self._calm.wait()
            await self.ask(after, OURSELVES, reason)
            self.enter(after, OURSELVES, reason)
            return reason

        await self._until_it_works(activity, agreed)

    async def _until_it_works(self, activity: str, work: Callable[[], Coroutine[None, None, str]]) -> str:
        """Do a step; when a side or a disk fails, or a hook refuses, say so in the status and try until it works."""
        while True:
            self.activity = activity
            try:
                return await work()
            except (CloudError, HookRefused, JournalError, StateNotWritten) as error:
                self.activity = f"{activity}: waits, because {error.message}"
                log.warning("step_waits", step=activity, reason=error.message)
                await asyncio.sleep(_HOOK_PAUSE if isinstance(error, HookRefused) else _RETRY_PAUSE)

    async def _nothing(self) -> str:
        return "the copy begins"

    async def _run_copy(self) -> str:
        source, _ = self.replay.sides("source")
        expected = await self.around.estimate()
        for resource in self.copy.resources:
            resource.expected = expected.get(resource.resource, 0)
        copy = Copy(source, self.journal, self.replay, self.steering.chunk_size, self.copy)

        def save(progress: CopyProgress) -> None:
            self.store.keep("copy", progress)
            copy.page_size = self.steering.chunk_size

        await copy.run(save)
        return f"{self.copy.copied} objects copied"

    async def _run_catch_up(self) -> str:
        await self.replay.reach(self.journal.position)
        await self.upkeep.sweep()
        return await self.upkeep.verify_in_words()

    async def _settle_unknown_writes(self) -> None:
        """Give writes that a crash cut off their place in the order; replay then reads what became of them.

        Not at once: the side may still be at work on them. Until then their gate is closed.
        """
        if await self.journal.unsettled():
            await asyncio.sleep(ORPHAN_PATIENCE)
        for unsettled in await self.journal.unsettled():
            log.warning("unknown_write", method=unsettled.intent.method, path=unsettled.intent.path)
            await self.journal.settle(unsettled.seq, "found without an outcome at start", writer=unsettled.writer)

    # -- what needs attention ------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Enter `needs_attention` when something does, and leave it when nothing does any more."""
        while True:
            if not self._verb.locked():
                # What cannot be read or written is told by who needs it, and noted here once it can be.
                with contextlib.suppress(JournalError, StateNotWritten):
                    await self._look_around()
            await asyncio.sleep(_ATTENTION_INTERVAL)

    async def _look_around(self) -> None:
        evidence = await self.evidence(quick=True)
        if self._verb.locked() or self.store.standing in ENDS:
            return
        if self.store.state in UNFINISHED:  # the end of a handover that failed could not be recorded then
            self.enter(UNFINISHED[self.store.state], OURSELVES, "the handover was interrupted; nothing was switched")
        seen = concerns(evidence, self._crew.stopped, self.panic, self.settings.engine.attention_after)
        self.concerns = self._attention.look(seen, time.time())
        attentive = self.store.state is State.NEEDS_ATTENTION
        if self.concerns:
            self._calm.clear()
            if not attentive:
                seen_now = {"concerns": msgspec.to_builtins(self.concerns)}
                self.enter(State.NEEDS_ATTENTION, OURSELVES, self._in_words(), seen_now)
        else:
            if attentive:
                self.enter(self.store.standing, OURSELVES, "nothing needs attention any more")
            self._calm.set()

    def _in_words(self) -> str:
        return "; ".join(f"{c.name}: {c.reason}" for c in self.concerns)

    def _ways_out(self) -> str:
        return " ".join(dict.fromkeys(c.next_step for c in self.concerns)) or "See `alcor-migrate status`."

    def _died(self, name: str, reason: str) -> None:
        self.activity = f"stopped, because {reason}"
        if name == "replay":
            self._interrupt(f"replay stopped, because {reason}")

    def _interrupt(self, reason: str) -> None:
        """End the verb that is under way; a handover that is not recorded yet gives back what it holds."""
        self._interrupted = reason
        if self._handover is not None:
            self._handover.abort(reason)
        elif self._at_work is not None:
            self._at_work.cancel()

    async def stop_at_once(self, actor: str) -> str:
        """Panic: no handover, no copy, no replay. The gateway goes on as it is, and goes on recording.

        Raises StateError when the migration has ended.
        """
        if self.store.standing in ENDS:
            raise StateError("the migration has ended, so there is nothing to stop", "See `alcor-migrate status`.")
        self.panic = f"{actor} stopped the engine"
        self.store.keep("panic", self.panic)
        self.postponement.withdraw()
        self._interrupt(self.panic)
        await self._crew.stop(but="attention")
        async with self._verb:  # what was under way has let go, or has come to the migration's end
            if self.store.standing in ENDS:
                self.panic = ""
                self.store.keep("panic", self.panic)
                raise StateError("the migration has just ended", "See `alcor-migrate status`.")
            self.activity = f"stopped, because {self.panic}"
        await self._look_around()
        side = "Neutron" if self.replay.active == "source" else "Alcor"
        return f"stopped; requests go on to {side}, writes are still recorded, and `alcor-migrate resume` goes on"

    async def resume(self, actor: str) -> None:
        """Go on after what needed attention was looked at. Raises StateError; GateClosed, naming what still does."""
        if self.store.state is not State.NEEDS_ATTENTION:
            raise StateError("nothing needs attention", "See `alcor-migrate status`.")
        self.store.note("command", actor, "resume", {"concerns": msgspec.to_builtins(self.concerns)})
        self.panic = ""
        self.store.keep("panic", self.panic)
        self._crew.stopped.clear()
        self._begin_work()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RESUME_PATIENCE):
                await self.replay.recheck(list(self.replay.poison))
        await self._look_around()
        if self.concerns:
            raise GateClosed("resume", [f"{c.name}: {c.reason}" for c in self.concerns], self._ways_out())

    # -- the operator's verbs ------------------------------------------------------------------------------------

    async def verify(self, actor: str = OURSELVES, *, repair: bool = False) -> Verification:
        """Compare every object of both sides; with `repair`, have what differs replayed and compare again."""
        self._expect("verify", State.READY, State.SWITCHED, State.REVERSED, leads_on=False)
        async with self._alone("verifying"):
            found = await self.upkeep.verify()
            if repair and not found.clean:
                healed = await self.upkeep.repair()
                self.store.note("repair", actor, f"{healed} objects were replayed", msgspec.to_builtins(found))
                found = await self.upkeep.verify()
            return found

    async def cutover(self, actor: str, max_hold: float | None = None, postpone_flag_file: str = "") -> Attempt:
        """Move the API traffic to the target; it waits while it is postponed. `max_hold` is this one's bound.

        Raises StateError, GateClosed, HookRefused.
        """
        self._expect("cutover", State.READY, State.REVERSED)
        flag_file = path_of(postpone_flag_file or self.settings.engine.postpone_flag_file)
        await self.postponement.over(actor, flag_file)
        self._expect("cutover", State.READY, State.REVERSED)
        await self._pass_gates("cutover", "target", actor)  # refused, it leaves a sweep alone that may open the gate
        async with self._alone("preparing the cutover"):
            await self._pass_gates("cutover", "target", actor)
            await self.ask(State.CUTTING_OVER, actor, "cutover was asked for")
            before = self.store.state.value
            self.enter(State.CUTTING_OVER, actor, "cutover was asked for")
            return await self._hand_over("target", actor, f"from {before}", max_hold)

    async def reverse(self, actor: str, max_hold: float | None = None) -> Attempt:
        """Move the API traffic back to the source. Raises StateError, GateClosed, HookRefused."""
        if self.gateway.ahead and self.replay.active == "source":
            raise StateError(
                "only reads go to Alcor, writes go to Neutron",
                "`alcor-migrate reverse --reads` brings the reads back.",
            )
        self._expect("reverse", State.SWITCHED, leads_on=False)
        await self._pass_gates("reverse", "source", actor, without="verification")
        async with self._alone("preparing the reverse"):
            await self._pass_gates_back("reverse", actor)
            await self.ask(State.REVERSING, actor, "reverse was asked for")
            self.enter(State.REVERSING, actor, "reverse was asked for")
            last = await self._hand_over("source", actor, "the traffic goes to the source", max_hold)
            if last.succeeded:
                # Neutron has given what came back times and revision numbers of its own: take them over.
                await self._until_it_works("sweeping", lambda: self.upkeep.sweep(counted=False))
                await self._until_it_works("verifying", self.upkeep.verify_in_words)
            return last

    async def switch_reads(self, to: str, actor: str) -> ReadsStatus:
        """Let reads go to a side, and writes stay where they are. Raises StateError, GateClosed, HookRefused.

        To the passive side through the gates of a handover, each read when that side has what it must see. To the
        active one always.
        """
        verb = "cutover --reads" if to == "target" else "reverse --reads"
        side = "Alcor" if to == "target" else "Neutron"
        if self.gateway.reads == to:
            raise StateError(f"reads go to {side} already", "See `alcor-migrate status`.")
        back = to == self.replay.active
        if not back and to == "target":
            self._expect(verb, State.READY, State.REVERSED)
        elif not back:
            self._expect(verb, State.SWITCHED, leads_on=False)
        elif self._verb.locked():
            raise StateError(f"{verb} has to wait: the engine is {self.activity}", "Repeat it when that is done.")
        async with self._alone(f"switching reads to {side}"):
            reason = f"reads go to {side}, writes stay"
            if back:  # what leads back does not wait for a disk
                await self.reads.switch(to)
                self.store.note("reads", actor, reason, facts={"reads": to})
            else:
                if to == "target":
                    await self._pass_gates(verb, to, actor)
                else:
                    await self._pass_gates_back(verb, actor)
                asked = hooks.Told(name=hooks.BEFORE_READS, state=self.store.state.value, actor=actor, reason=reason)
                await self.hooks.ask(asked)
                self.store.note("reads", actor, reason, facts={"reads": to})
                await self.reads.switch(to)
            status = self.reads.status
            self.tell(hooks.ON_READS, actor, reason, evidence=msgspec.to_builtins(status))
            return status

    async def look_ahead(
        self, verb: str, actor: str = OURSELVES, max_hold: float | None = None, *, reads: bool = False
    ) -> Forecast:
        """The gates and the steps of `cutover` or `reverse`, as measured now; nothing is done."""
        to = "target" if verb == "cutover" else "source"
        bound = max_hold or self.steering.max_hold
        measure = forecast_reads if reads else forecast
        return await measure(self, to, bound, await self.gates(to), actor)

    async def drain(self, actor: str, wait: float = 0.0) -> Drained:
        """Look whether Neutron's pipeline is empty, for at most `wait` seconds until it is; written down."""
        self._expect("drain", State.SWITCHED, State.COMPLETED, leads_on=False)
        until = time.monotonic() + wait
        found = await drained(self)
        while not found.empty and time.monotonic() < until:
            await asyncio.sleep(_DRAIN_LOOK)
            found = await drained(self)
        self.store.note("drain", actor, found.words, msgspec.to_builtins(found))
        return found

    async def complete(self, actor: str, cloud: str) -> list[str]:
        """End the migration for good: the catalogue points to the target. Answers the endpoints that were moved."""
        self._expect("complete", State.SWITCHED)
        if cloud != self.settings.source.cloud:
            raise StateError(
                f"complete was confirmed for {cloud!r}, and this is the cloud {self.settings.source.cloud!r}",
                "Complete cannot be undone; repeat it with the name of this cloud if that is what you want.",
            )
        if self.gateway.ahead:
            raise StateError(
                "reads still go to Neutron", "Bring them to Alcor first: `alcor-migrate cutover --reads`."
            )
        async with self._alone("completing"):
            await self.ask(State.COMPLETED, actor, "the operator ends the migration")
            await self.replay.reach(self.journal.position)
            self._at_work = None  # from here on it is finished: endpoints that are moved by halves help nobody
            moved = await self.around.move_catalogue()
            self.enter(State.COMPLETED, actor, "the operator ended the migration", {"endpoints moved from": moved})
            await self._end()
            return moved

    async def cancel(self, actor: str) -> None:
        """Drop the migration; the source was never changed, and the gateway passes everything on from now."""
        if self.store.standing in {State.SWITCHED, State.CUTTING_OVER, State.REVERSING, State.COMPLETED}:
            raise StateError(
                "the traffic is on the target, so the migration cannot be cancelled",
                "Bring the traffic back first: `alcor-migrate reverse`.",
            )
        self.store.expect(State.CANCELLED)
        async with self._alone("cancelling"):
            await self.ask(State.CANCELLED, actor, "the operator cancels the migration")
            self._at_work = None  # from here on it is finished, whatever is said meanwhile
            # Recorded first: writes that pass without a record must never belong to a migration that goes on.
            self.enter(State.CANCELLED, actor, "the operator cancelled the migration")
            await self.gateway.switch(Route.PASS)
            await self._end()

    async def _hand_over(self, to: str, actor: str, reason: str, max_hold: float | None) -> Attempt:
        """Try until it is done or the attempts are used up; the state machine says which."""
        done = State.SWITCHED if to == "target" else State.REVERSED
        back = UNFINISHED[self.store.state]
        switched: list[Transition] = []

        def record(attempt: Attempt) -> None:
            self.store.keep("applied", self.replay.applied)
            made = self.store.move(done, actor, reason, msgspec.to_builtins(attempt), {"reads": to})
            switched.append(made)

        def failed(attempt: Attempt) -> None:
            self.tell(hooks.ATTEMPT_FAILED, actor, attempt.reason, evidence=msgspec.to_builtins(attempt))

        self.activity = f"handing over to the {to}"
        bound = max_hold or self.steering.max_hold
        self._handover = Handover(
            self.gateway,
            self.journal,
            self.replay,
            bound,
            self.hooks.quiet,
            failed,
            self.settings.engine.wait_for_quiet,
        )
        if self._interrupted:
            self._handover.abort(self._interrupted)
        try:
            with self.throttle.lifted():
                attempts = await self._handover.run(to, self.settings.engine.cutover_attempts, record)
        except BaseException:
            if self.store.state in UNFINISHED:
                self.enter(back, OURSELVES, "the handover was interrupted; nothing was switched")
            raise
        finally:
            self._handover = None
        self.attempts += attempts
        last = attempts[-1]
        if last.succeeded:
            self.announce(switched[0])
            self.upkeep.forget()
        else:
            self.enter(back, OURSELVES, f"not switched after {len(attempts)} attempts: {last.reason}")
        self.store.keep("attempts", self.attempts)
        return last

    async def _pass_gates_back(self, step: str, actor: str) -> None:
        """The gates of the way back to the source; nothing has been compared in this direction yet."""
        with self.throttle.lifted():
            # What would keep it waiting for long is told before everything is compared.
            await self._pass_gates(step, "source", actor, without="verification")
            self.activity = "verifying"
            await self.upkeep.verify()
            await self._pass_gates(step, "source", actor)

    async def _pass_gates(self, step: str, to: str, actor: str, without: str = "") -> None:
        """Raise GateClosed unless every gate is open; the lag, which goes up and down, is given a moment."""
        until = time.monotonic() + _LAG_PATIENCE
        while True:
            closed = [g for g in await self.gates(to) if not g.open and g.name != without]
            if not closed:
                return
            if [g.name for g in closed] != ["lag"] or time.monotonic() > until:
                error = GateClosed(step, [f"{gate.name}: {gate.reason}" for gate in closed])
                self.store.note("refused", actor, error.message, {"gates": msgspec.to_builtins(closed)})
                raise error
            await asyncio.sleep(_LAG_LOOK)

    def _expect(self, verb: str, *states: State, leads_on: bool = True) -> None:
        """Raise StateError unless a verb is possible; one that leads on is not while something needs attention."""
        state = self.store.state if leads_on else self.store.standing
        if self.panic:
            raise StateError(f"{verb} is not possible: {self.panic}", "`alcor-migrate resume` lets it work again.")
        if state is State.NEEDS_ATTENTION:
            raise StateError(
                f"{verb} is not possible while something needs attention: {self._in_words()}", self._ways_out()
            )
        if state not in states:
            raise StateError(
                f"{verb} is not possible while the migration is {state.words}",
                "It is possible when it is " + " or ".join(s.words for s in states) + ".",
            )
        if self._verb.locked():
            raise StateError(f"{verb} has to wait: the engine is {self.activity}", "Repeat it when that is done.")

    @contextlib.asynccontextmanager
    async def _alone(self, activity: str) -> AsyncIterator[None]:
        """One verb at a time, and nothing of our own beside it."""
        async with self._verb:
            await self._crew.drop("upkeep")
            self.activity, self._interrupted = activity, ""
            self._at_work = asyncio.current_task()
            try:
                yield
            except asyncio.CancelledError:
                if not self._interrupted:
                    raise
                raise StateError(self._interrupted, "`alcor-migrate status` says what is needed.") from None
            finally:
                self._at_work = None
                self._idle()

    def _idle(self) -> None:
        self.activity = "passing requests on" if self.store.standing in ENDS else "following"

    async def _end(self) -> None:
        """Nothing is copied or replayed any more; the gateway goes on passing requests."""
        await self._crew.stop()
        self._begin_work()

"""What a migration is made of: opened in this order, closed in the other one, and what its parts say together."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from alcor_migrate.engine import hooks
from alcor_migrate.engine.copy import CopyProgress
from alcor_migrate.engine.cutover import Attempt
from alcor_migrate.engine.gates import Evidence, Gate, gates
from alcor_migrate.engine.hooks import Hooks
from alcor_migrate.engine.reads import Reads
from alcor_migrate.engine.replay import Replay
from alcor_migrate.engine.shadow import Shadow
from alcor_migrate.engine.state import State, StateStore, Transition
from alcor_migrate.engine.steering import Brakes, Steering
from alcor_migrate.engine.surroundings import Surroundings
from alcor_migrate.engine.throttle import Throttle, ThrottledSide
from alcor_migrate.engine.upkeep import Upkeep
from alcor_migrate.errors import CloudError, JournalError, StateNotWritten
from alcor_migrate.gateway import Route
from alcor_migrate.journal import Counts, Journal
from alcor_migrate.side import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from alcor_migrate.settings import Settings

log = structlog.get_logger(__name__)

OURSELVES = "alcor-migrate"
"""The actor of what the migration does by itself."""

ENDS = {State.COMPLETED, State.CANCELLED}
UNFINISHED = {State.CUTTING_OVER: State.READY, State.REVERSING: State.SWITCHED}
"""Where a handover that a crash interrupted stands: nothing was recorded, so nothing was switched."""

_ROUTES = {
    State.SWITCHED: Route.TARGET,
    State.REVERSING: Route.TARGET,
    State.COMPLETED: Route.TARGET,
    State.CANCELLED: Route.PASS,
}
_SAVE_INTERVAL = 1.0


class Machinery:
    """The parts of one migration. `operator` names who runs it, for the audit log."""

    def __init__(
        self, settings: Settings, operator: str, surroundings: Callable[[Settings], Surroundings] = Surroundings
    ) -> None:
        self.settings = settings
        self.operator = operator
        self.started_at = time.time()
        self._surroundings = surroundings
        self._saved_at = 0.0
        self._unsettled = 1  # until it was asked
        self._counts = Counts(intents=0, outcomes=0, marks=0, unknown=0, unsettled=0, by_method={})

    async def open(self) -> None:
        """Check both sides of a new migration, then open the gateway. Raises MigrationError, leaving nothing.

        A migration that has begun opens whatever the two sides do: its gateway is in the path of users.
        """
        directory = Path(self.settings.state_dir)
        engine = self.settings.engine
        self.around = self._surroundings(self.settings)
        self.store = StateStore(directory)
        try:
            self.hooks = Hooks(path_of(engine.hooks), engine.hook_timeout, self._facts, self._keep_hook)
            if self.store.state is State.NEW:
                self.store.keep("ids", await self.around.check())
                await self.ask(State.CAPTURING, self.operator, "the gateway is about to be opened")
            where = self.settings.journal or directory / "journal.sqlite"
            self.journal = await Journal.open(where, max_bytes=self.settings.journal_max_bytes)
            self.gateway = self.around.gateway(self.journal, _ROUTES.get(self.store.standing, Route.CAPTURE))
            try:
                await self.gateway.start()
            except BaseException:
                await self.journal.close()
                raise
        except BaseException:
            await self.around.close()
            self.store.discard()
            raise
        self._assemble()
        if self.store.state is State.NEW:
            self.enter(State.CAPTURING, self.operator, "the gateway captures every write")
        elif unfinished := UNFINISHED.get(self.store.state):
            self.enter(unfinished, OURSELVES, "the handover was interrupted before anything was switched")
        reads = self.store.recall("reads", str, self.replay.active)
        if reads != self.replay.active and self.store.standing not in ENDS:
            await self.gateway.switch_reads(reads)

    def _assemble(self) -> None:
        """Put together what works behind the gateway, as it was left."""
        engine, store = self.settings.engine, self.store
        self.steering = Steering(
            chunk_size=engine.page_size,
            max_hold=self.settings.gateway.max_hold,
            max_lag=engine.max_lag,
            source_latency=engine.source_latency,
            brakes=store.recall("brakes", Brakes, Brakes()),
            save=lambda brakes: store.keep("brakes", brakes),
        )
        self.throttle = Throttle(self.steering, path_of(engine.throttle_flag_file), self.around.probe)
        self.copy = store.recall("copy", CopyProgress, CopyProgress())
        self.attempts = store.recall("attempts", list[Attempt], [])
        self.panic = store.recall("panic", str, "")
        """Who stopped the engine; empty when it may work."""
        sides = {"source": self.around.source, "target": self.around.target}
        self.replay = Replay(
            self.journal,
            {name: ThrottledSide(side, self.throttle) for name, side in sides.items()},
            store.recall("applied", int, 0),
            engine.page_size,
            self._save_applied,
            self._note_unfinished,
        )
        self.replay.unfinished = {Key(*key) for key in store.recall("unfinished", list[tuple[str, str]], [])}
        for name, object_id, reason in store.recall("rejected", list[tuple[str, str, str]], []):
            self.replay.poison[Key(name, object_id)] = reason
        self._saved_poison = dict(self.replay.poison)
        self.replay.written = store.recall("written", dict[str, float], {})
        self.upkeep = Upkeep(store, self.journal, self.replay, self.gateway, self.steering, engine.verify_max_age)
        self.asker = self.around.asker()
        self.shadow = Shadow(
            self.asker,
            self.journal,
            self.replay,
            self.throttle,
            self.settings.gateway.shadow,
            lambda: store.standing in {State.READY, State.REVERSED},
        )
        self.gateway.on_read = self.shadow.sample
        patience = self.settings.gateway.reads_patience
        self.reads = Reads(self.gateway, self.journal, self.replay, patience, self._answers, self._worry)
        self.gateway.permit = self.reads.permit
        if not store.recall("ended well", bool, otherwise=True):
            # What passed without a record while the journal was stalled died with the process that knew it.
            self.replay.incomplete = self.settings.gateway.policy == "fail_open"
        store.keep("ended well", value=False)
        if _ROUTES.get(store.standing) is Route.TARGET:
            self.replay.active = "target"

    async def shut(self) -> None:
        """Take no new requests, write the journal out, let go of everything."""
        await self.hooks.close()
        await self.gateway.stop()
        await self.journal.close()
        await self.asker.close()
        await self.around.close()
        self._save_poison()
        self.store.keep("applied", self.replay.applied)
        self.store.keep("written", self.replay.written)
        self.store.keep("ended well", value=True)
        self.store.close()

    async def _answers(self, side: str) -> bool:
        """Whether a side answers. Raises CloudError."""
        if side == "target":
            return await self.around.target_answers()
        await self.around.probe()
        return True

    def _worry(self) -> str:
        """Why reads had better go where the writes go, besides what the parts themselves say."""
        if self.panic:
            return self.panic
        if self.store.state is State.NEEDS_ATTENTION:
            return "something needs attention"
        return "writes have an outcome that is not settled yet" if self._unsettled else ""

    def _save_applied(self, position: int) -> None:
        self.reads.applied(position)
        # Applying an entry twice is harmless, so this need not be written for each one; but what was rejected on the
        # way is not met again, so it is written first.
        now = time.monotonic()
        if now - self._saved_at > _SAVE_INTERVAL or self.replay.poison != self._saved_poison:
            self._saved_at = now
            try:
                self._save_poison()
                self.store.keep("applied", position)
                self.store.keep("written", self.replay.written)
            except StateNotWritten as error:  # nothing hangs on this one: the next is written
                log.warning("applied_not_kept", reason=error.message)

    def _note_unfinished(self, keys: set[Key]) -> None:
        # It need not be taken back when all is applied: to read some objects once more is harmless.
        try:
            self.store.keep("unfinished", sorted(keys))
        except StateNotWritten as error:  # of use only if we died at this moment, and then a sweep finds the rest
            log.warning("unfinished_not_kept", reason=error.message)

    def _save_poison(self) -> None:
        poison = dict(self.replay.poison)
        if poison != self._saved_poison:
            self.store.keep("rejected", [(key.resource, key.id, reason) for key, reason in poison.items()])
            self._saved_poison = poison

    # -- what the gates and the concerns look at -----------------------------------------------------------------

    async def gates(self, to: str, *, quick: bool = False) -> list[Gate]:
        """The gates of a handover to a side; `quick` does not ask that side anything."""
        evidence = await self.evidence(to, quick=quick)
        return gates(evidence, max_lag=self.steering.max_lag, verify_max_age=self.settings.engine.verify_max_age)

    async def evidence(self, to: str = "target", *, quick: bool = False) -> Evidence:
        """What is to be seen now."""
        answers = True
        if not quick:
            try:
                if to == "target":
                    answers = await self.around.target_answers()
                else:
                    self.store.keep("ids", await self.around.ids_can_be_given())
            except CloudError:
                answers = False
        return Evidence(
            copied=bool(self.copy.finished_at),
            lag=self.replay.lag,
            trouble=self.replay.trouble,
            poison=len(self.replay.poison),
            unknown=await self._unknown_writes(),
            verification=self.upkeep.verification,
            journal_stalled=self.journal.stalled,
            journal_incomplete=self.upkeep.incomplete,
            passive_answers=answers,
            serves_users=to == "source" or self.settings.target.kind == "bundled",
            ids_can_be_kept=to == "target" or self.store.recall("ids", bool, otherwise=False),
        )

    async def _unknown_writes(self) -> int:
        # Only what was begun before this start is asked for, so where nothing is left nothing will be.
        if self._unsettled:
            with contextlib.suppress(JournalError):  # on a full disk it cannot be read; they can only become fewer
                self._unsettled = len(await self.journal.unsettled())
        return self._unsettled

    async def journal_counts(self) -> Counts:
        """How much the journal holds; what it held when it could be read last, while it cannot."""
        with contextlib.suppress(JournalError):  # replay has the same trouble, and says so
            self._counts = await self.journal.counts()
        return self._counts

    # -- transitions, and the hooks that belong to them ----------------------------------------------------------

    async def ask(self, following: State, actor: str, reason: str) -> None:
        """Have the hook before a state agree. Raises HookRefused."""
        name = hooks.before(following)
        state = self.store.state.value
        await self.hooks.ask(
            hooks.Told(name=name, state=state, next_state=following.value, actor=actor, reason=reason)
        )

    def enter(self, following: State, actor: str, reason: str, evidence: dict[str, object] | None = None) -> None:
        """Enter a state, and tell. Raises StateError."""
        self.announce(self.store.move(following, actor, reason, evidence))

    def announce(self, made: Transition) -> None:
        """Tell of a transition that is recorded."""
        log.info("state", before=made.before, after=made.after, actor=made.actor, reason=made.reason)
        name = hooks.after(State(made.after))
        self.tell(name, made.actor, made.reason, previous=made.before, evidence=made.evidence)

    def tell(
        self, name: str, actor: str, reason: str, *, previous: str = "", evidence: Mapping[str, object] | None = None
    ) -> None:
        """Have an `on-` hook run."""
        told = hooks.Told(
            name=name,
            state=self.store.state.value,
            previous_state=previous,
            actor=actor,
            reason=reason,
            evidence=evidence or {},
        )
        self.hooks.tell(told)

    def _facts(self) -> dict[str, str]:
        replay = getattr(self, "replay", None)  # the first hook is asked before there is one
        return {
            "ALCOR_MIGRATE_CLOUD": self.settings.source.cloud,
            "ALCOR_MIGRATE_ACTIVE": replay.active if replay else "source",
            "ALCOR_MIGRATE_READS": self.gateway.reads if replay else "source",
            "ALCOR_MIGRATE_LAG": f"{replay.lag:.3f}" if replay else "0.000",
            "ALCOR_MIGRATE_STATE_DIR": self.settings.state_dir,
        }

    def _keep_hook(self, told: hooks.Told, ran: hooks.Ran) -> None:
        evidence = {"hook": ran.hook, "code": ran.code, "seconds": ran.seconds, "output": ran.output}
        self.store.note("hook", told.actor, f"{ran.hook} {ran.how}", evidence)


def path_of(text: str) -> Path | None:
    """A path of the configuration; empty is none."""
    return Path(text) if text else None

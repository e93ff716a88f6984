"""What is done again and again while a migration stands: the sweep, and a verification that stays fresh."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from alcor_migrate.engine.bypass import Tally
from alcor_migrate.engine.compare import differing
from alcor_migrate.engine.freshness import by_resource
from alcor_migrate.engine.gates import freshness
from alcor_migrate.engine.verify import Verification, confirmed, describe, suspected, verify
from alcor_migrate.side import comes_to, prove_quick
from alcor_migrate.status import SweepStatus
from alcor_model import load_order

if TYPE_CHECKING:
    from alcor_migrate.engine.freshness import Freshness
    from alcor_migrate.engine.replay import Replay
    from alcor_migrate.engine.state import StateStore
    from alcor_migrate.engine.steering import Steering
    from alcor_migrate.gateway import ApiGateway
    from alcor_migrate.journal import Journal

log = structlog.get_logger(__name__)

_LOGGED = 20
_LOOKS = 3


class Upkeep:
    """Compares the two sides, has healed what passed the gateway by, and remembers the last verification."""

    def __init__(
        self,
        store: StateStore,
        journal: Journal,
        replay: Replay,
        gateway: ApiGateway,
        steering: Steering,
        verify_max_age: float,
    ) -> None:
        self.verification = store.recall("verification", Verification | None, None)  # type: ignore[arg-type]
        self.swept = SweepStatus(last_at=None, sweeps=0, found=0)
        self._store = store
        self._journal = journal
        self._replay = replay
        self._gateway = gateway
        self._steering = steering
        self._verify_max_age = verify_max_age

    @property
    def freshness(self) -> str:
        """Of the last verification: `never`, `fresh` or `stale`."""
        return freshness(self.verification, self._verify_max_age, time.time())

    @property
    def freshness_by_resource(self) -> list[Freshness]:
        """The same for each resource that the passive side is to hold."""
        _, passive = self._replay.sides()
        held = [(of.plural, of.name) for of in load_order() if comes_to(passive, of)]
        return by_resource(held, self.verification, self._replay.written, self._verify_max_age, time.time())

    @property
    def due(self) -> bool:
        """Whether to verify again: it is stale, or it found what a sweep may have healed meanwhile."""
        return self.freshness != "fresh" or (self.verification is not None and not self.verification.clean)

    @property
    def incomplete(self) -> bool:
        """Whether writes passed without a record, and no sweep has been made since."""
        return self._replay.incomplete or self._gateway.incomplete

    async def sweep(self, *, counted: bool = True) -> str:
        """Find what passed the gateway by and have it replayed; says what it found. Raises CloudError.

        Not `counted` are objects of which it is known that they differ, as after a reverse: one look is enough.
        """
        tally = Tally()
        healing = self.incomplete and not self._journal.stalled
        misses = self._gateway.misses
        await self._replay.recheck(await prove_quick(self._replay.sides("source")[0]))
        for of in load_order():
            active, passive = self._replay.sides()
            if not comes_to(passive, of):
                continue
            suspects = (await suspected(active, passive, of, self._steering.chunk_size, self._store)).ids
            # What is being written now differs for a moment, and is replayed anyway; the sweep looks for the rest.
            lasting = await confirmed(self._journal, self._replay, of, suspects, _LOOKS if counted else 1)
            if lasting:
                healed = await self._replay.recheck(change.key for change in lasting)
                tally.add(healed)
                for change in healed[:_LOGGED]:
                    log.info("sweep_found", object=str(change.key), difference=describe(change)[:500])
        # what passed without a record while this sweep was under way may have been compared before
        if healing and self._gateway.misses == misses:
            self._replay.incomplete = False
            self._gateway.mark_complete()
        self.swept.sweeps += 1
        if counted:
            self.swept.found += tally.found.total()
            self.swept.found_by = dict(Counter(self.swept.found_by) + tally.found)
        self.swept.last_at = time.time()
        return f"{tally.found.total()} objects had passed the gateway by"

    async def verify(self) -> Verification:
        """Compare every object of both sides. Raises CloudError."""
        self.verification = await verify(self._journal, self._replay, self._steering.chunk_size, memory=self._store)
        self._store.keep("verification", self.verification)
        return self.verification

    async def verify_in_words(self) -> str:
        """The same, as the reason of a transition."""
        found = await self.verify()
        return f"{found.compared} objects compared, {found.mismatches} mismatches"

    async def repair(self) -> int:
        """Have everything that differs replayed; answers how many objects did. Raises CloudError."""
        healed = 0
        for of in load_order():
            active, passive = self._replay.sides()
            if not comes_to(passive, of):
                continue
            differ = await differing(active, passive, of, self._steering.chunk_size)
            healed += len(await self._replay.recheck(differ))
        return healed

    def forget(self) -> None:
        """What was found equal was in the other direction."""
        self.verification = None
        self._store.keep("verification", None)

"""Whether bulk reading may go on now, and why not; as in gh-ost, any one reason throttles, and it is always shown.

Copy, verify and sweep read in pages; each page waits here. Capture and replay are never throttled: a lag that grows
because of a throttle would only have to be worked off later. Nothing at all is throttled during a handover.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog

from alcor_migrate.errors import CloudError
from alcor_migrate.side import fingerprints, listed, prove_quick, quick, steady

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from alcor_migrate.engine.steering import Steering
    from alcor_migrate.side import Change, Fingerprint, Key, Rejection, Side
    from alcor_model import Resource
    from alcor_model.fields import Json

log = structlog.get_logger(__name__)

PROBE_INTERVAL = 1.0
_LOOK = 0.25


def verdict(by: str, flag_file: Path | None, latency: float, target: float) -> str:
    """Why bulk reading has to wait now; empty when it may go on.

    `by` is the operator who throttles, `flag_file` a file that is there, `latency` what the source was last seen to
    need, in seconds; a `target` of 0 never throttles.
    """
    if by:
        return f"{by} has throttled it"
    if flag_file is not None:
        return f"the file {flag_file} exists"
    if target and latency > target:
        return f"the source answers in {latency:.2f} s, above {target:g} s"
    return ""


class Throttle:
    """Lets pages through or not. `probe` is one small request to the source, which always asks for the same."""

    def __init__(self, steering: Steering, flag_file: Path | None, probe: Callable[[], Awaitable[object]]) -> None:
        self.latency = 0.0
        """Seconds that the source's last probe took; 0 before the first."""
        self.waited = 0.0
        """Seconds that pages have waited here since the start."""
        self._steering = steering
        self._flag_file = flag_file
        self._probe = probe
        self._probed_at = 0.0
        self._probing = asyncio.Lock()
        self._lifted = 0
        self._waiting = 0
        self._changed = asyncio.Event()

    @property
    def reason(self) -> str:
        """Why bulk reading has to wait now; empty when it may go on."""
        if self._lifted:
            return ""
        flag = self._flag_file if self._flag_file is not None and self._flag_file.exists() else None
        return verdict(self._steering.throttled, flag, self.latency, self._steering.source_latency)

    @property
    def holds_back(self) -> bool:
        """Whether something waits here now."""
        return self._waiting > 0

    async def passed(self) -> None:
        """Return when the next page may be read."""
        await self._measure()
        if not (reason := self.reason):
            return
        log.info("throttled", reason=reason)
        began = time.monotonic()
        self._waiting += 1
        try:
            while self.reason:
                self._changed.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await self._changed.wait()
                await self._measure()
        finally:
            self._waiting -= 1
            waited = time.monotonic() - began
            self.waited += waited
            log.info("throttle_over", seconds=round(waited, 2))

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Nothing is throttled meanwhile."""
        self._lifted += 1
        self._changed.set()
        try:
            yield
        finally:
            self._lifted -= 1

    def wake(self) -> None:
        """Look again now, because a setting has changed."""
        self._changed.set()

    async def _measure(self) -> None:
        if self._lifted or not self._steering.source_latency:
            return
        async with self._probing:
            began = time.monotonic()
            if began - self._probed_at < PROBE_INTERVAL:
                return
            # A side that does not answer is told by who reads the page; here it is only slow.
            with contextlib.suppress(CloudError):
                await self._probe()
            self._probed_at = time.monotonic()
            self.latency = self._probed_at - began


class ThrottledSide:
    """A side whose pages wait for the throttle; reading and applying single objects does not."""

    def __init__(self, side: Side, throttle: Throttle) -> None:
        self._side = side
        self._throttle = throttle
        self.name = side.name
        self.keeps_everything = side.keeps_everything

    @property
    def quick(self) -> Side:
        """The same, read the fastest."""
        return ThrottledSide(quick(self._side), self._throttle)

    async def prove_quick(self) -> set[Key]:
        """What was lastingly told wrong when it was read quickly."""
        return await prove_quick(self._side)

    def pages(self, of: Resource, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """Everything there is of a resource, in pages; an object is given once."""
        return self.bucket(of, "", page_size)

    async def bucket(self, of: Resource, prefix: str, page_size: int) -> AsyncIterator[Sequence[Json]]:
        """The objects whose ids begin so, in pages."""
        await self._throttle.passed()
        async for page in listed(self._side, of, page_size, prefix):
            yield page
            await self._throttle.passed()

    async def fingerprints(self, of: Resource, length: int) -> dict[str, Fingerprint] | None:
        """What says cheaply whether objects have changed; None when this side has nothing like it."""
        await self._throttle.passed()
        return await fingerprints(self._side, of, length)

    def steady(self) -> AbstractAsyncContextManager[bool]:
        """Have the side hold still, if it can; says whether it does."""
        return steady(self._side)

    async def read(self, of: Resource, ids: Iterable[str]) -> dict[str, Json]:
        """The objects with these ids; those that do not exist are not in the answer."""
        return await self._side.read(of, ids)

    async def find(self, of: Resource, field: str, values: Iterable[str]) -> dict[str, Json]:
        """The objects whose field has one of these values."""
        return await self._side.find(of, field, values)

    async def apply(self, changes: Sequence[Change]) -> Sequence[Rejection]:
        """Make this side hold what the changes say; idempotent. Answers what it would not take."""
        return await self._side.apply(changes)

    async def close(self) -> None:
        """Let go of connections."""
        await self._side.close()

"""A cutover that was asked for and waits, as gh-ost's does: until its flag file is gone or the operator says so."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from alcor_migrate.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

    from alcor_migrate.engine.steering import Steering

_LOOK = 0.5


class Postponement:
    """At most one cutover waits here; everything else goes on meanwhile."""

    def __init__(self, steering: Steering) -> None:
        self.waits = ""
        """Who asked for it, and what it waits for; empty when none does."""
        self._steering = steering
        self._called = asyncio.Event()

    async def over(self, actor: str, flag_file: Path | None) -> None:
        """Return when a cutover is not postponed any more. Raises StateError when it is withdrawn."""
        if self.waits:
            raise StateError(f"a cutover waits already: {self.waits}", "`alcor-migrate control withdraw` ends it.")
        self._called.clear()
        while not self._called.is_set() and (reason := self._reason(flag_file)):
            self.waits = f"{actor} asked for it, and {reason}"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._called.wait()
            if not self.waits:
                raise StateError("the cutover was withdrawn", "Ask for it again when it is wanted.")
        self.waits = ""

    def end(self) -> None:
        """Wait no longer, whether the flag file is there or not."""
        self._called.set()

    def withdraw(self) -> bool:
        """The cutover that waits is not wanted any more; says whether there was one."""
        waited = bool(self.waits)
        self.waits = ""
        self._called.set()
        return waited

    def _reason(self, flag_file: Path | None) -> str:
        if by := self._steering.postponed:
            return f"{by} has postponed it"
        if flag_file is not None and flag_file.exists():
            return f"the file {flag_file} exists"
        return ""

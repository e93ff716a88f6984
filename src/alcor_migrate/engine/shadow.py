"""Shadow reads: a sample of what users read is also asked of the target, and the two answers are compared.

Verify compares what is stored; this compares what users are told, filters, policies and pages included, with the
user's own token. The source is asked twice, and what differs between its own two answers is *noise* (as Diffy has
it); only what differs beyond that, at every one of several looks, is a difference. Before the target is asked,
replay has passed everything that was written before the source's answer.

The user's own request is never waited for and never repeated: what is asked here is asked beside it, one sample
after the other, and samples that come meanwhile beyond a short queue are dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec
import structlog

from alcor_migrate.errors import CloudError, CloudUnreachable
from alcor_migrate.gateway.access import resource_of, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_migrate.engine.replay import Replay
    from alcor_migrate.engine.throttle import Throttle
    from alcor_migrate.journal import Journal

log = structlog.get_logger(__name__)

_WAITING = 100
_LOOKS = 3
_PAUSE = 0.25
_PATIENCE = 5.0
_SHOWN = 20
_BAD = 400
_TIMEOUT = 30.0
_ADDRESS = re.compile(r"^https?://[^/]+")


class Answer(NamedTuple):
    """What a side said."""

    status: int
    body: Any


class Asker(Protocol):
    """Asks a side as a user would. Raises CloudUnreachable."""

    async def ask(self, side: str, target: str, token: str) -> Answer:
        """GET a path with its query, with this token."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Difference(msgspec.Struct, frozen=True):
    """A read that the two sides lastingly answer differently."""

    path: str
    """What was read, without values that look secret."""
    fields: list[str]
    """In what, as `resource.field`."""
    example: str
    """The first of them, with both values."""


class ShadowStatus(msgspec.Struct, kw_only=True):
    """What shadow reads found since the start."""

    share: float
    """The share of users' reads that is also asked of the target."""
    asked: int = 0
    """Reads that were compared."""
    equal: int = 0
    """Those that both sides answered alike."""
    different: int = 0
    """Those that they lastingly did not."""
    noisy: int = 0
    """Those among the equal whose fields differed between two answers of Neutron itself, or only for a moment."""
    failed: int = 0
    """Those that a side did not answer, or whose writes were not replayed in time."""
    dropped: int = 0
    """Samples that came while too many waited, or while bulk reading was throttled."""
    fields: dict[str, int] = {}
    """How often each `resource.field` was among the differences."""
    noise: dict[str, int] = {}
    """How often each was among the noise."""
    shown: list[Difference] = []
    """The last differences."""


class Shadow:
    """Takes samples by `sample` and compares them in `run`, until cancelled."""

    def __init__(
        self,
        asker: Asker,
        journal: Journal,
        replay: Replay,
        throttle: Throttle,
        share: float,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """`wanted` says whether the target holds everything by now, and users still read from the source."""
        self.status = ShadowStatus(share=share)
        self._asker = asker
        self._wanted = wanted
        self._journal = journal
        self._replay = replay
        self._throttle = throttle
        self._samples: deque[tuple[str, str]] = deque()
        self._came = asyncio.Event()
        self._open = False

    def sample(self, target: bytes, token: str) -> None:
        """A user has read this. Only remembers it."""
        if not self._open or not self._wanted():
            return
        if len(self._samples) >= _WAITING or self._throttle.reason:
            self.status.dropped += 1
            return
        self._samples.append((target.decode("latin-1"), token))
        self._came.set()

    async def run(self) -> None:
        """Compare what is sampled from now on, until cancelled."""
        self._open = True
        try:
            while True:
                self._came.clear()
                while self._samples:
                    await self._compare(*self._samples.popleft())
                await self._came.wait()
        finally:
            self._open = False
            self._samples.clear()

    async def _compare(self, target: str, token: str) -> None:
        try:
            lasting, noise, example = await self._looks(target, token)
        except (CloudError, TimeoutError) as error:
            self.status.failed += 1
            log.info("shadow_read_failed", path=without_secrets(target.encode()), reason=str(error) or "too late")
            return
        self.status.asked += 1
        for name in noise:
            self.status.noise[name] = self.status.noise.get(name, 0) + 1
        if not lasting:
            self.status.equal += 1
            self.status.noisy += bool(noise)
            return
        self.status.different += 1
        for name in lasting:
            self.status.fields[name] = self.status.fields.get(name, 0) + 1
        path = without_secrets(target.encode())
        found = Difference(path, sorted(lasting), example)
        self.status.shown = [*self.status.shown, found][-_SHOWN:]
        log.warning("shadow_read_differs", path=path, fields=found.fields, example=example)

    async def _looks(self, target: str, token: str) -> tuple[set[str], set[str], str]:
        """(what differs at every look, what is noise, an example)."""
        resource = resource_of(target.encode())
        lasting: set[str] | None = None
        noise: set[str] = set()
        example = ""
        for number in range(_LOOKS):
            if number:
                await asyncio.sleep(_PAUSE * number)
            first, shadow, second = await self._three(target, token)
            found = differences(resource, first, shadow)
            own = differences(resource, first, second)
            noise |= own.keys() | ((lasting or set()) - found.keys())
            now = found.keys() - own.keys()
            lasting = set(now) if lasting is None else lasting & now
            if not lasting:
                return set(), noise, ""
            example = found[min(lasting)]
        return lasting or set(), noise, example

    async def _three(self, target: str, token: str) -> tuple[Answer, Answer, Answer]:
        first = await self._asker.ask("source", target, token)
        async with asyncio.timeout(_PATIENCE):
            await self._replay.reach(self._journal.position)
        shadow = await self._asker.ask("target", target, token)
        return first, shadow, await self._asker.ask("source", target, token)


def differences(resource: str, one: Answer, other: Answer) -> dict[str, str]:
    """The fields, as `resource.field`, in which two answers differ, each with both values; lists go by id."""
    if one.status != other.status:
        return {f"{resource}.(status)": f"{one.status} and {other.status}"}
    if one.status >= _BAD:
        return {}  # both refuse; in which words is theirs
    found: dict[str, str] = {}
    ours, theirs = _parts(one.body), _parts(other.body)
    for name in ours.keys() | theirs.keys():
        mine, its = ours.get(name), theirs.get(name)
        if isinstance(mine, dict) and isinstance(its, dict) and not name.startswith("("):
            for field in mine.keys() | its.keys():
                if (left := mine.get(field, _ABSENT)) != (right := its.get(field, _ABSENT)):
                    found.setdefault(f"{resource}.{field}", f"{name}: {_short(left)} and {_short(right)}")
        elif mine is None or its is None:
            found.setdefault(f"{resource}.(object)", f"{name} is only in {'one' if its is None else 'the other'}")
        elif mine != its:
            found.setdefault(f"{resource}.{name}", f"{_short(mine)} and {_short(its)}")
    return found


_ABSENT = "(absent)"


def _parts(body: Any) -> dict[str, Any]:
    """The objects of an answer by id, and whatever else it says by its key in parentheses."""
    if not isinstance(body, dict):
        return {"(body)": body}
    parts: dict[str, Any] = {}
    for key, value in body.items():
        if isinstance(value, dict):
            parts[str(value.get("id", key))] = _steady(value)
        elif isinstance(value, list) and all(isinstance(o, dict) and "id" in o for o in value):
            parts |= {str(o["id"]): _steady(o) for o in value}
        else:
            parts[f"({key})"] = _pathless(value)
    return parts


def _steady(thing: dict[str, Any]) -> dict[str, Any]:
    """Lists of an object in one order: Neutron's come as the database gives them."""
    return {k: sorted(v, key=repr) if isinstance(v, list) else v for k, v in thing.items()}


def _pathless(value: Any) -> Any:
    """Links without the address of the server that made them."""
    if isinstance(value, list):
        return [_pathless(each) for each in value]
    if isinstance(value, dict):
        return {k: _ADDRESS.sub("", v) if k == "href" and isinstance(v, str) else v for k, v in value.items()}
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:120] + "…"  # noqa: PLR2004  # for a line of the log


class HttpAsker:
    """Asks the two sides at their addresses."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._urls = urls
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, side: str, target: str, token: str) -> Answer:
        """GET a path with its query, with this token. Raises CloudUnreachable."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT))
        url = self._urls[side].rstrip("/") + target
        try:
            headers = {"X-Auth-Token": token, "Accept": "application/json"}
            async with self._session.get(url, headers=headers) as answer:
                raw = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise CloudUnreachable(f"the {side} does not answer a shadow read at {urlsplit(url).netloc}") from error
        body: Any = raw.decode("utf-8", "replace")
        with contextlib.suppress(msgspec.DecodeError):
            body = msgspec.json.decode(raw)
        return Answer(answer.status, body)

    async def close(self) -> None:
        """Let go of connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

"""Whether Neutron's own pipeline is empty, before hosts are taken away from its agents; seen, and written down.

A write that Neutron has answered may still be on its way to a host: as a message in an agent's queue, or as a port
that waits for its agent. What is looked at, and where each of these shows, is in `CHECKS`.
"""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import aiohttp
import msgspec

from alcor_migrate.errors import CloudError, CloudRefused, CloudUnreachable
from alcor_model import resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alcor_migrate.engine.machinery import Machinery

SETTLED_AFTER = 60.0
"""A bound port that is DOWN for longer than this rests: its instance is shut off, and no agent works on it."""

STATISTICS_AGE = 6.0
"""How old RabbitMQ's figures of a queue may be, in seconds, and some: they are collected every 5 s
(`collect_statistics_interval`). They are asked for so long after everything else was seen, so that they are newer."""

_QUEUES = "agents' queues"
_TRANSITIONAL = {"BUILD", "PENDING_CREATE", "PENDING_UPDATE", "PENDING_DELETE", "ALLOCATING"}
_UNBOUND = {"", "unbound", "binding_failed"}
_WITH_STATUS = ("port", "router", "floatingip")
_PAGE = 500
_SHOWN = 20
_TIMEOUT = 10.0
_BAD = 400
_MANAGEMENT_PORT = 15672

QUEUES = ("q-agent-notifier", "q-plugin", "q-reports-plugin", "q-l3-plugin", "dhcp_agent", "l3_agent", "neutron-vo-")
"""How the names of the queues begin that carry work of Neutron's agents (neutron_lib/agent/topics.py, and
`neutron-vo-` of neutron/api/rpc/handlers/resources_rpc.py); the queues of answers, `reply_…`, carry none."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    """What."""
    passed: bool | None
    """Whether it is as it has to be; None when it could not be looked at."""
    reason: str
    """What was seen."""
    shown: list[str] = []
    """The first of what is in the way."""


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of Neutron's pipeline."""

    at: float
    """When, in unix seconds."""
    checks: list[Check]
    """Each of them."""

    @property
    def empty(self) -> bool:
        """Whether nothing is on its way, as far as could be seen; what could not be seen does not count."""
        return all(check.passed is not False for check in self.checks)

    @property
    def words(self) -> str:
        """In one line."""
        unseen = [c.name for c in self.checks if c.passed is None]
        closed = [f"{c.name}: {c.reason}" for c in self.checks if c.passed is False]
        said = "not drained: " + "; ".join(closed) if closed else "drained"
        return said + (f" (not seen: {', '.join(unseen)})" if unseen else "")


async def drained(parts: Machinery) -> Drained:
    """Look at everything once."""
    now = time.time()
    checks = [_in_flight(parts), _replayed(parts)]
    checks += [await _statuses(parts, name, now) for name in _WITH_STATUS]
    checks.append(await _agents(parts))
    if url := parts.settings.engine.rabbitmq:
        await asyncio.sleep(STATISTICS_AGE - (time.time() - now))
        checks.append(await _queues(url))
    else:
        checks.append(Check(name=_QUEUES, passed=None, reason="engine.rabbitmq is not configured"))
    return Drained(at=now, checks=checks)


def _in_flight(parts: Machinery) -> Check:
    flying = parts.gateway.in_flight_writes
    return Check(
        name="requests in flight",
        passed=not flying,
        reason=f"{flying} writes are not answered yet" if flying else "none",
    )


def _replayed(parts: Machinery) -> Check:
    """While a reverse is possible, what is written to Alcor is given to Neutron, whose agents then work on it."""
    behind = parts.replay.lag
    if parts.replay.active == "target" and (behind or parts.replay.applied < parts.journal.position):
        return Check(name="replay to Neutron", passed=False, reason=f"is {behind:.1f} s behind")
    return Check(name="replay to Neutron", passed=True, reason="nothing is waiting to be written")


async def _statuses(parts: Machinery, name: str, now: float) -> Check:
    of, title = resource(name), f"{name}s between two states"
    count, found = 0, []
    try:
        async for page in parts.around.source.pages(of, _PAGE):
            count += len(page)
            found += [why for o in page if (why := in_transition(name, o, now))]
    except CloudError as error:
        return Check(name=title, passed=None, reason=error.message)
    return Check(
        name=title,
        passed=not found,
        reason=f"{len(found)} of {count}" if found else f"none of {count}",
        shown=found[:_SHOWN],
    )


def in_transition(name: str, thing: Mapping[str, Any], now: float) -> str:
    """In what an object waits for an agent; empty when it does not. `now` is unix seconds.

    A port is DOWN from its binding until its agent asks for it, and BUILD from then on until the agent, and DHCP's
    where there is one, have reported (Neutron's provisioning blocks).
    """
    status = str(thing.get("status") or "")
    if status in _TRANSITIONAL:
        return f"{thing['id']} is {status}"
    if name != "port" or status != "DOWN" or not thing.get("admin_state_up"):
        return ""
    bound = thing.get("binding:host_id") and thing.get("binding:vif_type") not in _UNBOUND
    changed = _seconds(thing.get("updated_at"))
    if bound and changed is not None and now - changed < SETTLED_AFTER:
        return f"{thing['id']} is DOWN, bound to {thing['binding:host_id']} and changed {now - changed:.0f} s ago"
    return ""


async def _agents(parts: Machinery) -> Check:
    try:
        agents = await parts.around.agents()
    except CloudError as error:
        return Check(name="agents", passed=None, reason=error.message)
    dead = [f"{a.get('binary')} on {a.get('host')}" for a in agents if not a.get("alive")]
    silent = f"{len(dead)} of {len(agents)} do not report, so what waits for them stays"
    return Check(
        name="agents", passed=not dead, reason=silent if dead else f"{len(agents)} alive", shown=dead[:_SHOWN]
    )


async def _queues(url: str) -> Check:
    """Ask RabbitMQ's management API; `url` is its address with user and password."""
    try:
        listed = await _list_queues(url)
    except CloudError as error:
        return Check(name=_QUEUES, passed=None, reason=error.message)
    ours, busy = waiting(listed)
    return Check(
        name=_QUEUES,
        passed=not busy,
        reason=f"{sum(busy.values())} messages in {len(busy)} of {ours}" if busy else f"all {ours} are empty",
        shown=[f"{queue}: {messages}" for queue, messages in sorted(busy.items())[:_SHOWN]],
    )


def waiting(listed: Iterable[Mapping[str, Any]]) -> tuple[int, dict[str, int]]:
    """How many of the queues are Neutron's agents', and those that hold messages, delivered or not."""
    ours = [queue for queue in listed if str(queue.get("name", "")).startswith(QUEUES)]
    return len(ours), {str(q["name"]): int(q["messages"]) for q in ours if q.get("messages")}


async def _list_queues(url: str) -> list[dict[str, Any]]:
    parts = urlsplit(url)
    vhost = unquote(parts.path.removeprefix("/"))
    root = f"{parts.scheme}://{parts.hostname}:{parts.port or _MANAGEMENT_PORT}"
    api = f"{root}/api/queues" + (f"/{quote(vhost, safe='')}" if vhost else "")
    login = f"{unquote(parts.username or 'guest')}:{unquote(parts.password or 'guest')}"
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT), headers=headers) as session,
            session.get(api, params={"columns": "name,messages"}) as answer,
        ):
            if answer.status >= _BAD:
                raise CloudRefused("RabbitMQ's management API", answer.status)
            queues: list[dict[str, Any]] = await answer.json()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CloudUnreachable(f"RabbitMQ's management API does not answer at {root}") from error
    return queues


def _seconds(text: Any) -> float | None:
    try:
        return dt.datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None

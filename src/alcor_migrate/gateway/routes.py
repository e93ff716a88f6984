"""What the gateway does with a request now: pure decisions."""

from __future__ import annotations

import enum
import re
from typing import Final
from urllib.parse import unquote_to_bytes


class Route(enum.Enum):
    """What the gateway does with writes (reads always go to the active side)."""

    PASS = "pass"  # noqa: S105  (a word of the vocabulary)
    """Through to the source; nothing is recorded."""
    CAPTURE = "capture"
    """Through to the source; recorded."""
    HOLD = "hold"
    """They wait inside the gateway, for a bounded time."""
    TARGET = "target"
    """Through to the target, as reads do; recorded for a reverse."""

    @property
    def captures(self) -> bool:
        """Whether writes are recorded."""
        return self is Route.CAPTURE or self is Route.TARGET

    @property
    def side(self) -> str:
        """Where requests go: `source` or `target`."""
        return "target" if self is Route.TARGET else "source"


class Kind(enum.Enum):
    """What a request may change."""

    READ = "read"
    WRITE = "write"
    READ_THAT_MAY_WRITE = "read that may write"
    """Changes something only now and then; held like a write, recorded after its answer."""


_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
# GETs that write. The topology is made by the GET itself; listing security groups or their rules makes the
# project's `default` group when it has none yet (neutron/db/securitygroups_db.py).
_ALLOCATES = re.compile(rb"/v2\.0/auto-allocated-topology(?:[/.]|$)")
_ON_BOTH_SIDES = re.compile(
    rb"/v2\.0/(?:networks|subnets|ports|routers|floatingips|security-groups|security-group-rules)"
    rb"(?:/[\w-]+(?:/tags(?:/[^/]+)?)?)?(?:\.json)?/?"
)
"""What the Neutron API of both sides serves (`side.COMES_BACK`), and tags."""
_MAY_CREATE_DEFAULT_GROUP = re.compile(rb"/v2\.0/security-group(?:s|-rules)(?:\.json)?/?$")


def kind_of(method: bytes, target: bytes) -> Kind:
    """Classifies a request by its method and its target (path and query, as the client sent them)."""
    if method not in _SAFE:
        return Kind.WRITE
    # `find`, because `in` first tries to understand the needle as a number
    if target.find(b"security-group") < 0 and target.find(b"auto-allocated") < 0 and target.find(b"%") < 0:
        return Kind.READ
    path = target.partition(b"?")[0]
    if path.find(b"%") >= 0:
        path = unquote_to_bytes(path)
    if _ALLOCATES.search(path):
        return Kind.WRITE
    if _MAY_CREATE_DEFAULT_GROUP.search(path):
        return Kind.READ_THAT_MAY_WRITE
    return Kind.READ


def on_both_sides(method: bytes, target: bytes) -> bool:
    """Whether a request reads what either side can answer; everything else is for the active one."""
    return method == b"GET" and _ON_BOTH_SIDES.fullmatch(target.partition(b"?")[0]) is not None

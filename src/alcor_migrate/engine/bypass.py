"""Who wrote what a sweep found: a pure guess from what is different.

Nobody signs what is written past the gateway. But Neutron's agents only ever write a few things, and so do reads
that write; what is left came by another way: another API server, or a hand in the database.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from alcor_model import differences

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alcor_migrate.side import Change


class Writer(StrEnum):
    """Who wrote past the gateway."""

    AGENTS = "agents"
    """Neutron's agents, over RPC: ports of their own, and what they report of others."""
    READS = "reads"
    """A read that writes, whose record was lost or never made: a project's `default` group with its rules."""
    OTHERS = "others"
    """Anybody else: another way to the API, or straight in the database."""


_OWNED = ("network:dhcp", "network:floatingip_agent_gateway", "network:router_centralized_snat")
"""Beginnings of `device_owner` of ports that agents ask for or give back."""
_REPORTED = {
    "port": {"status", "binding:vif_type", "binding:vif_details", "binding:host_id", "binding:levels"},
    "network": {"status", "availability_zones"},
    "router": {"status", "availability_zones"},
    "floatingip": {"status"},
    "agent": None,
}
"""Fields that agents' reports change, by resource; None is all of them. Times and numbers that go with any change are
nobody's."""
_GO_ALONG = {"updated_at", "revision_number"}


class Tally:
    """Counts what one sweep found, by writer. A group has to be given before its rules, as a sweep finds them."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        """Objects by writer."""
        self._groups: set[str] = set()

    def add(self, changes: Iterable[Change]) -> None:
        """Count these too."""
        self.found.update(_writer(change, self._groups).value for change in changes)


def _writer(change: Change, groups: set[str]) -> Writer:
    """`groups` are the default groups found so far; a new one is added."""
    of, old, new = change.of, change.old, change.new
    held = new or old or {}
    if of.name == "port" and (old is None or new is None):
        return Writer.AGENTS if str(held.get("device_owner", "")).startswith(_OWNED) else Writer.OTHERS
    if old is None and of.name == "security_group" and held.get("name") == "default":
        groups.add(change.id)
        return Writer.READS
    if old is None and of.name == "security_group_rule" and held.get("security_group_id") in groups:
        return Writer.READS
    if of.name in _REPORTED:
        reported = _REPORTED[of.name]
        if reported is None:
            return Writer.AGENTS
        if old is not None and new is not None:
            fields = {d.field for d in differences(of, new, old, given=change.given)}
            return Writer.AGENTS if fields <= reported | _GO_ALONG else Writer.OTHERS
    return Writer.OTHERS

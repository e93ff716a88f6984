"""What one request works with: the objects in Neutron's form, who asks, and the time.

It lives as long as the request's transaction. Objects that are read are remembered, so that a batch of ports in
one network reads that network once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from alcor_model import to_alcor, to_neutron
from alcor_model.catalogue import NETWORK
from alcor_sdn.controller.neutron.errors import not_found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json
    from alcor_sdn.controller.identity import Caller
    from alcor_sdn.controller.settings import Settings
    from alcor_sdn.controller.store import Rows


class Session:
    """The objects as one caller's request sees and changes them."""

    def __init__(self, rows: Rows, caller: Caller, settings: Settings) -> None:
        self.rows = rows
        self.caller = caller
        self.settings = settings
        self.now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._known: dict[tuple[str, str], Json | None] = {}

    # Reading

    def get(self, of: Resource, object_id: str | None) -> Json | None:
        """An object in Neutron's form, whoever owns it; change it only through `save` or `touch`."""
        if not object_id:
            return None
        key = (of.name, object_id)
        if key not in self._known:
            alcor = self.rows.get(of, object_id)
            self._known[key] = None if alcor is None else to_neutron(of, alcor)
        return self._known[key]

    def there(self, of: Resource, object_id: str) -> Json:
        """An object, whoever owns it. Raises the resource's not-found error."""
        found = self.get(of, object_id)
        if found is None:
            raise not_found(of.name, object_id)
        return found

    def visible(self, of: Resource, object_id: str) -> Json:
        """An object that the caller may see. Raises the resource's not-found error."""
        found = self.get(of, object_id)
        if found is None or not self.may_see(of, found):
            raise not_found(of.name, object_id)
        return found

    def find(self, of: Resource, **where: str | Sequence[str]) -> Iterator[Json]:
        """Objects by looked-up columns (see `store.KEYS`), whoever owns them, in the order of their ids."""
        columns = {name: (value,) if isinstance(value, str) else value for name, value in where.items()}
        projects = columns.pop("project_id", None)
        for alcor in self.rows.find(of, columns, projects=projects):
            yield self._known.setdefault((of.name, alcor["id"]), to_neutron(of, alcor)) or {}

    def many(self, of: Resource, ids: Iterable[str]) -> list[Json]:
        """Those of the objects that are there, in the order of their ids."""
        return [found for object_id in sorted(set(ids)) if (found := self.get(of, object_id)) is not None]

    def may_see(self, of: Resource, neutron: Json) -> bool:
        """Whether the caller may know of an object: its own, and what its network lets it see."""
        caller = self.caller
        if caller.admin or neutron.get("project_id") == caller.project_id:
            return True
        match of.name:
            case "network":
                return bool(caller.service or neutron.get("shared") or neutron.get("router:external"))
            case "subnet":
                network = self.get(NETWORK, neutron.get("network_id")) or {}
                return bool(
                    caller.service
                    or network.get("project_id") == caller.project_id
                    or network.get("shared")
                    or network.get("router:external")
                )
            case "port":
                network = self.get(NETWORK, neutron.get("network_id")) or {}
                return caller.service or network.get("project_id") == caller.project_id
            case "security_group":
                return bool(neutron.get("shared"))
            case _:
                return False

    # Writing

    def add(self, of: Resource, neutron: Json, *, revision: int) -> Json:
        """Store a new object with its first revision number and its times."""
        neutron["tenant_id"] = neutron["project_id"]
        neutron["revision_number"] = revision
        neutron["created_at"] = neutron["updated_at"] = self.now
        return self.save(of, neutron)

    def touch(self, of: Resource, neutron: Json, *, steps: int = 1) -> Json:
        """Store a changed object under its next revision number."""
        neutron["revision_number"] = (neutron.get("revision_number") or 0) + steps
        neutron["updated_at"] = self.now
        return self.save(of, neutron)

    def save(self, of: Resource, neutron: Json) -> Json:
        """Store an object as it is."""
        self.rows.put(of, [to_alcor(of, neutron)])
        self._known[of.name, neutron["id"]] = neutron
        return neutron

    def remove(self, of: Resource, object_id: str) -> None:
        """Remove an object."""
        self.rows.remove(of, [object_id])
        self._known[of.name, object_id] = None

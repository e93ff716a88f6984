"""Makes objects of any declared resource in the lab's Neutron, and reads them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alcor_model.catalogue import Resource, resource
from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.cloud import Lab

REFUSED = {
    "security_groups_default_statefulness": "Neutron 29 answers 500 or 400 to every POST: one and a list have one key"
}
"""Resources of which none can be made through the API, and why."""


class Maker:
    """Makes objects as the lab's administrator and reads them back."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._api = lab.connection("lab-direct").network
        self.shop, self.analytics, self.research = (project.id for project in lab.projects)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request; raises LabError with Neutron's answer when it is refused."""
        answer = self._api.request(f"/{path}", method, json=body, raise_exc=False)
        if not answer.ok:
            msg = f"{method} {path} was answered {answer.status_code}: {answer.text[:500]}"
            raise LabError(msg)
        return answer.json() if answer.text else {}

    def make(self, kind: str, below: str = "", /, **attributes: Any) -> Any:
        """Create an object of a resource (of a nested one `below` that id) and return Neutron's answer."""
        of = resource(kind)
        return self.call("POST", self._path(of, below), {of.name: attributes})[of.name]

    def change(self, kind: str, which: str, /, **attributes: Any) -> Any:
        """Change an object."""
        of = resource(kind)
        return self.call("PUT", f"{of.collection}/{which}", {of.name: attributes})[of.name]

    def tag(self, kind: str, which: str, /, *tags: str) -> None:
        """Set the tags of an object."""
        self.call("PUT", f"{resource(kind).tags_collection}/{which}/tags", {"tags": list(tags)})

    def listed(self, of: Resource) -> list[Any]:
        """Every object of a resource as Neutron lists it; of a nested one, with the id of what it is below."""
        if not of.listed or of.name in REFUSED:
            return []
        if of.nested is None:
            return list(self.call("GET", of.collection)[of.plural])
        return [
            {of.nested.field: parent["id"]} | item
            for parent in self.listed(resource(of.nested.resource))
            for item in self.call("GET", self._path(of, parent["id"]))[of.plural]
        ]

    def _path(self, of: Resource, below: str) -> str:
        if of.nested is None:
            return of.collection
        return f"{resource(of.nested.resource).collection}/{below}/{of.collection}"


def first_ipv4(port: Mapping[str, Any]) -> str:
    """The first IPv4 address of a port."""
    return next(str(ip["ip_address"]) for ip in port["fixed_ips"] if "." in ip["ip_address"])

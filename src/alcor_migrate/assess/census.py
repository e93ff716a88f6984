"""Counts what there is and looks at each object once, as it comes by; pure.

Keeps ids, never objects: what is needed to say that a reference leads nowhere, and no more. Resources have to come
in load order, so that what an object refers to has been seen before it.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import msgspec

from alcor_migrate.assess.document import Count, Subject
from alcor_model import to_alcor
from alcor_model.errors import MalformedObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from alcor_model import Resource
    from alcor_model.fields import Json


class Dangling(msgspec.Struct, frozen=True):
    """A reference to something that was not seen: it does not exist, or was made while we read."""

    subject: Subject
    field: str
    resource: str
    missing: str


class Census:
    """Everything that is known after one walk through the cloud. `projects` are names by id."""

    def __init__(self, projects: Mapping[str, str]) -> None:
        self._projects = projects
        self._counts: Counter[tuple[str, str]] = Counter()
        self._seen: defaultdict[str, set[str]] = defaultdict(set)
        self._subnets: dict[str, tuple[str, Any]] = {}
        self._macs: set[int] = set()
        self._waiting: list[Dangling] = []
        self.objects: Counter[str] = Counter()
        self.findings: list[tuple[str, Subject]] = []

    def take(self, of: Resource, found: Json) -> bool:
        """Look at one object; whether it can be converted."""
        self.objects[of.name] += 1
        project = str(found.get("project_id") or "")
        self._counts[project, of.name] += 1
        try:
            to_alcor(of, found)
        except MalformedObject as error:
            self.findings.append(("malformed", self._malformed(of, found, error)))
            return False
        self._seen[of.name].add(found["id"])
        for reference in of.references:
            for missing in reference.ids(found):
                if missing not in self._seen[reference.resource]:
                    subject = self.subject(of, found)
                    self._waiting.append(Dangling(subject, reference.path, reference.resource, missing))
        for detail in self._contradictions(of, found):
            self.findings.append(("contradictory", self.subject(of, found, detail)))
        if of.name == "port" and found.get("binding:vif_type") == "binding_failed":
            self.findings.append(("binding-failed", self.subject(of, found, str(found.get("binding:host_id") or ""))))
        return True

    def dangling(self) -> list[Dangling]:
        """References to what was not seen until now, by the end of the walk."""
        return [d for d in self._waiting if d.missing not in self._seen[d.resource]]

    def counts(self) -> list[Count]:
        """By project's name and resource."""
        made = [Count(p, self.project(p), resource, n) for (p, resource), n in self._counts.items()]
        return sorted(made, key=lambda c: (c.project, c.project_id, c.resource))

    def subject(self, of: Resource, found: Json, detail: str = "") -> Subject:
        """An object as gaps name it."""
        name, project = found.get("name"), found.get("project_id")
        return Subject(
            of.name, found["id"], name if isinstance(name, str) else "", self.project(str(project or "")), detail
        )

    def project(self, project_id: str) -> str:
        """A project's name, or its id when nobody knows it."""
        return self._projects.get(project_id, project_id)

    def _malformed(self, of: Resource, found: Json, error: MalformedObject) -> Subject:
        return self.subject(of, found | {"id": error.object_id}, error.message.partition(": ")[2])

    def _contradictions(self, of: Resource, found: Json) -> Iterator[str]:
        if of.name == "subnet":
            yield from self._subnet(found)
        elif of.name == "port":
            yield from self._port(found)

    def _subnet(self, found: Json) -> Iterator[str]:
        if not found["cidr"]:
            yield "cidr is empty"
            return
        network = ipaddress.ip_network(found["cidr"], strict=False)
        self._subnets[found["id"]] = (found["network_id"], network)
        for pool in found.get("allocation_pools") or []:
            ends = [_address(pool.get(end)) for end in ("start", "end")] if isinstance(pool, dict) else [None]
            if any(e is None or e not in network for e in ends):
                yield f"allocation_pools: {pool} is not within {network}"

    def _port(self, found: Json) -> Iterator[str]:
        key = hash((found.get("network_id"), str(found.get("mac_address")).lower()))
        if key in self._macs:
            yield f"mac_address {found.get('mac_address')} is also that of another port of its network"
        self._macs.add(key)
        for ip in found.get("fixed_ips") or []:
            if ip is None:
                yield "fixed_ips: holds null"
                continue
            subnet = self._subnets.get(str(ip.get("subnet_id")))
            if subnet is None:
                continue  # told as a reference that leads nowhere
            if (address := _address(ip.get("ip_address"))) is not None and address not in subnet[1]:
                yield f"fixed_ips: {address} is not within {subnet[1]} of its subnet"
            if subnet[0] != found.get("network_id"):
                yield f"fixed_ips: subnet {ip['subnet_id']} belongs to network {subnet[0]}"


def _address(text: Any) -> Any:
    try:
        return ipaddress.ip_address(text) if isinstance(text, str) else None
    except ValueError:
        return None

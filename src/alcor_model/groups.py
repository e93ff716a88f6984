"""Which projects must move together, because an object of one refers to an object of another; pure.

What is open to everybody (shared or external networks, whatever an RBAC policy shares with `*`) ties nobody to
anybody: it is the operator's ground, on which all stand. It moves first.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from alcor_model.catalogue import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alcor_model.catalogue import Resource
    from alcor_model.fields import Json

EVERYBODY = "*"
"""The target of an RBAC policy that shares with all projects."""

_Key = tuple[str, str]  # resource, id

_REFERRED = frozenset(reference.resource for of in RESOURCES for reference in of.references)


class Tie(msgspec.Struct, frozen=True, order=True):
    """One object that ties projects together."""

    resource: str
    id: str
    owner: str
    """The project that the object belongs to; empty when it was never seen."""
    others: tuple[str, ...]
    """The projects that use it or may use it."""
    reasons: tuple[str, ...]
    """How: the fields that refer to it (`port.fixed_ips.subnet_id`), or the RBAC policy's action."""


class Group(msgspec.Struct, frozen=True):
    """Projects that must move together, by id, and the objects that tie them. One project alone has no ties."""

    projects: tuple[str, ...]
    ties: tuple[Tie, ...]


def groups(objects: Iterable[tuple[Resource, Json]]) -> list[Group]:
    """The connected components of projects, the largest first; the objects come in any order.

    Objects are in Neutron's form and are not kept: of each that can be referred to, id and owner are, which is
    about 150 bytes. In load order (`order.load_order`) nothing else is.
    """
    grouper = Grouper()
    for of, neutron in objects:
        grouper.take(of, neutron)
    return grouper.groups()


class Grouper:
    """Takes objects one by one, when they come by for another reason too."""

    def __init__(self) -> None:
        self._owners: dict[str, dict[str, str]] = {name: {} for name in _REFERRED}
        self._projects: dict[str, str] = {}
        self._within: dict[_Key, _Key] = {}
        self._open: set[_Key] = set()
        self._uses: defaultdict[_Key, set[tuple[str, str]]] = defaultdict(set)
        self._waiting: defaultdict[_Key, set[tuple[str, str]]] = defaultdict(set)

    def take(self, of: Resource, neutron: Json) -> None:
        """Note an object's owner and what it refers to."""
        owner = self._once(_project(neutron))
        if of.name == "rbac_policy":
            self._take_policy(of, neutron)
            return
        key = (of.name, str(neutron.get("id") or ""))
        if of.name in _REFERRED:
            self._owners[of.name][key[1]] = owner
            for project, reason in self._waiting.pop(key, ()):
                self._note(key, project, reason)
            if neutron.get("shared") is True or neutron.get("router:external") is True:
                self._open.add(key)
            for parent in of.parents:
                for parent_id in parent.ids(neutron):
                    self._within[key] = (parent.resource, parent_id)
        for reference in of.references:
            for other in reference.ids(neutron):
                self._note((reference.resource, other), owner, f"{of.name}.{reference.path}")

    def groups(self) -> list[Group]:
        """What was found so far."""
        leaders = {project: project for project in self._projects}

        def leader(project: str) -> str:
            while (above := leaders.setdefault(project, project)) != project:
                leaders[project] = leaders[above]
                project = above
            return project

        ties = self._ties()
        for tie in ties:
            for other in (*tie.others, *filter(None, [tie.owner])):
                leaders[leader(other)] = leader(tie.others[0])
        members: defaultdict[str, list[str]] = defaultdict(list)
        for project in sorted(leaders):
            members[leader(project)].append(project)
        held: defaultdict[str, list[Tie]] = defaultdict(list)
        for tie in ties:
            held[leader(tie.others[0])].append(tie)
        found = [Group(tuple(projects), tuple(held[at])) for at, projects in members.items()]
        return sorted(found, key=lambda group: (-len(group.projects), group.projects))

    def _take_policy(self, of: Resource, neutron: Json) -> None:
        target = neutron.get("target_tenant") or neutron.get("target_project")
        for reference in of.references:
            for shared in reference.ids(neutron):
                key = (reference.resource, shared)
                if target == EVERYBODY:
                    self._open.add(key)
                elif isinstance(target, str) and target:
                    self._note(key, self._once(target), f"rbac_policy {neutron.get('action')}")

    def _note(self, key: _Key, project: str, reason: str) -> None:
        if not project:
            return
        owner = self._owner(key)
        if owner is None:
            self._waiting[key].add((project, reason))
        elif owner not in ("", project):
            self._uses[key].add((project, reason))

    def _owner(self, key: _Key) -> str | None:
        return self._owners[key[0]].get(key[1])

    def _once(self, project: str) -> str:
        """The project's id, as one text for all objects that name it."""
        return self._projects.setdefault(project, project) if project else ""

    def _ties(self) -> list[Tie]:
        found = []
        for key, uses in self._uses.items():
            if not self._is_open(key):
                others = tuple(sorted({project for project, _ in uses}))
                reasons = tuple(sorted({reason for _, reason in uses}))
                found.append(Tie(*key, self._owner(key) or "", others, reasons))
        for key, uses in self._waiting.items():  # never seen: those that use it still share it
            others = tuple(sorted({project for project, _ in uses}))
            if len(others) > 1 and not self._is_open(key):
                found.append(Tie(*key, "", others, tuple(sorted({reason for _, reason in uses}))))
        return sorted(found)

    def _is_open(self, key: _Key) -> bool:
        while key not in self._open:
            if key not in self._within:
                return False
            key = self._within[key]
        return True


def _project(neutron: Json) -> str:
    project = neutron.get("project_id") or neutron.get("tenant_id")
    return project if isinstance(project, str) else ""

"""Which projects must move together, because one's objects refer to another's; pure.

A network that is shared with everybody, or external, ties nobody to anybody: it is the operator's, and all stand on
it. What a project shares with single ones by RBAC, or what refers to another project's object, is a tie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.assess.document import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alcor_migrate.assess.document import Subject
    from alcor_model import Resource
    from alcor_model.fields import Json


_MANY = {"port", "security_group_rule"}
"""So many that their names are not kept; a tie is then named by what refers to them."""


class Groups:
    """Takes objects in load order; keeps the owner of each, and the name of those that tie."""

    def __init__(self) -> None:
        self._owners: dict[tuple[str, str], str] = {}
        self._names: dict[tuple[str, str], Subject] = {}
        self._common: set[tuple[str, str]] = set()
        self._ties: dict[tuple[str, str], tuple[set[str], Subject]] = {}

    def take(self, of: Resource, found: Json, subject: Subject) -> None:
        """One object, and how gaps name it."""
        key = (of.name, found["id"])
        project = str(found.get("project_id") or "")
        self._owners[key] = project
        if of.name not in _MANY:
            self._names[key] = subject
        if self._is_common(of, found):
            self._common.add(key)
        for other in self._referred(of, found):
            owner = self._owners.get(other, "")
            if other not in self._common and owner and project and owner != project:
                self._tie(other, {owner, project}, subject)
        target = found.get("target_project") or found.get("target_tenant")
        if of.name == "rbac_policy" and isinstance(target, str) and target != "*":
            for other in self._referred(of, found):
                self._tie(other, {self._owners.get(other) or project, target}, subject)

    def together(self, name: Callable[[str], str]) -> list[Group]:
        """The groups of more than one project, the largest first; `name` gives a project's name by id."""
        leaders: dict[str, str] = {}

        def leader(project: str) -> str:
            while leaders.setdefault(project, project) != project:
                project = leaders[project]
            return project

        for projects, _ in self._ties.values():
            first, *others = sorted(projects)
            for other in others:
                leaders[leader(other)] = leader(first)
        members: dict[str, set[str]] = {}
        ties: dict[str, list[Subject]] = {}
        for projects, subject in self._ties.values():
            at = leader(next(iter(projects)))
            members.setdefault(at, set()).update(projects)
            ties.setdefault(at, []).append(subject)
        made = [Group(sorted(name(p) for p in members[at]), ties[at]) for at in members]
        return sorted(made, key=lambda g: (-len(g.projects), g.projects))

    def _tie(self, key: tuple[str, str], projects: set[str], referrer: Subject) -> None:
        tied, _ = self._ties.setdefault(key, (set(), self._names.get(key, referrer)))
        tied |= projects - {""}

    def _is_common(self, of: Resource, found: Json) -> bool:
        if of.name == "network":
            return found.get("shared") is True or found.get("router:external") is True
        if of.name in {"subnet", "segment"}:
            return ("network", found.get("network_id")) in self._common
        return found.get("shared") is True

    @staticmethod
    def _referred(of: Resource, found: Json) -> Iterator[tuple[str, str]]:
        for reference in of.references:
            for other in reference.ids(found):
                yield reference.resource, other

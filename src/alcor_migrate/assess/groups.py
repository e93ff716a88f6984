"""Projects that must move together, as `alcor_model.groups` finds them, with the names of what ties them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.assess.document import Group, Subject
from alcor_model.groups import Grouper

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_model import Resource
    from alcor_model.fields import Json

_MANY = {"port", "security_group_rule"}
"""So many that their names are not kept."""


class Groups:
    """Takes objects one by one."""

    def __init__(self) -> None:
        self._grouper = Grouper()
        self._names: dict[tuple[str, str], str] = {}

    def take(self, of: Resource, found: Json) -> None:
        """Note what an object is called, whose it is and what it refers to."""
        self._grouper.take(of, found)
        if of.name not in _MANY and isinstance(name := found.get("name"), str) and name:
            self._names[of.name, found["id"]] = name

    def together(self, name: Callable[[str], str]) -> list[Group]:
        """The groups of more than one project, the largest first; `name` gives a project's name by id."""
        return [
            Group(
                sorted(name(project) for project in group.projects),
                [
                    Subject(
                        tie.resource,
                        tie.id,
                        self._names.get((tie.resource, tie.id), ""),
                        name(tie.owner),
                        ", ".join(tie.reasons),
                    )
                    for tie in group.ties
                ],
            )
            for group in self._grouper.groups()
            if len(group.projects) > 1
        ]

"""What the target's model has no place for, as rules and findings; pure.

The bundled Alcor keeps everything. For upstream Alcor it is the catalogue that says which resources and fields its
model names and keeps.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from alcor_migrate.assess.document import Effect, Rule, Weight
from alcor_model import canonical
from alcor_model.fields import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alcor_model import Resource
    from alcor_model.fields import Json

_UPSTREAM = (
    Rule(
        "upstream-no-place",
        "resources that upstream Alcor does not know",
        Weight.ANSWER,
        Effect.STAYS,
        "they stay behind, and what they did ends with Neutron",
        ("delete them", "choose the bundled Alcor, which keeps them"),
    ),
    Rule(
        "upstream-field-lost",
        "attributes that upstream Alcor does not keep",
        Weight.ANSWER,
        Effect.CHANGES,
        "the objects move without these attributes",
        ("unset them", "choose the bundled Alcor, which keeps them"),
    ),
)


def rules(target: Target) -> tuple[Rule, ...]:
    """The rules that the model has for a target."""
    return _UPSTREAM if target is Target.UPSTREAM else ()


class Examiner:
    """Looks at one object after the other with the eyes of a target."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def examine(self, of: Resource, found: Json) -> Iterator[tuple[str, str]]:
        """What does not fit about an object: (name of the rule, the field and why)."""
        if self._target is Target.BUNDLED or of.observed:
            return
        if not of.upstream:
            yield "upstream-no-place", ""
            return
        if lost := sorted(canonical(of, found, given=True).keys() & _lost(of)):
            yield "upstream-field-lost", ", ".join(lost)


@cache
def _lost(of: Resource) -> frozenset[str]:
    return frozenset(f.neutron for f in of.fields if not of.fits(f, Target.UPSTREAM) and not f.computed)

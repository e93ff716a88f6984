"""What the target's model has no place for, as `alcor_model.gaps` says it, in the words of `assess`; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.assess.document import Effect, Rule, Weight
from alcor_model import gaps
from alcor_model.gaps import Severity

if TYPE_CHECKING:
    from alcor_model.fields import Target

_WEIGHTS = {
    Severity.MOVES: (Weight.NOTE, Effect.KEPT),
    Severity.NEEDS_ANSWER: (Weight.ANSWER, Effect.CHANGES),
    Severity.CANNOT_MOVE: (Weight.ANSWER, Effect.STAYS),
}
_HINDERS = {"bundled-not-served": "cutover", "bundled-not-enacted": "complete"}
"""Objects that are kept whole while something that people do with them ends at this step: that takes a decision."""


def rules(target: Target) -> tuple[Rule, ...]:
    """The rules that the model has for a target."""
    return tuple(_rule(rule) for rule in gaps.rules(target))


def notices(target: Target) -> tuple[str, ...]:
    """The names of the rules that hold for a target whatever the cloud has."""
    return tuple(rule.id for rule in gaps.notices(target))


def _rule(rule: gaps.Rule) -> Rule:
    weight, effect = _WEIGHTS[rule.severity]
    hinders = _HINDERS.get(rule.id, "")
    return Rule(
        rule.id,
        rule.title,
        Weight.ANSWER if hinders else weight,
        effect,
        rule.consequence,
        rule.ways_out,
        hinders,
    )

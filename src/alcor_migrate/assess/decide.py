"""What the findings and the answers amount to: gaps with their answers, tallies, and the verdict. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from alcor_migrate.assess.document import Effect, Gap, Rule, Subject, Tally, Weight
from alcor_migrate.errors import AnswersError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alcor_migrate.assess.answers import Answer

READY, NEEDS_ANSWERS, BLOCKED = "ready", "needs answers", "blocked"

_ORDER = [Weight.BLOCK, Weight.ANSWER, Weight.NOTE]


def gaps(
    rules: Mapping[str, Rule], findings: Iterable[tuple[str, Subject | None]], answers: Sequence[Answer] = ()
) -> list[Gap]:
    """One gap for each rule that found something, with the answer to it; the open ones first.

    A finding without a subject is about the cloud as a whole. Raises AnswersError.
    """
    found: dict[str, list[Subject]] = {}
    for name, subject in findings:
        subjects = found.setdefault(name, [])
        if subject is not None:
            subjects.append(subject)
    order = list(rules)
    settled = [_settle(rules[name], _once(subjects), answers) for name, subjects in found.items()]
    return sorted(settled, key=lambda g: (not g.open, _ORDER.index(g.rule.weight), order.index(g.rule.name)))


def unneeded(found: Sequence[Gap], answers: Sequence[Answer]) -> list[str]:
    """Rules that were answered and find nothing any more."""
    names = {g.rule.name for g in found}
    return sorted({a.rule for a in answers} - names)


def verdict(found: Iterable[Gap]) -> str:
    """`blocked`, `needs answers` or `ready`."""
    weights = {g.rule.weight for g in found if g.open}
    if Weight.BLOCK in weights:
        return BLOCKED
    return NEEDS_ANSWERS if weights else READY


def tallies(objects: Mapping[str, int], found: Iterable[Gap]) -> list[Tally]:
    """What becomes of each resource's objects, given how many there are; the most first.

    An object counts once, by its worst gap.
    """
    stays: dict[str, set[str]] = defaultdict(set)
    changes: dict[str, set[str]] = defaultdict(set)
    for gap in found:
        into = {Effect.STAYS: stays, Effect.CHANGES: changes}.get(gap.rule.effect)
        if into is not None:
            for subject in gap.objects:
                into[subject.resource].add(subject.id)
    made = []
    for resource, count in objects.items():
        left = len(stays[resource])
        changed = len(changes[resource] - stays[resource])
        if count:
            made.append(Tally(resource, count, count - left - changed, changed, left))
    return sorted(made, key=lambda tally: (-tally.objects, tally.resource))


def _once(subjects: list[Subject]) -> list[Subject]:
    """Each object once, with all that was found about it."""
    merged: dict[tuple[str, str], Subject] = {}
    for subject in subjects:
        key = (subject.resource, subject.id)
        known = merged.get(key)
        detail = f"{known.detail}; {subject.detail}" if known else subject.detail
        merged[key] = msgspec.structs.replace(subject, detail=detail)
    return list(merged.values())


def _settle(rule: Rule, subjects: list[Subject], answers: Sequence[Answer]) -> Gap:
    given = [a for a in answers if a.rule == rule.name and a.answer != "open"]
    ids = {s.id for s in subjects}
    covered: set[str] = set()
    for answer in given:
        if answer.answer == "accept":
            if ids and not answer.objects:
                raise AnswersError(
                    f"the answer to {rule.name} is `accept`, without the objects that it is for",
                    f"Give it with `alcor-migrate assess --answer {rule.name}=accept`, which lists them, "
                    "or write `accept-all`.",
                )
            covered |= ids & set(answer.objects)
    words = {a.answer for a in given}
    if "accept-all" in words:
        covered = ids
    new = [s.id for s in subjects if s.id not in covered]
    accepted = ("accept" in words or "accept-all" in words) and not new
    last = given[-1] if given else None
    open_ = rule.weight is Weight.BLOCK or (rule.weight is Weight.ANSWER and (not accepted or "resolve" in words))
    return Gap(
        rule,
        subjects,
        answer=last.answer if last else "",
        note=last.note if last else "",
        answered_by=last.by if last else "",
        new=new,
        open=open_,
    )

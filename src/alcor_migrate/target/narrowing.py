"""What becomes of an object on its way to upstream Alcor, given the answers that the operator gave; pure.

Upstream holds less than Neutron has. Each gap has a rule (`alcor_model.gaps`), and the operator's answers say which
gaps are accepted. An object under an accepted gap is *set aside* when upstream cannot hold it, and narrowed to what
upstream keeps when it can. An object under a gap that nobody accepted is *open*: upstream is not given it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from alcor_model.errors import MalformedObject
from alcor_model.fields import Target
from alcor_model.gaps import Examiner, Severity
from alcor_model.mapping import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from alcor_migrate.side import Key
    from alcor_model import Resource
    from alcor_model.fields import Json
    from alcor_model.gaps import Finding

    Accepted = Mapping[str, frozenset[str] | None]
    """The gaps that are accepted, by rule: for these objects, or (None) for all."""


class Judgement(NamedTuple):
    """What becomes of one object; at most one of both is not empty."""

    aside: str = ""
    """The rule by which it is set aside: that upstream cannot hold it is accepted."""
    open: str = ""
    """Why upstream is not given it until somebody answers."""


def judge(findings: Iterable[Finding], accepted: Accepted) -> Judgement:
    """What becomes of an object that these rules are about."""
    aside, unanswered = [], []
    for found in findings:
        if found.rule.severity is Severity.MOVES:
            continue
        objects = accepted.get(found.rule.id, frozenset())
        if objects is not None and found.id not in objects:
            about = f" ({found.detail})" if found.detail else ""
            unanswered.append(f"{found.rule.id}: {found.rule.title}{about}")
        elif found.rule.severity is Severity.CANNOT_MOVE:
            aside.append(found.rule.id)
    if aside:
        return Judgement(aside=aside[0])
    if unanswered:
        return Judgement(open="the answers file does not accept " + "; ".join(unanswered))
    return Judgement()


def below(judgement: Judgement, parents: Iterable[tuple[Key, Judgement]]) -> Judgement:
    """The same, of an object that stands on others: it stays behind with them."""
    if judgement.aside:
        return judgement
    for key, parent in parents:
        if parent.aside:
            return parent
        if parent.open and not judgement.open:
            judgement = Judgement(open=f"it belongs to {key}, of which {parent.open}")
    return judgement


def examined(
    of: Resource, objects: Sequence[Json], others: Sequence[Json] = (), examiner: Examiner | None = None
) -> Iterator[tuple[Json, list[Finding], str]]:
    """Each object in the order of ids with its findings, or with why it cannot be judged.

    Some rules are about several objects: `others` are those that are not asked about, but count.
    """
    examiner = examiner or Examiner(Target.UPSTREAM)
    asked = {o["id"] for o in objects}
    every = {o["id"]: o for o in (*others, *objects)}
    for object_id in sorted(every):
        found, wrong = every[object_id], ""
        findings: list[Finding] = []
        try:
            check(of, found)
            findings = list(examiner.examine(of, found))
        except MalformedObject as error:
            wrong = error.message
        except (KeyError, TypeError, ValueError) as error:
            wrong = f"it is malformed: {type(error).__name__}: {error}"
        if object_id in asked:
            yield found, findings, wrong


class Told:
    """The last judgement of each object that is not simply moved. Kept in memory: whoever looks again judges anew."""

    def __init__(self) -> None:
        self.aside: dict[Key, str] = {}
        """The rule, by object."""
        self.open: dict[Key, str] = {}
        """Why it is not given to upstream, by object."""

    def keep(self, key: Key, judgement: Judgement) -> None:
        """Remember what becomes of an object."""
        for held, word in ((self.aside, judgement.aside), (self.open, judgement.open)):
            if word:
                held[key] = word
            else:
                held.pop(key, None)

    def of(self, resource: str) -> set[Key]:
        """The objects of a resource that something is remembered of."""
        return {key for key in (*self.aside, *self.open) if key.resource == resource}

    def counts(self) -> dict[str, int]:
        """How many objects are set aside, by rule."""
        return dict(sorted(Counter(self.aside.values()).items()))

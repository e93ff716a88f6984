"""What must be true after a run, said without any I/O."""

from collections import Counter
from dataclasses import dataclass, field

from alcor_migrate.journal import MARK, NOT_SENT


@dataclass
class Ledger:
    """What the clients know for certain: names of writes by what they were told."""

    acknowledged: dict = field(default_factory=dict)
    """Name to (time sent, time answered)."""
    refused: set = field(default_factory=set)
    """503: "nothing was changed"."""
    uncertain: set = field(default_factory=set)
    """No answer, or one that says that nobody knows."""


@dataclass
class Verdict:
    """Findings, each a list of what was found; all empty is well."""

    lost: list = field(default_factory=list)
    resurrected: list = field(default_factory=list)
    duplicated: list = field(default_factory=list)
    mismatches: list = field(default_factory=list)

    @property
    def found(self):
        return [*self.lost, *self.resurrected, *self.duplicated, *self.mismatches]

    @property
    def well(self):
        return not self.found


def judge(ledger, executed, events, unsettled, name_of):
    """Compare what the clients were told, what the upstream did, and what the journal holds.

    `executed` are the names that the upstream executed, in order, `events` and `unsettled` what the journal gives,
    `name_of` finds the name of an intent.
    """
    verdict = Verdict()
    done = Counter(executed)
    outcomes = [e for e in events if e.kind != MARK]
    recorded = {name_of(e.intent): e for e in outcomes if e.outcome.status == 201}
    not_sent = {name_of(e.intent) for e in outcomes if e.outcome.how == NOT_SENT}
    open_ones = {name_of(e.intent) for e in outcomes if e.outcome.unknown} | {name_of(u.intent) for u in unsettled}

    verdict.lost = [f"{n} was acknowledged and has no outcome" for n in ledger.acknowledged if n not in recorded]
    verdict.lost += [f"{n} was acknowledged and never executed" for n in ledger.acknowledged if n not in done]
    told_no = ledger.refused | not_sent
    verdict.resurrected = [f"{n} was said not to have happened, and did" for n in sorted(told_no) if n in done]
    verdict.duplicated = [f"{n} was executed {times} times" for n, times in done.items() if times > 1]
    counted = Counter(name_of(e.intent) for e in outcomes)
    verdict.duplicated += [f"{n} has {times} outcomes" for n, times in counted.items() if times > 1]

    verdict.mismatches = [
        f"{n} was executed and the journal does not know of it"
        for n in done
        if n not in recorded and n not in open_ones
    ]
    verdict.mismatches += [f"{n} is recorded as made and was not" for n in recorded if n not in done]
    positions = [e.position for e in events]
    if positions != list(range(1, len(positions) + 1)):
        verdict.mismatches.append("positions are not 1, 2, 3 and so on")
    verdict.mismatches += _out_of_order(ledger, recorded)
    return verdict


def _out_of_order(ledger, recorded):
    """A write that was sent after another was answered has the greater position."""
    known = [(*times, recorded[n].position, n) for n, times in ledger.acknowledged.items() if n in recorded]
    answered = sorted((end, position, n) for _, end, position, n in known)
    found, highest, at = [], (0, ""), 0
    for sent, _, position, name in sorted(known):
        while at < len(answered) and answered[at][0] < sent:
            highest = max(highest, answered[at][1:])
            at += 1
        if position < highest[0]:
            found.append(f"{name} was sent after {highest[1]} was answered, and stands before it")
    return found

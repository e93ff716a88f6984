"""What must be true after a whole journey under faults, said without any I/O."""

import json
import re
from collections import Counter
from dataclasses import dataclass, field

from alcor_migrate.engine.state import TRANSITION, State, may_follow
from lab.record import compare
from tests.chaos.judge import Verdict

NAME = re.compile(r"[a-z]+-\d+-\d+")
"""How clients name what they make: nobody uses a name twice."""
GRACE = 5.0
"""Seconds after a repair in which a broken answer is still that fault's doing."""
NOT_FOUND = 404
BROKEN = frozenset({0, 500, 502, 503, 504})
"""How a request fails that a killed, frozen or cut part was serving; 0 is no answer."""
INTERFACE = "network:router_interface"
HANDED_OVER = {("cutting_over", "switched"), ("reversing", "reversed")}


@dataclass(frozen=True)
class Window:
    """From a blow until it was repaired; unix seconds."""

    start: float
    end: float
    name: str


@dataclass
class Evidence:
    """Everything that was seen of a run."""

    records: dict
    """Client to what it remembers (lab.record)."""
    active: dict
    """Kind to id to object, as the active side lists it, asked for itself."""
    passive: dict
    through: dict
    """The same through the gateway."""
    failures: list = field(default_factory=list)
    """(lab.workload.Failure, when its answer came)."""
    violations: list = field(default_factory=list)
    windows: list = field(default_factory=list)
    status: dict = field(default_factory=dict)
    entries: list = field(default_factory=list)
    """The audit log, in its own order."""
    verified: dict = field(default_factory=dict)
    troubles: list = field(default_factory=list)
    """What did not come about in time, or ended by itself."""
    grace: float = GRACE


def judge(seen):
    """Compare what clients were told with both sides, and the run's records with each other."""
    uncertain = forget_what_a_fault_hid(seen)
    verdict = Verdict()
    for where, found in (("the active side", seen.active), ("the gateway", seen.through)):
        for loss in compare(seen.records, found).writes_lost:
            into = verdict.resurrected if loss.problem == "resurrected" else verdict.lost
            into.append(f"{where}: {told(loss)}")
    late = compare(seen.records, seen.passive).writes_lost
    verdict.mismatches += [f"the passive side: {told(loss)}" for loss in late]
    verdict.mismatches += apart(seen.active, seen.passive)
    verdict.duplicated = twice(seen.active) + [f"the passive side: {name}" for name in twice(seen.passive)]
    if seen.verified.get("mismatches"):
        shown = "; ".join(json.dumps(each) for each in seen.verified.get("shown", [])[:3])
        verdict.mismatches.append(f"verify finds {seen.verified['mismatches']} mismatches: {shown}")
    verdict.mismatches += [f"{v.client}: {v.path}: {v.problem}" for v in seen.violations]
    verdict.mismatches += failed_by_us(seen, uncertain)
    verdict.mismatches += inconsistent(seen.entries, seen.status)
    verdict.mismatches += seen.troubles
    return verdict


def told(loss):
    """A loss in words."""
    fields = "".join(f", {name}: {was!r} is {now!r}" for name, (was, now) in loss.fields.items())
    return f"{loss.client}'s {loss.kind} {loss.id} is {loss.problem}{fields}"


def during(start, end, windows, grace=GRACE):
    """Whether a request was under way while something was broken, or had just been."""
    return any(start <= window.end + grace and end >= window.start for window in windows)


def forget_what_a_fault_hid(seen):
    """Mark as unknown what a write was refused for that met a fault: Neutron repeats a transaction that its database
    broke off, and then answers 404 or 409 for what it has done itself. Returns the paths."""
    hidden = {
        failure.path.split("?")[0]
        for failure, end in seen.failures
        if failure.method != "GET" and during(failure.at, end, seen.windows, seen.grace)
    }
    for record in seen.records.values():
        for owned in record.objects.values():
            if any(path == owned.path or path.startswith(f"{owned.path}/") for path in hidden):
                owned.state = "unknown"
    return hidden


def failed_by_us(seen, uncertain):
    """Requests that failed although nothing was broken, or that denied what was acknowledged."""
    found = []
    for failure, end in seen.failures:
        known = failure.status in BROKEN or failure.method != "GET" or failure.path.split("?")[0] in uncertain
        if not (known and during(failure.at, end, seen.windows, seen.grace)):
            what = f"{failure.method} {failure.path} was answered {failure.status} at {failure.at:.3f}"
            found.append(f"{failure.client}: {what}: {failure.body[:200]}")
    return found


def apart(active, passive):
    """Objects that are on one side only."""
    found = []
    for kind in active:
        for where, here, there in (("active", active, passive), ("passive", passive, active)):
            found += [f"{kind} {each} is only on the {where} side" for each in here[kind].keys() - there[kind].keys()]
    return found


def twice(side):
    """Objects of one request: of one name, one rule of one group, one router's ports in one subnet."""
    seen = Counter()
    for kind, objects in side.items():
        for each in objects.values():
            if kind == "security_group_rule":
                about = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max")
                remote = ("remote_ip_prefix", "remote_group_id")
                seen[(kind, each["security_group_id"], *(each.get(name) for name in about + remote))] += 1
            elif kind == "interface":
                if each["device_owner"] == INTERFACE:
                    seen.update((kind, each["device_id"], fixed["subnet_id"]) for fixed in each["fixed_ips"])
            else:
                name = each["description"] if kind == "floatingip" else each["name"]
                if NAME.fullmatch(name or ""):
                    seen[(kind, each["project_id"], name)] += 1
    return [f"{' '.join(map(str, what))} is there {count} times" for what, count in seen.items() if count > 1]


def inconsistent(entries, status):
    """Where the audit log tells a story that cannot have been, or another one than the status."""
    found = []
    state = standing = State.NEW
    tokens = Counter()
    switched = reads = "source"
    for entry in entries:
        before, after = State(entry["before"]), State(entry["after"])
        if entry["act"] == "reads":
            reads = "target" if "to Alcor" in entry["reason"] else "source"
        if entry["act"] != TRANSITION:
            continue
        if before is not state:
            found.append(f"the audit log goes from {state.value} on with {before.value} to {after.value}")
        elif not may_follow(state, after, standing):
            found.append(f"the audit log has {before.value} to {after.value}, which cannot be")
        if (before.value, after.value) in HANDED_OVER:
            tokens[entry["evidence"].get("token")] += 1
            switched = reads = "target" if after is State.SWITCHED else "source"
        state = after
        standing = standing if after is State.NEEDS_ATTENTION else after
    if state.value != status["state"]:
        found.append(f"the status says {status['state']}, the audit log ends with {state.value}")
    if switched != status["active"]:
        found.append(f"the active side is the {status['active']}, by the audit log the {switched}")
    if reads != status["reads"]["side"]:
        found.append(f"reads go to the {status['reads']['side']}, by the audit log to the {reads}")
    found += [f"the audit log has handover {token} {n} times" for token, n in tokens.items() if n > 1 or not token]
    done = {attempt["token"] for attempt in status["attempts"] if attempt["succeeded"]}
    found += [f"attempt {token} succeeded, and the audit log has no handover of it" for token in done - set(tokens)]
    return found

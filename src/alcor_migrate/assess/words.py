"""Sentences and short forms that the screen and the page share; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from alcor_migrate.assess.decide import BLOCKED, READY
from alcor_migrate.assess.document import Weight

if TYPE_CHECKING:
    from alcor_migrate.assess.document import Assessment, Gap, Group, Host, Subject

TARGETS = {"bundled": "the bundled Alcor", "upstream": "upstream Alcor"}

_NAMES = {
    "policy": "QoS_policy",
    "floatingip": "floating_ip",
    "subnetpool": "subnet_pool",
    "vpnservice": "vpn_service",
    "ikepolicy": "IKE_policy",
    "ipsecpolicy": "ipsec_policy",
    "port_association": "local_ip_association",
}
_SPOKEN = {
    "ip": "IP",
    "bgp": "BGP",
    "rbac": "RBAC",
    "dscp": "DSCP",
    "ipsec": "IPsec",
    "vpn": "VPN",
    "ndp": "NDP",
    "nic": "NIC",
}
_KINDS = 4

_KILO = 1000.0
_MINUTE = 60.0
_UUID = 36


def short(text: str, length: int = 40) -> str:
    """A text on one line, without control characters, and not longer than that."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= length else words[: length - 1] + "…"


def spoken(resource: str, count: int = 1) -> str:
    """A resource as it is said to people."""
    words = " ".join(_SPOKEN.get(word, word) for word in _NAMES.get(resource, resource).split("_"))
    if count == 1:
        return words
    return words[:-1] + "ies" if words.endswith("y") else words + ("es" if words.endswith("ss") else "s")


def object_line(subject: Subject) -> str:
    """One object of a gap: name and id, whose it is, what it is about."""
    name = f"{short(subject.name)} " if subject.name else ""
    key = subject.id if len(subject.id) <= _UUID else short(subject.id, _UUID)
    parts = [f"{spoken(subject.resource)} {name}{f'({key})' if name else key}"]
    if subject.project:
        parts.append(f"of {short(subject.project)}")
    return " ".join(parts) + (f": {short(subject.detail, 160)}" if subject.detail else "")


def amount(gap: Gap) -> str:
    """How many objects a gap has, by resource."""
    by = Counter(s.resource for s in gap.objects)
    said = [f"{n} {spoken(resource, n)}" for resource, n in by.most_common(_KINDS)]
    if rest := sum(n for _, n in by.most_common()[_KINDS:]):
        said.append(f"{rest} of {len(by) - _KINDS} more kinds")
    return ", ".join(said)


def standing(gap: Gap) -> str:
    """What was answered, and what that leaves open."""
    if gap.rule.weight is Weight.BLOCK:
        return "must be resolved"
    if gap.rule.weight is Weight.NOTE:
        return "no answer needed"
    if not gap.answer:
        return "needs an answer"
    by = f" by {short(gap.answered_by, 20)}" if gap.answered_by else ""
    if gap.answer == "resolve":
        return f"to be resolved{by}"
    return f"accepted{by}, {len(gap.new)} new since" if gap.open and gap.objects else f"accepted{by}"


def verdict(found: Assessment) -> str:
    """One sentence on how it stands."""
    still = [g for g in found.gaps if g.open]
    if found.verdict == READY:
        return "Nothing stands against a run." if not found.gaps else "Everything that was found is answered."
    if found.verdict == BLOCKED:
        blocks = [g.rule.title for g in still if g.rule.weight is Weight.BLOCK]
        return f"A run would be refused: {'; '.join(blocks)}."
    return f"{len(still)} {'gap needs' if len(still) == 1 else 'gaps need'} an answer."


def projects(found: Assessment) -> list[tuple[str, int, Counter[str]]]:
    """(project, objects, how many of which resource), the largest first."""
    by: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for count in found.counts:
        by[count.project_id, count.project][count.resource] += count.objects
    rows = [(name or "(no project)", numbers.total(), numbers) for (_, name), numbers in by.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def host_line(host: Host) -> str:
    """What a host's switch does, in a few words."""
    parts = [host.firewall and f"firewall {host.firewall}"]
    if host.tunnel_types:
        parts.append(f"{'/'.join(host.tunnel_types)} at {host.tunneling_ip or '?'}")
    if host.bridge_mappings:
        parts.append(", ".join(f"{k}→{v}" for k, v in sorted(host.bridge_mappings.items())))
    if host.distributed:
        parts.append("DVR")
    if host.l3_mode:
        parts.append(f"L3 {host.l3_mode}")
    if host.datapath and host.datapath != "system":
        parts.append(f"datapath {host.datapath}")
    return "; ".join(p for p in parts if p)


def ties(group: Group, shown: int = 3) -> str:
    """What ties the projects of a group."""
    names = [f"{spoken(s.resource)} {short(s.name or s.id)}" for s in group.ties[:shown]]
    more = len(group.ties) - shown
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def duration(seconds: float) -> str:
    """A duration with the precision that an estimate has."""
    if seconds < 1:
        return "less than a second"
    if seconds < 2 * _MINUTE:
        return f"about {seconds:.0f} s"
    if seconds < 2 * _MINUTE * _MINUTE:
        return f"about {seconds / _MINUTE:.0f} min"
    return f"about {seconds / _MINUTE / _MINUTE:.1f} h"


def size(count: int) -> str:
    """A number of bytes with the precision that an estimate has."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):  # noqa: B007  # the last one that fits is used below
        if value < _KILO:
            break
        value /= _KILO
    return f"{value:.0f} {unit}"


def estimate(found: Assessment) -> str:
    """What a run will need."""
    e = found.estimate
    return (
        f"{found.objects} objects ({size(e.bytes)}) were read in {e.read_seconds:.1f} s, "
        f"{e.objects_per_second:.0f} objects/s. Estimated for a run: copy {duration(e.copy_seconds)}, each "
        f"comparison {duration(e.verify_seconds)}, memory at most about {size(e.memory_bytes)}."
    )


def way_back(found: Assessment) -> str:
    """Whether reverse will be possible."""
    ids = found.id_extension
    if not ids.loaded:
        return "alcor-ids is not loaded into Neutron: what is created after the cutover cannot be brought back."
    if not ids.sufficient:
        return "alcor-ids is older than reverse needs: what is created after the cutover cannot be brought back."
    return "alcor-ids is loaded: what is created after the cutover can be brought back."


def extensions(found: Assessment) -> str:
    """Which API extensions there are."""
    by = Counter(e.state for e in found.extensions)
    text = (
        f"{len(found.extensions)} loaded: {by['mapped']} bring resources that are mapped, {by['carried']} only add "
    )
    text += "attributes or behaviour"
    rest = sorted(e.alias for e in found.extensions if e.state == "not in use")
    if rest:
        text += f"; not mapped and not in use: {', '.join(rest)}"
    for state in ("in use, not mapped", "unknown"):
        if aliases := sorted(e.alias for e in found.extensions if e.state == state):
            text += f"; {state}: {', '.join(aliases)}"
    return text + "."

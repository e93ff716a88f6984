"""What `assess` found, as it is printed, saved and compared: the document of `assess --json`.

Times are unix seconds, durations seconds, sizes bytes. Fields are added, never renamed or taken away, within one
`version`.
"""

from __future__ import annotations

from enum import Enum

import msgspec

VERSION = 1


class Weight(Enum):
    """What a gap asks of the operator."""

    NOTE = "note"
    """Nothing: it is told, because it is good to know."""
    ANSWER = "answer"
    """A decision: something is lost, and the operator says whether that is acceptable."""
    BLOCK = "block"
    """A change: no answer helps, a run would be refused."""


class Effect(Enum):
    """What becomes of the objects of a gap."""

    STAYS = "stay behind"
    CHANGES = "move changed"
    KEPT = "move as they are"
    CLOUD = "are not what moves"
    """They are hosts or extensions, or there are none."""


class Rule(msgspec.Struct, frozen=True):
    """One way in which source and target do not fit, and what that means."""

    name: str
    """How answers name it."""
    title: str
    """What was found, in a few words."""
    weight: Weight
    """What it asks of the operator."""
    effect: Effect
    """What becomes of its objects."""
    consequence: str
    """What happens if it is accepted."""
    ways_out: tuple[str, ...]
    """What can be done about it instead."""
    hinders: str = ""
    """The step that is not possible, or not safe, as long as it is there; mostly empty."""


class Subject(msgspec.Struct, frozen=True):
    """One object that a rule found."""

    resource: str
    """Singular, as in Neutron's API; `host` and `extension` for those."""
    id: str
    """Its id; the name of a host, the alias of an extension."""
    name: str = ""
    """Its name, when it has one."""
    project: str = ""
    """The name of its project, or its id when that project has no name any more."""
    detail: str = ""
    """What it is about this object: the field, the value, the missing counterpart."""


class Gap(msgspec.Struct, frozen=True):
    """A rule that found something, with the operator's answer to it."""

    rule: Rule
    """The rule, with consequence and ways out."""
    objects: list[Subject]
    """Every object that it found."""
    answer: str = ""
    """`accept`, `accept-all`, `resolve`, or empty when nobody answered yet."""
    note: str = ""
    """What the operator wrote down with the answer."""
    answered_by: str = ""
    """Who answered."""
    new: list[str] = []
    """The ids that the answer does not cover; all of them when there is none."""
    open: bool = False
    """Whether it keeps the cloud from being ready."""


class Count(msgspec.Struct, frozen=True):
    """How many objects of a resource a project has."""

    project_id: str
    """Empty for what belongs to nobody."""
    project: str
    """Its name, or its id when Keystone does not know it any more."""
    resource: str
    """The resource, singular."""
    objects: int
    """How many."""


class Tally(msgspec.Struct, frozen=True):
    """What becomes of a resource's objects."""

    resource: str
    """The resource, singular."""
    objects: int
    """How many there are."""
    moves: int
    """How many move as they are."""
    changes: int
    """How many move, but not as they are."""
    stays: int
    """How many stay behind."""


class Agent(msgspec.Struct, frozen=True):
    """An agent of Neutron on a host."""

    type: str
    """`Open vSwitch agent`, `L3 agent`, and so on."""
    binary: str
    """Its program."""
    alive: bool
    """Whether Neutron heard from it lately."""
    enabled: bool
    """Whether the administrator lets it work."""
    heartbeat: str
    """When it was last heard of, as Neutron writes it."""


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host with its agents and what its switch does, from the agents' configurations and the ports bound there."""

    name: str
    """As in `binding:host_id`."""
    agents: list[Agent]
    """Its agents."""
    ports: int
    """How many ports are bound to it."""
    vif_types: dict[str, int]
    """How many ports have which `binding:vif_type`."""
    firewall: str
    """The firewall driver as far as it shows: `iptables_hybrid`, `openvswitch or none`, or empty."""
    hybrid_ports: int
    """How many ports are plugged through a Linux bridge of their own."""
    tunnel_types: list[str]
    """`vxlan`, `gre`, `geneve`."""
    tunneling_ip: str
    """Where its tunnels end."""
    bridge_mappings: dict[str, str]
    """Its bridges by physical network."""
    datapath: str
    """`system` or `netdev`."""
    l2_population: bool
    """Whether forwarding entries are given rather than learnt."""
    distributed: bool
    """Whether its switch routes (DVR)."""
    l3_mode: str
    """The L3 agent's mode: `legacy`, `dvr`, `dvr_snat`, or empty without one."""

    @property
    def alive(self) -> bool:
        """Whether all of its agents are."""
        return all(a.alive for a in self.agents)


class Extension(msgspec.Struct, frozen=True):
    """An API extension that the source has loaded."""

    alias: str
    """Its alias."""
    name: str
    """What it calls itself."""
    state: str
    """`mapped`, `carried` (it only adds attributes or behaviour), `in use, not mapped`, `not in use`, `unknown`."""
    objects: int
    """How many objects of its own were found."""


class Group(msgspec.Struct, frozen=True):
    """Projects that must move together, because they share something."""

    projects: list[str]
    """Their names, or ids."""
    ties: list[Subject]
    """The objects that tie them."""


class IdExtension(msgspec.Struct, frozen=True):
    """Whether Neutron can take back what will be created after the cutover."""

    loaded: bool
    """Whether it is there."""
    updated: str
    """The date of its version, empty without it."""
    sufficient: bool
    """Whether that version takes ids and times."""


class Routers(msgspec.Struct, frozen=True):
    """How the routers are made."""

    all: int = 0
    """How many there are."""
    distributed: int = 0
    """How many are distributed (DVR)."""
    ha: int = 0
    """How many are highly available."""


class Estimate(msgspec.Struct, frozen=True):
    """What a run will need; estimated, and `basis` says how."""

    read_seconds: float
    """How long reading everything took now."""
    objects_per_second: float
    """How fast that was."""
    bytes: int
    """How much JSON it was."""
    copy_seconds: float
    """How long the copy will take."""
    verify_seconds: float
    """How long comparing both sides will take."""
    memory_bytes: int
    """How much memory the run will need at most."""
    basis: str
    """How these were estimated."""


class Answers(msgspec.Struct, frozen=True):
    """Which answers were looked at."""

    file: str
    """Where they are kept; empty without a file."""
    unneeded: list[str]
    """Rules that were answered, and find nothing any more."""


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """The document of `assess --json`."""

    version: int = VERSION
    """Of this form."""
    cloud: str
    """The entry of clouds.yaml."""
    source: str
    """Neutron's address."""
    target: str
    """`bundled` or `upstream`."""
    at: float
    """When reading began."""
    verdict: str
    """`ready`, `needs answers` or `blocked`."""
    objects: int
    """How many objects there are."""
    tallies: list[Tally]
    """By resource, the most objects first."""
    counts: list[Count]
    """By project and resource."""
    gaps: list[Gap]
    """What does not fit; what blocks first, then what needs an answer, then what is only told."""
    hosts: list[Host]
    """By name."""
    routers: Routers
    """How the routers are made."""
    extensions: list[Extension]
    """By alias."""
    groups: list[Group]
    """Those of more than one project; all other projects can move alone."""
    id_extension: IdExtension
    """Whether the way back is open."""
    estimate: Estimate
    """What a run will need."""
    answers: Answers
    """Which answers were looked at."""


def schema() -> bytes:
    """The JSON schema of the document, indented."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Assessment)), indent=2)

"""Every rule of `assess`, by name; pure data.

Here are the rules about the cloud as a whole and about objects that are not what they should be. What the target's
model cannot hold is said by `alcor_model.gaps`, for each target, and becomes a rule here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.assess import model
from alcor_migrate.assess.document import Effect, Rule, Weight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alcor_model.fields import Target

_WHOLE_CLOUD: tuple[Rule, ...] = (
    Rule(
        "target-not-empty",
        "the target already holds objects",
        Weight.BLOCK,
        Effect.CLOUD,
        "a run is refused, because it could not tell its own objects from those",
        ("give the migration an empty target", "use the state directory of the run that filled this one"),
        hinders="run",
    ),
    Rule(
        "target-not-for-users",
        "upstream Alcor's API is not one that users can be sent to",
        Weight.ANSWER,
        Effect.CLOUD,
        "a run loads it and keeps it level with Neutron, and a cutover is refused: its lists show every project's "
        "objects to everybody, and much of what clients send is dropped or answered wrongly",
        ("choose the bundled Alcor, which serves Neutron's API",),
        hinders="cutover",
    ),
    Rule(
        "id-extension-missing",
        "Neutron has not loaded the extension alcor-ids",
        Weight.ANSWER,
        Effect.CLOUD,
        "after a cutover, a reverse is refused as soon as something new was created on Alcor: "
        "Neutron takes no given ids",
        ("load it into Neutron before the cutover (docs/neutron-extension.md)",),
        hinders="reverse",
    ),
    Rule(
        "id-extension-old",
        "Neutron's extension alcor-ids is older than reverse needs",
        Weight.ANSWER,
        Effect.CLOUD,
        "it takes ids and no times of creation: a reverse is refused as soon as something new was created on Alcor",
        ("replace alcor_ids.py on every API host, and restart the API processes",),
        hinders="reverse",
    ),
    Rule(
        "extension-unknown",
        "API extensions that nobody here knows",
        Weight.ANSWER,
        Effect.CLOUD,
        "what they add to mapped objects travels along; objects of their own stay, and nobody can say how many",
        ("find out what they hold, and move that by hand", "unload them, if nobody uses them"),
    ),
    Rule(
        "extension-not-mapped",
        "objects of API extensions that are not mapped",
        Weight.ANSWER,
        Effect.STAYS,
        "they stay behind in Neutron, and what they did ends with it",
        ("delete them", "set them up on the target by hand", "wait for a version that maps them"),
    ),
    Rule(
        "not-readable",
        "collections that this account must not read",
        Weight.ANSWER,
        Effect.CLOUD,
        "nobody can say what is in them; it stays behind",
        ("use an administrator's account in clouds.yaml", "let Neutron's policy show them to this account"),
    ),
)

_OBJECTS: tuple[Rule, ...] = (
    Rule(
        "malformed",
        "objects that are not what Neutron's API promises",
        Weight.ANSWER,
        Effect.STAYS,
        "they are set aside and stay behind; as long as they are, the gate of cutover stays closed",
        ("repair the named field through Neutron's API or in its database", "delete the object"),
        hinders="cutover",
    ),
    Rule(
        "contradictory",
        "objects that contradict themselves or others",
        Weight.ANSWER,
        Effect.KEPT,
        "they are carried as they are, contradiction and all",
        ("repair them in Neutron",),
    ),
    Rule(
        "dangling",
        "references to objects that do not exist",
        Weight.ANSWER,
        Effect.KEPT,
        "the object is carried with the reference, which leads nowhere there either",
        ("repair or delete the object in Neutron",),
    ),
    Rule(
        "binding-failed",
        "ports that Neutron could not bind",
        Weight.NOTE,
        Effect.KEPT,
        "they have no connection today; they are carried as they are",
        ("look why (the host's agent, its bridge mappings), or delete them",),
    ),
)

_HOSTS: tuple[Rule, ...] = (
    Rule(
        "hosts-follow-neutron",
        "hosts whose switch Neutron's agents program",
        Weight.ANSWER,
        Effect.CLOUD,
        "this version moves the API and takes over no switch. Until complete, every change made on Alcor is brought "
        "to Neutron, whose agents go on programming the hosts; after complete, nobody does",
        ("cut over and stay reversible, and complete with a version that takes hosts over",),
        hinders="complete",
    ),
    Rule(
        "host-agent-down",
        "hosts with agents that Neutron has not heard from",
        Weight.ANSWER,
        Effect.CLOUD,
        "what is bound there may not be what Neutron says, and changes do not reach it",
        ("start the agents", "delete agents of hosts that are gone: openstack network agent delete"),
    ),
    Rule(
        "host-without-agent",
        "hosts with bound ports and no agent that wires them",
        Weight.ANSWER,
        Effect.CLOUD,
        "nobody can say how these ports are connected",
        ("start the host's agent", "delete the ports of hosts that are gone"),
    ),
    Rule(
        "host-not-open-vswitch",
        "hosts with another switch than Open vSwitch",
        Weight.ANSWER,
        Effect.CLOUD,
        "their objects move, and nothing of Alcor's can ever program them",
        ("move their workload to hosts with Open vSwitch", "leave these hosts to Neutron, and do not complete"),
        hinders="complete",
    ),
    Rule(
        "host-hybrid-firewall",
        "hosts with the firewall driver iptables_hybrid",
        Weight.ANSWER,
        Effect.CLOUD,
        "their ports hang behind a Linux bridge each, which Alcor's agents do not know",
        ("change firewall_driver to openvswitch and move or restart the servers, before hosts are taken over",),
        hinders="complete",
    ),
)

OWN: tuple[Rule, ...] = (*_WHOLE_CLOUD, *_OBJECTS, *_HOSTS)
"""The rules that hold for every target."""


def rules(target: Target) -> Mapping[str, Rule]:
    """Every rule for a target, by name."""
    return {rule.name: rule for rule in (*OWN, *model.rules(target))}

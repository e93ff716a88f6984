"""What the source shows of itself to a target that holds less, and what becomes of the rest."""

import pytest

from alcor_migrate.side import Change, Key
from alcor_migrate.target.narrowed import NarrowedSource, NarrowedTarget
from alcor_migrate.target.narrowing import Judgement, Told, judge
from alcor_model import resource
from alcor_model.fields import Target
from alcor_model.gaps import Examiner, rules

ALL = dict.fromkeys(rule.id for rule in rules(Target.UPSTREAM))
P = {"project_id": "p"}
NETWORK = {"id": "n", **P, "name": "web", "provider:network_type": "vxlan", "provider:segmentation_id": 7}
SUBNET = {"id": "s", **P, "name": "sub", "network_id": "n", "cidr": "10.0.0.0/24", "ip_version": 4}
SUBNET |= {"gateway_ip": "10.0.0.1"}
ROUTER = {"id": "r", **P, "name": "edge", "routes": []}


def port(key, ip="10.0.0.9", subnet="s", network="n", mac="fa:16:3e:00:00:01", **more):
    made = {"id": key, **P, "network_id": network, "mac_address": mac, "security_groups": ["g"], "device_owner": ""}
    return made | {"fixed_ips": [{"subnet_id": subnet, "ip_address": ip}]} | more


def interface(key, router="r", **more):
    return port(key, device_id=router, device_owner="network:router_interface", **more)


class Neutron:
    """Answers from a list; nothing of the narrowing is its."""

    name, keeps_everything = "source", True

    def __init__(self, **objects):
        self.objects = {name: {o["id"]: o for o in some} for name, some in objects.items()}

    async def pages(self, of, size):
        found = [o for _, o in sorted(self.objects.get(of.name, {}).items())]
        for start in range(0, len(found), size):
            yield found[start : start + size]

    async def read(self, of, ids):
        return {i: o for i, o in self.objects.get(of.name, {}).items() if i in set(ids)}

    async def find(self, of, field, values):
        return {i: o for i, o in self.objects.get(of.name, {}).items() if o.get(field) in set(values)}


def narrowed(accepted=ALL, **objects):
    told = Told()

    async def own():
        return "admin"

    return NarrowedSource(Neutron(**objects), told, lambda: accepted, own), told


async def shown(source, name):
    return {o["id"]: o async for page in source.pages(resource(name), 2) for o in page}


@pytest.mark.parametrize(
    ("accepted", "verdict"),
    [
        ({"upstream-vni-not-reserved": None}, Judgement()),
        ({"upstream-vni-not-reserved": frozenset({"n"})}, Judgement()),
        ({"upstream-vni-not-reserved": frozenset({"other"})}, "upstream-vni-not-reserved"),
        ({}, "upstream-vni-not-reserved"),
    ],
)
def test_an_answer_is_for_the_objects_that_it_names(accepted, verdict):
    judgement = judge(Examiner(Target.UPSTREAM).examine(resource("network"), NETWORK), accepted)
    assert judgement == verdict if isinstance(verdict, Judgement) else verdict in judgement.open


async def test_what_stands_on_something_that_is_set_aside_is_set_aside_with_it():
    geneve = NETWORK | {"id": "x", "provider:network_type": "geneve"}
    floating = {"id": "f", **P, "floating_ip_address": "203.0.113.5", "floating_network_id": "n", "port_id": "q"}
    source, told = narrowed(
        network=[NETWORK, geneve],
        subnet=[SUBNET, SUBNET | {"id": "t", "network_id": "x"}],
        port=[port("p"), port("q", network="x", subnet="t", mac="fa:16:3e:00:00:02")],
        floatingip=[floating],
    )
    for name, there in (("network", {"n"}), ("subnet", {"s"}), ("port", {"p"}), ("floatingip", set())):
        assert (await shown(source, name)).keys() == there
    aside = {Key("network", "x"), Key("subnet", "t"), Key("port", "q"), Key("floatingip", "f")}
    assert told.aside == dict.fromkeys(aside, "upstream-network-type")
    # What is gone is not counted any more.
    source._source.objects["floatingip"].clear()
    await shown(source, "floatingip")
    assert told.counts() == {"upstream-network-type": 3}


async def test_what_nobody_accepted_is_shown_and_rejected_with_all_that_stands_on_it():
    accepted = {name: None for name in ALL if name != "upstream-network-type"}
    geneve = NETWORK | {"provider:network_type": "geneve"}
    source, told = narrowed(accepted, network=[geneve], subnet=[SUBNET])
    given = [
        Change(resource(name), key, None, (await shown(source, name))[key])
        for name, key in (("network", "n"), ("subnet", "s"))
    ]

    class Upstream:
        async def apply(self, changes):
            assert not changes
            return []

    rejected = {r.key: r.reason for r in await NarrowedTarget(Upstream(), told).apply(given)}
    assert rejected.keys() == {Key("network", "n"), Key("subnet", "s")}
    assert "upstream-network-type" in rejected[Key("network", "n")]
    assert "it belongs to network n" in rejected[Key("subnet", "s")]
    assert told.counts() == {}


async def test_interfaces_are_a_part_of_their_router_as_far_as_upstream_has_them():
    source, told = narrowed(
        network=[NETWORK, NETWORK | {"id": "m"}],
        subnet=[SUBNET, SUBNET | {"id": "t", "network_id": "m"}, SUBNET | {"id": "u"}],
        router=[ROUTER, ROUTER | {"id": "z"}],
        port=[
            interface("1", ip="10.0.0.1"),
            interface("2", ip="10.0.0.1", network="m", subnet="t"),  # in another network
            interface("3", ip="10.0.0.77", subnet="u"),  # not the gateway
            interface("4", ip="10.0.0.1", router="z"),  # of another router
        ],
    )
    routers = await shown(source, "router")
    assert routers["r"]["interfaces"] == [{"subnet_id": "s", "ip_address": "10.0.0.1"}]
    assert routers["z"]["interfaces"] == []
    assert await shown(source, "port") == {}
    assert told.counts() == {
        "upstream-interface-address": 1,
        "upstream-router-networks": 1,
        "upstream-subnet-routers": 1,
    }


async def test_of_two_ports_with_one_mac_the_second_is_set_aside_whatever_page_it_is_on():
    alike = [port(key) for key in ("a", "b")] + [port("c", mac="fa:16:3e:00:00:03")]
    source, told = narrowed(network=[NETWORK], subnet=[SUBNET], port=alike)
    assert (await source.read(resource("port"), ["b", "c"])).keys() == {"c"}
    assert told.aside == {Key("port", "b"): "upstream-same-mac"}
    assert (await shown(source, "port")).keys() == {"a", "c"}


async def test_what_is_malformed_is_rejected_and_the_rest_goes_on():
    source, told = narrowed(network=[NETWORK], subnet=[SUBNET | {"cidr": "nonsense"}, SUBNET | {"id": "t"}])
    assert (await shown(source, "subnet")).keys() == {"s", "t"}
    assert "cidr" in told.open[Key("subnet", "s")]
    assert Key("subnet", "t") not in told.open


async def test_fields_that_upstream_loses_are_not_shown_and_an_object_without_a_project_goes_to_ours():
    odd = NETWORK | {"project_id": "", "vlan_transparent": False, "ipv4_address_scope": "a", "created_at": "x"}
    source, _ = narrowed(network=[odd])
    (found,) = (await shown(source, "network")).values()
    assert found == NETWORK | {"project_id": "admin"}

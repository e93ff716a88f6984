"""Counting, and what is wrong with single objects."""

import pytest
from builders import network, port, subnet

from alcor_migrate.assess.census import Census
from alcor_model.catalogue import NETWORK, PORT, SUBNET


@pytest.fixture
def census():
    return Census({"p1": "web-shop"})


def found(census, rule):
    return [(s.id, s.detail) for name, s in census.findings if name == rule]


def test_objects_are_counted_by_project_and_resource(census):
    for of, each in ((NETWORK, network()), (NETWORK, network("n2", "p2")), (PORT, port())):
        assert census.take(of, each)
    assert [(c.project, c.resource, c.objects) for c in census.counts()] == [
        ("p2", "network", 1),
        ("web-shop", "network", 1),
        ("web-shop", "port", 1),
    ]
    assert dict(census.objects) == {"network": 2, "port": 1}
    assert not census.findings
    assert not census.dangling()


@pytest.mark.parametrize("cidr", [12, "10.0.0.0/99", "::ffff:10.0.0.0/120"])
def test_a_malformed_object_is_named_with_its_field(census, cidr):
    assert not census.take(SUBNET, subnet(cidr=cidr))
    ((key, detail),) = found(census, "malformed")
    assert key == "s1"
    assert "'cidr'" in detail


def test_an_object_without_an_id_is_counted_and_named(census):
    assert not census.take(NETWORK, {"name": "lost", "project_id": "p1"})
    assert found(census, "malformed")[0][1].startswith("field 'id'")


def test_a_reference_to_what_was_not_seen_is_held_until_the_end(census):
    census.take(PORT, port(network_id="gone"))
    (dangling,) = census.dangling()
    assert (dangling.subject.id, dangling.field, dangling.resource, dangling.missing) == (
        "q1",
        "network_id",
        "network",
        "gone",
    )
    census.take(NETWORK, network("gone"))
    assert not census.dangling()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"allocation_pools": [{"start": "10.0.0.2", "end": "10.0.1.9"}]}, "allocation_pools"),
    ],
)
def test_subnets_that_contradict_themselves(census, changes, words):
    assert census.take(SUBNET, subnet(**changes))
    assert any(words in detail for _, detail in found(census, "contradictory"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fixed_ips": [{"subnet_id": "s1", "ip_address": "10.9.0.1"}]}, "not within 10.0.0.0/24"),
        ({"network_id": "n2", "fixed_ips": [{"subnet_id": "s1", "ip_address": "10.0.0.7"}]}, "belongs to network n1"),
    ],
)
def test_ports_that_contradict_their_subnet(census, changes, words):
    census.take(NETWORK, network())
    census.take(NETWORK, network("n2"))
    census.take(SUBNET, subnet())
    census.take(PORT, port(**changes))
    ((_, detail),) = found(census, "contradictory")
    assert words in detail


def test_one_mac_twice_in_a_network_and_once_in_each_of_two(census):
    census.take(PORT, port("q1", mac_address="fa:16:3e:00:00:01"))
    census.take(PORT, port("q2", mac_address="FA:16:3E:00:00:01"))
    census.take(PORT, port("q3", mac_address="fa:16:3e:00:00:01", network_id="n2"))
    assert [key for key, _ in found(census, "contradictory")] == ["q2"]


def test_a_port_that_was_never_bound_is_told(census):
    census.take(PORT, port(**{"binding:vif_type": "binding_failed", "binding:host_id": "c1"}))
    assert found(census, "binding-failed") == [("q1", "c1")]

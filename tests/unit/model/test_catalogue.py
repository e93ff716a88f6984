"""The declarations against what a real Neutron says of itself: no attribute forgotten, none declared otherwise.

`golden/attributes.json` holds every attribute that the definitions of the lab's Neutron name, with the release; the
other golden files hold its answers. `python -m lab.golden` makes both anew.
"""

import json
from pathlib import Path

import pytest

from alcor_model import RESOURCES, resource
from alcor_model.catalogue.left_out import LEFT_OUT
from alcor_model.fields import Kind, Target

GOLDEN = Path(__file__).parent / "golden"
DEFINITIONS = json.loads((GOLDEN / "attributes.json").read_text("utf-8"))["collections"]
every_resource = pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)

GIVEN_AND_COMPUTED = {
    ("floatingip", "router_id"): "can be given instead of a port; with a port Neutron finds the router by itself",
    ("router", "service_type_id"): "an older Neutron's; today the flavor chooses",
}
"""Attributes that somebody can give, and that we leave to Neutron."""
NEITHER = {
    ("agent", "agent_type"),
    ("agent", "binary"),
    ("agent", "host"),
    ("agent", "topic"),
    ("availability_zone", "name"),
    ("availability_zone", "resource"),
    ("auto_allocated_topology", "tenant_id"),
    ("bgp_speaker", "networks"),  # add_gateway_network
    ("bgp_speaker", "peers"),  # add_bgp_peer
    ("port_association", "local_ip_id"),  # the path says it
}
"""Attributes that are part of an object's identity, or are given by a request of their own."""


def golden(of):
    return json.loads((GOLDEN / f"{of.name}.json").read_text("utf-8"))


def declared(collection):
    """The resource of a collection of Neutron's definitions, or None."""
    below, _, name = collection.rpartition("/")
    for of in RESOURCES:
        if of.plural == name and (not below or not of.nested or resource(of.nested.resource).plural == below):
            return of
    return None


def attributes():
    for collection, found in DEFINITIONS.items():
        if collection not in LEFT_OUT:
            for name, definition in found.items():
                yield declared(collection), name, definition


@pytest.mark.parametrize("collection", sorted(DEFINITIONS))
def test_every_collection_of_neutron_is_declared_or_left_out_for_a_reason(collection):
    assert (collection in LEFT_OUT) != (declared(collection) is not None)


def test_nothing_is_left_out_that_does_not_exist():
    assert LEFT_OUT.keys() <= DEFINITIONS.keys()


def test_every_attribute_of_neutron_is_declared():
    missing = [(of.name, name) for of, name, _ in attributes() if of.field(name) is None]
    assert missing == []


def test_what_nobody_can_give_is_computed_and_what_somebody_can_is_not():
    for of, name, definition in attributes():
        field = of.field(name)
        if name == "id" or field.kind is Kind.DERIVED:
            continue
        computed = definition["given"] is False
        if (of.name, name) in GIVEN_AND_COMPUTED:
            assert field.computed
        elif (of.name, name) not in NEITHER:
            assert field.computed is computed, (of.name, name)


@every_resource
def test_every_field_of_a_real_answer_is_declared_with_its_type(of):
    for item in golden(of):
        for name, value in item.items():
            field = of.field(name)
            assert field is not None, name
            assert not field.types or type(value) in field.types, (name, value)


@every_resource
def test_there_is_a_real_answer_of_every_resource(of):
    from_nobody = of.name == "security_groups_default_statefulness"  # Neutron 29 answers 500 to every POST
    assert bool(golden(of)) is not from_nobody


@every_resource
def test_what_is_computed_or_derived_has_a_reason(of):
    for field in of.fields:
        explained = field.computed or not field.compared
        assert bool(field.reason) is explained, field.neutron
        assert field.compared or field.computed or field.kind is Kind.DERIVED


@every_resource
def test_names_in_alcors_api_follow_from_where_the_resource_lives(of):
    if not of.upstream:
        assert {field.kind for field in of.fields} <= {Kind.SAME, Kind.DERIVED}
        assert (of.alcor_member, of.alcor_plural) == (of.name, of.plural)
    assert not any(of.fits(field, Target.UPSTREAM) for field in of.fields if not of.upstream)


def test_no_two_resources_share_a_name_or_a_path():
    for names in (
        [of.name for of in RESOURCES],
        [of.plural for of in RESOURCES],
        [of.alcor_collection for of in RESOURCES],
        [of.collection for of in RESOURCES if not of.nested],
    ):
        assert len(set(names)) == len(names)


def test_secrets_are_marked():
    secrets = {(of.name, field.neutron) for of in RESOURCES for field in of.fields if field.secret}
    assert secrets == {("ipsec_site_connection", "psk"), ("bgp_peer", "password")}


def test_what_only_alcor_has_is_not_one_of_the_fields():
    for of in RESOURCES:
        assert {f.name for f in of.alcor_only}.isdisjoint(f.alcor for f in of.fields)


ENTITIES = json.loads((Path(__file__).parent / "alcor_entities.json").read_text("utf-8"))
"""The fields of Alcor's own classes, by their JSON names, as its last code has them."""
OF_ALCORS_REQUESTS = {
    "network": {"l2_adjacency"},  # a text there, and no request can set it
    "subnet": {"tags-any", "not-tags", "not-tags-any", "fields", "sort_key", "sort_dir", "use_default_subnet_pool"},
    "port": {"dns_assignment"},  # one object there, and Neutron's list is refused
    "quota": {"name", "description", "subnetPool"},
}
"""What is in Alcor's classes and holds nothing of an object: filters of its lists, and what cannot be set."""
BESIDE_THE_CLASS = {
    "network": {"default"},  # a getter's second spelling of is_default
    "subnet": {"routes"},  # only its requests have it
    "quota": {"subnetpool"},  # the keys of a map
}


@pytest.mark.parametrize("name", sorted(ENTITIES))
def test_every_field_of_alcors_own_classes_is_declared(name):
    of = resource(name)
    theirs = set(ENTITIES[name]["fields"].split()) - OF_ALCORS_REQUESTS.get(name, set())
    derived = {field.neutron for field in of.fields if field.kind is Kind.DERIVED}
    ours = {field.alcor for field in of.fields if field.alcor} | {field.name for field in of.alcor_only}
    assert theirs - ours <= derived
    assert ours - theirs == BESIDE_THE_CLASS.get(name, set())


def test_alcors_classes_are_those_of_the_resources_that_it_knows():
    assert ENTITIES.keys() == {of.name for of in RESOURCES if of.upstream}

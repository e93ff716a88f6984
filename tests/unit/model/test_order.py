"""Load and delete order follow from the references."""

import json
import random
from pathlib import Path

import msgspec
import pytest

from alcor_model import RESOURCES, delete_order, load_order, resource
from alcor_model.catalogue import Reference
from alcor_model.order import needs, ordered

GOLDEN = Path(__file__).parent / "golden"


def test_everything_is_loaded_after_what_it_needs_and_deleted_before():
    names = [of.name for of in load_order()]
    assert sorted(names) == sorted(of.name for of in RESOURCES)
    for of in RESOURCES:
        for needed in needs(of):
            assert names.index(needed) < names.index(of.name), (needed, of.name)
    assert delete_order() == tuple(reversed(load_order()))


def test_the_order_does_not_depend_on_the_order_of_the_declarations():
    shuffled = list(RESOURCES)
    random.Random(7).shuffle(shuffled)  # nothing secret
    assert ordered(shuffled) == load_order()


def test_every_reference_names_a_resource_and_fields_that_are_declared():
    names = {of.name for of in RESOURCES}
    for of in RESOURCES:
        fields = {field.neutron for field in of.fields}
        for reference in (*of.references, *of.parents):
            assert reference.resource in names
            assert reference.path.split(".")[0] in fields, (of.name, reference.path)
            assert reference.when is None or reference.when[0] in fields
        if of.nested:
            assert of.nested.resource in names
            assert of.nested.field in fields
            hint = resource(of.nested.resource).field(of.nested.hint)
            assert not of.nested.hint or hint
        assert set(of.identity) <= fields


def test_a_round_of_references_is_named():
    network = msgspec.structs.replace(resource("network"), references=(Reference("x", "port"),))
    with pytest.raises(ValueError, match=r"round: .*network.*port|round: .*port.*network"):
        ordered([network, resource("port")])


def test_a_reference_to_its_own_kind_is_no_obstacle():
    group = msgspec.structs.replace(resource("security_group"), references=(Reference("x", "security_group"),))
    assert ordered([group]) == (group,)


@pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)
def test_references_of_real_answers_lead_to_real_objects(of):
    """Every id that a golden object names is that of a golden object of the resource that the reference says."""
    ids = {
        other.name: {item.get("id") for item in json.loads((GOLDEN / f"{other.name}.json").read_text("utf-8"))}
        for other in RESOURCES
    }
    for item in json.loads((GOLDEN / f"{of.name}.json").read_text("utf-8")):
        for reference in of.references:
            for named in reference.ids(item):
                assert named in ids[reference.resource], (of.name, reference.path, named)

"""Real answers of Neutron go to Alcor and come back as they were; generated objects are in test_mapping.py."""

import json
from pathlib import Path

import pytest

from alcor_model import EXTENSION, RESOURCES, canonical, differences, digest, to_alcor, to_neutron
from alcor_model.fields import Kind

GOLDEN = Path(__file__).parent / "golden"


def real(of):
    """The golden objects of a resource, as our sides carry them: what has no id gets one of its identity."""
    for item in json.loads((GOLDEN / f"{of.name}.json").read_text("utf-8")):
        yield {"id": "/".join(item[name] for name in of.identity)} | item


every_resource = pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)


@every_resource
def test_there_and_back_is_the_identity(of):
    derived = {field.neutron for field in of.fields if field.kind is Kind.DERIVED}
    for item in real(of):
        kept = {name: value for name, value in item.items() if name not in derived}
        assert to_neutron(of, to_alcor(of, item)) == kept


@every_resource
def test_the_way_through_json_changes_nothing(of):
    for item in real(of):
        back = to_neutron(of, json.loads(json.dumps(to_alcor(of, item))))
        assert differences(of, item, back) == []
        assert digest(of, item) == digest(of, back)


@every_resource
def test_the_canonical_form_is_its_own(of):
    for item in real(of):
        once = canonical(of, item)
        assert canonical(of, once) == once


@every_resource
def test_only_what_alcor_has_no_place_for_is_in_the_extension(of):
    for item in real(of):
        extra = to_alcor(of, item).get(EXTENSION, {})
        assert all(of.field(name).kind is Kind.EXTENSION for name in extra)
        assert of.upstream or not extra

"""The types of both vocabularies hold what the declarations say, keep the rest, and name what is wrong."""

import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_objects import json_values, objects
from msgspec import UNSET

from alcor_model import EXTENSION, RESOURCES, resource, to_alcor
from alcor_model.errors import MalformedObject
from alcor_model.vocabulary import alcor_type, attribute, neutron_type, read, write

PORT = resource("port")
every_resource = pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)


@given(of=st.sampled_from(RESOURCES), data=st.data())
def test_what_is_read_is_written_again(of, data):
    neutron = data.draw(objects(of))
    assert write(read(neutron_type(of), neutron)) == neutron
    alcor = to_alcor(of, neutron) | data.draw(st.sampled_from([{}, {"only_alcor_knows": 7}]))
    assert write(read(alcor_type(of), alcor)) == alcor


@given(of=st.sampled_from(RESOURCES), data=st.data())
def test_the_mapping_makes_only_what_alcors_type_declares(of, data):
    neutron = data.draw(objects(of, undeclared=False))
    alcor = to_alcor(of, neutron)
    assert read(alcor_type(of), alcor).undeclared is UNSET
    assert write(msgspec.convert(alcor, alcor_type(of))) == alcor


GOLDEN = Path(__file__).parent / "golden"


@every_resource
def test_what_a_real_neutron_answered_is_declared_whole(of):
    for found in json.loads((GOLDEN / f"{of.name}.json").read_text()):
        neutron = {"id": "/".join(str(found.get(name)) for name in of.identity), **found}
        typed = read(neutron_type(of), neutron)
        assert typed.undeclared is UNSET
        assert write(typed) == neutron
        alcor = to_alcor(of, neutron)
        held = read(alcor_type(of), alcor)
        assert held.undeclared is UNSET
        assert held.neutron_attributes is UNSET or held.neutron_attributes.undeclared is UNSET


@every_resource
def test_every_field_of_both_apis_is_an_attribute(of):
    neutron, alcor = neutron_type(of), alcor_type(of)
    assert {f.neutron for f in of.fields} | {"undeclared"} == set(neutron.__struct_encode_fields__)
    placed = {f.alcor for f in of.fields if f.alcor} | {only.name for only in of.alcor_only}
    assert placed | {EXTENSION, "undeclared"} == set(alcor.__struct_encode_fields__)
    for kind in (neutron, alcor):
        assert len(set(kind.__struct_fields__)) == len(kind.__struct_fields__)
        assert not {"OF", "API"} & set(kind.__struct_fields__), "these say what the type is"
        assert msgspec.json.schema(kind)


def test_attributes_are_called_as_in_json():
    port = read(
        neutron_type(PORT), {"id": "p", "network_id": "n", "mac_address": "m", "binding:host_id": "h", "new": 1}
    )
    assert (port.id, port.binding_host_id, port.name, port.undeclared) == ("p", "h", UNSET, {"new": 1})
    assert attribute("data-path-ip") == "data_path_ip"
    assert attribute("from") == "from_"


def test_what_alcor_keeps_for_neutron_is_typed_too():
    port = read(alcor_type(PORT), {"id": "p", EXTENSION: {"device_profile": "d", "from_a_plugin": [1]}})
    assert port.neutron_attributes.device_profile == "d"
    assert port.neutron_attributes.undeclared == {"from_a_plugin": [1]}


def test_undeclared_fields_are_refused_where_they_would_be_dropped():
    text = b'{"id": "p", "network_id": "n", "mac_address": "m", "new": 1}'
    with pytest.raises(msgspec.ValidationError, match="new"):
        msgspec.json.decode(text, type=neutron_type(PORT))


@pytest.mark.parametrize(
    ("kind", "broken", "object_id", "field"),
    [
        (neutron_type(PORT), {"id": "p", "mac_address": "m"}, "p", "network_id"),
        (neutron_type(PORT), {"id": "p", "network_id": "n", "mac_address": "m", "tags": "x"}, "p", "tags"),
        (neutron_type(PORT), [], "", "(object)"),
        (alcor_type(PORT), {"id": 7}, "", "id"),
        (alcor_type(PORT), {"name": "x"}, "", "id"),
        (alcor_type(PORT), {"id": "p", "binding:host_id": 3}, "p", "binding:host_id"),
        (
            alcor_type(PORT),
            {"id": "p", EXTENSION: {"tags": 1, "dns_assignment": 3}},
            "p",
            f"{EXTENSION}.dns_assignment",
        ),
        (alcor_type(PORT), {"id": "p", EXTENSION: "x"}, "p", EXTENSION),
        (alcor_type(PORT), None, "", "(object)"),
    ],
)
def test_what_is_wrong_is_named(kind, broken, object_id, field):
    with pytest.raises(MalformedObject) as caught:
        read(kind, broken)
    assert (caught.value.object_id, caught.value.field) == (object_id, field)


@given(st.sampled_from(RESOURCES), st.sampled_from([neutron_type, alcor_type]), json_values, st.data())
def test_rubbish_is_malformed_and_nothing_else_happens(of, kind, rubbish, data):
    field = data.draw(st.sampled_from(of.fields))
    for found in (rubbish, {"id": "x", (field.alcor or field.neutron): rubbish}):
        with suppress(MalformedObject):
            assert write(read(kind(of), found)) == found

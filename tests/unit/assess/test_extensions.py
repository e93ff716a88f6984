"""What API extensions bring."""

from alcor_migrate.assess import extensions
from alcor_model import RESOURCES


def test_every_declared_extension_is_known_and_mapped():
    for of in RESOURCES:
        if of.alias and of.listed:
            assert extensions.state(of.alias, 1) == "mapped", of.alias


def test_an_alias_has_one_place():
    assert not extensions.CARRIED & extensions.BRINGS.keys()


def test_what_nobody_maps_is_told_by_its_use():
    assert extensions.unmapped("fwaas_v2")
    assert extensions.state("fwaas_v2", 3) == "in use, not mapped"
    assert extensions.state("fwaas_v2", 0) == "not in use"
    assert extensions.state("binding", 0) == "carried"
    assert extensions.state("somebodys-own", 0) == "unknown"

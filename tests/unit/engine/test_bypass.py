"""Who wrote what a sweep found."""

import pytest

from alcor_migrate.engine.bypass import Tally
from alcor_migrate.side import Change
from alcor_model import resource

PORT = {"id": "p", "network_id": "n", "mac_address": "m", "device_owner": "compute:nova", "status": "DOWN"}


def by(*found):
    tally = Tally()
    tally.add(Change(resource(name), (new or old)["id"], old, new) for name, old, new in found)
    return dict(tally.found)


@pytest.mark.parametrize(
    ("name", "old", "new", "writer"),
    [
        ("port", None, PORT | {"device_owner": "network:dhcp"}, "agents"),
        ("port", PORT | {"device_owner": "network:dhcp"}, None, "agents"),
        ("port", PORT, PORT | {"status": "ACTIVE", "updated_at": "2026-01-01T00:00:00Z"}, "agents"),
        ("port", PORT, PORT | {"status": "ACTIVE", "name": "renamed"}, "others"),
        ("port", None, PORT, "others"),
        ("port", PORT, None, "others"),
        ("network", {"id": "n", "availability_zones": []}, {"id": "n", "availability_zones": ["nova"]}, "agents"),
        ("network", None, {"id": "n"}, "others"),
        ("agent", None, {"id": "a", "host": "compute-1"}, "agents"),
        ("security_group", None, {"id": "g", "name": "default"}, "reads"),
        ("security_group", {"id": "g", "name": "default"}, None, "others"),
        ("security_group", None, {"id": "g", "name": "web"}, "others"),
        ("security_group_rule", None, {"id": "r", "security_group_id": "g"}, "others"),
        ("policy", None, {"id": "q"}, "others"),
    ],
)
def test_who_wrote_it_shows_in_what_is_different(name, old, new, writer):
    assert by((name, old, new)) == {writer: 1}


def test_rules_belong_to_who_made_their_group():
    rules = [("security_group_rule", None, {"id": i, "security_group_id": "g"}) for i in "rs"]
    assert by(("security_group", None, {"id": "g", "name": "default"}), *rules) == {"reads": 3}

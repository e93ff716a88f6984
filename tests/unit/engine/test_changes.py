"""What a write asks to be read again."""

import pytest

from alcor_migrate.engine.changes import Touched, consequences, touched
from alcor_migrate.side import Change, Key, Query
from alcor_model import resource


def keys(found):
    return {str(k) for k in found.keys}


@pytest.mark.parametrize(
    ("method", "path", "status", "answer", "expected"),
    [
        ("POST", "/v2.0/networks", 201, {"network": {"id": "n"}}, {"network n"}),
        ("POST", "/v2.0/networks.json", 201, {"network": {"id": "n"}}, {"network n"}),
        ("POST", "/v2.0/ports", 201, {"ports": [{"id": "a"}, {"id": "b"}]}, {"port a", "port b"}),
        ("PUT", "/v2.0/ports/p?x=y", 200, {"port": {"id": "p"}}, {"port p"}),
        ("DELETE", "/v2.0/subnets/s", 204, None, {"subnet s"}),
        ("PUT", "/v2.0/networks/n/tags/blue", 201, None, {"network n"}),
        ("DELETE", "/v2.0/ports/p/tags", 204, None, {"port p"}),
        ("PUT", "/v2.0/routers/r/add_router_interface", 200, {"id": "r", "port_id": "p"}, {"router r", "port p"}),
        ("POST", "/v2.0/security-group-rules", 201, {"security_group_rule": {"id": "x"}}, {"security_group_rule x"}),
        # refused by the side: nothing can have changed
        ("POST", "/v2.0/ports", 409, {"NeutronError": {}}, set()),
        ("PUT", "/v2.0/ports/p", 404, None, set()),
        # the side failed half-way, or nobody knows: look at the object
        ("PUT", "/v2.0/ports/p", 500, None, {"port p"}),
        ("DELETE", "/v2.0/routers/r", 0, None, {"router r"}),
        # not mapped yet
        ("POST", "/v2.0/qos/policies", 201, {"policy": {"id": "q"}}, set()),
        ("POST", "/", 201, None, set()),
        # the answer names the parent: no need to find out
        ("POST", "/v2.0/subnets", 201, {"subnet": {"id": "s", "network_id": "n"}}, {"subnet s", "network n"}),
    ],
)
def test_an_entry_names_the_objects_to_read_again(method, path, status, answer, expected):
    assert keys(touched(method, path, status, None, answer, "project")) == expected


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_create_with_an_unknown_outcome_needs_a_comparison_of_all(status):
    assert touched("POST", "/v2.0/ports", status, None, None, None).resources == {"port"}


def test_a_list_of_groups_may_have_made_the_default_one():
    found = touched("GET", "/v2.0/security-groups", 200, None, None, "p1")
    assert found.queries == {Query("security_group", "project_id", "p1")}


def change(name, old, new):
    of = resource(name)
    return Change(of, (new or old)["id"], old, new)


def test_an_object_that_is_equal_on_both_sides_has_no_consequences():
    network = {"id": "n", "project_id": "p"}
    assert consequences(change("network", network, network)) == Touched()


def test_a_new_subnet_changes_its_network_and_may_bring_the_default_group():
    found = consequences(change("subnet", None, {"id": "s", "network_id": "n", "project_id": "p"}))
    assert found.keys == {Key("network", "n")}
    assert Query("security_group", "project_id", "p") in found.queries


def test_a_subnet_with_automatic_addresses_changes_every_port_of_its_network():
    found = consequences(change("subnet", None, {"id": "s", "network_id": "n", "ipv6_address_mode": "slaac"}))
    assert Query("port", "network_id", "n") in found.queries


def test_a_network_that_is_gone_takes_its_subnets_and_ports_with_it():
    found = consequences(change("network", {"id": "n"}, None))
    assert {Query("subnet", "network_id", "n"), Query("port", "network_id", "n")} <= found.queries


def test_a_group_that_is_gone_takes_the_rules_that_name_it():
    found = consequences(change("security_group", {"id": "g"}, None))
    assert {
        Query("security_group_rule", "security_group_id", "g"),
        Query("security_group_rule", "remote_group_id", "g"),
    } <= found.queries


def test_a_floating_ip_is_looked_at_with_its_port_and_its_router():
    found = consequences(
        change(
            "floatingip",
            {"id": "f", "floating_network_id": "x", "port_id": None},
            {"id": "f", "floating_network_id": "x", "port_id": "p", "router_id": "r"},
        )
    )
    assert {Key("port", "p"), Key("router", "r")} <= found.keys


def test_only_what_repeats_a_changed_field_is_read_again():
    renamed = consequences(change("network", {"id": "n", "name": "a"}, {"id": "n", "name": "b"}))
    assert not renamed.queries
    opened = consequences(change("network", {"id": "n"}, {"id": "n", "router:external": True}))
    assert opened.queries == {Query("subnet", "network_id", "n")}
    connected = consequences(change("router", {"id": "r"}, {"id": "r", "external_gateway_info": {"network_id": "x"}}))
    assert connected.queries == {Query("port", "device_id", "r")}


def test_what_is_made_with_its_owner_is_looked_for_at_once():
    made = touched("POST", "/v2.0/floatingips", 201, None, {"floatingip": {"id": "f"}}, None)
    assert made.queries == {Query("port", "device_id", "f")}


def test_a_port_that_is_gone_lets_go_of_its_floating_ip():
    found = consequences(change("port", {"id": "p", "network_id": "n"}, None))
    assert Query("floatingip", "port_id", "p") in found.queries

"""What a write asks to be read again."""

import pytest

from alcor_migrate.engine.changes import Touched, consequences, lookups, touched
from alcor_migrate.side import Change, Key, Query
from alcor_model import RESOURCES, resource
from alcor_sdn.controller.store import TABLES


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
        ("POST", "/v2.0/qos/policies", 201, {"policy": {"id": "q"}}, {"policy q"}),
        ("PUT", "/v2.0/policies/q/tags/gold", 201, None, {"policy q"}),
        ("PUT", "/v2.0/security_groups/g/tags", 200, None, {"security_group g"}),
        ("PUT", "/v2.0/qos/alias-bandwidth-limit-rules/x", 200, None, {"bandwidth_limit_rule x"}),
        ("POST", "/v2.0/metering/metering-labels", 201, {"metering_label": {"id": "m"}}, {"metering_label m"}),
        ("PUT", "/v2.0/address-groups/a/add_addresses", 200, {"address_group": {"id": "a"}}, {"address_group a"}),
        ("PUT", "/v2.0/subnetpools/s/add_prefixes", 200, {"prefixes": []}, {"subnetpool s"}),
        ("PUT", "/v2.0/quotas/p", 200, {"quota": {"network": 5}}, {"quota p"}),
        ("DELETE", "/v2.0/quotas/p.json", 204, None, {"quota p"}),
        ("POST", "/v2.0/ports/p/bindings", 201, {"binding": {"host": "h"}}, {"port p"}),
        ("PUT", "/v2.0/ports/p/bindings/h/activate", 200, {"host": "h"}, {"port p"}),
        ("PUT", "/v2.0/routers/r/add_external_gateways", 200, {"router": {"id": "r"}}, {"router r"}),
        ("PUT", "/v2.0/routers/r/add_extraroutes", 200, {"router": {"id": "r"}}, {"router r"}),
        ("POST", "/v2.0/flavors/f/service_profiles", 201, {"service_profile": {"id": "s"}}, {"flavor f"}),
        ("PUT", "/v2.0/agents/a", 200, {"agent": {"id": "a"}}, {"agent a"}),
        ("DELETE", "/v2.0/agents/a/dhcp-networks/n", 204, None, {"agent a", "network n"}),
        ("DELETE", "/v2.0/agents/a/l3-routers/r", 204, None, {"agent a", "router r"}),
        ("PUT", "/v2.0/bgp-speakers/s/add_bgp_peer", 200, {"bgp_peer_id": "b"}, {"bgp_speaker s"}),
        ("POST", "/v2.0/vpn/ikepolicies", 201, {"ikepolicy": {"id": "i"}}, {"ikepolicy i"}),
        ("POST", "/v2.0/segments", 201, {"segment": {"id": "s"}}, {"segment s"}),
        ("POST", "/", 201, None, set()),
        # the answer names the parent: no need to find out
        ("POST", "/v2.0/subnets", 201, {"subnet": {"id": "s", "network_id": "n"}}, {"subnet s", "network n"}),
    ],
)
def test_an_entry_names_the_objects_to_read_again(method, path, status, answer, expected):
    assert keys(touched(method, path, status, None, answer, "project")) == expected


@pytest.mark.parametrize(
    ("path", "request_body", "expected"),
    [
        ("/v2.0/trunks/t/add_subports", {"sub_ports": [{"port_id": "p"}, {"port_id": "q"}]}, {"port p", "port q"}),
        ("/v2.0/trunks/t/remove_subports", {"sub_ports": [{"port_id": "p"}]}, {"port p"}),
        ("/v2.0/agents/a/dhcp-networks", {"network_id": "n"}, {"network n"}),
        ("/v2.0/agents/a/l3-routers", {"router_id": "r"}, {"router r"}),
    ],
)
def test_an_action_names_others_in_its_body(path, request_body, expected):
    assert expected <= keys(touched("PUT", path, 200, request_body, None, None))


@pytest.mark.parametrize(
    ("path", "above", "below"),
    [
        ("/v2.0/floatingips/f/port_forwardings", "floatingip f", ("port_forwarding", "floatingip_id", "f")),
        ("/v2.0/floatingips/f/port_forwardings/p.json", "floatingip f", ("port_forwarding", "floatingip_id", "f")),
        ("/v2.0/qos/policies/q/dscp_marking_rules/r", "policy q", ("dscp_marking_rule", "qos_policy_id", "q")),
        ("/v2.0/routers/r/conntrack_helpers", "router r", ("conntrack_helper", "router_id", "r")),
        ("/v2.0/local_ips/l/port_associations/p", "local_ip l", ("port_association", "local_ip_id", "l")),
    ],
)
@pytest.mark.parametrize(("method", "status"), [("POST", 201), ("PUT", 200), ("DELETE", 204), ("POST", 0)])
def test_what_lies_below_an_object_is_asked_for_through_it(path, above, below, method, status):
    found = touched(method, path, status, None, None, None)
    assert (keys(found), found.queries, found.resources) == ({above}, {Query(*below)}, frozenset())


def test_a_topology_is_made_by_a_get_and_everything_of_the_project_may_be_part_of_it():
    expected = {Query(name, "project_id", "p1") for name in ("network", "subnet", "router", "port")}
    assert touched("GET", "/v2.0/auto-allocated-topology/null", 200, None, None, "p1").queries == expected
    assert touched("DELETE", "/v2.0/auto-allocated-topology/p1", 204, None, None, "admin").queries == expected


def test_the_subnets_that_a_pool_takes_over_are_read_again():
    found = touched("PUT", "/v2.0/subnetpools/s/onboard_network_subnets", 200, {"network_id": "n"}, None, None)
    assert found.queries == {Query("subnet", "network_id", "n")}


def test_another_scope_of_a_pool_shows_in_networks_that_nobody_can_name():
    found = touched("PUT", "/v2.0/subnetpools/s", 200, {"subnetpool": {"address_scope_id": "a"}}, None, None)
    assert found.resources == {"network"}


@pytest.mark.parametrize("path", ["/v2.0/sfc/port_chains", "/v2.0/fwaas/firewall_groups/g", "/v2.0/taas/tap_flows"])
def test_a_write_to_what_nobody_declared_is_named(path):
    assert touched("POST", path, 201, None, None, None) == Touched(undeclared=frozenset({path.split("/")[2]}))
    assert touched("POST", path, 404, None, None, None) == Touched()


@pytest.mark.parametrize("of", [of for of in RESOURCES if not of.nested and of.listed], ids=lambda of: of.name)
def test_every_resource_is_known_by_its_path(of):
    if of.name != "quota":
        made = touched("POST", f"/v2.0/{of.collection}", 201, None, {of.name: {"id": "x"}}, None)
        assert Key(of.name, "x") in made.keys
        bulk = touched("POST", f"/v2.0/{of.collection}", 201, None, {of.plural: [{"id": "x"}, {"id": "y"}]}, None)
        assert {Key(of.name, "x"), Key(of.name, "y")} <= bulk.keys
    assert Key(of.name, "x") in touched("DELETE", f"/v2.0/{of.collection}/x", 204, None, None, None).keys


@pytest.mark.parametrize(("name", "field"), sorted(lookups()))
def test_bundled_alcor_can_look_up_whatever_replay_asks_for(name, field):
    assert field in TABLES[name].c


@pytest.mark.parametrize("status", [0, 500, 503])
def test_a_create_with_an_unknown_outcome_needs_a_comparison_of_all(status):
    assert touched("POST", "/v2.0/ports", status, None, None, None).resources == {"port"}


def test_what_follows_from_a_new_object_is_read_together_with_it():
    port = {"id": "p", "network_id": "n", "project_id": "t"}
    made = touched("POST", "/v2.0/ports", 201, None, {"port": port}, None)
    follows = consequences(change("port", None, port))
    assert Key("network", "n") in made.keys
    assert follows.keys <= made.keys
    assert follows.queries <= made.queries


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
    gone = {("subnet", "network_id"), ("port", "network_id"), ("segment", "network_id"), ("rbac_policy", "object_id")}
    assert {Query(*which, "n", held=True) for which in gone} <= found.queries


def test_a_group_that_is_gone_takes_the_rules_that_name_it():
    found = consequences(change("security_group", {"id": "g"}, None))
    assert {
        Query("security_group_rule", "security_group_id", "g", held=True),
        Query("security_group_rule", "remote_group_id", "g", held=True),
    } <= found.queries


@pytest.mark.parametrize(
    ("gone", "left"),
    [
        ("floatingip", ("port_forwarding", "floatingip_id")),
        ("port", ("port_forwarding", "internal_port_id")),
        ("port", ("port_association", "fixed_port_id")),
        ("port", ("ndp_proxy", "port_id")),
        ("policy", ("bandwidth_limit_rule", "qos_policy_id")),
        ("policy", ("rbac_policy", "object_id")),
        ("router", ("conntrack_helper", "router_id")),
        ("metering_label", ("metering_label_rule", "metering_label_id")),
    ],
)
def test_what_is_gone_takes_along_what_lay_below_it_or_named_it(gone, left):
    found = consequences(change(gone, {"id": "x", "floating_network_id": "n"}, None))
    assert Query(*left, "x", held=True) in found.queries


def test_subports_that_come_and_go_are_read_again_and_those_that_stay_are_not():
    old = {"id": "t", "port_id": "parent", "sub_ports": [{"port_id": "stays"}, {"port_id": "goes"}]}
    new = {"id": "t", "port_id": "parent", "sub_ports": [{"port_id": "stays"}, {"port_id": "comes"}]}
    assert consequences(change("trunk", old, new)).keys == {Key("port", "goes"), Key("port", "comes")}


def test_a_policy_changes_how_what_it_shares_is_seen():
    rbac = {"id": "r", "object_type": "qos_policy", "object_id": "q", "action": "access_as_shared"}
    assert consequences(change("rbac_policy", None, rbac)).keys == {Key("policy", "q")}
    assert consequences(change("rbac_policy", rbac, None)).keys == {Key("policy", "q")}


def test_a_highly_available_router_may_bring_a_network():
    port = {"id": "p", "network_id": "n", "device_id": "r", "device_owner": "network:router_ha_interface"}
    assert consequences(change("port", None, port)).keys == {Key("router", "r"), Key("network", "n")}
    # … which has a subnet from its start, that no answer names
    assert Query("subnet", "network_id", "n") in consequences(change("network", None, {"id": "n"})).queries


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
    assert opened.queries == {Query("subnet", "network_id", "n"), Query("rbac_policy", "object_id", "n")}
    shaped = consequences(change("network", {"id": "n"}, {"id": "n", "qos_policy_id": "q"}))
    assert Query("port", "network_id", "n") in shaped.queries
    connected = consequences(change("router", {"id": "r"}, {"id": "r", "external_gateway_info": {"network_id": "x"}}))
    assert connected.queries == {Query("port", "device_id", "r")}


def test_what_is_made_with_its_owner_is_looked_for_at_once():
    made = touched("POST", "/v2.0/floatingips", 201, None, {"floatingip": {"id": "f"}}, None)
    assert made.queries == {Query("port", "device_id", "f")}


def test_a_port_that_is_gone_lets_go_of_its_floating_ip():
    found = consequences(change("port", {"id": "p", "network_id": "n"}, None))
    assert Query("floatingip", "port_id", "p", held=True) in found.queries


@pytest.mark.parametrize("status", [0, 500])
def test_what_an_action_made_is_looked_for_where_no_answer_names_it(status):
    found = touched("PUT", "/v2.0/routers/r1/add_router_interface", status, {"subnet_id": "s1"}, None, None)
    assert found.keys == {Key("router", "r1")}
    assert found.queries == {Query("port", "device_id", "r1")}


def test_with_a_new_port_its_network_is_read_again():
    """Its first port gives a network to DHCP agents, and it shows their availability zones from then on."""
    port = {"id": "p", "network_id": "n", "device_id": "vm", "device_owner": "compute:nova"}
    assert Key("network", "n") in consequences(Change(resource("port"), "p", None, port)).keys
    named = {**port, "name": "web"}
    assert Key("network", "n") not in consequences(Change(resource("port"), "p", port, named)).keys


def test_who_named_a_deleted_object_in_a_list_is_found_by_comparing_all_of_them():
    found = consequences(Change(resource("bgp_peer"), "b", {"id": "b"}, None))
    assert found.resources == {"bgp_speaker"}
    assert consequences(Change(resource("port"), "p", {"id": "p", "network_id": "n"}, None)).resources == set()

"""Projects that must move together."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from alcor_model import resource
from alcor_model.groups import groups


def network(name, project, **more):
    return resource("network"), {"id": name, "project_id": project} | more


def subnet(name, project, of):
    return resource("subnet"), {"id": name, "project_id": project, "network_id": of}


def port(name, project, of, **more):
    return resource("port"), {"id": name, "project_id": project, "network_id": of} | more


def policy(kind, shared, target, project="a"):
    fields = {"object_type": kind, "object_id": shared, "target_tenant": target, "action": "access_as_shared"}
    return resource("rbac_policy"), {"id": f"rbac-{shared}-{target}", "project_id": project} | fields


def projects(objects):
    return [group.projects for group in groups(objects)]


def test_projects_that_share_nothing_are_alone():
    assert projects([network("n1", "a"), network("n2", "b"), port("p", "b", "n2")]) == [("a",), ("b",)]


def test_a_port_in_another_projects_network_ties_and_is_named():
    (group,) = groups([network("n", "a"), subnet("s", "a", "n"), port("p", "b", "n", fixed_ips=[{"subnet_id": "s"}])])
    assert group.projects == ("a", "b")
    assert [(tie.resource, tie.id, tie.owner, tie.others, tie.reasons) for tie in group.ties] == [
        ("network", "n", "a", ("b",), ("port.network_id",)),
        ("subnet", "s", "a", ("b",), ("port.fixed_ips.subnet_id",)),
    ]


def test_what_is_open_to_everybody_ties_nobody():
    for ground in (
        [network("n", "op", shared=True)],
        [network("n", "op", **{"router:external": True})],
        [network("n", "op"), policy("network", "n", "*", "op")],
    ):
        users = [subnet("s", "op", "n")]
        users += [port(f"p{who}", who, "n", fixed_ips=[{"subnet_id": "s"}]) for who in "ab"]
        assert projects([*ground, *users]) == [("a",), ("b",), ("op",)]


def test_rbac_for_one_project_ties_before_it_is_used():
    for kind, name in (("network", "network"), ("qos_policy", "policy"), ("address_group", "address_group")):
        (group,) = groups([(resource(name), {"id": "x", "project_id": "a"}), policy(kind, "x", "b")])
        assert (group.projects, group.ties[0].reasons) == (("a", "b"), ("rbac_policy access_as_shared",))


def test_ties_reach_over_several_objects():
    objects = [
        network("n1", "a"),
        network("n2", "b"),
        port("p1", "b", "n1"),
        port("p2", "c", "n2"),
        network("n3", "d"),
    ]
    assert projects(objects) == [("a", "b", "c"), ("d",)]


def test_remote_groups_routers_and_pools_tie():
    rule = {"id": "r", "project_id": "b", "security_group_id": "mine", "remote_group_id": "theirs"}
    cut = {"id": "s", "project_id": "b", "network_id": "n", "subnetpool_id": "pool"}
    face = {"device_id": "router", "device_owner": "network:router_interface"}
    for objects in (
        [(resource("security_group"), {"id": "theirs", "project_id": "a"}), (resource("security_group_rule"), rule)],
        [(resource("subnetpool"), {"id": "pool", "project_id": "a"}), network("n", "b"), (resource("subnet"), cut)],
        [(resource("router"), {"id": "router", "project_id": "a"}), network("n", "b"), port("p", "b", "n", **face)],
    ):
        assert projects(objects) == [("a", "b")]


def test_two_that_use_what_nobody_saw_are_tied_to_each_other():
    (group,) = groups([port("p", "a", "gone"), port("q", "b", "gone")])
    assert (group.projects, group.ties[0].owner) == (("a", "b"), "")


def test_the_order_of_the_objects_means_nothing():
    objects = [
        network("n", "a"),
        subnet("s", "a", "n"),
        port("p", "b", "n"),
        policy("network", "n", "c"),
        network("m", "d"),
    ]
    wanted = groups(objects)
    assert all(groups(order) == wanted for order in itertools.permutations(objects))


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12))
def test_the_groups_are_the_connected_components(edges):
    objects = [network(str(n), f"project{n}") for n in range(9)]
    objects += [port(f"p{i}", f"project{a}", str(b)) for i, (a, b) in enumerate(edges)]
    together = [{n} for n in range(9)]
    for a, b in edges:
        joined = [part for part in together if a in part or b in part]
        together = [part for part in together if part not in joined] + [set().union(*joined)]
    wanted = sorted(tuple(sorted(f"project{n}" for n in part)) for part in together)
    assert sorted(projects(objects)) == wanted


def test_objects_of_nobody_tie_nobody():
    assert projects([network("ha", ""), port("p", "a", "ha"), port("q", "b", "ha")]) == [("a",), ("b",)]

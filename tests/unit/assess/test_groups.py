"""Which projects must move together."""

from builders import network, port, subnet

from alcor_migrate.assess.groups import Groups
from alcor_model import resource


def groups(*objects):
    made = Groups()
    for name, each in objects:
        made.take(resource(name), each)
    return [(g.projects, [(t.resource, t.id) for t in g.ties]) for g in made.together(str.upper)]


def test_projects_with_nothing_in_common_move_alone():
    assert groups(("network", network()), ("network", network("n2", "p2")), ("port", port())) == []


def test_a_port_in_anothers_network_ties():
    assert groups(("network", network()), ("port", port(project="p2"))) == [(["P1", "P2"], [("network", "n1")])]


def test_what_everybody_may_use_ties_nobody():
    for mark in ({"shared": True}, {"router:external": True}):
        objects = ("network", network(**mark)), ("subnet", subnet()), ("port", port(project="p2"))
        assert groups(*objects) == []


def rbac(key, target, **more):
    base = {"id": key, "project_id": "p1", "object_type": "network", "object_id": "n1", "target_project": target}
    return base | {"action": "access_as_shared", "target_tenant": target} | more


def test_sharing_with_single_projects_ties_and_chains():
    assert groups(
        ("network", network()),
        ("network", network("n3", "p3")),
        ("rbac_policy", rbac("r1", "p2")),
        ("rbac_policy", rbac("r2", "p2", project_id="p3", object_id="n3")),
        ("rbac_policy", rbac("r3", "*", object_id="n9")),
    ) == [(["P1", "P2", "P3"], [("network", "n1"), ("network", "n3")])]


def test_two_pairs_are_two_groups():
    found = groups(
        ("network", network()),
        ("network", network("n3", "p3")),
        ("port", port("a", "p2")),
        ("port", port("b", "p4", network_id="n3")),
    )
    assert [projects for projects, _ in found] == [["P1", "P2"], ["P3", "P4"]]

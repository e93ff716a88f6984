import pytest

from lab.record import PATHS, Owned, Record, compare, differences


def found(**kinds):
    return {kind: {} for kind in PATHS} | kinds


def one(owned):
    record = Record()
    record.add(owned)
    return {"wanda-0": record}


def test_what_is_as_acknowledged_is_no_loss():
    owned = Owned("port", "p1", {"name": "a", "fixed_ips": [{"ip_address": "10.0.0.2"}]})
    listed = {"p1": {"name": "a", "fixed_ips": [{"ip_address": "10.0.0.2"}], "status": "ACTIVE"}}
    result = compare(one(owned), found(port=listed))
    assert (result.objects, result.unknown, result.writes_lost) == (1, 0, [])


@pytest.mark.parametrize(
    ("state", "listed", "problem"),
    [
        ("live", {}, "missing"),
        ("live", {"p1": {"name": "older"}}, "different"),
        ("deleted", {"p1": {"name": "a"}}, "resurrected"),
    ],
)
def test_what_is_not_is_lost(state, listed, problem):
    result = compare(one(Owned("port", "p1", {"name": "a"}, state=state)), found(port=listed))
    assert [(loss.client, loss.id, loss.problem) for loss in result.writes_lost] == [("wanda-0", "p1", problem)]


@pytest.mark.parametrize("listed", [{}, {"p1": {"name": "older"}}, {"p1": {"name": "a"}}])
def test_a_write_without_an_answer_may_be_there_or_not(listed):
    result = compare(one(Owned("port", "p1", {"name": "a"}, state="unknown")), found(port=listed))
    assert (result.objects, result.unknown, result.writes_lost) == (0, 1, [])


def test_order_counts_only_where_it_means_something():
    pairs = [{"ip_address": "10.0.0.1"}, {"ip_address": "10.0.0.2"}]
    assert differences({"allowed_address_pairs": pairs}, {"allowed_address_pairs": pairs[::-1]}) == {}
    servers = ["9.9.9.9", "1.1.1.1"]
    assert "dns_nameservers" in differences({"dns_nameservers": servers}, {"dns_nameservers": servers[::-1]})


def test_an_answer_settles_what_was_sent_and_who_it_is():
    owned = Owned("port", "p1", {"name": "before", "description": "kept"})
    answer = {
        "id": "p1",
        "name": "after",
        "description": "kept",
        "mac_address": "fa:16:3e:00:00:01",
        "status": "DOWN",
    }
    owned.acknowledge(answer, ("name",))
    assert owned.expected == {name: answer[name] for name in ("id", "name", "description", "mac_address")}


def test_a_deleted_group_takes_its_rules_and_a_deleted_port_leaves_its_floating_ip():
    record = Record()
    group = record.add(Owned("security_group", "g", {}))
    rule = record.add(Owned("security_group_rule", "r", {"security_group_id": "g"}))
    port = record.add(Owned("port", "p", {}, frozenset({"g"})))
    floating = record.add(Owned("floatingip", "f", {"port_id": "p"}))
    assert record.needed(group)
    record.delete(port)
    assert not record.needed(group)
    assert (floating.state, floating.expected) == ("live", {"port_id": None})
    record.delete(group)
    assert (group.state, rule.state) == ("deleted", "deleted")

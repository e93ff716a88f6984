"""Reading Neutron: what it offers, what lies below other things, and lists that change while they are read."""

import pytest

from alcor_migrate.errors import CloudRefused
from alcor_migrate.source import NeutronSide
from alcor_model import RESOURCES, resource, to_alcor
from alcor_model.errors import MalformedObject

OURS = "p-admin"
EVERYTHING = {of.alias for of in RESOURCES if of.alias}


class Cloud:
    async def project_id(self):
        return OURS

    async def projects(self):
        return {OURS: "admin", "p1": "one"}


class Neutron:
    """Lists as Neutron does. `after` is called after each answer; `filters` are the fields that it can filter by."""

    def __init__(self, **lists):
        self.lists = lists
        self.aliases = set(EVERYTHING)
        self.filters = {"id", "project_id", "network_id"}
        self.asked = []
        self.after = lambda: None
        self.with_groups = {OURS}

    async def get(self, path, params=()):
        self.asked.append((path.removeprefix("/v2.0/"), list(params)))
        answer = self._answer(path.removeprefix("/v2.0/"), list(params))
        self.after()
        return answer

    def _answer(self, path, params):
        if path == "extensions":
            return {"extensions": [{"alias": alias} for alias in self.aliases]}
        if path.endswith("/details.json"):
            used = path.split("/")[1] in self.with_groups
            return {"quota": {"security_group": {"used": int(used)}}}
        plural = path.rpartition("/")[2].replace("-", "_")
        if path not in self.lists:
            raise CloudRefused(path, 404)
        found = sorted(self.lists[path], key=lambda o: o.get("id", ""))
        paging = {k: v for k, v in params if k in {"limit", "marker", "sort_key", "sort_dir"}}
        where = {}
        for name, value in params:
            if name not in paging and name != "fields":
                where.setdefault(name, []).append(value)
        if unknown := where.keys() - self.filters:
            raise CloudRefused(path, 400, f"{sorted(unknown)} is invalid attribute for filtering")
        found = [o for o in found if all(o.get(name) in values for name, values in where.items())]
        return {plural: self._paged(path, found, paging)}

    def _paged(self, path, found, paging):
        if paging.get("sort_key") and path == "rbac-policies":
            raise CloudRefused(path, 400, "cannot be sorted")
        if marker := paging.get("marker"):
            if any(o["id"] == marker for o in found):
                found = [o for o in found if o["id"] > marker]
            elif path in {"ports", "networks"}:
                raise CloudRefused(path, 404)
            # else the listing starts again
        limit = int(paging.get("limit", 0)) or len(found)
        return [dict(o) for o in found[:limit]]

    def paths(self):
        return [path for path, _ in self.asked if path != "extensions"]


def side(neutron):
    return NeutronSide(neutron, Cloud())


async def everything(neutron, name, page_size=2):
    return [o async for page in side(neutron).pages(resource(name), page_size) for o in page]


def some(number, **fields):
    return [{"id": f"i{n}", **fields} for n in range(number)]


@pytest.mark.parametrize("name", ["trunk", "policy", "quota", "log", "bandwidth_limit_rule"])
async def test_what_this_neutron_does_not_offer_is_not_asked_for(name):
    neutron = Neutron()
    neutron.aliases = set()
    assert await everything(neutron, name) == []
    assert await side(neutron).read(resource(name), ["x"]) == {}
    assert neutron.paths() == []


async def test_what_cannot_be_listed_without_writing_is_not_listed():
    neutron = Neutron()
    assert await everything(neutron, "auto_allocated_topology") == []
    assert neutron.asked == []


async def test_what_lies_below_others_is_asked_for_where_the_hint_says_that_it_is():
    forwarding = {"id": "x", "external_port": 22}
    neutron = Neutron(
        floatingips=[{"id": "f1", "port_forwardings": [{"id": "x"}]}, {"id": "f2", "port_forwardings": []}],
        **{"floatingips/f1/port_forwardings": [forwarding]},
    )
    found = await everything(neutron, "port_forwarding", 10)
    assert found == [{**forwarding, "floatingip_id": "f1"}]  # which Neutron's own answer does not have
    assert neutron.paths() == ["floatingips", "floatingips/f1/port_forwardings"]
    assert ("fields", "port_forwardings") in neutron.asked[1][1]


async def test_without_a_hint_all_of_them_are_asked():
    neutron = Neutron(
        local_ips=some(3), **{f"local_ips/i{n}/port_associations": [{"fixed_port_id": f"p{n}"}] for n in (0, 2)}
    )
    found = await everything(neutron, "port_association")  # i1 was deleted meanwhile: 404
    assert [(o["id"], o["local_ip_id"]) for o in found] == [("i0/p0", "i0"), ("i2/p2", "i2")]


async def test_what_lies_below_is_read_again_by_its_id():
    neutron = Neutron(
        **{"qos/policies": [{"id": "q1", "rules": [1]}, {"id": "q2", "rules": [1]}]},
        **{"qos/policies/q1/dscp_marking_rules": [{"id": "r1", "dscp_mark": 1}]},
        **{"qos/policies/q2/dscp_marking_rules": [{"id": "r2", "dscp_mark": 2}]},
    )
    ours, of = side(neutron), resource("dscp_marking_rule")
    expected = {"r2": {"id": "r2", "dscp_mark": 2, "qos_policy_id": "q2"}}
    assert await ours.read(of, ["r2", "unknown"]) == expected  # nobody knows where: all are looked through
    neutron.asked.clear()
    assert await ours.read(of, ["r2"]) == expected
    assert neutron.paths() == ["qos/policies/q2/dscp_marking_rules"]  # it was seen there
    neutron.asked.clear()
    assert await ours.find(of, "qos_policy_id", ["q1"]) == {"r1": {"id": "r1", "dscp_mark": 1, "qos_policy_id": "q1"}}
    assert neutron.paths() == ["qos/policies/q1/dscp_marking_rules"]
    neutron.lists["qos/policies/q2/dscp_marking_rules"] = []
    assert await ours.read(of, ["r2"]) == {}


async def test_a_parent_in_the_id_saves_looking():
    neutron = Neutron(**{"local_ips/l/port_associations": [{"fixed_port_id": "p"}]})
    assert set(await side(neutron).read(resource("port_association"), ["l/p", "l/other"])) == {"l/p"}
    assert neutron.paths() == ["local_ips/l/port_associations"]


async def test_what_has_no_id_is_named_by_what_it_belongs_to():
    neutron = Neutron(quotas=[{"project_id": "p1", "port": 5}, {"project_id": "p2", "port": 6}])
    assert [o["id"] for o in await everything(neutron, "quota", 1)] == ["p1", "p2"]
    found = await side(neutron).read(resource("quota"), ["p2", "p3"])
    assert found == {"p2": {"project_id": "p2", "port": 6, "id": "p2"}}
    assert all(not params for path, params in neutron.asked if path == "quotas")  # it would ignore the filter


async def test_policies_are_read_in_one_piece():
    """Neutron refuses to list them in the order of their ids, and their own order is several."""
    neutron = Neutron(**{"rbac-policies": some(5)})
    assert len(await everything(neutron, "rbac_policy", 2)) == 5
    assert neutron.paths() == ["rbac-policies"]


async def test_a_filter_that_neutron_does_not_know_is_applied_here():
    neutron = Neutron(ndp_proxies=[{"id": "a", "router_id": "r"}, {"id": "b", "router_id": "s"}])
    assert set(await side(neutron).find(resource("ndp_proxy"), "router_id", ["r"])) == {"a"}


@pytest.mark.parametrize("name", ["networks", "trunks"])
async def test_a_marker_that_is_deleted_meanwhile_loses_and_repeats_nothing(name):
    """Of networks Neutron answers 404 then; trunks it lists from the beginning."""
    neutron = Neutron(**{name: some(7)})

    def delete_marker():
        if len(neutron.paths()) == 2:
            neutron.lists[name] = [o for o in neutron.lists[name] if o["id"] != "i3"]

    neutron.after = delete_marker
    found = [o["id"] for o in await everything(neutron, name, 2)]
    assert sorted(set(found)) == sorted(found)
    assert set(found) >= {"i0", "i1", "i2", "i4", "i5", "i6"}


@pytest.mark.parametrize("broken", [{"name": "without"}, {"id": None}, None, "text"], ids=str)
async def test_what_has_no_id_is_given_on_and_keeps_nobody_up(broken):
    """Whoever converts it names it: `network (without id): field 'id' ...`."""

    class Broken(Neutron):
        def _answer(self, path, params):
            answer = super()._answer(path, params)
            if "networks" in answer and not dict(params).get("marker"):
                answer["networks"].insert(0, broken)
            return answer

    found = await everything(Broken(networks=some(5)), "network", 2)
    assert sorted(o["id"] for o in found) == ["", "i0", "i1", "i2", "i3", "i4"]
    with pytest.raises(MalformedObject, match=r"network \(without id\): field 'id'"):
        to_alcor(resource("network"), next(o for o in found if not o["id"]))


async def test_listing_groups_makes_none():
    neutron = Neutron(
        networks=[{"id": "n", "project_id": "p1"}], **{"security-groups": [{"id": "g", "project_id": "p1"}]}
    )
    neutron.with_groups = {"p1"}  # ours has none: an unfiltered list would make one
    assert [o["id"] for o in await everything(neutron, "security_group")] == ["g"]
    (params,) = [params for path, params in neutron.asked if path == "security-groups"]
    assert params[0] == ("project_id", "p1")

    empty = Neutron(networks=[])
    empty.with_groups = set()
    assert await everything(empty, "security_group") == []
    assert "security-groups" not in empty.paths()


async def test_nothing_is_read_ahead():
    """A page belongs between its watermarks: it may not be older than the one before it was taken."""
    neutron = Neutron(networks=some(5))
    pages = side(neutron).pages(resource("network"), 2)
    await anext(pages)
    before = len(neutron.asked)
    assert neutron.paths() == ["networks"]
    await anext(pages)
    assert len(neutron.asked) == before + 1
    await pages.aclose()

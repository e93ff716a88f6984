"""The extension alcor-ids in a real Neutron, as an administrator and as an ordinary user meet it."""

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from alcor_migrate.side import COMES_BACK, Change
from alcor_migrate.source.writer import NeutronWriter
from alcor_model import differences, resource

pytestmark = pytest.mark.lab

COLLECTIONS = [
    "networks",
    "subnets",
    "ports",
    "routers",
    "floatingips",
    "security-groups",
    "security-group-rules",
]
BULK = [name for name in COLLECTIONS if name not in ("routers", "floatingips")]  # Neutron has no bulk for these


THEN = "2019-12-31T23:59:59Z"


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_id():
    return str(uuid.uuid4())


def member(collection):
    return collection[:-1].replace("-", "_")


def members(collection):
    return collection.replace("-", "_")


class Cloud:
    """Requests to Neutron by an administrator and by the user of `project`, and a few things to build upon."""

    def __init__(self, lab):
        self.project = lab.projects[0].id
        self.connections = [lab.connection(), lab.connection(lab.projects[0].name)]
        self.admin, self.user = (connection.network for connection in self.connections)
        self.made = []
        self.counter = 0
        self.network = self.create("networks", name="tenant")
        self.subnet = self.create("subnets", network_id=self.network["id"], ip_version=4, cidr="10.80.0.0/24")
        self.external = self.create(
            "networks",
            **{
                "name": "outside",
                "router:external": True,
                "provider:network_type": "flat",
                "provider:physical_network": f"flat-{new_id()[:8]}",
            },
        )
        self.outside = self.create(
            "subnets",
            network_id=self.external["id"],
            ip_version=4,
            cidr="203.0.113.0/24",
            allocation_pools=[{"start": "203.0.113.100", "end": "203.0.113.200"}],
        )
        self.group = self.create("security-groups", name="group")

    def post(self, collection, body, by=None):
        answer = (by or self.admin).post(f"/{collection}", json=body)
        if answer.status_code == 201:
            content = answer.json()
            for made in content.get(members(collection)) or [content[member(collection)]]:
                self.made.append((collection, made["id"]))
        return answer

    def create(self, collection, **attributes):
        body = {member(collection): {"project_id": self.project} | attributes}
        answer = self.post(collection, body)
        assert answer.status_code == 201, answer.text
        return answer.json()[member(collection)]

    def show(self, collection, given):
        answer = self.admin.get(f"/{collection}/{given}")
        assert answer.status_code == 200, answer.text
        return answer.json()[member(collection)]

    def exists(self, collection, given):
        return self.admin.get(f"/{collection}/{given}").status_code == 200

    def put(self, path, body):
        answer = self.admin.put(f"/{path}", json=body)
        assert answer.status_code == 200, answer.text

    def delete(self, collection, given):
        answer = self.admin.delete(f"/{collection}/{given}")
        assert answer.status_code in (204, 404), answer.text

    def attributes(self, collection):
        """The least that a POST needs, different each time where two would clash."""
        self.counter += 1
        return {
            "networks": {},
            "subnets": {
                "network_id": self.network["id"],
                "ip_version": 4,
                "cidr": f"10.81.{self.counter}.0/24",
            },
            "ports": {"network_id": self.network["id"]},
            "routers": {},
            "floatingips": {"floating_network_id": self.external["id"]},
            "security-groups": {"name": "another"},
            "security-group-rules": {
                "security_group_id": self.group["id"],
                "direction": "ingress",
                "protocol": "tcp",
                "port_range_min": self.counter,
                "port_range_max": self.counter,
            },
        }[collection]

    def close(self):
        for collection, given in reversed(self.made):
            self.delete(collection, given)
        for connection in self.connections:
            connection.close()


@pytest.fixture(scope="module")
def cloud(lab):
    made = Cloud(lab)
    yield made
    made.close()


def test_the_extension_can_be_found(cloud):
    assert cloud.user.get("/extensions/alcor-ids").json()["extension"]["alias"] == "alcor-ids"


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_an_administrator_gives_the_id(cloud, collection):
    given = new_id()
    assert cloud.create(collection, id=given, **cloud.attributes(collection))["id"] == given
    assert cloud.show(collection, given)["project_id"] == cloud.project


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_an_id_in_use_is_refused_and_what_has_it_stays(cloud, collection):
    existing = cloud.create(collection, id=new_id(), **cloud.attributes(collection))
    before = cloud.show(collection, existing["id"])
    body = cloud.attributes(collection) | {"id": existing["id"], "description": "usurper"}
    answer = cloud.post(collection, {member(collection): body})
    assert answer.status_code == 409, answer.text
    assert existing["id"] in answer.text
    assert answer.elapsed.total_seconds() < 10  # not after all retries of the database layer
    assert cloud.show(collection, existing["id"]) == before


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_users_may_not_give_ids_and_need_not(cloud, collection):
    given = new_id()
    answer = cloud.post(collection, {member(collection): cloud.attributes(collection) | {"id": given}}, cloud.user)
    assert answer.status_code == 403, answer.text
    assert not cloud.exists(collection, given)
    answer = cloud.post(collection, {member(collection): cloud.attributes(collection)}, cloud.user)
    assert answer.status_code == 201, answer.text


def test_an_id_of_another_project_is_refused_too(cloud):
    foreign = cloud.create("networks", project_id=uuid.uuid4().hex, id=new_id())
    answer = cloud.post("networks", {"network": {"id": foreign["id"], "project_id": cloud.project}})
    assert answer.status_code == 409, answer.text


@pytest.mark.parametrize("wrong", ["17", "", "A0000000-0000-4000-8000-000000000000", f"{new_id()}\n", 17, {}])
def test_ids_are_uuids_in_one_spelling(cloud, wrong):
    answer = cloud.post("networks", {"network": {"id": wrong}})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("collection", BULK)
def test_ids_in_bulk(cloud, collection):
    ids = [new_id(), new_id()]
    items = [cloud.attributes(collection) | ({"id": given} if given else {}) for given in [*ids, None]]
    answer = cloud.post(collection, {members(collection): items})
    assert answer.status_code == 201, answer.text
    made = [item["id"] for item in answer.json()[members(collection)]]
    assert set(ids) < set(made)
    assert len(set(made)) == 3


@pytest.mark.parametrize("collection", BULK)
def test_an_id_twice_in_bulk_makes_nothing(cloud, collection):
    given, other = new_id(), new_id()
    items = [cloud.attributes(collection) | {"id": each} for each in (other, given, given)]
    answer = cloud.post(collection, {members(collection): items})
    assert answer.status_code == 409, answer.text
    assert answer.elapsed.total_seconds() < 10
    assert not cloud.exists(collection, given)
    assert not cloud.exists(collection, other)


@pytest.mark.parametrize("collection", ["networks", "floatingips", "security-groups"])
def test_of_simultaneous_posts_one_wins(cloud, collection):
    given = new_id()
    bodies = [cloud.attributes(collection) | {"id": given, "description": str(n)} for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda body: cloud.post(collection, {member(collection): body}), bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    (winner,) = (answer.json()[member(collection)] for answer in answers if answer.status_code == 201)
    assert cloud.show(collection, given)["description"] == winner["description"]


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_an_administrator_gives_the_time_of_creation(cloud, collection):
    given, began = new_id(), now()
    made = cloud.create(collection, id=given, created_at=THEN, **cloud.attributes(collection))
    assert made["created_at"] == THEN
    shown = cloud.show(collection, given)
    assert shown["created_at"] == THEN
    assert began <= shown["updated_at"] <= now()  # Neutron's own, as the revision is
    # What the request did not ask for has its own age.
    fresh = cloud.create(collection, id=new_id(), **cloud.attributes(collection))
    assert began <= fresh["created_at"] <= now()


def test_the_time_of_creation_outlives_a_change(cloud):
    given = new_id()
    cloud.create("networks", id=given, created_at=THEN)
    cloud.put(f"networks/{given}", {"network": {"description": "changed", "name": "changed"}})
    assert cloud.show("networks", given)["created_at"] == THEN
    answer = cloud.admin.put(f"/networks/{given}", json={"network": {"created_at": THEN}})
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("collection", BULK)
def test_times_of_creation_in_bulk(cloud, collection):
    began = now()
    times = {new_id(): THEN, new_id(): "2001-02-03T04:05:06Z", new_id(): None}
    items = [
        cloud.attributes(collection) | {"id": given} | ({"created_at": time} if time else {})
        for given, time in times.items()
    ]
    answer = cloud.post(collection, {members(collection): items})
    assert answer.status_code == 201, answer.text
    made = {item["id"]: item["created_at"] for item in answer.json()[members(collection)]}
    fresh = next(given for given, time in times.items() if time is None)
    assert began <= made[fresh] <= now()
    assert made | {fresh: None} == times


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_users_may_not_give_times(cloud, collection):
    body = cloud.attributes(collection) | {"created_at": THEN}
    answer = cloud.post(collection, {member(collection): body}, cloud.user)
    assert answer.status_code == 403, answer.text


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_time_of_creation_needs_an_id(cloud, collection):
    answer = cloud.post(collection, {member(collection): cloud.attributes(collection) | {"created_at": THEN}})
    assert answer.status_code == 400, answer.text
    assert "'created_at' is allowed only together with 'id'" in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        "yesterday",
        "",
        "2020-02-30T00:00:00Z",
        "2020-2-3T0:0:0Z",
        "2020-02-03T00:00:60Z",
        "2020-02-03T00:00:00",
        "2020-02-03 00:00:00Z",
        "2020-02-03T00:00:00+01:00",
        "2020-02-03T00:00:00.5Z",
        "2020-02-03T00:00:00Z\n",
        "0001-01-01T00:00:00Z",
        1580688000,
        {},
    ],
)
def test_times_have_one_spelling(cloud, wrong):
    answer = cloud.post("networks", {"network": {"id": new_id(), "created_at": wrong}})
    assert answer.status_code == 400, answer.text


def test_only_where_said_can_a_time_be_given(cloud):
    pool = {"name": "", "prefixes": ["10.0.0.0/8"], "created_at": THEN}
    answer = cloud.admin.post("/subnetpools", json={"subnetpool": pool})
    assert answer.status_code == 400, answer.text
    assert "Attribute 'created_at' not allowed in POST" in answer.text


def test_the_port_of_a_floating_ip_keeps_its_identity(cloud):
    port, mac = new_id(), "fa:16:3e:aa:00:01"
    floating = cloud.create(
        "floatingips",
        floating_network_id=cloud.external["id"],
        floating_ip_address="203.0.113.77",
        port_identity={"id": port, "mac_address": mac, "created_at": THEN},
    )
    made = cloud.show("ports", port)
    assert (made["mac_address"], made["device_id"], made["created_at"]) == (mac, floating["id"], THEN)
    assert floating["created_at"] > THEN  # its own was not given
    assert made["fixed_ips"] == [{"subnet_id": cloud.outside["id"], "ip_address": "203.0.113.77"}]
    body = {"floating_network_id": cloud.external["id"], "port_identity": {"id": port}}
    assert cloud.post("floatingips", {"floatingip": body}).status_code == 409
    # What one request asked for must not linger for the next.
    another = cloud.create("floatingips", floating_network_id=cloud.external["id"])
    assert another["id"] != floating["id"]


def test_a_router_comes_back_as_it_was(cloud):
    """Gateway and interface ports keep ids, MACs and addresses; routes and tags come with a PUT."""
    gateway = {
        "network_id": cloud.external["id"],
        "enable_snat": True,
        "external_fixed_ips": [{"subnet_id": cloud.outside["id"], "ip_address": "203.0.113.88"}],
    }
    original = cloud.create("routers", name="edge", external_gateway_info=gateway)
    router = f"routers/{original['id']}"
    routes = {"router": {"routes": [{"destination": "198.51.100.0/24", "nexthop": "10.80.0.9"}]}}
    cloud.put(f"{router}/add_router_interface", {"subnet_id": cloud.subnet["id"]})
    cloud.put(router, routes)
    time.sleep(1.1)  # so that no port made below has the age of these by chance

    def ports():
        listed = cloud.admin.get("/ports", params={"device_id": original["id"]}).json()["ports"]
        kept = ("id", "mac_address", "fixed_ips", "device_id", "device_owner", "port_security_enabled", "project_id")
        kept += ("created_at",)
        return {port["device_owner"]: {key: port[key] for key in kept} for port in listed}

    before = ports()
    assert set(before) == {"network:router_gateway", "network:router_interface"}
    cloud.put(router, {"router": {"routes": []}})
    cloud.put(f"{router}/remove_router_interface", {"subnet_id": cloud.subnet["id"]})
    cloud.delete("routers", original["id"])
    assert not ports()

    port = before["network:router_gateway"]
    identity = {key: port[key] for key in ("id", "mac_address", "created_at")}
    again = {"id": original["id"], "name": "edge", "external_gateway_info": gateway, "port_identity": identity}
    cloud.create("routers", **again)
    interface = dict(before["network:router_interface"], device_id="", network_id=cloud.network["id"])
    cloud.create("ports", **interface)
    cloud.put(f"{router}/add_router_interface", {"port_id": interface["id"]})
    cloud.put(router, routes)
    assert ports() == before

    # The same gateway, set by PUT.
    cloud.put(router, {"router": {"routes": [], "external_gateway_info": None}})
    assert set(ports()) == {"network:router_interface"}
    cloud.put(router, {"router": {"external_gateway_info": gateway, "port_identity": identity}})
    assert ports() == before
    cloud.put(f"{router}/remove_router_interface", {"subnet_id": cloud.subnet["id"]})


def test_users_may_not_choose_implicit_ports(cloud):
    router = cloud.create("routers")
    identity = {"port_identity": {"id": new_id()}}
    body = {"floatingip": {"floating_network_id": cloud.external["id"]} | identity}
    assert cloud.post("floatingips", body, cloud.user).status_code == 403
    assert cloud.post("routers", {"router": identity}, cloud.user).status_code == 403
    assert cloud.user.put(f"/routers/{router['id']}", json={"router": identity}).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "17"},
        {"mac_address": "17"},
        {"fixed_ips": []},
        {"created_at": THEN},
        {"id": new_id(), "created_at": "17"},
        "17",
        [],
    ],
)
def test_port_identity_is_checked(cloud, wrong):
    answer = cloud.post("routers", {"router": {"port_identity": wrong}})
    assert answer.status_code == 400, answer.text


def test_the_default_group_of_a_project(cloud):
    project, given = uuid.uuid4().hex, new_id()
    made = cloud.create("security-groups", project_id=project, id=given, created_at=THEN, default_group=True)
    assert (made["id"], made["name"], made["created_at"]) == (given, "default", THEN)
    cloud.create("networks", project_id=project)  # makes a default group where there is none
    listed = cloud.admin.get("/security-groups", params={"project_id": project}).json()["security_groups"]
    assert [group["id"] for group in listed] == [given]
    body = {"project_id": project, "id": new_id(), "default_group": True}
    answer = cloud.post("security-groups", {"security_group": body})
    assert answer.status_code == 409, answer.text
    body = {"default_group": True}
    assert cloud.post("security-groups", {"security_group": body}, cloud.user).status_code == 403


class Requests:
    """What NeutronWriter needs of a JsonClient, over the administrator's connection."""

    def __init__(self, network):
        self._network = network

    async def request(self, method, path, body=None):
        answer = self._network.request(path.removeprefix("/v2.0"), method, json=body)
        return answer.status_code, answer.json() if answer.content else None


async def test_what_the_writer_deletes_it_brings_back_as_it_was(cloud):
    """One of everything, with the ports that come with a router and a floating IP, is the same afterwards."""
    project = uuid.uuid4().hex
    mine = {"project_id": project}
    network = cloud.create("networks", name="inside", **mine)["id"]
    subnet = cloud.create("subnets", network_id=network, ip_version=4, cidr="10.82.0.0/24", **mine)["id"]
    slaac = {"ipv6_address_mode": "slaac", "ipv6_ra_mode": "slaac"}
    cloud.create("subnets", network_id=network, ip_version=6, cidr="fd00:82::/64", gateway_ip=None, **slaac, **mine)
    stateful = {"ipv6_address_mode": "dhcpv6-stateful", "ipv6_ra_mode": "dhcpv6-stateful"}
    managed = {"ip_version": 6, "cidr": "fd00:83::/64"} | stateful
    managed_id = cloud.create("subnets", network_id=network, **managed, **mine)["id"]
    group = cloud.create("security-groups", name="group", **mine)["id"]
    cloud.create("security-group-rules", security_group_id=group, remote_group_id=group, direction="ingress", **mine)
    gateway = {"network_id": cloud.external["id"]}
    router = cloud.create("routers", name="edge", external_gateway_info=gateway, **mine)["id"]
    cloud.put(f"routers/{router}/add_router_interface", {"subnet_id": subnet})
    cloud.put(f"routers/{router}/add_router_interface", {"subnet_id": managed_id})
    routes = [{"destination": "198.51.100.0/24", "nexthop": "10.82.0.9"}]
    cloud.put(f"routers/{router}", {"router": {"routes": routes}})
    eui64 = [{"subnet_id": managed_id, "ip_address": "fd00:83::f816:3eff:fe82:1"}, {"subnet_id": subnet}]
    port = cloud.create(
        "ports", network_id=network, mac_address="fa:16:3e:82:00:01", fixed_ips=eui64, security_groups=[group], **mine
    )["id"]
    inside = next(
        fixed["ip_address"] for fixed in cloud.show("ports", port)["fixed_ips"] if fixed["subnet_id"] == subnet
    )
    floating = cloud.create(
        "floatingips", floating_network_id=cloud.external["id"], port_id=port, fixed_ip_address=inside, **mine
    )["id"]
    cloud.put(f"networks/{network}/tags", {"tags": ["a", "b"]})

    def held():
        found = {}
        for of in map(resource, COMES_BACK):
            listed = cloud.admin.get(f"/{of.collection}").json()[of.plural]
            owned = [o for o in listed if o["project_id"] == project or o.get("device_id") in (router, floating)]
            found |= {(of.name, o["id"]): o for o in owned}
        return found

    before = held()
    assert {name for name, _ in before} == COMES_BACK
    assert len([name for name, _ in before if name == "port"]) == 5
    writer = NeutronWriter(Requests(cloud.admin))
    gone = [Change(resource(name), given, o, None) for (name, given), o in before.items()]
    assert await writer.apply(gone) == []
    assert not held()
    await asyncio.sleep(1.1)
    back = [Change(resource(name), given, None, o) for (name, given), o in before.items()]
    assert await writer.apply(back) == []
    after = held()
    assert after.keys() == before.keys()
    for key, o in before.items():
        assert not differences(resource(key[0]), o, after[key], given=True)
        assert after[key]["created_at"] == o["created_at"], key
    assert await writer.apply(gone) == []

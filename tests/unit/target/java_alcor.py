"""Stands for upstream Alcor, with exactly the defects that its last commit has, as far as a client meets them.

Written from the contract (paths, wrappers, statuses, what is forced, what is left behind); upstream itself cannot be
run here. `requests` is all that was sent. `breaks` are (method, path) -> how often that fails half-way.
"""

import ipaddress
import itertools
from copy import deepcopy

COLLECTIONS = {
    "vpcs": "network",
    "subnets": "subnet",
    "ports": "port",
    "routers": "router",
    "security-groups": "security_group",
    "security-group-rules": "security_group_rule",
    "elasticips": "elasticip",
}
PLURALS = {"security-groups": "security_groups", "security-group-rules": "security_group_rules"}
MISSING = {"vpcs": 200, "subnets": 200, "routers": 200, "ports": 404, "elasticips": 404}
BOOLEANS = ("admin_state_up", "shared", "router:external", "vlan_transparent", "is_default")
FILTERED = {"vpcs", "ports", "security-groups", "security-group-rules"}
"""Whose GETs go through the field filter, which writes nulls as empty texts."""


class Answer(Exception):
    """Ends a request with an error."""

    def __init__(self, status, message=""):
        super().__init__(message)
        self.status, self.message = status, message


class JavaAlcor:
    def __init__(self):
        self.rows = {collection: {} for collection in COLLECTIONS}
        self.nodes = {}
        self.ranges = {}
        self.requests = []
        self.breaks = {}
        self.ghosts = set()
        self._numbers = itertools.count(1)

    # -- as JsonClient -----------------------------------------------------------------------------------------

    async def get(self, path, params=()):
        status, answer = await self.request("GET", path, params=params)
        assert status < 400, (path, status)
        return answer

    async def request(self, method, path, body=None, params=()):
        self.requests.append((method, path, deepcopy(body)))
        try:
            return self._route(method, path.strip("/").split("/"), deepcopy(body), list(params))
        except Answer as answer:
            return answer.status, {"status": answer.status, "message": answer.message}

    async def close(self):
        pass

    def sent(self, *methods):
        return [(m, p) for m, p, _ in self.requests if m in (methods or ("POST", "PUT", "DELETE"))]

    # -- routing -----------------------------------------------------------------------------------------------

    def _route(self, method, segments, body, params):
        if segments[0] == "nodes":
            return self._node(method, segments[1:], body)
        if segments[0] == "elasticip-ranges":
            return self._range(method, segments[1:], body)
        _, project, collection, *rest = segments
        rows, member = self.rows[collection], COLLECTIONS[collection]
        if method == "GET":
            return self._get(collection, member, rows, rest, params)
        if method == "POST" and rest == ["bulk"]:
            return self._bulk(collection, project, body)
        if method == "POST":
            made = self._create(collection, project, body[member])
            return (200 if collection == "routers" else 201), {member: made}
        if len(rest) == 2:
            return self._action(rest[1], rows[rest[0]], body)
        if method == "DELETE":
            return self._delete(collection, rows, rest[0])
        if rest[0] not in rows:
            raise Answer(412 if collection.startswith("security") else 404)
        return 200, {member: self._update(collection, rows[rest[0]], body[member])}

    def _node(self, method, rest, body):
        if method == "POST":
            self.nodes[body["host_info"]["node_id"]] = body["host_info"]
            return 201, body
        if method == "GET" and not rest:
            return 200, {"nodeInfos": list(self.nodes.values())}
        if method == "GET":
            return 200, {"host_info": self.nodes.get(rest[0])}
        if rest[0] not in self.nodes:
            raise Answer(500)
        if method == "PUT":
            assert body["host_info"]["node_id"] == rest[0]
            self.nodes[rest[0]] = body["host_info"]
            return 200, body
        self.nodes.pop(rest[0])
        return 200, "{Node(Node) Id: …}"

    def _get(self, collection, member, rows, rest, params):
        plain = collection not in FILTERED
        if rest:
            if rest[0] not in rows:
                status = MISSING.get(collection, 412)
                if status == 200:
                    return 200, {member: None}
                raise Answer(status)
            found = rows[rest[0]]
            return 200, {member: deepcopy(found) if plain else rendered(found)}
        wanted = {}
        for name, value in params:
            wanted.setdefault(name, []).append(value)
        # An object that lacks the field counts as a match.
        found = [o for o in rows.values() if all(o.get(n) is None or str(o[n]) in v for n, v in wanted.items())]
        if collection == "routers":
            found = [{k: v for k, v in r.items() if k != "routetable"} for r in found]
        return 200, {PLURALS.get(collection, collection): [rendered(o) for o in found]}

    def _broken(self, method, path):
        left = self.breaks.get((method, path), 0)
        self.breaks[method, path] = left - 1
        return left > 0

    # -- creating ----------------------------------------------------------------------------------------------

    def _bulk(self, collection, project, body):
        if collection in {"vpcs", "subnets"}:
            return 201, {collection: None}  # a stub: nothing is made
        if collection == "ports":
            ports = body["ports"]
            if len({p.get("binding:host_id") for p in ports}) > 1:
                raise Answer(500, "Get node information exception")
            if len({bool(p.get("security_groups")) for p in ports}) > 1:
                raise Answer(500, "GetSecurityGroupException")
            if any(p["mac_address"] == o["mac_address"] for p in ports for o in self.rows["ports"].values()):
                raise Answer(500, "400 : mac exists")
            return 201, {"ports": [self._create("ports", project, p) for p in ports]}
        plural = PLURALS[collection]
        return 201, {plural: [self._create(collection, project, o) for o in body[plural]]}

    def _create(self, collection, project, given):
        made = {**given, "project_id": project}
        made.setdefault("id", f"random-{next(self._numbers)}")
        make = {
            "vpcs": self._vpc,
            "subnets": self._subnet,
            "ports": self._port,
            "routers": self._router,
            "security-groups": self._group,
            "security-group-rules": self._rule,
            "elasticips": self._elastic_ip,
        }[collection]
        make(made)
        return deepcopy(made)

    def _vpc(self, made):
        if made.get("provider:network_type", "vxlan") not in {"vxlan", "vlan", "gre", "flat"}:
            raise Answer(500, "network type")
        for name in BOOLEANS:
            made.setdefault(name, False)
        if made.get("provider:network_type") != "flat":
            made["provider:segmentation_id"] = 100_000 + next(self._numbers)  # whatever was asked for
        made["created_at"] = "2026-11-22 20:30:00"
        self.rows["vpcs"][made["id"]] = made

    def _subnet(self, made):
        if made["network_id"] not in self.rows["vpcs"]:
            raise Answer(500, "no such network")
        cidr = ipaddress.ip_network(made["cidr"])
        if cidr.version != 4 or not 16 <= cidr.prefixlen <= 28:
            raise Answer(500, "prefix")
        for other in self.rows["subnets"].values():
            if other["network_id"] == made["network_id"] and ipaddress.ip_network(other["cidr"]).overlaps(cidr):
                raise Answer(500, "cidr overlap")  # also with itself
        made["gateway_ip"] = made.get("gateway_ip") or str(cidr[1])
        self.rows["subnets"][made["id"]] = made
        if self._broken("POST", made["id"]):
            raise Answer(500, "the record and the range stay")
        gateway = {"id": f"gateway-{next(self._numbers)}", "network_id": made["network_id"]}
        gateway |= {"mac_address": f"aa:bb:cc:00:00:{next(self._numbers):02x}", "project_id": made["project_id"]}
        gateway |= {"fixed_ips": [{"subnet_id": made["id"], "ip_address": made["gateway_ip"]}]}
        self.rows["ports"][gateway["id"]] = gateway | {"device_owner": "network:router_interface"}
        made["gatewayPortId"] = gateway["id"]

    def _port(self, made):
        there = self.rows["ports"].get(made["id"])
        if any(p["mac_address"] == made["mac_address"] for p in self.rows["ports"].values()):
            if there:  # the rollback releases what the existing port has
                there |= {"fixed_ips": [], "security_groups": []}
            raise Answer(500, "400 : mac exists")
        if "binding:host_id" in made and made["binding:host_id"] not in {n["node_name"] for n in self.nodes.values()}:
            self.rows["ports"][made["id"]] = made  # a ghost
            self.ghosts.add(made["id"])
            raise Answer(500, "node")
        if "binding:host_id" in made and (made.get("device_id") is None or made.get("device_owner") is None):
            raise Answer(500, "NullPointerException")
        if made.get("binding:vif_type") in {"", "unbound", "binding_failed"}:
            raise Answer(412, "vif type")
        if any(group not in self.rows["security-groups"] for group in made.get("security_groups") or []):
            raise Answer(500, "no such group")
        made.setdefault("port_security_enabled", True)
        self.rows["ports"][made["id"]] = made

    def _router(self, made):
        made["status"] = "ACTIVE"
        made["routetable"] = {"route_table_type": "neutron_router", "routes": []}
        self.rows["routers"][made["id"]] = made

    def _group(self, made):
        tenant = made.setdefault("tenant_id", made["project_id"])
        if made["name"] == "default":
            made["id"] = f"random-{next(self._numbers)}"
        elif not any(
            g["name"] == "default" and g["tenant_id"] == tenant for g in self.rows["security-groups"].values()
        ):
            self._store_group(
                {"id": f"default-{tenant}", "name": "default", "tenant_id": tenant, "project_id": tenant}
            )
        self._store_group(made)

    def _store_group(self, made):
        made["security_group_rules"] = []
        self.rows["security-groups"][made["id"]] = made
        for ethertype in ("IPv4", "IPv6"):
            rule = {"id": f"random-{next(self._numbers)}", "security_group_id": made["id"], "ethertype": ethertype}
            self._rule(rule | {"direction": "egress", "tenant_id": made["tenant_id"], "project_id": None})

    def _rule(self, made):
        group = self.rows["security-groups"].get(made["security_group_id"])
        if group is None:
            raise Answer(412)
        self.rows["security-group-rules"][made["id"]] = made
        group["security_group_rules"].append(made)  # twice, when it is posted twice

    def _elastic_ip(self, made):
        if made["id"] in self.rows["elasticips"]:
            raise Answer(406)
        address = made["elastic_ip"]
        first = next(iter(self.ranges.values()), {"allocation_ranges": []})
        if not any(r["start"] <= address <= r["end"] for r in first["allocation_ranges"]):
            raise Answer(400, "not in the range")
        if any(o["elastic_ip"] == address for o in self.rows["elasticips"].values()):
            raise Answer(409)
        if made.get("port_id") and made["port_id"] not in self.rows["ports"]:
            raise Answer(404)
        self.rows["elasticips"][made["id"]] = made

    def _range(self, method, rest, body):
        if method == "POST":
            given = body["elasticip-range"]
            if given["id"] in self.ranges:
                raise Answer(409)
            self.ranges[given["id"]] = given
            return 201, body
        if rest[0] not in self.ranges:
            raise Answer(404)
        if method == "PUT":
            self.ranges[rest[0]] |= body["elasticip-range"]
        return 200, {"elasticip-range": deepcopy(self.ranges[rest[0]])}

    # -- changing and deleting ---------------------------------------------------------------------------------

    def _update(self, collection, held, given):
        assert "id" not in given, "a second record would be stored under it"
        given = {k: v for k, v in given.items() if v is not None}
        if collection == "vpcs":
            if self._broken("PUT", held["id"]):
                raise Answer(500)
            held |= dict.fromkeys(BOOLEANS, False) | {"port_security_enabled": True}
        if collection == "subnets" and "gateway_ip" not in given:
            held["gateway_ip"] = None
        if collection == "ports":
            if given.get("mac_address", held["mac_address"]) != held["mac_address"]:
                raise Answer(500, "mac manager compares path and body")
            held["port_security_enabled"] = True
        if collection == "elasticips":
            port, now = given.get("port_id"), held.get("port_id")
            if port and now:
                raise Answer(400, "associated already")
        if collection == "routers":
            held.pop("subnet_Ids", None)
        held |= given
        return deepcopy(held)

    def _action(self, verb, router, body):
        if verb in {"add_router_interface", "remove_router_interface"}:
            subnet = self.rows["subnets"][body["subnet_id"]]
            gateway = self.rows["ports"][subnet["gatewayPortId"]]
            if verb == "add_router_interface":
                if subnet.get("attached_router_id"):
                    raise Answer(409)
                subnet["attached_router_id"] = gateway["device_id"] = router["id"]
                router.setdefault("gateway_ports", []).append(gateway["id"])
            else:
                subnet["attached_router_id"] = gateway["device_id"] = ""
                router["gateway_ports"].remove(gateway["id"])
            return 200, {"id": router["id"], "subnet_id": subnet["id"]}
        routes = router["routetable"]["routes"]
        for route in (body.get("newRoutesWebRequest") or {}).get("routes", []):
            same = [r for r in routes if r["destination"] == route["destination"]]
            if verb == "add_extraroutes":
                if same:
                    raise Answer(409, "destinations are same")
                routes.append({**route, "priority": 100})
            else:
                routes.remove(same[0])
        return 200, {"router": {"id": router["id"], "routes": routes}}

    def _delete(self, collection, rows, object_id):
        member = COLLECTIONS[collection]
        if object_id not in rows:
            if MISSING.get(collection, 412) == 200:
                return 200, {"id": None}
            raise Answer(MISSING.get(collection, 412))
        held = rows[object_id]
        self._refuse_deletion(collection, held)
        if collection == "subnets":
            self.rows["ports"].pop(held.get("gatewayPortId"), None)
        if collection == "security-groups":
            for rule in held["security_group_rules"]:
                self.rows["security-group-rules"].pop(rule["id"], None)
        if collection == "security-group-rules":
            group = self.rows["security-groups"][held["security_group_id"]]
            group["security_group_rules"] = [r for r in group["security_group_rules"] if r["id"] != object_id]
        del rows[object_id]
        return 200, ({"id": object_id} if member in {"network", "subnet", "router", "elasticip"} else None)

    def _refuse_deletion(self, collection, held):
        object_id = held["id"]
        if object_id in self.ghosts:
            self.ghosts.discard(object_id)
            raise Answer(500, "mac manager does not know the mac; the rollback registers it again")
        if collection == "elasticips" and held.get("port_id"):
            raise Answer(406)
        if collection == "subnets":
            ports = [p for p in self.rows["ports"].values() if p["id"] != held.get("gatewayPortId")]
            if any(f["subnet_id"] == object_id for p in ports for f in p.get("fixed_ips") or []):
                raise Answer(409)
            if held.get("attached_router_id"):
                raise Answer(409)
        if collection == "routers" and held.get("gateway_ports"):
            raise Answer(409)
        used = {group for p in self.rows["ports"].values() for group in p.get("security_groups") or []}
        if collection == "security-groups" and object_id in used:
            raise Answer(403)


def rendered(found):
    """As the field filter writes it: nothing is null."""
    return {name: "" if value is None else deepcopy(value) for name, value in found.items()}

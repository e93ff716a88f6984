"""What users do with networks, as calls that can be made to any Neutron, and a comparison of what they were answered.

A story is a function that gets a `Recorder` and makes calls with it. `compare` holds two recorders' answers
against each other: whatever is chosen by chance (ids, times, MACs, addresses from a pool) may differ, but the
same thing on one side must be the same thing on the other, all through the story.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from difflib import SequenceMatcher
from itertools import zip_longest

_CHANCE = re.compile(
    r"(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
    r"|(?P<mac>[0-9a-f]{2}(?::[0-9a-f]{2}){5})"
    r"|(?P<eui>fd00:\d\d(?::[0-9a-f]{0,4})+)"
    r"|(?P<euiname>fd00-\d\d(?:-[0-9a-f]{0,4})+)"
    r"|(?P<ip>\b(?:10|203)(?P<dash>[.-])\d+(?P=dash)\d+(?P=dash)(?:[2-9]\d|1\d\d|2\d\d)\b(?!/))"
)
"""What is chosen by chance. The stories' pools begin at .20; addresses below are named by the stories."""

_HIDDEN_KEYS = {"provider:segmentation_id", "standard_attr_id"}
"""The first is chosen by chance; the second is a number of Neutron's database that its answers let slip."""

_UNORDERED = re.compile(r"(?<=ports is: ).*|(?<=still attached: ).*|(?<=Rule id is ).*")
"""Lists of ids inside a message, in the order of some database."""


class Recorder:
    """Makes calls to one side and keeps what it answered."""

    def __init__(self, base, tokens, projects):
        self.base = base
        self.projects = projects
        self.answers = []
        self.hidden = set(_HIDDEN_KEYS)
        self._tokens = tokens

    def __call__(self, who, method, path, body=None, **headers):
        """Make one call; returns the body of the answer (None if there is none)."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(  # noqa: S310 (the lab's own addresses)
            self.base + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Auth-Token": self._tokens[who], "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (as above)
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, content = error.code, error.read()
        try:
            answered = json.loads(content) if content else None
        except ValueError:
            answered = content.decode()
        asked = f"{who} {method} {path} {json.dumps(body) if body is not None else ''}"
        self.answers.append((asked, status, self._plain(answered)))
        return answered

    def _plain(self, value):
        if isinstance(value, dict):
            return {key: self._plain(value[key]) for key in sorted(value) if key not in self.hidden}
        if isinstance(value, list):
            return sorted((self._plain(item) for item in value), key=_shape)
        if isinstance(value, str):
            return _UNORDERED.sub("(ids)", value.replace(self.base.removesuffix("/v2.0"), "<base>"))
        return value


def _shape(value):
    return _CHANCE.sub("?", json.dumps(value, sort_keys=True))


def compare(one, other):
    """The steps in which two recorders were answered differently, readable."""
    same = _Pairs()
    steps = [[_CHANCE.sub("?", asked) for asked, _, _ in side.answers] for side in (one, other)]
    found = []
    for _, start, end, start_2, end_2 in SequenceMatcher(None, *steps, autojunk=False).get_opcodes():
        for left, right in zip_longest(one.answers[start:end], other.answers[start_2:end_2]):
            if left is None or right is None:
                found.append(f"{(left or right)[0]}: only one side was asked")
            elif left[1] != right[1]:
                found.append(f"{left[0]}\n    {left[1]} {left[2]}\n    {right[1]} {right[2]}")
            else:
                same.forget_addresses()
                differences = list(same.differences("", left[2], right[2]))
                if differences:
                    found.append(f"{left[0]} -> {left[1]}\n" + "\n".join(differences))
    return found


_OF_OTHER_PLUGINS = {"endpoint_group", "ikepolicy", "ipsec_site_connection", "ipsecpolicy", "vpnservice"}
"""Quotas that the lab's Neutron only has because VPN is loaded into it, which Alcor does not serve."""


class _Pairs:
    """Which thing of one side is which of the other."""

    def __init__(self):
        self._there = {}
        self._here = {}

    def forget_addresses(self):
        """Addresses go from thing to thing: they are the same only within one answer."""
        for known in (self._there, self._here):
            for text in [text for text in known if _CHANCE.fullmatch(text)["ip"]]:
                del known[text]

    def differences(self, path, one, other):
        """Where two values differ; things met for the first time become a pair."""
        if isinstance(one, dict) and isinstance(other, dict):
            for key in sorted((one.keys() | other.keys()) - (_OF_OTHER_PLUGINS if path == ".quota" else set())):
                if key not in one or key not in other:
                    yield f"    {path}.{key}: {one.get(key, '(absent)')!r} | {other.get(key, '(absent)')!r}"
                else:
                    yield from self.differences(f"{path}.{key}", one[key], other[key])
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            yield from self._list_differences(path, one, other)
        elif isinstance(one, str) and isinstance(other, str):
            if not self._equal_text(one, other):
                yield f"    {path}: {one!r} | {other!r}"
        elif one != other:
            yield f"    {path}: {one!r} | {other!r}"

    def _list_differences(self, path, one, other):
        """Compare lists as sets: the first item that fits is the one."""
        left = list(other)
        for position, item in enumerate(one):
            for candidate in left:
                known = dict(self._there), dict(self._here)
                if not list(self.differences("", item, candidate)):
                    left.remove(candidate)
                    break
                self._there, self._here = known
            else:
                yield from self.differences(f"{path}[{position}]", item, left.pop(0))

    def _equal_text(self, one, other):
        if _CHANCE.sub(_kind, one) != _CHANCE.sub(_kind, other):
            return False
        for left, right in zip(_CHANCE.finditer(one), _CHANCE.finditer(other), strict=True):
            if left.lastgroup == "time":
                continue
            a, b = left.group(), right.group()
            if self._there.setdefault(a, b) != b or self._here.setdefault(b, a) != a:
                return False
        return True


def _kind(match):
    """What is left of a thing of chance: its kind, and of an address its network."""
    if match["uuid"]:
        return "<uuid>"
    if match["ip"] or match["eui"] or match["euiname"]:
        return f"<{match.group()[:7]}>"
    return f"<{match.lastgroup}>"


# The stories


def _pool(prefix):
    return {"allocation_pools": [{"start": f"{prefix}.20", "end": f"{prefix}.250"}]}


def networks_and_subnets(do):
    """Create, look at, change and refuse networks and subnets."""
    net = do("demo", "POST", "/networks", {"network": {"name": "n1", "description": "d"}})["network"]["id"]
    do("demo", "GET", f"/networks/{net}")
    do("admin", "GET", f"/networks/{net}")
    do("other", "GET", f"/networks/{net}")
    do("other", "PUT", f"/networks/{net}", {"network": {"name": "x"}})
    do("other", "DELETE", f"/networks/{net}")
    do("demo", "PUT", f"/networks/{net}", {"network": {"name": "n2", "admin_state_up": False}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"name": "n2"}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"mtu": 1300, "port_security_enabled": False}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"mtu": 9000}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"shared": True}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"status": "DOWN"}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"zork": 1}})
    do("demo", "PUT", f"/networks/{net}", {"net": {"zork": 1}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"tenant_id": "x"}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"name": "n3"}}, If_Match="revision_number=1")
    do("demo", "PUT", f"/networks/{net}", {"network": {"dns_domain": "Example.org."}})
    do("demo", "PUT", f"/networks/{net}", {"network": {"dns_domain": "nodot"}})
    v4 = do(
        "demo",
        "POST",
        "/subnets",
        {
            "subnet": {
                "network_id": net,
                "cidr": "10.1.0.0/24",
                "ip_version": 4,
                "dns_nameservers": ["9.9.9.9", "1.1.1.1"],
                "host_routes": [{"destination": "192.0.2.0/24", "nexthop": "10.1.0.7"}],
            }
        },
    )["subnet"]["id"]
    v6 = do(
        "demo",
        "POST",
        "/subnets",
        {
            "subnet": {
                "network_id": net,
                "cidr": "fd00:10::/64",
                "ip_version": 6,
                "ipv6_ra_mode": "slaac",
                "ipv6_address_mode": "slaac",
                "name": "six",
            }
        },
    )["subnet"]["id"]
    for body in (
        {"cidr": "10.1.0.128/25", "ip_version": 4},
        {"cidr": "10.2.0.5/24", "ip_version": 4},
        {"cidr": "10.2.0.0/24", "ip_version": 6},
        {"cidr": "10.2.0.0/24", "ip_version": 5},
        {"cidr": "10.2.0.0/33", "ip_version": 4},
        {"cidr": "10.2.0.0", "ip_version": 4},
        {"ip_version": 4},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "gateway_ip": "10.2.0.0"},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "gateway_ip": "nope"},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "ipv6_ra_mode": "slaac"},
        {"cidr": "10.2.0.0/31", "ip_version": 4},
        {"cidr": "fd00:11::/65", "ip_version": 6, "ipv6_address_mode": "slaac"},
        {"cidr": "fd00:11::/64", "ip_version": 6, "ipv6_address_mode": "slaac", "ipv6_ra_mode": "dhcpv6-stateful"},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "dns_nameservers": ["x"]},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "dns_nameservers": ["1.1.1.1", "1.1.1.1"]},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "host_routes": [{"destination": "x", "nexthop": "10.2.0.4"}]},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "allocation_pools": [{"start": "10.3.0.1", "end": "10.3.0.9"}]},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "allocation_pools": [{"start": "10.2.0.9", "end": "10.2.0.2"}]},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "allocation_pools": [{"start": "10.2.0.1", "end": "10.2.0.9"}]},
        {
            "cidr": "10.2.0.0/24",
            "ip_version": 4,
            "allocation_pools": [
                {"start": "10.2.0.2", "end": "10.2.0.9"},
                {"start": "10.2.0.5", "end": "10.2.0.12"},
            ],
        },
        {"cidr": "10.2.0.0/24", "ip_version": 4, "subnetpool_id": "00000000-0000-0000-0000-000000000000"},
        {"cidr": "10.2.0.0/24", "ip_version": 4, "service_types": ["compute:nova"]},
        {"cidr": "10.3.0.0/24", "ip_version": 4, "gateway_ip": None},
        {"cidr": "10.4.0.0/24", "ip_version": 4, "gateway_ip": "10.4.0.9", "enable_dhcp": False},
        {"cidr": "fd00:12::/64", "ip_version": 6},
        {
            "cidr": "fd00:13::/64",
            "ip_version": 6,
            "ipv6_address_mode": "dhcpv6-stateful",
            "ipv6_ra_mode": "dhcpv6-stateful",
        },
    ):
        do("demo", "POST", "/subnets", {"subnet": {"network_id": net, **body}})
    do("other", "POST", "/subnets", {"subnet": {"network_id": net, "cidr": "10.9.0.0/24", "ip_version": 4}})
    do("demo", "GET", f"/subnets/{v6}")
    do("other", "GET", f"/subnets/{v6}")
    do("admin", "GET", f"/subnets/{v4}")
    for change in (
        {"name": "four", "description": "new"},
        {"dns_nameservers": []},
        {"host_routes": []},
        {"allocation_pools": [{"start": "10.1.0.20", "end": "10.1.0.200"}]},
        {"gateway_ip": "10.1.0.30"},
        {"gateway_ip": "10.1.0.3"},
        {"gateway_ip": None},
        {"gateway_ip": "10.1.0.1", "enable_dhcp": False},
        {"cidr": "10.1.0.0/16"},
        {"network_id": net},
        {"service_types": ["compute:nova", "network:dhcp"]},
        {"dns_publish_fixed_ip": True},
        {},
    ):
        do("demo", "PUT", f"/subnets/{v4}", {"subnet": change})
    do("demo", "PUT", f"/subnets/{v6}", {"subnet": {"enable_dhcp": False}})
    do("demo", "GET", f"/networks/{net}")
    do("demo", "GET", f"/subnets?network_id={net}")
    do("demo", "GET", f"/subnets?network_id={net}&ip_version=6&fields=name&fields=cidr")
    do("demo", "DELETE", f"/subnets/{v4}")
    do("demo", "GET", f"/subnets/{v4}")
    do("demo", "DELETE", f"/subnets/{v4}")
    do("demo", "DELETE", f"/networks/{net}", If_Match="revision_number=1")
    do("demo", "DELETE", f"/networks/{net}")
    do("demo", "GET", f"/networks/{net}")
    do("demo", "GET", f"/subnets?network_id={net}")


def network_attributes(do):
    """What may and may not be said of a network."""
    for who, body in (
        ("demo", {}),
        ("demo", {"status": "ACTIVE"}),
        ("demo", {"zork": 1}),
        ("demo", {"name": 7}),
        ("demo", {"name": "x" * 256}),
        ("demo", {"name": None}),
        ("demo", {"admin_state_up": "maybe"}),
        ("demo", {"admin_state_up": "no"}),
        ("demo", {"shared": True}),
        ("demo", {"shared": False}),
        ("demo", {"router:external": True}),
        ("demo", {"provider:network_type": "vxlan"}),
        ("demo", {"provider:network_type": "vxlan", "shared": True}),
        ("demo", {"tenant_id": "somebody"}),
        ("demo", {"project_id": "somebody", "tenant_id": "else"}),
        ("demo", {"mtu": "big"}),
        ("demo", {"mtu": -1}),
        ("demo", {"mtu": 1280}),
        ("demo", {"mtu": 5000}),
        ("demo", {"tags": ["a"]}),
        ("demo", {"description": "x" * 256}),
        ("demo", {"availability_zone_hints": ["nova"]}),
        ("demo", {"qos_policy_id": "00000000-0000-0000-0000-000000000000"}),
        ("demo", {"port_security_enabled": False}),
        ("admin", {"project_id": do.projects["demo"], "name": "for demo"}),
        ("admin", {"shared": True, "name": "everybody's"}),
        ("admin", {"router:external": True, "is_default": True}),
        ("admin", {"provider:network_type": "vxlan", "provider:segmentation_id": 9_876}),
        ("admin", {"provider:network_type": "vxlan", "provider:segmentation_id": 9_876}),
        ("admin", {"provider:network_type": "vxlan", "provider:segmentation_id": 0}),
        ("admin", {"provider:network_type": "vxlan", "provider:physical_network": "x"}),
        ("admin", {"provider:segmentation_id": 77}),
        (
            "admin",
            {
                "provider:network_type": "vlan",
                "provider:physical_network": "physnet1",
                "provider:segmentation_id": 321,
            },
        ),
        (
            "admin",
            {
                "provider:network_type": "vlan",
                "provider:physical_network": "physnet1",
                "provider:segmentation_id": 321,
            },
        ),
        (
            "admin",
            {
                "provider:network_type": "vlan",
                "provider:physical_network": "physnet1",
                "provider:segmentation_id": 5000,
            },
        ),
        ("admin", {"provider:network_type": "vlan", "provider:segmentation_id": 50}),
        ("admin", {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}),
        ("admin", {"provider:network_type": "flat", "provider:physical_network": "story-flat"}),
        ("admin", {"provider:network_type": "flat", "provider:physical_network": "story-flat"}),
        ("admin", {"provider:network_type": "flat"}),
        (
            "admin",
            {"provider:network_type": "flat", "provider:physical_network": "f2", "provider:segmentation_id": 3},
        ),
        ("admin", {"provider:network_type": "zork"}),
        ("admin", {"provider:network_type": "local"}),
    ):
        made = do(who, "POST", "/networks", {"network": body})
        if "network" in made:
            do(who, "GET", f"/networks/{made['network']['id']}")
            do(who, "DELETE", f"/networks/{made['network']['id']}")
    for body in ({}, {"net": {}}, {"network": []}, {"network": "x"}, {"networks": []}, []):
        do("demo", "POST", "/networks", body)
    bulk = {"networks": [{"name": "b1"}, {"name": "b2", "mtu": 1400}]}
    made = do("demo", "POST", "/networks", bulk)
    do("demo", "POST", "/networks", {"networks": [{"name": "b3"}, {"name": 7}]})
    do("demo", "GET", "/networks?name=b3")
    for network in made["networks"]:
        do("demo", "DELETE", f"/networks/{network['id']}")


def lists(do):
    """Filters, fields, order and pages."""
    ids = []
    for number in range(6):
        body = {"name": f"list-{number % 3}", "admin_state_up": number != 2, "description": "of lists"}
        ids.append(do("demo", "POST", "/networks", {"network": body})["network"]["id"])
    do("demo", "PUT", f"/networks/{ids[0]}/tags", {"tags": ["red", "blue"]})
    do("demo", "PUT", f"/networks/{ids[1]}/tags", {"tags": ["red"]})
    for query in (
        "description=of+lists",
        "name=list-1",
        "name=list-1&name=list-2",
        "name=list-1&admin_state_up=False",
        "description=of+lists&admin_state_up=false",
        "admin_state_up=maybe",
        f"id={ids[0]}&id={ids[3]}",
        "name=nothing",
        "description=of+lists&fields=name",
        "description=of+lists&fields=name&fields=zork",
        "zork=1",
        "description=of+lists&sort_key=name&sort_dir=desc&fields=name",
        "description=of+lists&sort_key=name&sort_dir=asc&sort_key=admin_state_up&sort_dir=desc&fields=name&fields=admin_state_up",
        "sort_key=name",
        "sort_key=zork&sort_dir=asc",
        "sort_key=name&sort_dir=up",
        "limit=x",
        "limit=-1",
        "limit=1&marker=00000000-0000-0000-0000-000000000000",
        "tags=red&fields=name",
        "tags=red,blue&fields=name",
        "tags-any=red,blue&fields=name",
        "description=of+lists&not-tags=red,blue&fields=name",
        "description=of+lists&not-tags-any=red,blue&fields=name",
        "description=of+lists&shared=False&fields=name",
        "description=of+lists&router:external=False&fields=name",
        "description=of+lists&status=ACTIVE&fields=name",
        "description=of+lists&revision_number=1&fields=name",
        f"project_id={do.projects['demo']}&name=list-0&fields=name",
        f"tenant_id={do.projects['demo']}&name=list-0&fields=name",
        f"project_id={do.projects['other']}&fields=name",
        "provider:network_type=vxlan&name=list-0&fields=name",
        "changed_since=2020-01-01T00:00:00Z",
    ):
        do("demo", "GET", f"/networks?{query}")
    for number, network in enumerate(ids):
        do("demo", "PUT", f"/networks/{network}", {"network": {"name": f"page-{number}"}})
    base = "/networks?description=of+lists&fields=name&sort_key=name"
    do("demo", "GET", f"{base}&sort_dir=asc&limit=2")
    do("demo", "GET", f"{base}&sort_dir=asc&limit=2&marker={ids[1]}")
    do("demo", "GET", f"{base}&sort_dir=asc&limit=2&marker={ids[4]}")
    do("demo", "GET", f"{base}&sort_dir=asc&limit=2&marker={ids[5]}")
    do("demo", "GET", f"{base}&sort_dir=asc&limit=2&marker={ids[3]}&page_reverse=True")
    do("demo", "GET", f"{base}&sort_dir=asc&limit=2&marker={ids[0]}&page_reverse=True")
    do("demo", "GET", f"{base}&sort_dir=desc&limit=4&marker={ids[4]}")
    do("demo", "GET", "/networks?name=nothing&limit=2")
    do("demo", "GET", "/networks?name=nothing&limit=2&page_reverse=True")
    do("admin", "GET", "/networks?description=of+lists&provider:network_type=vxlan&fields=name")
    for network in ids:
        do("demo", "DELETE", f"/networks/{network}")


def tags(do):
    """Tags of a network, and of what has none."""
    net = do("demo", "POST", "/networks", {"network": {"name": "tagged"}})["network"]["id"]
    path = f"/networks/{net}/tags"
    do("demo", "GET", path)
    do("demo", "PUT", path, {"tags": ["a", "b"]})
    do("demo", "GET", f"/networks/{net}")
    do("demo", "PUT", path, {"tags": ["a", "a"]})
    do("demo", "PUT", path, {"tags": ["x" * 256]})
    do("demo", "PUT", path, {"tags": "a"})
    do("demo", "PUT", path, {"zork": "a"})
    do("demo", "PUT", path, {"tags": [7]})
    do("demo", "PUT", f"{path}/c")
    do("demo", "PUT", f"{path}/c")
    do("demo", "GET", f"{path}/c")
    do("demo", "GET", f"{path}/z")
    do("demo", "POST", path, {"tags": ["d"]})
    do("demo", "DELETE", f"{path}/a")
    do("demo", "DELETE", f"{path}/a")
    do("demo", "GET", path)
    do("other", "PUT", f"{path}/other")
    do("demo", "DELETE", path)
    do("demo", "GET", f"/networks/{net}")
    do("demo", "DELETE", f"/networks/{net}")


def security_groups(do):
    """Groups, their rules and the group that is always there."""
    do("demo", "GET", "/security-groups?name=default")
    do("demo", "GET", "/security-group-rules?direction=ingress")
    group = do("demo", "POST", "/security-groups", {"security_group": {"name": "web", "description": "d"}})[
        "security_group"
    ]["id"]
    do("demo", "GET", f"/security-groups/{group}")
    do("other", "GET", f"/security-groups/{group}")
    do("demo", "POST", "/security-groups", {"security_group": {"name": "default"}})
    do("demo", "POST", "/security-groups", {"security_group": {"name": "x", "stateful": False}})
    do("demo", "POST", "/security-groups", {"security_group": {"name": "x", "tags": ["a"]}})
    do("demo", "PUT", f"/security-groups/{group}", {"security_group": {"name": "www"}})
    do("demo", "PUT", f"/security-groups/{group}", {"security_group": {"name": "Default"}})
    rules = []
    for body in (
        {"direction": "ingress", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80},
        {"direction": "ingress", "protocol": "tcp", "port_range_min": 80, "port_range_max": 80},
        {"direction": "ingress", "protocol": "6", "port_range_min": 80, "port_range_max": 80},
        {
            "direction": "ingress",
            "protocol": "TCP",
            "port_range_min": "443",
            "port_range_max": "443",
            "remote_ip_prefix": "10.0.0.1/8",
        },
        {"direction": "ingress", "protocol": "tcp", "port_range_min": 1, "port_range_max": 65535},
        {"direction": "ingress", "protocol": "tcp", "port_range_min": 90, "port_range_max": 80},
        {"direction": "ingress", "protocol": "tcp", "port_range_min": 80},
        {"direction": "ingress", "protocol": "tcp", "port_range_min": 0, "port_range_max": 80},
        {"direction": "ingress", "protocol": "tcp", "port_range_min": 70000, "port_range_max": 80},
        {"direction": "ingress", "port_range_min": 80, "port_range_max": 80},
        {"direction": "ingress", "protocol": "icmp"},
        {"direction": "ingress", "protocol": "icmp", "port_range_min": 8, "port_range_max": 0},
        {"direction": "ingress", "protocol": "icmp", "port_range_min": 300},
        {"direction": "ingress", "protocol": "icmp", "port_range_max": 3},
        {"direction": "ingress", "protocol": "icmp", "ethertype": "IPv6"},
        {"direction": "ingress", "protocol": "icmpv6", "ethertype": "ipv6", "remote_group_id": group},
        {"direction": "ingress", "protocol": "ipv6-icmp", "ethertype": "IPv4"},
        {"direction": "ingress", "protocol": "zork"},
        {"direction": "ingress", "protocol": "256"},
        {"direction": "ingress", "protocol": "112"},
        {"direction": "ingress", "protocol": "gre", "port_range_min": 8, "port_range_max": 9},
        {"direction": "ingress", "protocol": "any", "description": "all"},
        {"direction": "sideways"},
        {"direction": "egress"},
        {"direction": "ingress", "ethertype": "IPv5"},
        {"direction": "ingress", "remote_ip_prefix": "fd00::/8"},
        {"direction": "ingress", "remote_ip_prefix": "x"},
        {"direction": "ingress", "remote_ip_prefix": "192.0.2.7", "protocol": "udp"},
        {"direction": "ingress", "remote_ip_prefix": "0.0.0.0/0", "protocol": "udp"},
        {"direction": "ingress", "protocol": "udp"},
        {"direction": "ingress", "remote_ip_prefix": "10.0.0.0/8", "remote_group_id": group},
        {"direction": "ingress", "remote_group_id": "00000000-0000-0000-0000-000000000000"},
        {"direction": "ingress", "protocol": "sctp", "port_range_min": 5, "port_range_max": 6},
    ):
        made = do(
            "demo", "POST", "/security-group-rules", {"security_group_rule": {"security_group_id": group, **body}}
        )
        if "security_group_rule" in made:
            rules.append(made["security_group_rule"]["id"])
    do(
        "demo",
        "POST",
        "/security-group-rules",
        {
            "security_group_rule": {
                "security_group_id": "00000000-0000-0000-0000-000000000000",
                "direction": "ingress",
            }
        },
    )
    do("demo", "POST", "/security-group-rules", {"security_group_rule": {"direction": "ingress"}})
    do(
        "other",
        "POST",
        "/security-group-rules",
        {"security_group_rule": {"security_group_id": group, "direction": "ingress", "protocol": "ah"}},
    )
    bulk = [
        {"security_group_rule": {"security_group_id": group, "direction": "egress", "protocol": p}}
        for p in ("tcp", "udp")
    ]
    do("demo", "POST", "/security-group-rules", {"security_group_rules": bulk})
    do("demo", "POST", "/security-group-rules", {"security_group_rules": bulk})
    do("demo", "GET", f"/security-group-rules/{rules[0]}")
    do("other", "GET", f"/security-group-rules/{rules[0]}")
    do("demo", "GET", f"/security-group-rules?security_group_id={group}&protocol=tcp")
    do("demo", "GET", f"/security-group-rules?security_group_id={group}&port_range_min=443&fields=protocol")
    do("other", "DELETE", f"/security-group-rules/{rules[0]}")
    do("demo", "DELETE", f"/security-group-rules/{rules[0]}")
    do("demo", "DELETE", f"/security-group-rules/{rules[0]}")
    do("demo", "GET", f"/security-groups/{group}?fields=name&fields=revision_number")
    do("demo", "GET", "/security-groups?fields=name&fields=stateful")
    default = do("demo", "GET", "/security-groups?name=default&fields=id")["security_groups"][0]["id"]
    do("demo", "DELETE", f"/security-groups/{default}")
    do("demo", "PUT", f"/security-groups/{default}", {"security_group": {"name": "mine"}})
    do("demo", "PUT", f"/security-groups/{default}", {"security_group": {"description": "mine"}})
    do("other", "DELETE", f"/security-groups/{group}")
    do("demo", "DELETE", f"/security-groups/{group}")
    do("demo", "DELETE", f"/security-groups/{group}")
    for stray in do("demo", "GET", "/security-groups?name=x&fields=id")["security_groups"]:
        do("demo", "DELETE", f"/security-groups/{stray['id']}")


def ports(do):
    """Ports: addresses, security, devices, binding."""
    net = do("demo", "POST", "/networks", {"network": {"name": "pn"}})["network"]["id"]
    empty = do("demo", "POST", "/ports", {"port": {"network_id": net, "name": "no-subnet"}})["port"]["id"]
    v4 = do(
        "demo",
        "POST",
        "/subnets",
        {"subnet": {"network_id": net, "cidr": "10.20.0.0/24", "ip_version": 4, **_pool("10.20.0")}},
    )["subnet"]["id"]
    v6 = do(
        "demo",
        "POST",
        "/subnets",
        {
            "subnet": {
                "network_id": net,
                "cidr": "fd00:20::/64",
                "ip_version": 6,
                "ipv6_ra_mode": "slaac",
                "ipv6_address_mode": "slaac",
            }
        },
    )["subnet"]["id"]
    do("demo", "GET", f"/ports/{empty}")
    made = []
    for who, body in (
        ("demo", {"name": "plain"}),
        ("demo", {"fixed_ips": [{"ip_address": "10.20.0.5"}]}),
        ("demo", {"fixed_ips": [{"ip_address": "10.20.0.5"}]}),
        ("demo", {"fixed_ips": [{"subnet_id": v4, "ip_address": "10.20.0.6"}]}),
        ("demo", {"fixed_ips": [{"subnet_id": v4}]}),
        ("demo", {"fixed_ips": [{"subnet_id": v6}]}),
        ("demo", {"fixed_ips": []}),
        ("demo", {"fixed_ips": [{"ip_address": "10.99.0.5"}]}),
        ("demo", {"fixed_ips": [{"ip_address": "10.20.0.0"}]}),
        ("demo", {"fixed_ips": [{"subnet_id": v4, "ip_address": "10.99.0.5"}]}),
        ("demo", {"fixed_ips": [{"ip_address": "x"}]}),
        ("demo", {"fixed_ips": [{"subnet_id": "00000000-0000-0000-0000-000000000000"}]}),
        ("demo", {"fixed_ips": [{"subnet_id": v6, "ip_address": "fd00:20::5"}]}),
        ("demo", {"fixed_ips": "x"}),
        ("demo", {"mac_address": "fa:16:3e:aa:bb:01"}),
        ("demo", {"mac_address": "FA:16:3E:AA:BB:02"}),
        ("demo", {"mac_address": "fa:16:3e:aa:bb:01"}),
        ("demo", {"mac_address": "zork"}),
        ("demo", {"device_id": "vm1", "device_owner": "compute:nova"}),
        ("demo", {"device_owner": "network:dhcp"}),
        ("demo", {"security_groups": []}),
        ("demo", {"security_groups": ["00000000-0000-0000-0000-000000000000"]}),
        ("demo", {"port_security_enabled": False}),
        ("demo", {"port_security_enabled": False, "allowed_address_pairs": [{"ip_address": "10.0.0.9"}]}),
        (
            "demo",
            {
                "allowed_address_pairs": [
                    {"ip_address": "10.0.0.9"},
                    {"ip_address": "10.0.0.0/24", "mac_address": "fa:16:3e:00:00:07"},
                ]
            },
        ),
        ("demo", {"allowed_address_pairs": [{"mac_address": "fa:16:3e:00:00:07"}]}),
        (
            "demo",
            {
                "extra_dhcp_opts": [
                    {"opt_name": "bootfile-name", "opt_value": "x"},
                    {"opt_name": "mtu", "opt_value": "1400", "ip_version": 6},
                ]
            },
        ),
        ("demo", {"extra_dhcp_opts": [{"opt_name": "bootfile-name"}]}),
        ("demo", {"dns_name": "My-Host"}),
        ("demo", {"dns_name": "under_score"}),
        ("demo", {"dns_name": "web.lab.example."}),
        ("demo", {"dns_domain": "ports.example."}),
        ("demo", {"tags": ["a", "b"]}),
        ("demo", {"tags": ["a", "a"]}),
        ("demo", {"binding:host_id": "compute-1"}),
        ("demo", {"binding:vnic_type": "direct"}),
        ("demo", {"binding:vnic_type": "zork"}),
        ("demo", {"hints": {"openvswitch": {"other_config": {"tx-steering": "hash"}}}}),
        ("demo", {"numa_affinity_policy": "required", "propagate_uplink_status": False, "device_profile": "p"}),
        ("demo", {"data_plane_status": "ACTIVE"}),
        ("demo", {"qos_policy_id": "00000000-0000-0000-0000-000000000000"}),
        ("demo", {"status": "ACTIVE"}),
        ("other", {}),
        (
            "admin",
            {
                "project_id": do.projects["demo"],
                "binding:host_id": "compute-1",
                "device_owner": "compute:nova",
                "device_id": "vm2",
            },
        ),
        ("admin", {"name": "of admin"}),
        ("admin", {"device_owner": "network:dhcp", "device_id": "dhcp-1", "project_id": do.projects["demo"]}),
        ("admin", {"project_id": do.projects["demo"], "binding:profile": {"a": 1}}),
        ("admin", {"project_id": do.projects["demo"], "trusted": True}),
    ):
        answer = do(who, "POST", "/ports", {"port": {"network_id": net, **body}})
        if "port" in answer:
            made.append((answer["port"]["id"], who))
            do("admin", "GET", f"/ports/{answer['port']['id']}")
    do("demo", "POST", "/ports", {"port": {}})
    do("demo", "POST", "/ports", {"port": {"network_id": "zork"}})
    do("demo", "POST", "/ports", {"port": {"network_id": "00000000-0000-0000-0000-000000000000"}})
    port = made[0][0]
    for who, change in (
        ("demo", {"name": "renamed"}),
        ("demo", {"name": "renamed"}),
        ("demo", {}),
        ("demo", {"fixed_ips": [{"ip_address": "10.20.0.11"}]}),
        ("demo", {"fixed_ips": [{"ip_address": "10.20.0.5"}]}),
        ("demo", {"fixed_ips": [{"ip_address": "10.20.0.11"}, {"ip_address": "10.20.0.12"}]}),
        ("demo", {"fixed_ips": [{"subnet_id": v4}]}),
        ("demo", {"fixed_ips": []}),
        ("demo", {"fixed_ips": [{"subnet_id": v4, "ip_address": "10.20.0.13"}, {"subnet_id": v6}]}),
        ("demo", {"admin_state_up": False, "description": "down"}),
        ("demo", {"device_id": "vm9", "device_owner": "compute:nova"}),
        ("demo", {"device_owner": "network:router_interface"}),
        ("demo", {"device_id": None}),
        ("demo", {"device_id": "", "device_owner": ""}),
        ("demo", {"mac_address": "fa:16:3e:aa:bb:03"}),
        ("admin", {"mac_address": "fa:16:3e:aa:bb:03"}),
        ("admin", {"mac_address": "fa:16:3e:aa:bb:01"}),
        ("demo", {"security_groups": []}),
        ("demo", {"port_security_enabled": False}),
        ("demo", {"allowed_address_pairs": [{"ip_address": "10.0.0.9"}]}),
        ("demo", {"port_security_enabled": True}),
        ("demo", {"allowed_address_pairs": [{"ip_address": "10.0.0.9"}]}),
        ("demo", {"port_security_enabled": False}),
        ("demo", {"allowed_address_pairs": []}),
        ("demo", {"extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": "x"}]}),
        ("demo", {"extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": "y"}]}),
        ("demo", {"extra_dhcp_opts": [{"opt_name": "bootfile-name", "opt_value": None}]}),
        ("demo", {"dns_name": "web"}),
        ("demo", {"dns_name": ""}),
        ("admin", {"data_plane_status": "DOWN"}),
        ("demo", {"data_plane_status": "ACTIVE"}),
        ("demo", {"network_id": net}),
        ("demo", {"tags": ["z"]}),
        ("other", {"name": "x"}),
    ):
        do(who, "PUT", f"/ports/{port}", {"port": change})
    for query in (
        f"network_id={net}&fields=name",
        f"network_id={net}&name=renamed",
        "fixed_ips=ip_address%3D10.20.0.5&fields=fixed_ips",
        f"fixed_ips=subnet_id%3D{v4}&fixed_ips=ip_address%3D10.20.0.5&fields=name",
        "fixed_ips=ip_address_substr%3Dfd00:20&fields=device_owner",
        "fixed_ips=zork",
        "device_owner=compute:nova&fields=device_id",
        "device_id=vm2&fields=name",
        "mac_address=fa:16:3e:aa:bb:01&fields=name",
        "binding:host_id=compute-1&fields=device_id",
        "tags=a,b&fields=name",
        "status=ACTIVE&fields=name",
        "ip_allocation=none&fields=name",
        "admin_state_up=False&fields=name",
    ):
        do("demo", "GET", f"/ports?{query}")
    do("other", "GET", f"/ports?network_id={net}")
    do("admin", "GET", f"/ports?network_id={net}&name=no-subnet")
    bulk = {"ports": [{"network_id": net, "name": "b1"}, {"network_id": net, "name": "b2"}]}
    made += [(one["id"], "demo") for one in do("demo", "POST", "/ports", bulk)["ports"]]
    clash = [{"network_id": net, "name": f"c{n}", "fixed_ips": [{"ip_address": "10.20.0.15"}]} for n in (1, 2)]
    do("demo", "POST", "/ports", {"ports": clash})
    do("demo", "GET", "/ports?name=c1")
    do("demo", "DELETE", f"/networks/{net}")
    do("demo", "DELETE", f"/subnets/{v4}")
    do("demo", "DELETE", f"/subnets/{v6}")
    do("demo", "GET", f"/ports/{port}")
    for one, _ in made:
        do("demo", "DELETE", f"/ports/{one}")
    for one, _ in made:
        do("admin", "DELETE", f"/ports/{one}")
    do("demo", "DELETE", f"/ports/{empty}")
    do("demo", "DELETE", f"/networks/{net}")


def bindings(do):
    """Ports that are bound to hosts; Neutron's revision numbers lag a step behind here, so they do not count."""
    do.hidden.add("revision_number")
    net = do("demo", "POST", "/networks", {"network": {"name": "bn"}})["network"]["id"]
    port = do(
        "demo", "POST", "/ports", {"port": {"network_id": net, "device_owner": "compute:nova", "device_id": "vm"}}
    )["port"]["id"]
    for who, change in (
        ("demo", {"binding:host_id": "compute-1"}),
        ("demo", {"binding:vnic_type": "direct"}),
        ("demo", {"binding:vnic_type": "normal"}),
        ("admin", {"binding:host_id": "compute-1"}),
        ("admin", {"mac_address": "fa:16:3e:aa:bb:77"}),
        ("admin", {"binding:host_id": "compute-2"}),
        ("admin", {"binding:vnic_type": "direct"}),
        ("admin", {"binding:profile": {"os_vif_delegation": True}}),
        ("admin", {"binding:profile": {}}),
        ("admin", {"binding:host_id": ""}),
        ("admin", {"binding:host_id": "compute-1", "binding:vnic_type": "normal"}),
        ("admin", {"binding:host_id": None}),
    ):
        do(who, "PUT", f"/ports/{port}", {"port": change})
        do("admin", "GET", f"/ports/{port}")
    do("admin", "DELETE", f"/ports/{port}")
    do("demo", "DELETE", f"/networks/{net}")


def routers(do):  # noqa: PLR0915 (one story)
    """Routers: gateways, interfaces, routes; floating IPs through them. Gateways count revisions differently."""
    do.hidden.add("revision_number")
    ext = do(
        "admin",
        "POST",
        "/networks",
        {"network": {"name": "ext", "description": "of routers", "router:external": True}},
    )["network"]["id"]
    do(
        "admin",
        "POST",
        "/subnets",
        {
            "subnet": {
                "network_id": ext,
                "cidr": "203.0.113.0/24",
                "ip_version": 4,
                "enable_dhcp": False,
                **_pool("203.0.113"),
            }
        },
    )
    do("demo", "GET", f"/networks/{ext}")
    do("demo", "GET", f"/subnets?network_id={ext}")
    do("demo", "GET", "/networks?router:external=True&name=ext&description=of+routers")
    net = do("demo", "POST", "/networks", {"network": {"name": "rn"}})["network"]["id"]
    net2 = do("demo", "POST", "/networks", {"network": {"name": "rn2"}})["network"]["id"]
    subnet = do(
        "demo",
        "POST",
        "/subnets",
        {"subnet": {"network_id": net, "cidr": "10.30.0.0/24", "ip_version": 4, **_pool("10.30.0")}},
    )["subnet"]["id"]
    six = do(
        "demo",
        "POST",
        "/subnets",
        {
            "subnet": {
                "network_id": net,
                "cidr": "fd00:30::/64",
                "ip_version": 6,
                "ipv6_ra_mode": "slaac",
                "ipv6_address_mode": "slaac",
            }
        },
    )["subnet"]["id"]
    six2 = do(
        "demo",
        "POST",
        "/subnets",
        {
            "subnet": {
                "network_id": net,
                "cidr": "fd00:31::/64",
                "ip_version": 6,
                "ipv6_ra_mode": "slaac",
                "ipv6_address_mode": "slaac",
            }
        },
    )["subnet"]["id"]
    overlap = do(
        "demo", "POST", "/subnets", {"subnet": {"network_id": net2, "cidr": "10.30.0.0/16", "ip_version": 4}}
    )["subnet"]["id"]
    port = do(
        "demo",
        "POST",
        "/ports",
        {"port": {"network_id": net, "name": "server", "fixed_ips": [{"ip_address": "10.30.0.5"}]}},
    )["port"]["id"]
    do("demo", "POST", "/routers", {"router": {"zork": 1}})
    do("demo", "POST", "/routers", {"router": {"distributed": True}})
    do("demo", "POST", "/routers", {"router": {"routes": []}})
    do("demo", "POST", "/routers", {"router": {"external_gateway_info": {"network_id": net}}})
    do("demo", "POST", "/routers", {"router": {"external_gateway_info": {"network_id": "x"}}})
    do("demo", "POST", "/routers", {"router": {"external_gateway_info": {}}})
    do("demo", "POST", "/routers", {"router": {"external_gateway_info": {"network_id": ext, "enable_snat": False}}})
    do("demo", "POST", "/routers", {"routers": [{"name": "a"}]})
    router = do("demo", "POST", "/routers", {"router": {"name": "r1", "description": "d"}})["router"]["id"]
    do("demo", "GET", f"/routers/{router}")
    do("admin", "GET", f"/routers/{router}")
    do("other", "GET", f"/routers/{router}")
    do("demo", "PUT", f"/routers/{router}", {"router": {"name": "r2", "admin_state_up": False}})
    do("demo", "PUT", f"/routers/{router}", {"router": {"name": "r2", "admin_state_up": True}})
    add, remove = f"/routers/{router}/add_router_interface", f"/routers/{router}/remove_router_interface"
    for body in (
        {"subnet_id": subnet},
        {"subnet_id": subnet},
        {"subnet_id": overlap},
        {"subnet_id": six},
        {"subnet_id": six2},
        {"port_id": port},
        {},
        {"subnet_id": "x"},
        {"subnet_id": "00000000-0000-0000-0000-000000000000"},
        {"port_id": "00000000-0000-0000-0000-000000000000"},
        {"subnet_id": subnet, "port_id": port},
    ):
        do("demo", "PUT", add, body)
    do("other", "PUT", add, {"subnet_id": subnet})
    do("demo", "GET", f"/routers/{router}")
    do("demo", "GET", f"/ports?device_id={router}")
    inside = f"fixed_ips=subnet_id%3D{subnet}&device_id={router}"
    interface = do("demo", "GET", f"/ports?{inside}")["ports"][0]["id"]
    do("demo", "DELETE", f"/ports/{interface}")
    floating = {"floating_network_id": ext}
    do("demo", "POST", "/floatingips", {"floatingip": {**floating, "port_id": port}})
    do("demo", "PUT", f"/routers/{router}", {"router": {"external_gateway_info": {"network_id": ext}}})
    do("admin", "GET", f"/ports?device_id={router}&device_owner=network:router_gateway")
    do("demo", "GET", f"/ports?device_id={router}&device_owner=network:router_gateway")
    do(
        "admin",
        "PUT",
        f"/routers/{router}",
        {"router": {"external_gateway_info": {"network_id": ext, "enable_snat": False}}},
    )
    do("demo", "PUT", f"/routers/{router}", {"router": {"external_gateway_info": {"network_id": ext}}})
    do(
        "admin",
        "PUT",
        f"/routers/{router}",
        {
            "router": {
                "external_gateway_info": {"network_id": ext, "external_fixed_ips": [{"ip_address": "203.0.113.7"}]}
            }
        },
    )
    do(
        "admin",
        "PUT",
        f"/routers/{router}",
        {
            "router": {
                "external_gateway_info": {"network_id": ext, "external_fixed_ips": [{"ip_address": "203.0.113.1"}]}
            }
        },
    )
    for routes in (
        [{"destination": "198.51.100.0/24", "nexthop": "10.30.0.9"}],
        [{"destination": "198.51.100.0/24", "nexthop": "10.99.0.9"}],
        [{"destination": "198.51.100.0/24", "nexthop": "10.30.0.1"}],
        [{"destination": "198.51.100.7/24", "nexthop": "10.30.0.9"}],
        [{"destination": "x", "nexthop": "10.30.0.9"}],
    ):
        do("demo", "PUT", f"/routers/{router}", {"router": {"routes": routes}})
    extra = {"router": {"routes": [{"destination": "198.51.101.0/24", "nexthop": "10.30.0.9"}]}}
    do("demo", "PUT", f"/routers/{router}/add_extraroutes", extra)
    do("demo", "GET", f"/routers/{router}")
    do("demo", "PUT", remove, {"subnet_id": subnet})
    do("demo", "PUT", f"/routers/{router}/remove_extraroutes", extra)
    do("demo", "PUT", f"/routers/{router}", {"router": {"routes": []}})
    made = []
    for who, body in (
        ("demo", floating),
        ("demo", {**floating, "port_id": port, "description": "to the server"}),
        ("demo", {**floating, "port_id": port}),
        ("demo", {**floating, "port_id": port, "fixed_ip_address": "10.30.0.99"}),
        ("demo", {**floating, "fixed_ip_address": "10.30.0.5"}),
        ("demo", {**floating, "floating_ip_address": "203.0.113.9"}),
        ("admin", {**floating, "floating_ip_address": "203.0.113.9", "project_id": do.projects["demo"]}),
        ("admin", {**floating, "floating_ip_address": "203.0.113.9"}),
        ("admin", {**floating, "floating_ip_address": "10.0.0.9"}),
        ("demo", {"floating_network_id": net}),
        ("demo", {"floating_network_id": "00000000-0000-0000-0000-000000000000"}),
        ("demo", {}),
        ("demo", {**floating, "port_id": "00000000-0000-0000-0000-000000000000"}),
        ("demo", {**floating, "dns_name": "web", "dns_domain": "example.org."}),
        ("demo", {**floating, "zork": 1}),
    ):
        answer = do(who, "POST", "/floatingips", {"floatingip": body})
        if "floatingip" in answer:
            made.append(answer["floatingip"]["id"])
            do("demo", "GET", f"/floatingips/{made[-1]}")
    do("admin", "GET", f"/ports?device_id={made[0]}")
    do("demo", "POST", "/floatingips", {"floatingips": [floating]})
    do("other", "GET", f"/floatingips/{made[0]}")
    do("demo", "GET", f"/floatingips?port_id={port}")
    do("demo", "GET", "/floatingips?floating_ip_address=203.0.113.9&fields=status")
    do("demo", "GET", f"/floatingips?router_id={router}&fields=fixed_ip_address")
    for change in (
        {"port_id": port},
        {"description": "x"},
        {"port_id": None},
        {"fixed_ip_address": "10.30.0.5"},
        {"floating_ip_address": "203.0.113.8"},
    ):
        do("demo", "PUT", f"/floatingips/{made[0]}", {"floatingip": change})
    do("demo", "PUT", remove, {"subnet_id": subnet})
    do("demo", "PUT", f"/routers/{router}", {"router": {"external_gateway_info": None}})
    do("demo", "PUT", f"/ports/{port}", {"port": {"fixed_ips": [{"ip_address": "10.30.0.6"}]}})
    do("demo", "DELETE", f"/ports/{port}")
    do("demo", "GET", f"/floatingips/{made[1]}")
    for one in made:
        do("demo", "DELETE", f"/floatingips/{one}")
    do("admin", "DELETE", f"/networks/{ext}")
    do("demo", "DELETE", f"/routers/{router}")
    do("demo", "DELETE", f"/subnets/{subnet}")
    do("demo", "PUT", remove, {"subnet_id": subnet})
    do("demo", "PUT", remove, {"subnet_id": subnet})
    do("demo", "PUT", remove, {"subnet_id": six2})
    do("demo", "PUT", remove, {"subnet_id": six2})
    six_port = do("demo", "GET", f"/ports?device_id={router}&fields=id&network_id={net}")["ports"][0]["id"]
    do("demo", "PUT", remove, {"port_id": six_port, "subnet_id": subnet})
    do("demo", "PUT", remove, {"port_id": six_port})
    apart = do("demo", "POST", "/networks", {"network": {"name": "rn3"}})["network"]["id"]
    do("demo", "POST", "/subnets", {"subnet": {"network_id": apart, "cidr": "10.31.0.0/24", "ip_version": 4}})
    wanted = {"network_id": apart, "fixed_ips": [{"ip_address": "10.31.0.8"}]}
    own = do("demo", "POST", "/ports", {"port": wanted})["port"]["id"]
    do("demo", "PUT", add, {"port_id": own})
    do("demo", "GET", f"/ports/{own}")
    do("demo", "PUT", remove, {"port_id": own})
    do("demo", "GET", f"/ports/{own}")
    do("demo", "PUT", f"/routers/{router}", {"router": {"external_gateway_info": {}}})
    do("demo", "GET", f"/routers/{router}")
    do("demo", "GET", "/routers?name=r2")
    do("demo", "DELETE", f"/routers/{router}")
    do("demo", "GET", f"/routers/{router}")
    for network in (net, net2, apart):
        do("demo", "DELETE", f"/networks/{network}")
    for stray in do("demo", "GET", "/routers?fields=id")["routers"]:
        do("demo", "DELETE", f"/routers/{stray['id']}")
    do("admin", "DELETE", f"/networks/{ext}")


def sharing(do):
    """Networks that are shared: what others may do there."""
    net = do("admin", "POST", "/networks", {"network": {"name": "all", "shared": True}})["network"]["id"]
    subnet = do(
        "admin",
        "POST",
        "/subnets",
        {"subnet": {"network_id": net, "cidr": "10.40.0.0/24", "ip_version": 4, **_pool("10.40.0")}},
    )["subnet"]["id"]
    do("demo", "GET", f"/networks/{net}")
    do("demo", "GET", f"/subnets/{subnet}")
    do("demo", "GET", "/networks?shared=True&fields=name")
    do("demo", "GET", "/subnets?shared=True&fields=cidr")
    do("demo", "PUT", f"/networks/{net}", {"network": {"name": "mine"}})
    do("demo", "DELETE", f"/networks/{net}")
    do("demo", "POST", "/subnets", {"subnet": {"network_id": net, "cidr": "10.41.0.0/24", "ip_version": 4}})
    for body in (
        {},
        {"fixed_ips": [{"subnet_id": subnet}]},
        {"fixed_ips": [{"ip_address": "10.40.0.7"}]},
        {"mac_address": "fa:16:3e:aa:cc:01"},
        {"port_security_enabled": False},
        {"allowed_address_pairs": [{"ip_address": "10.0.0.9"}]},
        {"device_owner": "network:dhcp"},
    ):
        answer = do("demo", "POST", "/ports", {"port": {"network_id": net, **body}})
        if "port" in answer:
            port = answer["port"]["id"]
    do("other", "GET", f"/ports/{port}")
    do("admin", "PUT", f"/networks/{net}", {"network": {"shared": False}})
    do("demo", "PUT", f"/ports/{port}", {"port": {"fixed_ips": []}})
    for one in do("demo", "GET", f"/ports?network_id={net}&fields=id")["ports"]:
        do("demo", "DELETE", f"/ports/{one['id']}")
    do("admin", "PUT", f"/networks/{net}", {"network": {"shared": False}})
    do("demo", "GET", f"/networks/{net}")
    do("admin", "DELETE", f"/networks/{net}")


def small_things(do):
    """Paths that are not there, methods that are not meant, quotas."""
    for method, path in (
        ("GET", "/zork"),
        ("GET", "/networks/x/y"),
        ("GET", "/networks/x"),
        ("GET", "/subnets/x"),
        ("GET", "/ports/x"),
        ("GET", "/routers/x"),
        ("GET", "/floatingips/x"),
        ("GET", "/security-groups/x"),
        ("GET", "/security-group-rules/x"),
        ("POST", "/networks/x"),
        ("PUT", "/networks/x"),
        ("DELETE", "/ports/x"),
        ("PUT", "/routers/x/add_router_interface"),
        ("GET", "/availability_zones"),
        ("GET", f"/quotas/{do.projects['demo']}"),
        ("GET", f"/quotas/{do.projects['demo']}/default"),
        ("GET", f"/quotas/{do.projects['other']}"),
        ("GET", "/quotas/project"),
        ("GET", "/networks.json?name=nothing"),
    ):
        do("demo", method, path)
    do("nobody", "GET", "/networks")


STORIES = (
    small_things,
    network_attributes,
    networks_and_subnets,
    lists,
    tags,
    security_groups,
    ports,
    bindings,
    sharing,
    routers,
)


def furnish(do):
    """Make one of everything and leave it; returns the calls that clean up, in the order of making."""
    undo = []

    def make(who, collection, member, body):
        made = do(who, "POST", f"/{collection}", {member: body})[member]
        undo.append((who, f"/{collection}/{made['id']}", None))
        return made["id"]

    ext = make("admin", "networks", "network", {"name": "furnished-ext", "router:external": True})
    make("admin", "subnets", "subnet", {"network_id": ext, "cidr": "203.0.113.0/24", "ip_version": 4})
    make("admin", "networks", "network", {"name": "furnished-all", "shared": True, "mtu": 1400})
    net = make("demo", "networks", "network", {"name": "furnished-net", "description": "d"})
    do("demo", "PUT", f"/networks/{net}/tags", {"tags": ["red", "blue"]})
    routes = [{"destination": "192.0.2.0/24", "nexthop": "10.50.0.9"}]
    four = {"network_id": net, "cidr": "10.50.0.0/24", "ip_version": 4, "dns_nameservers": ["9.9.9.9", "1.1.1.1"]}
    subnet = make("demo", "subnets", "subnet", {**four, "host_routes": routes})
    six = {"cidr": "fd00:50::/64", "ip_version": 6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    make("demo", "subnets", "subnet", {"network_id": net, **six})
    group = make("demo", "security-groups", "security_group", {"name": "furnished-group", "stateful": True})
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 22}
    make(
        "demo",
        "security-group-rules",
        "security_group_rule",
        {**rule, "port_range_max": 23, "remote_ip_prefix": "10.0.0.1/8"},
    )
    make(
        "demo",
        "security-group-rules",
        "security_group_rule",
        {"security_group_id": group, "direction": "ingress", "remote_group_id": group},
    )
    port = make("demo", "ports", "port", {"network_id": net, "name": "furnished-server", "dns_name": "server"})
    options = [{"opt_name": "mtu", "opt_value": "1400"}]
    pairs = [{"ip_address": "10.50.0.99"}]
    make(
        "demo",
        "ports",
        "port",
        {"network_id": net, "security_groups": [group], "extra_dhcp_opts": options, "allowed_address_pairs": pairs},
    )
    make(
        "admin",
        "ports",
        "port",
        {
            "network_id": net,
            "project_id": do.projects["demo"],
            "binding:host_id": "compute-1",
            "device_owner": "compute:nova",
            "device_id": "vm",
            "trusted": True,
        },
    )
    make("demo", "ports", "port", {"network_id": net, "port_security_enabled": False, "fixed_ips": []})
    router = make(
        "demo", "routers", "router", {"name": "furnished-router", "external_gateway_info": {"network_id": ext}}
    )
    do("demo", "PUT", f"/routers/{router}/add_router_interface", {"subnet_id": subnet})
    undo.append(("demo", f"/routers/{router}/remove_router_interface", {"subnet_id": subnet}))
    extra = {"router": {"routes": [{"destination": "198.51.100.0/24", "nexthop": "10.50.0.9"}]}}
    do("demo", "PUT", f"/routers/{router}/add_extraroutes", extra)
    undo.append(("demo", f"/routers/{router}/remove_extraroutes", extra))
    make("demo", "floatingips", "floatingip", {"floating_network_id": ext, "port_id": port})
    make("demo", "floatingips", "floatingip", {"floating_network_id": ext, "description": "free"})
    return undo

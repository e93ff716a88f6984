"""Converting and checking the values of attributes.

A converter returns the value to use, or raises an `ApiError`. A check returns why a value is refused, or None;
the reason becomes "Invalid input for NAME. Reason: …". The wording is Neutron's.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from alcor_sdn.controller.neutron.errors import bad_request, fail, fault, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


# Converters


def boolean(value: Any) -> bool:
    """True or false, from all the words that OpenStack takes for them."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise invalid(f"'{value}' cannot be converted to boolean")


def boolean_or_none(value: Any) -> bool | None:
    """True, false or nothing."""
    return None if value is None else boolean(value)


def integer(value: Any) -> int:
    """A whole number."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise invalid(f"'{value}' is not an integer") from None


def empty_list(value: Any) -> Any:
    """A list; nothing is the empty one."""
    return [] if value is None else value


def lower_case(value: Any) -> Any:
    """A text without capitals."""
    if not isinstance(value, str):
        raise invalid(f"Input value {value} must be string type")
    return value.lower()


def ip_form(value: Any) -> Any:
    """The short form of an IPv6 address; anything else as it is (the check will see)."""
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        return value
    return str(parsed) if parsed.version == 6 else value  # noqa: PLR2004 (IP versions)


def cidr_form(value: Any) -> Any:
    """A prefix with its length written out, IPv6 in its short form."""
    if value is None:
        return None
    try:
        return str(ipaddress.ip_interface(value))
    except ValueError:
        raise invalid(f"{value} is not in a CIDR format") from None


def pools_form(value: Any) -> Any:
    """Allocation pools with IPv6 addresses in their short form."""
    if not isinstance(value, list):
        raise invalid(f"Invalid data format for IP pool: '{value}'")
    return [{name: ip_form(end) for name, end in pool.items()} if isinstance(pool, dict) else pool for pool in value]


PROTOCOLS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "hopopt": 0,
    "icmp": 1,
    "igmp": 2,
    "ip": 0,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
"""IANA protocol numbers of the names that security group rules take."""


def protocol(value: Any) -> str | None:
    """The protocol of a rule: a name, a number as text, or nothing for any."""
    if value is None or value == "any":
        return None
    values = (None, "any", *PROTOCOLS)
    try:
        number = int(value)
    except (TypeError, ValueError):
        if isinstance(value, str) and value.lower() in PROTOCOLS:
            return value.lower()
        raise fault("SecurityGroupRuleInvalidProtocol", protocol=value, values=values) from None
    if not 0 <= number <= 255:  # noqa: PLR2004 (one octet, RFC 791)
        fail("SecurityGroupRuleInvalidProtocol", protocol=value, values=values)
    return str(value)


def ethertype(value: Any) -> str:
    """IPv4 or IPv6, however it is written."""
    known = {"ipv4": "IPv4", "ipv6": "IPv6"}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise fault("SecurityGroupRuleInvalidEtherType", ethertype=value, values=list(known.values()))


def port_number(value: Any) -> int | None:
    """A TCP or UDP port, an ICMP type, or nothing."""
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise fault("SecurityGroupInvalidPortValue", port=value) from None
    if not 0 <= number <= 65535:  # noqa: PLR2004 (16 bits)
        fail("SecurityGroupInvalidPortValue", port=value)
    return number


def remote_prefix(value: Any) -> str | None:
    """An address or prefix with its length written out; host bits stay."""
    if not value:
        return None
    try:
        return str(ipaddress.ip_interface(value))
    except (ValueError, TypeError):
        raise fault("InvalidCIDR", cidr=value) from None


# Checks


def text(longest: int) -> Callable[[Any], str | None]:
    """A text of at most so many characters."""

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return f"'{value}' is not a valid string"
        return f"'{value}' exceeds maximum length of {longest}" if len(value) > longest else None

    return check


def or_none(check: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
    """What a check accepts, or nothing at all."""
    return lambda value: None if value is None else check(value)


def group_name(value: Any) -> str | None:
    """The name of a security group, which may not be that of the automatic one."""
    refused = text(255)(value)
    if refused is None and value.lower() == "default":
        fail("SecurityGroupDefaultAlreadyExists")
    return refused


def identifier(value: Any) -> str | None:
    """A UUID, with or without dashes."""
    try:
        plain = str(value).lower().replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "")
        if str(uuid.UUID(str(value))).replace("-", "") == plain:
            return None
    except ValueError:
        pass
    return f"'{value}' is not a valid UUID"


def identifiers(value: Any) -> str | None:
    """A list of distinct UUIDs."""
    if not isinstance(value, list):
        return f"'{value}' is not a list"
    twice = _repeated(value)
    if twice:
        return f"Duplicate items in the list: '{', '.join(twice)}'"
    return next((refused for item in value if (refused := identifier(item))), None)


def one_of(values: Collection[Any], shown: str = "") -> Callable[[Any], str | None]:
    """One of some values."""

    def check(value: Any) -> str | None:
        known = isinstance(value, Hashable) and value in values
        return None if known else f"{value} is not in {shown or 'valid_values'}"

    return check


def not_negative(value: Any) -> str | None:
    """A whole number from zero on."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return f"'{value}' is not an integer"
    return f"'{value}' should be non-negative" if number < 0 else None


def boolean_value(value: Any) -> str | None:
    """Something that means true or false."""
    try:
        boolean(value)
    except Exception:  # noqa: BLE001 (a check answers, it does not raise)
        return f"'{value}' is not a valid boolean value"
    return None


_MAC = re.compile(r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}|[0-9a-fA-F]{12}")


def mac(value: Any) -> str | None:
    """A MAC address of a single station."""
    if not isinstance(value, str) or not _MAC.fullmatch(value) or value == "00:00:00:00:00:00":
        return f"'{value}' is not a valid MAC address"
    return None


def ip(value: Any) -> str | None:
    """An IP address, written as usual."""
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        return f"'{value}' is not a valid IP address"
    if isinstance(value, int):
        return f"'{value}' is not a valid IP address"
    if parsed.version == 4 and str(parsed) != value:  # noqa: PLR2004 (IP versions)
        return f"'{value}' is not an accepted IP address, '{parsed}' is recommended"
    return None


def subnet(value: Any) -> str | None:
    """A prefix in CIDR notation."""
    try:
        parsed = ipaddress.ip_interface(value)
    except (ValueError, TypeError):
        return f"'{value}' is not a valid IP subnet"
    if "/" not in str(value) or (parsed.version == 4 and str(parsed) != value):  # noqa: PLR2004 (IP versions)
        return f"'{value}' is not a valid IP subnet"
    return None


def route_destination(value: Any) -> str | None:
    """A prefix without host bits that can be routed to."""
    try:
        parsed = ipaddress.ip_network(value)
    except (ValueError, TypeError):
        return f"'{value}' is not a valid CIDR"
    if "/" not in str(value):
        return f"'{value}' is not a valid CIDR"
    return f"'{value}' is not a routable CIDR" if parsed.is_loopback else None


def keys(wanted: Collection[str], value: Any) -> str | None:
    """Why an object does not have exactly the wanted keys."""
    if not isinstance(value, dict):
        return f"Invalid input. '{value}' must be a dictionary with keys: {list(wanted)}"
    if set(value) != set(wanted):
        return f"Validation of dictionary's keys failed. Expected keys: {set(wanted)} Provided keys: {set(value)}"
    return None


def pools(value: Any) -> str | None:
    """Allocation pools: objects with `start` and `end`."""
    for pool in value:
        refused = keys(("start", "end"), pool)
        if refused:
            return refused
        for end in ("start", "end"):
            refused = ip(pool[end])
            if refused:
                return refused
    return None


def nameservers(value: Any) -> str | None:
    """Distinct addresses of DNS servers."""
    if not isinstance(value, list):
        return f"Invalid data format for nameserver: '{value}'"
    seen: list[Any] = []
    for host in value:
        refused = ip(host)
        if refused:
            return f"'{host}' is not a valid nameserver. {refused}"
        if host in seen:
            return f"Duplicate nameserver '{host}'"
        seen.append(host)
    return None


def routes(value: Any) -> str | None:
    """Distinct routes: objects with `destination` and `nexthop`."""
    if not isinstance(value, list):
        return f"Invalid data format for hostroute: '{value}'"
    seen: list[Any] = []
    for route in value:
        refused = (
            keys(("destination", "nexthop"), route) or route_destination(route["destination"]) or ip(route["nexthop"])
        )
        if refused:
            return refused
        if route in seen:
            return f"Duplicate hostroute '{route}'"
        seen.append(route)
    return None


def fixed_ips(value: Any) -> str | None:
    """Addresses of a port: objects with `subnet_id`, `ip_address` or both."""
    if not isinstance(value, list):
        return f"Invalid data format for fixed IP: '{value}'"
    seen: set[str] = set()
    for item in value:
        if not isinstance(item, dict):
            return f"Invalid data format for fixed IP: '{item}'"
        if "ip_address" in item:
            refused = ip(item["ip_address"])
            if item["ip_address"] in seen:
                refused = f"Duplicate IP address '{item['ip_address']}'"
            if refused:
                return refused
            seen.add(item["ip_address"])
        if "subnet_id" in item:
            refused = identifier(item["subnet_id"])
            if refused:
                return refused
    return None


def address_pairs(value: Any) -> str | None:
    """Allowed address pairs; raises what Neutron answers for a pair that is incomplete or there twice."""
    if not isinstance(value, list):
        raise bad_request("Allowed address pairs must be a list.")
    seen: set[tuple[Any, Any]] = set()
    for pair in value:
        refused = _address_pair(pair)
        if refused:
            return refused
        key = (pair.get("mac_address"), pair["ip_address"])
        if key in seen:
            fail("DuplicateAddressPairInRequest", mac=key[0], ip=key[1])
        seen.add(key)
    return None


def _address_pair(pair: Any) -> str | None:
    if not isinstance(pair, dict):
        return f"Invalid data format for allowed address pair: '{pair}'"
    if "ip_address" not in pair:
        fail("AllowedAddressPairsMissingIP")
    refused = mac(pair["mac_address"]) if "mac_address" in pair else None
    if refused:
        return refused
    unknown = set(pair) - {"mac_address", "ip_address"}
    if unknown:
        return f"Unrecognized attribute(s) '{', '.join(sorted(unknown))}'"
    return subnet(pair["ip_address"]) if "/" in str(pair["ip_address"]) else ip(pair["ip_address"])


def dhcp_options(value: Any) -> str | None:
    """Extra DHCP options of a port."""
    if value is None:
        return None
    if not isinstance(value, list):
        return f"'{value}' is not a list"
    for option in value:
        good = (
            isinstance(option, dict)
            and {"opt_name", "opt_value"} <= set(option) <= {"opt_name", "opt_value", "ip_version"}
            and isinstance(option["opt_name"], str)
            and option["opt_name"].strip() != ""
            and (option["opt_value"] is None or isinstance(option["opt_value"], str))
            and str(option.get("ip_version", 4)) in {"4", "6"}
        )
        if not good:
            raise invalid(f"No valid key specs matched for: {option}")
    return None


def unique_texts(longest: int) -> Callable[[Any], str | None]:
    """A list of distinct texts that are not blank."""

    def check(value: Any) -> str | None:
        if not isinstance(value, list):
            return f"'{value}' is not a list"
        twice = _repeated(value)
        if twice:
            return f"Duplicate items in the list: '{', '.join(map(str, twice))}'"
        for item in value:
            refused = text(longest)(item)
            if refused:
                return refused
            if not item.strip():
                return f"'{item}' Blank strings are not permitted"
        return None

    return check


def mapping_or_none(value: Any) -> str | None:
    """An object, or nothing."""
    return None if value is None or isinstance(value, dict) else f"'{value}' is not a dictionary"


_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def dns_name(value: Any) -> str | None:
    """The name of a host, with or without its domain (RFC 1123, section 2.1)."""
    refused = text(255)(value)
    if refused or not value:
        return refused
    labels = value.removesuffix(".").split(".")
    if all(_LABEL.fullmatch(label) for label in labels):
        return None
    return (
        f"'{value}' not a valid PQDN or FQDN. Reason: Name '{value}' must be 1-63 characters long, each of "
        "which can only be alphanumeric or a hyphen"
    )


def dns_domain(value: Any) -> str | None:
    """A domain name that ends with a dot."""
    refused = text(255)(value)
    if refused or not value:
        return refused
    if not value.endswith("."):
        return f"'{value}' is not a FQDN"
    return dns_name(value)


def zone_hints(value: Any) -> str | None:
    """Names of availability zones."""
    return unique_texts(255)(value)


def gateway(value: Any) -> str | None:
    """The external gateway of a router, or nothing."""
    if value is None or value == {}:
        return None
    if not isinstance(value, dict):
        return f"'{value}' is not a dictionary"
    if "network_id" not in value:
        return "Validation of dictionary's keys failed. Expected keys: {'network_id'} Provided keys: " + str(
            set(value)
        )
    unknown = set(value) - {"network_id", "external_fixed_ips", "enable_snat", "qos_policy_id"}
    if unknown:
        return f"Unexpected keys supplied: {', '.join(sorted(unknown))}"
    refused = identifier(value["network_id"])
    if not refused and "external_fixed_ips" in value:
        refused = fixed_ips(value["external_fixed_ips"])
    if not refused and "enable_snat" in value:
        refused = boolean_value(value["enable_snat"])
    if not refused and value.get("qos_policy_id") is not None:
        refused = identifier(value["qos_policy_id"])
    return refused


def network_segments(value: Any) -> str | None:
    """Segments of a network over several physical ones."""
    if not isinstance(value, list) or not all(isinstance(segment, dict) for segment in value):
        return f"Invalid data format for segments: '{value}'"
    known = {"provider:network_type", "provider:physical_network", "provider:segmentation_id"}
    for segment in value:
        if "provider:network_type" not in segment:
            return "Segments require a network type"
        unknown = set(segment) - known
        if unknown:
            return f"Unrecognized attribute(s) '{', '.join(sorted(unknown))}'"
    return None


def service_types(value: Any) -> str | None:
    """Device owners that a subnet is for."""
    if not isinstance(value, list):
        return f"'{value}' is not a list"
    for item in value:
        if not isinstance(item, str):
            return f"Subnet service type {item} is not a string."
        if not item.startswith(("network:", "compute:", "baremetal:", "trunk:")):
            return f"Subnet service type {item} does not correspond to a valid device owner."
    return None


def _repeated(values: list[Any]) -> list[Any]:
    twice: list[Any] = []
    for position, item in enumerate(values):
        if item in values[:position] and item not in twice:
            twice.append(item)
    return twice

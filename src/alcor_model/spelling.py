"""One spelling for what has several: addresses and networks, MACs, moments.

The common spellings, which Neutron uses, are recognised by a pattern and returned as they are; only the others are
parsed, and what was parsed lately is remembered.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from functools import lru_cache

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_GROUP = r"[1-9a-f][0-9a-f]{0,3}"
_IPV4 = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
_IPV6 = rf"(?!(?:[^:]*:){{7}}){_GROUP}(?::{_GROUP})*::(?:{_GROUP}(?::{_GROUP})*)?"
"""Most IPv6 addresses, none of them IPv4-mapped: at most six groups, none of them zero, around one double colon."""
_PLAIN_ADDRESS = re.compile(rf"{_IPV4}|{_IPV6}", re.ASCII).fullmatch
_PLAIN_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}").fullmatch
_BARE_MAC = re.compile(r"[0-9a-f]{12}").fullmatch
_PLAIN_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII).fullmatch


def address(text: str) -> str:
    """An IP address or a CIDR: IPv6 compressed and small, host bits of a CIDR cleared, an IPv4-mapped one as IPv4.

    What is neither is returned as it is.
    """
    return text if _PLAIN_ADDRESS(text) else _parsed(text)[0]


def address_problem(text: str) -> str:
    """What is wrong with an address or CIDR, as the end of a sentence; empty when nothing is, or no text is there."""
    return "" if _PLAIN_ADDRESS(text) or not text else _parsed(text)[1]


def mac(text: str) -> str:
    """A MAC as six pairs of small hexadecimal digits with colons between; what is none is returned as it is."""
    if _PLAIN_MAC(text):
        return text
    digits = text.lower().translate(_NO_SEPARATORS)
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2)) if _BARE_MAC(digits) else text


_NO_SEPARATORS = str.maketrans("", "", ":-.")


def moment(text: str) -> str:
    """A time in UTC as `2026-11-22T20:30:00Z`, with microseconds where there are any; without a zone it is UTC.

    What is no time is returned as it is.
    """
    if _PLAIN_MOMENT(text):
        return text
    try:
        parsed = datetime.fromisoformat(text)
        in_utc = parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return text
    return in_utc.replace(tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[str, str]:
    """The spelling and the problem of an address or CIDR."""
    try:
        if "/" not in text:
            found = ipaddress.ip_address(text)
            mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
            return (str(mapped), _MAPPED) if mapped else (str(found), "")
        network = ipaddress.ip_network(text, strict=False)
        if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= _MAPPED_BITS:
            mapped = network.network_address.ipv4_mapped
            if mapped:
                return f"{mapped}/{network.prefixlen - _MAPPED_BITS}", _MAPPED
        return str(network), ""
    except ValueError:
        return text, f"is {text[:60]!r}, not an address"


_MAPPED_BITS = 96
_MAPPED = "is an IPv4 address written as an IPv6 one"

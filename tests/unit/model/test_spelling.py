"""What has several spellings has one here, the same on every Python."""

import ipaddress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alcor_model import spelling


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:0DB8:0:0::1", "2001:db8::1"),
        ("10.0.0.7/24", "10.0.0.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:A00:1", "10.0.0.1"),
        ("0:0:0:0:0:ffff:a00:0/120", "10.0.0.0/24"),
        ("::/0", "::/0"),
        ("010.0.0.1", "010.0.0.1"),
        ("10.0.0.256", "10.0.0.256"),
        ("10.0.0.1 ", "10.0.0.1 "),
        ("\u0661.0.0.1", "\u0661.0.0.1"),
        ("", ""),
        ("a host", "a host"),
    ],
)
def test_addresses(text, spelled):
    assert spelling.address(text) == spelled


@given(st.ip_addresses())
def test_every_spelling_of_an_address_is_one(address):
    mapped = getattr(address, "ipv4_mapped", None)
    for text in (str(address), address.exploded, address.exploded.upper()):
        assert spelling.address(text) == str(mapped or address)
        assert bool(spelling.address_problem(text)) == bool(mapped)


@given(st.ip_addresses(v=4))
def test_the_pattern_knows_every_plain_address(address):
    assert spelling._PLAIN_ADDRESS(str(address))


@given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", fullmatch=True))
def test_the_pattern_knows_no_other(text):
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        assert not spelling._PLAIN_ADDRESS(text)
        assert spelling.address_problem(text)
    else:
        assert spelling._PLAIN_ADDRESS(text)


groups = st.lists(st.sampled_from(["0", "1", "ffff", "db8", "00a", "10000", ""]), max_size=9).map(":".join)


@given(groups | st.builds("{}::{}".format, groups, groups))
def test_what_the_pattern_knows_is_spelled_already(text):
    if spelling._PLAIN_ADDRESS(text):
        assert str(ipaddress.ip_address(text)) == text


@pytest.mark.parametrize("text", ["fd00::1", "2001:db8::", "fe80::f816:3eff:fe00:1", "2001:db8:1:2::a:1"])
def test_the_pattern_knows_the_usual_ipv6_addresses(text):
    assert spelling._PLAIN_ADDRESS(text)


@pytest.mark.parametrize("text", ["fa:16:3e:00:00:0a", "FA:16:3E:00:00:0A", "fa-16-3e-00-00-0a", "fa16.3e00.000a"])
def test_macs(text):
    assert spelling.mac(text) == "fa:16:3e:00:00:0a"


@pytest.mark.parametrize("text", ["", "m", "fa:16:3e:00:00", "fa:16:3e:00:00:0g", "not a mac"])
def test_what_is_no_mac_stays(text):
    assert spelling.mac(text) == text


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01 00:00:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.000000", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000001Z"),
        ("2026-01-01T01:30:00+01:30", "2026-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+01:00"),
        ("yesterday", "yesterday"),
        ("", ""),
    ],
)
def test_moments(text, spelled):
    assert spelling.moment(text) == spelled


@given(st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_one_moment_has_one_spelling_in_every_zone(naive, minutes):
    moment = naive.replace(tzinfo=UTC)
    there = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert (
        spelling.moment(there.isoformat())
        == spelling.moment(moment.isoformat())
        == spelling.moment(naive.isoformat())
    )


@given(st.text())
def test_any_text_has_a_spelling(text):
    for spell in (spelling.address, spelling.mac, spelling.moment):
        assert spell(spell(text)) == spell(text)

"""Figures for Prometheus, and the access log."""

import asyncio
import re
from pathlib import Path

import pytest
from gateway_harness import RawClient, answer, eventually
from structlog.testing import capture_logs

from alcor_migrate.errors import ConfigError, GatewayError
from alcor_migrate.gateway import Route
from alcor_migrate.gateway.access import COLLECTIONS, resource_of, without_secrets

PAGE = Path(__file__).parents[3] / "docs" / "gateway.md"


async def figures(gateway, path="/metrics"):
    host, port = gateway._metrics.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(host, port)
    status, head, body = await RawClient(reader, writer).ask("GET", path)
    writer.close()
    await writer.wait_closed()
    return status, head, body.decode()


def value(text, name):
    return float(re.search(rf"(?m)^{re.escape(name)} (\S+)$", text)[1])


async def test_requests_are_counted_by_route_method_resource_and_status(make_gateway, connect, source):
    gateway = await make_gateway(metrics_listen="127.0.0.1:0")
    client = await connect(gateway)
    await client.ask("GET", "/v2.0/ports?limit=1")
    await client.ask("GET", "/v2.0/ports/p1.json")
    await client.ask("GET", "/v2.0/made-up-by-a-client")
    await gateway.switch(Route.CAPTURE)
    source.script = lambda *_: answer(b"{}", "409 Conflict")
    await client.ask("POST", "/v2.0/networks", b"{}")
    await client.ask("MADEUP", "/", b"{}")
    status, head, text = await figures(gateway)
    assert (status, b"text/plain; version=0.0.4" in head) == (200, True)
    counted = 'alcor_gateway_requests_total{route="%s",method="%s",resource="%s",status="%s"}'
    assert value(text, counted % ("pass", "GET", "ports", 200)) == 2
    assert value(text, counted % ("pass", "GET", "other", 200)) == 1
    assert value(text, counted % ("capture", "POST", "networks", 409)) == 1
    assert value(text, counted % ("capture", "other", "other", 409)) == 1
    assert "made" not in text.lower()
    assert value(text, 'alcor_gateway_request_seconds_bucket{le="+Inf"}') == 5
    assert value(text, "alcor_gateway_request_seconds_count") == 5
    assert value(text, "alcor_gateway_epoch") == 1
    assert value(text, "alcor_gateway_captured_total") == 2
    assert 2 <= value(text, "alcor_journal_commits_total") <= 4
    assert value(text, "alcor_journal_commit_seconds_total") > 0
    assert (await figures(gateway, "/"))[0] == 404


async def test_what_is_held_is_seen(make_gateway, connect):
    gateway = await make_gateway(metrics_listen="127.0.0.1:0")
    client = await connect(gateway)
    await gateway.hold(60)
    asking = asyncio.create_task(client.ask("POST", "/", b"{}"))
    await eventually(lambda: gateway.stats.held_now)
    assert value((await figures(gateway))[2], "alcor_gateway_held_writes") == 1
    await gateway.release(Route.PASS)
    await asking


async def test_every_line_is_well_formed_and_every_figure_documented(make_gateway):
    gateway = await make_gateway(metrics_listen="127.0.0.1:0")
    text = (await figures(gateway))[2]
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+', line), line
    served = {(kind, name) for name, kind in re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text)}
    documented = {
        (kind, name) for name, kind in re.findall(r"(?m)^\| `(alcor_\w+)[^`]*` \| (\w+) \|", PAGE.read_text())
    }
    assert served == documented


async def test_an_address_that_cannot_be_had_is_told(make_gateway):
    first = await make_gateway(metrics_listen="127.0.0.1:0")
    port = first._metrics.sockets[0].getsockname()[1]
    with pytest.raises(GatewayError, match="metrics"):
        await make_gateway(metrics_listen=f"127.0.0.1:{port}")
    with pytest.raises(ConfigError, match="nowhere"):
        await make_gateway(metrics_listen="nowhere")


@pytest.mark.parametrize(
    ("target", "resource"),
    [
        (b"/v2.0/ports", "ports"),
        (b"/v2.0/ports.json?x=1", "ports"),
        (b"/v2.0/security-groups/1/tags", "security-groups"),
        (b"/v2.0/portsx", "other"),
        (b"/", "other"),
        (b"/v2.0/%70orts", "other"),
    ],
)
def test_the_resource_is_one_of_a_known_few(target, resource):
    assert resource_of(target) == resource
    assert all(name.isascii() for name in COLLECTIONS)


def test_secrets_in_a_query_are_not_logged():
    target = b"/v2.0/ports?name=a&auth_token=SECRET&X-Password=SECRET&api_key=SECRET&limit=2&secret"
    assert without_secrets(target) == "/v2.0/ports?name=a&auth_token=***&X-Password=***&api_key=***&limit=2&secret"


async def test_the_access_log_is_sampled_and_tells_no_token(make_gateway, connect):
    silent, chatty = await make_gateway(), await make_gateway(access_log=1.0)
    with capture_logs() as logs:
        for gateway in (silent, chatty):
            client = await connect(gateway)
            await client.ask("GET", "/v2.0/ports?token=SECRET", b"", b"X-Auth-Token: SECRET")
    (line,) = [entry for entry in logs if entry["event"] == "request"]
    assert (line["method"], line["target"], line["status"]) == ("GET", "/v2.0/ports?token=***", 200)
    assert (line["resource"], line["route"], line["log_level"]) == ("ports", "pass", "info")
    assert "SECRET" not in str(logs)


async def test_a_failure_is_always_in_the_access_log(make_gateway, connect, source):
    gateway = await make_gateway()
    source.script = lambda *_: answer(b"{}", "500 Oh")
    client = await connect(gateway)
    with capture_logs() as logs:
        await client.ask("GET", "/v2.0/ports")
    (line,) = [entry for entry in logs if entry["event"] == "request"]
    assert (line["status"], line["log_level"]) == (500, "warning")

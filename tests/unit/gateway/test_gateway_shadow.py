"""A share of the answered reads is told to the engine; the client notices nothing of it."""

import pytest
from gateway_harness import answer

from alcor_migrate.gateway import Route


@pytest.fixture
async def told(make_gateway, connect):
    """A client of a gateway that tells of every read, and what it has told."""
    gateway = await make_gateway(shadow=1.0)
    heard = []
    gateway.on_read = lambda target, token: heard.append((target, token))
    return gateway, await connect(gateway), heard


async def test_an_answered_get_is_told_with_its_target_and_token(told):
    _, client, heard = told
    await client.ask("GET", "/v2.0/ports?limit=1", b"", b"X-Auth-Token: secret")
    assert heard == [(b"/v2.0/ports?limit=1", "secret")]


async def test_nothing_else_is_told(told, source):
    gateway, client, heard = told
    await client.ask("HEAD", "/v2.0/ports")
    await client.ask("GET", "/v2.0/security-groups")  # it may write, so it is not repeated
    await client.ask("GET", "/v2.0/auto-allocated-topology/p1")
    await gateway.switch(Route.CAPTURE)
    await client.ask("POST", "/v2.0/networks", b"{}")
    source.script = lambda *_: answer(b"{}", "404 Not Found")
    await client.ask("GET", "/v2.0/ports/p1")
    assert heard == []


async def test_by_default_nothing_is_told(make_gateway, connect):
    gateway = await make_gateway()
    gateway.on_read = lambda *_: pytest.fail("nobody asked for samples")
    await (await connect(gateway)).ask("GET", "/v2.0/ports")

"""The engine's client passes over a server that takes no connection, and repeats nothing that was sent."""

import pytest
from aiohttp import web

from alcor_migrate import http
from alcor_migrate.errors import CloudUnreachable
from alcor_migrate.http import JsonClient
from lab.ports import Ports


class Nobody:
    """A cloud that gives a token."""

    async def token(self):
        return "t"


@pytest.fixture
async def serve():
    """Starts a server that answers with a status, or with nothing; (URL, requests)."""
    runners = []

    async def start(status=200):
        seen = []

        async def handle(request):
            seen.append(f"{request.method} {request.path}")
            if status is None:
                request.transport.abort()
            return web.json_response({"from": "server"}, status=status or 200)

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", handle)
        runners.append(web.AppRunner(app, access_log=None))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}", seen

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def nowhere():
    ports = Ports()
    yield f"http://127.0.0.1:{ports.reserve()}"
    ports.release()


@pytest.fixture
async def make(monkeypatch):
    monkeypatch.setattr(http, "_FIRST_PAUSE", 0.001)
    made = []

    def client(url):
        made.append(JsonClient("Neutron", url, Nobody()))
        return made[-1]

    yield client
    for one in made:
        await one.close()


async def test_a_server_that_takes_no_connection_is_passed_over_for_writes_too(make, serve, nowhere):
    url, seen = await serve()
    client = make([nowhere, url])
    assert await client.request("POST", "/v2.0/networks", {}) == (200, {"from": "server"})
    assert seen == ["POST /v2.0/networks"]
    assert client.url == url


async def test_a_write_that_was_sent_is_not_sent_again(make, serve):
    (failing, seen), (well, others) = await serve(None), await serve()
    with pytest.raises(CloudUnreachable, match="does not answer"):
        await make([failing, well]).request("POST", "/v2.0/networks", {})
    assert (seen, others) == (["POST /v2.0/networks"], [])


@pytest.mark.parametrize("status", [None, 503])
async def test_a_read_that_fails_is_asked_of_the_next(make, serve, status):
    (failing, _), (well, seen) = await serve(status), await serve()
    assert await make([failing, well]).get("/v2.0/networks") == {"from": "server"}
    assert seen == ["GET /v2.0/networks"]


async def test_when_none_takes_a_connection_it_is_unreachable(make, nowhere):
    with pytest.raises(CloudUnreachable, match="does not answer"):
        await make([nowhere, nowhere + "/"]).request("GET", "/")

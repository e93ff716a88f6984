"""Gateways between a raw client and scripted upstreams."""

import asyncio
import contextlib

import pytest
import uvloop
from gateway_harness import RawClient, UpstreamServer

from alcor_migrate.gateway import Gateway, GatewaySettings
from alcor_migrate.journal import Journal


def pytest_asyncio_loop_factories():
    """Everything here runs on the loop that the gateway runs on in production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def clean():
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def source(clean):
    upstream = await UpstreamServer().start()
    clean.push_async_callback(upstream.stop)
    return upstream


@pytest.fixture
async def target(clean):
    upstream = await UpstreamServer(name=b"target").start()
    clean.push_async_callback(upstream.stop)
    return upstream


@pytest.fixture
async def journal(clean, tmp_path):
    journal = await Journal.open(tmp_path / "journal.db")
    clean.push_async_callback(journal.close)
    return journal


@pytest.fixture
def make_gateway(clean, source, target, journal):
    async def make(*, identify=None, **changes):
        fields = {
            "listen": "127.0.0.1:0",
            "source": source.url,
            "target": target.url,
            "stop_grace": 0.2,
            "orphan_patience": 0.01,
        }
        gateway = Gateway(GatewaySettings(**fields | changes), journal, identify)
        await gateway.start()
        clean.push_async_callback(gateway.stop)
        return gateway

    return make


@pytest.fixture
async def gateway(make_gateway):
    return await make_gateway()


@pytest.fixture
def connect(clean):
    async def open_client(gateway):
        host, _, port = gateway.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))

        async def close():
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

        clean.push_async_callback(close)
        return RawClient(reader, writer)

    return open_client


@pytest.fixture
async def client(gateway, connect):
    return await connect(gateway)

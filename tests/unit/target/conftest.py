"""A real bundled controller in this process, and what the migration sees of it."""

import pytest
from aiohttp.test_utils import TestServer

from alcor_migrate.http import JsonClient
from alcor_migrate.target import AlcorSide
from alcor_sdn.controller.identity import Caller
from alcor_sdn.controller.server import application
from alcor_sdn.controller.settings import Settings
from alcor_sdn.controller.store import Store

PROJECT = "p-admin"


class Administrator:
    """Stands for Keystone on both sides: whose token it is, and our own."""

    auth_uri = "http://127.0.0.1:1/v3"

    async def caller(self, _token):
        return Caller("u-admin", PROJECT, frozenset({"admin"}))

    async def token(self):
        return "a token"

    async def project_id(self):
        return PROJECT

    async def renew(self):
        pass


@pytest.fixture
async def controller(tmp_path):
    """The address of a controller that keeps nothing yet."""
    settings = Settings(database=str(tmp_path / "alcor.db"), keystone_url=Administrator.auth_uri, password="secret")
    store = Store(settings.database_url)
    async with TestServer(application(settings, store, Administrator())) as server:
        yield str(server.make_url("")).rstrip("/")
    store.close()


@pytest.fixture
async def alcor(controller):
    cloud = Administrator()
    side = AlcorSide(JsonClient("Alcor", controller, cloud), cloud)
    yield side
    await side.close()

"""One process, one port: puts the native API and the Neutron API behind one address."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from alcor_sdn.controller.identity import Keystone
from alcor_sdn.controller.native import NativeApi
from alcor_sdn.controller.neutron.api import NeutronApi
from alcor_sdn.controller.store import Store
from alcor_sdn.errors import ControllerConfigError

if TYPE_CHECKING:
    from alcor_sdn.controller.identity import Identity
    from alcor_sdn.controller.settings import Settings

log = structlog.get_logger(__name__)

SHUTDOWN_SECONDS = 60.0
"""How long requests in flight may take after SIGTERM."""


def application(settings: Settings, store: Store, identity: Identity) -> web.Application:
    """Both APIs over a store and an identity service; opens and closes nothing."""
    app = web.Application(client_max_size=settings.max_body_bytes)
    NativeApi(settings, store, identity).add_to(app)
    NeutronApi(settings, store, identity).add_to(app)
    return app


async def serve(settings: Settings, *, ready: asyncio.Event | None = None) -> None:
    """Run a controller until SIGTERM or SIGINT, then finish what is in flight.

    Raises ControllerConfigError, StoreError or IdentityUnavailable when it cannot start.
    """
    host, port = settings.address
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    identity = Keystone(settings)
    await identity.open()
    try:
        store = Store(settings.database_url)
        try:
            runner = web.AppRunner(
                application(settings, store, identity), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
            )
            await runner.setup()
            try:
                try:
                    await web.TCPSite(runner, host, port, backlog=1024).start()
                except OSError as error:
                    raise ControllerConfigError(
                        f"{settings.listen} cannot be listened at: {error.strerror}",
                        "Give --listen a free HOST:PORT of this machine.",
                    ) from error
                log.info("controller_ready", url=f"http://{settings.listen}")
                if ready is not None:
                    ready.set()
                await stop.wait()
                log.info("controller_stopping")
            finally:
                await runner.cleanup()
        finally:
            store.close()
    finally:
        await identity.close()

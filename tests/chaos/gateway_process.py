"""One real gateway in capture: `gateway_process.py JOURNAL SOURCE[,SOURCE…] LISTEN [WORKERS [holds]]`.

With `holds` it holds all writes for a moment every now and then, as a cutover does that is given up.
"""

import asyncio
import logging
import sys

import structlog
import uvloop

from alcor_migrate.gateway import Caller, GatewaySettings, Route, open_gateway
from alcor_migrate.journal import Journal
from alcor_migrate.settings import HealthChecks


async def main(where, source, listen, workers="1", holds=""):
    journal = await Journal.open(where)
    settings = GatewaySettings(
        listen=listen,
        source=source.split(","),
        workers=int(workers),
        checks=HealthChecks(interval=0.2, timeout=0.5, fall=2),
        # an answer is given only once its outcome is durable, however long a killed store takes to come back
        outcome_patience=60,
        intent_patience=2,
        release_patience=0.3,
    )
    gateway = open_gateway(settings, journal, identify if holds else None, Route.CAPTURE)
    await gateway.start()
    if holds:
        await hold_and_release(gateway)
    await asyncio.Event().wait()


async def hold_and_release(gateway):
    """Ends a hold by release or by its own time, in turn."""
    while True:
        await asyncio.sleep(0.2)
        for by_itself in (False, True):
            epoch = await gateway.hold(0.1 if by_itself else 5)
            await asyncio.sleep(0.15)
            if not by_itself:
                await gateway.release(Route.CAPTURE, epoch=epoch)
            await asyncio.sleep(0.1)


async def identify(token):
    """The first letter names the project."""
    return Caller(project_id=token[:1])


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(main(*sys.argv[1:]))

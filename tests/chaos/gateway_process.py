"""One real gateway in capture: `gateway_process.py JOURNAL SOURCE LISTEN`."""

import asyncio
import logging
import sys

import structlog
import uvloop

from alcor_migrate.gateway import Gateway, GatewaySettings, Route
from alcor_migrate.journal import Journal


async def main(where, source, listen):
    journal = await Journal.open(where)
    # an answer is given only once its outcome is durable, however long a killed store takes to come back
    settings = GatewaySettings(listen=listen, source=source, outcome_patience=60, intent_patience=2)
    gateway = Gateway(settings, journal, route=Route.CAPTURE)
    await gateway.start()
    await asyncio.Event().wait()


structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
uvloop.run(main(*sys.argv[1:]))

"""One real gateway in capture: `gateway_process.py JOURNAL SOURCE LISTEN [WORKERS]`."""

import asyncio
import logging
import sys

import structlog
import uvloop

from alcor_migrate.gateway import GatewaySettings, Route, open_gateway
from alcor_migrate.journal import Journal


async def main(where, source, listen, workers="1"):
    journal = await Journal.open(where)
    # an answer is given only once its outcome is durable, however long a killed store takes to come back
    settings = GatewaySettings(
        listen=listen, source=source, workers=int(workers), outcome_patience=60, intent_patience=2
    )
    gateway = open_gateway(settings, journal, route=Route.CAPTURE)
    await gateway.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvloop.run(main(*sys.argv[1:]))

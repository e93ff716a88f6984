"""Say over RPC what an agent says to Neutron; prints the answer as JSON.

usage: agent.py TRANSPORT_URL SECONDS HOST VERB [ARGUMENTS]

VERB and ARGUMENTS, as JSON, are the RPC method and what it is given; SECONDS is how long an answer may take.
Ends with 0, or with 1 and one line on stderr.
"""

import datetime as dt
import json
import os
import signal
import sys
import time

import oslo_messaging  # type: ignore[import-not-found]  # the cloud has it, we do not
from oslo_config import cfg  # type: ignore[import-not-found]  # same

# Where a method lives (neutron_lib/agent/topics.py) and since when (the targets in neutron/db/agents_db.py,
# neutron/plugins/ml2/rpc.py and neutron/api/rpc/handlers/dhcp_rpc.py).
PLUGIN, REPORTS = "q-plugin", "q-reports-plugin"
TARGETS = {
    "has_alive_neutron_server": oslo_messaging.Target(topic=REPORTS, version="1.2"),
    "report_state": oslo_messaging.Target(topic=REPORTS, version="1.2"),
    "update_device_up": oslo_messaging.Target(topic=PLUGIN, version="1.9"),
    "update_device_down": oslo_messaging.Target(topic=PLUGIN, version="1.9"),
    "create_dhcp_port": oslo_messaging.Target(topic=PLUGIN, version="1.5"),
}
TIMED = ("has_alive_neutron_server", "report_state")  # the server drops what was said before it started
CONTEXT = {"is_admin": True, "roles": ["admin"]}  # what agents call themselves
RETRY = 0.2  # seconds
GRACE = 2.0  # seconds that oslo.messaging may need to say in its own words that there was no answer


def call(url: str, seconds: float, verb: str, arguments: dict[str, object]) -> object:
    """Call until somebody is there to take the call; raises MessageUndeliverable or MessagingException otherwise."""
    cfg.CONF([], project="neutron", default_config_files=[], default_config_dirs=[])  # none of the machine's files
    oslo_messaging.set_transport_defaults("neutron")
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)
    at_least_once = oslo_messaging.TransportOptions(at_least_once=True)  # or a call to nobody is lost silently
    deadline = time.monotonic() + seconds
    try:
        while True:
            if verb in TIMED:
                arguments["time"] = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
            left = max(deadline - time.monotonic(), RETRY)
            client = oslo_messaging.get_rpc_client(
                transport, TARGETS[verb], timeout=left, transport_options=at_least_once
            )
            try:
                return client.call(CONTEXT, verb, **arguments)
            except oslo_messaging.MessageUndeliverable:
                if time.monotonic() > deadline:
                    raise
            time.sleep(RETRY)
    finally:
        transport.cleanup()


def give_up(why: str) -> None:
    """End now, whatever the threads of oslo.messaging are waiting for."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)


def main() -> None:
    """Do what the command line says."""
    url, seconds, host, verb, *rest = sys.argv[1:]
    # Where no broker is, oslo.messaging looks for one for ever.
    signal.signal(signal.SIGALRM, lambda *_: give_up(f"no answer in {seconds} s, and no broker perhaps"))
    signal.setitimer(signal.ITIMER_REAL, float(seconds) + GRACE)
    arguments = json.loads(rest[0]) if rest else {}
    if verb not in TIMED:
        arguments["host"] = host
    try:
        answer = call(url, float(seconds), verb, arguments)
    except (oslo_messaging.MessageUndeliverable, oslo_messaging.MessagingException) as error:
        sys.exit(repr(error))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()

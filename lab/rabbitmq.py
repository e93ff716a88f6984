"""RabbitMQ of our own, below Neutron's RPC: own name server, own ports, own data, none of the machine's settings.

Started from Debian's package, which `python -m lab.packages --rpc` installs.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from lab.database import find_program
from lab.errors import LabError
from lab.ports import HOST

if TYPE_CHECKING:
    from lab.ports import Ports
    from lab.process import Processes, Service

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself: the one in /usr/sbin is a wrapper that changes to the user `rabbitmq`."""
USER = PASSWORD = "guest"
AMQP_GREETING = b"AMQP\x00\x00\x09\x01"  # the protocol header of AMQP 0-9-1, section 4.2.2
START_TIMEOUT = 90.0  # seconds

CONFIGURATION = """\
listeners.tcp.1 = {host}:{port}
loopback_users = none
log.console = true
log.console.level = warning
log.file = false
"""


def installed() -> bool:
    """Say whether the broker and the Erlang it needs are on this machine."""
    return SERVER.exists() and find_program("epmd") is not None


def provide() -> None:
    """Install RabbitMQ if it is not there and may be installed; raises LabError if it is not there in the end."""
    if installed():
        return
    from lab import packages  # noqa: PLC0415  # or `python -m lab.packages` would find itself imported already

    left_out = packages.install(packages.RPC)
    if not installed():
        msg = f"the lab was asked for RPC, and RabbitMQ cannot be had: {left_out or f'{SERVER} is not there'}"
        raise LabError(msg, "As root: python -m lab.packages --rpc; or start the lab without rpc.")


def url(port: int) -> str:
    """Return oslo.messaging's transport_url of a broker that was started on this port."""
    return f"rabbit://{USER}:{PASSWORD}@{HOST}:{port}/"


def start(processes: Processes, ports: Ports, port: int) -> Service:
    """Start the broker on this port, with a name server of its own; it is ready when it greets its clients.

    Nothing is kept from one lab to the next. Raises LabError when the name server does not start.
    """
    folder = processes.directory / "rabbitmq"
    folder.mkdir(exist_ok=True)
    names, distribution = ports.reserve(), ports.reserve()
    # Without -daemon it stays our child, and with one that answers, Erlang starts none of its own.
    epmd = processes.spawn(
        "epmd",
        [find_program("epmd") or "epmd", "-port", names, "-address", HOST],
        ready=lambda: _accepts(names),
    )
    epmd.wait_ready()
    configuration = folder / "rabbitmq.conf"
    configuration.write_text(CONFIGURATION.format(host=HOST, port=port), encoding="utf-8")
    plugins = folder / "enabled_plugins"
    plugins.write_text("[].\n", encoding="utf-8")
    settings = {
        "RABBITMQ_NODENAME": f"lab-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": HOST,
        "RABBITMQ_NODE_PORT": port,
        "RABBITMQ_DIST_PORT": distribution,
        "RABBITMQ_MNESIA_BASE": folder / "mnesia",
        "RABBITMQ_LOG_BASE": folder / "log",
        "RABBITMQ_CONFIG_FILE": configuration,
        "RABBITMQ_PID_FILE": folder / "rabbitmq.pid",
        "RABBITMQ_ENABLED_PLUGINS_FILE": plugins,
        "RABBITMQ_GENERATED_CONFIG_DIR": folder / "generated",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        # One scheduler that does not spin while it waits: the machine has other things to do.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -start_epmd false "
        "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": names,
        "ERL_EPMD_ADDRESS": HOST,
        # Has the script become the broker and not its parent, so that the pid we know is the broker's.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
    env = {name: str(value) for name, value in settings.items()}
    return processes.spawn("rabbitmq", [SERVER], env=env, ready=lambda: _greets(port))


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=2).close()
    except OSError:
        return False
    return True


def _greets(port: int) -> bool:
    """Say whether a broker answers a client's greeting with its own, the method connection.start."""
    try:
        with socket.create_connection((HOST, port), timeout=5) as connection:
            connection.sendall(AMQP_GREETING)
            return connection.recv(1) == b"\x01"  # a method's frame; a refusal would be a header
    except OSError:
        return False

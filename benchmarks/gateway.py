"""The gateway side by side with HAProxy and nginx, all with one thread, on the same cores, in one run.

    python -m benchmarks.gateway [--seconds 4] [--rounds 3]

Writes build/bench/gateway.json. Needs wrk, haproxy and nginx: installs them from Debian when run as root, and
otherwise says which comparisons are left out. Each round measures every proxy once; the figures are the medians
of the rounds, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
import uvloop

from alcor_migrate.gateway import Gateway, GatewaySettings, Route
from alcor_migrate.journal import Journal
from benchmarks.report import DIRECTORY, row, write

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = json.dumps({"ports": [{"id": "p" * 36, "name": "n" * 64, "description": ""}] * 14}).encode()[:2048]
CREATED = json.dumps({"port": {"id": "p" * 36, "name": "bench", "fixed_ips": [], "description": "d" * 600}}).encode()
HEAD = (
    b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"X-Openstack-Request-Id: req-5e0c2a3e-73b6-4a09-9a57-3f3f2f0b9c11\r\nDate: Sun, 22 Nov 2026 18:00:00 GMT\r\n\r\n"
)
TOKEN = "gAAAAAB" + "x" * 176
ROOT = Path(__file__).parents[1]
PACKAGES = {"wrk": "wrk", "haproxy": "haproxy", "nginx": "nginx-light"}


# -- the parts that run as processes of their own --------------------------------------------------------------


class Instant(asyncio.Protocol):
    """An API server that has every answer ready."""

    read = HEAD % (b"200 OK", len(PORTS)) + PORTS
    write = HEAD % (b"201 Created", len(CREATED)) + CREATED

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """One request is one piece here, because no proxy sends a second one before the answer."""
        self.transport.write(self.read if data.startswith(b"GET") else self.write)  # type: ignore[attr-defined]


async def serve_upstream(port: int) -> None:
    """Answers at once."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


async def serve_gateway(port: int, upstream: int, journal_path: str) -> None:
    """One gateway in `capture`; SIGUSR1 makes it hold."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    journal = await Journal.open(journal_path)
    gateway = Gateway(GatewaySettings(listen=f"127.0.0.1:{port}", source=f"http://127.0.0.1:{upstream}"), journal)
    await gateway.start()
    await gateway.switch(Route.CAPTURE)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: gateway.spawn(gateway.hold(30)))
    await ended.wait()
    await gateway.stop()
    await journal.close()


# -- what is measured -------------------------------------------------------------------------------------------


class Figures(NamedTuple):
    """One run of wrk."""

    rate: float
    p50: float
    p99: float
    errors: int


WRK = """
wrk.method = "%s"
wrk.headers["X-Auth-Token"] = "%s"
wrk.headers["User-Agent"] = "openstacksdk/4.22.0 keystoneauth1/5.18.1 python-requests/2.34.2"
wrk.headers["Accept"] = "application/json"
%s
function done(summary, latency, requests)
  io.write(string.format("FIGURES %%d %%d %%f %%f %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout))
end
"""


def load(scratch: Path, port: int, method: str, connections: int, seconds: float) -> Figures:
    """Runs wrk; times are milliseconds."""
    body = 'wrk.body = \'{"port": {"network_id": "' + "n" * 36 + '", "name": "bench"}}\''
    script = scratch / f"{method}.lua"
    script.write_text(WRK % (method, TOKEN, body if method == "POST" else ""))
    ran = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds:g}s",
            "-s",
            str(script),
            f"http://127.0.0.1:{port}/v2.0/ports?limit=14",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    figures = next(line for line in ran.stdout.splitlines() if line.startswith("FIGURES"))
    requests, micros, p50, p99, errors = map(float, figures.split()[1:])
    return Figures(requests / micros * 1e6, p50 / 1e3, p99 / 1e3, int(errors))


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running(*command: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process, from the moment its port answers until the block ends."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 15
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                said = process.stderr.read().decode() if process.poll() is not None and process.stderr else ""
                sys.exit(f"{command[0]} does not answer on port {port}: {said}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(30)
        if process.stderr:
            process.stderr.close()


def haproxy_config(scratch: Path, port: int, upstream: int) -> Path:
    """One thread, connections to the server kept and shared."""
    path = scratch / "haproxy.cfg"
    path.write_text(
        f"""global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend api
  bind 127.0.0.1:{port}
  default_backend neutron
backend neutron
  http-reuse always
  server one 127.0.0.1:{upstream}
"""
    )
    return path


def nginx_config(scratch: Path, port: int, upstream: int) -> Path:
    """One worker, connections to the server kept."""
    path = scratch / "nginx.conf"
    places = "".join(
        f"  {name}_temp_path {scratch}/nginx-{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path.write_text(
        f"""worker_processes 1;
daemon off;
pid {scratch}/nginx.pid;
error_log {scratch}/nginx.log;
events {{ worker_connections 4000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
{places}  upstream neutron {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://neutron;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
"""
    )
    return path


def resident(process: subprocess.Popen[bytes]) -> float:
    """Resident memory in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def open_many(port: int, count: int, data: bytes = b"") -> list[socket.socket]:
    """Connections that say this and then nothing."""
    many = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        if data:
            one.sendall(data)
        many.append(one)
    return many


def memory(process: subprocess.Popen[bytes], port: int) -> tuple[float, float]:
    """MiB with 5,000 idle connections, and with 1,000 writes held."""
    idle = open_many(port, 5000)
    time.sleep(1)
    with_idle = resident(process)
    for one in idle:
        one.close()
    time.sleep(1)
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.3)
    body = b"x" * 1024
    head = f"POST /v2.0/ports HTTP/1.1\r\nHost: api\r\nX-Auth-Token: {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    held = open_many(port, 1000, head.encode() + body)
    time.sleep(1)
    with_held = resident(process)
    for one in held:
        one.close()
    return with_idle, with_held


# -- the table --------------------------------------------------------------------------------------------------


def missing_tools() -> set[str]:
    """What is not there, after an attempt to install it."""
    missing = {tool for tool in PACKAGES if shutil.which(tool) is None}
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = [PACKAGES[tool] for tool in sorted(missing)]
        print("installing", *packages)
        # the package would start the server as a service where there are services
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        subprocess.run(
            ["apt-get", "install", "-y", "--no-install-recommends", *packages],
            check=False,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
    return {tool for tool in PACKAGES if shutil.which(tool) is None}


def measure(scratch: Path, seconds: float, rounds: int, missing: set[str]) -> list[dict[str, Any]]:
    """Everything, in rounds."""
    me = (sys.executable, "-m", "benchmarks.gateway")
    upstream, ours, haproxy, nginx = (free_port() for _ in range(4))
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(*me, "--upstream", str(upstream), port=upstream))
        gateway = stack.enter_context(
            running(*me, "--gateway", str(ours), str(upstream), str(scratch / "journal.db"), port=ours)
        )
        proxies = {"gateway": ours}
        if "haproxy" not in missing:
            config = haproxy_config(scratch, haproxy, upstream)
            stack.enter_context(running("haproxy", "-f", str(config), port=haproxy))
            proxies["HAProxy, one thread"] = haproxy
        if "nginx" not in missing:
            config = nginx_config(scratch, nginx, upstream)
            stack.enter_context(running("nginx", "-c", str(config), port=nginx))
            proxies["nginx, one worker"] = nginx
        runs: dict[str, list[Figures]] = {name: [] for name in proxies}
        writes: list[Figures] = []
        for number in range(rounds):
            for name, port in proxies.items():
                runs[name].append(load(scratch, port, "GET", 32, seconds))
                print(f"  round {number + 1}, reads through {name}: {runs[name][-1]}")
            writes.append(load(scratch, ours, "POST", 64, seconds))
            print(f"  round {number + 1}, captured writes: {writes[-1]}")
        idle, held = memory(gateway, ours)
    return table(runs, writes, idle, held)


def table(runs: dict[str, list[Figures]], writes: list[Figures], idle: float, held: float) -> list[dict[str, Any]]:
    """The rows."""
    rate = {name: statistics.median(run.rate for run in many) for name, many in runs.items()}
    p99 = {name: statistics.median(run.p99 for run in many) for name, many in runs.items()}
    rows = []
    for name in list(runs)[1:]:
        bar = 0.8 if name.startswith("HAProxy") else 1.0
        reads = "reads/s, 32 connections, 2 kB"
        rows.append(row(reads, "1/s", rate["gateway"], peer=rate[name], peer_name=name, bar=bar))
        if name.startswith("HAProxy"):
            slow = "p99 of the same"
            rows.append(row(slow, "ms", p99["gateway"], peer=p99[name], peer_name=name, bar=1.5, at_most=True))
    written = statistics.median(run.rate for run in writes)
    slowest = statistics.median(run.p99 for run in writes)
    errors = sum(run.errors for many in [*runs.values(), writes] for run in many)
    return [
        *rows,
        row("captured writes/s, 64 connections", "1/s", written, bar=5000),
        row("p99 of a captured write", "ms", slowest, bar=15, at_most=True),
        row("requests that failed, all proxies", "1", errors, bar=0, at_most=True),
        row("memory with 5,000 idle connections", "MiB", idle, bar=150, at_most=True),
        row("memory with 1,000 writes held", "MiB", held, bar=150, at_most=True),
    ]


def main() -> None:
    """Runs it and writes the figures; --upstream and --gateway are for itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--gateway", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(serve_upstream(options.upstream))
    elif options.gateway:
        port, upstream, path = options.gateway
        uvloop.run(serve_gateway(int(port), int(upstream), path))
    else:
        missing = missing_tools()
        if "wrk" in missing:
            sys.exit("the gateway's benchmark needs wrk: install it, or run this as root on Debian or Ubuntu")
        for tool in sorted(missing):
            print(f"{tool} is not installed and cannot be without root: the comparison with it is left out")
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=DIRECTORY) as scratch:
            rows = measure(Path(scratch), options.seconds, options.rounds, missing)
        print(f"written to {write('gateway', rows)}")


if __name__ == "__main__":
    main()

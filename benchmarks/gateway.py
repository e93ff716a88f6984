"""The gateway side by side with HAProxy and nginx, all with one thread, on the same cores, in one run.

    python -m benchmarks.gateway [--seconds 3] [--rounds 5] [--no-neutron]

Writes build/bench/gateway.json. Needs wrk, haproxy and nginx: installs them from Debian when run as root, and
otherwise says which comparisons are left out. Each round measures every proxy once, one after the other; the figures
are the medians of the rounds, so that what else the machine does falls on all of them. CPU is that of the proxy's
process, user and system, by the kernel's account. What the gateway costs in front of a real Neutron is measured in
the lab (`real_neutron.py`).
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

from alcor_migrate import compiled
from alcor_migrate.gateway import Gateway, GatewaySettings, Route, open_gateway
from alcor_migrate.journal import Journal
from alcor_migrate.pauses import spare_what_stays
from benchmarks.real_neutron import READ, WRITE, Added, Api, accepted, added
from benchmarks.report import DIRECTORY, row, write
from benchmarks.steady import offered

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
CLIENTS = 8  # that write to Neutron at the same time
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


async def serve_gateway(port: int, upstream: str, journal_path: str, workers: int) -> None:
    """One gateway in `capture`; SIGUSR1 makes it hold."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    spare_what_stays()
    journal = await Journal.open(journal_path)
    settings = GatewaySettings(listen=f"127.0.0.1:{port}", source=upstream, workers=workers)
    gateway = open_gateway(settings, journal, route=Route.CAPTURE)
    await gateway.start()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    if isinstance(gateway, Gateway):
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
    cpu: float = 0.0
    """Microseconds that the proxy computed for each request."""


WRK = """
wrk.method = "%s"
wrk.headers["X-Auth-Token"] = "%s"
wrk.headers["User-Agent"] = "openstacksdk/4.22.0 keystoneauth1/5.18.1 python-requests/2.34.2"
wrk.headers["Accept"] = "application/json"
%s
%s
function done(summary, latency, requests)
  io.write(string.format("FIGURES %%d %%d %%f %%f %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status
    + summary.errors.timeout))
end
"""


ONE_BY_ONE = """
local count = 0
function request()
  count = count + 1
  wrk.headers["X-Openstack-Request-Id"] = string.format("req-%08x-73b6-4a09-9a57-3f3f2f0b9c11", count)
  return wrk.format()
end
"""


def load(
    scratch: Path, proxy: Proxy, method: str, connections: int, seconds: float, *, one_by_one: bool = False
) -> Figures:
    """Runs wrk; times are milliseconds. `one_by_one`: every request has another request id, as Nova's have."""
    body = 'wrk.body = \'{"port": {"network_id": "' + "n" * 36 + '", "name": "bench"}}\''
    script = scratch / f"{method}.lua"
    script.write_text(WRK % (method, TOKEN, body if method == "POST" else "", ONE_BY_ONE if one_by_one else ""))
    before = proxy.cpu()
    ran = subprocess.run(
        [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds:g}s",
            "-s",
            str(script),
            f"http://127.0.0.1:{proxy.port}/v2.0/ports?limit=14",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    figures = next(line for line in ran.stdout.splitlines() if line.startswith("FIGURES"))
    requests, micros, p50, p99, errors = map(float, figures.split()[1:])
    cpu = (proxy.cpu() - before) * 1e6 / max(requests, 1)
    return Figures(requests / micros * 1e6, p50 / 1e3, p99 / 1e3, int(errors), cpu)


def steadily(proxy: Proxy, seconds: float) -> Figures:
    """Offers writes at a steady rate (see `steady.py`); times count from when each should have been sent."""
    before = proxy.cpu()
    found = offered(proxy.port, STEADY, seconds)
    cpu = (proxy.cpu() - before) * 1e6 / (STEADY * seconds)
    return Figures(found.rate, found.p50, found.p99, found.errors, cpu)


OURS, SEVERAL = "gateway", "gateway with 2 workers"
HAPROXY, NGINX = "HAProxy, one thread", "nginx, one worker"
IDS = "reads/s, each with a request id of its own"
BUSY = "64 connections without a pause"
STEADY = 5200  # writes/s; a little more than the bar
OFFERED = f"64 connections, {STEADY:,} offered a second"
WRITTEN = f"captured writes/s, {BUSY}"
ME = (sys.executable, "-m", "benchmarks.gateway")


class Proxy(NamedTuple):
    """One of those that are compared."""

    port: int
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds that it and its children have computed, in all their threads."""
        pids, found = [self.process.pid], 0
        for pid in pids:
            with contextlib.suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    found += int((task / "schedstat").read_text().split()[0])
                    pids += map(int, (task / "children").read_text().split())
        return found / 1e9


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
    """Everything that needs no Neutron, in rounds."""
    upstream = free_port()
    runs: dict[str, list[Figures]] = {}

    def note(what: str, figures: Figures) -> None:
        runs.setdefault(what, []).append(figures)
        print(f"  {what}: {figures.rate:,.0f}/s, p99 {figures.p99:.2f} ms, {figures.cpu:.1f} us CPU each")

    with contextlib.ExitStack() as stack:
        stack.enter_context(running(*ME, "--upstream", str(upstream), port=upstream))

        def gateway(name: str, workers: int = 1) -> Proxy:
            port = free_port()
            options = (str(port), f"http://127.0.0.1:{upstream}", str(scratch / f"{name}.db"), str(workers))
            return Proxy(port, stack.enter_context(running(*ME, "--gateway", *options, port=port)))

        ours = gateway(OURS)
        several = gateway(SEVERAL, 2)
        proxies = {OURS: ours}
        if "haproxy" not in missing:
            port = free_port()
            config = haproxy_config(scratch, port, upstream)
            proxies[HAPROXY] = Proxy(port, stack.enter_context(running("haproxy", "-f", str(config), port=port)))
        if "nginx" not in missing:
            port = free_port()
            config = nginx_config(scratch, port, upstream)
            proxies[NGINX] = Proxy(port, stack.enter_context(running("nginx", "-c", str(config), port=port)))
        for number in range(rounds):
            print(f"round {number + 1}")
            for name, proxy in proxies.items():
                note(f"{name}, reads", load(scratch, proxy, "GET", 32, seconds))
            for name in (OURS, HAPROXY):
                if name in proxies:
                    own = load(scratch, proxies[name], "GET", 32, seconds, one_by_one=True)
                    note(f"{name}, reads with ids", own)
            note(f"{OURS}, writes", load(scratch, ours, "POST", 64, seconds))
            note(f"{OURS}, {OFFERED}", steadily(ours, seconds))
            note(f"{SEVERAL}, reads", load(scratch, several, "GET", 32, seconds))
            note(f"{SEVERAL}, writes", load(scratch, several, "POST", 64, seconds))
        idle, held = memory(ours.process, ours.port)
    return table(runs, idle, held)


def table(runs: dict[str, list[Figures]], idle: float, held: float) -> list[dict[str, Any]]:
    """The rows."""

    def middle(what: str, figure: str) -> float:
        return float(statistics.median(getattr(run, figure) for run in runs[what]))

    rows = []
    for peer, bar in ((HAPROXY, 0.8), (NGINX, 1.0)):
        if f"{peer}, reads" not in runs:
            continue
        for kind, name, rate_bar in (("reads", "reads/s, 32 connections, 2 kB", bar), ("reads with ids", IDS, None)):
            mine, theirs = f"{OURS}, {kind}", f"{peer}, {kind}"
            if theirs in runs:
                figures = middle(mine, "rate"), middle(theirs, "rate")
                rows.append(row(name, "1/s", figures[0], peer=figures[1], peer_name=peer, bar=rate_bar))
        mine, theirs = f"{OURS}, reads", f"{peer}, reads"
        if peer == HAPROXY:
            figures = middle(mine, "p99"), middle(theirs, "p99")
            rows.append(row("p99 of reads", "ms", figures[0], peer=figures[1], peer_name=peer, bar=1.5, at_most=True))
        figures = middle(mine, "cpu"), middle(theirs, "cpu")
        rows.append(row("CPU of the proxy for a read", "us", figures[0], peer=figures[1], peer_name=peer))
    cores = len(os.sched_getaffinity(0))
    beside = f"2 workers, {cores} cores that load and upstream share"
    errors = sum(run.errors for many in runs.values() for run in many)
    one, two, steady = f"{OURS}, writes", f"{SEVERAL}, writes", f"{OURS}, {OFFERED}"
    return [
        *rows,
        row(WRITTEN, "1/s", middle(one, "rate"), bar=5000),
        row(f"p99 of a captured write, {BUSY}", "ms", middle(one, "p99"), bar=15, at_most=True),
        row(f"captured writes/s, {OFFERED}", "1/s", middle(steady, "rate"), bar=5000),
        row(f"p99 of a captured write, {OFFERED}", "ms", middle(steady, "p99"), bar=15, at_most=True),
        row(f"p50 of a captured write, {OFFERED}", "ms", middle(steady, "p50")),
        row("CPU of the gateway for a captured write", "us", middle(one, "cpu")),
        row(
            f"reads/s, {beside}",
            "1/s",
            middle(f"{SEVERAL}, reads", "rate"),
            peer=middle(f"{OURS}, reads", "rate"),
            peer_name="one worker",
        ),
        row(
            f"captured writes/s, {beside}",
            "1/s",
            middle(two, "rate"),
            peer=middle(one, "rate"),
            peer_name="one worker",
        ),
        row("requests that failed, all proxies", "1", errors, bar=0, at_most=True),
        row("memory with 5,000 idle connections", "MiB", idle, bar=150, at_most=True),
        row("memory with 1,000 writes held", "MiB", held, bar=150, at_most=True),
        row("hot path compiled (1: yes)", "1", int(compiled.in_use())),
    ]


def measure_neutron(scratch: Path, samples: int, captured: float) -> list[dict[str, Any]]:
    """What the gateway adds to a real Neutron's answers, and what of its own rate Neutron could take."""
    from lab import Lab  # noqa: PLC0415  (the processes whose memory is measured do without)

    with Lab(gateway="none") as lab:
        token = lab.connection("lab-admin").auth_token
        port = free_port()
        options = (str(port), lab.neutron_url, str(scratch / "neutron.db"), "1")
        with (
            running(*ME, "--gateway", *options, port=port),
            contextlib.closing(Api(lab.neutron_url, token)) as direct,
            contextlib.closing(Api(f"http://127.0.0.1:{port}", token)) as through,
        ):
            found = added(direct, through, samples)
        rate = accepted(lab.neutron_url, token, CLIENTS, 10)
        print(f"  {found}; Neutron makes {rate:.1f} ports/s")
        peer = f"real Neutron on {lab.database}, {lab.neutron_workers} processes, {CLIENTS} clients creating ports"
    return [
        _added("read", found[READ], bar=1),
        _added("write", found[WRITE], bar=3),
        row("captured writes/s against what Neutron accepts", "1/s", captured, peer=rate, peer_name=peer, bar=50),
    ]


def _added(what: str, found: Added, bar: float) -> dict[str, Any]:
    name = f"added to a {what} of real Neutron, p50 ({found.direct:.1f} ms direct)"
    return row(name, "ms", found.cost, bar=bar, at_most=True)


def main() -> None:
    """Runs it and writes the figures; --upstream and --gateway are for itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=300, help="of each kind, in front of the real Neutron")
    parser.add_argument("--no-neutron", action="store_true", help="leave the real Neutron out")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--gateway", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream:
        with contextlib.suppress(KeyboardInterrupt):
            uvloop.run(serve_upstream(options.upstream))
    elif options.gateway:
        port, upstream, path, workers = options.gateway
        uvloop.run(serve_gateway(int(port), upstream, path, int(workers)))
    else:
        missing = missing_tools()
        if "wrk" in missing:
            sys.exit("the gateway's benchmark needs wrk: install it, or run this as root on Debian or Ubuntu")
        for tool in sorted(missing):
            print(f"{tool} is not installed and cannot be without root: the comparison with it is left out")
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=DIRECTORY) as scratch:
            rows = measure(Path(scratch), options.seconds, options.rounds, missing)
            if not options.no_neutron:
                captured = next(found["ours"] for found in rows if found["name"] == WRITTEN)
                rows += measure_neutron(Path(scratch), options.samples, captured)
        print(f"written to {write('gateway', rows)}")


if __name__ == "__main__":
    main()

"""Serve an OpenStack API with waitress, in forked workers that share one listening socket.

usage: serve.py MODULE HOST PORT WORKERS THREADS [MODULE:FUNCTION ...]

MODULE is the one that holds `application`. It finds its configuration through the environment, since
OpenStack's APIs take sys.argv for their own. The functions are called before the first request is taken.
"""

import errno
import importlib
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from typing import NoReturn

from launch import die_with  # type: ignore[import-not-found]  # a script's own folder is its path

IDLE_CONNECTIONS = 5000  # SDKs keep hundreds open; at waitress's 100 the server stops accepting
BACKLOG = 512
PREDECESSOR = 10.0  # seconds


def serve(module: str, prepare: list[str], listening: socket.socket, threads: int) -> None:
    """Answer requests until the process is told to end."""
    import waitress  # type: ignore[import-untyped]  # noqa: PLC0415  # not before the fork

    application = importlib.import_module(module).application
    for function in prepare:
        place, _, name = function.partition(":")
        getattr(importlib.import_module(place), name)()
    waitress.serve(
        application,
        sockets=[listening],
        threads=threads,
        connection_limit=IDLE_CONNECTIONS,
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=False,
        ident=None,
    )


def work(module: str, prepare: list[str], listening: socket.socket, threads: int) -> NoReturn:
    """Serve in a child, and say why when that ends: a SystemExit of Neutron's says nothing by itself."""
    try:
        serve(module, prepare, listening, threads)
    except BaseException:  # noqa: BLE001  # whatever it is, we end with it
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


def bind(listening: socket.socket, host: str, port: int) -> None:
    """Bind it, once the workers of an earlier start that was killed have let go of the port."""
    deadline = time.monotonic() + PREDECESSOR
    while True:
        try:
            listening.bind((host, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def main() -> None:
    """Listen, fork the workers, and end with them."""
    module, host, port, workers, threads = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    prepare = sys.argv[6:]
    sys.argv[:] = [module]
    # Neutron elects its first worker by files in the temporary directory that are named by the parent's pid
    # and never removed: with an old one left there it would skip filling the tables of segments
    # (neutron/common/wsgi_utils.py).
    tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix=module.split(".")[0] + "-")
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bind(listening, host, port)
    listening.listen(BACKLOG)
    if workers == 1:
        serve(module, prepare, listening, threads)
        return
    master = os.getpid()
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            die_with(master)
            work(module, prepare, listening, threads)
        children.append(child)
    listening.close()

    def stop(*_: object) -> None:
        for pid in children:
            os.kill(pid, signal.SIGTERM)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    pid, status = os.wait()
    sys.stderr.write(f"worker {pid} ended with {os.waitstatus_to_exitcode(status)}\n")
    sys.stderr.flush()
    os._exit(1)  # a worker that ends by itself takes the service down, so that nobody measures half of it


if __name__ == "__main__":
    main()

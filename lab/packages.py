"""Debian packages that make the lab a better one: `python -m lab.packages [--rpc]`.

The lab runs without them, so nothing that goes wrong here stops a build: it is said, once. With --rpc, RabbitMQ too,
which only labs with rpc need.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.database import find_program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGES = {"mariadb-server-core": "mariadbd", "mariadb-client-core": "mariadb"}
"""Package to a program that shows it is there. The -core packages bring no service that would be started."""
RPC = {"rabbitmq-server": "rabbitmq-server"}
"""The same for RabbitMQ, whose package comes with services."""
SERVICES = {
    "rabbitmq-server": ("rabbitmq-server.service",),
    "erlang-base": ("epmd.service", "epmd.socket"),
}
"""Package to the services that it has Debian start."""

CONSEQUENCE = (
    "The lab will use SQLite, with one process and one thread for each API (slower, otherwise the same). "
    "For MariaDB, as root: apt-get install " + " ".join(PACKAGES)
)
RPC_CONSEQUENCE = "Labs with rpc will not start."

POLICY = Path("/usr/sbin/policy-rc.d")
"""Asked by Debian's packages whether they may start a service; 101 is no."""
LOCKED = 120  # seconds to wait for somebody else's apt-get


def install(packages: Mapping[str, str] | None = None) -> str:
    """Install what is missing where that is possible; returns what is left out and why, or nothing.

    A service that comes with a package is neither started now nor at the next boot.
    """
    missing = [package for package, program in (packages or PACKAGES).items() if not find_program(program)]
    if not missing:
        return ""
    names = " and ".join(missing)
    if os.geteuid() != 0:
        return f"{names} not installed, since you are not root."
    if not shutil.which("apt-get"):
        return f"{names} not installed, since there is no apt-get here."
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    print(f"Installing {names} ...", file=sys.stderr, flush=True)
    with no_services():
        for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *missing]):
            apt = ["apt-get", "-o", f"DPkg::Lock::Timeout={LOCKED}", *command]
            done = subprocess.run(apt, env=env, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                complaint = (done.stderr.strip() or done.stdout.strip()).splitlines()
                return f"{names} not installed: `apt-get {command[0]}` says {complaint[-1:]}."
    return ""


@contextmanager
def no_services(policy: Path = POLICY) -> Iterator[None]:
    """Have Debian start none of `SERVICES` that are installed in this block; others are left as they are."""
    new = [package for package in SERVICES if not has(package)]
    try:
        with policy.open("x", encoding="utf-8") as script:  # one that is there is the administrator's
            script.write("#!/bin/sh\nexit 101\n")
    except FileExistsError:
        ours = False
    else:
        ours = True
        policy.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink()
        for package in filter(has, new):
            if shutil.which("systemctl"):  # works on files: systemd need not run
                subprocess.run(["systemctl", "disable", *SERVICES[package]], capture_output=True, check=False)
            if Path(f"/etc/init.d/{package}").exists():
                subprocess.run(["update-rc.d", package, "disable"], capture_output=True, check=False)


def has(package: str) -> bool:
    """Say whether dpkg has this package installed."""
    if not shutil.which("dpkg-query"):
        return False
    asked = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout == "installed"


def main() -> None:
    """Install, and say what is left out."""
    wanted = [(PACKAGES, CONSEQUENCE)]
    if "--rpc" in sys.argv[1:]:
        wanted.append((RPC, RPC_CONSEQUENCE))
    for packages, consequence in wanted:
        left_out = install(packages)
        if left_out:
            print(left_out, consequence)


if __name__ == "__main__":
    main()

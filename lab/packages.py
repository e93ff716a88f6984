"""Debian packages that make the lab a better one: `python -m lab.packages`.

The lab runs without them, so nothing that goes wrong here stops a build: it is said, once.
"""

from __future__ import annotations

import os
import shutil
import subprocess

from lab.database import find_program

PACKAGES = {"mariadb-server-core": "mariadbd", "mariadb-client-core": "mariadb"}
"""Package to a program that shows it is there. The -core packages bring no service that would be started."""

CONSEQUENCE = (
    "The lab will use SQLite, with one process and one thread for each API (slower, otherwise the same). "
    "For MariaDB, as root: apt-get install " + " ".join(PACKAGES)
)


def install() -> str:
    """Install what is missing where that is possible; returns what is left out and why, or nothing."""
    missing = [package for package, program in PACKAGES.items() if not find_program(program)]
    if not missing:
        return ""
    names = " and ".join(missing)
    if os.geteuid() != 0:
        return f"{names} not installed, since you are not root."
    if not shutil.which("apt-get"):
        return f"{names} not installed, since there is no apt-get here."
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    print(f"Installing {names} ...", flush=True)
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", *command], env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            complaint = (done.stderr.strip() or done.stdout.strip()).splitlines()
            return f"{names} not installed: `apt-get {command[0]}` says {complaint[-1:]}."
    return ""


def main() -> None:
    """Install, and say what is left out."""
    left_out = install()
    if left_out:
        print(left_out, CONSEQUENCE)


if __name__ == "__main__":
    main()

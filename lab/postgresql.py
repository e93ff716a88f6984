"""PostgreSQL below the journal: a server of our own, for tests and chaos campaigns.

Neutron and Keystone stay on MariaDB (see `lab.database`); only the journal is also tried here.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from lab import packages
from lab.errors import LabError
from lab.ports import HOST

if TYPE_CHECKING:
    from lab.process import Processes, Service

USER = "journal"
# PostgreSQL refuses to run as root; Debian's package brings the first of these, every system has the second.
_UNPRIVILEGED = ("postgres", "nobody")


def find_programs() -> Path | None:
    """The folder with initdb and postgres: the PATH's, or the newest that Debian has put aside; None: not there."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres"):
        return Path(found).parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    return debian[-1].parent if debian else None


def provide() -> str:
    """Install it where that is possible and needed; returns why it is not there, or nothing."""
    if find_programs():
        return ""
    left_out = packages.install({"postgresql": "initdb"})
    if find_programs() and shutil.which("systemctl"):
        # Debian makes a server of its own: it was not started now, and shall not be at the next boot
        subprocess.run(["systemctl", "disable", "postgresql.service"], capture_output=True, check=False)
    return "" if find_programs() else left_out or "postgresql was installed, and initdb is nowhere."


class PostgreSQL:
    """A server with its own data, port and socket folder, none of the machine's settings; durable (fsync is on).

    As root its processes run as an unprivileged user, who gets the folder; what leads to it must be passable for
    everyone, so give a folder directly below the system's temporary one.
    """

    def __init__(self, folder: Path, port: int, processes: Processes) -> None:
        programs = find_programs()
        if programs is None:
            msg = "the lab was asked for PostgreSQL, and it is not installed"
            raise LabError(msg, "As root: apt-get install --no-install-recommends postgresql.")
        self._programs = programs
        self._data = folder / "data"
        self._folder = folder
        self._port = port
        self._processes = processes
        self.service: Service | None = None
        self._as: list[str] = []
        if os.geteuid() == 0:
            user = _unprivileged()
            group = grp.getgrgid(user.pw_gid).gr_name
            setpriv = ["setpriv", f"--reuid={user.pw_name}", f"--regid={group}", "--clear-groups"]
            # setpriv forgets the kernel's promise to end us with our parent, so it is asked to renew it
            self._as = [*setpriv, "--pdeathsig=KILL", "--"]
            self._owner: tuple[int, int] | None = (user.pw_uid, user.pw_gid)
        else:
            self._owner = None

    def initialise(self) -> None:
        """Make an empty server, start it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._owner:
            os.chown(self._folder, *self._owner)
        self._folder.chmod(0o700)
        command: list[str | Path | int] = [
            self._programs / "initdb",
            f"--pgdata={self._data}",
            f"--username={USER}",
            "--auth=trust",
        ]
        options = ["--encoding=UTF8", "--locale=C", "--no-sync"]
        self._processes.spawn("postgresql-init", [*self._as, *command, *options]).wait()
        self.start()

    def start(self) -> None:
        """Start it on what the folder holds and wait until it takes connections; also after a kill."""
        settings = [f"-clisten_addresses={HOST}", f"-cport={self._port}", f"-cunix_socket_directories={self._folder}"]
        settings += ["-cmax_connections=50", "-cshared_buffers=32MB", "-clogging_collector=off"]
        program = self._programs / "postgres"
        self.service = self._processes.spawn(
            "postgresql", [*self._as, program, "-D", self._data, *settings], ready=self._answers
        )
        self.service.wait_ready()

    def kill(self) -> None:
        """SIGKILL to the server and all its processes, as when the host dies."""
        if self.service:
            self.service.kill()

    def stop(self) -> None:
        """Shut it down in order."""
        if self.service:
            self.service.stop(patience=30)

    @property
    def url(self) -> str:
        """SQLAlchemy's address."""
        return f"postgresql+psycopg://{USER}@{HOST}:{self._port}/postgres"

    def _answers(self) -> bool:
        """Speak its handshake so far that it says whether it takes us (protocol 3.0: StartupMessage)."""
        words = b"user\0" + USER.encode() + b"\0database\0postgres\0\0"
        message = (len(words) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + words
        try:
            with socket.create_connection((HOST, self._port), timeout=2) as connection:
                connection.sendall(message)
                # R: authentication goes on; E: an error, "the database system is starting up"
                return connection.recv(1) == b"R"
        except OSError:
            return False


def _unprivileged() -> pwd.struct_passwd:
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    msg = "PostgreSQL does not run as root, and there is no user postgres or nobody"
    raise LabError(msg)

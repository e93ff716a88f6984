"""Databases of a cloud that was never used, kept so that the next lab starts in seconds.

An image holds Keystone's tables with the administrator and Neutron's tables with the agents; nothing in it
knows a port or a directory.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab import database, keystone, neutron
from lab.errors import LabError
from lab.ports import HOST, Ports
from lab.process import Processes

REPOSITORY = Path(__file__).resolve().parents[1]
CACHE = REPOSITORY / "build" / "lab-cache"
SOURCES = ("database.py", "image.py", "keystone.py", "neutron.py", "inside/neutron_schema.py")


def key(kind: database.DatabaseKind) -> str:
    """Name the image by all that it is made from: versions of cloud and database, and the lab's code."""
    digest = hashlib.sha256((REPOSITORY / "requirements" / "cloud.txt").read_bytes())
    for name in SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    if kind == "mariadb":
        program = database.find_program("mariadbd") or "mariadbd"
        digest.update(subprocess.run([program, "--version"], capture_output=True, check=True).stdout)
    return f"{kind}-{digest.hexdigest()[:16]}"


def provide(kind: database.DatabaseKind, openstack_bin: Path, folder: Path) -> None:
    """Put a copy of the image into `folder`, which must not exist; makes the image if need be.

    Labs that start together take turns, so that one of them makes it and none copies what another removes.
    """
    if not (openstack_bin / "keystone-manage").exists():
        msg = f"there is no Keystone in {openstack_bin}"
        raise LabError(msg, "Say `make setup-cloud`.")
    CACHE.mkdir(parents=True, exist_ok=True)
    image = CACHE / key(kind)
    with (CACHE / f"{kind}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.exists():
            for old in CACHE.glob(f"{kind}-*"):
                shutil.rmtree(old)
            _make(kind, openstack_bin, image)
        shutil.copytree(image, folder)


def _make(kind: database.DatabaseKind, openstack_bin: Path, image: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="making-", dir=CACHE))
    ports = Ports()
    processes = Processes(scratch)
    try:
        store = database.open_database(kind, scratch / "database", ports.reserve(), processes)
        store.initialise()
        keystone_conf = keystone.write_configuration(scratch, store.url("keystone"))
        neutron_conf = neutron.write_configuration(
            scratch, openstack_bin, store.url("neutron"), f"http://{HOST}:1/v3"
        )
        steps = [
            neutron.initialise(processes, openstack_bin, neutron_conf, store),
            keystone.initialise(processes, openstack_bin, keystone_conf),
        ]
        for step in steps:
            step.wait()
        neutron.register_agents(store.url("neutron"))
        store.stop()
        (scratch / "database").rename(image)
    finally:
        processes.close()
        ports.release()
        shutil.rmtree(scratch)

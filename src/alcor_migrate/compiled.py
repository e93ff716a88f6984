"""The gateway's hot path as machine code, where `make compile` has made it from exactly these sources.

The Python files are the one source. Their compiled form lies in a folder that is named after their contents, so what
was edited since is never shadowed: it runs as Python until it is compiled again. Without such a folder everything
runs as Python, only slower. `ALCOR_MIGRATE_COMPILED=off` says so even where there is one.
"""

from __future__ import annotations

import hashlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

MODULES = (
    "alcor_migrate.gateway.access",
    "alcor_migrate.gateway.ahead",
    "alcor_migrate.gateway.balancer",
    "alcor_migrate.gateway.clock",
    "alcor_migrate.gateway.exchange",
    "alcor_migrate.gateway.http1",
    "alcor_migrate.gateway.proxy",
    "alcor_migrate.gateway.recorded",
    "alcor_migrate.gateway.relay",
    "alcor_migrate.gateway.routes",
    "alcor_migrate.gateway.upstream",
)
"""What is compiled, as one group: what every read passes through."""
GROUP = "alcor_hot_path"
SOURCES = ("errors.py", "settings.py", "gateway/*.py", "journal/*.py")
"""What the compiled form depends on: the modules, and those whose types they know."""

_PACKAGE = Path(__file__).parent
_SWITCH = "ALCOR_MIGRATE_COMPILED"


def folder() -> Path:
    """Where the compiled form of the sources belongs as they are now, for this Python."""
    digest = hashlib.blake2b(repr((EXTENSION_SUFFIXES[0], MODULES)).encode(), digest_size=12)
    for pattern in SOURCES:
        for source in sorted(_PACKAGE.glob(pattern)):
            digest.update(f"\n{source.name}\n".encode())
            digest.update(source.read_bytes())
    return _PACKAGE / "_compiled" / digest.hexdigest()


class _Finder:
    """Finds the modules of one folder."""

    def __init__(self, where: Path) -> None:
        self._where = where
        self._names = {*MODULES, f"{GROUP}__mypyc"}

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As importlib's finders."""
        if name not in self._names:
            return None
        file = self._where / (name.replace(".", "/") + EXTENSION_SUFFIXES[0])
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, str(file)))


def use() -> None:
    """Lets the modules be imported in their compiled form, if there is one of these sources."""
    if os.environ.get(_SWITCH) != "off" and (where := folder()).is_dir():
        sys.meta_path.insert(0, _Finder(where))


def in_use() -> bool:
    """Whether the gateway of this process runs compiled."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)

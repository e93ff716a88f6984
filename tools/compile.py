"""Compiles the gateway's hot path with mypyc, where there is a C compiler: `make compile`.

What it is and where it goes: `alcor_migrate/compiled.py`. Does nothing when these sources are compiled already.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup

from alcor_migrate import compiled

ROOT = Path(__file__).parents[1]


def missing() -> str:
    """What of a C compiler is not here, or nothing."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return compiler
    header = Path(sysconfig.get_path("include")) / "Python.h"
    return "" if header.exists() else str(header)


def build(into: Path, scratch: Path) -> None:
    """Compiles all modules into a folder. Raises SystemExit with what mypyc says."""
    sources = [f"src/{module.replace('.', '/')}.py" for module in compiled.MODULES]
    extensions = mypycify(
        ["--config-file=pyproject.toml", *sources],
        opt_level="3",
        debug_level="0",
        group_name=compiled.GROUP,
        target_dir=str(scratch),
    )
    into.mkdir()
    setup(
        name=compiled.GROUP,
        packages=[],
        py_modules=[],
        ext_modules=extensions,
        script_args=["--quiet", "build_ext", f"--build-lib={into}", f"--build-temp={scratch}"],
    )


def main() -> int:
    """Makes what is missing. The exit code is 0 where nothing can be compiled: then it runs as Python."""
    where = compiled.folder()
    if where.is_dir():
        return 0
    if what := missing():
        print(f"there is no {what}: the gateway is not compiled and runs as plain Python, slower")
        return 0
    print("compiling the gateway's hot path (half a minute) …")
    os.chdir(ROOT)
    where.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where.parent) as scratch:
        build(Path(scratch) / "lib", Path(scratch))
        if compiled.folder() != where:
            print("the sources were changed meanwhile; compile them again")
            return 1
        with contextlib.suppress(OSError):
            # somebody else was faster
            (Path(scratch) / "lib").rename(where)
    for old in where.parent.iterdir():
        if old != where:
            shutil.rmtree(old, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

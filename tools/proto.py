"""Generates the Python of `alcor_model.goalstate` from its .proto files; with --check it only says what differs."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import typer
from grpc_tools import protoc

SOURCES = Path(__file__).parents[1] / "src"
PLUGINS = Path(sys.executable).parent
PACKAGE = SOURCES / "alcor_model" / "goalstate"


def generate(into: Path) -> None:
    """Write the code of every .proto file below a directory, in the package's folder.

    Services are generated only where there are any. Raises RuntimeError when protoc refuses.
    """
    protos = sorted(PACKAGE.glob("*.proto"))
    named = [str(path.relative_to(SOURCES)) for path in protos]
    services = [name for name, path in zip(named, protos, strict=True) if "\nservice " in path.read_text("utf-8")]
    for code, types, files in (("python", "mypy", named), ("grpc_python", "mypy_grpc", services)):
        arguments = [
            "protoc",
            f"--proto_path={SOURCES}",
            f"--plugin=protoc-gen-{types}={PLUGINS / f'protoc-gen-{types}'}",
            f"--{code}_out={into}",
            f"--{types}_out=quiet:{into}",
            *files,
        ]
        if protoc.main(arguments):
            raise RuntimeError(f"protoc refused: {' '.join(arguments)}")


def stale(into: Path) -> list[str]:
    """The names of the generated files that the package has otherwise, too many or not at all."""
    made = {path.name: path.read_text("utf-8") for path in (into / PACKAGE.relative_to(SOURCES)).iterdir()}
    kept = {path.name: path.read_text("utf-8") for path in PACKAGE.glob("*_pb2*")}
    return sorted(name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name))


def main(*, check: bool) -> int:
    """Generate, or with `check` say which files differ; the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        different = stale(Path(scratch))
        if check:
            if different:
                typer.echo(f"out of date, run `make proto`: {', '.join(different)}", err=True)
            return 1 if different else 0
        for name in different:
            made = Path(scratch) / PACKAGE.relative_to(SOURCES) / name
            if made.exists():
                (PACKAGE / name).write_bytes(made.read_bytes())
            else:
                (PACKAGE / name).unlink()
    typer.echo(f"{PACKAGE.relative_to(SOURCES.parent)}: {len(different)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))

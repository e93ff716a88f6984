"""The arrows of the house plan point downwards, and only there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"

MAY_IMPORT = {
    "alcor_model": {"alcor_model"},
    "alcor_sdn": {"alcor_sdn", "alcor_model"},
    "alcor_migrate": {"alcor_migrate", "alcor_model"},
    "alcor_neutron_ids": {"alcor_neutron_ids"},
    "lab": {"lab", "alcor_migrate", "alcor_model"},
}
OURS = set(MAY_IMPORT)

# Inside the migration: what a module of one layer must never know.
MUST_NOT = {
    "alcor_migrate.journal": ("alcor_migrate.gateway", "alcor_migrate.engine", "alcor_migrate.cli"),
    "alcor_migrate.gateway": (
        "alcor_migrate.engine",
        "alcor_migrate.cli",
        "alcor_migrate.source",
        "alcor_model.mapping",
    ),
    "alcor_migrate.source": ("alcor_migrate.engine", "alcor_migrate.gateway", "alcor_migrate.cli"),
    "alcor_migrate.target": ("alcor_migrate.engine", "alcor_migrate.gateway", "alcor_migrate.cli"),
    "alcor_migrate.engine": ("alcor_migrate.cli", "rich", "typer"),
    "alcor_migrate.assess": ("alcor_migrate.engine", "alcor_migrate.cli", "typer"),
}
# Decisions are pure: these modules touch no network, no disk and no event loop.
PURE = (
    "alcor_model",
    "alcor_migrate/engine/bypass.py",
    "alcor_migrate/engine/changes.py",
    "alcor_migrate/engine/gates.py",
    "alcor_migrate/gateway/routes.py",
    *(
        f"alcor_migrate/assess/{name}.py"
        for name in ("census", "decide", "document", "extensions", "groups", "hosts", "model", "rules", "words")
    ),
)
RIM = {"aiohttp", "asyncio", "requests", "socket", "sqlalchemy", "subprocess", "keystoneauth1", "openstack"}


def modules(package: str) -> list[Path]:
    base = ROOT / package if package == "lab" else SOURCES / package
    return sorted(base.rglob("*.py")) if base.is_dir() else [base]


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


@pytest.mark.parametrize("package", sorted(OURS))
def test_packages_import_only_downwards(package):
    assert modules(package), f"{package} has no modules"
    for path in modules(package):
        if "inside" in path.parts:  # runs within another process's virtual environment
            continue
        ours = {name.split(".")[0] for name in imported(path)} & OURS
        assert ours <= MAY_IMPORT[package], f"{path} imports {sorted(ours - MAY_IMPORT[package])}"


@pytest.mark.parametrize("layer", sorted(MUST_NOT))
def test_layers_of_the_migration_do_not_look_up(layer):
    paths = modules(layer.replace(".", "/"))
    assert paths
    for path in paths:
        for name in imported(path):
            assert not name.startswith(MUST_NOT[layer]), f"{path} imports {name}"


@pytest.mark.parametrize("place", PURE)
def test_decisions_are_pure(place):
    for path in modules(place):
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & RIM, f"{path} imports {sorted(roots & RIM)}"


def test_every_package_says_what_it_owns():
    for package in sorted(SOURCES.rglob("__init__.py")):
        assert ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))), f"{package} has no docstring"

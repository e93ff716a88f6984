import ast
import shutil
from pathlib import Path

import pytest

from alcor_migrate import compiled

PACKAGE = Path(compiled.__file__).parent


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    for part in ("gateway", "journal"):
        shutil.copytree(PACKAGE / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("errors.py", "settings.py"):
        shutil.copy(PACKAGE / part, tmp_path)
    monkeypatch.setattr(compiled, "_PACKAGE", tmp_path)
    monkeypatch.setattr(compiled.sys, "meta_path", [])
    monkeypatch.delenv("ALCOR_MIGRATE_COMPILED", raising=False)
    return tmp_path


@pytest.mark.parametrize("source", ["gateway/http1.py", "gateway/settings.py", "journal/records.py", "errors.py"])
def test_an_edited_source_has_no_compiled_form(elsewhere, source):
    compiled.folder().mkdir(parents=True)
    with (elsewhere / source).open("a") as file:
        file.write("# edited\n")
    compiled.use()
    assert not compiled.in_use()


def test_the_compiled_form_of_these_sources_is_used_unless_switched_off(elsewhere, monkeypatch):
    compiled.folder().mkdir(parents=True)
    monkeypatch.setenv("ALCOR_MIGRATE_COMPILED", "off")
    compiled.use()
    assert not compiled.in_use()
    monkeypatch.delenv("ALCOR_MIGRATE_COMPILED")
    compiled.use()
    assert compiled.in_use()
    (finder,) = compiled.sys.meta_path
    assert finder.find_spec("alcor_migrate.gateway.server") is None
    spec = finder.find_spec("alcor_migrate.gateway.http1")
    assert Path(spec.origin).is_relative_to(elsewhere / "_compiled")


def test_what_compiled_modules_know_of_is_among_the_sources():
    known = {path for pattern in compiled.SOURCES for path in PACKAGE.glob(pattern)}
    for module in compiled.MODULES:
        source = PACKAGE.parent / f"{module.replace('.', '/')}.py"
        assert source in known
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("alcor_"):
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                files = [
                    PACKAGE.parent / f"{name.replace('.', '/')}{end}"
                    for name in names
                    for end in (".py", "/__init__.py")
                ]
                assert known.intersection(files), f"{module} imports {node.module}"

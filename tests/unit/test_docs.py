"""The documentation says what the code does: generated pages are current, and nothing is without a meaning."""

import re
from pathlib import Path

import pytest

from alcor_migrate import errors
from tools import docs

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])


@pytest.mark.parametrize("name", docs.PAGES)
def test_reference_pages_are_current(name):
    assert (docs.REFERENCE / name).read_text() == docs.PAGES[name]().rstrip() + "\n", "run `make docs`"


@pytest.mark.parametrize("name", ["configuration.md", "command-line.md", "status.md"])
def test_everything_has_a_meaning(name):
    rows = [line for line in docs.PAGES[name]().splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if re.search(r"\|\s*\|$", row)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_words_of_make_are_documented():
    makefile = (ROOT / "Makefile").read_text()
    readme = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
    for word in re.findall(r"^#   make (\w+)", makefile, re.MULTILINE):
        assert f"make {word}" in readme, f"make {word} is documented nowhere"


def test_every_error_says_what_to_do_next():
    for name in (
        "ConfigError",
        "CloudNotFound",
        "CloudUnreachable",
        "TargetNotEmpty",
        "JournalError",
        "ControlError",
    ):
        assert getattr(errors, name)("x").next_step, name
    assert errors.CloudRefused("Neutron", 500).next_step
    assert errors.GateClosed("cutover", ["lag"]).next_step

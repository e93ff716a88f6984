"""The page on operating names every word, hook, variable, figure and concern that there is, and no other."""

import re
from pathlib import Path

from around import MemorySurroundings, migrating

from alcor_migrate.engine.attention import concerns
from alcor_migrate.engine.drain import drained
from alcor_migrate.engine.gates import Evidence
from alcor_migrate.engine.hooks import NAMES, VARIABLES
from alcor_migrate.engine.steering import COMMANDS
from alcor_migrate.engine.verify import Verification

PAGE = (Path(__file__).parents[3] / "docs" / "operating.md").read_text()


def table(heading):
    """The rows of the first table below a heading: its first two cells."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [re.split(r" (?<!\\)\| ", line.strip("| ")) for line in section.splitlines() if line.startswith("| ")]
    return [(row[0], row[1].strip(" |").replace("\\|", "|")) for row in rows[1:]]


def test_every_word_of_the_console():
    assert table("Words") == [(f"`{word}`", meaning) for word, meaning in COMMANDS.items()]


def test_every_variable_of_a_hook():
    assert dict(table("Hooks")) == {f"`{name}`": meaning for name, meaning in VARIABLES.items()}


def test_every_hook():
    section = PAGE.split("## Hooks\n", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"`((?:before|on)-[a-z-]+)`", section)) == set(NAMES)


def test_everything_that_can_need_attention():
    worst = Evidence(
        copied=True,
        lag=0.0,
        trouble="down",
        poison=1,
        unknown=1,
        verification=Verification(0.0, 0.0, 1, 1, [], 0),
        journal_stalled=True,
        journal_incomplete=False,
        passive_answers=True,
    )
    noted = set(concerns(worst, {}, "ann", 60.0))
    parts = {"engine", "replay", "upkeep", "shadow", "reads"}  # what runs and can die, see Migration._begin_work
    documented = {name for names, _ in table("Needs attention") for name in names.split(", ")}
    assert documented == noted | parts


async def test_every_figure_and_everything_that_drain_looks_at(tmp_path):
    async with migrating(tmp_path, MemorySurroundings()) as migration:
        served = [(f"alcor_{name}", kind, meaning) for name, kind, meaning, _ in migration.gateway.figures()]
        looked = {check.name for check in (await drained(migration)).checks}
    rows = re.findall(r"(?m)^\| `(alcor_\w+)[^`]*` \| (\w+) \| (.+) \|$", PAGE)
    assert sorted(rows) == sorted(served)
    for name in looked:
        assert name.removesuffix("s between two states").removesuffix("floatingip") in PAGE, name

"""Every directory beside this file is a scenario: `README.md` tells it, `play(stage)` in `scenario.py` plays it."""

import importlib.util
from pathlib import Path

import pytest
from stage import Stage

from lab import Lab, LabError, rabbitmq
from lab.database import Rows
from lab.neutron import database_url

pytestmark = pytest.mark.lab

HERE = Path(__file__).parent
SCENARIOS = sorted(path.parent.name for path in HERE.glob("*/scenario.py"))


@pytest.fixture(scope="module")
def running():
    try:
        rabbitmq.provide()
        agents = True
    except LabError:
        agents = False  # the scenarios that need them say so
    with Lab(rpc=agents) as lab, Rows(database_url(lab.directory)) as rows:
        yield lab, rows, rows.read()


@pytest.fixture
def lab(running):
    """One for all of them, whose Neutron is put back after each."""
    lab, rows, fresh = running
    yield lab
    rows.put_back(fresh)


def load(name):
    at = HERE / name / "scenario.py"
    spec = importlib.util.spec_from_file_location(f"scenario_{name.replace('-', '_')}", at)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(lab, name):
    scenario = load(name)
    if getattr(scenario, "NEEDS_AGENTS", False) and not lab.rabbitmq_url:
        pytest.skip("no RabbitMQ for the agents to talk over")
    with Stage(lab) as stage:
        scenario.play(stage)


def test_every_scenario_is_told():
    for name in SCENARIOS:
        told = (HERE / name / "README.md").read_text(encoding="utf-8")
        assert told.startswith("# ")
        assert "## Kept by" in told, name

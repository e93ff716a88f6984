import time

import pytest
from stage import PATIENCE

from tests.chaos.journey_ground import Disk


def play(stage):
    disk = Disk(stage.lab.directory / "migration")
    disk.mount()
    stage.at_the_end(disk.remove)
    if not disk.mounted:
        pytest.skip("only root can mount a disk that is then full")
    stage.begin()
    stage.ready()
    before = stage.user.make("network", name="before")
    disk.fill()
    names = answered_503(stage)
    assert len(names) > 0
    assert stage.user.get("network", before["id"]) is not None  # reads go on
    made = {network["name"] for network in stage.direct.listed("network")}
    assert made.isdisjoint(names), "Neutron was asked for what had no record"
    disk.empty()
    after = answered_201(stage)
    made = [network["id"] for network in stage.direct.listed("network") if network["name"] not in names]
    assert {before["id"], after["id"]} <= set(made)
    stage.level()
    for each in made:
        stage.same("network", each, "name")
    stage.cutover()


def answered_503(stage):
    """Write until the journal cannot, and three times more; the names of what was refused."""
    refused = []
    end = time.monotonic() + PATIENCE
    while len(refused) < 4:
        name = f"refused-{time.monotonic_ns()}"
        status, _ = stage.user.call("POST", "networks", {"network": {"name": name}})
        assert status in {201, 503}
        refused += [name] if status == 503 else []
        assert time.monotonic() < end, "a full disk has kept no write from being acknowledged"
    return set(refused)


def answered_201(stage):
    """Write until the journal works again."""
    end = time.monotonic() + PATIENCE
    while True:
        status, answer = stage.user.call("POST", "networks", {"network": {"name": "after"}})
        if status == 201:
            return answer["network"]
        assert time.monotonic() < end, "there is room again, and writes are still refused"

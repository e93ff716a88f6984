import json
import sqlite3
from contextlib import closing

import pytest

from alcor_migrate.errors import MigrationError

A_DAY = 86_400  # seconds


def play(stage):
    network = stage.direct.make("network", name="verified")
    stage.begin()
    stage.ready()
    stage.crash()
    a_day_goes_by(stage.lab.directory / "migration" / "state.sqlite")
    stage.direct.change("network", network["id"], name="changed since")  # nobody has recorded it
    stage.start_again()
    stage.ready()
    with pytest.raises(MigrationError, match=r"verification: is 86\d\d\d s old"):
        stage.ask("cutover")

    found = stage.ask("verify")
    assert [shown["id"] for shown in found["shown"]] == [network["id"]]
    with pytest.raises(MigrationError, match="verification: 1 mismatches"):
        stage.ask("cutover")
    assert stage.status()["active"] == "source"

    assert stage.ask("verify", repair=True)["mismatches"] == 0
    stage.cutover()
    assert stage.user.get("network", network["id"])["name"] == "changed since"


def a_day_goes_by(state):
    """Nobody can wait for it: let what was verified have been verified a day earlier."""
    with closing(sqlite3.connect(state)) as database, database:
        (kept,) = database.execute("SELECT value FROM facts WHERE name = 'verification'").fetchone()
        verification = json.loads(kept)
        for found in (verification, *verification["resources"]):
            for name in found.keys() & {"at", "started_at", "finished_at"}:
                found[name] -= A_DAY
        database.execute(
            "UPDATE facts SET value = ? WHERE name = 'verification'", (json.dumps(verification).encode(),)
        )

import pytest

from alcor_migrate.errors import MigrationError


def play(stage):
    stage.begin()
    stage.ready()
    defect = stage.to_alcor.refuse("disliked")
    poison = stage.user.make("network", name="disliked")
    key = f"network {poison['id']}"
    stage.until(lambda status: key in status["replay"]["poison"], "the rejection")
    behind = stage.user.make("network", name="behind it")  # the run goes on
    stage.until(lambda _: stage.alcor.get("network", behind["id"]), "replay of what comes after it")
    status = stage.status()
    assert "it has a defect" in status["replay"]["poison"][key]
    assert stage.alcor.get("network", poison["id"]) is None
    with pytest.raises(MigrationError, match="rejected objects"):
        stage.ask("cutover")
    assert stage.status()["active"] == "source"

    # what the engine says by itself, the operator has to hear: nothing is skipped
    stage.until(lambda status: status["state"] == "needs_attention", "the call for the operator")
    defect.over = True
    stage.ask("resume")
    stage.level()
    stage.cutover()
    assert stage.user.get("network", poison["id"])["name"] == "disliked"

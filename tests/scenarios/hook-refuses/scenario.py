import pytest

from alcor_migrate.errors import MigrationError


def play(stage):
    hooks = stage.lab.directory / "hooks"
    hooks.mkdir(exist_ok=True)
    told = stage.lab.directory / "told"
    gate = hook(hooks / "before-cutting-over", "echo not on a Friday; exit 1")
    hook(hooks / "on-switched", f'echo "$ALCOR_MIGRATE_ACTIVE" > {told}')
    stage.begin(engine={"hooks": str(hooks), "hook_timeout": 5.0})
    before = stage.ready()
    with pytest.raises(MigrationError, match="not on a Friday"):
        stage.ask("cutover")
    hook(gate, "sleep 1000")
    with pytest.raises(MigrationError, match="before-cutting-over"):
        stage.ask("cutover")
    after = stage.status()
    assert (after["state"], after["active"]) == ("ready", "source")
    assert after["gateway"]["epoch"] == before["gateway"]["epoch"]  # the route was never another one
    network = stage.user.make("network", name="goes on")
    assert stage.neutron.get("network", network["id"]) is not None

    hook(gate, "exit 0")
    stage.level()
    stage.cutover()
    stage.until(lambda _: told.exists() and told.read_text().strip() == "target", "word of the switch")
    assert stage.user.get("network", network["id"])["name"] == "goes on"


def hook(path, text):
    """An executable, exchanged in one step."""
    new = path.with_suffix(".new")
    new.write_text(f"#!/bin/sh\n{text}\n")
    new.chmod(0o755)
    return new.rename(path)

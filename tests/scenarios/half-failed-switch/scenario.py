import contextlib
import os
import signal
from pathlib import Path

from stage import LONG


def play(stage):
    stage.begin(gateway={"workers": 2})
    stage.ready()
    frozen = workers_of(stage.lab.services["migrate"].pid)[0]
    os.kill(frozen, signal.SIGSTOP)  # half of the gateway will not hear of the switch
    try:
        stage.ask("cutover", max_hold=LONG)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(frozen, signal.SIGCONT)
    active = stage.status()["active"]
    here, there = (stage.alcor, stage.neutron) if active == "target" else (stage.neutron, stage.alcor)
    made = []
    for number in range(12):  # each over a connection of its own, so both halves are asked
        made.append(stage.user.make("network", name=f"after-{number}")["id"])
        assert here.get("network", made[-1]) is not None, "a write went to the side that is not active"
        assert stage.user.get("network", made[-1]) is not None
    stage.level()
    assert all(there.get("network", network_id) for network_id in made)
    assert active == "target"


def workers_of(pid):
    """The processes that the migration has begun."""
    return sorted(int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in children(task))


def children(task):
    return (task / "children").read_text(encoding="ascii").split()

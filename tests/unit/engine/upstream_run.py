"""A whole run towards upstream Alcor: the real engine and target, a Neutron in a file. Also as a process of its own.

`python upstream_run.py DIRECTORY URL`: goes on where it was, and prints what it found when everything is level.
"""

import asyncio
import json
import sys
from pathlib import Path
from unittest.mock import patch

import upstream_cloud
from around import MemorySurroundings, settings, until
from memory import Writes

from alcor_migrate.assess.accepted import AcceptedGaps
from alcor_migrate.engine.conductor import Migration
from alcor_migrate.engine.state import State
from alcor_migrate.http import JsonClient
from alcor_migrate.settings import TargetSettings
from alcor_migrate.side import Key
from alcor_migrate.target.begun import Begun
from alcor_migrate.target.narrowed import NarrowedSource, NarrowedTarget
from alcor_migrate.target.narrowing import Told
from alcor_migrate.target.upstream import UpstreamSide
from alcor_model.fields import Target
from alcor_model.gaps import rules

ACCEPT_ALL = {rule.id: "accept-all" for rule in rules(Target.UPSTREAM)}


def accept(directory, answers):
    """Write the answers file."""
    given = [{"rule": rule, "answer": answer} for rule, answer in answers.items()]
    document = {"version": 1, "cloud": "prod", "target": "upstream", "answers": given}
    (directory / "answers.yaml").write_text(json.dumps(document))


class Cloud:
    name = "prod"

    async def token(self):
        return "a token"

    async def project_id(self):
        return "admin"

    async def renew(self):
        pass


class Upstream(MemorySurroundings):
    """Neutron in a file that outlives the process, and upstream Alcor at an address."""

    def __init__(self, directory, url):
        super().__init__()
        self._file = directory / "neutron.json"
        self.done = 0
        if self._file.exists():
            self.done, held = json.loads(self._file.read_text())
            self.source.objects = {Key(name, o["id"]): o for name, o in held}
        else:
            for name, objects in upstream_cloud.cloud().items():
                for found in objects:
                    self.source.put(name, **found)
            self._save()
        self.neutron, self.told = self.source, Told()
        accepted = AcceptedGaps(directory / "answers.yaml")
        self.source = NarrowedSource(self.neutron, self.told, accepted, Cloud().project_id)
        begun = Begun(directory / "begun.json")
        client = JsonClient("Alcor", url, Cloud())
        self.target = NarrowedTarget(UpstreamSide(client, Cloud(), begun, in_flight=0.3), self.told)

    @property
    def set_aside(self):
        return self.told.counts()

    @set_aside.setter
    def set_aside(self, _):
        pass

    def _save(self):
        held = [(key.resource, found) for key, found in self.source_objects.items()]
        made = self._file.with_suffix(".new")
        made.write_text(json.dumps([self.done, held]))
        made.replace(self._file)

    @property
    def source_objects(self):
        return getattr(self, "neutron", self.source).objects

    async def users_go_on(self, journal):
        """What users do: the state of Neutron first, then the record of it."""
        for method, path, name, what in upstream_cloud.STEPS[self.done :]:
            if isinstance(what, str):
                self.neutron.drop(name, what)
            else:
                self.neutron.put(name, **what)
            self.done += 1
            self._save()
            answer = None if isinstance(what, str) else {name: what}
            await Writes(journal).record(method, f"/v2.0/{path}", answer)

    async def close(self):
        await self.target.close()


async def journey(directory, url, around=None):
    """Run until everything that users did is level; answers the migration's own words for it."""
    around = around or Upstream(directory, url)
    configured = settings(directory, sweep_interval=30.0)
    target = TargetSettings(url=url, kind="upstream")
    with patch("alcor_migrate.engine.verify._PAUSE", 0.01):
        migration = Migration(type(configured)(**_fields(configured, target=target)), "olga", around)
        await migration.start()
        try:
            await until(lambda: migration.store.standing is State.READY)
            await around.users_go_on(migration.journal)
            await migration.replay.reach(migration.journal.position)
            await migration.upkeep.sweep()
            found = await migration.upkeep.verify()
            gates = await migration.gates("target")
            return {
                "mismatches": [m.problem for m in found.shown],
                "compared": found.compared,
                "poison": {str(key): why for key, why in migration.replay.poison.items()},
                "aside": around.set_aside,
                "closed": [gate.name for gate in gates if not gate.open],
            }
        finally:
            await migration.close()


def _fields(struct, **changed):
    return {name: getattr(struct, name) for name in struct.__struct_fields__} | changed


if __name__ == "__main__":
    print(json.dumps(asyncio.run(journey(Path(sys.argv[1]), sys.argv[2]))))  # noqa: T201  # that is its answer

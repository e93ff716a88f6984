"""What a scenario works with: users, a migration from an empty Alcor, and the two ways it speaks through.

stage.direct.make("network", name="there before")    # at Neutron itself
stage.begin(engine={"page_size": 2})                 # a migration; the gateway listens
stage.ready()
stage.user.make("network", name="written now")       # through the gateway
stage.level()                                        # Alcor is as Neutron is, and no sweep had to help
stage.cutover()
"""

import shutil
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import requests
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3
from way import Way

from alcor_model import resource
from lab import keystone
from lab.errors import LabError
from lab.journey import Journey

OPERATOR = "operator"
PATIENCE = 180.0  # seconds; only what never comes takes so long
LONG = 60.0  # seconds of a hold, where its bound is not the point: a busy machine shall not end it
NEVER = 100_000.0  # seconds from one sweep to the next, so that none heals what should not have happened


class Caller:
    """Somebody who calls the network API at one address. Every call goes over a connection of its own."""

    def __init__(self, url, token, project_id):
        self.project_id = project_id
        self._url = url
        self._token = token

    def at(self, url):
        """The same one at another address."""
        return Caller(url, self._token, self.project_id)

    def call(self, method, path, body=None):
        """(status, body) of the answer; (0, None) when there is none."""
        headers = {"X-Auth-Token": self._token, "Connection": "close"}
        try:
            answer = requests.request(
                method, f"{self._url}/v2.0/{path}", json=body, headers=headers, timeout=PATIENCE
            )
        except requests.ConnectionError:
            return 0, None
        return answer.status_code, answer.json() if answer.content else None

    def must(self, method, path, body=None):
        """The body of the answer, which has to be a good one."""
        status, answer = self.call(method, path, body)
        assert 200 <= status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def make(self, kind, **fields):
        return self.must("POST", resource(kind).collection, {kind: fields})[kind]

    def change(self, kind, object_id, **fields):
        return self.must("PUT", f"{resource(kind).collection}/{object_id}", {kind: fields})[kind]

    def delete(self, kind, object_id):
        self.must("DELETE", f"{resource(kind).collection}/{object_id}")

    def get(self, kind, object_id):
        """The object, or None."""
        status, answer = self.call("GET", f"{resource(kind).collection}/{object_id}")
        assert status in {200, 404}, f"{kind} {object_id}: {status} {answer}"
        return answer[kind] if status == 200 else None

    def listed(self, kind, **fields):
        """The objects that have these values."""
        query = "&".join(f"{name}={value}" for name, value in fields.items())
        return self.must("GET", f"{resource(kind).collection}?{query}")[resource(kind).plural]


class Stage:
    """One scenario in a running lab. `user` is alone in a new project, `admin` the cloud's administrator."""

    def __init__(self, lab):
        self.lab = lab
        self.to_neutron, self.to_alcor = Way(lab.neutron_url), Way(lab.alcor_url)
        self.journey = None
        self._pool = ThreadPoolExecutor(8)
        self._ends = ExitStack()
        self._keystone = keystone.administrator(lab.keystone_url)

    def __enter__(self):
        self.to_neutron.__enter__()
        self.to_alcor.__enter__()
        admin_project = self._keystone.get_project_id()
        self.admin = Caller(self.lab.gateway_url, self._keystone.get_token(), admin_project)
        self.neutron, self.alcor = self.admin.at(self.lab.neutron_url), self.admin.at(self.lab.alcor_url)
        self.neutron.listed("security_group")  # makes the administrator's own default group
        self.user = self._newcomer()
        self.direct = self.user.at(self.lab.neutron_url)
        return self

    def __exit__(self, *_):
        try:
            for way in (self.to_neutron, self.to_alcor):
                way.clear()
            if self.journey:
                self.journey.stop()
            self._ends.close()
            self._pool.shutdown()
        finally:
            self.to_neutron.__exit__()
            self.to_alcor.__exit__()
            shutil.rmtree(self.lab.directory / "migration", ignore_errors=True)
            for path in self.lab.directory.glob("alcor.sqlite*"):
                path.unlink()
            self._keystone.delete(f"{self.lab.keystone_url}/projects/{self._made}")

    def _newcomer(self):
        """A member of a project that nobody has used yet."""
        name = f"newcomer-{uuid.uuid4().hex[:8]}"
        (project,) = keystone.Directory(self.lab.keystone_url).add_tenants({name: name})
        password = v3.Password(
            auth_url=self.lab.keystone_url,
            username=name,
            password=project.password,
            project_name=name,
            user_domain_id=keystone.DOMAIN,
            project_domain_id=keystone.DOMAIN,
        )
        token = keystone_session.Session(auth=password).get_token()
        self._made = project.id
        return Caller(self.lab.gateway_url, token, project.id)

    # -- the migration -------------------------------------------------------------------------------------------

    def begin(self, **sections):
        """Start an empty Alcor and a migration to it. `sections` go into its configuration."""
        engine = {"source_latency": 0, "cutover_attempts": 1, "wait_for_quiet": 0} | sections.pop("engine", {})
        sections |= {
            "source": {"url": self.to_neutron.url},
            "target": {"url": self.to_alcor.url},
            "engine": engine,
        }
        self.journey = Journey(self.lab, interval=0.1, sweep_interval=NEVER, keys=sections)
        self.journey.start()

    def ready(self):
        return self.journey.wait_for("ready", timeout=PATIENCE)

    def ask(self, verb, **arguments):
        """What `alcor-migrate VERB` asks; raises AlcorError with its refusal."""
        return self.journey.ask(verb, actor=OPERATOR, **arguments)

    def status(self):
        return self.journey.ask("status")

    def until(self, good, what):
        """The first status of which `good` is true."""
        end = time.monotonic() + PATIENCE
        while not good(status := self.status()):
            self.journey.check()
            if time.monotonic() > end:
                msg = f"{what} did not come: {status}"
                raise LabError(msg)
            time.sleep(0.05)
        return status

    def at_the_end(self, work):
        """Have something done when the migration has stopped."""
        self._ends.callback(work)

    def later(self, work, *args, **kwargs):
        """Begin something and go on; `.result()` waits for it."""
        return self._pool.submit(work, *args, **kwargs)

    def holding(self):
        """Wait until writes are held."""
        return self.until(lambda status: status["gateway"]["route"] == "hold", "a hold")

    def handed_over(self, verb, **arguments):
        """Do it, as soon as nothing needs attention any more; the attempt, which has to succeed."""
        self.until(lambda status: status["state"] != "needs_attention", "calm")
        attempt = self.ask(verb, max_hold=LONG, **arguments)
        assert attempt["succeeded"], attempt["reason"]
        return attempt

    def cutover(self, **arguments):
        return self.handed_over("cutover", **arguments)

    def reverse(self, **arguments):
        return self.handed_over("reverse", **arguments)

    def crash(self):
        """SIGKILL the migration, gateway and all."""
        self.lab.services["migrate"].kill()

    def start_again(self):
        service = self.lab.services["migrate"]
        service.start()
        service.wait_ready(PATIENCE)

    def level(self, *, found_by_sweeps=0):
        """Both sides are equal when everything written is applied, and only so much of it was found by a sweep."""
        position = self.status()["journal"]["position"]
        status = self.until(lambda s: s["replay"]["applied"] >= position, "replay of all writes")
        assert (status["replay"]["poison"], status["replay"]["undeclared"]) == ({}, {})
        found = self.ask("verify")
        assert found["mismatches"] == 0, found["shown"]
        assert self.status()["sweep"]["found"] == found_by_sweeps

    def same(self, kind, object_id, *fields):
        """Neutron and Alcor have the object, with the same values in these fields; answers Neutron's."""
        ours, theirs = (side.get(kind, object_id) for side in (self.neutron, self.alcor))
        assert ours is not None, f"Neutron has no {kind} {object_id}"
        assert theirs is not None, f"Alcor has no {kind} {object_id}"
        assert {name: theirs[name] for name in fields} == {name: ours[name] for name in fields}
        return ours

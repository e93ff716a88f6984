"""`make tempest-transparency`: OpenStack's own API tests, directly and through a gateway in capture, test by test.

`python -m tests.chaos.transparency [--directly RESULTS] [REGEX ...]`

Each side is a lab of its own (a real Keystone and Neutron), so that neither sees what the other left. A test whose
result differs is run again on both sides, alone: what still differs is the gateway's doing, the rest is called
unsteady and named. Writes `build/chaos/tempest-transparency.json`, beside it every test's two results
(`tempest-tests.json`) and all that tempest printed (`tempest-SIDE.log`); exits non-zero when a result differs.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from alcor_migrate.journal import Journal
from lab import Lab
from lab.keystone import PASSWORD, Credentials
from tests.chaos.gateway import HERE, HERE_FIRST, listens

RESULT = Path("build/chaos/tempest-transparency.json")
EVERYTHING = (r"^tempest\.api\.network\.", r"^neutron_tempest_plugin\.api\.")
CONCURRENCY = 2
# As stestr's trace prints them: {worker} name[tags] [seconds] ... result
LINE = re.compile(r"^\{\d+\} (?P<name>.+?)(?: \[[\d.]+s\])? \.\.\. (?P<result>ok|FAILED|SKIPPED)", re.MULTILINE)
DOTTED = re.compile(r"\w+(?:\.\w+)+")
TAGS = re.compile(r"\[id-[^\]]*\]")

CONFIGURATION = """\
[DEFAULT]
log_file = tempest.log
[oslo_concurrency]
lock_path = {workspace}/lock
[auth]
use_dynamic_credentials = true
admin_username = {admin.username}
admin_password = {admin.password}
admin_project_name = {admin.project_name}
admin_domain_name = Default
create_isolated_networks = false
[identity]
uri_v3 = {admin.auth_url}
auth_version = v3
region = {admin.region_name}
[identity-feature-enabled]
api_v3 = true
[service_available]
neutron = true
nova = false
glance = false
cinder = false
swift = false
[validation]
run_validation = false
[network]
public_network_id = {public}
floating_network_name = public
project_network_cidr = 10.100.0.0/16
region = {admin.region_name}
[network-feature-enabled]
ipv6 = true
api_extensions = {extensions}
[neutron_plugin_options]
provider_vlans = physnet1
provider_net_base_segm_id = 1500
available_type_drivers = flat,vlan,vxlan,local
agent_availability_zone = nova
max_mtu = 1500
create_shared_resources = true
firewall_driver = openvswitch
"""


def results_of(trace):
    """Name to ok, FAILED or SKIPPED, from what `tempest run` printed."""
    return {TAGS.sub("", match["name"]): match["result"] for match in LINE.finditer(trace)}


@dataclass
class Side:
    """One lab, with or without a gateway before its Neutron."""

    through: bool
    folder: Path = RESULT.parent
    results: dict = field(default_factory=dict)
    seconds: float = 0.0
    counts: object = None

    @property
    def name(self):
        return "through" if self.through else "directly"

    def __enter__(self):
        self.lab = Lab(gateway="reserved" if self.through else "none")
        self.lab.start()
        try:
            self._prepare()
        except BaseException:
            self.lab.stop()
            raise
        return self

    def __exit__(self, *_):
        self.lab.stop()

    def _prepare(self):
        lab = self.lab
        self.journal = lab.directory / "journal"
        if self.through:
            listen = lab.gateway_url.removeprefix("http://")
            port = int(listen.rpartition(":")[2])
            command = [sys.executable, HERE / "gateway_process.py", self.journal, lab.neutron_url, listen]
            lab.spawn("gateway", command, HERE_FIRST, ready=lambda: listens(port)).wait_ready()
        connection = lab.connection(direct=True)
        network = connection.network.create_network(
            name="public", is_router_external=True, provider_network_type="flat", provider_physical_network="public"
        )
        connection.network.create_subnet(
            network_id=network.id, ip_version=4, cidr="203.0.113.0/24", is_dhcp_enabled=False, name="public"
        )
        extensions = ",".join(sorted(extension.alias for extension in connection.network.extensions()))
        connection.close()
        self.workspace = lab.directory / "tempest"
        self._tempest("init", self.workspace, where=lab.directory)
        text = CONFIGURATION.format(
            workspace=self.workspace,
            admin=Credentials(lab.keystone_url, "admin", PASSWORD, "admin"),
            public=network.id,
            extensions=extensions,
        )
        (self.workspace / "etc" / "tempest.conf").write_text(text, encoding="utf-8")

    def _tempest(self, *arguments, where):
        command = [self.lab.openstack_bin / "tempest", *arguments]
        environment = {
            "PATH": f"{self.lab.openstack_bin}:/usr/bin:/bin",
            "HOME": str(self.lab.directory),
            "LANG": "C.UTF-8",
        }
        done = subprocess.run(command, env=environment, cwd=where, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def run(self, regex, concurrency=CONCURRENCY):
        """Name to result of the tests that match."""
        began = time.monotonic()
        arguments = ("run", "--concurrency", str(concurrency), "--regex", regex)
        trace = self._tempest(*arguments, where=self.workspace)
        found = results_of(trace)
        self.seconds += time.monotonic() - began
        with (self.folder / f"tempest-{self.name}.log").open("a", encoding="utf-8") as log:
            log.write(trace)
        if not found:
            print(f"tempest ran nothing for {regex!r}: {trace[-2000:]}", file=sys.stderr)  # noqa: T201  (it is a command)
        return found

    def recall(self, path):
        """Take the results of an earlier run."""
        document = json.loads(path.read_text(encoding="utf-8"))
        self.results = {name: direct for name, (direct, _) in document["tests"].items() if direct}
        self.seconds = document["seconds"][self.name]

    async def look(self):
        """What the journal holds of it."""
        journal = await Journal.open(self.journal)
        try:
            self.counts = await journal.counts()
        finally:
            await journal.close()


def main(argv=None):
    """Both sides, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("regex", nargs="*", default=EVERYTHING)
    parser.add_argument("--result", type=Path, default=RESULT)
    parser.add_argument("--directly", type=Path, help="an earlier tempest-tests.json, whose direct side is taken")
    wanted = parser.parse_args(argv)
    console = Console()
    folder = wanted.result.parent
    folder.mkdir(parents=True, exist_ok=True)
    sides = {"directly": Side(through=False, folder=folder), "through the gateway": Side(through=True, folder=folder)}
    if wanted.directly:
        sides["directly"].recall(wanted.directly)
    again = {}
    for name, side in sides.items():
        if side.results:
            continue
        (folder / f"tempest-{side.name}.log").unlink(missing_ok=True)
        with side:
            for regex in wanted.regex:
                side.results |= side.run(regex)
            console.print(f"{name}: {_said(side.results)}, {side.seconds:.0f} s")
            _keep(folder, sides)
            if side.through:
                differing = differences(sides)
                again[name] = _alone(side, differing)
                side.lab.services["gateway"].kill()
                asyncio.run(side.look())
    direct, through = sides.values()
    differing = differences(sides)
    unsteady = []
    if differing:
        with Side(through=False, folder=folder) as fresh:
            alone = _alone(fresh, differing)
        unsteady = [name for name in differing if alone.get(name) == again["through the gateway"].get(name)]
    real = [name for name in differing if name not in unsteady]
    _show(console, sides, real, unsteady)
    outcome = {
        "runs": len(direct.results.keys() | through.results.keys()),
        "acknowledged": through.counts.outcomes - through.counts.unknown,
        "lost": through.counts.unsettled,
        "resurrected": None,
        "duplicated": None,
        "mismatches": len(real),
        "failed_seeds": [],
    }
    wanted.result.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    console.print_json(json.dumps(outcome))
    return 1 if real or through.counts.unsettled or not outcome["runs"] else 0


def differences(sides):
    """The tests that ended differently, or ran on one side only."""
    direct, through = (side.results for side in sides.values())
    return sorted(name for name in direct.keys() | through.keys() if direct.get(name) != through.get(name))


def _alone(side, names):
    found = {}
    for name in names:
        # "setUpClass (a.b.Class)" stands for the tests of the class
        found |= side.run("^" + re.escape(DOTTED.search(name)[0]), concurrency=1)
    return found


def _keep(folder, sides):
    """Every test's results so far, and how long each side took (s)."""
    direct, through = (side.results for side in sides.values())
    document = {
        "seconds": {side.name: round(side.seconds) for side in sides.values()},
        "counts": {side.name: Counter(side.results.values()) for side in sides.values()},
        "tests": {name: [direct.get(name), through.get(name)] for name in sorted(direct.keys() | through.keys())},
    }
    (folder / "tempest-tests.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _said(results):
    return ", ".join(f"{count} {result}" for result, count in sorted(Counter(results.values()).items()))


def _show(console, sides, real, unsteady):
    direct, through = sides.values()
    table = Table("test", "directly", "through the gateway", "")
    for names, word in ((real, "differs"), (unsteady, "unsteady")):
        for name in names:
            table.add_row(name, direct.results.get(name, "-"), through.results.get(name, "-"), word)
    if table.row_count:
        console.print(table)
    same = len(direct.results.keys() & through.results.keys()) - len(real) - len(unsteady)
    console.print(f"{same} tests gave the same result; {through.counts.intents} writes in the journal")


if __name__ == "__main__":
    sys.exit(main())

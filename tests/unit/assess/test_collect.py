"""One reading of a cloud whose two services are stand-ins: what is looked at again, and what is told."""

import pytest
from builders import network, port, subnet

from alcor_migrate.assess.collect import Question, Reading
from alcor_migrate.errors import CloudRefused
from alcor_model import RESOURCES, load_order
from alcor_model.fields import Target

IDS = {"alias": "alcor-ids", "updated": "2026-11-23T00:00:00-00:00"}


class Cloud:
    name = "production"

    async def token(self):
        return "token"

    async def projects(self):
        return {"p1": "web-shop"}


class Neutron:
    """Both the API's client and the side that reads through it."""

    def __init__(self, answers, listed, now=None):
        self.answers, self.listed, self.now = answers, listed, listed if now is None else now

    async def get(self, path, *_):
        answer = self.answers.get(path, 404)
        if isinstance(answer, int):
            raise CloudRefused(f"Neutron (GET {path})", answer)
        return answer

    async def pages(self, of, _size):
        yield self.listed.get(of.name, [])

    async def read(self, of, ids):
        return {o["id"]: o for o in self.now.get(of.name, []) if o["id"] in ids}

    async def close(self):
        pass


async def read(listed, *, extensions=(IDS,), target=Target.BUNDLED, now=None, **answers):
    reading = Reading(Question(Cloud(), "http://neutron", target))
    reading._client = reading._source = Neutron(
        {"/v2.0/extensions": {"extensions": list(extensions)}}
        | {f"/v2.0/{path.replace('__', '/')}": answer for path, answer in answers.items()},
        listed,
        now,
    )
    await reading.everything()
    found = reading.judge(None)
    return found, {g.rule.name: g for g in found.gaps}


async def test_an_empty_cloud_is_ready():
    found, gaps = await read({})
    assert (found.verdict, found.objects, gaps) == ("ready", 0, {})


async def test_what_was_made_while_we_read_does_not_dangle():
    listed = {"port": [port(network_id="young"), port("q2", network_id="gone"), port("q3", network_id="dropped")]}
    now = {"network": [network("young")], "port": [port("q2", network_id="gone"), port("q3", network_id="n1")]}
    _, gaps = await read(listed, now=now)
    (subject,) = gaps["dangling"].objects
    assert (subject.id, subject.detail) == ("q2", "network_id: network gone does not exist")


@pytest.mark.parametrize(
    ("extensions", "rule"),
    [
        ([], "id-extension-missing"),
        ([IDS | {"updated": "2026-11-22T00:00:00-00:00"}], "id-extension-old"),
        ([{"alias": "alcor-ids"}], "id-extension-old"),
    ],
)
async def test_a_way_back_that_is_closed_is_told_beforehand(extensions, rule):
    found, gaps = await read({}, extensions=extensions)
    assert set(gaps) == {rule}
    assert gaps[rule].rule.hinders == "reverse"
    assert not found.id_extension.sufficient


async def test_extensions_that_nobody_maps():
    found, gaps = await read(
        {},
        extensions=[IDS, {"alias": "wonder", "name": "Wonder"}, {"alias": "fwaas_v2"}, {"alias": "bgpvpn"}],
        fwaas__firewall_groups={"firewall_groups": [{"id": "f1", "name": "edge", "project_id": "p1"}]},
        fwaas__firewall_policies=403,
    )
    assert [(s.resource, s.id, s.project) for s in gaps["extension-not-mapped"].objects] == [
        ("fwaas/firewall_groups", "f1", "web-shop")
    ]
    assert [s.id for s in gaps["extension-unknown"].objects] == ["wonder"]
    assert [s.id for s in gaps["not-readable"].objects] == ["fwaas/firewall_policies"]
    assert {e.alias: (e.state, e.objects) for e in found.extensions} == {
        "alcor-ids": ("carried", 0),
        "bgpvpn": ("not in use", 0),
        "fwaas_v2": ("in use, not mapped", 1),
        "wonder": ("unknown", 0),
    }


async def test_a_neutron_that_breaks_is_an_error():
    with pytest.raises(CloudRefused):
        await read({}, extensions=[{"alias": "fwaas_v2"}], fwaas__firewall_groups=500)


async def test_upstream_keeps_less_than_the_bundled_one():
    listed = {"network": [network()], "subnet": [subnet(cidr="10.0.0.0/29", gateway_ip="10.0.0.1")]}
    for target, verdict, stays in ((Target.BUNDLED, "ready", 0), (Target.UPSTREAM, "needs answers", 1)):
        found, _ = await read(listed, target=target)
        assert found.verdict == verdict
        assert [t.stays for t in found.tallies if t.resource == "subnet"] == [stays]


async def test_every_object_is_counted_once_whatever_is_wrong_with_it():
    found, gaps = await read({"network": [network(), {"name": "lost"}, network("n2", name=7)]})
    assert found.objects == 3
    (tally,) = found.tallies
    assert tally.objects == tally.moves + tally.changes + tally.stays
    assert len(gaps["malformed"].objects) == 2


WEIRD = [None, "", 3, True, [], {}, [3], [None], [{}], [[]], {"a": 1}, "zz", "::ffff:1.2.3.4", "1.2.3.4/33"]
WEIRD += [[{"start": "x", "end": "y"}], [{"ip_address": "x"}], [{"destination": "q", "nexthop": "r"}], "x" * 70_000]


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("of", RESOURCES, ids=lambda of: of.name)
async def test_no_value_in_no_field_ends_the_reading(of, target):
    base = {f.neutron: 4 if int in f.types else "10.0.0.0/24" for f in of.fields if f.types}
    base = {n: v for n, v in base.items() if type(None) not in of.field(n).types}
    listed = [base | {"id": f"i{n}-{m}", f.neutron: w} for n, f in enumerate(of.fields) for m, w in enumerate(WEIRD)]
    found, _ = await read({of.name: listed}, extensions=[IDS, {"alias": of.alias}], target=target)
    assert found.objects == (len(listed) if of.listed else 0)
    assert of in load_order()

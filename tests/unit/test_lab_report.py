import html.parser
import json
import re

import msgspec
import pytest

from lab.chart import Canvas, Scale, clock_ticks, milliseconds, seconds
from lab.journey import Sample
from lab.report import (
    Command,
    Handover,
    JournalCount,
    Phase,
    Recording,
    Request,
    lanes,
    objections,
    page,
    percentile,
    report,
    waited,
    write,
)

NOON = 1_790_000_000.0


def sample(second, lag=0.1):
    counts = dict.fromkeys(
        ("position", "applied", "copied", "expected", "captured", "requests", "in_flight", "held", "changes"), second
    )
    return Sample(at=NOON + second, state="ready", active="source", route="capture", lag=lag, **counts)


def handover(verb, second, hold_ms=200.0, **more):
    return Handover(verb=verb, at=NOON + second, succeeded=True, hold_ms=hold_ms, **more)


def recording(**changes):
    requests = [Request(NOON + s + 0.1, 40.0, "GET", 200) for s in range(10, 40)]
    requests += [Request(NOON + s + 0.2, 90.0, "POST", 201) for s in range(10, 40)]
    requests += [Request(NOON + 25.2, 50.0, "GET", 404)]  # for what was deleted
    good = Recording(
        began=NOON,
        ended=NOON + 40,
        seed=7,
        ports=40,
        clients=2,
        database="mariadb",
        versions={"neutron": "29.0.0"},
        topology={"network": 3, "port": 40},
        chapters=[Phase("A real cloud starts", NOON, NOON + 10)],
        states=[
            Phase("capturing", NOON + 10, NOON + 11),
            Phase("copying", NOON + 11, NOON + 15),
            Phase("ready", NOON + 15, NOON + 20),
            Phase("switched", NOON + 20, NOON + 40),
        ],
        samples=[sample(s) for s in range(10, 40)],
        requests=sorted(requests, key=lambda r: r.at),
        handovers=[handover("cutover", 20), handover("reverse", 30, 100.0), handover("cutover", 35, 150.0)],
        commands=[
            Command(command="network show web", cloud="shop", then="Neutron, then Alcor", before="x", after="x")
        ],
        journal=JournalCount(intents=31, outcomes=30, accepted=30, unknown=1),
        copied=43,
        copy_seconds=2.0,
        worst_lag=0.4,
        changes=60,
        writes_acknowledged=30,
        writes_lost=0,
        requests_failed=0,
        violations=0,
        objects_compared=50,
        mismatches=0,
        freshness=[
            {"resource": "security_groups", "state": "verified", "objects": 50, "mismatches": 0},
            {"resource": "trunks", "state": "verified", "objects": 0, "mismatches": 0},
        ],
        completed=True,
    )
    return msgspec.structs.replace(good, **changes)


class Tags(html.parser.HTMLParser):
    """All tags of a page with their attributes; complains about tags that are not closed in order."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_has_the_promised_keys_and_no_objection():
    document = report(recording())
    promised = {
        "writes_acknowledged": 30,
        "writes_lost": 0,
        "requests_failed": 0,
        "longest_hold_ms": 200.0,
        "objects_compared": 50,
        "mismatches": 0,
        "packets_lost": None,
    }
    assert {key: document[key] for key in promised} == promised
    assert document["objections"] == []
    assert document["journal"]["complete"]
    assert document["copy"] == {"objects": 43, "seconds": 2.0, "objects_per_second": 21.5}
    assert document["seed"] == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"writes_lost": 1}, "1 of 30 acknowledged writes are lost"),
        ({"requests_failed": 2}, "2 of 61 requests failed"),
        ({"mismatches": 3}, "3 of 50 objects differ between the two sides"),
        ({"violations": 1}, "1 times a user did not read what had just been acknowledged"),
        ({"objects_compared": 0}, "no object was compared"),
        ({"handovers": []}, "the traffic was never moved"),
        ({"handovers": [Handover(verb="cutover", at=NOON, succeeded=False)]}, "the traffic was never moved"),
        ({"journal": JournalCount(intents=32, outcomes=30, accepted=30, unknown=1)}, "the journal has 32 intents"),
        ({"journal": JournalCount(intents=30, outcomes=30, accepted=29, unknown=0)}, "the journal has 29"),
        (
            {"commands": [Command(command="port list", cloud="shop", then="", before="1", after="2")]},
            "`openstack port list` printed something else",
        ),
    ],
)
def test_each_thing_that_went_wrong_is_an_objection(changes, said):
    document = report(recording(**changes))
    assert len(document["objections"]) == 1
    assert said in document["objections"][0]
    assert "not passed" in page(recording(**changes))


def test_a_demo_in_which_nothing_was_written_is_no_success():
    nothing = recording(writes_acknowledged=0, journal=JournalCount(intents=0, outcomes=0, accepted=0, unknown=0))
    assert objections(report(nothing)) == ["no write was acknowledged, so nothing was shown"]


def test_the_traffic_is_where_the_last_handover_that_ended_has_put_it():
    whole = recording()
    assert [whole.side_at(NOON + s) for s in (19, 20.1, 20.3, 30.05, 30.2, 36)] == [
        "neutron",
        "neutron",
        "alcor",
        "alcor",
        "neutron",
        "alcor",
    ]


def test_phases_follow_each_other_from_the_gateway_to_the_end():
    phases = recording().phases()
    assert [p.name for p in phases] == [
        "copy and catch up",
        "Neutron active",
        "Alcor active",
        "Neutron active again",
        "Alcor active again",
    ]
    assert [p.began for p in phases[1:]] == [p.ended for p in phases[:-1]]
    assert (phases[0].began, phases[-1].ended) == (NOON + 10, NOON + 40)


def test_latencies_are_told_by_phase_and_method():
    figures = report(recording())["latencies_ms"]
    assert sum(f["reads"]["count"] for f in figures.values()) == 31
    assert sum(f["POST"]["count"] for f in figures.values()) == 30
    assert figures["Neutron active"]["writes"] == {"count": 5, "p50": 90.0, "p95": 90.0, "p99": 90.0, "max": 90.0}


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.51, 3), (0.95, 4), (0.0, 1), (1.0, 4)])
def test_a_percentile_is_one_of_the_values(share, value):
    assert percentile([3, 1, 4, 2], share) == value


def test_only_a_write_that_was_sent_within_a_hold_has_waited():
    hold = handover("cutover", 20)

    def request(second, ms, method="POST"):
        return Request(NOON + second, ms, method, 200)

    assert waited(request(20.1, 150.0), hold)
    assert not waited(request(20.1, 150.0, "GET"), hold)
    assert not waited(request(19.9, 500.0), hold), "it was in flight already"
    assert not waited(request(20.1, 20.0), hold), "it was answered within the hold"


def test_lanes_are_as_many_as_there_were_requests_at_a_time():
    requests = [Request(at, ms, "GET", 200) for at, ms in ((0, 1000), (0.1, 100), (0.3, 100), (1.0, 5), (1.0, 5))]
    assert lanes(requests) == [0, 1, 1, 0, 1]


def test_the_page_is_well_formed_and_refers_to_nothing_outside():
    text = page(recording())
    tags = Tags(text)
    assert tags.open == []
    assert [tag for tag, _ in tags.found].count("svg") == 4  # the course and three holds
    assert {name for _, attributes in tags.found for name in attributes} & {
        "src",
        "href",
        "xlink:href",
        "srcset",
    } == set()
    assert {tag for tag, _ in tags.found} & {"script", "link", "img", "iframe", "object"} == set()
    assert not re.search(r"https?://|url\(|@import", text)


def test_the_page_says_what_was_verified_of_each_resource_that_there_is():
    text = page(recording())
    assert "<td>security groups</td><td>verified: 50 compared</td>" in text
    assert "trunks" not in text


def test_no_picture_leaves_its_frame_and_no_number_is_undefined():
    text = page(recording())
    assert "nan" not in re.sub(r"[a-z]+nan|nan[a-z]+", "", text.lower())
    for frame, body in re.findall(r'<svg viewBox="0 0 ([\d. ]+)"[^>]*>(.*?)</svg>', text, re.DOTALL):
        width, height = map(float, frame.split())
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", body):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_what_others_wrote_is_escaped():
    evil = "<script>alert('x')</script>"
    command = Command(command=evil, cloud=evil, then=evil, before=evil, after=evil + "&")
    states = [Phase(evil, NOON + 10, NOON + 40)]
    text = page(recording(commands=[command], problems=[evil], states=states, versions={evil: evil}))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 7


def test_a_demo_without_handovers_or_requests_still_has_a_page():
    text = page(recording(handovers=[], requests=[], samples=[], commands=[]))
    assert "there were none" in text
    assert "the traffic was never moved" in text


def test_a_failed_request_is_shown():
    bad = [Request(NOON + 22, 30.0, "PUT", 503, failed=True)]
    assert 'class="dots bad"' in page(recording(requests=bad))
    assert 'class="dots bad"' not in page(recording())


def test_everything_is_written_and_can_be_drawn_again(tmp_path):
    document = write(recording(), tmp_path / "demo")
    assert json.loads((tmp_path / "demo" / "report.json").read_text()) == json.loads(json.dumps(document))
    again = msgspec.json.decode((tmp_path / "demo" / "recording.json").read_bytes(), type=Recording)
    assert page(again) == (tmp_path / "demo" / "report.html").read_text()


def test_a_scale_clamps_and_has_round_ticks():
    linear = Scale(0, 130, 100, 200)
    assert [linear(v) for v in (-5, 0, 65, 130, 500)] == [100, 100, 150, 200, 200]
    assert linear.ticks(6) == [0, 50, 100]
    log = Scale(1, 1000, 300, 0, log=True)
    assert [round(log(v)) for v in (0.01, 1, 10, 1000, 9999)] == [300, 300, 200, 0, 0]
    assert log.ticks() == [1, 10, 100, 1000]
    assert Scale(0, 0, 10, 20)(0) == 10


@pytest.mark.parametrize(
    ("value", "words"), [(0.42, "0.42 ms"), (9.96, "10 ms"), (12.3, "12 ms"), (999, "999 ms"), (1234, "1.23 s")]
)
def test_durations_read_well(value, words):
    assert milliseconds(value) == words


def test_times_read_well():
    assert [seconds(v) for v in (0, 40, 100, 120)] == ["0 s", "40 s", "1:40 min", "2:00 min"]
    assert clock_ticks(7) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert clock_ticks(130) == [0, 15, 30, 45, 60, 75, 90, 105, 120]
    assert clock_ticks(40_000) == [0, 40_000]


def test_a_canvas_escapes_and_rounds():
    canvas = Canvas(10, 10)
    canvas.text(1.234, 2, "a<b")
    canvas.rect(0, 0, -5, 1, "bar", "it's <i>")
    canvas.dots([], "none")
    assert str(canvas.svg('"x"')).splitlines() == [
        (
            '<svg viewBox="0 0 10 10" role="img" aria-label="&#34;x&#34;">'
            '<text x="1.2" y="2" class="label" text-anchor="start">a&lt;b</text>'
        ),
        '<rect x="0" y="0" width="0" height="1" rx="0" class="bar"><title>it&#39;s &lt;i&gt;</title></rect></svg>',
    ]

"""What keeps a run from beginning."""

import pytest
from builders import assessment, gaps

from alcor_migrate.assess import gate
from alcor_migrate.assess.accepted import AcceptedGaps, accepted
from alcor_migrate.assess.answers import Answer, AnswersFile
from alcor_migrate.errors import GateClosed
from alcor_migrate.settings import GatewayOptions, Settings, SourceSettings, TargetSettings


def settings(**more):
    target = TargetSettings("http://alcor", **more)
    return Settings(SourceSettings("prod", "http://neutron"), target, GatewayOptions("127.0.0.1:1"), "state")


def test_what_is_open_is_named_with_its_rule():
    with pytest.raises(GateClosed, match=r"\(dangling\)") as caught:
        gate.refuse_what_is_open(assessment(gaps("dangling", "q1")))
    assert "--answer" in caught.value.next_step


def test_what_is_answered_is_let_through():
    gate.refuse_what_is_open(assessment(gaps("dangling", "q1", answers=[Answer("dangling", "accept-all")])))


async def test_without_an_answers_file_nothing_is_read():
    await gate.check(settings(), cloud=None)


def test_upstream_is_not_loaded_before_somebody_said_what_may_be_lost():
    with pytest.raises(GateClosed, match="no answers file"):
        gate.refuse_to_guess(settings(kind="upstream"))
    gate.refuse_to_guess(settings())


def test_what_is_accepted_follows_the_file(tmp_path):
    given = [
        Answer("upstream-vni-not-reserved", "accept", ["n1"]),
        Answer("upstream-vni-not-reserved", "accept", ["n2"]),
        Answer("upstream-ipv6", "accept-all"),
        Answer("upstream-route", "accept", ["r1"]),
        Answer("upstream-route", "resolve"),
        Answer("upstream-quota", "open"),
    ]
    assert accepted(AnswersFile(1, "prod", "upstream", given)) == {
        "upstream-vni-not-reserved": {"n1", "n2"},
        "upstream-ipv6": None,
    }
    path = tmp_path / "answers.yaml"
    now = AcceptedGaps(path)
    assert now() == {}
    head = "version: 1\ncloud: prod\ntarget: upstream\nanswers:\n"
    path.write_text(head + "  - {rule: upstream-ipv6, answer: accept-all}\n")
    assert now() == {"upstream-ipv6": None}
    path.write_text(head + "  - {rule: upstream-quota, answer: accept-all}\n\n")
    assert now() == {"upstream-quota": None}
    path.write_text("not an answers file at all")
    assert now() == {"upstream-quota": None}

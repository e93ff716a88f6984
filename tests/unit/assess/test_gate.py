"""What keeps a run from beginning."""

import pytest
from builders import assessment, gaps

from alcor_migrate.assess import gate
from alcor_migrate.assess.answers import Answer
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


async def test_upstream_cannot_be_loaded():
    with pytest.raises(GateClosed, match="upstream"):
        await gate.check(settings(kind="upstream"), cloud=None)

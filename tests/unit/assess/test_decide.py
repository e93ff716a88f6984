"""What findings and answers amount to."""

import pytest
from builders import RULES, gaps, subjects

from alcor_migrate.assess import decide
from alcor_migrate.assess.answers import Answer
from alcor_migrate.assess.rules import rules
from alcor_migrate.errors import AnswersError
from alcor_model.fields import Target


def test_nothing_found_is_ready():
    assert decide.verdict(decide.gaps(RULES, [])) == "ready"


def test_what_was_never_answered_is_open_and_wholly_new():
    (gap,) = gaps("dangling", "q1", "q2")
    assert (gap.open, gap.new, gap.answer) == (True, ["q1", "q2"], "")
    assert decide.verdict([gap]) == "needs answers"


def test_an_accept_covers_its_objects_and_no_later_ones():
    answer = Answer("dangling", "accept", objects=["q1"], note="known", by="ada")
    (gap,) = gaps("dangling", "q1", answers=[answer])
    assert (gap.open, gap.new, gap.note, gap.answered_by) == (False, [], "known", "ada")
    (gap,) = gaps("dangling", "q1", "q2", answers=[answer])
    assert (gap.open, gap.new) == (True, ["q2"])


def test_several_accepts_add_up():
    both = [Answer("dangling", "accept", objects=["q1"]), Answer("dangling", "accept", objects=["q2"])]
    (gap,) = gaps("dangling", "q1", "q2", answers=both)
    assert not gap.open


def test_accept_all_covers_what_appears_later():
    (gap,) = gaps("dangling", "q1", "q9", answers=[Answer("dangling", "accept-all")])
    assert (gap.open, gap.new) == (False, [])


def test_an_accept_of_a_rule_about_the_cloud_needs_no_objects():
    (gap,) = gaps("id-extension-missing", answers=[Answer("id-extension-missing", "accept")])
    assert not gap.open


def test_an_accept_without_the_objects_it_is_for_is_an_error():
    with pytest.raises(AnswersError, match="without the objects") as caught:
        gaps("dangling", "q1", answers=[Answer("dangling", "accept")])
    assert "accept-all" in caught.value.next_step


@pytest.mark.parametrize("word", ["resolve", "open"])
def test_resolve_and_open_keep_the_cloud_from_being_ready(word):
    (gap,) = gaps("dangling", "q1", answers=[Answer("dangling", word)])
    assert gap.open
    assert gap.answer == ("resolve" if word == "resolve" else "")


def test_no_answer_opens_what_blocks():
    (gap,) = gaps("target-not-empty", "x", answers=[Answer("target-not-empty", "accept-all")])
    assert gap.open
    assert decide.verdict([gap]) == "blocked"


def test_a_note_asks_for_nothing():
    (gap,) = gaps("binding-failed", "q1")
    assert not gap.open
    assert decide.verdict([gap]) == "ready"


def test_answers_to_other_rules_do_not_count():
    (gap,) = gaps("dangling", "q1", answers=[Answer("contradictory", "accept-all")])
    assert gap.open
    assert decide.unneeded([gap], [Answer("contradictory", "accept-all")]) == ["contradictory"]


def test_what_blocks_comes_first_then_what_asks_then_what_is_settled():
    findings = [(rule, s) for rule in ("binding-failed", "dangling", "contradictory") for s in subjects("q1")]
    found = decide.gaps(RULES, [*findings, ("target-not-empty", None)], [Answer("contradictory", "accept-all")])
    assert [g.rule.name for g in found] == ["target-not-empty", "dangling", "contradictory", "binding-failed"]


def test_an_object_that_a_rule_finds_twice_is_one_object():
    (gap,) = gaps("dangling", "q1", "q1", "q2")
    assert [(s.id, s.detail) for s in gap.objects] == [("q1", "why; why"), ("q2", "why")]
    assert gap.new == ["q1", "q2"]


def test_an_object_counts_once_by_its_worst_gap():
    stays = gaps("malformed", "q1", "q1", "q2")
    kept = gaps("dangling", "q3")
    (tally,) = decide.tallies({"port": 5, "router": 0}, [*stays, *kept])
    assert (tally.objects, tally.moves, tally.changes, tally.stays) == (5, 3, 0, 2)


def test_every_rule_says_what_happens_and_how_out():
    for rule in (RULES | rules(Target.UPSTREAM)).values():
        assert rule.consequence[-1] not in ".!", rule.name
        assert rule.ways_out, rule.name
        assert not rule.title.endswith("."), rule.name

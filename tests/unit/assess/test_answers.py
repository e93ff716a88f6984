"""The answers file: what is written is read again, comments stay, and mistakes are named."""

import json

import pytest
import yaml
from builders import RULES, gaps

from alcor_migrate.assess import answers
from alcor_migrate.assess.answers import Answer, Edit
from alcor_migrate.errors import AnswersError

HEAD = "version: 1\ncloud: production\ntarget: bundled\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alcor-answers.yaml"


def write(path, *edits):
    answers.write(path, "production", "bundled", edits)
    return answers.read(path).answers


def test_no_file_is_no_answers(path):
    assert answers.read(path) is None


def test_what_is_answered_is_read_again(path):
    (gap,) = gaps("dangling", "q1", "0123")
    (made,) = write(path, Edit(gap, "accept", "we know", "ada", "2026-11-22 21:00 UTC"))
    assert made == Answer("dangling", "accept", ["q1", "0123"], "we know", "ada", "2026-11-22 21:00 UTC")
    text = path.read_text()
    assert "# name of q1" in text
    assert gap.rule.consequence.split(",")[0] in text
    schema = json.loads(answers.schema_path(path).read_text())
    assert "AnswersFile" in schema["$defs"]
    assert answers.schema_path(path).name in text


def test_an_edit_keeps_comments_order_and_what_it_does_not_know(path):
    path.write_text(
        "# ours, since 2019\n" + HEAD + "answers:\n  # asked the network team\n"
        "  - rule: contradictory\n    answer: accept-all  # for good\n    note: 'as is'\n"
        "  - rule: dangling\n    answer: accept\n    objects:\n      - q1  # the printer\n"
    )
    (gap,) = gaps("dangling", "q1", "q2")
    made = write(path, Edit(gap, "accept", by="bob"))
    assert [(a.rule, a.objects) for a in made] == [("contradictory", []), ("dangling", ["q1"]), ("dangling", ["q2"])]
    text = path.read_text()
    for kept in ("# ours, since 2019", "# asked the network team", "# for good", "'as is'", "# the printer"):
        assert kept in text


def test_the_same_answer_twice_changes_nothing(path):
    (gap,) = gaps("dangling", "q1")
    write(path, Edit(gap, "accept"))
    before = path.read_text()
    assert len(write(path, Edit(gap, "accept"))) == 1
    assert path.read_text() == before


def test_an_open_question_is_answered_where_it_stands(path):
    (gap,) = gaps("dangling", "q1")
    (asked,) = write(path, Edit(gap, "open"))
    assert (asked.answer, asked.objects) == ("open", ["q1"])
    assert len(write(path, Edit(gap, "open"))) == 1
    (made,) = write(path, Edit(gap, "accept", "fine"))
    assert (made.answer, made.objects, made.note) == ("accept", ["q1"], "fine")


@pytest.mark.parametrize("word", ["accept-all", "resolve"])
def test_other_answers_take_the_place_of_what_there_was(path, word):
    (gap,) = gaps("dangling", "q1")
    write(path, Edit(gap, "accept"))
    (made,) = write(path, Edit(gap, word))
    assert (made.answer, made.objects) == (word, [])


def test_an_edited_file_without_a_single_answer_is_fine(path):
    path.write_text(HEAD + "answers:\n")
    assert answers.read(path).answers == []
    (gap,) = gaps("id-extension-missing")
    assert [a.rule for a in write(path, Edit(gap, "accept"))] == ["id-extension-missing"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not YAML"),
        ("", "Expected `object`"),
        (HEAD.replace("1", "2") + "answers: []\n", "version"),
        (HEAD + "answers:\n  - rule: dangling\n    answer: yes\n", "answers[0].answer"),
        (HEAD + "answers:\n  - rule: dangling\n    answer: accept\n    objetcs: []\n", "objetcs"),
    ],
)
def test_a_wrong_file_is_one_sentence(path, text, words):
    path.write_text(text)
    with pytest.raises(AnswersError) as caught:
        answers.read(path)
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.next_step


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    (gap,) = gaps("dangling", "q1")
    with pytest.raises(AnswersError, match="cannot be written"):
        write(tmp_path / "nowhere" / "a.yaml", Edit(gap, "accept"))


def test_answers_are_for_one_cloud_and_target(path):
    path.write_text(HEAD + "answers: []\n")
    file = answers.read(path)
    answers.check(file, path, "production", "bundled", RULES)
    for cloud, target in (("staging", "bundled"), ("production", "upstream")):
        with pytest.raises(AnswersError, match="production"):
            answers.check(file, path, cloud, target, RULES)


def test_an_unknown_rule_is_told_with_the_nearest(path):
    path.write_text(HEAD + "answers:\n  - rule: danglin\n    answer: accept-all\n")
    with pytest.raises(AnswersError, match="'danglin'") as caught:
        answers.check(answers.read(path), path, "production", "bundled", RULES)
    assert "dangling" in caught.value.next_step


@pytest.mark.parametrize("text", ["dangling", "dangling=", "dangling=yes", "dangling=open", "=accept"])
def test_what_is_no_answer_on_the_command_line(text):
    with pytest.raises(AnswersError):
        answers.parse(text, RULES)


def test_an_answer_on_the_command_line():
    assert answers.parse("dangling=accept-all", RULES) == ("dangling", "accept-all")


def test_a_question_whose_objects_are_all_accepted_goes_away(path):
    (gap,) = gaps("dangling", "q1")
    write(path, Edit(gap, "accept"))
    (more,) = gaps("dangling", "q1", "q2")
    assert len(write(path, Edit(more, "open"))) == 2
    (made,) = write(path, Edit(gap, "accept"))
    assert (made.answer, made.objects) == ("accept", ["q1"])


def test_the_file_keeps_its_rights_and_nothing_else_is_left(path):
    (gap,) = gaps("dangling", "q1")
    write(path, Edit(gap, "accept"))
    path.chmod(0o600)
    write(path, Edit(gap, "accept-all"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in path.parent.iterdir()) == ["alcor-answers.schema.json", "alcor-answers.yaml"]


def test_hostile_names_stay_comments(path):
    (gap,) = gaps("dangling", "q1")
    subject = gap.objects[0]
    evil = type(subject)("port", "q1", "x\n  - rule: malformed\n    answer: accept-all " + "y" * 70_000)
    write(path, Edit(type(gap)(gap.rule, [evil]), "accept"))
    assert [a.rule for a in answers.read(path).answers] == ["dangling"]
    assert path.stat().st_size < 2000
    assert yaml.safe_load(path.read_text())["answers"][0]["objects"] == ["q1"]

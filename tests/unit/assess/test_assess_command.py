"""`alcor-migrate assess` on the command line, with a reading that needs no cloud."""

import json

import pytest
from builders import assessment, gaps
from typer.testing import CliRunner

from alcor_migrate import cloud
from alcor_migrate.assess import collect
from alcor_migrate.cli.commands import app

OPEN = ("dangling", "q1")


class Reading:
    """What was read, judged by the real rules."""

    def __init__(self, *found):
        self.found = found

    def judge(self, file):
        answers = file.answers if file else ()
        return assessment([g for rule, *ids in self.found for g in gaps(rule, *ids, answers=answers)])


class Cloud:
    def __init__(self, name):
        self.name = name

    async def network_address(self):
        return "http://from-the-catalogue"


@pytest.fixture
def assess(tmp_path, monkeypatch):
    asked = []

    def run(*options, found=(OPEN,), first=("--cloud", "production")):
        async def read(question):
            asked.append(question)
            return Reading(*found)

        monkeypatch.setattr(collect, "read", read)
        result = CliRunner().invoke(app, ["assess", *first, *map(str, options)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    monkeypatch.setattr(cloud, "Cloud", Cloud)
    monkeypatch.chdir(tmp_path)
    run.asked = asked
    return run


@pytest.mark.parametrize(
    ("found", "code"), [((), 0), ((OPEN,), 10), ((OPEN, ("target-not-empty",)), 11), ((("binding-failed", "q1"),), 0)]
)
def test_the_exit_code_is_the_verdict(assess, found, code):
    assert assess(found=found).exit_code == code


def test_a_first_contact_needs_a_cloud_and_nothing_else(assess, tmp_path):
    assert assess("--target", "upstream").exit_code == 10
    (question,) = assess.asked
    assert (question.source_url, question.target.value, question.target_url) == (
        "http://from-the-catalogue",
        "upstream",
        "",
    )
    assert list(tmp_path.iterdir()) == []
    assess("--source-url", "http://given")
    assert assess.asked[-1].source_url == "http://given"


def test_the_document_is_json(assess):
    assert json.loads(assess("--json").stdout)["verdict"] == "needs answers"


def test_an_answer_is_written_and_counts_at_once_and_later(assess, tmp_path):
    done = assess("--answer", "dangling=accept", "--note", "we know it")
    assert done.exit_code == 0
    assert "we know it" in (tmp_path / "alcor-answers.yaml").read_text()
    assert assess().exit_code == 0
    again = assess("--json", found=(("dangling", "q1", "q2"),))
    assert again.exit_code == 10
    assert json.loads(again.stdout)["gaps"][0]["new"] == ["q2"]


def test_open_questions_are_put_into_a_file_and_answered_there(assess, tmp_path):
    path = tmp_path / "ours.yaml"
    assert assess("--write-open", "--answers", path).exit_code == 10
    text = path.read_text()
    assert "answer: open" in text
    path.write_text(text.replace("answer: open", "answer: accept"))
    assert assess("--answers", path).exit_code == 0


def test_the_report_is_written(assess, tmp_path):
    assess("--html", tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--answer", "danglign=accept"], "danglign"),
        (["--answer", "dangling=maybe"], "no answer"),
        (["--answer", "contradictory=accept"], "finds nothing"),
        (["--answer", "target-not-empty=accept"], "cannot be answered"),
        (["--target", "sideways"], "sideways"),
        (["--schema", "everything"], "everything"),
        (["--html", "nowhere/report.html"], "cannot be written"),
    ],
)
def test_mistakes_are_one_sentence_and_a_way_out(assess, tmp_path, options, words):
    done = assess(*options, found=(OPEN, ("target-not-empty",)))
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Next: " in done.stderr
    assert not (tmp_path / "alcor-answers.yaml").exists()


def test_a_wrong_answers_file_is_told_before_anything_is_read(assess, tmp_path):
    (tmp_path / "alcor-answers.yaml").write_text("version: 1\ncloud: staging\ntarget: bundled\nanswers: []\n")
    done = assess()
    assert done.exit_code == 2
    assert "'staging'" in done.stderr
    assert not assess.asked


def test_without_a_cloud_and_without_a_file_the_way_out_names_both(assess):
    done = assess(first=())
    assert done.exit_code == 2
    assert "--config" in done.stderr
    assert "--cloud" in done.stderr
    assert assess(first=("--source-url", "http://x")).exit_code == 2


@pytest.mark.parametrize(("which", "words"), [("document", "Assessment"), ("answers", "AnswersFile")])
def test_schemas_are_printed(assess, which, words):
    done = assess("--schema", which, first=())
    assert done.exit_code == 0
    assert words in json.loads(done.stdout)["$defs"]

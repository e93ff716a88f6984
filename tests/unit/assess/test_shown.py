"""The document as screen, page and JSON."""

import io
import re

import msgspec
import pytest
from builders import assessment, gaps, subjects
from rich.console import Console

from alcor_migrate.assess.answers import Answer
from alcor_migrate.assess.document import Assessment, schema
from alcor_migrate.assess.page import page
from alcor_migrate.assess.screen import screen

MANY = gaps("dangling", *(f"id-{n}" for n in range(300)))
HALF = gaps("contradictory", "a", "b", answers=[Answer("contradictory", "accept", objects=["a"], by="ada")])


def shown(found, width=80):
    out = io.StringIO()
    Console(file=out, width=width).print(screen(found))
    return out.getvalue()


@pytest.mark.parametrize("found", [[], MANY, [*MANY, *HALF], gaps("target-not-empty", "port")])
def test_the_screen_fits_into_80_columns_without_a_terminal(found):
    text = shown(assessment(found))
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines()) <= 80
    assert len(text.splitlines()) < 120


def test_the_screen_says_what_is_asked_and_how_to_answer():
    text = shown(assessment([*MANY, *HALF]), 200)
    for words in ("300 ports", "if accepted:", "way out:", "and 295 more", "accepted by ada, 1 new since"):
        assert words in text
    assert "--answer dangling=accept" in text
    # Only what is new of what was accepted before.
    assert "name of b" in text
    assert "name of a " not in text


def test_the_screen_of_a_blocked_cloud_asks_for_no_answer():
    text = shown(assessment([*gaps("target-not-empty", "port"), *MANY]))
    assert "blocked" in text
    assert "--answer" not in text


def test_the_page_is_one_file_without_script_or_foreign_resources():
    text = page(assessment([*MANY, *HALF, *gaps("binding-failed", "q")]))
    assert text.count("<li") < 400
    assert not re.findall(r"<script|<link|<img|@import|url\(|https?://(?!neutron:9696)", text)
    assert "prefers-color-scheme: dark" in text
    assert "300 ports" in text


def test_hostile_names_are_harmless():
    evil = "<script>alert(1)</script>[red]\x1b[2J" + "x" * 65_536
    gap = MANY[0]
    hostile = type(gap)(gap.rule, [type(subjects("q")[0])("port", "q", evil, evil, evil)], new=["q"], open=True)
    found = assessment([hostile], cloud=evil[:99])
    text = page(found)
    assert "<script" not in text
    assert len(text) < 60_000
    text = shown(found)
    assert "\x1b" not in text
    assert len(text) < 12_000


def test_the_document_is_what_its_schema_says():
    found = assessment([*MANY, *HALF])
    again = msgspec.json.decode(msgspec.json.encode(found), type=Assessment)
    assert again == found
    assert b"what there is" not in schema()
    assert '"Assessment"' in schema().decode()

"""The operator's answers to what `assess` found: a YAML file that is edited by hand or by `assess --answer`.

An answer is bound to its rule and to the objects it was given for, so that what appears later is asked again.
Edits of ours keep the comments and the order of the file.
"""

from __future__ import annotations

import difflib
import io
import os
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from alcor_migrate.errors import AnswersError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alcor_migrate.assess.document import Gap, Rule

VERSION = 1
_WIDTH, _ID = 110, 36

Word = Literal["accept", "accept-all", "resolve", "open"]
GIVEN = tuple(w for w in get_args(Word) if w != "open")
"""What can be answered; `open` stands in the file where nobody has answered yet."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One decision about a rule."""

    rule: str
    """The rule's name, as `assess` prints it."""
    answer: Word
    """`accept`: for the objects listed here, the consequence is acceptable. `accept-all`: also for those that appear
    later. `resolve`: it will be resolved, and keeps the cloud from being ready until it is. `open`: not answered."""
    objects: list[str] = []
    """The ids that an `accept` was given for; names of hosts, aliases of extensions."""
    note: str = ""
    """Why; for whoever reads this next year."""
    by: str = ""
    """Who answered."""
    at: str = ""
    """When."""


class AnswersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answers about one cloud on its way to one target."""

    version: Literal[1]
    """Of this form."""
    cloud: str
    """The entry of clouds.yaml."""
    target: Literal["bundled", "upstream"]
    """Which Alcor."""
    answers: list[Answer] = []
    """Several for one rule add up."""


def schema() -> bytes:
    """The JSON schema of the file, indented."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(AnswersFile)), indent=2)


def read(path: Path) -> AnswersFile | None:
    """The answers in a file, or None when there is no such file. Raises AnswersError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise AnswersError(f"the answers file {path} cannot be read: {error}") from error
    try:
        # Every scalar stays a text: an id of digits only is not a number.
        document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  # makes nothing but texts, lists and maps
    except yaml.YAMLError as error:
        raise AnswersError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if isinstance(document, dict) and document.get("answers") == "":
        document["answers"] = []
    try:
        return msgspec.convert(document, AnswersFile, strict=False)
    except msgspec.ValidationError as error:
        raise AnswersError(f"{path}: {error}") from error


def check(file: AnswersFile, path: Path, cloud: str, target: str, known: Iterable[str]) -> None:
    """Raise AnswersError unless the file is about this cloud and target, and about rules that exist."""
    if (file.cloud, file.target) != (cloud, target):
        raise AnswersError(
            f"{path} has the answers for cloud {file.cloud!r} and target {file.target!r}, "
            f"not for {cloud!r} and {target!r}",
            "Name another file with --answers; answers for one cloud and target mean nothing for another.",
        )
    names = set(known)
    for answer in file.answers:
        if answer.rule not in names:
            raise AnswersError(f"{path}: there is no rule named {answer.rule!r}", _nearest(answer.rule, names))


def parse(text: str, known: Mapping[str, Rule]) -> tuple[str, Word]:
    """The rule and the answer of `RULE=ANSWER`. Raises AnswersError."""
    name, separator, word = text.partition("=")
    if not separator or word not in GIVEN:
        raise AnswersError(f"{text!r} is no answer", f"Write --answer RULE=ANSWER with one of {', '.join(GIVEN)}.")
    if name not in known:
        raise AnswersError(f"there is no rule named {name!r}", _nearest(name, set(known)))
    return name, word  # type: ignore[return-value]  # it is one of GIVEN


def _nearest(name: str, names: set[str]) -> str:
    near = difflib.get_close_matches(name, names, 3, 0.5)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}`alcor-migrate assess` prints the rules that found something; docs/reference/rules.md has all."


class Edit(msgspec.Struct, frozen=True):
    """What is to be written about one gap."""

    gap: Gap
    answer: Word
    note: str = ""
    by: str = ""
    at: str = ""


def write(path: Path, cloud: str, target: str, edits: Sequence[Edit]) -> None:
    """Put answers into the file, which is made when there is none, and its schema beside it. Raises AnswersError.

    What else is in the file stays as it is, comments too. It is replaced in one step, never half-written.
    """
    editor = YAML()
    editor.width = _WIDTH
    editor.preserve_quotes = True
    editor.indent(mapping=2, sequence=4, offset=2)
    try:
        document = editor.load(path.read_text(encoding="utf-8") if path.exists() else _header(path, cloud, target))
        if not document.get("answers"):
            document["answers"] = editor.seq()
        entries = document["answers"]
        for edit in edits:
            _put(editor, entries, edit)
        text = io.StringIO()
        editor.dump(document, text)
        _replace(path, text.getvalue())
        schema_path(path).write_bytes(schema() + b"\n")
    except OSError as error:
        raise AnswersError(f"the answers file {path} cannot be written: {error}") from error
    except YAMLError as error:
        raise AnswersError(f"{path} is not YAML: {' '.join(str(error).split())}") from error


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode if path.exists() else 0o644
    handle, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(made).chmod(mode)
        Path(made).replace(path)
    except OSError:
        Path(made).unlink()
        raise


def schema_path(path: Path) -> Path:
    """Where the schema of an answers file is put, for editors that check against it."""
    return path.with_suffix(".schema.json")


def _header(path: Path, cloud: str, target: str) -> str:
    return (
        f"# yaml-language-server: $schema=./{schema_path(path).name}\n"
        "# What was decided about the gaps that `alcor-migrate assess` found. Answers: accept (these objects),\n"
        "# accept-all (later ones, too), resolve (it will be resolved before), open (not answered yet).\n"
        f"version: {VERSION}\n" + yaml.safe_dump({"cloud": cloud, "target": target}, sort_keys=False) + "answers:\n"
    )


def _put(editor: Any, entries: Any, edit: Edit) -> None:
    """Bring the entries about one rule to what was answered.

    An `accept` adds the objects that no other accept has; every other answer takes the place of what there was.
    """
    name = edit.gap.rule.name
    mine = [e for e in entries if e.get("rule") == name]
    adds = edit.answer in {"accept", "open"}
    kept = [e for e in mine if adds and e.get("answer") == "accept"]
    replaced = [e for e in mine if not any(e is k for k in kept)]
    covered = {str(o) for e in kept for o in e.get("objects") or []}
    ids = [s.id for s in edit.gap.objects if s.id not in covered] if adds else []
    if kept and not ids:  # everything is covered already
        for entry in replaced:
            entries.remove(entry)
        return
    entry = replaced[0] if replaced else editor.map()
    values = {"rule": name, "answer": edit.answer, "note": edit.note, "by": edit.by, "at": edit.at}
    entry.update({key: value for key, value in values.items() if value})
    if not replaced:
        entries.append(entry)
        entries.yaml_set_comment_before_after_key(len(entries) - 1, before="\n" + _said(edit.gap), indent=2)
    for other in replaced[1:]:
        entries.remove(other)
    entry.pop("objects", None)
    if ids:
        entry["objects"] = _listed(editor, edit.gap, ids)


def _listed(editor: Any, gap: Gap, ids: Sequence[str]) -> Any:
    """The ids, each with the object's name as a comment."""
    listed = editor.seq(ids)
    subjects = {s.id: s for s in gap.objects}
    column = len("      - ") + min(max(map(len, ids)), _ID) + 2
    for index, found in enumerate(ids):
        if words := _one_line(subjects[found].name or subjects[found].detail):
            listed.yaml_add_eol_comment(words, index, column)
    return listed


def _one_line(text: str, length: int = 60) -> str:
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= length else words[: length - 1] + "…"


def _said(gap: Gap) -> str:
    said = (
        f"{gap.rule.title} ({len(gap.objects)})",
        f"If accepted: {gap.rule.consequence}.",
        f"Else: {'; or '.join(gap.rule.ways_out)}.",
    )
    return "\n".join(line for text in said for line in textwrap.wrap(text, _WIDTH))

"""`alcor-migrate assess`: what is asked on the command line, the answers file, and what is printed."""

from __future__ import annotations

import datetime as dt
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from alcor_migrate.cli.console import Json, complain, do, err, out, print_json
from alcor_migrate.errors import AnswersError, ConfigError
from alcor_migrate.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alcor_migrate.assess import Assessment, Question
    from alcor_migrate.assess.answers import Edit

NEEDS_ANSWERS, BLOCKED = 10, 11
ANSWERS = Path("alcor-answers.yaml")
"""Where answers are kept when neither an option nor the configuration says otherwise."""


class _Choices(msgspec.Struct, frozen=True):
    config: Path
    cloud: str
    source_url: str
    target: Literal["bundled", "upstream", ""]
    target_url: str
    answers: Path | None
    answer: list[str]
    note: str
    write_open: bool


def assess(
    context: typer.Context,
    *,
    as_json: Json = False,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report into this file, as one page.")] = None,
    answer: Annotated[
        list[str] | None,
        typer.Option(
            "--answer",
            metavar="RULE=ANSWER",
            help="Answer a gap: `accept`, `accept-all` or `resolve`; can be repeated.",
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Why; written down with the answers given now.")] = "",
    answers: Annotated[
        Path | None,
        typer.Option("--answers", help="The answers file; otherwise the configured one, or ./alcor-answers.yaml."),
    ] = None,
    write_open: Annotated[
        bool,
        typer.Option("--write-open", help="Put what is not answered into the answers file, to be answered there."),
    ] = False,
    cloud: Annotated[
        str, typer.Option("--cloud", help="An entry of clouds.yaml; no configuration file is needed then.")
    ] = "",
    source_url: Annotated[
        str, typer.Option("--source-url", help="Neutron's address; otherwise the catalogue's. Goes with --cloud.")
    ] = "",
    target: Annotated[
        str, typer.Option("--target", help="`bundled` or `upstream`; otherwise the configured one, or bundled.")
    ] = "",
    target_url: Annotated[
        str, typer.Option("--target-url", help="The bundled Alcor's address, asked whether it is empty.")
    ] = "",
    schema: Annotated[
        str | None, typer.Option("--schema", help="Print the JSON schema of `document` or `answers`, and end.")
    ] = None,
) -> None:
    """Say what there is, what will move, and what cannot. Changes nothing on either side."""
    if schema is not None:
        _print_schema(schema)
        return
    config = context.parent.params["config"] if context.parent else Path("alcor-migrate.yaml")
    choices = _Choices(
        config,
        cloud,
        source_url,
        target,  # type: ignore[arg-type]  # _question looks
        target_url,
        answers,
        answer or [],
        note,
        write_open,
    )
    found: Assessment = do(_assess(choices))
    if html is not None:
        _write_page(found, html)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        from alcor_migrate.assess.screen import screen  # noqa: PLC0415  # see _assess

        out.print(screen(found))
    if found.verdict != "ready":
        raise typer.Exit(BLOCKED if found.verdict == "blocked" else NEEDS_ANSWERS)


async def _assess(choices: _Choices) -> Assessment:
    # Reading a cloud takes most of a second to load; verbs that only ask a running migration should not wait for it.
    from alcor_migrate.assess import collect  # noqa: PLC0415
    from alcor_migrate.assess.answers import parse, write  # noqa: PLC0415
    from alcor_migrate.assess.rules import rules  # noqa: PLC0415

    question = await _question(choices)
    known = rules(question.target)
    answered = [parse(text, known) for text in choices.answer]
    file = collect.read_answers(question)
    reading = await collect.read(question)
    found = reading.judge(file)
    edits = _edits(found, answered, choices)
    if edits and question.answers is not None:
        write(question.answers, found.cloud, found.target, edits)
        err.print(f"Written to {question.answers}.", soft_wrap=True, highlight=False)
        found = reading.judge(collect.read_answers(question))
    return found


async def _question(choices: _Choices) -> Question:
    from alcor_migrate.assess import Question  # noqa: PLC0415  # see _assess
    from alcor_migrate.assess.gate import question  # noqa: PLC0415
    from alcor_migrate.cloud import Cloud  # noqa: PLC0415
    from alcor_model.fields import Target  # noqa: PLC0415

    if choices.target not in {"", "bundled", "upstream"}:
        raise ConfigError(f"--target is {choices.target!r}", "Name `bundled` or `upstream`.")
    if choices.cloud:
        cloud = Cloud(choices.cloud)
        return Question(
            cloud,
            choices.source_url or await cloud.network_address(),
            Target(choices.target or "bundled"),
            choices.target_url,
            choices.answers or ANSWERS,
        )
    if choices.source_url:
        raise ConfigError("--source-url is given without --cloud", "Name an entry of clouds.yaml with --cloud.")
    try:
        settings = load_settings(choices.config)
    except ConfigError as error:
        # Whoever meets this for the first time has no file yet.
        error.next_step += " Or name an entry of clouds.yaml with --cloud; no file is needed then."
        raise
    configured = question(settings, Cloud(settings.source.cloud))
    return msgspec.structs.replace(
        configured,
        target=Target(choices.target) if choices.target else configured.target,
        target_url=choices.target_url or configured.target_url,
        answers=choices.answers or configured.answers or ANSWERS,
    )


def _edits(found: Assessment, answered: Sequence[tuple[str, str]], choices: _Choices) -> list[Edit]:
    """What is to be written. Raises AnswersError for an answer to what nobody asked."""
    from alcor_migrate.assess.answers import Edit  # noqa: PLC0415  # see _assess

    at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    gaps = {g.rule.name: g for g in found.gaps}
    edits = []
    for name, word in answered:
        gap = gaps.get(name)
        if gap is None:
            raise AnswersError(f"rule {name} finds nothing in {found.cloud}, so there is nothing to answer")
        if gap.rule.weight.value != "answer":
            raise AnswersError(
                f"rule {name} cannot be answered: {gap.rule.title}",
                "It needs no answer." if gap.rule.weight.value == "note" else f"Instead: {gap.rule.ways_out[0]}.",
            )
        edits.append(Edit(gap, word, choices.note, getpass.getuser(), at))  # type: ignore[arg-type]  # parse looked
    if choices.write_open:
        names = {name for name, _ in answered}
        edits += [
            Edit(g, "open")
            for g in found.gaps
            if g.open and g.rule.weight.value == "answer" and g.answer != "resolve" and g.rule.name not in names
        ]
    return edits


def _write_page(found: Assessment, path: Path) -> None:
    from alcor_migrate.assess.page import page  # noqa: PLC0415  # see _assess

    try:
        path.write_text(page(found), encoding="utf-8")
    except OSError as error:
        complain(
            ConfigError(f"the report cannot be written to {path}: {error.strerror}", "Name another file with --html.")
        )
    err.print(f"The report is in {path}.", soft_wrap=True, highlight=False)


def _print_schema(which: str) -> None:
    from alcor_migrate.assess import answers, document  # noqa: PLC0415  # see _assess

    known = {"document": document.schema, "answers": answers.schema}
    if which not in known:
        complain(ConfigError(f"--schema is {which!r}", "Name `document` or `answers`."))
    sys.stdout.write(known[which]().decode() + "\n")

"""Writes the reference pages from the code: `make docs`. With --check it only says which ones are out of date."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec
import typer
import typer.main

from alcor_migrate import errors as migrate_errors
from alcor_migrate import settings, status
from alcor_migrate.assess import document as assess_document
from alcor_migrate.assess.document import Effect, Weight
from alcor_migrate.assess.rules import rules
from alcor_migrate.cli.commands import app
from alcor_model import load_order, resource
from alcor_model.catalogue.left_out import LEFT_OUT
from alcor_model.fields import Kind, Target
from alcor_model.gaps.upstream import WITHOUT_EFFECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from alcor_model import Resource
    from alcor_model.fields import Field

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
_MADE = "<!-- Made by `make docs` from the code; edit that. -->\n\n"


def configuration() -> str:
    """Every key of the configuration file."""
    text = f"# The configuration file\n\n{_MADE}"
    text += "One YAML document, named with `--config` or `ALCOR_MIGRATE_CONFIG`. An unknown key is an error.\n\n"
    text += (
        "```yaml\nstate_dir: ./state\nsource:\n  cloud: production            # an entry of clouds.yaml\n"
        "  url: http://neutron.internal:9696\ntarget:\n  url: http://alcor.internal:9009\n"
        "gateway:\n  listen: 0.0.0.0:9696\n  policy: fail_closed\n```\n\n"
    )
    text += "| key | type | default | meaning |\n|---|---|---|---|\n"
    return text + "".join(_keys(settings.Settings, ""))


def _keys(of: type[msgspec.Struct], prefix: str) -> list[str]:
    notes, rows = _notes(of), []
    for field in msgspec.structs.fields(of):
        name = prefix + field.name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            rows.append(f"| `{name}` | | | {_first_line(field.type)} |\n")
            rows += _keys(field.type, name + ".")
            continue
        default = "required" if field.required else f"`{field.default}`"
        rows.append(f"| `{name}` | {_type(field.type)} | {default} | {notes.get(field.name, '')} |\n")
    return rows


def command_line() -> str:
    """Every command and every option of it."""
    text = f"# The command line\n\n{_MADE}"
    text += inspect.cleandoc(str(sys.modules["alcor_migrate.cli.commands"].__doc__)) + "\n\n"
    root = typer.main.get_command(app)
    text += "`alcor-migrate [--config FILE] COMMAND`\n\n" + _options(root)
    for name, command in sorted(getattr(root, "commands", {}).items()):
        text += f"\n## `alcor-migrate {name}`\n\n{inspect.cleandoc(command.help or '')}\n\n" + _options(command)
    return text


def _options(command: Any) -> str:
    rows = [
        f"| {', '.join(f'`{o}`' for o in p.opts)} | {p.help or ''} |\n"
        for p in command.params
        if getattr(p, "opts", None) and "--help" not in p.opts
    ]
    return "| option | meaning |\n|---|---|\n" + "".join(rows) if rows else ""


def error_tree() -> str:
    """Every error and what the command line ends with."""
    text = f"# Errors and exit codes\n\n{_MADE}"
    text += "Every error is one sentence that names the thing, and a next step.\n\n"
    text += "| error | exit code | when |\n|---|---|---|\n"
    kinds = [k for _, k in inspect.getmembers(migrate_errors, inspect.isclass)]
    mine = [k for k in kinds if issubclass(k, migrate_errors.MigrationError)]
    for kind in sorted(mine, key=lambda k: (k.exit_code, k.__name__)):
        text += f"| {kind.__name__} | {kind.exit_code} | {_first_line(kind)} |\n"
    text += "| (assess) | 10 | Something was found that nobody answered. |\n"
    text += "| (assess) | 11 | A run would be refused, whatever is answered. |\n"
    text += "| (verify) | 12 | There are mismatches. |\n"
    text += "| (cutover, reverse) | 13 | The handover did not succeed; the old side goes on. |\n"
    return text + "| (drain) | 14 | Something is on its way in Neutron's pipeline. |\n"


def status_document() -> str:
    """Every field of `status --json`."""
    return f"# The status document\n\n{_MADE}{inspect.cleandoc(str(status.__doc__))}\n" + _structs(status.Status)


def assessment() -> str:
    """Every field of `assess --json`."""
    intro = inspect.cleandoc(str(assess_document.__doc__))
    return f"# The assessment document\n\n{_MADE}{intro}\n" + _structs(assess_document.Assessment)


def _structs(root: type) -> str:
    """Tables of a struct's fields, and of those of the structs within."""
    text = ""
    seen: list[type] = [root]
    for of in seen:
        text += f"\n## {of.__name__}\n\n{_first_line(of)}\n\n| field | type | meaning |\n|---|---|---|\n"
        notes = _notes(of)
        for name, kind in get_type_hints(of).items():
            text += f"| `{name}` | {_type(kind)} | {notes.get(name, '')} |\n"
            for part in [kind, *getattr(kind, "__args__", ())]:
                if isinstance(part, type) and issubclass(part, msgspec.Struct) and part not in seen:
                    seen.append(part)
    return text


def assess_rules() -> str:
    """Every rule of `assess`."""
    text = f"# The rules of assess\n\n{_MADE}"
    text += (
        "Each asks for something. **answer**: a decision; **block**: a change, no answer helps; **note**: nothing.\n"
        "[How to answer](../assess.md).\n"
    )
    bundled, upstream = rules(Target.BUNDLED), rules(Target.UPSTREAM)
    for name, rule in (bundled | upstream).items():
        only = "" if name in bundled and name in upstream else "bundled" if name in bundled else "upstream"
        where = f", target {only}" if only else ""
        text += f"\n## `{name}`\n\n{rule.title[0].upper()}{rule.title[1:]} ({rule.weight.value}{where}).\n\n"
        text += f"* Its objects {rule.effect.value}.\n" if rule.effect is not Effect.CLOUD else ""
        text += f"* {'If accepted' if rule.weight is Weight.ANSWER else 'What happens'}: {rule.consequence}.\n"
        text += f"* Ways out: {'; or '.join(rule.ways_out)}.\n"
        text += f"* It hinders {rule.hinders}.\n" if rule.hinders else ""
    return text


_MEANINGS = {
    Kind.SAME: "same",
    Kind.RENAMED: "renamed",
    Kind.CONVERTED: "converted",
    Kind.EXTENSION: "extension",
    Kind.DERIVED: "derived",
}


def mapping() -> str:
    """What becomes of every declared field."""
    text = f"# The mapping, field by field\n\n{_MADE}"
    text += (
        "What becomes of every field of Neutron's API: **same** name and value, **renamed**, **converted** to some "
        "other form of the same value, kept in the **extension** `neutron:attributes`, or **derived**: worked out "
        "anew by whoever answers, and so neither stored nor compared. The bundled Alcor stores and gives back all "
        "but the derived ones, also those that nobody declared: Neutron → Alcor → Neutron is the identity there. "
        "The last column is about upstream Alcor; a *gap* there is told by `assess` ([the rules](rules.md)).\n\n"
        "*computed*: Neutron fills it in by itself, so nobody can give it on the way back. *volatile*: it changes by "
        "itself, is carried and never compared. *secret*: never shown.\n"
    )
    for of in load_order():
        text += f"\n## {of.name} → `{of.alcor_collection}`\n\n{_about(of)}\n\n"
        text += "| Neutron | Alcor | what becomes of it | upstream |\n|---|---|---|---|\n"
        for field in of.fields:
            words = [_MEANINGS[field.kind]]
            words += ["volatile" if not field.compared else "computed"] if field.computed else []
            words += ["secret"] if field.secret else []
            meaning = ", ".join(words) + (f": {field.reason}" if field.reason else "")
            alcor = f"`{field.alcor}`" if field.alcor else ""
            text += f"| `{field.neutron}` | {alcor} | {meaning} | {_upstream(of, field)} |\n"
        if of.alcor_only:
            text += "\nOnly Alcor has: " + "; ".join(f"`{f.name}` ({f.reason})" for f in of.alcor_only) + ".\n"
    text += "\n## Collections that are not mapped\n\n| collection | why |\n|---|---|\n"
    return text + "".join(f"| `{name}` | {reason} |\n" for name, reason in sorted(LEFT_OUT.items()))


def _about(of: Resource) -> str:
    below = f"{resource(of.nested.resource).collection}/{{{of.nested.field}}}/" if of.nested else ""
    words = [f"`/v2.0/{below}{of.collection}`"]
    words += [f"extension `{of.alias}`"] if of.alias else []
    words += [f"known by {' and '.join(f'`{name}`' for name in of.identity)}"] if of.identity != ("id",) else []
    words += ["observed: Neutron finds it out, nobody creates it"] if of.observed else []
    words += ["not listed: a GET of one creates it"] if not of.listed else []
    words += [] if of.upstream else ["**unknown to upstream Alcor**"]
    return "; ".join(words) + "."


def _upstream(of: Resource, field: Field) -> str:
    if field.kind is Kind.DERIVED:
        return ""
    if not of.fits(field, Target.UPSTREAM):
        return "gap: " + (field.upstream_loses or ("no such field" if of.upstream else "no such resource"))
    return "kept, without effect" if field.neutron in WITHOUT_EFFECT.get(of.name, {}) else "kept"


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "command-line.md": command_line,
    "errors.md": error_tree,
    "status.md": status_document,
    "mapping.md": mapping,
    "assessment.md": assessment,
    "rules.md": assess_rules,
}


def _notes(of: type) -> dict[str, str]:
    """The docstring below each attribute of a class."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(of)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    notes = {}
    for before, after in itertools.pairwise(body):
        named = isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)
        if named and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            notes[before.target.id] = " ".join(str(after.value.value).split())  # type: ignore[attr-defined,union-attr]
    return notes


def _first_line(of: type) -> str:
    return " ".join(inspect.cleandoc(of.__doc__ or "").split("\n\n")[0].split())


def _type(kind: Any) -> str:
    choices = getattr(kind, "__args__", ())
    if choices and all(isinstance(c, str) for c in choices):
        return " or ".join(f"`{c}`" for c in choices)
    name = getattr(kind, "__name__", str(kind)) if not choices else str(kind)
    return re.sub(r"\b[a-z_]+\.", "", name).replace(" | ", " or ")


def main(*, check: bool) -> int:
    """Write every page, or with `check` say which differ; the exit code."""
    REFERENCE.mkdir(parents=True, exist_ok=True)
    stale = []
    for name, make in PAGES.items():
        path, text = REFERENCE / name, make().rstrip() + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if check and stale:
        typer.echo(f"out of date, run `make docs`: {', '.join(stale)}", err=True)
        return 1
    typer.echo(f"docs/reference: {len(PAGES)} pages" + ("" if check else f", {len(stale)} changed"))
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))

"""How one resource lies in Neutron's tables: the declarations that reading and fingerprints both follow.

A rule names the table whose rows are the objects, the parts that other tables add to each, and a pure function
that builds the API's form of one object. Everything that a builder looks at is declared, because a fingerprint
covers exactly what is declared: a column that was read but not declared could change unseen.

Source of the rules: the models and `_make_*_dict` functions of Neutron 21 (Zed) to 29.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from alcor_model.fields import Json

Row = dict[str, Any]
"""One row by column; a column that this release does not have is None."""


class Bridge(msgspec.Struct, frozen=True):
    """A table between an object and a part: `key` holds what the object's link holds, `link` the part's key."""

    table: str
    key: str
    link: str
    where: tuple[tuple[str, str], ...] = ()
    """Columns of the bridge that must have a value."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of another table that belong to an object.

    `one`: there is at most one, and its columns appear in the object's row as `name.column`.
    Else the builder finds them as a list under `name`.
    A column may be written `new|old` where releases differ.
    """

    name: str
    table: str
    key: str
    columns: tuple[str, ...]
    link: str = "id"
    """The column of the object's own row that `key` is compared with."""
    one: bool = False
    bridge: Bridge | None = None
    where: tuple[tuple[str, str], ...] = ()
    """Columns that must have a value (as text)."""


class Facts(msgspec.Struct, frozen=True):
    """What the database cannot tell, and the API can."""

    extensions: frozenset[str]
    """Aliases of what is loaded; an object has the fields of these only."""
    project_id: str = ""
    """Of our administrator: `shared` is answered from the caller's point of view."""
    dns_domain: str | None = None
    """Neutron's option, with its final dot; None while there is no port whose answer shows it."""

    def has(self, alias: str) -> bool:
        """Whether an extension is loaded."""
        return alias in self.extensions


class AskApiError(Exception):
    """An object that only the API can tell, because one of its fields is computed in Neutron's own code."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """How the objects of one resource are made of rows."""

    resource: str
    table: str
    columns: tuple[str, ...]
    """Of the object's own row; `id` comes first."""
    build: Callable[[Row, Mapping[str, list[Row]], Facts], Json]
    parts: tuple[Part, ...] = ()
    where: tuple[tuple[str, str], ...] = ()
    """Columns that must have a value (as text)."""
    found_by: Mapping[str, str] = {}
    """The column of the object's own row for a field of the API by which objects are found, if its name differs."""


STANDARD = Part(
    name="standard",
    table="standardattributes",
    key="id",
    link="standard_attr_id",
    columns=("description", "revision_number", "created_at", "updated_at"),
    one=True,
)
"""What most resources share."""

TAGS = Part(name="tags", table="tags", key="standard_attr_id", link="standard_attr_id", columns=("tag",))


def standard(row: Row, parts: Mapping[str, list[Row]], facts: Facts) -> Json:
    """The fields that come from the standard attributes."""
    found: Json = {"description": row["standard.description"]}
    if facts.has("standard-attr-revisions"):
        found["revision_number"] = row["standard.revision_number"]
    if facts.has("standard-attr-timestamp") and row["standard.created_at"] and row["standard.updated_at"]:
        found["created_at"] = row["standard.created_at"]
        found["updated_at"] = row["standard.updated_at"]
    if facts.has("standard-attr-tag"):
        found["tags"] = [tag["tag"] for tag in parts["tags"]]
    return found


def owner(row: Row) -> Json:
    """Whose it is, under both names."""
    return {"project_id": row["project_id"], "tenant_id": row["project_id"]}


def shared(entries: Iterable[Row], facts: Facts) -> bool:
    """Whether RBAC entries share an object with everybody, or with the project that asks."""
    return any(
        entry["action"] == "access_as_shared" and entry["target_project"] in {"*", facts.project_id}
        for entry in entries
    )


def flag(value: Any) -> bool | None:
    """MariaDB keeps booleans as numbers."""
    return None if value is None else bool(value)


def default_true(value: Any) -> bool:
    """A boolean of a row that may be missing, which means true."""
    return value is None or bool(value)


def listed(text: str | None) -> list[Any]:
    """A list that Neutron keeps as JSON text."""
    found = decoded(text)
    return found if isinstance(found, list) else []


def decoded(text: str | None) -> Any:
    """JSON text, or None where there is none or it is broken, which Neutron answers alike."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def rbac(table: str) -> Part:
    """The RBAC entries of an object."""
    return Part(name="rbac", table=table, key="object_id", columns=("action", "target_project|target_tenant"))

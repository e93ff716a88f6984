"""SQL for a rule, made for the tables that this database really has.

Only what is declared in a rule is asked for, in ranges of the object's id: whatever the size of the cloud, a page
costs the same memory, and no cursor stays open while its rows travel to the target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from alcor_migrate.errors import SourceDatabaseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from alcor_migrate.source.database.rules import Part, Rule

_ABOVE = "zzzz"
"""Sorts, behind the same beginning, above everything that ids are made of, whatever the collation."""

_MYSQL = {"mysql", "mariadb"}
_SEPARATOR: sa.ColumnElement[Any] = sa.literal_column("0x1f")
_NOTHING: sa.ColumnElement[Any] = sa.literal_column("0x00")
_FREE = 255
"""Columns of this length hold what users write. Their lengths are hashed too: they may contain the separator."""


class Statements:
    """What is asked of the database for the objects of one rule.

    `empty` names tables without a row: parts that lie there are not asked for. `quick` says that the server has
    CRC32C (MariaDB 10.8). Raises SourceDatabaseError when a column is missing that Zed to 29 all have.
    """

    def __init__(
        self,
        rule: Rule,
        tables: Mapping[str, sa.Table],
        dialect: str,
        empty: Collection[str] = (),
        *,
        quick: bool = False,
    ) -> None:
        self._rule = rule
        self._quick = quick
        self._tables = tables
        self._dialect = dialect
        self._main = tables[rule.table]
        there = [p for p in rule.parts if self._is_there(p) and _tables_of(p).isdisjoint(empty)]
        self._joined = [p for p in there if p.one]
        self.lists = {p.name: self._rows_of(p) for p in there if not p.one}
        """Part to the query for its rows; the object's id comes first, under the name `_of`."""
        self.nothing: dict[str, None] = {
            f"{p.name}.{_plain(c)}": None for p in rule.parts if p.one and p not in there for c in p.columns
        }
        """The columns of parts that are not there."""
        self.without = tuple(p.name for p in rule.parts if not p.one and p not in there)
        """Lists that are empty for every object."""
        self._every = self._objects()

    # -- reading -------------------------------------------------------------------------------------------------

    def ids(self, after: str, prefix: str, size: int) -> sa.Select[int, Any]:
        """How many objects the next page has, and its last id; `prefix` begins all of them."""
        query = sa.select(self._main.c.id).where(self._main.c.id > after, *self._beginning(prefix))
        page = self._only(query, self._main, self._rule.where).order_by(self._main.c.id).limit(size).subquery()
        return sa.select(sa.func.count(), sa.func.max(page.c.id))

    def objects(self, after: str, last: str, prefix: str) -> sa.Select[Any]:
        """The objects of a page, with the parts of which each has at most one."""
        key = self._main.c.id
        return self._every.where(key > after, key <= last, *self._beginning(prefix))

    def rows(self, part: str, after: str, last: str) -> sa.Select[Any]:
        """The rows of a part that belong to the objects of a page."""
        key = self._object_key(self._part(part))
        return self.lists[part].where(key > after, key <= last)

    def these(self, field: str, values: Collection[str]) -> sa.Select[Any]:
        """The objects with one of these values in a field (of the API's form), with the parts of which each has one.

        Raises KeyError when the field is not in a column of the objects' own rows.
        """
        column = self._main.c[self._rule.found_by.get(field, field)]
        return self._every.where(column.in_(values))

    def rows_of_these(self, part: str, ids: Collection[str]) -> sa.Select[Any]:
        """The rows of a part that belong to these objects."""
        return self.lists[part].where(self._object_key(self._part(part)).in_(ids))

    def as_json(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """The same rows as one JSON text, and how many: the database writes it faster than a driver reads."""
        columns = list(query.selected_columns)
        if self._dialect in _MYSQL:
            text = sa.func.group_concat(sa.func.json_array(*columns))
        elif self._dialect == "postgresql":
            text = sa.func.string_agg(sa.cast(sa.func.json_build_array(*columns), sa.Text), ",")
        else:
            text = sa.func.group_concat(sa.func.json_array(*columns))
        return query.with_only_columns(sa.func.count(), text)

    def count(self) -> sa.Select[Any]:
        """How many objects there are."""
        query = sa.select(sa.func.count()).select_from(self._main)
        return self._only(query, self._main, self._rule.where)

    def _objects(self) -> sa.Select[Any]:
        chosen = [self._column(self._main, spec).label(_plain(spec)) for spec in self._rule.columns]
        source: Any = self._main
        for part in self._joined:
            table = self._tables[part.table].alias(f"j_{part.name}")
            on = table.c[part.key] == self._main.c[part.link]
            for name, value in part.where:
                on &= table.c[name] == value
            source = source.outerjoin(table, on)
            chosen += [self._column(table, spec).label(f"{part.name}.{_plain(spec)}") for spec in part.columns]
        return self._only(sa.select(*chosen).select_from(source), self._main, self._rule.where)

    def _rows_of(self, part: Part) -> sa.Select[Any]:
        table = self._aliased(part)
        chosen = [self._column(table, spec).label(_plain(spec)) for spec in part.columns]
        source, key = self._source(part, table)
        return self._only(sa.select(key.label("_of"), *chosen).select_from(source), table, part.where)

    def _aliased(self, part: Part) -> Any:
        return self._tables[part.table].alias(f"p_{part.name}")

    def _source(self, part: Part, table: Any) -> tuple[Any, sa.ColumnElement[str]]:
        """The part joined with what lies between it and the object's id; and that id."""
        key = table.c[part.key]
        source = table
        if part.bridge is not None:
            bridge = self._tables[part.bridge.table].alias(f"b_{part.name}")
            on = key == bridge.c[part.bridge.link]
            for name, value in part.bridge.where:
                on &= bridge.c[name] == value
            source, key = bridge.join(table, on), bridge.c[part.bridge.key]
        if part.link != "id":
            source, key = self._main.join(source, self._main.c[part.link] == key), self._main.c.id
        return source, key

    def _object_key(self, part: Part) -> sa.ColumnElement[str]:
        return self.lists[part.name].selected_columns["_of"].element  # type: ignore[no-any-return]

    # -- fingerprints --------------------------------------------------------------------------------------------

    def sums(self, length: int) -> Iterable[tuple[str, sa.Select[Any]]]:
        """Per table that feeds the objects, by its part: (beginning of the id, rows, sum of the rows' hashes)."""
        own = [self._column(self._main, spec) for spec in self._rule.columns]
        query = self._sum(self._main.c.id, own, length).select_from(self._main)
        yield "", self._only(query, self._main, self._rule.where)
        for part in self._rule.parts:
            if part.name in self.lists or part in self._joined:
                table = self._aliased(part)
                source, key = self._source(part, table)
                columns = [key, *(self._column(table, spec) for spec in part.columns)]
                query = self._sum(key, columns, length).select_from(source)
                yield part.name, self._only(query, table, part.where)

    def _sum(self, key: sa.ColumnElement[str], columns: list[Any], length: int) -> sa.Select[Any]:
        bucket = sa.func.substr(key, 1, length).label("bucket") if length else sa.literal("").label("bucket")
        query = sa.select(bucket, sa.func.count(), sa.func.sum(self._hash(columns)))
        return query.group_by(sa.text("bucket")) if length else query.group_by(bucket)

    def _hash(self, columns: list[Any]) -> sa.ColumnElement[Any]:
        """About 60 bits of a row's columns, to be summed.

        Never XORed, and no CRC alone: the same change of two rows changes both CRCs by the same bits. The product
        of two different CRCs does not behave so, and MariaDB computes it three times faster than an MD5.
        """
        if self._dialect == "sqlite":
            return sa.func.alcor_hash(*columns)
        lengths = [sa.func.octet_length(c) for c in columns if _is_free(c)]
        if self._dialect == "postgresql":
            text = sa.func.concat_ws("\x1f", *(sa.func.quote_nullable(c) for c in columns))
            return sa.func.hashtextextended(text, 0)
        text = sa.func.concat_ws(_SEPARATOR, *(sa.func.ifnull(c, _NOTHING) for c in columns), *lengths)
        if self._quick:
            return sa.func.crc32(text) * (sa.func.crc32c(text) + 1)
        digits = sa.func.left(sa.func.md5(text), 15)
        return sa.cast(sa.func.conv(digits, 16, 10), mysql.INTEGER(unsigned=True))

    # -- what there is -------------------------------------------------------------------------------------------

    def finds(self, field: str) -> bool:
        """Whether objects can be found by a field (of the API's form): it is a column of their own rows."""
        return self._rule.found_by.get(field, field) in self._main.c

    def _part(self, name: str) -> Part:
        return next(p for p in self._rule.parts if p.name == name)

    def _is_there(self, part: Part) -> bool:
        if any(name not in self._tables for name in _tables_of(part)):
            return False
        return part.key in self._tables[part.table].c and part.link in self._main.c

    def _column(self, table: Any, spec: str) -> sa.ColumnElement[Any]:
        """A column under the first of its names that this release knows; one that ends in `?` may be missing."""
        for name in spec.rstrip("?").split("|"):
            if name in table.c:
                column = table.c[name]
                return self._time(column) if isinstance(column.type, sa.DateTime) else column
        if spec.endswith("?"):
            return sa.null()
        original = getattr(table, "element", table)
        raise SourceDatabaseError(
            f"Neutron's table {original.name} has no column {' or '.join(spec.split('|'))}",
            "This release of Neutron is not known here; leave `source.database` out, and its API is read.",
        )

    def _time(self, column: Any) -> sa.ColumnElement[str]:
        """A time as Neutron's API writes it, made by the database."""
        if self._dialect in _MYSQL:
            return sa.func.date_format(column, sa.literal_column("'%Y-%m-%dT%H:%i:%sZ'"))
        if self._dialect == "postgresql":
            return sa.func.to_char(column, 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        return sa.func.strftime("%Y-%m-%dT%H:%M:%SZ", column)

    def _beginning(self, prefix: str) -> list[sa.ColumnElement[bool]]:
        """Conditions that an index can use, and one that is exact."""
        if not prefix:
            return []
        key = self._main.c.id
        return [key >= prefix, key < prefix + _ABOVE, sa.func.substr(key, 1, len(prefix)) == prefix]

    def _only(self, query: sa.Select[Any], table: Any, where: Iterable[tuple[str, str]]) -> sa.Select[Any]:
        for name, value in where:
            query = query.where(table.c[name] == value)
        return query


def tables_of(rule: Rule) -> set[str]:
    """Every table that the objects of a rule are made of."""
    return {rule.table}.union(*(_tables_of(part) for part in rule.parts))


def _is_free(column: Any) -> bool:
    return isinstance(column.type, sa.String) and (column.type.length or _FREE) >= _FREE


def _tables_of(part: Part) -> set[str]:
    return {part.table, part.bridge.table} if part.bridge else {part.table}


def _plain(spec: str) -> str:
    return spec.rstrip("?").partition("|")[0]

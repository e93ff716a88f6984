"""The journal's tables.

Order never comes from auto-increment: an intent is named by (writer, seq), counted by the writer itself, and the
order of events is `position`, given out by the one thread that writes. Both go on after a restart.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = "1"
_BLOB = sa.LargeBinary(2**32 - 1)
# Only a column of exactly this type is SQLite's own row key.
_POSITION = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()

facts = sa.Table(
    "journal_facts",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("value", sa.String(255), nullable=False),
)
intents = sa.Table(
    "journal_intents",
    metadata,
    sa.Column("writer", sa.String(64), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("method", sa.String(32), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("body", _BLOB, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("route", sa.String(16), nullable=False),
    sa.Column("side", sa.String(16), nullable=False),
    sqlite_with_rowid=False,
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)
events = sa.Table(
    "journal_events",
    metadata,
    sa.Column("position", _POSITION, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("writer", sa.String(64), nullable=False),
    sa.Column("seq", sa.BigInteger),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("body", _BLOB),
    sa.Column("upstream_request_id", sa.String(128)),
    sa.Column("project_id", sa.String(64)),
    sa.Column("user_id", sa.String(64)),
    sa.Column("how", sa.String(64)),
    sa.Column("truncated", sa.Boolean),
    sa.Column("settled", sa.String(64)),
    sa.Column("mark_kind", sa.String(64)),
    sa.Column("mark_token", sa.String(255)),
    sa.UniqueConstraint("writer", "seq", name="journal_one_outcome"),
    mysql_engine="InnoDB",
    mysql_charset="utf8mb4",
)

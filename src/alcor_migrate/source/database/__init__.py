"""Neutron's database as a source: the objects of its API, made from its tables in one snapshot.

* `rules` says how a resource lies in the tables; `networks`, `ports`, `security`, `routing` declare it.
* `statements` makes SQL of a rule, for the tables that there are; `snapshot` runs it.
* `side` is what the engine sees.
"""

from alcor_migrate.source.database.rules import Facts
from alcor_migrate.source.database.side import DatabaseSide, Reader

__all__ = ["DatabaseSide", "Facts", "Reader"]

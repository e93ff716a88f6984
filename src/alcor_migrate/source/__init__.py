"""What the migration reads the source through, and writes it through after a cutover.

That is Neutron's API, and for reading everything, if the operator names it, its database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alcor_migrate.source.neutron import NeutronSide

if TYPE_CHECKING:
    from alcor_migrate.cloud import Cloud
    from alcor_migrate.settings import SourceSettings
    from alcor_migrate.source.database import DatabaseSide

__all__ = ["NeutronSide", "open_source"]


def open_source(api: NeutronSide, cloud: Cloud, settings: SourceSettings) -> NeutronSide | DatabaseSide:
    """The source as it is configured, on top of its API. Nothing is asked before it is needed."""
    if not settings.database:
        return api
    # SQLAlchemy and a driver are only needed by those who name a database.
    from alcor_migrate.source.database import DatabaseSide  # noqa: PLC0415

    return DatabaseSide(api, settings.database, cloud.project_id)

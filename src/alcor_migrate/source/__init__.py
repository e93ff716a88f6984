"""What the migration reads the source through, and writes it through after a cutover: Neutron's API."""

from alcor_migrate.source.neutron import NeutronSide

__all__ = ["NeutronSide"]

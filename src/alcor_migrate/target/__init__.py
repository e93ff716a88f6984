"""What the migration loads and reads the target through: Alcor's native API."""

from alcor_migrate.target.alcor import AlcorSide

__all__ = ["AlcorSide"]

"""The migration: gateway, journal, engine, sources and targets, and the command line.

It imports `alcor_model` and never `alcor_sdn`: the bundled Alcor is spoken to over the wire.
"""

from alcor_migrate import compiled

# before the modules that it is about are imported
compiled.use()

"""The bundled Alcor: an SDN controller and its agent, wire-compatible with upstream Alcor.

It imports `alcor_model` and nothing of the migration.
"""

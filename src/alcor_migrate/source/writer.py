"""Placeholder until the reverse writer lands."""

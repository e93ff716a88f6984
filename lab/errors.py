"""What the lab raises: one branch of the tree of errors."""

from __future__ import annotations

from alcor_model.errors import AlcorError


class LabError(AlcorError):
    """The lab cannot do what it was asked; the message names the part, often with the end of its log."""

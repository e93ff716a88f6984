"""The error that ends a native request."""

from __future__ import annotations

from alcor_model.errors import AlcorError


class Refused(AlcorError):
    """A native request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

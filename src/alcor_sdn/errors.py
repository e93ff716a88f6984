"""The bundled Alcor's branch of the tree of errors (its root is `alcor_model.errors.AlcorError`).

    ControllerError
    ├── ControllerConfigError        the controller cannot start with these settings
    └── StoreError                   the store cannot be read or written

What a client of its APIs did wrong is an HTTP answer, not one of these.
"""

from __future__ import annotations

from alcor_model.errors import AlcorError


class ControllerError(AlcorError):
    """Anything that the controller reports to its operator."""


class ControllerConfigError(ControllerError):
    """The controller cannot start with these settings."""


class StoreError(ControllerError):
    """The store cannot be read or written."""

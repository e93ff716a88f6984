"""The root of the tree of errors, and the branch of the vocabulary.

The whole tree, with the branches of the other packages:

    AlcorError
    ├── ModelError                   an object that cannot be converted
    │   ├── MalformedObject          it is not what its API promises (missing id, wrong type)
    │   └── UnknownResource          no declaration for a resource of this name
    ├── MigrationError               see alcor_migrate.errors
    └── ControllerError              see alcor_sdn.errors

Every error says what is wrong in one sentence that names the thing, and `next_step` says what to do about it.
"""

from __future__ import annotations


class AlcorError(Exception):
    """Something that the operator is told in one sentence, with the way out in `next_step`."""

    next_step: str = ""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step or self.next_step

    @property
    def message(self) -> str:
        """The sentence that says what is wrong."""
        return str(self.args[0])

    def __str__(self) -> str:
        return self.message


class ModelError(AlcorError):
    """An object that the vocabulary cannot convert."""


class MalformedObject(ModelError):
    """An object is not what its API promises; names the object and the field."""

    next_step = "Look at the object in its own API; the run sets it aside and goes on."

    def __init__(self, resource: str, object_id: str, field: str, problem: str) -> None:
        super().__init__(f"{resource} {object_id or '(without id)'}: field {field!r} {problem}")
        self.resource = resource
        self.object_id = object_id
        self.field = field


class UnknownResource(ModelError):
    """There is no declaration for a resource of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no resource is declared under the name {name!r}")

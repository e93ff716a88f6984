"""Which gaps are accepted, as the answers file says while a migration runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from alcor_migrate.assess import answers
from alcor_migrate.errors import AnswersError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = structlog.get_logger(__name__)


def accepted(file: answers.AnswersFile | None) -> dict[str, frozenset[str] | None]:
    """By rule the objects that it is accepted for, None for all; what is to be resolved is not accepted."""
    found: dict[str, frozenset[str] | None] = {}
    for answer in file.answers if file else ():
        if answer.answer == "accept-all":
            found[answer.rule] = None
        elif answer.answer == "accept":
            so_far = found.get(answer.rule, frozenset())
            found[answer.rule] = None if so_far is None else so_far | frozenset(answer.objects)
    for answer in file.answers if file else ():
        if answer.answer == "resolve":
            found.pop(answer.rule, None)
    return found


class AcceptedGaps:
    """Reads the file again whenever it was changed. One that cannot be read leaves what was accepted before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[int, int] | None = None
        self._accepted: dict[str, frozenset[str] | None] = {}

    def __call__(self) -> Mapping[str, frozenset[str] | None]:
        """What is accepted now."""
        try:
            stat = self._path.stat()
        except OSError:
            return self._accepted
        if (mark := (stat.st_mtime_ns, stat.st_size)) != self._read:
            self._read = mark
            try:
                self._accepted = accepted(answers.read(self._path))
            except AnswersError as error:
                log.warning("answers_not_read", reason=error.message)
        return self._accepted

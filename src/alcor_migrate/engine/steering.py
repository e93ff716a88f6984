"""What the operator sets while it runs, and the words with which he does.

The brakes (`throttle`, `postpone`) are kept across restarts; the numbers go back to those of the configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from alcor_migrate.errors import ControlError
from alcor_migrate.settings import MAX_CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = {
    "status": "where it stands, in a few lines",
    "help": "these words",
    "throttle": "copy, verify and sweep stop before their next page; capture and replay go on",
    "no-throttle": "they go on",
    "chunk-size=": "objects in a page of copy, verify and sweep, from the next resource on",
    "max-hold=": "the bound of the next handover's hold, in seconds",
    "max-lag=": "the lag in seconds above which cutover and reverse are refused",
    "source-latency=": "the source's latency in seconds above which copy, verify and sweep wait; 0 is never",
    "postpone": "a cutover that is asked for waits, and everything else goes on",
    "unpostpone": "it waits no longer, whether its flag file is there or not",
    "withdraw": "the cutover that waits is not wanted any more",
    "panic": "the engine stops at once; see the page on operating",
}
"""The words and their meanings. Those that end in `=` take a number, or `?` to say what it is."""

MAX_HOLD = 60.0


class Command(NamedTuple):
    """A word of the operator; `value` is what follows its `=`."""

    word: str
    value: str = ""


class Brakes(msgspec.Struct):
    """What stays as it is when the process is started again; each says who put it on, or is empty."""

    throttled: str = ""
    postponed: str = ""


class Steering:
    """The operator's settings as they are now; `save` is told when a brake is put on or taken off."""

    def __init__(  # the settings that can be changed
        self,
        *,
        chunk_size: int,
        max_hold: float,
        max_lag: float,
        source_latency: float,
        brakes: Brakes,
        save: Callable[[Brakes], None],
    ) -> None:
        self.chunk_size = chunk_size
        self.max_hold = max_hold
        self.max_lag = max_lag
        self.source_latency = source_latency
        self._brakes = brakes
        self._save = save

    @property
    def throttled(self) -> str:
        """Who throttles, or empty."""
        return self._brakes.throttled

    @property
    def postponed(self) -> str:
        """Who postpones, or empty."""
        return self._brakes.postponed

    def brake(self, word: str, actor: str) -> str:
        """`throttle`, `no-throttle`, `postpone` or `unpostpone`; answers what is true now."""
        match word:
            case "throttle":
                self._brakes.throttled = actor
            case "no-throttle":
                self._brakes.throttled = ""
            case "postpone":
                self._brakes.postponed = actor
            case "unpostpone":
                self._brakes.postponed = ""
        self._save(self._brakes)
        return {
            "throttle": "throttled: copy, verify and sweep stop before their next page",
            "no-throttle": "not throttled by you any more",
            "postpone": "postponed: a cutover waits until `unpostpone`",
            "unpostpone": "not postponed any more",
        }[word]

    def set(self, word: str, value: str) -> str:
        """`chunk-size=` and so on; with `?` nothing is changed. Answers what is true now. Raises ControlError."""
        name = word.rstrip("=").replace("-", "_")
        if value != "?":
            number = _number(word, value)
            setattr(self, name, int(number) if name == "chunk_size" else number)
        return f"{word}{getattr(self, name):g}"


def parse(text: str) -> Command:
    """Read a line of the console. Raises ControlError when it is none of the words."""
    said = text.strip()
    word, equals, value = said.partition("=")
    word += equals
    if said == "?":
        word = "help"
    if word not in COMMANDS:
        raise ControlError(f"{said!r} is not a command", "`help` lists them.")
    if equals and not value.strip():
        raise ControlError(f"{word} needs a number, or ? to say what it is", f"For example {word}?")
    return Command(word, value.strip())


def _number(word: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        raise ControlError(f"{word} takes a number, not {value!r}", "`help` says of what.") from None
    good = {
        "chunk-size=": 1 <= number <= MAX_CHUNK and number == int(number),
        "max-hold=": 0 < number <= MAX_HOLD,
        "max-lag=": 0 < number < float("inf"),
        "source-latency=": 0 <= number < float("inf"),
    }[word]
    if not good:
        bounds = {"chunk-size=": f"a whole number from 1 to {MAX_CHUNK}", "max-hold=": f"above 0, up to {MAX_HOLD:g}"}
        raise ControlError(f"{word}{value} is out of bounds", f"It is {bounds.get(word, 'a number not below 0')}.")
    return number

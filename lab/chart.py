"""Small clean pictures as inline SVG: scales with ticks, and a canvas for lines, dots, bars and labels.

Pure: numbers in, markup out. Every text is escaped; colours are classes that the page's style sheet fills, so that
the same picture is right in the light and in the dark. Lengths are the view box's units, which are pixels at the
page's full width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Point = tuple[float, float]


class Scale:
    """Maps values between `low` and `high` to lengths between `start` and `end`, clamped, linear or logarithmic."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool = False) -> None:
        self.low, self.high = low, high if high > low else low + 1
        self.start, self.end = start, end
        self._log = log

    def __call__(self, value: float) -> float:
        """The length that belongs to a value."""
        value = min(max(value, self.low), self.high)
        share = (self._measure(value) - self._measure(self.low)) / (
            self._measure(self.high) - self._measure(self.low)
        )
        return self.start + share * (self.end - self.start)

    def _measure(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def ticks(self, about: int = 6) -> list[float]:
        """Round values to put on the axis: powers of ten when logarithmic, else about so many."""
        if self._log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [10.0**exponent for exponent in range(first, last + 1)]
        step = round_step((self.high - self.low) / max(1, about))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 9) for number in range(first, last + 1)]


def round_step(raw: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 … that is not below a value."""
    power: float = 10.0 ** math.floor(math.log10(raw))
    return next(nice * power for nice in (1, 2, 5, 10) if nice * power >= raw - 1e-12)


def clock_ticks(length: float, most: int = 9) -> list[int]:
    """Times in seconds from 0 to `length` as a clock divides them, at most so many beside 0."""
    steps = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((step for step in steps if length / step <= most), round(length))
    return list(range(0, int(length) + 1, step))


def seconds(value: float) -> str:
    """A time as people write it: `40 s`, `1:40 min`."""
    if value < 60:  # noqa: PLR2004
        return f"{value:g} s"
    return f"{int(value) // 60}:{int(value) % 60:02} min"


def milliseconds(value: float) -> str:
    """A duration as people write it: `0.4 ms`, `12 ms`, `1.2 s`."""
    if value >= 1000:  # noqa: PLR2004
        return f"{value / 1000:.3g} s"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"  # noqa: PLR2004


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".") or "0"


class Canvas:
    """Collects shapes, later ones on top; `svg` gives the picture."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._parts: list[Markup] = []

    def text(self, x: float, y: float, words: object, kind: str = "label", anchor: str = "start") -> None:
        """Write words; `anchor` is start, middle or end."""
        self._parts.append(
            Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(
                _n(x), _n(y), kind, anchor, words
            )
        )

    def rect(
        self, x: float, y: float, width: float, height: float, kind: str, tip: str = "", round_: float = 0
    ) -> None:
        """Draw a bar; `tip` is shown when one points at it."""
        self._parts.append(
            Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="{}" class="{}">{}</rect>').format(
                _n(x), _n(y), _n(max(0.0, width)), _n(max(0.0, height)), _n(round_), kind, _title(tip)
            )
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Draw a straight line."""
        self._parts.append(
            Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(_n(x1), _n(y1), _n(x2), _n(y2), kind)
        )

    def path(self, points: Sequence[Point], kind: str, *, floor: float | None = None, tip: str = "") -> None:
        """Draw a line through points; with `floor`, the area down to that height."""
        if not points:
            return
        steps = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        close = "" if floor is None else f"L{_n(points[-1][0])} {_n(floor)}L{_n(points[0][0])} {_n(floor)}Z"
        self._parts.append(Markup('<path d="M{}{}" class="{}">{}</path>').format(steps, close, kind, _title(tip)))

    def dots(self, points: Iterable[Point], kind: str) -> None:
        """Draw many dots as one path of round caps, which is small and fast whatever their number."""
        steps = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in points)
        if steps:
            self._parts.append(Markup('<path d="{}" class="dots {}"/>').format(steps, kind))

    def horizontal_axis(self, scale: Scale, y: float, labels: Sequence[tuple[float, str]], top: float) -> None:
        """Draw the axis at `y` with grid lines up to `top`."""
        for value, label in labels:
            x = scale(value)
            self.line(x, top, x, y, "grid")
            self.text(x, y + 16, label, "tick", "middle")
        self.line(scale.start, y, scale.end, y, "axis")

    def vertical_axis(self, scale: Scale, x: float, right: float, labels: Sequence[tuple[float, str]]) -> None:
        """Draw labels left of `x` with grid lines to `right`."""
        for value, label in labels:
            y = scale(value)
            self.line(x, y, right, y, "grid")
            self.text(x - 8, y + 4, label, "tick", "end")

    def svg(self, description: str) -> Markup:
        """The picture, with words for those who cannot see it."""
        head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            _n(self.width), _n(self.height), description
        )
        return head + Markup("\n").join(self._parts) + Markup("</svg>")


def _title(tip: str) -> Markup:
    return Markup("<title>{}</title>").format(tip) if tip else escape("")

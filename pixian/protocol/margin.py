"""``result.margin``: space around a result in pixels or percent, in CSS notation."""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Self

# The number of digits is limited so that no text can produce a number that is slow to compute with (G).
LENGTH = re.compile(r"(?P<value>\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(?P<unit>%|px)?", re.ASCII | re.IGNORECASE)

SIDES_OF = {1: (0, 0, 0, 0), 2: (0, 1, 0, 1), 3: (0, 1, 2, 1), 4: (0, 1, 2, 3)}
"""By the number of values: the index of the value for top, right, bottom and left. Source: CSS ``margin``."""

ALLOWED = "one to four values such as 10px, 5% or 2.5%, without a sign and separated by spaces"


class Unit(StrEnum):
    PIXELS = "px"
    PERCENT = "%"


@dataclass(frozen=True)
class Length:
    """A length of 0 or more. ``value`` is a Decimal, so that it is written back exactly as it was read."""

    value: Decimal = Decimal(0)
    unit: Unit = Unit.PIXELS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``10px``, ``2.5%`` or a bare zero; raise ValueError."""
        match = LENGTH.fullmatch(text)
        if match is None:
            raise ValueError(text)
        value, unit = Decimal(match["value"]), match["unit"]
        if unit is None and value:
            raise ValueError(f"{text} has no unit")
        return cls(value, Unit((unit or Unit.PIXELS).lower()))

    def __str__(self) -> str:
        return f"{self.value:f}{self.unit}"

    def pixels(self, whole: int) -> int:
        """Return whole pixels, rounded half up; percent are of a side that is ``whole`` pixels long."""
        exact = self.value * whole / 100 if self.unit is Unit.PERCENT else self.value
        return int(exact.to_integral_value(ROUND_HALF_UP))


@dataclass(frozen=True)
class Edges:
    """A margin in whole pixels."""

    top: int
    right: int
    bottom: int
    left: int

    @property
    def across(self) -> int:
        return self.left + self.right

    @property
    def down(self) -> int:
        return self.top + self.bottom


@dataclass(frozen=True)
class Margin:
    """A length for each side."""

    top: Length = Length()
    right: Length = Length()
    bottom: Length = Length()
    left: Length = Length()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse one to four lengths in CSS order; raise ValueError."""
        values = text.split()
        if len(values) not in SIDES_OF:
            raise ValueError(f"{len(values)} values")
        return cls(*(Length.parse(values[index]) for index in SIDES_OF[len(values)]))

    def __str__(self) -> str:
        return f"{self.top} {self.right} {self.bottom} {self.left}"

    def edges(self, width: int, height: int) -> Edges:
        """Return the margin of a ``width`` × ``height`` box in pixels; percents are per axis."""
        return Edges(
            self.top.pixels(height),
            self.right.pixels(width),
            self.bottom.pixels(height),
            self.left.pixels(width),
        )


NO_MARGIN = Margin()

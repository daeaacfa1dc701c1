"""Lay out bar charts that templates draw as SVG, in a box of 100 by 100 that is stretched to its place.

Numbers are strings with a decimal point, as SVG wants them, in whatever language the page is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SIDE = 100
GAP = 0.2
"""Of a bar's share of the width."""
STEPS = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Bar:
    x: str
    y: str
    width: str
    height: str
    title: str


@dataclass(frozen=True)
class BarChart:
    """bars: from left to right. top: the amount at the upper edge, a round one."""

    bars: list[Bar]
    top: int


def bar_chart(amounts: Sequence[tuple[int, str]]) -> BarChart:
    """Lay out a bar for each amount, zero or more, with its title."""
    top = round_up(max((amount for amount, _title in amounts), default=0))
    share = SIDE / (len(amounts) or 1)
    bars = []
    for place, (amount, title) in enumerate(amounts):
        height = SIDE * amount / top
        x, width = share * (place + GAP / 2), share * (1 - GAP)
        bars.append(Bar(f"{x:.3f}", f"{SIDE - height:.3f}", f"{width:.3f}", f"{height:.3f}", title))
    return BarChart(bars, top)


def percent(part: int, whole: int) -> str:
    """Return the width of a bar for a part of the whole."""
    return f"{SIDE * part / whole:.2f}" if whole else "0"


def round_up(amount: int) -> int:
    """Return the amount or the next one of an even look, as an axis has it: 3200 → 4000."""
    power: int = 10 ** (len(str(amount)) - 1)
    return next(step * power for step in STEPS if step * power >= amount)

"""A second witness: the upstream's own log of charges against what was booked here. Pure.

Only our own test upstream writes such a log. A charge belongs to an attempt for the same picture (SHA-256)
in whose time it fell. For each picture, the charges of the very amount that was booked are matched first, and
a charge goes to the attempt whose time ends earliest, so that as many as possible find one.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from heapq import heappop, heappush
from operator import attrgetter
from typing import NamedTuple

from accounts.ledger.money import to_credits

TOLERANCE_SECONDS = 5.0
"""Between the upstream's clock and ours, where a charge falls into no attempt's time."""


class Charge(NamedTuple):
    """A line of the log. at: Unix time."""

    at: float
    sha256: str
    microcredits: int


class Booking(NamedTuple):
    """An attempt. began, ended: Unix times between which it may have been charged. microcredits: what was
    booked, None where it is in doubt or still open.
    """

    name: str
    sha256: str
    began: float
    ended: float
    microcredits: int | None
    in_doubt: bool = False


class Kind(StrEnum):
    MISSING = "missing"
    DOUBLED = "doubled"
    WRONG = "wrong amount"
    NOBODYS = "of nobody"
    CHARGED = "charged"
    NOT_CHARGED = "not charged"


class Finding(NamedTuple):
    kind: Kind
    booking: Booking | None
    charge: Charge | None

    @property
    def is_fault(self) -> bool:
        """Whether books and log differ; what became of a call in doubt is only news."""
        return self.kind not in (Kind.CHARGED, Kind.NOT_CHARGED)

    @property
    def at(self) -> float:
        """Unix time."""
        found = self.charge.at if self.charge else self.booking and self.booking.began
        return found or 0.0

    def says(self) -> str:
        name = self.booking.name if self.booking else ""
        booked = to_credits((self.booking and self.booking.microcredits) or 0)
        charged = to_credits(self.charge.microcredits) if self.charge else 0
        when = datetime.fromtimestamp(self.at, UTC).isoformat(sep=" ", timespec="milliseconds")
        return {
            Kind.MISSING: f"{name}: {booked} booked, and the log has no charge",
            Kind.DOUBLED: f"{name}: charged once more, {charged} at {when}",
            Kind.WRONG: f"{name}: {booked} booked, and the log charged {charged} at {when}",
            Kind.NOBODYS: f"{charged} at {when} was charged for no attempt",
            Kind.CHARGED: f"{name}, in doubt, was charged {charged} at {when}",
            Kind.NOT_CHARGED: f"{name}, in doubt, wasn't charged",
        }[self.kind]


class UnreadableLogError(ValueError):
    """A line isn't JSON, or calls itself a charge and is none."""


def read(lines: Iterable[str]) -> Iterator[Charge]:
    """The charges of a log in JSON lines; a last line that was never ended counts as not written."""
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            return
        try:
            said = json.loads(line)
            if said["what"] == "charge" and said["microcredits"]:
                yield Charge(float(said["at"]), str(said["sha256"]), int(said["microcredits"]))
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableLogError(f"line {number} can't be read: {line[:100].strip()}") from error


def compare(bookings: Iterable[Booking], charges: Iterable[Charge]) -> list[Finding]:
    """What doesn't fit, and what became of the calls in doubt; each once, in the order of time."""
    bookings = list(bookings)
    timely, others = _split(charges, bookings)
    matched: dict[str, tuple[Booking, Charge]] = {}
    found = []
    for group, slack in ((timely, 0.0), (others, TOLERANCE_SECONDS)):
        left = group
        for key in (SAME_AMOUNT, SAME_PICTURE):
            free = [booking for booking in bookings if booking.name not in matched]
            pairs = list(_pairs(left, free, key, slack))
            matched |= {booking.name: (booking, charge) for charge, booking in pairs if booking}
            left = [charge for charge, booking in pairs if not booking]
        for charge, booking in _pairs(left, bookings, SAME_PICTURE, slack, once=False):
            found.append(Finding(Kind.DOUBLED if booking else Kind.NOBODYS, booking, charge))
    found += filter(None, (_judge(*pair) for pair in matched.values()))
    found += filter(None, (_unmatched(booking) for booking in bookings if booking.name not in matched))
    return sorted(found, key=attrgetter("at"))


SAME_PICTURE = attrgetter("sha256")
SAME_AMOUNT = attrgetter("sha256", "microcredits")


def _split(charges: Iterable[Charge], bookings: list[Booking]) -> tuple[list[Charge], list[Charge]]:
    """Those that fall into some attempt's time, and the others, which are looked at with some tolerance."""
    timely: list[Charge] = []
    others: list[Charge] = []
    for charge, booking in _pairs(charges, bookings, SAME_PICTURE, 0.0, once=False):
        (timely if booking else others).append(charge)
    return timely, others


def _pairs(
    charges: Iterable[Charge],
    bookings: Iterable[Booking],
    key: Callable[[Charge | Booking], Hashable],
    slack: float,
    *,
    once: bool = True,
) -> Iterator[tuple[Charge, Booking | None]]:
    """Each charge with an attempt in whose time it fell; ``once``: each attempt is given away once."""
    groups: dict[Hashable, tuple[list[Charge], list[Booking]]] = defaultdict(lambda: ([], []))
    for charge in charges:
        groups[key(charge)][0].append(charge)
    for booking in bookings:
        groups[key(booking)][1].append(booking)
    for points, spans in groups.values():
        yield from _sweep(points, spans, slack, once=once)


def _sweep(
    points: list[Charge], spans: list[Booking], slack: float, *, once: bool
) -> Iterator[tuple[Charge, Booking | None]]:
    """Through time, with the attempts that are under way ordered by their end."""
    coming = sorted(enumerate(spans), key=lambda span: span[1].began, reverse=True)
    under_way: list[tuple[float, int]] = []
    for charge in sorted(points):
        while coming and coming[-1][1].began - slack <= charge.at:
            place, span = coming.pop()
            heappush(under_way, (span.ended + slack, place))
        while under_way and under_way[0][0] < charge.at:
            heappop(under_way)
        if not under_way:
            yield charge, None
            continue
        yield charge, spans[(heappop(under_way) if once else under_way[0])[1]]


def _judge(booking: Booking, charge: Charge) -> Finding | None:
    if booking.microcredits is None:
        return Finding(Kind.CHARGED, booking, charge) if booking.in_doubt else None
    return Finding(Kind.WRONG, booking, charge) if booking.microcredits != charge.microcredits else None


def _unmatched(booking: Booking) -> Finding | None:
    if booking.in_doubt:
        return Finding(Kind.NOT_CHARGED, booking, None)
    return Finding(Kind.MISSING, booking, None) if booking.microcredits else None

"""Compare the upstream's journal of charges with what was booked.

A charge belongs to an attempt for the same picture (SHA-256) in whose time it fell. For each picture, the
charges of the very amount that was booked are matched first, and a charge goes to the attempt whose time ends
earliest, so that as many as possible find one.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any, NamedTuple

from accounts.ledger.money import to_credits
from chaos.upstream import Charge
from jobs.audit.reconcile.calls import ended
from jobs.audit.reconcile.verdicts import judged
from jobs.models import Attempt

TOLERANCE_SECONDS = 5.0
"""Between the upstream's clock and ours, if a charge falls into no attempt's time."""

MAX_TIME = datetime.max.replace(tzinfo=UTC)
COLUMNS = (
    *("job_id", "number", "job__source_sha256", "state", "sent_at", "answered_at", "status"),
    *("charged_microcredits", "booked"),
)
SAME_PICTURE: Callable[[Any], Hashable] = attrgetter("sha256")
SAME_AMOUNT: Callable[[Any], Hashable] = attrgetter("sha256", "microcredits")


class Booking(NamedTuple):
    """An attempt.

    began, ended: Unix times between which it may have been charged. microcredits: what was booked; None if it
    is in doubt or still open.
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
    UNKNOWN = "of no attempt"
    CHARGED = "charged"
    NOT_CHARGED = "not charged"


class Difference(NamedTuple):
    kind: Kind
    booking: Booking | None
    charge: Charge | None

    @property
    def is_fault(self) -> bool:
        """True if books and journal differ; what became of a call in doubt is only news."""
        return self.kind not in (Kind.CHARGED, Kind.NOT_CHARGED)

    @property
    def at(self) -> float:
        return (self.charge.at if self.charge else self.booking and self.booking.began) or 0.0

    @property
    def sentence(self) -> str:
        name = self.booking.name if self.booking else ""
        booked = to_credits((self.booking and self.booking.microcredits) or 0)
        charged = to_credits(self.charge.microcredits) if self.charge else 0
        when = datetime.fromtimestamp(self.at, UTC).isoformat(sep=" ", timespec="milliseconds")
        return {
            Kind.MISSING: f"{name}: {booked} booked, and the journal has no charge",
            Kind.DOUBLED: f"{name}: charged once more, {charged} at {when}",
            Kind.WRONG: f"{name}: {booked} booked, and the journal charged {charged} at {when}",
            Kind.UNKNOWN: f"{charged} at {when} was charged for no attempt",
            Kind.CHARGED: f"{name}, in doubt, was charged {charged} at {when}",
            Kind.NOT_CHARGED: f"{name}, in doubt, wasn't charged",
        }[self.kind]


def bookings() -> Iterator[Booking]:
    """Yield all attempts whose calls may have left the house. One ends before a job's next is sent."""
    rows = judged(Attempt.objects.filter(sent_at__isnull=False)).order_by("-pk").values_list(*COLUMNS)
    next_sent: dict[int, datetime] = {}
    for job, number, sha256, state, sent, answered, status, charged, booked in rows.iterator():
        unknown = {Attempt.State.SENT: None, Attempt.State.IN_DOUBT: None, Attempt.State.ANSWERED: charged}
        until = min(ended(sent, answered, status), next_sent.get(job, MAX_TIME))
        next_sent[job], in_doubt = sent, state == Attempt.State.IN_DOUBT
        amount = unknown.get(state, booked)
        yield Booking(f"{job}/{number}", sha256, sent.timestamp(), until.timestamp(), amount, in_doubt)


def compare(attempts: Iterable[Booking], charges: Iterable[Charge]) -> list[Difference]:
    """Find what doesn't fit, and what became of the calls in doubt; each once, in the order of time."""
    attempts = list(attempts)
    timely: list[Charge] = []
    others: list[Charge] = []
    for charge, booking in _pairs((c for c in charges if c.microcredits), attempts, SAME_PICTURE, once=False):
        (timely if booking else others).append(charge)
    matched: dict[str, tuple[Booking, Charge]] = {}
    found = []
    for left, slack in ((timely, 0.0), (others, TOLERANCE_SECONDS)):
        for key in (SAME_AMOUNT, SAME_PICTURE):
            free = [booking for booking in attempts if booking.name not in matched]
            pairs = list(_pairs(left, free, key, slack))
            matched |= {booking.name: (booking, charge) for charge, booking in pairs if booking}
            left = [charge for charge, booking in pairs if not booking]  # noqa: PLW2901 - fewer each time
        for charge, booking in _pairs(left, attempts, SAME_PICTURE, slack, once=False):
            found.append(Difference(Kind.DOUBLED if booking else Kind.UNKNOWN, booking, charge))
    for booking in attempts:
        _, charge_of = matched.get(booking.name, (booking, None))
        if kind := _judge(booking, charge_of):
            found.append(Difference(kind, booking, charge_of))
    return sorted(found, key=attrgetter("at"))


def _judge(booking: Booking, charge: Charge | None) -> Kind | None:
    if booking.microcredits is None:
        return (Kind.CHARGED if charge else Kind.NOT_CHARGED) if booking.in_doubt else None
    if charge is None:
        return Kind.MISSING if booking.microcredits else None
    return Kind.WRONG if booking.microcredits != charge.microcredits else None


def _pairs(
    charges: Iterable[Charge],
    attempts: Iterable[Booking],
    key: Callable[[Any], Hashable],
    slack: float = 0.0,
    *,
    once: bool = True,
) -> Iterator[tuple[Charge, Booking | None]]:
    """Yield each charge with an attempt in whose time it fell; ``once``: give each attempt away once."""
    groups: dict[Hashable, tuple[list[Charge], list[Booking]]] = defaultdict(lambda: ([], []))
    for charge in charges:
        groups[key(charge)][0].append(charge)
    for booking in attempts:
        groups[key(booking)][1].append(booking)
    for points, spans in groups.values():
        yield from _sweep(points, spans, slack, once=once)


def _sweep(
    points: list[Charge], spans: list[Booking], slack: float, *, once: bool
) -> Iterator[tuple[Charge, Booking | None]]:
    """Go through time, with the attempts that are under way ordered by their end."""
    coming = sorted(enumerate(spans), key=lambda span: span[1].began, reverse=True)
    under_way: list[tuple[float, int]] = []
    for charge in sorted(points, key=attrgetter("at", "microcredits")):
        while coming and coming[-1][1].began - slack <= charge.at:
            place, span = coming.pop()
            heappush(under_way, (span.ended + slack, place))
        while under_way and under_way[0][0] < charge.at:
            heappop(under_way)
        if under_way:
            yield charge, spans[(heappop(under_way) if once else under_way[0])[1]]
        else:
            yield charge, None

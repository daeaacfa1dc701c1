"""Compare the upstream's journal of charges with what was booked.

A charge belongs to an attempt for the same picture (SHA-256) in whose time it fell. For each picture, the
charges of the very amount that was booked are matched first, and a charge goes to the attempt whose time ends
earliest, so that as many as possible find one.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

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

    def spans(self, charge: Charge, slack: float) -> bool:
        return self.began - slack <= charge.at <= self.ended + slack


class Kind(StrEnum):
    MISSING = "{name}: {booked} booked, and the journal has no charge"
    DOUBLED = "{name}: charged once more, {charged} at {when}"
    WRONG = "{name}: {booked} booked, and the journal charged {charged} at {when}"
    UNKNOWN = "{charged} at {when} was charged for no attempt"


class Difference(NamedTuple):
    kind: Kind
    booking: Booking | None
    charge: Charge | None

    @property
    def at(self) -> float:
        return (self.charge.at if self.charge else self.booking and self.booking.began) or 0.0

    def __str__(self) -> str:
        return self.kind.format(
            name=self.booking and self.booking.name,
            booked=to_credits((self.booking and self.booking.microcredits) or 0),
            charged=to_credits(self.charge.microcredits if self.charge else 0),
            when=datetime.fromtimestamp(self.at, UTC).isoformat(sep=" ", timespec="milliseconds"),
        )


def bookings() -> Iterator[Booking]:
    """Yield all attempts whose calls may have left the house. One ends before a job's next is sent."""
    rows = judged(Attempt.objects.filter(sent_at__isnull=False)).order_by("-pk").values_list(*COLUMNS)
    next_sent: dict[int, datetime] = {}
    for job, number, sha256, state, sent, answered, status, charged, booked in rows.iterator():
        unknown = {Attempt.State.SENT: None, Attempt.State.IN_DOUBT: None, Attempt.State.ANSWERED: charged}
        until = min(ended(sent, answered, status), next_sent.get(job, MAX_TIME))
        next_sent[job] = sent
        amount = unknown.get(state, booked)
        yield Booking(f"{job}/{number}", sha256, sent.timestamp(), until.timestamp(), amount)


def compare(attempts: Iterable[Booking], charges: Iterable[Charge]) -> list[Difference]:
    """Find what doesn't fit; each once, in the order of time."""
    pictures: defaultdict[str, tuple[list[Booking], list[Charge]]] = defaultdict(lambda: ([], []))
    for booking in sorted(attempts, key=attrgetter("ended")):
        pictures[booking.sha256][0].append(booking)
    for charge in sorted(charges, key=attrgetter("at", "microcredits")):
        if charge.microcredits:
            pictures[charge.sha256][1].append(charge)
    found = chain.from_iterable(_compare(*of_picture) for of_picture in pictures.values())
    return sorted(found, key=attrgetter("at"))


def _compare(bookings: list[Booking], charges: list[Charge]) -> Iterator[Difference]:
    """Compare those of one picture. Charges that fall into no attempt's time come last, with tolerance."""
    matched: dict[str, Charge] = {}
    for slack in (0.0, TOLERANCE_SECONDS):
        within = {charge: [b for b in bookings if b.spans(charge, slack)] for charge in charges}
        timely = [charge for charge in charges if within[charge]]
        charges = [charge for charge in charges if not within[charge]]
        for any_amount in (False, True):
            for charge in timely.copy():
                free = (booking for booking in within[charge] if booking.name not in matched)
                fitting = (b for b in free if any_amount or b.microcredits == charge.microcredits)
                if booking := next(fitting, None):
                    matched[booking.name] = charge
                    timely.remove(charge)
        yield from (Difference(Kind.DOUBLED, within[charge][0], charge) for charge in timely)
    yield from (Difference(Kind.UNKNOWN, None, charge) for charge in charges)
    for booking in bookings:
        charge_of, booked = matched.get(booking.name), booking.microcredits
        if charge_of is None and booked:
            yield Difference(Kind.MISSING, booking, None)
        if charge_of and booked not in (None, charge_of.microcredits):
            yield Difference(Kind.WRONG, booking, charge_of)

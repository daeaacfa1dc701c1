"""Error and charge → what becomes of the hold and of the job. Pure.

The worker and the gateway both act on this table. They differ only in how: where a worker postpones a job,
the gateway responds to its program.
"""

from dataclasses import dataclass
from enum import Enum, auto

from jobs.models import Job
from jobs.storage.disk_space import InsufficientStorageError
from jobs.storage.files import (
    NotStoredError,
    SourceLostError,
    SourceUnreadableError,
    StorageUnavailableError,
)
from pixian.protocol import errors

Reason = Job.Reason

FAILURES = (
    errors.PixianError,
    InsufficientStorageError,
    NotStoredError,
    SourceLostError,
    SourceUnreadableError,
    StorageUnavailableError,
)
"""The errors that ``decide`` knows."""


class Charge(Enum):
    """The charge that an answer names."""

    ABSENT = auto()
    ZERO = auto()
    AMOUNT = auto()
    UNREADABLE = auto()  # or too high to be believed

    @classmethod
    def of(cls, header: str | None, microcredits: int | None) -> "Charge":
        """Classify a charge by its header and the amount that was read from it."""
        if microcredits is None:
            return cls.UNREADABLE if header else cls.ABSENT
        return cls.AMOUNT if header and microcredits else cls.ZERO

    @property
    def is_charged(self) -> bool:
        return self in (Charge.AMOUNT, Charge.UNREADABLE)

    @property
    def is_known(self) -> bool:
        return self in (Charge.AMOUNT, Charge.ZERO)


class Hold(Enum):
    """The fate of the credits that are held for the call."""

    KEEP = auto()
    RELEASE = auto()
    SETTLE = auto()
    DISPUTE = auto()  # nobody here knows what was charged, so a person decides


class Next(Enum):
    """The next step for the job."""

    RESEND = auto()  # the same attempt goes again, once a pause is over
    AWAIT_OPERATOR = auto()  # the same attempt goes again, once an operator has mended something
    AWAIT_ROOM = auto()  # the paid result is safe, and is stored once there is room
    RETRY = auto()  # another attempt, if any is left
    FAIL = auto()
    REVIEW = auto()  # the job waits for the person who decides what the call has cost


@dataclass(frozen=True)
class Decision:
    """The meaning of an error. reason: shown on the job's page."""

    hold: Hold
    next: Next
    reason: Job.Reason

    @property
    def is_unanswered(self) -> bool:
        """Tell if the answer or its body never arrived, so that the rows have to be read again."""
        return self.reason in (Reason.REPEATED, Reason.UNANSWERED, Reason.RESULT_LOST)


# Unless the answer names a charge, all of these mean the same for every call.
_BY_TYPE: dict[type[Exception], Decision] = {
    errors.SlowDown: Decision(Hold.KEEP, Next.RESEND, Reason.SLOW_DOWN),
    errors.Unreachable: Decision(Hold.KEEP, Next.RESEND, Reason.UNREACHABLE),
    errors.AccountRefused: Decision(Hold.KEEP, Next.AWAIT_OPERATOR, Reason.ACCOUNT),
    errors.Misdirected: Decision(Hold.KEEP, Next.AWAIT_OPERATOR, Reason.NOT_PIXIAN),
    InsufficientStorageError: Decision(Hold.KEEP, Next.AWAIT_OPERATOR, Reason.DISK_FULL),
    StorageUnavailableError: Decision(Hold.KEEP, Next.AWAIT_OPERATOR, Reason.STORAGE),
    SourceUnreadableError: Decision(Hold.KEEP, Next.AWAIT_OPERATOR, Reason.STORAGE),
    NotStoredError: Decision(Hold.KEEP, Next.AWAIT_ROOM, Reason.RESULT_WAITS),
    SourceLostError: Decision(Hold.RELEASE, Next.FAIL, Reason.SOURCE_LOST),
}


def decide(error: Exception, charge: Charge, *, test: bool = False, billed: bool = True) -> Decision:
    """Return what an error means for the hold and the job.

    test: the call is one, so it costs nothing unless the answer says so. billed: the upstream's calls cost
    money; the embedded engine's don't. Raises the error itself if it is none of a call's.
    """
    if isinstance(error, errors.ApiError) and charge.is_charged:
        return _end(error, hold_for(charge))
    if decision := _BY_TYPE.get(type(error)):
        return decision
    match error:
        case errors.GatewayTimedOut() | errors.Unanswered() | errors.BodyLost():
            return _lost(charge, is_free=not billed or (test and not charge.is_charged))
        case errors.ApiError():
            return _end(error, Hold.RELEASE)
    raise error


def hold_for(charge: Charge, *, test: bool = False) -> Hold:
    """Return what becomes of the hold of a call that was answered."""
    if charge.is_known:
        return Hold.SETTLE
    return Hold.RELEASE if test and charge is Charge.ABSENT else Hold.DISPUTE


def decide_invalid(charge: Charge) -> Decision:
    """Return what a 200 without a picture means."""
    hold = hold_for(charge)
    return Decision(hold, Next.FAIL if hold is Hold.SETTLE else Next.REVIEW, Reason.NOT_A_PICTURE)


def _end(error: errors.ApiError, hold: Hold) -> Decision:
    """Decide about an answer that ends its attempt; a refused picture would be refused again."""
    if isinstance(error, errors.Refused | errors.Misdirected):
        return Decision(hold, Next.FAIL, Reason.REFUSED)
    return Decision(hold, Next.RETRY, Reason.SERVER_FAILED)


def _lost(charge: Charge, *, is_free: bool) -> Decision:
    """Decide about a call whose answer or body is lost. A paid call is never repeated by itself."""
    if is_free:
        return Decision(Hold.RELEASE, Next.RETRY, Reason.REPEATED)
    if charge.is_known:
        return Decision(Hold.SETTLE, Next.FAIL, Reason.RESULT_LOST)
    return Decision(Hold.DISPUTE, Next.REVIEW, Reason.UNANSWERED)

"""The kinds of cases, and what is known of one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Team
from jobs.models import Job


class Kind(models.TextChoices):
    """The reason why a person has to look; those of attempts are their verdicts."""

    FINDING = "finding", _("the books don't verify")
    DAMAGED = "damaged", _("damaged result")
    IMPLAUSIBLE = "implausible", _("implausible charge")
    UNBOOKED = "unbooked", _("couldn't be booked")
    NO_HEADER = "no_header", _("no charge header")
    IN_DOUBT = "in_doubt", _("in doubt")
    MISMATCH = "mismatch", _("charged otherwise than decided")
    OVERAGE = "overage", _("overage")
    REPORT = "report", _("reported as bad")
    REQUEST = "request", _("request for credits")
    ADJUSTMENT = "adjustment", _("waits for a second person")
    DECISION = "decision", _("decision on several calls")


DOUBTS = (Kind.IMPLAUSIBLE, Kind.UNBOOKED, Kind.NO_HEADER, Kind.IN_DOUBT)
OF_ATTEMPTS = (*DOUBTS, Kind.MISMATCH, Kind.OVERAGE)
URGENT = (Kind.FINDING, Kind.DAMAGED, Kind.IMPLAUSIBLE, Kind.UNBOOKED, Kind.MISMATCH)


class Source(models.TextChoices):
    """The table that a case comes from."""

    ATTEMPT = "attempt"
    RESULT = "result"
    FINDING = "finding"
    REPORT = "report"
    REQUEST = "request"
    ADJUSTMENT = "adjustment"
    DECISION = "decision"


class Entry(NamedTuple):
    """A case in the order of the list. stake: in micro-credits, None if nobody can tell.

    held: for a call in doubt. number: which of several findings of one verification. proposed: a decision on
    the call needs a second person, who hasn't decided, or was interrupted.
    """

    kind: Kind
    source: Source
    pk: int
    stake: int | None
    since: datetime
    put_off: bool = False
    held: int = 0
    number: int = 0
    proposed: bool = False

    @property
    def address(self) -> str:
        """The case's name in URLs: ``attempt-12``."""
        return f"{self.source.value}-{self.pk}" + (f"-{self.number}" if self.number else "")

    @property
    def may_decide(self) -> bool:
        """Return True for a call in doubt on which no decision waits."""
        return self.kind in DOUBTS and not self.proposed

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sort by money at stake, the unknown first; what waits for the balance comes last."""
        unknown = self.stake is None
        return (self.put_off, not unknown, -(self.stake or 0), self.since, self.source.value, self.pk)


@dataclass(frozen=True)
class Case:
    """A case with its row, for the page. what: in a few words, a picture's name or a sentence.

    is_open: False once it is decided, for those who come too late.
    """

    entry: Entry
    team: Team | None
    row: Any
    what: str
    who: str = ""
    job: Job | None = None
    is_open: bool = True

    @property
    def kind(self) -> Kind:
        return self.entry.kind

    @property
    def address(self) -> str:
        return self.entry.address

    @property
    def subject(self) -> str:
        """The name of its row in the audit log."""
        return f"{self.entry.source.value}:{self.entry.pk}"

    @property
    def likely(self) -> int:
        """The micro-credits that a call in doubt was probably charged.

        The header's charge, if one came that can be believed; otherwise the estimate.
        """
        known: int | None = getattr(self.row, "charged_microcredits", None)
        return self.job.estimated_microcredits if known is None and self.job else known or 0

    @property
    def is_doubt(self) -> bool:
        """Return True for a call in doubt that can be decided now."""
        return self.is_open and self.entry.may_decide

    @property
    def tone(self) -> str:
        if (
            self.entry.put_off
            or self.entry.proposed
            or self.kind in (Kind.REQUEST, Kind.ADJUSTMENT, Kind.DECISION)
        ):
            return "wait"
        return "fail" if self.kind in URGENT else "doubt"

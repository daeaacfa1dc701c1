"""Give each attempt one verdict on how its estimate, hold, charge header and booking agree.

The database computes it, so that a page reads it for fifty attempts and an audit counts it over millions by
the same rules (``AttemptQuerySet.with_verdict``).
"""

from typing import Any

from django.db import models
from django.db.models import Case, F, FilteredRelation, Func, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from accounts.models import Transfer


class Verdict(models.TextChoices):
    """Ordered by urgency: a job's verdict is the first of its attempts'."""

    IN_DOUBT = "in_doubt", _("in doubt")
    NO_HEADER = "no_header", _("no charge header")
    IMPLAUSIBLE = "implausible", _("implausible charge")
    UNBOOKED = "unbooked", _("couldn't be booked")
    MISMATCH = "mismatch", _("mismatch")
    OVERAGE = "overage", _("overage")
    OPEN = "open", _("open")
    MATCHED = "matched", _("matched")
    RELEASED = "released", _("released")


DOUBTS = (Verdict.IN_DOUBT, Verdict.NO_HEADER, Verdict.IMPLAUSIBLE, Verdict.UNBOOKED)

CONTRADICTED = (
    Q(doubt=Func(template="'late'"), answered_at__gt=F("reviewed_at"), charged_microcredits__isnull=False)
    & ~Q(charged_microcredits=F("resolved_microcredits"))
    & Q(state__in=["booked", "released"])
)
"""A person decided, and then the response came after all and stated another charge."""


def ending(part: Transfer.Resolution) -> FilteredRelation:
    """Join one part of the ending of an attempt's hold; a hold has at most one of each, so no row repeats."""
    return FilteredRelation("hold__resolutions", condition=Q(hold__resolutions__resolution=part))


_SETTLED = Case(When(close__kind=Transfer.Kind.SETTLE, then="close__amount_microcredits"))
_VERDICT = Case(
    When(state="in_doubt", doubt__in=["unanswered", "late"], then=Value(Verdict.IN_DOUBT)),
    When(state="in_doubt", doubt="implausible", then=Value(Verdict.IMPLAUSIBLE)),
    When(state="in_doubt", doubt="unbooked", then=Value(Verdict.UNBOOKED)),
    # Other doubts, and attempts from before doubts had a name: was there a response?
    When(state="in_doubt", status=None, then=Value(Verdict.IN_DOUBT)),
    When(state="in_doubt", then=Value(Verdict.NO_HEADER)),
    When(CONTRADICTED, then=Value(Verdict.MISMATCH)),
    # Released although a charge is known, and without a reason. (The embedded engine's charge is given back
    # with a reason when its call is repeated.)
    When(Q(state="released") & (~Q(booked=0) | Q(known__gt=0, close__memo="")), then=Value(Verdict.MISMATCH)),
    When(state="released", then=Value(Verdict.RELEASED)),
    # A test has no hold: if a person finds that it was charged, the operator pays, and no team's ledger.
    When(state="booked", test=True, resolved_microcredits__isnull=False, then=Value(Verdict.MATCHED)),
    When(Q(state="booked") & (Q(known=None) | ~Q(booked=F("known"))), then=Value(Verdict.MISMATCH)),
    When(state="booked", booked__gt=F("hold__amount_microcredits"), then=Value(Verdict.OVERAGE)),
    When(state="booked", then=Value(Verdict.MATCHED)),
    default=Value(Verdict.OPEN),
)

COLUMNS: dict[str, Any] = {
    "known": Coalesce("resolved_microcredits", "charged_microcredits"),
    "held": Coalesce("hold__amount_microcredits", 0),
    "booked": Coalesce(_SETTLED, 0) + Coalesce("excess__amount_microcredits", 0),
    "verdict": _VERDICT,
}
"""In micro-credits. ``known``: what the call cost, NULL while unknown; ``booked``: what the ledger took."""

"""Enter credits that came onto the upstream account, or left it other than by a call, once each."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit_log
from accounts.audit_log import Action
from accounts.ledger.money import to_credits
from accounts.models import User
from jobs.models import BalancePeriod, Purchase, UpstreamAccount
from jobs.search.date_range import DateRange


class AlreadyEnteredError(Exception):
    """The form was sent before. Nothing was entered now."""

    def __init__(self, purchase: Purchase) -> None:
        super().__init__(str(purchase))
        self.purchase = purchase


def enter(
    account: UpstreamAccount, bought_at: datetime, microcredits: int, note: str, actor: User, token: UUID
) -> Purchase:
    """Enter a purchase, and have the periods around it computed again; raise AlreadyEnteredError."""
    if known := Purchase.objects.filter(token=token).first():
        raise AlreadyEnteredError(known)
    try:
        with transaction.atomic():
            return _enter(account, bought_at, microcredits, note, actor, token)
    except IntegrityError as error:
        if known := Purchase.objects.filter(token=token).first():  # sent twice at the same time
            raise AlreadyEnteredError(known) from error
        raise


def _enter(
    account: UpstreamAccount, bought_at: datetime, microcredits: int, note: str, actor: User, token: UUID
) -> Purchase:
    values = {"bought_at": bought_at, "microcredits": microcredits, "note": note}
    purchase = Purchase.objects.create(account=account, entered_by=actor, token=token, **values)
    BalancePeriod.objects.outdate(account.pk, bought_at, bought_at)
    audit_log.record(
        Action.PURCHASE,
        f"purchase:{purchase.pk}",
        actor=actor,
        team=None,
        reason=note,
        after={
            "account": str(account),
            "bought_at": bought_at.isoformat(),
            "credits": f"{to_credits(microcredits):f}",
        },
    )
    return purchase


def like(account: UpstreamAccount, bought_at: datetime, microcredits: int) -> Purchase | None:
    """Return a purchase of the same amount on the same day, which a person may be about to enter again."""
    day = timezone.localtime(bought_at).date()
    on_day = DateRange(day, day).contains("bought_at")
    return Purchase.objects.filter(on_day, account=account, microcredits=microcredits).order_by("-pk").first()

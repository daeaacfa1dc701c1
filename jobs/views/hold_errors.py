"""Messages that say why no credits were held for a picture, in the reader's language."""

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from accounts.ledger.money import display
from accounts.ledger.operations import (
    AllowanceUsedUpError,
    InsufficientCreditsError,
    LedgerError,
    OwingError,
)

PAYMENT_REQUIRED = 402


def message_for(error: LedgerError) -> str:
    """Return what the picture may cost, what is left, and when there is more."""
    match error:
        case AllowanceUsedUpError():
            return _allowance_message(error)
        case InsufficientCreditsError():
            message = _(
                "This picture may cost %(asked)s credits, but only %(available)s are available. "
                "Nothing was held."
            )
            asked, available = error.asked_microcredits, error.available_microcredits
            return message % {"asked": display(asked), "available": display(available)}
        case OwingError():
            message = _(
                "The team owes %(credits)s credits. New pictures are refused until they are paid off."
            )
            return message % {"credits": display(error.owed_microcredits)}
        case _:
            return _("The team doesn't have enough credits.")


def _allowance_message(error: AllowanceUsedUpError) -> str:
    allowance = error.allowance
    if allowance.api_key_id:
        message = _(
            "This picture may cost %(asked)s credits, but the API key's allowance has only "
            "%(left)s left: %(used)s of %(limit)s per %(period)s are used. It renews on %(when)s."
        )
    else:
        message = _(
            "This picture may cost %(asked)s credits, but your allowance has only %(left)s left: "
            "%(used)s of %(limit)s per %(period)s are used. It renews on %(when)s."
        )
    limit, used = allowance.limit_microcredits, error.used_microcredits
    return message % {
        "asked": display(error.asked_microcredits),
        "left": display(max(0, limit - used)),
        "used": display(used),
        "limit": display(limit),
        "period": allowance.get_period_display(),
        "when": date_format(localtime(error.renews_at), "j N Y, H:i"),
    }

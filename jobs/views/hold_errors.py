"""Messages that say why no credits were held for a picture, in the reader's language."""

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.ledger.money import display, for_plural
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
            asked, available = error.asked_microcredits, error.available_microcredits
            message = ngettext(
                "This picture may cost %(asked)s credit, but only %(available)s are available. "
                "Nothing was held.",
                "This picture may cost %(asked)s credits, but only %(available)s are available. "
                "Nothing was held.",
                for_plural(asked),
            )
            return message % {"asked": display(asked), "available": display(available)}
        case OwingError():
            message = ngettext(
                "The team owes %(credits)s credit. New pictures are refused until it is paid off.",
                "The team owes %(credits)s credits. New pictures are refused until they are paid off.",
                for_plural(error.owed_microcredits),
            )
            return message % {"credits": display(error.owed_microcredits)}
        case _:
            return _("The team doesn't have enough credits.")


def _allowance_message(error: AllowanceUsedUpError) -> str:
    allowance, count = error.allowance, for_plural(error.asked_microcredits)
    if allowance.api_key_id:
        message = ngettext(
            "This picture may cost %(asked)s credit, but the API key's allowance has only "
            "%(left)s left: %(used)s of %(limit)s per %(period)s are used. It renews on %(when)s.",
            "This picture may cost %(asked)s credits, but the API key's allowance has only "
            "%(left)s left: %(used)s of %(limit)s per %(period)s are used. It renews on %(when)s.",
            count,
        )
    else:
        message = ngettext(
            "This picture may cost %(asked)s credit, but your allowance has only %(left)s left: "
            "%(used)s of %(limit)s per %(period)s are used. It renews on %(when)s.",
            "This picture may cost %(asked)s credits, but your allowance has only %(left)s left: "
            "%(used)s of %(limit)s per %(period)s are used. It renews on %(when)s.",
            count,
        )
    limit, used = error.limit_microcredits, error.used_microcredits
    return message % {
        "asked": display(error.asked_microcredits),
        "left": display(max(0, limit - used)),
        "used": display(used),
        "limit": display(limit),
        "period": allowance.get_period_display(),
        "when": date_format(localtime(error.renews_at), "j N Y, H:i"),
    }

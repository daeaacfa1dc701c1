"""Read an answer's head into an attempt's columns: what was charged, as far as it can be believed."""

from typing import Any

from django.conf import settings
from django.utils import timezone

from jobs.calls import pricing
from jobs.models import Attempt
from pixian.client.client import Answer
from pixian.protocol.credits import TooManyCreditsError, UnreadableCreditsError, parse_credits

Doubt = Attempt.Doubt
CHARGE_HEADER = "X-Credits-Charged"
MAX_HEADER_TEXT = 200


def columns(attempt: Attempt, answer: Answer) -> dict[str, Any]:
    """Return the columns that keep the status line and headers, the charge's text verbatim."""
    header = answer.header(CHARGE_HEADER)
    charged, doubt = _charge(attempt, header)
    return {
        "answered_at": timezone.now(),
        "status": answer.status,
        "headers": answer.headers,
        "charged_header": header if header is None else header[:MAX_HEADER_TEXT],
        "charged_microcredits": charged,
        "doubt": doubt,
    }


def _charge(attempt: Attempt, header: str | None) -> tuple[int | None, str]:
    """Return the charge in micro-credits, and the doubt about it if there is one.

    A charge that isn't believed is None, like one that can't be read: nothing that books, learns or
    compares may take it for an amount.
    """
    try:
        charged = None if header is None else parse_credits(header)
    except TooManyCreditsError:
        return None, Doubt.IMPLAUSIBLE
    except UnreadableCreditsError:
        return None, ""
    held = attempt.hold.amount_microcredits if attempt.hold else 0
    if charged is not None and charged > pricing.most_believed(held, settings.CHARGE_ALARM_FACTOR):
        return None, Doubt.IMPLAUSIBLE
    return charged, ""

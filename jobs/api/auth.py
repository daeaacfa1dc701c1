"""Whose program it is: the key, its scope, and how often it may call.

What is counted: every call with a right key by the key and its team, refused ones too; every call without one
by the address it came from. So nobody who guesses uses up what a key's owner may.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.http import HttpRequest
from werkzeug.exceptions import HTTPException

from accounts import rate_limits
from accounts.api_keys import keys
from accounts.api_keys.keys import IdUnknownError, KeyDisabledError, KeyRefusedError
from accounts.auth.client_ip import client_subnet
from accounts.models import ApiKey, Scope
from accounts.rate_limits import Bound, TooFastError
from jobs.api import call_log
from jobs.connections import give_back
from pixian.protocol.credentials import Credentials
from pixian.protocol.errors import ApiError, Code, Refused, SlowDown

REFUSED = {
    IdUnknownError: (Code.ID_UNKNOWN, "The API Id is unknown: send Id and secret as HTTP Basic."),
    KeyDisabledError: (Code.KEY_DISABLED, "This API key was revoked or has expired."),
}
WRONG_SECRET = (Code.SECRET_WRONG, "The API secret is wrong.")


def key_of(request: HttpRequest, scope: Scope, credentials: Credentials | None = None) -> ApiKey:
    """The key that a request was sent with. credentials: None for those of its ``Authorization``.

    Raises Refused 401 for no key that opens anything, 403 for one without the scope, and SlowDown where it,
    its team, or somebody who guesses, calls too often.
    """
    given = credentials or Credentials.from_header(request.headers.get("Authorization", ""))
    try:
        key = keys.find(given.api_id, given.api_secret) if given else _nobody()
    except KeyRefusedError as error:
        _slow_guessing_down(request)
        code, message = REFUSED.get(type(error), WRONG_SECRET)
        raise Refused(401, code, message) from error
    call_log.note_key(key)
    if not key.allows(scope):
        raise Refused(
            403, Code.SCOPE_MISSING, f"This API key isn't good for this: it needs the scope {scope.value!r}."
        )
    with_patience(key)
    keys.note_use(key)
    give_back()  # the connection: the body may come slowly
    return key


def bounds(key: ApiKey) -> list[Bound]:
    """By which a call of this key is counted. In this order everywhere, since the rows are locked by it."""
    return [
        Bound(f"key:{key.pk}", settings.API_CALLS_PER_KEY),
        Bound(f"team:{key.team_id}", settings.API_CALLS_PER_TEAM),
    ]


def with_patience(key: ApiKey) -> None:
    """Raises SlowDown where the next call would be one too many."""
    try:
        rate_limits.check(bounds(key))
    except TooFastError as error:
        raise too_fast(error) from error


def count(key: ApiKey) -> None:
    """Count a call of this key that makes no job; raises SlowDown, and then it isn't counted."""
    try:
        rate_limits.take(*bounds(key))
    except TooFastError as error:
        raise too_fast(error) from error


@contextmanager
def refusals_counted(key: ApiKey) -> Iterator[None]:
    """Count a call that is refused inside. One that makes a job counts in that job's transaction."""
    try:
        yield
    except SlowDown:
        raise
    except (ApiError, HTTPException):
        with suppress(SlowDown):  # what was wrong says more than that it was the last call for now
            count(key)
        raise


def too_fast(error: TooFastError) -> SlowDown:
    return SlowDown(
        429, Code.SLOW_DOWN, "Too many calls for this key or team.", retry_after=error.retry_after
    )


def _nobody() -> ApiKey:
    raise IdUnknownError


def _slow_guessing_down(request: HttpRequest) -> None:
    """A right key is let in all the same."""
    try:
        rate_limits.take(Bound(f"guesses:{client_subnet(request)}", settings.API_GUESSES_PER_ADDRESS))
    except TooFastError as error:
        raise SlowDown(
            429, Code.SLOW_DOWN, "Too many wrong keys from your address.", retry_after=error.retry_after
        ) from error

"""Authenticate API calls by a team's key, and limit how often they come.

A call with a right key counts once for the key and for its team, whatever becomes of it. A call without one
counts for the address it came from, so that guessing uses up nobody else's limit.
"""

from django.conf import settings
from django.http import HttpRequest

from accounts import rate_limits
from accounts.api_keys import keys
from accounts.api_keys.keys import IdUnknownError, KeyDisabledError, KeyRefusedError
from accounts.auth.client_ip import client_subnet
from accounts.models import ApiKey, Scope
from accounts.rate_limits import Bound, TooFastError
from jobs.api import call_log
from jobs.connections import give_back
from jobs.queue import claims
from pixian.protocol.credentials import Credentials
from pixian.protocol.errors import Code, Refused, SlowDown

UNKNOWN_ID = (Code.ID_UNKNOWN, "The API Id is unknown: send Id and secret as HTTP Basic.")
REFUSALS = {
    IdUnknownError: UNKNOWN_ID,
    KeyDisabledError: (Code.KEY_DISABLED, "This API key was revoked or has expired."),
}
WRONG_SECRET = (Code.SECRET_WRONG, "The API secret is wrong.")


def authenticate(request: HttpRequest, scope: Scope, credentials: Credentials | None = None) -> ApiKey:
    """Return the key that a request was sent with, and count the call.

    credentials: read from ``Authorization`` if None.
    Raises Refused 401 without a usable key and 403 if the key lacks the scope; SlowDown if the key, its team
    or a guesser's address calls too often.
    """
    credentials = credentials or Credentials.from_header(request.headers.get("Authorization", ""))
    if credentials is None:
        _count_guess(request)
        raise Refused(401, *UNKNOWN_ID)
    try:
        key = keys.find(credentials.api_id, credentials.api_secret)
    except KeyRefusedError as error:
        _count_guess(request)
        raise Refused(401, *REFUSALS.get(type(error), WRONG_SECRET)) from error
    call_log.note_key(key)
    if not key.allows(scope):
        raise Refused(403, Code.SCOPE_MISSING, f"This API key lacks the scope {scope.value!r}.")
    _count_call(key)
    keys.note_use(key)
    give_back()  # the connection, since the body may take long to read
    return key


def rate_limits_of(key: ApiKey) -> list[Bound]:
    """Return the limits that a key's calls count for, always in this order: their rows are locked by it."""
    return [
        Bound(f"key:{key.pk}", settings.API_CALLS_PER_KEY),
        Bound(f"team:{key.team_id}", settings.API_CALLS_PER_TEAM),
    ]


def _count_call(key: ApiKey) -> None:
    """Count a call for the key and its team, or for neither: raises SlowDown."""
    try:
        with claims.writing():
            rate_limits.take(*rate_limits_of(key))
    except TooFastError as error:
        raise _slow_down("Too many calls for this key or team.", error) from error


def _count_guess(request: HttpRequest) -> None:
    """Count a wrong key for its address, where a right key is still let in; raises SlowDown."""
    try:
        rate_limits.take(Bound(f"guesses:{client_subnet(request)}", settings.API_GUESSES_PER_ADDRESS))
    except TooFastError as error:
        raise _slow_down("Too many wrong keys from your address.", error) from error


def _slow_down(message: str, error: TooFastError) -> SlowDown:
    return SlowDown(429, Code.SLOW_DOWN, message, retry_after=error.retry_after)

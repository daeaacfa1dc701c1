"""Name the upstream account of the settings: each call, balance and purchase belongs to the one it was of."""

from functools import partial

from django.conf import settings
from django.db import transaction

from jobs.models import UpstreamAccount

Named = tuple[str, str]
"""The upstream's address and the API Id there: another one may have other prices."""

_known: dict[Named, int] = {}
"""The keys of committed rows, which are never deleted."""


def named() -> Named:
    """Return the account that pays."""
    return settings.PIXIAN_API_URL, settings.PIXIAN_API_ID


def current_id() -> int:
    """Return the key of the account of the settings, which is entered with its first use."""
    ours = named()
    if ours not in _known:
        account, _ = UpstreamAccount.objects.get_or_create(upstream=ours[0], api_id=ours[1])
        # Not before the commit: this transaction may be undone, and the row with it.
        transaction.on_commit(partial(_known.__setitem__, ours, account.pk))
        return account.pk
    return _known[ours]

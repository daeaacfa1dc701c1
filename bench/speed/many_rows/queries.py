"""Queries asked beside each page as it stands: filters, searches and pages far back, by the route's name.

``{middle}`` is the number of a picture, and of a call, amid all; ``{transfer}`` of a transfer. ``{person}``
owns the team.
"""

from datetime import UTC, datetime, timedelta

_TODAY = datetime.now(UTC).date()
_MONTH, _DAY = _TODAY - timedelta(days=30), _TODAY - timedelta(days=60)
_YEAR = f"since={_TODAY - timedelta(days=365)}"
_SOME_DAYS, _ONE_DAY = f"since={_MONTH}", f"since={_DAY}&until={_DAY}"

_HISTORY = (
    "name=photo-77.",
    "name=photo",
    "name=nowhere",
    "name=77",
    "state=failed",
    "state=in_doubt",
    "state=done",
    "origin=drop_in",
    "origin=browser",
    "key=none",
    "batch={batch}",
    "test=yes",
    "test=no",
    _SOME_DAYS,
    _ONE_DAY,
    "verdict=in_doubt",
    "verdict=overage",
    "verdict=open",
    "verdict=released",
    "verdict=mismatch",
    "verdict=matched",
    "name=photo-77&verdict=released",
    "name=99.jpg&verdict=mismatch",
    "name=photo&verdict=matched",
    "person={person}",
    "state=done&origin=browser&test=no&name=9.jpg",
)

QUERIES: dict[str, tuple[str, ...]] = {
    "history": ("before={middle}", *_HISTORY, *(f"{query}&before={{middle}}" for query in _HISTORY)),
    "history_counts": _HISTORY,
    "statement": (
        "before={transfer}",
        "kind=overage",
        "person={person}",
        "batch={batch}",
        _SOME_DAYS,
        _ONE_DAY,
        f"person={{person}}&{_SOME_DAYS}",
        f"kind=settle&{_SOME_DAYS}",
    ),
    "usage": ("period=90", *(f"{_YEAR}&by={by}" for by in ("person", "key", "batch", "preset"))),
    "review": ("kind=in_doubt", "page=10"),
    "workspace": ("batch={batch}",),
    "api_jobs": (
        "before={middle}",
        "state=failed",
        "state=in_doubt",
        "origin=drop_in",
        "name=photo-77.",
        "name=nowhere",
        _SOME_DAYS,
        _ONE_DAY,
        "state=failed&name=nowhere",
        "key=none",
    ),
    "api_ledger": ("before={transfer}", _SOME_DAYS, _ONE_DAY),
    "api_usage": ("by=day", "by=member", "by=key", "by=origin"),
    "admin:jobs_job_changelist": (
        "p=50",
        "upto={middle}",
        "state__exact=in_doubt",
        "reason__exact=refused",
        "origin__exact=drop_in",
        "test__exact=1",
        "q=photo-77.",
        "q=nowhere",
    ),
    "admin:jobs_attempt_changelist": (
        "upto={middle}",
        "review=yes",
        "state__exact=in_doubt",
        "status=5xx",
        "q=77",
        "q=nowhere",
    ),
    "admin:accounts_transfer_changelist": (
        "upto={transfer}",
        "kind__exact=grant",
        "kind__exact=overage",
        "q=job:77:1",
        "q=nowhere",
    ),
}

"""Show every setting as it is in force, where it comes from and what it means; secrets are masked."""

import platform
from collections.abc import Iterator
from dataclasses import dataclass

import django
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.ledger.money import exact
from accounts.teams.permissions import staff_only
from engine.environment import Environment, Reading, Source
from pixian_web.env import shown
from pixian_web.staff.meanings import MEANINGS

SOURCES = {
    Source.ENVIRONMENT: gettext_lazy("environment"),
    Source.FILE: gettext_lazy(".env"),
    Source.DEFAULT: gettext_lazy("default"),
}


@dataclass(frozen=True)
class Row:
    """A setting as the page shows it. is_set: it differs from what a new installation has."""

    name: str
    value: str
    source: str | Promise
    meaning: str | Promise
    is_set: bool


@never_cache
@staff_only
@require_safe
def staff_settings(request: HttpRequest) -> HttpResponse:
    return render(request, "staff/settings.html", {"groups": list(groups()), "derived": derived()})


def groups() -> Iterator[tuple[str | Promise, list[Row]]]:
    """Yield what was read, by the groups of ``MEANINGS``; a setting without a meaning comes last."""
    readings = dict(Environment.readings)
    for title, meanings in MEANINGS.items():
        rows = [(readings.pop(name), meaning) for name, meaning in meanings.items() if name in readings]
        if rows:
            yield title, [_row(reading, meaning) for reading, meaning in rows]
    if readings:
        yield _("Others"), [_row(reading, "") for reading in readings.values()]


def _row(reading: Reading, meaning: str | Promise) -> Row:
    is_set = reading.source is not Source.DEFAULT
    return Row(reading.name, shown(reading), SOURCES[reading.source], meaning, is_set)


def derived() -> list[tuple[str, str]]:
    """Return what follows from the settings, and the versions at work."""
    return [
        (_("Hosts that are answered"), ", ".join(settings.ALLOWED_HOSTS)),
        (_("Secure cookies, and HTTPS behind a proxy"), _yes(settings.BEHIND_HTTPS)),
        (_("Database"), f"{connection.display_name} {_database_version()}"),
        (_("Files"), str(settings.S3_BUCKET or settings.MEDIA_ROOT)),
        (_("Email reaches people"), _yes(settings.MAIL_LEAVES)),
        (_("Calls are charged for real"), _yes(not settings.PIXIAN_EMBEDDED)),
        (_("Held per megapixel at least, in credits"), exact(settings.HOLD_MICROCREDITS_PER_MEGAPIXEL)),
        (_("Workers are woken by"), _("the broker") if settings.CELERY_BROKER_URL else _("polling")),
        (_("Threads for pages alone, in each web process"), str(settings.WEB_THREADS_FOR_PAGES)),
        (_("Versions"), f"Django {django.get_version()}, Python {platform.python_version()}"),
    ]


def _yes(fact: object) -> str:
    return _("yes") if fact else _("no")


def _database_version() -> str:
    return ".".join(map(str, connection.get_database_version()))

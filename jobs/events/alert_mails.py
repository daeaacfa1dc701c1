"""Say what a warning means, to whom it is of use, and email it to them."""

from datetime import date
from typing import Any

from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import mail
from accounts.ledger.money import display, for_plural
from accounts.models import Role
from jobs.events import payloads
from jobs.events.reasons import ALLOWANCE, DISK, FULL, POOL
from jobs.models import Alert

MEGABYTE = 1024 * 1024


def send(alert: Alert) -> bool:
    """Email a warning to those concerned. Don't call it in a transaction."""
    text = sentence(alert)
    body = render_to_string("jobs/alert.txt", {"text": text, "link": payloads.absolute(page(alert))})
    return mail.send(text, body, mail.reached(concerned(alert)))


def concerned(alert: Alert) -> Q:
    """Return who is warned: the owner of an allowance, those who manage the team, or staff."""
    if kind(alert) == ALLOWANCE:
        return Q(pk=alert.text["user"])
    if alert.team_id is None:
        return Q(is_staff=True)
    return managers(alert.team_id)


def managers(team_id: int) -> Q:
    """Return the people who manage a team."""
    return Q(memberships__team=team_id, memberships__role__gte=Role.MANAGER)


def kind(alert: Alert) -> str:
    return alert.subject.partition(":")[0]


def page(alert: Alert) -> str:
    """Return the path of the page on which something can be done about it."""
    if alert.team is None:
        return reverse("health" if kind(alert) == DISK else "upstream")
    return reverse("credits" if kind(alert) in (POOL, ALLOWANCE) else "webhooks", args=[alert.team.slug])


def sentence(alert: Alert) -> str:
    """Return the warning in one line, in the reader's language."""
    figures = alert.text
    match kind(alert):
        case "pool":
            return _pool(alert, figures)
        case "allowance":
            return _allowance(alert, figures)
        case "upstream":
            text = ngettext(
                "This site's account at Pixian has %(left)s credit left; %(spent)s were used in 7 days.",
                "This site's account at Pixian has %(left)s credits left; %(spent)s were used in 7 days.",
                for_plural(figures["left"]),
            )
            return text % {"left": display(figures["left"]), "spent": display(figures["spent"])}
        case "use_before":
            return _use_before(figures)
        case "disk":
            return _disk(alert.level, figures)
        case _:
            text = _("The webhook %(url)s is switched off. %(why)s")
            return text % {"url": figures["url"], "why": translation.gettext(figures["why"])}


def _pool(alert: Alert, figures: dict[str, Any]) -> str:
    said = {"team": one_line(alert), "percent": alert.level, "left": display(figures["left"])}
    if alert.level >= FULL:
        return _("The credits of %(team)s are used up: %(left)s left.") % said
    return _("%(percent)s %% of the credits of %(team)s are used: %(left)s left.") % said


def _allowance(alert: Alert, figures: dict[str, Any]) -> str:
    count = for_plural(figures["limit"])
    said = {
        "team": one_line(alert),
        "key": figures["key"],
        "used": display(figures["used"]),
        "limit": display(figures["limit"]),
        "day": _day(figures["renews"]),
    }
    if figures["key"]:
        text = ngettext(
            "The key %(key)s has used %(used)s of its %(limit)s credit. It gets a new one on %(day)s.",
            "The key %(key)s has used %(used)s of its %(limit)s credits. It gets new ones on %(day)s.",
            count,
        )
    else:
        text = ngettext(
            "You have used %(used)s of your %(limit)s credit in %(team)s. You get a new one on %(day)s.",
            "You have used %(used)s of your %(limit)s credits in %(team)s. You get new ones on %(day)s.",
            count,
        )
    return text % said


def _disk(percent: int, figures: dict[str, Any]) -> str:
    text = _("The disk with %(folder)s on %(host)s is %(percent)s %% full: %(free)s MB are left.")
    return text % (figures | {"percent": percent, "free": figures["free"] // MEGABYTE})


def _use_before(figures: dict[str, Any]) -> str:
    days = max(0, figures["days"])
    text = ngettext(
        "%(left)s credit of this site's account at Pixian expires on %(day)s, %(wait)s.",
        "%(left)s credits of this site's account at Pixian expire on %(day)s, %(wait)s.",
        for_plural(figures["left"]),
    )
    wait = ngettext("in %(days)s day", "in %(days)s days", days) % {"days": days}
    return text % {"left": display(figures["left"]), "day": _day(figures["date"]), "wait": wait}


def one_line(alert: Alert) -> str:
    return " ".join(str(alert.team).split())


def _day(text: str) -> str:
    return date_format(date.fromisoformat(text), "DATE_FORMAT")
